"""Children of multiprocessing, in scripts of their own."""

from __future__ import annotations

import multiprocessing

import pytest
from parts import run_script

MULTI = """
import multiprocessing, sys
import fedmsg

def work(endpoint, number):
    fedmsg.publish(topic=str(number), msg={{}}, modname="t", active=True, relay_inbound=endpoint,
                   endpoints={{}}, post_init_sleep=20, zmq_linger=10000)
    fedmsg.destroy()

if __name__ == "__main__":
    endpoint = sys.argv[1]
    work(endpoint, 0)
    fedmsg.init(active=True, relay_inbound=endpoint, endpoints={{}}, post_init_sleep=20)
    context = multiprocessing.get_context({method!r})
    children = [context.Process(target=work, args=(endpoint, n)) for n in range(1, 4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    fedmsg.publish(topic="4", msg={{}}, modname="t")
    sys.exit(max(child.exitcode for child in children))
"""


@pytest.mark.parametrize("method", sorted(set(multiprocessing.get_all_start_methods())))
def test_multiprocessing(relay, address, tmp_path, method):
    """Children of multiprocessing publish, however they are started, and so does the parent."""
    there = relay(address())
    path = tmp_path / "application.py"
    path.write_text(MULTI.format(method=method))
    run_script(f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')", there.endpoint)
    assert sorted(there.topics(5)) == ["0", "1", "2", "3", "4"]
