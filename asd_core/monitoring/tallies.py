"""What every rule for alarms is: words, and a tally of the clips that have been judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from asd_core.types import FloatArray

MAX_WINDOW = 1000
"""Most clips that a tally looks back on."""


@dataclass(frozen=True)
class Counted:
    """What a tally knows of a clip.

    Parameters
    ----------
    key
        Of its row (`WatchRow.key`).
    model
        Which version judged it: scores of another one are on another scale.
    verdict
        `normal`, `anomalous`, or empty where there is no threshold.
    p_value
        Conformal, see `conformal_p_value`; None where there are no held-out scores.
    """

    key: str
    model: str
    verdict: str
    anomaly_score: float | None
    p_value: float | None


class Tally(Protocol):
    """What a rule remembers of the clips so far; the same clips give the same state, also after a restart."""

    def count(self, clip: Counted) -> bool:
        """Take in the next clip; False where the rule has no use for it, so that nothing changes."""

    def take_back(self, key: str) -> None:
        """Forget a clip that had been judged before its file was whole; one of long ago stays."""

    def stands(self, *, stood: bool) -> bool:
        """Whether the alarm is on now, given whether it was on before the last clip."""

    @property
    def evidence(self) -> str:
        """What the alarm rests on now, in words."""


class Rule(Protocol):
    """When an alarm is raised and cleared."""

    @property
    def text(self) -> str:
        """What raises and clears the alarm, after 'an alarm is'."""

    def to_json(self) -> dict[str, Any]:
        """Return its kind and its numbers."""

    def tally(self) -> Tally:
        """Begin to count."""


def conformal_p_value(anomaly_score: float, reference: FloatArray) -> float:
    """Return how usual a score is among held-out normal ones: `(1 + number at least as high) / (n + 1)`.

    A new clip that is exchangeable with them has a p-value of at most `a` with probability at most `a` (Vovk, Gammerman
    and Shafer 2005, section 2.2).

    Parameters
    ----------
    reference
        Scores of held-out normal clips, ascending, shape (n,).
    """
    n = len(reference)
    return float(1 + n - np.searchsorted(reference, anomaly_score, side="left")) / (n + 1)
