"""False-alarm rates in words of days: how often normal sound is called anomalous where clips are judged all day."""

from __future__ import annotations

from asd_core.errors import InputError
from asd_core.evaluation.thresholds import DEFAULT_RULE, n_needed

DAY_S = 86_400
_PERIODS = (("day", 1.0), ("week", 7.0), ("month", 365.25 / 12), ("year", 365.25))
_FEW = 1.5
"""Fewer in a period are counted over the next longer one: '1 a day' would stand for one and a half as well."""
_ROUNDED_FROM = 10
"""From here on counts are given with two digits: no rate that is known from some dozens of clips deserves more."""


def lowest_promise(n_scores: int) -> float:
    """Return the lowest false-alarm rate that so many held-out normal scores can promise, `1 / (n + 1)`.

    A new normal score is as likely to be the highest of n + 1 as any other, so below this rate the threshold would have
    to lie above all that has been heard (Lei et al. 2018, Theorem 2.2).

    Raises
    ------
    InputError
        A negative number of scores.
    """
    if n_scores < 0:
        raise InputError(f"a number of scores must be 0 or more, got {n_scores}")
    return 1 / (n_scores + 1)


def can_promise(false_alarm_rate: float, n_scores: int) -> bool:
    """Whether a threshold from so many held-out normal scores can promise this rate, in (0, 1)."""
    return n_scores >= n_needed(DEFAULT_RULE, false_alarm_rate)


def false_alarms_per_day(false_alarm_rate: float, *, every_s: float) -> float:
    """Return how many normal clips a day are called anomalous.

    Parameters
    ----------
    false_alarm_rate
        Share of normal clips, 0 to 1.
    every_s
        Seconds from one judged clip to the next.

    Raises
    ------
    InputError
        A rate outside 0 to 1, or a time that is not positive.
    """
    if not 0 <= false_alarm_rate <= 1:
        raise InputError(f"a false-alarm rate must lie between 0 and 1, got {false_alarm_rate}")
    if not every_s > 0:
        raise InputError(f"the time between clips must be above 0 s, got {every_s}")
    return false_alarm_rate * DAY_S / every_s


def false_alarms_text(per_day: float) -> str:
    """Say in daily words how often a false alarm is to be expected: `about 3 false alarms a day`.

    Parameters
    ----------
    per_day
        As `false_alarms_per_day` gives it.
    """
    for period, days in _PERIODS:
        if (count := per_day * days) >= _FEW:
            return f"about {_rounded(count):,} false alarms a {period}"
    return "fewer than 2 false alarms a year"


def _rounded(count: float) -> int:
    """Round to a whole number, and to two digits where it has more."""
    whole = round(count)
    return whole if whole < _ROUNDED_FROM else int(float(f"{whole:.2g}"))
