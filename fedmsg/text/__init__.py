"""The old name of :mod:`fedmsg.meta`: the same modules, not copies of them."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import TYPE_CHECKING

import fedmsg.meta

if TYPE_CHECKING:
    from fedmsg.meta import *  # noqa: F403

for _module in pkgutil.iter_modules(fedmsg.meta.__path__):
    sys.modules[f"{__name__}.{_module.name}"] = importlib.import_module(
        f"fedmsg.meta.{_module.name}"
    )
sys.modules[__name__] = fedmsg.meta
