"""How long a training will take, in words."""

from __future__ import annotations

from asd_core.jobs.estimates import Estimate


def rough_time(seconds: float) -> str:
    """Write a time no finer than an estimate deserves: `12 s`, `4 min`, `2 h`."""
    for unit, unit_s in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * unit_s:
            return f"{round(seconds / unit_s)} {unit}"
    return f"{max(1, round(seconds))} s"


def span_text(expected: Estimate) -> str:
    """Say between which times a training will end: `2 min to 5 min`, or one of them where both read the same."""
    low, high = rough_time(expected.low_s), rough_time(expected.high_s)
    return low if low == high else f"{low} to {high}"
