"""Scores of clips: histograms, boxes by machine id, planes and scatters, tables of rates."""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError
from asd_core.types import BoolArray, FloatArray

if TYPE_CHECKING:
    import altair as alt
    import plotly.graph_objects as go
from asd_core.reports.plots.look import (
    ANOMALOUS_COLOUR,
    MARGIN,
    NEUTRAL_COLOUR,
    NORMAL_COLOUR,
    finite_scores,
    short_number,
)

MAX_BOXED_CLIPS, MAX_OUTLIERS = 1500, 100
"""Clips of a class whose boxes show each of them; clips beyond either whisker that a larger class' boxes show."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of `score_plane` and `score_scatter`: shape (n, 2), with a CSS colour and a symbol of Plotly."""

    label: str
    points: FloatArray
    colour: str
    symbol: str = "circle"
    size: int = 8


@dataclass(frozen=True, eq=False)
class _Bins:
    """Edges of a histogram and what lies beyond them."""

    edges: FloatArray
    threshold: float | None
    remarks: tuple[str, ...] = field(default=())


def score_histogram(
    normal_scores: npt.ArrayLike,
    anomalous_scores: npt.ArrayLike,
    *,
    threshold: float | None = None,
    n_bins: int = 40,
    log_axis: bool = False,
    central_share: float = 0.99,
    height_px: int = 280,
) -> alt.LayerChart:
    """Draw the anomaly scores of both classes with Altair, the threshold as a vertical rule.

    Bars show the share of each class, so that 300 normal and 800 anomalous clips compare: normal clips upwards,
    anomalous ones downwards, since where they overlap neither may hide the other. Only the central share of all scores
    is drawn; the chart's subtitle states how many lie outside.

    Parameters
    ----------
    normal_scores, anomalous_scores
        Shape (n_clips,) each, higher is stranger; one of them may be empty.
    threshold
        Scores at or above it are anomalous; not drawn if it is None or infinite.
    log_axis
        Bins of equal ratio on a logarithmic axis; all scores must be positive.
    central_share
        Share of all scores that the axis must cover, from 0 to 1; the rest is cut off evenly at both ends.
    """
    import altair as alt

    classes = {"Normal": finite_scores(normal_scores), "Anomalous": finite_scores(anomalous_scores)}
    bins = _score_bins(classes, threshold, n_bins=n_bins, log_axis=log_axis, central_share=central_share)
    edges = bins.edges
    x_scale = alt.Scale(type="log" if log_axis else "linear", domain=[edges[0], edges[-1]], nice=False)
    x_axis = alt.Axis(format="~g", tickCount=8, labelFlush=True)
    base = alt.Chart({"values": _bar_rows(classes, edges)})
    x = alt.X("low:Q", title="Anomaly score (higher = more anomalous)", scale=x_scale, axis=x_axis)
    y = alt.Y(
        "drawn:Q",
        title="Share of the class",
        stack=None,
        axis=alt.Axis(labelExpr="format(abs(datum.value), '.0%')", tickCount=6),
        scale=alt.Scale(zero=True),
    )
    legend = alt.Legend(orient="bottom")
    colour = alt.Color(
        "class:N",
        title=None,
        scale=alt.Scale(domain=list(classes), range=[NORMAL_COLOUR, ANOMALOUS_COLOUR]),
        legend=legend,
    )
    bars = base.transform_filter("datum.high !== null").mark_bar(opacity=0.55)
    outline = base.mark_line(interpolate="step-after", strokeWidth=1.5)
    dash = alt.StrokeDash(
        "class:N", title=None, legend=legend, scale=alt.Scale(domain=list(classes), range=[[1, 0], [5, 2]])
    )
    layers: list[Any] = [
        bars.encode(
            x=x,
            x2="high:Q",
            y=y,
            y2=alt.datum(0),
            color=colour,
            tooltip=["class:N", alt.Tooltip("text:N", title="clips")],
        ),
        outline.encode(x=x, y=y, color=colour, strokeDash=dash),
    ]
    layers += _threshold_layers(bins.threshold)
    title = alt.Title(text="", subtitle=list(bins.remarks), anchor="start") if bins.remarks else alt.Undefined
    return alt.LayerChart(layer=layers, height=height_px, title=title)


def score_histogram_spec(
    normal_scores: npt.ArrayLike,
    anomalous_scores: npt.ArrayLike,
    *,
    threshold: float | None = None,
    n_bins: int = 40,
    log_axis: bool = False,
    central_share: float = 0.99,
    height_px: int = 280,
) -> dict[str, Any]:
    """Draw the same as `score_histogram` as a Vega-Lite specification, for pages that draw it anew at each move.

    Altair builds and checks the chart once, and numbers are put into it after that: its checks of one chart take
    longer than all else that a page does when a threshold moves.
    """
    classes = {"Normal": finite_scores(normal_scores), "Anomalous": finite_scores(anomalous_scores)}
    bins = _score_bins(classes, threshold, n_bins=n_bins, log_axis=log_axis, central_share=central_share)
    spec = deepcopy(_histogram_template(log_axis, height_px))
    shown = [] if bins.threshold is None else [_threshold_row(bins.threshold)]
    spec["datasets"] = {"bars": _bar_rows(classes, bins.edges), "threshold": shown}
    for layer, name in zip(spec["layer"], ("bars", "bars", "threshold", "threshold"), strict=True):
        layer["data"] = {"name": name}
    for layer in spec["layer"][:2]:
        layer["encoding"]["x"]["scale"]["domain"] = [float(bins.edges[0]), float(bins.edges[-1])]
    if bins.remarks:
        spec["title"] = {"text": "", "subtitle": list(bins.remarks), "anchor": "start"}
    return spec


@cache
def _histogram_template(log_axis: bool, height_px: int) -> dict[str, Any]:
    """The specification of a histogram whose numbers do not matter; never changed."""
    chart = score_histogram([1, 2], [1, 2], threshold=1.5, central_share=1.0, log_axis=log_axis, height_px=height_px)
    spec: dict[str, Any] = chart.to_dict()
    return spec


def histogram(
    classes: Mapping[str, npt.ArrayLike],
    colours: Sequence[str],
    *,
    x_title: str,
    n_bins: int = 30,
    height_px: int = 260,
) -> alt.Chart:
    """Draw how many values of each class fall in each of `n_bins` equal bins with Altair, classes stacked.

    Parameters
    ----------
    classes
        Name -> shape (n,), finite; at least one value in all.
    x_title
        With its unit.
    """
    import altair as alt

    values = {name: finite_scores(each) for name, each in classes.items()}
    pooled = np.concatenate(list(values.values())) if values else np.zeros(0)
    if pooled.size == 0:
        raise InputError("a histogram needs at least 1 value, got none")
    edges = np.histogram_bin_edges(pooled, bins=n_bins)
    rows, top = [], np.zeros(n_bins, dtype=np.int64)
    for name, each in values.items():
        counts = np.histogram(each, bins=edges)[0]
        rows += [
            {"class": name, "low": short_number(edges[i]), "high": short_number(edges[i + 1]), "clips": int(counts[i])}
            | {"from": int(top[i]), "to": int(top[i] + counts[i])}
            for i in range(n_bins)
        ]
        top = top + counts
    domain = [float(edges[0]), float(edges[-1])]
    bars: alt.Chart = (
        alt.Chart({"values": rows}, height=height_px)
        .mark_rect()
        .encode(
            x=alt.X(
                "low:Q",
                title=x_title,
                scale=alt.Scale(domain=domain, nice=False),
                axis=alt.Axis(tickCount=6, grid=False, labelFlush=True),
            ),
            x2="high:Q",
            y=alt.Y("from:Q", title="Clips", axis=alt.Axis(tickCount=5, format="d")),
            y2="to:Q",
            color=alt.Color(
                "class:N",
                title=None,
                scale=alt.Scale(domain=list(values), range=list(colours)),
                legend=alt.Legend(orient="bottom"),
            ),
            tooltip=["class:N", "clips:Q", "low:Q", "high:Q"],
        )
    )
    return bars


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
    return figure


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
    figure.update_yaxes(title_text="Anomaly score (higher = stranger)", zeroline=False)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(height=height_px, margin=MARGIN, legend=legend, hovermode="closest", showlegend=True)
    return figure


def _score_bins(
    classes: Mapping[str, FloatArray], threshold: float | None, *, n_bins: int, log_axis: bool, central_share: float
) -> _Bins:
    """Edges over the central scores; the threshold is taken in where that costs no more than half of the axis."""
    scores = np.concatenate(list(classes.values()))
    if scores.size == 0:
        raise InputError("a histogram needs at least 1 score, got none")
    if log_axis and scores.min() <= 0:
        raise InputError(f"a logarithmic axis needs positive scores, got {scores.min():.4g}; use the linear axis")
    tail = (1 - central_share) / 2
    low, high = (float(q) for q in np.quantile(_scaled(scores, log_axis), [tail, 1 - tail]))
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-12):
        low, high = low - 0.05 * (abs(low) or 1.0), high + 0.05 * (abs(high) or 1.0)
    drawable = threshold is not None and np.isfinite(threshold) and (threshold > 0 or not log_axis)
    at = float(_scaled(np.array([threshold]), log_axis)[0]) if drawable else low
    if low - (high - low) <= at <= high + (high - low):
        low, high = min(low, at), max(high, at)
    margin = 0.01 * (high - low)
    edges = np.linspace(low - margin, high + margin, n_bins + 1)
    edges = np.power(10.0, edges) if log_axis else edges
    shown = threshold if drawable and threshold is not None and edges[0] <= threshold <= edges[-1] else None
    return _Bins(edges, shown, _remarks(classes, edges, threshold, shown))


def _scaled(scores: FloatArray, log_axis: bool) -> FloatArray:
    return np.log10(scores) if log_axis else scores


def _remarks(
    classes: Mapping[str, FloatArray], edges: FloatArray, threshold: float | None, shown: float | None
) -> tuple[str, ...]:
    """Say in words what the axis does not show."""
    beyond: list[tuple[str, float, list[BoolArray]]] = [
        ("below", float(edges[0]), [scores < edges[0] for scores in classes.values()]),
        ("above", float(edges[-1]), [scores > edges[-1] for scores in classes.values()]),
    ]
    lines = []
    for side, edge, outside in beyond:
        counts = [f"{int(mask.sum()):,} {name.lower()}" for name, mask in zip(classes, outside, strict=True)]
        if any(mask.any() for mask in outside):
            lines.append(f"Not drawn {side} {edge:.4g}: {', '.join(counts)}")
    if threshold is not None and shown is None:
        lines.append(f"The threshold {threshold:.4g} lies outside the axis")
    return tuple(lines)


def _bar_rows(classes: Mapping[str, FloatArray], edges: FloatArray) -> list[dict[str, Any]]:
    """One row a class and bin, and one for the right end of each outline (`high` is None there)."""
    rows: list[dict[str, Any]] = []
    for (name, scores), side in zip(classes.items(), (1, -1), strict=True):
        if scores.size == 0:
            continue
        counts, _ = np.histogram(scores, bins=edges)
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
            share = 100 * count / scores.size
            text = f"{share:.1f} % ({count:,}/{scores.size:,}) from {low:.4g} to {high:.4g}"
            row = {
                "class": name,
                "low": short_number(low),
                "high": short_number(high),
                "share": short_number(share / 100),
                "drawn": short_number(side * share / 100),
                "text": text,
            }
            rows.append(row)
        rows.append(
            {"class": name, "low": short_number(edges[-1]), "high": None, "share": 0.0, "drawn": 0.0, "text": ""}
        )
    return rows


def _threshold_row(threshold: float) -> dict[str, Any]:
    return {"at": threshold, "label": f"threshold {threshold:.4g}"}


def _threshold_layers(threshold: float | None) -> list[Any]:
    import altair as alt

    if threshold is None:
        return []
    base = alt.Chart({"values": [_threshold_row(threshold)]})
    rule = base.mark_rule(color=NEUTRAL_COLOUR, strokeWidth=2, strokeDash=[6, 3]).encode(x="at:Q", tooltip="label:N")
    text = base.mark_text(color=NEUTRAL_COLOUR, align="center", baseline="bottom", dy=-4, fontWeight="bold")
    return [rule, text.encode(x="at:Q", y=alt.value(0), text="label:N")]


def scores_by_id(
    anomaly_scores: npt.ArrayLike,
    is_anomalous: npt.ArrayLike,
    machine_ids: Sequence[str],
    *,
    threshold: float | None = None,
    height_px: int = 340,
) -> go.Figure:
    """Draw each machine id's normal and anomalous scores as boxes with their clips: why pooled and per-id AUC differ.

    Of a class of more than `MAX_BOXED_CLIPS` the boxes' own figures are drawn, and the most extreme clips only.

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
    figure.update_xaxes(categoryorder="category ascending")
    return figure


def _clips_in_boxes(names: npt.NDArray[np.str_], scores: FloatArray) -> dict[str, Any]:
    return {"x": names.tolist(), "y": scores.astype(np.float32)}


def _summed_boxes(names: npt.NDArray[np.str_], scores: FloatArray) -> dict[str, Any]:
    """Boxes by their figures, and extreme clips; whiskers end at the farthest clip within 1.5 boxes (Tukey)."""
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


_KIND_SHAPES = ("triangle-up", "diamond", "square", "cross", "triangle-down", "triangle-right", "triangle-left")


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
    """Draw a mark a clip with Altair; a click selects the nearest one (selection `clip`, field `row`).

    Parameters
    ----------
    points
        Shape (n_clips, 2), finite.
    groups
        `normal`, or any other word for anomalous clips: colour tells normal from anomalous, shape tells the words.
    titles
        For the tooltip.
    lines
        Where a vertical and a horizontal line stand, such as two thresholds. They are the first two layers, the ring
        is the last, whether they are drawn or not.
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
    x.axis, y.axis = alt.Axis(format="~g", tickCount=6, labelFlush=True), alt.Axis(format="~g", tickCount=6)
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
                alt.Tooltip("x:Q", title=x_title, format=".4~g"),
                alt.Tooltip("y:Q", title=y_title, format=".4~g"),
            ],
        )
        .add_params(near)
    )
    layers: list[Any] = [*_crosshair(lines), marks]
    ring = [rows[picked]] if picked is not None and picked < len(rows) else []
    layers.append(
        alt.Chart({"values": ring})
        .mark_point(filled=False, size=320, strokeWidth=3, color=NEUTRAL_COLOUR, shape="circle")
        .encode(x=x, y=y)
    )
    return alt.LayerChart(layer=layers, height=height_px)


def line_row(axis: str, at: float) -> dict[str, Any]:
    """Return the data of a line of `clip_scatter`, axis `x` or `y`."""
    return {axis: at, "label": f"threshold {at:.4g}"}


def _crosshair(lines: tuple[float | None, float | None]) -> list[Any]:
    import altair as alt

    drawn = []
    for axis, at in zip(("x", "y"), lines, strict=True):
        base = alt.Chart(alt.InlineData(values=[] if at is None else [line_row(axis, at)]))
        rule = base.mark_rule(color=NEUTRAL_COLOUR, strokeWidth=2, strokeDash=[6, 3])
        drawn.append(rule.encode(**{axis: f"{axis}:Q", "tooltip": "label:N"}))
    return drawn


def rate_grid(
    methods: Sequence[str], cells: Sequence[tuple[int, str, int, int]], *, title: str, row_px: int = 44
) -> alt.LayerChart:
    """Draw shares as a coloured table with Altair: a row a method, a column a group, `k/n` in the cell.

    Parameters
    ----------
    methods
        Names of the rows; long ones are wrapped.
    cells
        (method's position, group, k, n) each.
    title
        What is counted.
    """
    import altair as alt

    groups = sorted({group for _, group, _, _ in cells})
    rows = [
        {
            "row": row,
            "column": groups.index(group),
            "method": methods[row],
            "group": group,
            "share": k / n if n else None,
            "text": f"{k}/{n}",
            "words": f"{100 * k / n:.1f} % ({k}/{n})" if n else "no clips",
        }
        for row, group, k, n in cells
    ]
    bare: dict[str, Any] = {"title": None, "domain": False, "ticks": False, "grid": False, "labelOverlap": False}
    x_axis = alt.Axis(orient="top", labelAngle=0, labelExpr=_wrapped(groups, 12), labelLimit=100, **bare)
    y_axis = alt.Axis(
        labelExpr=_wrapped(methods, 22), labelLimit=160, labelLineHeight=13, labelOffset=-6, labelPadding=6, **bare
    )
    tooltip = [
        alt.Tooltip("method:N", title="Method"),
        alt.Tooltip("group:N", title="Clips"),
        alt.Tooltip("words:N", title=title),
    ]
    base = alt.Chart({"values": rows}).encode(
        x=alt.X("column:O", axis=x_axis), y=alt.Y("row:O", axis=y_axis), tooltip=tooltip
    )
    colour = alt.Color("share:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None)
    boxes = base.mark_rect(stroke=NEUTRAL_COLOUR, strokeWidth=0.5).encode(color=colour)
    ink = alt.condition("datum.share > 0.68", alt.value("#FFFFFF"), alt.value("#16202C"))
    text = base.mark_text(fontSize=14).encode(text="text:N", color=ink)
    height_px = len(methods) * row_px + 80  # the title and the headings take their part of it
    return alt.LayerChart(layer=[boxes, text], height=height_px, title=alt.Title(title, anchor="start"))


def _wrapped(names: Sequence[str], width: int) -> str:
    """Vega expression that writes an axis' position as up to two lines of its name."""
    lines = [textwrap.wrap(name, width, max_lines=2, placeholder=" …") or [""] for name in names]
    return f"{json.dumps(lines)}[datum.value]"
