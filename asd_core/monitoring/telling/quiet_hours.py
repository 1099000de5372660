"""Local times in which nobody is told anything; what happened in them is told in one message afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from typing import Self

from asd_core.errors import UsageError

_TIMES = re.compile(r"\s*([01]\d|2[0-3]):([0-5]\d)\s*-\s*([01]\d|2[0-3]):([0-5]\d)\s*", re.ASCII)


@dataclass(frozen=True)
class QuietHours:
    """From `begin` to just before `end` on a clock on the wall, over midnight where `end` is the earlier one.

    What counts is what the clock shows: where it is put back, the hour that comes twice is quiet twice.

    Parameters
    ----------
    zone
        Whose clock; None: this machine's.
    """

    begin: time
    end: time
    zone: tzinfo | None = None

    @classmethod
    def parse(cls, text: str, *, zone: tzinfo | None = None) -> Self | None:
        """Read `22:00-06:00`; None of an empty text: it is never quiet.

        Raises
        ------
        UsageError
            Something else, or two equal times.
        """
        if not text.strip():
            return None
        found = _TIMES.fullmatch(text)
        if found is None:
            raise UsageError(f"quiet hours are written as 22:00-06:00, from 00:00 to 23:59; got {text[:40]!a}")
        begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
        if begin == end:
            raise UsageError(f"quiet hours must begin and end at different times, got {text[:40]!a}")
        return cls(begin, end, zone)

    def contains(self, moment: datetime) -> bool:
        """Whether it is quiet at a moment, which must have its zone."""
        shown = moment.astimezone(self.zone).time()
        if self.begin < self.end:
            return self.begin <= shown < self.end
        return shown >= self.begin or shown < self.end
