"""Moving along a ROC: which point a threshold is, and which clips change class between two of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_core.evaluation.thresholds import is_anomalous
from asd_core.types import BoolArray, FloatArray


def point_of(thresholds: npt.ArrayLike, threshold: float) -> int:
    """Return the ROC point that decides every clip as a threshold does.

    Parameters
    ----------
    thresholds
        Shape (n_points,), falling from Inf: those of `asd_core.evaluation.metrics.roc_curve`.
    threshold
        Any number; it need not be one of them.
    """
    return int(is_anomalous(np.asarray(thresholds, dtype=np.float64)[1:], threshold).sum())


def flips(anomaly_scores: npt.ArrayLike, before: float, after: float) -> npt.NDArray[np.int64]:
    """Return the positions of clips that two thresholds decide differently, in order of falling score."""
    scores = np.asarray(anomaly_scores, dtype=np.float64)
    changed = np.flatnonzero(is_anomalous(scores, before) != is_anomalous(scores, after))
    return changed[np.argsort(-scores[changed], kind="stable")]


CELLS = ("false alarm", "miss", "true alarm", "true normal")


def cells(labels: BoolArray, anomaly_scores: FloatArray, threshold: float) -> npt.NDArray[np.str_]:
    """Name the cell of the confusion matrix that each clip falls in, one of `CELLS`, shape (n_clips,)."""
    alarms = is_anomalous(anomaly_scores, threshold)
    return np.select(
        [alarms & ~labels, ~alarms & labels, alarms & labels], ["false alarm", "miss", "true alarm"], "true normal"
    )


def share_below(reference_scores: npt.ArrayLike, anomaly_score: float) -> float | None:
    """Return the share of reference scores that lie below a score, or None without any."""
    reference = np.asarray(reference_scores, dtype=np.float64)
    return float((reference < anomaly_score).mean()) if reference.size else None


def threshold_at(thresholds: npt.ArrayLike, point: int) -> float:
    """Return a finite threshold for a ROC point; point 0 (no alarm) lies just above the highest score."""
    falling = np.asarray(thresholds, dtype=np.float64)
    return float(falling[point]) if point else float(np.nextafter(falling[1], np.inf))
