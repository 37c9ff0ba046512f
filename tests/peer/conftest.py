"""Where the released 1.1.7 is."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def peer() -> str:
    """The directory of 1.1.7's commands; made by ``make peer``."""
    found = os.environ.get("FEDMSG_PEER", "")
    if not os.path.exists(os.path.join(found, "fedmsg-relay")) or not found:
        if os.environ.get("CI"):
            pytest.fail("FEDMSG_PEER does not name the commands of fedmsg 1.1.7")
        pytest.skip("fedmsg 1.1.7 is not installed here; see `make peer`")
    return found
