"""How good a detector is, in words that need no statistics: so many of 100 faults, at so many false alarms in 100."""

from __future__ import annotations

from dataclasses import dataclass

from asd_core.errors import InputError
from asd_core.evaluation.operating import operating_points
from asd_core.evaluation.scores import Scores
from asd_core.formats import counted

STATED_RATE = 0.05
"""The false-alarm rate at which detectors are described unless another one is asked for."""
_ENOUGH = 100
"""From so many clips of each class a share is said per 100; fewer are counted as they are."""


@dataclass(frozen=True)
class FaultsFound:
    """What one threshold for all clips would find, at a stated rate of false alarms.

    Parameters
    ----------
    n_found, n_anomalous
        Anomalous clips at or above that threshold, and all.
    n_false_alarms, n_normal
        Normal clips at or above it, and all.
    """

    n_found: int
    n_anomalous: int
    n_false_alarms: int
    n_normal: int

    @property
    def text(self) -> str:
        """In words: `finds 83 of 100 faults at 5 false alarms in 100`; the plain counts where clips are few."""
        if min(self.n_anomalous, self.n_normal) < _ENOUGH:
            return f"finds {self.counts}"
        found, false = (
            f"{100 * part / whole:.0f}"
            for part, whole in ((self.n_found, self.n_anomalous), (self.n_false_alarms, self.n_normal))
        )
        return f"finds {found} of 100 faults at {counted(int(false), 'false alarm')} in 100"

    @property
    def counts(self) -> str:
        """The counts behind the words: `124 of 150 anomalous clips, with 7 false alarms on 150 normal`."""
        found = f"{self.n_found:,} of {counted(self.n_anomalous, 'anomalous clip')}"
        return f"{found}, with {counted(self.n_false_alarms, 'false alarm')} on {self.n_normal:,} normal"


def faults_found(scores: Scores, *, false_alarm_rate: float = STATED_RATE) -> FaultsFound | None:
    """Read off the ROC how many anomalous clips are found where at most this share of the normal ones raises an alarm.

    The threshold behind it is chosen on the very clips that it is judged by, so it is a description, not a promise.

    Parameters
    ----------
    scores
        Of test clips; unlabelled ones are left out.
    false_alarm_rate
        From 0 to below 1.

    Returns
    -------
    FaultsFound or None
        None where the labelled clips are not of both classes.

    Raises
    ------
    InputError
        A rate out of range.
    """
    if not 0 <= false_alarm_rate < 1:
        raise InputError(f"a false-alarm rate must be from 0 to below 1, got {false_alarm_rate}")
    labelled = scores.labelled()
    is_anomalous = labelled.is_anomalous
    if not is_anomalous.any() or is_anomalous.all():
        return None
    points = operating_points(is_anomalous, labelled.anomaly_scores)
    allowed = points.false_positives <= false_alarm_rate * points.n_normal + 1e-9
    at = int(allowed.nonzero()[0][-1])
    return FaultsFound(
        int(points.true_positives[at]), points.n_anomalous, int(points.false_positives[at]), points.n_normal
    )
