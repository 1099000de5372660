"""Colours, dash patterns and the few numbers that all figures share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError
from asd_core.types import FloatArray, MapUnit

NORMAL_COLOUR = "#0072B2"
"""Blue of Okabe and Ito (2008), for everything about normal clips."""


ANOMALOUS_COLOUR = "#D55E00"
"""Vermilion of Okabe and Ito (2008), for everything about anomalous clips."""


NEUTRAL_COLOUR = "#7B7F87"
"""Thresholds and reference lines: at least 4:1 on white and on the dark theme's background."""


DETECTOR_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "vggish_ocsvm": "#009E73",
        "lstm_predictor": "#CC79A7",
        "gru_autoencoder": "#56B4E9",
        "dcase_autoencoder": "#E69F00",
        "vggish_mahalanobis": "#999933",
        "vggish_knn": "#AA4499",
    }
)
"""Detector name -> colour (Okabe and Ito; the last two are Tol's), none of them the normal or the anomalous one."""


DETECTOR_DASHES: Mapping[str, str] = MappingProxyType(
    {
        "vggish_ocsvm": "solid",
        "lstm_predictor": "dash",
        "gru_autoencoder": "dot",
        "dcase_autoencoder": "dashdot",
        "vggish_mahalanobis": "longdash",
        "vggish_knn": "longdashdot",
    }
)
"""Detector name -> dash pattern of Plotly, so that curves differ by more than colour."""


DETECTOR_SYMBOLS: Mapping[str, str] = MappingProxyType(
    {
        "vggish_ocsvm": "square",
        "lstm_predictor": "circle",
        "gru_autoencoder": "diamond",
        "dcase_autoencoder": "cross",
        "vggish_mahalanobis": "triangle-up",
        "vggish_knn": "star",
    }
)
"""Detector name -> marker symbol of Plotly, the shape of its mark wherever one is drawn."""


DETECTOR_SHORT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "vggish_ocsvm": "SVM",
        "lstm_predictor": "LSTM",
        "gru_autoencoder": "GRU",
        "dcase_autoencoder": "Autoencoder",
        "vggish_mahalanobis": "Mahalanobis",
        "vggish_knn": "kNN",
    }
)
"""Detector name -> what chips, axes and legends with little room call it."""


IMPORTED_COLOURS = ("#A6761D", "#8172B3", "#6B8E9F")
"""Brown, violet and slate, for imported scores: none of them a detector's colour."""


IMPORTED_DASHES = ("3px,3px", "9px,3px", "9px,3px,2px,3px")
"""Dash patterns of Plotly that go with them."""


ENSEMBLE_COLOUR, ENSEMBLE_DASH = "#5A9E1B", "12px,3px,3px,3px,3px,3px"
"""Leaf green and a dash pattern of its own, for an ensemble of detectors."""


SPECTROGRAM_DB = (-75.0, -5.0)
"""One range in dB for every log-mel spectrogram, so that loud and quiet clips are comparable."""
MAP_TIMES_THRESHOLD = 12.0
"""The brightest colour of a map of squared errors, as a multiple of the threshold on its mean."""
MAP_NORMALS = 12.0
"""The brightest colour of a map that is measured against what is normal, in its unit: normal sound looks dark."""
MAP_LABELS: Mapping[MapUnit, str] = MappingProxyType(
    {
        "error": "squared error",
        "times_normal": "error as a multiple of what is normal in its band",
        "spreads": "error in normal spreads above what is normal in its band",
    }
)

MARGIN = {"l": 56, "r": 16, "t": 32, "b": 48}


def finite_scores(scores: npt.ArrayLike) -> FloatArray:
    """Return scores as float64, shape (n_clips,), or raise InputError where they are not finite numbers."""
    finite = np.asarray(scores, dtype=np.float64)
    if finite.ndim != 1 or not np.isfinite(finite).all():
        raise InputError(f"scores must be finite and of shape (n_clips,), got shape {finite.shape}")
    return finite


def short_number(number: float) -> float:
    """Six significant digits: enough for a pixel, half the payload."""
    return float(f"{number:.6g}")
