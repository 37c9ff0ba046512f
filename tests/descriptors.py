"""An interpreter that has no descriptor left: see :func:`parts.run_script`."""

from __future__ import annotations

#: Source of a function, for the beginning of a script.
EXHAUST = """
import os, resource

def exhaust():
    limit = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return taken
"""
