"""Clips as points: over a plane of anomaly scores, or against some figure; the shapes of kinds of anomalies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError
from asd_core.reports.plots.look import MARGIN, NEUTRAL_COLOUR
from asd_core.reports.plots.ticks import numbered
from asd_core.types import FloatArray

if TYPE_CHECKING:
    import plotly.graph_objects as go

KIND_SHAPES = ("triangle-up", "diamond", "square", "cross", "triangle-down", "triangle-right", "triangle-left")
"""Marks of anomalous clips, by kind in sorted order."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of `score_plane` and `score_scatter`: shape (n, 2), with a CSS colour and a symbol of Plotly."""

    label: str
    points: FloatArray
    colour: str
    symbol: str = "circle"
    size: int = 8


def score_plane(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    anomaly_scores: npt.ArrayLike,
    clouds: Sequence[Cloud],
    *,
    x_title: str,
    y_title: str,
    height_px: int = 540,
) -> go.Figure:
    """Draw a plane's anomaly scores as shades, the one-class boundary (score 0) as a line, and points, with Plotly.

    Parameters
    ----------
    x, y
        Shape (n_x,) and (n_y,): the grid.
    anomaly_scores
        Shape (n_y, n_x), higher is stranger.
    """
    import plotly.graph_objects as go

    across, up = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)
    scores = np.asarray(anomaly_scores, dtype=np.float32)
    if scores.shape != (up.size, across.size):
        raise InputError(f"scores must have shape {(up.size, across.size)}, got {scores.shape}")
    bar = {"title": {"text": "Anomaly score", "side": "top"}, "thickness": 10, "orientation": "h", "y": -0.16}
    bar |= {"yanchor": "top", "len": 0.6}
    hover = "score %{z:.3g}<extra></extra>"
    figure = go.Figure(go.Heatmap(x=across, y=up, z=scores, colorscale="Cividis", colorbar=bar, hovertemplate=hover))
    if scores.min() < 0 < scores.max():
        line = {"color": "#FFFFFF", "width": 2.5}
        contours = {"start": 0, "end": 0, "size": 1, "coloring": "none"}
        figure.add_contour(
            x=across, y=up, z=scores, contours=contours, line=line, showscale=False, hoverinfo="skip", showlegend=False
        )
    for cloud in clouds:
        figure.add_scatter(
            x=cloud.points[:, 0],
            y=cloud.points[:, 1],
            mode="markers",
            name=cloud.label,
            marker={
                "color": cloud.colour,
                "symbol": cloud.symbol,
                "size": cloud.size,
                "line": {"width": 1, "color": "#FFFFFF"},
            },
            hovertemplate="%{x:.1f}, %{y:.1f}",
        )
    figure.update_xaxes(title_text=x_title, showgrid=False, zeroline=False, range=[across[0], across[-1]])
    figure.update_yaxes(title_text=y_title, showgrid=False, zeroline=False, range=[up[0], up[-1]])
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(height=height_px, margin=MARGIN, legend=legend, hovermode="closest")
    return numbered(figure)


def score_scatter(
    clouds: Sequence[Cloud],
    *,
    x_title: str,
    rules: Mapping[str, float] = MappingProxyType({}),
    height_px: int = 300,
) -> go.Figure:
    """Draw clouds of (some figure, anomaly score) with Plotly; `rules` are text -> height of a dashed line."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for text, height in rules.items():
        figure.add_hline(
            y=height, line={"color": NEUTRAL_COLOUR, "dash": "dash", "width": 1.5}, annotation={"text": text}
        )
    for cloud in clouds:
        figure.add_scatter(
            x=cloud.points[:, 0],
            y=cloud.points[:, 1],
            mode="markers",
            name=cloud.label,
            marker={"color": cloud.colour, "symbol": cloud.symbol, "size": cloud.size},
            hovertemplate="%{x:.3g}, score %{y:.3g}",
        )
    figure.update_xaxes(title_text=x_title, zeroline=False)
    figure.update_yaxes(title_text="Anomaly score (higher = more anomalous)", zeroline=False)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(height=height_px, margin=MARGIN, legend=legend, hovermode="closest", showlegend=True)
    return numbered(figure)
