"""Clips as points: over a plane of anomaly scores, against some figure, or two figures of each clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError
from asd_core.formats import score_text
from asd_core.reports.plots.look import ANOMALOUS_COLOUR, MARGIN, NEUTRAL_COLOUR, NORMAL_COLOUR, short_number
from asd_core.reports.plots.ticks import log_ticks, numbered
from asd_core.types import FloatArray

if TYPE_CHECKING:
    import altair as alt
    import plotly.graph_objects as go

_KIND_SHAPES = ("triangle-up", "diamond", "square", "cross", "triangle-down", "triangle-right", "triangle-left")


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


def clip_scatter(
    points: FloatArray,
    groups: Sequence[str],
    titles: Sequence[str],
    *,
    x_title: str,
    y_title: str,
    lines: tuple[float | None, float | None] = (None, None),
    log_axes: tuple[bool, bool] = (False, False),
    picked: int | None = None,
    height_px: int = 460,
) -> alt.LayerChart:
    """Draw one mark per clip with Altair; a click selects the nearest one (selection `clip`, field `row`).

    Parameters
    ----------
    points
        Shape (n_clips, 2), finite.
    groups
        `normal`, or any other word for anomalous clips: colour tells normal from anomalous, shape tells the words.
    titles
        For the tooltip.
    lines
        Where to draw a vertical and a horizontal line, such as two thresholds. They are always the first two layers
        and the ring is the last, drawn or not.
    log_axes
        For x and y; all values of that axis must be positive.
    picked
        Row of a clip to ring.
    """
    import altair as alt

    kinds = ["normal", *sorted(set(groups) - {"normal"})]
    shapes = ["circle", *(_KIND_SHAPES[row % len(_KIND_SHAPES)] for row in range(len(kinds) - 1))]
    colours = [NORMAL_COLOUR, *[ANOMALOUS_COLOUR] * (len(kinds) - 1)]
    rows = [
        {"row": row, "x": short_number(x), "y": short_number(y), "group": group, "clip": title}
        for row, ((x, y), group, title) in enumerate(zip(points.tolist(), groups, titles, strict=True))
    ]
    x, y = (
        channel(
            f"{axis}:Q",
            title=title,
            scale=alt.Scale(type="log" if is_log else "linear", zero=False, nice=False, padding=14),
        )
        for channel, axis, title, is_log in zip((alt.X, alt.Y), "xy", (x_title, y_title), log_axes, strict=True)
    )
    x_ticks, y_ticks = (
        _log_values(values) if is_log else {} for values, is_log in zip(points.T, log_axes, strict=True)
    )
    x.axis = alt.Axis(format="~r", tickCount=6, labelFlush=True, **x_ticks)
    y.axis = alt.Axis(format="~r", tickCount=6, **y_ticks)
    legend = alt.Legend(orient="bottom", columns=4)
    near = alt.selection_point(name="clip", fields=["row"], on="click", nearest=True, empty=False, toggle=False)
    marks = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_point(filled=True, size=55, opacity=0.7)
        .encode(
            x=x,
            y=y,
            color=alt.Color("group:N", title=None, scale=alt.Scale(domain=kinds, range=colours), legend=legend),
            shape=alt.Shape("group:N", title=None, scale=alt.Scale(domain=kinds, range=shapes), legend=legend),
            tooltip=[
                alt.Tooltip("clip:N"),
                alt.Tooltip("x:Q", title=in_expression(x_title), format=".4~g"),
                alt.Tooltip("y:Q", title=in_expression(y_title), format=".4~g"),
            ],
            description=alt.Description("clip:N"),
        )
        .add_params(near)
    )
    layers: list[Any] = [*_crosshair(lines), marks]
    ring = [rows[picked]] if picked is not None and picked < len(rows) else []
    layers.append(
        alt.Chart({"values": ring})
        .mark_point(filled=False, size=320, strokeWidth=3, color=NEUTRAL_COLOUR, shape="circle")
        .encode(x=x, y=y, description=alt.Description("clip:N"), tooltip=alt.Tooltip("clip:N"))
    )
    return alt.LayerChart(layer=layers, height=height_px)


def _log_values(values: FloatArray) -> dict[str, Any]:
    """The numbers of a logarithmic axis over these values; Vega's own would leave two of them."""
    low, high = float(values.min()), float(values.max())
    return {"values": log_ticks(low, high)} if high > low else {}


def line_row(axis: str, at: float) -> dict[str, Any]:
    """Return the data of a line of `clip_scatter`, axis `x` or `y`."""
    return {axis: at, "label": f"threshold {score_text(at)}"}


def in_expression(title: str) -> str:
    """Write a title so that it survives as a string in Vega's expression language, where tooltips put it.

    Vega puts titles of axes into the description of each mark as well, unless the mark has one of its own.
    """
    return title.replace("\\", "\\\\")


def _crosshair(lines: tuple[float | None, float | None]) -> list[Any]:
    import altair as alt

    drawn = []
    for axis, at in zip(("x", "y"), lines, strict=True):
        base = alt.Chart(alt.InlineData(values=[] if at is None else [line_row(axis, at)]))
        rule = base.mark_rule(color=NEUTRAL_COLOUR, strokeWidth=2, strokeDash=[6, 3])
        drawn.append(rule.encode(**{axis: f"{axis}:Q", "tooltip": "label:N"}))
    return drawn
