"""Arrays in, figures out: envelopes, heatmap pictures, histograms, ROC overlays and learning curves.

Nothing here knows of detectors, files or pages. Text and grid colours are left to the page's theme; only marks
that carry a meaning have a colour of their own. Plotly and Altair are imported where used.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from asd_core.errors import InputError
from asd_core.types import BoolArray, Float32Array, FloatArray

if TYPE_CHECKING:
    import altair as alt
    import plotly.graph_objects as go

NORMAL_COLOUR = "#0072B2"
"""Blue of Okabe and Ito (2008), for whatever belongs to normal clips."""
ANOMALOUS_COLOUR = "#D55E00"
"""Vermilion of Okabe and Ito (2008), for whatever belongs to anomalous clips."""
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

IMPORTED_COLOURS = ("#A6761D", "#8172B3", "#6B8E9F")
"""Brown, violet and slate, for scores of other methods: none of them a detector's colour."""

IMPORTED_DASHES = ("3px,3px", "9px,3px", "9px,3px,2px,3px")
"""Dash patterns of Plotly that go with them."""

PALETTES = ("viridis", "cividis", "magma")
"""Palettes for heatmaps: even in lightness, safe for colour-blind readers."""

LOG_TICKS_HZ = (20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Marks of a logarithmic frequency axis."""

_LEARNING_COLOURS = {"training": "#009E73", "validation": "#CC79A7"}
_MARGIN = {"l": 56, "r": 16, "t": 32, "b": 48}


@dataclass(frozen=True, eq=False)
class RocCurve:
    """One detector's ROC as drawn by `roc_overlay`.

    Parameters
    ----------
    label
        For the legend; say the AUC here.
    false_positive_rate, true_positive_rate
        Shape (n_points,), each from 0 to 1, in order of falling threshold.
    colour, dash
        A CSS colour and a dash pattern of Plotly.
    point
        (FPR, TPR) of an operating point to mark, if any.
    band
        Rates and the lowest and highest TPR at them, shape (n_grid,) each, shaded behind the curve, if any.
    """

    label: str
    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    colour: str
    dash: str = "solid"
    point: tuple[float, float] | None = None
    band: tuple[FloatArray, FloatArray, FloatArray] | None = None


@dataclass(frozen=True, eq=False)
class Line:
    """One line of `lines_chart`.

    Parameters
    ----------
    label
        For the legend; drawn as text, whatever it holds.
    values
        Shape (n,), as long as the axis; what is not finite is left out.
    colour
        A CSS colour.
    dash
        Lengths of dash and gap; None is solid.
    low, high
        Edges of a band around the line, shape (n,) each.
    """

    label: str
    values: FloatArray
    colour: str
    dash: tuple[int, int] | None = None
    low: FloatArray | None = None
    high: FloatArray | None = None


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


def waveform_envelope(samples: npt.ArrayLike, *, n_points: int = 2000) -> tuple[Float32Array, Float32Array]:
    """Smallest and largest sample of each of `n_points` equal stretches of a signal.

    Parameters
    ----------
    samples
        Shape (n_samples,), full scale is 1.
    n_points
        Number of stretches; a shorter signal has one for each sample.

    Returns
    -------
    lowest, highest
        Each of shape (min(n_points, n_samples),), float32.
    """
    signal = np.asarray(samples, dtype=np.float32)
    if signal.ndim != 1 or signal.size == 0:
        raise InputError(f"a waveform must have shape (n_samples,) with at least 1 sample, got {signal.shape}")
    if n_points < 1:
        raise InputError(f"an envelope needs at least 1 point, got {n_points}")
    n = min(n_points, signal.size)
    starts = np.arange(n) * signal.size // n
    return np.minimum.reduceat(signal, starts), np.maximum.reduceat(signal, starts)


def waveform_figure(
    samples: npt.ArrayLike, sr: int, *, colour: str = NORMAL_COLOUR, n_points: int = 2000, height_px: int = 160
) -> go.Figure:
    """Draw a waveform's envelope over time with Plotly; about 30 kB at 2000 points. Full scale is 1.

    Parameters
    ----------
    samples
        Shape (n_samples,), full scale is 1.
    sr
        Sampling rate in Hz.
    """
    import plotly.graph_objects as go

    lowest, highest = waveform_envelope(samples, n_points=n_points)
    step_s = np.size(samples) / sr / lowest.size
    shared: dict[str, Any] = {
        "x0": step_s / 2,
        "dx": step_s,
        "mode": "lines",
        "line": {"width": 1, "color": colour},
        "showlegend": False,
    }
    figure = go.Figure()
    figure.add_scatter(y=lowest, hoverinfo="skip", **shared)
    figure.add_scatter(
        y=highest, fill="tonexty", fillcolor=colour, hovertemplate="%{x:.2f} s: %{y:.3f}<extra></extra>", **shared
    )
    figure.update_xaxes(title_text="Time (s)", range=[0, np.size(samples) / sr], showgrid=False)
    figure.update_yaxes(title_text="Amplitude", zeroline=True)
    figure.update_layout(height=height_px, margin={**_MARGIN, "t": 8})
    return figure


def palette_stops(palette: str = "viridis") -> tuple[str, ...]:
    """Evenly spaced colours of a palette from low to high, as CSS hex colours."""
    from plotly.colors import sequential

    if palette not in PALETTES:
        raise InputError(f"palette must be one of {', '.join(PALETTES)}, got {palette!r}")
    return tuple(_hex_colour(stop) for stop in getattr(sequential, palette.capitalize()))


def heatmap_png(
    values: npt.ArrayLike,
    *,
    low: float,
    high: float,
    palette: str = "viridis",
    height_px: int | None = None,
) -> bytes:
    """PNG of a map over time and frequency: time to the right, low bands at the bottom.

    One pixel a step and, unless `height_px` asks for more, one pixel a band: browsers scale it without loss of
    position. Values that are not finite are drawn like `low` (NaN, -inf) or `high` (+inf).

    Parameters
    ----------
    values
        Shape (n_steps, n_bands), any unit; one band gives a strip.
    low, high
        Values drawn in the first and last colour; everything beyond is clipped.
    palette
        One of `PALETTES`.
    height_px
        Height of the picture; a band is repeated over whole rows.
    """
    cells = np.asarray(values, dtype=np.float64)
    if cells.ndim != 2 or cells.size == 0:
        raise InputError(f"a heatmap needs shape (n_steps, n_bands), none of them 0, got {cells.shape}")
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise InputError(f"a heatmap needs finite limits with low <= high, got {low} and {high}")
    span = high - low or 1.0
    levels = np.nan_to_num((cells - low) / span, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1) * 255
    rows = np.round(levels).astype(np.uint8).T[::-1]  # (n_bands, n_steps), top row = highest band
    if height_px is not None:
        rows = rows[np.arange(height_px) * len(rows) // height_px]
    picture = Image.fromarray(np.ascontiguousarray(rows))
    picture.putpalette(_lookup_table(palette).tobytes())
    png = io.BytesIO()
    picture.save(png, format="PNG", optimize=False)
    return png.getvalue()


def frequency_ticks(
    bands_hz: npt.ArrayLike, *, ticks_hz: Sequence[float] = (250, 500, 1000, 2000, 4000)
) -> tuple[tuple[float, str], ...]:
    """Where round frequencies lie on a picture of bands.

    Parameters
    ----------
    bands_hz
        Shape (n_bands,): rising centre frequencies in Hz.
    ticks_hz
        Frequencies to mark; those outside the bands are left out.

    Returns
    -------
    tuple of (relative position, text)
        Position from 0 (bottom edge) to 1 (top edge); text such as `500 Hz` or `2 kHz`.
    """
    centres = np.asarray(bands_hz, dtype=np.float64)
    positions = (np.arange(centres.size) + 0.5) / centres.size
    inside = [hz for hz in ticks_hz if centres[0] <= hz <= centres[-1]]
    return tuple((float(np.interp(hz, centres, positions)), _frequency_text(hz)) for hz in inside)


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

    Bars show the share of each class, so that 300 normal and 800 anomalous clips compare. Only the central share
    of all scores is drawn; the chart's subtitle states how many lie outside.

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

    classes = {"Normal": _finite_scores(normal_scores), "Anomalous": _finite_scores(anomalous_scores)}
    bins = _score_bins(classes, threshold, n_bins=n_bins, log_axis=log_axis, central_share=central_share)
    edges = bins.edges
    x_scale = alt.Scale(type="log" if log_axis else "linear", domain=[edges[0], edges[-1]], nice=False)
    x_axis = alt.Axis(format="~g", tickCount=8, labelFlush=True)
    base = alt.Chart({"values": _bar_rows(classes, edges)})
    x = alt.X("low:Q", title="Anomaly score (higher = more anomalous)", scale=x_scale, axis=x_axis)
    y = alt.Y(
        "share:Q",
        title="Share of the class",
        stack=None,
        axis=alt.Axis(format=".0%", tickCount=5),
        scale=alt.Scale(zero=True),
    )
    legend = alt.Legend(orient="bottom")
    colour = alt.Color(
        "class:N",
        title=None,
        scale=alt.Scale(domain=list(classes), range=[NORMAL_COLOUR, ANOMALOUS_COLOUR]),
        legend=legend,
    )
    bars = base.transform_filter("datum.high !== null").mark_bar(opacity=0.4)
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


def roc_overlay(curves: Sequence[RocCurve], *, max_fpr: float | None = 0.1, height_px: int = 460) -> go.Figure:
    """Draw several ROC curves on one Plotly square, chance as the diagonal.

    Parameters
    ----------
    curves
        Drawn in this order; the last lies on top.
    max_fpr
        Right end of the lightly shaded band that the partial AUC looks at; None for no band.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    if max_fpr is not None:
        figure.add_vrect(x0=0, x1=max_fpr, fillcolor=NEUTRAL_COLOUR, opacity=0.14, line_width=0, layer="below")
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": NEUTRAL_COLOUR, "width": 1, "dash": "dot"},
        name="chance",
        hoverinfo="skip",
    )
    for curve in curves:
        if curve.band is not None:
            _add_band(figure, curve, *curve.band)
    for curve in curves:
        _add_curve(figure, curve)
    percent = {"tickformat": ".0%", "dtick": 0.2, "zeroline": False}
    figure.update_xaxes(title_text="False-positive rate", range=[-0.01, 1.01], constrain="domain", **percent)
    figure.update_yaxes(title_text="True-positive rate", range=[-0.01, 1.01], scaleanchor="x", **percent)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    figure.update_layout(height=height_px, margin=_MARGIN, legend=legend, hovermode="closest")
    return figure


def learning_curves(
    losses: Mapping[str, Sequence[float]], *, log_axis: bool = False, unit: str = "MSE", height_px: int = 280
) -> go.Figure:
    """Draw losses over epochs with Plotly, one line for each name.

    Parameters
    ----------
    losses
        Name ("training", "validation") -> loss of epoch 1, 2, ...; lines may differ in length.
    log_axis
        Losses on a logarithmic axis.
    unit
        What the loss is, for the axis.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, values in losses.items():
        figure.add_scatter(
            x=list(range(1, len(values) + 1)),
            y=[float(value) for value in values],
            name=name,
            mode="lines+markers",
            line={"color": _LEARNING_COLOURS.get(name), "dash": "dash" if name == "validation" else "solid"},
            marker={"size": 6, "symbol": "diamond" if name == "validation" else "circle"},
            hovertemplate="epoch %{x}: %{y:.4g}",
        )
    n_epochs = max((len(values) for values in losses.values()), default=1)
    figure.update_xaxes(title_text="Epoch", range=[0.5, n_epochs + 0.5], tickformat="d", nticks=12)
    figure.update_yaxes(title_text=f"Loss ({unit})", type="log" if log_axis else "linear", exponentformat="power")
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(height=height_px, margin=_MARGIN, legend=legend, hovermode="x unified", showlegend=True)
    return figure


def lines_chart(
    x: npt.ArrayLike,
    lines: Sequence[Line],
    *,
    x_title: str,
    y_title: str,
    log_x: bool = False,
    zero: bool = False,
    rules: Mapping[str, float] = MappingProxyType({}),
    marked_x: float | None = None,
    height_px: int = 300,
) -> alt.LayerChart:
    """Draw lines, with bands where they have them, over one axis with Altair.

    Parameters
    ----------
    x
        Shape (n,), rising; positive where `log_x`.
    x_title, y_title
        With units.
    zero
        Whether the y axis must begin at 0.
    rules
        Text -> height of a dashed horizontal line.
    marked_x
        Where to put a vertical line, if anywhere.
    """
    import altair as alt

    at = np.asarray(x, dtype=np.float64)
    if not lines or at.size == 0 or any(np.shape(line.values) != at.shape for line in lines):
        raise InputError(f"every line must have the axis' shape {at.shape}, and there must be one")
    x_axis = alt.X(
        "x:Q",
        title=x_title,
        scale=alt.Scale(type="log" if log_x else "linear", domain=[float(at[0]), float(at[-1])], nice=False),
        axis=alt.Axis(
            format="~s",
            tickCount=8,
            values=list(LOG_TICKS_HZ) if log_x else alt.Undefined,
            grid=False,
            labelFlush=True,
            labelOverlap=True,
        ),
    )
    y_axis = alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=zero), axis=alt.Axis(tickCount=5))
    labels = [line.label for line in lines]
    columns = 1 if max(map(len, labels)) > 24 else 2
    legend = alt.Legend(orient="bottom", columns=columns, labelLimit=300, symbolType="stroke", symbolOpacity=1)
    shown = legend if len(lines) > 1 else None
    colour = alt.Color(
        "label:N", title=None, legend=shown, scale=alt.Scale(domain=labels, range=[line.colour for line in lines])
    )
    dash = alt.StrokeDash(
        "label:N",
        title=None,
        legend=shown,
        scale=alt.Scale(domain=labels, range=[list(line.dash or (1, 0)) for line in lines]),
    )
    base = alt.Chart({"values": [row for line in lines for row in _line_rows(at, line)]})
    layers: list[Any] = []
    if any(line.low is not None for line in lines):
        bands = base.transform_filter("isValid(datum.low)").mark_area(opacity=0.2)
        layers.append(bands.encode(x=x_axis, y=alt.Y("low:Q", title=y_title), y2="high:Q", color=colour))
    tooltip = [alt.Tooltip("label:N"), alt.Tooltip("x:Q", title=x_title), alt.Tooltip("y:Q", title=y_title)]
    drawn = base.mark_line(strokeWidth=1.75, tooltip=True)
    layers.append(drawn.encode(x=x_axis, y=y_axis, color=colour, strokeDash=dash, tooltip=tooltip))
    layers += _rule_layers(rules, span=(float(at[0]), float(at[-1])))
    if marked_x is not None:
        mark = alt.Chart({"values": [{"x": float(marked_x)}]}).mark_rule(color=NEUTRAL_COLOUR, strokeWidth=2)
        layers.append(mark.encode(x="x:Q"))
    return alt.LayerChart(layer=layers, height=height_px)


def cells_picture(
    columns: Sequence[tuple[str, FloatArray | None]],
    *,
    low: float,
    high: float,
    x_title: str,
    y_title: str,
    value_title: str,
    palette: str = "viridis",
    y_ticks: Sequence[tuple[float, str]] = (),
    height_px: int = 260,
) -> alt.Chart:
    """Draw a few columns of numbers as coloured cells with Altair, the first number at the bottom.

    Parameters
    ----------
    columns
        Distinct name -> shape (n_rows,), in order; None leaves a gap.
    low, high
        Values drawn in the first and last colour; everything beyond is clipped.
    y_ticks
        (relative position from 0 = bottom to 1 = top, text); without any, rows are counted from 1.
    """
    import altair as alt

    stops = list(palette_stops(palette))
    names = [name for name, _ in columns]
    filled = [(name, np.asarray(values, dtype=np.float64)) for name, values in columns if values is not None]
    n_rows = len(filled[0][1]) if filled else 0
    if n_rows == 0 or len(set(names)) != len(names) or any(values.shape != (n_rows,) for _, values in filled):
        raise InputError("columns must have distinct names and equally many numbers, at least 1")
    rows = [
        {"c": name, "r": row, "v": float(f"{value:.4g}")} for name, values in filled for row, value in enumerate(values)
    ]
    ticks = [(share * n_rows, text) for share, text in y_ticks] or [
        (row - 0.5, f"{row}") for row in sorted({1, *range(32, n_rows + 1, 32), n_rows})
    ]
    colours = alt.Scale(range=stops, domain=np.linspace(low, high, len(stops)).tolist(), clamp=True, interpolate="rgb")
    picture: alt.Chart = (
        alt.Chart({"values": rows}, height=height_px)
        .transform_calculate(top=f"min(datum.r + 2, {n_rows})")  # the next row covers the excess: no seams
        .mark_rect()
        .encode(
            x=alt.X(
                "c:N",
                title=x_title,
                sort=None,
                scale=alt.Scale(domain=names, paddingInner=0, paddingOuter=0),
                axis=alt.Axis(labelAngle=0, labelOverlap="greedy", ticks=False, labelExpr="trim(datum.label)"),
            ),
            y=alt.Y(
                "r:Q",
                title=y_title,
                scale=alt.Scale(domain=[0, n_rows], nice=False),
                axis=alt.Axis(values=[at for at, _ in ticks], labelExpr=_label_expression(ticks), grid=False),
            ),
            y2="top:Q",
            color=alt.Color(
                "v:Q",
                title=value_title,
                scale=colours,
                legend=alt.Legend(
                    type="gradient", orient="bottom", gradientLength=110, titleLimit=300, format="~g", tickCount=3
                ),
            ),
            tooltip=[alt.Tooltip("c:N", title=x_title), alt.Tooltip("v:Q", title=value_title)],
        )
    )
    return picture


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

    values = {name: _finite_scores(each) for name, each in classes.items()}
    pooled = np.concatenate(list(values.values())) if values else np.zeros(0)
    if pooled.size == 0:
        raise InputError("a histogram needs at least 1 value, got none")
    edges = np.histogram_bin_edges(pooled, bins=n_bins)
    rows, top = [], np.zeros(n_bins, dtype=np.int64)
    for name, each in values.items():
        counts = np.histogram(each, bins=edges)[0]
        rows += [
            {"class": name, "low": _short(edges[i]), "high": _short(edges[i + 1]), "clips": int(counts[i])}
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
    figure.update_layout(height=height_px, margin=_MARGIN, legend=legend, hovermode="closest")
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
    figure.update_layout(height=height_px, margin=_MARGIN, legend=legend, hovermode="closest", showlegend=True)
    return figure


def _line_rows(x: FloatArray, line: Line) -> list[dict[str, Any]]:
    rows = []
    for i, (at, value) in enumerate(zip(x, np.asarray(line.values, dtype=np.float64), strict=True)):
        row: dict[str, Any] = {"label": line.label, "x": _short(at), "y": _short(value) if np.isfinite(value) else None}
        if line.low is not None and line.high is not None:
            row |= {"low": _short(line.low[i]), "high": _short(line.high[i])}
        rows.append(row)
    return rows


def _rule_layers(rules: Mapping[str, float], *, span: tuple[float, float]) -> list[Any]:
    import altair as alt

    if not rules:
        return []
    base = alt.Chart({"values": [{"y": height, "text": text} for text, height in rules.items()]})
    layers = [
        base.mark_rule(color=NEUTRAL_COLOUR, strokeWidth=1.5, strokeDash=[6, 3]).encode(y="y:Q", tooltip="text:N")
    ]
    for i, (text, height) in enumerate(rules.items()):  # at both ends in turn: close lines keep readable names
        label = alt.Chart({"values": [{"x": span[i % 2], "y": height, "text": text}]})
        mark = label.mark_text(
            color=NEUTRAL_COLOUR,
            align="right" if i % 2 else "left",
            baseline="bottom",
            dx=-4 if i % 2 else 4,
            dy=-3,
            fontWeight="bold",
        )
        layers.append(mark.encode(x="x:Q", y="y:Q", text="text:N"))
    return layers


def _label_expression(ticks: Sequence[tuple[float, str]]) -> str:
    """Vega expression that gives each tick its own text; the texts are our own."""
    pairs = " : ".join(f"abs(datum.value - {at:.6f}) < 1e-3 ? '{text}'" for at, text in ticks)
    return f"{pairs} : ''"


def _hex_colour(text: str) -> str:
    """`rgb(1, 2, 3)` or `#010203` as `#010203`."""
    if text.startswith("#"):
        return text.lower()
    red, green, blue = (int(part) for part in text.removeprefix("rgb(").removesuffix(")").split(","))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _lookup_table(palette: str) -> npt.NDArray[np.uint8]:
    """Shape (256, 3): red, green and blue of a palette from low to high."""
    stops = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in palette_stops(palette)])
    at = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, i]) for i in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def _frequency_text(hz: float) -> str:
    return f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz:g} Hz"


def _finite_scores(scores: npt.ArrayLike) -> FloatArray:
    finite = np.asarray(scores, dtype=np.float64)
    if finite.ndim != 1 or not np.isfinite(finite).all():
        raise InputError(f"scores must be finite and of shape (n_clips,), got shape {finite.shape}")
    return finite


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
    for name, scores in classes.items():
        if scores.size == 0:
            continue
        counts, _ = np.histogram(scores, bins=edges)
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
            share = 100 * count / scores.size
            text = f"{share:.1f} % ({count:,}/{scores.size:,}) from {low:.4g} to {high:.4g}"
            row = {"class": name, "low": _short(low), "high": _short(high), "share": _short(share / 100), "text": text}
            rows.append(row)
        rows.append({"class": name, "low": _short(edges[-1]), "high": None, "share": 0.0, "text": ""})
    return rows


def _short(number: float) -> float:
    """Six significant digits: enough for a pixel, half the payload."""
    return float(f"{number:.6g}")


def _threshold_layers(threshold: float | None) -> list[Any]:
    import altair as alt

    if threshold is None:
        return []
    base = alt.Chart({"values": [{"at": threshold, "label": f"threshold {threshold:.4g}"}]})
    rule = base.mark_rule(color=NEUTRAL_COLOUR, strokeWidth=2, strokeDash=[6, 3]).encode(x="at:Q", tooltip="label:N")
    text = base.mark_text(color=NEUTRAL_COLOUR, align="center", baseline="bottom", dy=-4, fontWeight="bold")
    return [rule, text.encode(x="at:Q", y=alt.value(0), text="label:N")]


def _add_band(figure: go.Figure, curve: RocCurve, fpr: FloatArray, low: FloatArray, high: FloatArray) -> None:
    red, green, blue = (int(curve.colour[at : at + 2], 16) for at in (1, 3, 5))
    figure.add_scatter(
        x=np.concatenate([fpr, fpr[::-1]]).astype(np.float32),
        y=np.concatenate([low, high[::-1]]).astype(np.float32),
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=f"rgba({red}, {green}, {blue}, 0.18)",
        name=f"{curve.label}: band",
        legendgroup=curve.label,
        showlegend=False,
        hoverinfo="skip",
    )


def _add_curve(figure: go.Figure, curve: RocCurve) -> None:
    figure.add_scatter(
        x=np.asarray(curve.false_positive_rate, dtype=np.float32),
        y=np.asarray(curve.true_positive_rate, dtype=np.float32),
        mode="lines",
        line={"color": curve.colour, "dash": curve.dash, "width": 2.5},
        name=curve.label,
        legendgroup=curve.label,
        hovertemplate="FPR %{x:.1%}, TPR %{y:.1%}",
    )
    if curve.point is None:
        return
    figure.add_scatter(
        x=[curve.point[0]],
        y=[curve.point[1]],
        mode="markers",
        marker={"color": curve.colour, "size": 11, "symbol": "diamond", "line": {"width": 1.5, "color": "white"}},
        name=f"{curve.label}: operating point",
        legendgroup=curve.label,
        showlegend=False,
        hovertemplate="operating point: FPR %{x:.1%}, TPR %{y:.1%}",
    )


def scores_by_id(
    anomaly_scores: npt.ArrayLike,
    is_anomalous: npt.ArrayLike,
    machine_ids: Sequence[str],
    *,
    threshold: float | None = None,
    height_px: int = 340,
) -> go.Figure:
    """Draw each machine id's normal and anomalous scores as boxes with their clips: why pooled and per-id AUC differ.

    Parameters
    ----------
    anomaly_scores, is_anomalous, machine_ids
        Shape (n_clips,) each.
    threshold
        Drawn across all ids.
    """
    import plotly.graph_objects as go

    scores, labels = _finite_scores(anomaly_scores), np.asarray(is_anomalous, dtype=np.bool_)
    names = np.array([f"id {name}" for name in machine_ids])
    figure = go.Figure()
    for label, name, colour in ((False, "Normal", NORMAL_COLOUR), (True, "Anomalous", ANOMALOUS_COLOUR)):
        own = labels == label
        figure.add_box(
            x=names[own].tolist(),
            y=scores[own].astype(np.float32),
            name=name,
            marker={"color": colour, "size": 3, "symbol": "x-thin" if label else "circle", "line": {"width": 1}},
            boxpoints="all" if own.sum() <= 1500 else "outliers",
            jitter=0.5,
            pointpos=0,
            line={"width": 1.5, "color": colour},
            hoverinfo="y",
        )
    if threshold is not None:
        figure.add_hline(y=threshold, line={"color": NEUTRAL_COLOUR, "dash": "dash", "width": 1.5})
    figure.update_layout(boxmode="group", height=height_px, margin=_MARGIN, legend={"orientation": "h", "y": 1.12})
    figure.update_yaxes(title="Anomaly score (higher = more anomalous)")
    figure.update_xaxes(categoryorder="category ascending")
    return figure


def precision_recall_figure(
    recall: FloatArray, precision: FloatArray, *, point: tuple[float, float] | None, base_rate: float, colour: str
) -> go.Figure:
    """Draw precision over recall of the anomalous class, with the operating point and the share of anomalous clips.

    Parameters
    ----------
    recall, precision
        Shape (n_points,), each from 0 to 1.
    point
        (recall, precision) in force; None where no clip is called anomalous.
    base_rate
        Precision of calling every clip anomalous.
    """
    figure = _rates_figure(recall, precision, point, colour=colour)
    figure.add_hline(y=base_rate, line={"color": NEUTRAL_COLOUR, "dash": "dot", "width": 1})
    figure.update_xaxes(title="Recall (anomalies found)", range=[0, 1.02])
    figure.update_yaxes(title="Precision (alarms that are right)", range=[0, 1.05])
    return figure


def det_figure(fpr: FloatArray, fnr: FloatArray, *, point: tuple[float, float], colour: str) -> go.Figure:
    """Draw misses over false alarms on logarithmic axes (detection error trade-off; Martin et al. 1997).

    Parameters
    ----------
    fpr, fnr
        Shape (n_points,), each from 0 to 1; points where one of them is 0 lie beyond the axes.
    point
        (FPR, FNR) in force.
    """
    inside = (fpr > 0) & (fnr > 0)
    figure = _rates_figure(fpr[inside], fnr[inside], point, colour=colour)
    ticks = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1]
    axis = {"type": "log", "tickvals": ticks, "ticktext": [f"{100 * tick:g} %" for tick in ticks]}
    figure.update_xaxes(title="False alarms (FPR)", **axis)
    figure.update_yaxes(title="Misses (FNR)", **axis)
    return figure


def _rates_figure(x: FloatArray, y: FloatArray, point: tuple[float, float] | None, *, colour: str) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scatter(
        x=x.astype(np.float32), y=y.astype(np.float32), mode="lines", line={"color": colour, "width": 2.5}, name="curve"
    )
    if point is not None:
        marker = {"color": colour, "size": 13, "symbol": "circle-open", "line": {"width": 3}}
        figure.add_scatter(x=[point[0]], y=[point[1]], mode="markers", marker=marker, name="operating point")
    figure.update_layout(height=380, margin=_MARGIN, showlegend=False)
    return figure


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
        {"row": row, "x": _short(x), "y": _short(y), "group": group, "clip": title}
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
    methods: Sequence[str], cells: Sequence[tuple[int, str, int, int]], *, title: str, row_px: int = 42
) -> alt.LayerChart:
    """Draw shares as a coloured table with Altair: a column a method, a row a group, `k/n` in the cell.

    Parameters
    ----------
    methods
        Column headings, each once; long ones are wrapped.
    cells
        (method's position, group, k, n) each.
    title
        What is counted.
    """
    import altair as alt

    rows = [
        {
            "column": column,
            "method": methods[column],
            "group": group,
            "share": k / n if n else None,
            "text": f"{k}/{n}",
            "words": f"{100 * k / n:.1f} % ({k}/{n})" if n else "no clips",
        }
        for column, group, k, n in cells
    ]
    groups = ["", *sorted({group for _, group, _, _ in cells})]
    x = alt.X("column:O", title=None, axis=None)
    y = alt.Y(
        "group:N", title=None, scale=alt.Scale(domain=groups), axis=alt.Axis(domain=False, ticks=False, grid=False)
    )
    base = alt.Chart({"values": rows}).encode(
        x=x, y=y, tooltip=[alt.Tooltip("method:N", title="Method"), alt.Tooltip("words:N", title=title)]
    )
    colour = alt.Color("share:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None)
    boxes = base.mark_rect(stroke=NEUTRAL_COLOUR, strokeWidth=0.5).encode(color=colour)
    ink = alt.condition("datum.share > 0.68", alt.value("#FFFFFF"), alt.value("#16202C"))
    text = base.mark_text(fontSize=14).encode(text="text:N", color=ink)
    layers = [boxes, text, *_heading_layers(methods, x, y)]
    height_px = len(groups) * row_px + 50  # the title takes its part of it
    return alt.LayerChart(layer=layers, height=height_px, title=alt.Title(title, anchor="start"))


def _heading_layers(methods: Sequence[str], x: alt.X, y: alt.Y) -> list[Any]:
    """Up to three lines of each heading, in the table's empty first row; the last line lies at the bottom."""
    import textwrap

    import altair as alt

    layers = []
    wrapped = [textwrap.wrap(name, 15, max_lines=3, placeholder=" …") for name in methods]
    for line in range(3):
        rows = [
            {"column": column, "group": "", "text": lines[len(lines) - 3 + line]}
            for column, lines in enumerate(wrapped)
            if len(lines) + line >= 3
        ]
        mark = alt.Chart({"values": rows}).mark_text(fontSize=11, color=NEUTRAL_COLOUR, dy=13 * (line - 1))
        layers.append(mark.encode(x=x, y=y, text="text:N"))
    return layers


def band_figure(edges_hz: npt.ArrayLike, falls: npt.ArrayLike, *, colour: str, height_px: int = 300) -> go.Figure:
    """Draw how much a score falls without each frequency band, low bands at the bottom.

    Parameters
    ----------
    edges_hz
        Shape (n_bands + 1,), rising.
    falls
        Shape (n_bands,): score of the clip minus its score without the band.
    """
    import plotly.graph_objects as go

    edges = np.asarray(edges_hz, dtype=np.float64)
    names = [f"{low:.0f}–{high:.0f}" for low, high in pairwise(edges)]
    bars = go.Bar(
        x=np.asarray(falls, dtype=np.float32), y=names, orientation="h", marker={"color": colour}, hoverinfo="x+y"
    )
    figure = go.Figure(bars)
    figure.update_layout(height=height_px, margin={**_MARGIN, "l": 84}, showlegend=False)
    figure.update_xaxes(title="Fall of the score")
    figure.update_yaxes(title="Band in Hz", type="category")
    return figure
