"""Scores and labels as every figure needs them: checked once, then plain arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError, UndefinedMetricError
from asd_core.types import BoolArray, FloatArray


def checked_scores(anomaly_scores: npt.ArrayLike) -> FloatArray:
    """Return the scores as float64, shape (n,), after checking that they are finite numbers.

    Raises
    ------
    InputError
        Not numbers, not one-dimensional, or NaN or Inf among them.
    """
    scores = np.asarray(anomaly_scores)
    if scores.ndim != 1:
        raise InputError(f"anomaly scores must have shape (n,), got {scores.shape}")
    if scores.dtype.kind not in "fiu":
        if scores.size:
            raise InputError(f"anomaly scores must be numbers, got an array of {scores.dtype}")
        return np.empty(0)
    finite = np.isfinite(scores)
    if not finite.all():
        raise InputError(f"anomaly scores must be finite, got {scores[~finite][0]} at position {finite.argmin()}")
    return scores.astype(np.float64)


def checked_labelled(is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike) -> tuple[BoolArray, FloatArray]:
    """Return labels (bool) and scores (float64), both of shape (n,), after the checks every figure needs.

    Raises
    ------
    InputError
        Labels other than True/False or 0/1, another number of labels than scores, or a score that is not finite.
    """
    scores = checked_scores(anomaly_scores)
    labels = np.asarray(is_anomalous)
    if labels.shape != scores.shape:
        raise InputError(f"labels and scores must have one shape, got {labels.shape} and {scores.shape}")
    if labels.dtype.kind not in "biu" and labels.size:
        raise InputError(f"labels must be True (anomalous) or False (normal), got an array of {labels.dtype}")
    if not np.isin(labels, (0, 1)).all():
        raise InputError("labels must be True (anomalous) or False (normal), got other numbers")
    return labels.astype(np.bool_), scores


def checked_both_classes(is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike) -> tuple[BoolArray, FloatArray]:
    """Return `checked_labelled`, and insist on at least one clip of each class.

    Raises
    ------
    InputError
        See `checked_labelled`.
    UndefinedMetricError
        No clips, or only one class.
    """
    labels, scores = checked_labelled(is_anomalous, anomaly_scores)
    if not len(labels):
        raise UndefinedMetricError("not defined: there are no clips")
    if labels.all():
        raise UndefinedMetricError(f"not defined: all {len(labels)} clips are anomalous, none is normal")
    if not labels.any():
        raise UndefinedMetricError(f"not defined: all {len(labels)} clips are normal, none is anomalous")
    return labels, scores
