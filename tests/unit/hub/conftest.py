"""What tests of the hub need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hubs import Gate


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate, which is opened before the hubs are closed."""
    made = Gate()
    yield made
    made.open()
