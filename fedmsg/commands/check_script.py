"""What the console script ``fedmsg-check`` calls: it names the extra if click is not there."""

from __future__ import annotations

from fedmsg.commands import guarded

__all__ = ["main"]


def main() -> int | None:
    """Run ``fedmsg.commands.check.check``, which is a command of click."""

    def run() -> int | None:
        from fedmsg.commands.check import check

        return check()  # type: ignore[no-any-return]

    return guarded(run)
