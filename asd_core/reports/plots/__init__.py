"""Arrays in, figures out: envelopes, heatmap pictures, histograms, ROC overlays and learning curves.

Nothing here knows of detectors, files or pages. Text and grid colours are left to the page's theme; only marks
that carry a meaning have a colour of their own. Plotly and Altair are imported where used.
"""

from __future__ import annotations

from asd_core.reports.plots.boxes import scores_by_id
from asd_core.reports.plots.curves import (
    LOG_TICKS_HZ,
    Line,
    RocCurve,
    band_figure,
    det_figure,
    learning_curves,
    lines_chart,
    roc_overlay,
    spec_of,
)
from asd_core.reports.plots.histograms import histogram, score_edges, score_histogram
from asd_core.reports.plots.look import (
    ANOMALOUS_COLOUR,
    DETECTOR_COLOURS,
    DETECTOR_DASHES,
    DETECTOR_SHORT_NAMES,
    DETECTOR_SYMBOLS,
    ENSEMBLE_COLOUR,
    ENSEMBLE_DASH,
    IMPORTED_COLOURS,
    IMPORTED_DASHES,
    MAP_LABELS,
    MAP_TIMES_THRESHOLD,
    NEUTRAL_COLOUR,
    NORMAL_COLOUR,
    SPECTROGRAM_DB,
)
from asd_core.reports.plots.pictures import (
    PALETTES,
    cells_picture,
    frequency_ticks,
    heatmap_png,
    map_limit,
    palette_stops,
    small_heatmap_png,
    waveform_envelope,
    waveform_figure,
)
from asd_core.reports.plots.scatters import KIND_SHAPES, Cloud, score_plane, score_scatter
from asd_core.reports.plots.thinning import MAX_CURVE_POINTS, MAX_MARKS, along_curve, seen_marks
from asd_core.reports.plots.timeline import TimelinePoint, score_timeline

__all__ = [
    "ANOMALOUS_COLOUR",
    "DETECTOR_COLOURS",
    "DETECTOR_DASHES",
    "DETECTOR_SHORT_NAMES",
    "DETECTOR_SYMBOLS",
    "ENSEMBLE_COLOUR",
    "ENSEMBLE_DASH",
    "IMPORTED_COLOURS",
    "IMPORTED_DASHES",
    "KIND_SHAPES",
    "LOG_TICKS_HZ",
    "MAP_LABELS",
    "MAP_TIMES_THRESHOLD",
    "MAX_CURVE_POINTS",
    "MAX_MARKS",
    "NEUTRAL_COLOUR",
    "NORMAL_COLOUR",
    "PALETTES",
    "SPECTROGRAM_DB",
    "Cloud",
    "Line",
    "RocCurve",
    "TimelinePoint",
    "along_curve",
    "band_figure",
    "cells_picture",
    "det_figure",
    "frequency_ticks",
    "heatmap_png",
    "histogram",
    "learning_curves",
    "lines_chart",
    "map_limit",
    "palette_stops",
    "roc_overlay",
    "score_edges",
    "score_histogram",
    "score_plane",
    "score_scatter",
    "score_timeline",
    "scores_by_id",
    "seen_marks",
    "small_heatmap_png",
    "spec_of",
    "waveform_envelope",
    "waveform_figure",
]
