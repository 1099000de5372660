"""One scale for the scores of unlike detectors: 0.5 is the threshold, whatever the detector's own unit.

For showing only: nothing is decided on it, and a distance on it is no probability.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.types import FloatArray

AT_THRESHOLD = 0.5
_JUST_BELOW = np.nextafter(AT_THRESHOLD, 0.0)
_IQR_OF_NORMAL_DISTRIBUTION = 1.349
"""Interquartile range of a normal distribution, in standard deviations."""


def on_common_scale(anomaly_scores: npt.ArrayLike, *, threshold: float, normal_scores: npt.ArrayLike) -> FloatArray:
    """Place scores on the scale from 0 to 1 on which every detector's threshold is at 0.5.

    With d = score - threshold, the place is 0.5 + 0.5 d / (unit + abs(d)): it rises with the score, never quite
    reaches 0 or 1, and is 0.5 or more exactly where `is_anomalous` says so. The unit is the distance from the median
    held-out normal score up to the threshold, so that the median normal clip is at 0.25, and a clip that is as far
    above the threshold at 0.75. A score ten such distances above is at 0.95.

    Parameters
    ----------
    anomaly_scores
        Any shape, higher is stranger.
    threshold
        In the scores' unit.
    normal_scores
        Shape (n_clips,), those of held-out normal clips; may be empty. Where the threshold is nearer to their median
        than they spread (their interquartile range over 1.349), the unit is that spread; without any spread, it is the
        threshold's own size, or 1.

    Returns
    -------
    FloatArray
        Shape as given, within 0..1.

    Raises
    ------
    InputError
        A score or threshold that is not finite.
    """
    scores = np.asarray(anomaly_scores, dtype=np.float64)
    normal = np.asarray(normal_scores, dtype=np.float64)
    if not (np.isfinite(scores).all() and np.isfinite(normal).all() and np.isfinite(threshold)):
        raise InputError("scores and threshold must be finite numbers")
    unit = _unit(threshold, normal)
    # The same formula by side, each step of which rises or falls with the score after rounding, too.
    share = AT_THRESHOLD * (unit / (unit + np.abs(scores - threshold)))
    placed: FloatArray = np.where(is_anomalous(scores, threshold), 1.0 - share, np.minimum(share, _JUST_BELOW))
    return placed


def _unit(threshold: float, normal: FloatArray) -> float:
    if normal.size:
        low, median, high = np.quantile(normal, [0.25, 0.5, 0.75])
        unit = max(float(threshold - median), float(high - low) / _IQR_OF_NORMAL_DISTRIBUTION)
        if unit > 0:
            return unit
    return abs(threshold) or 1.0
