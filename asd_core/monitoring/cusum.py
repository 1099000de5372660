"""CUSUM of p-values: many slightly unusual clips raise an alarm as few very unusual ones do.

Page's one-sided cumulative sum (E. S. Page 1954, Continuous inspection schemes, Biometrika 41) of `-ln p`, where p is
the conformal p-value of a clip's score among the held-out normal scores (Vovk, Gammerman and Shafer 2005). It needs
these scores, and no threshold.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from asd_core.errors import UsageError
from asd_core.monitoring.tallies import MAX_WINDOW, Counted, Tally

DEFAULT_K = 1.5
MAX_H = 1000.0


@dataclass(frozen=True)
class CusumRule:
    """`S = max(0, S - ln p - k)` at each clip; the alarm is raised at `S >= h`, and cleared at `S <= h / 2`.

    S never exceeds h, so that an alarm is cleared as soon after a fault of weeks as after one of minutes. For normal
    sound `-ln p` is 1 on average, or less: a k above 1 draws S to 0. If the p-values of normal clips were independent,
    h = 10 and k = 1.5 would give one false alarm in at least 340 clips, h = 20 one in at least 115,000
    (`least_clips_between`); neighbouring clips are not independent, so nothing is promised.

    Parameters
    ----------
    h
        Above 0.
    k
        Above 1.
    """

    h: float
    k: float = DEFAULT_K

    def __post_init__(self) -> None:
        if not 0 < self.h <= MAX_H or not 1 < self.k <= MAX_H:
            raise UsageError(
                f"a CUSUM alarm takes h above 0 and k above 1, at most {MAX_H:g}; got h = {self.h:g}, k = {self.k:g}"
            )

    @property
    def text(self) -> str:
        """What raises and clears the alarm."""
        return (
            f"raised when the sum of -ln p - {self.k:g} over the clips, never below 0, reaches {self.h:g}, and cleared "
            f"when it is back at {self.h / 2:g}; p is a clip's p-value among the held-out normal clips"
        )

    def to_json(self) -> dict[str, Any]:
        """Return its kind and its numbers."""
        return {"kind": "cusum", "h": self.h, "k": self.k}

    def tally(self) -> Tally:
        """Begin at S = 0."""
        return CusumTally(self)

    def check_reference(self, n_scores: int) -> None:
        """Refuse a k that no p-value from so many held-out scores can outweigh: S would stay at 0 for ever.

        Raises
        ------
        UsageError
            Too few held-out scores.
        """
        if math.log(n_scores + 1) > self.k:
            return
        needed = math.ceil(math.exp(self.k))
        raise UsageError(
            f"a CUSUM alarm with k = {self.k:g} needs at least {needed} held-out normal clips, the detector has "
            f"{n_scores}: train it on more normal clips"
        )


@dataclass
class CusumTally:
    """S, and what it was made of."""

    rule: CusumRule
    s: float = 0.0
    _steps: deque[tuple[str, float, float]] = field(default_factory=lambda: deque(maxlen=MAX_WINDOW))
    """Key, -ln p, and S before, of the newest clips."""

    def count(self, clip: Counted) -> bool:
        """Add a clip's -ln p."""
        if clip.p_value is None:
            return False
        self._add(clip.key, -math.log(clip.p_value))
        return True

    def take_back(self, key: str) -> None:
        """Go back to S before the clip, and on from there without it."""
        later: list[tuple[str, float]] = []
        if all(each != key for each, _, _ in self._steps):
            return
        while self._steps:
            own, step, self.s = self._steps.pop()
            if own == key:
                break
            later.append((own, step))
        for own, step in reversed(later):
            self._add(own, step)

    def stands(self, *, stood: bool) -> bool:
        """Whether S has reached h, or has not yet fallen to half of it."""
        return self.s > self.rule.h / 2 if stood else self.s >= self.rule.h

    @property
    def evidence(self) -> str:
        """How far S has come."""
        return f"CUSUM at {self.s:.1f} of {self.rule.h:g}"

    def _add(self, key: str, step: float) -> None:
        self._steps.append((key, step, self.s))
        self.s = min(self.rule.h, max(0.0, self.s + step - self.rule.k))


def least_clips_between(rule: CusumRule) -> float:
    """Return how many clips lie between false alarms at least, on average, if normal p-values were independent.

    `e^(c h)`, where c > 0 solves `e^(-c k) / (1 - c) = 1`: then `e^(c (-ln p - k))` is 1 on average for uniform p, and
    a maximum of its products starts anew at each clip (Lorden 1971; Shin, Ramdas and Rinaldo 2023, E-detectors).
    """
    low, high = 1e-9, 1.0 - 1e-12
    for _ in range(200):
        middle = (low + high) / 2
        if math.exp(-middle * rule.k) < 1 - middle:
            low = middle
        else:
            high = middle
    return math.exp(low * rule.h)
