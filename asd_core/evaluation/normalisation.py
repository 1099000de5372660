"""Bringing the scores of several machine ids to one scale, from held-out normal clips alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from asd_core.errors import ThresholdError, UsageError
from asd_core.evaluation.metrics import clips_by_id
from asd_core.evaluation.thresholds import MIN_SCORES_PER_ID
from asd_core.types import FloatArray


def fit_id_scales(normal_scores: npt.ArrayLike, machine_ids: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return each id's mean and standard deviation (ddof 0) of held-out normal scores.

    Raises
    ------
    ThresholdError
        An id with fewer than 12 scores, or with equal ones.
    """
    scores = np.asarray(normal_scores, dtype=np.float64)
    scales = {}
    for name, rows in clips_by_id(machine_ids, n_clips=len(scores)).items():
        own = scores[rows]
        if len(own) < MIN_SCORES_PER_ID or not own.std() > 0:
            raise ThresholdError(
                f"id {name} has {len(own)} held-out normal scores (or equal ones): "
                f"per-id normalisation needs {MIN_SCORES_PER_ID} that differ"
            )
        scales[name] = (float(own.mean()), float(own.std()))
    return scales


def normalise_ids(
    anomaly_scores: npt.ArrayLike, machine_ids: Sequence[str], scales: Mapping[str, tuple[float, float]]
) -> FloatArray:
    """Return `(score - mean) / std` by each clip's id, shape (n_clips,); the ranking within an id stays.

    Raises
    ------
    UsageError
        An id without a scale.
    """
    if unknown := set(machine_ids) - set(scales):
        raise UsageError(f"id {sorted(unknown)[0]} has no held-out normal clips to normalise with")
    means = np.array([scales[name][0] for name in machine_ids], dtype=np.float64)
    stds = np.array([scales[name][1] for name in machine_ids], dtype=np.float64)
    return np.asarray((np.asarray(anomaly_scores, dtype=np.float64) - means) / stds, dtype=np.float64)
