"""Moksha, where no plug-in asks for it; with real plug-ins: tests/peer/test_hosting.py."""

from __future__ import annotations

from parts import run_script


def test_hub_runs_without_moksha() -> None:
    """Neither it nor what it needs is imported by a hub that runs."""
    text = run_script(
        """
        import sys
        import fedmsg.hub.central, fedmsg.consumers, fedmsg.commands.hub

        class Own(fedmsg.consumers.FedmsgConsumer):
            config_key = "own"
            validate_signatures = False

        options = {"own": True, "zmq_subscribe_endpoints": "", "high_water_mark": 0}
        hub = fedmsg.hub.central.Hub(options, [Own], None)
        hub.start()
        hub.close()
        print(sorted({name.partition(".")[0] for name in sys.modules}
                     & {"moksha", "twisted", "pkg_resources", "websockets", "setuptools"}))
        """
    )
    assert text == "[]\n"
