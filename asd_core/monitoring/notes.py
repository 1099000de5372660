"""What people said of clips and alarms: acknowledged, normal after all, a fault; each with a note."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ACKNOWLEDGED: Final = "acknowledged"
NORMAL: Final = "normal"
FAULT: Final = "fault"
UNDONE: Final = "undone"


@dataclass(frozen=True)
class Note:
    """What somebody said.

    Parameters
    ----------
    key
        Of the row (`WatchRow.key`).
    said
        `acknowledged`, `normal`, `fault`, or `undone`, which takes back what was said of this row before.
    text
        The person's own words; may be empty.
    time
        ISO 8601 in UTC.
    """

    key: str
    said: str
    text: str
    time: str
