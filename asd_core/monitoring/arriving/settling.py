"""How long a file must have been unchanged before it is judged: learned from how files grow in a folder."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from asd_core.formats import counted

LEAST_SETTLE_S, MAX_SETTLE_S = 2.0, 3600.0
"""Least time without a change that is learned from a folder; the most that may be asked for."""
CAUTIOUS_SETTLE_S = 10.0
"""Before anything is known, where the system does not tell which files are open: scripts write every few seconds."""
MAX_LEARNED_S = 60.0
"""A file that pauses for longer is judged early, and judged again: waiting for its like would make every alarm late."""
MARGIN = 1.75
"""Times the longest pause that was seen."""
MIN_FILES, REMEMBERED_FILES = 3, 50
PATIENCE_S = 30.0
PATIENCE_SETTLES = 5
"""A file that cannot be read in full is judged after this many times the settling time, at least `PATIENCE_S`."""


@dataclass(frozen=True)
class Settle:
    """How long a file must have been unchanged, in seconds, and where that figure comes from, in words."""

    seconds: float
    origin: str


@dataclass
class Settling:
    """How files grow in a folder, and how long they must be left alone.

    Parameters
    ----------
    asked_s
        Settling time that was asked for; None: learned.
    asked_patience_s
        Patience that was asked for; None: from the settling time.
    """

    asked_s: float | None = None
    asked_patience_s: float | None = None
    _pauses: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED_FILES), init=False)

    def note(self, pause_s: float) -> None:
        """Take in a file: the longest pause after which it went on growing although it had looked whole; 0 for none."""
        self._pauses.append(pause_s)

    def settle(self, *, knows_writers: bool) -> Settle:
        """How long a file must be unchanged.

        Parameters
        ----------
        knows_writers
            Whether the system tells which files are open for writing.
        """
        if self.asked_s is not None:
            return Settle(self.asked_s, "as asked")
        is_new = len(self._pauses) < MIN_FILES
        learned_s = min(MAX_LEARNED_S, MARGIN * max(self._pauses, default=0.0))
        least_s = CAUTIOUS_SETTLE_S if is_new and not knows_writers else LEAST_SETTLE_S
        if learned_s <= least_s and is_new:
            return Settle(least_s, "the system tells which files are open" if knows_writers else "cautious at first")
        return Settle(max(least_s, learned_s), f"learned from {counted(len(self._pauses), 'file')}")

    def patience_s(self, settle_s: float) -> float:
        """How long a file must be unchanged that cannot be read, is cut short, or ends in zeros.

        Whoever asks for no settling time at all has files that are whole from the first moment.
        """
        if self.asked_patience_s is not None:
            return self.asked_patience_s
        return 0.0 if self.asked_s == 0 else max(PATIENCE_S, PATIENCE_SETTLES * settle_s)
