"""Scores of each machine id as boxes: why pooled and per-id figures differ."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asd_core.reports.plots.look import ANOMALOUS_COLOUR, MARGIN, NEUTRAL_COLOUR, NORMAL_COLOUR, finite_scores
from asd_core.reports.plots.ticks import numbered
from asd_core.types import FloatArray

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_BOXED_CLIPS, MAX_OUTLIERS = 1500, 100
"""A class of at most this many clips is drawn clip by clip; of a larger one, only so many beyond each whisker."""


def scores_by_id(
    anomaly_scores: npt.ArrayLike,
    is_anomalous: npt.ArrayLike,
    machine_ids: Sequence[str],
    *,
    threshold: float | None = None,
    height_px: int = 340,
) -> go.Figure:
    """Draw each machine id's normal and anomalous scores as boxes with their clips: why pooled and per-id AUC differ.

    A class of more than `MAX_BOXED_CLIPS` is drawn as its boxes' figures and its most extreme clips only.

    Parameters
    ----------
    anomaly_scores, is_anomalous, machine_ids
        Shape (n_clips,) each.
    threshold
        Drawn across all ids.
    """
    import plotly.graph_objects as go

    scores, labels = finite_scores(anomaly_scores), np.asarray(is_anomalous, dtype=np.bool_)
    names = np.array([html.escape(f"id {name}") for name in machine_ids])  # Plotly reads some HTML
    figure = go.Figure()
    for label, name, colour in ((False, "Normal", NORMAL_COLOUR), (True, "Anomalous", ANOMALOUS_COLOUR)):
        own = labels == label
        few = own.sum() <= MAX_BOXED_CLIPS
        figure.add_box(
            **(_clips_in_boxes if few else _summed_boxes)(names[own], scores[own]),
            name=name,
            marker={"color": colour, "size": 3, "symbol": "x-thin" if label else "circle", "line": {"width": 1}},
            boxpoints="all" if few else "outliers",
            jitter=0.5,
            pointpos=0,
            line={"width": 1.5, "color": colour},
            hoverinfo="y",
        )
    if threshold is not None:
        figure.add_hline(y=threshold, line={"color": NEUTRAL_COLOUR, "dash": "dash", "width": 1.5})
    figure.update_layout(boxmode="group", height=height_px, margin=MARGIN, legend={"orientation": "h", "y": 1.12})
    figure.update_yaxes(title="Anomaly score (higher = more anomalous)")
    figure.update_xaxes(title="Machine id", categoryorder="category ascending")
    return numbered(figure)


def _clips_in_boxes(names: npt.NDArray[np.str_], scores: FloatArray) -> dict[str, Any]:
    return {"x": names.tolist(), "y": scores.astype(np.float32)}


def _summed_boxes(names: npt.NDArray[np.str_], scores: FloatArray) -> dict[str, Any]:
    """Return boxes' figures and extreme clips; whiskers end at the farthest clip within 1.5 boxes (Tukey)."""
    boxes: dict[str, Any] = {"x": [], "q1": [], "median": [], "q3": [], "lowerfence": [], "upperfence": [], "y": []}
    for name in np.unique(names):
        own = np.sort(scores[names == name])
        low, middle, high = np.quantile(own, (0.25, 0.5, 0.75))
        reach = 1.5 * (high - low)
        inside = own[(own >= low - reach) & (own <= high + reach)]
        outside = np.concatenate([own[own < inside[0]][:MAX_OUTLIERS], own[own > inside[-1]][-MAX_OUTLIERS:]])
        figures = (str(name), low, middle, high, inside[0], inside[-1])
        for key, value in zip(list(boxes)[:-1], figures, strict=True):
            boxes[key].append(value if isinstance(value, str) else float(value))
        boxes["y"].append(outside.astype(np.float32).tolist())
    return boxes
