"""Curves: ROC, precision and recall, DET, learning curves, lines over frequency, falls by band."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError
from asd_core.reports.plots.look import MARGIN, NEUTRAL_COLOUR, short_number
from asd_core.reports.plots.thinning import along_curve
from asd_core.reports.plots.ticks import log_ticks, numbered, tick_text
from asd_core.types import FloatArray

if TYPE_CHECKING:
    import altair as alt
    import plotly.graph_objects as go

Arguments = ParamSpec("Arguments")

LOG_TICKS_HZ = (20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Marks of a logarithmic frequency axis."""


_LEARNING_LOOKS = (
    ("#009E73", "solid", "circle"),
    ("#CC79A7", "dash", "diamond"),
    ("#56B4E9", "dot", "square"),
    ("#E69F00", "dashdot", "triangle-up"),
    ("#999933", "longdash", "star"),
)
"""Colour, dash pattern and symbol of the first, second, ... line of losses."""
_LEVEL_COLOUR = "#767676"


@dataclass(frozen=True, eq=False)
class RocCurve:
    """One detector's ROC as drawn by `roc_overlay`.

    Parameters
    ----------
    label
        For the legend; include the AUC.
    false_positive_rate, true_positive_rate
        Shape (n_points,), each from 0 to 1, in order of falling threshold.
    colour, dash
        A CSS colour and a dash pattern of Plotly.
    point
        (FPR, TPR) of an operating point to mark, if any.
    symbol
        Of the point, as Plotly names it.
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
    symbol: str = "diamond"


@dataclass(frozen=True, eq=False)
class Line:
    """One line of `lines_chart`.

    Parameters
    ----------
    label
        For the legend; always drawn as plain text.
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


def roc_overlay(curves: Sequence[RocCurve], *, max_fpr: float | None = 0.1, height_px: int = 460) -> go.Figure:
    """Draw several ROC curves on one Plotly square, chance as the diagonal.

    Parameters
    ----------
    curves
        Drawn in this order; the last lies on top.
    max_fpr
        Right end of the lightly shaded band over which the partial AUC is taken; None for no band.
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
    figure.update_xaxes(title_text="False-alarm rate (FPR)", range=[-0.01, 1.01], constrain="domain", **percent)
    figure.update_yaxes(title_text="Detection rate (TPR)", range=[-0.01, 1.01], scaleanchor="x", **percent)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    figure.update_layout(height=height_px, margin=MARGIN, legend=legend, hovermode="closest")
    return figure


def learning_curves(
    losses: Mapping[str, Sequence[float]],
    *,
    levels: Mapping[str, float] = MappingProxyType({}),
    log_axis: bool = False,
    unit: str = "MSE",
    n_epochs: int | None = None,
    height_px: int = 280,
) -> go.Figure:
    """Draw losses over epochs with Plotly, at most five lines, and dotted levels to compare them with.

    Parameters
    ----------
    losses
        Name ("training", "held-out") -> loss of epoch 1, 2, ...; lines may differ in length.
    levels
        Name -> loss that does not depend on the epoch: a dotted line over all epochs.
    log_axis
        Losses on a logarithmic axis.
    unit
        What the loss is, for the axis.
    n_epochs
        Epochs that the axis shows; default the longest line's.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for (name, values), (colour, dash, symbol) in zip(losses.items(), _LEARNING_LOOKS, strict=False):
        figure.add_scatter(
            x=list(range(1, len(values) + 1)),
            y=[float(value) for value in values],
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": dash},
            marker={"size": 6, "symbol": symbol},
            hovertemplate="epoch %{x}: %{y:.4g}",
        )
    shown = n_epochs or max((len(values) for values in losses.values()), default=1)
    for name, value in levels.items():
        figure.add_scatter(
            x=[0.5, shown + 0.5],
            y=[float(value), float(value)],
            name=name,
            mode="lines",
            line={"color": _LEVEL_COLOUR, "dash": "dot"},
            hovertemplate="%{y:.4g}",
        )
    figure.update_xaxes(title_text="Epoch", range=[0.5, shown + 0.5], tickformat="d", nticks=12)
    figure.update_yaxes(title_text=f"Loss ({unit})")
    if log_axis:
        _log_losses(figure, [*levels.values(), *(value for values in losses.values() for value in values)])
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(height=height_px, margin=MARGIN, legend=legend, hovermode="x unified", showlegend=True)
    return numbered(figure)


def _log_losses(figure: go.Figure, losses: Sequence[float]) -> None:
    """Give losses a logarithmic axis with numbers of its own; the axis stays linear where a loss is 0."""
    known = [float(loss) for loss in losses if np.isfinite(loss)]
    if not known or min(known) <= 0.0:
        return
    margin = max(1.05, (max(known) / min(known)) ** 0.06)
    low, high = min(known) / margin, max(known) * margin
    ticks = log_ticks(low, high)
    figure.update_yaxes(
        type="log",
        range=[float(np.log10(low)), float(np.log10(high))],
        tickvals=ticks,
        ticktext=[tick_text(tick) for tick in ticks],
    )


def _unvalidated(chart: Callable[Arguments, alt.LayerChart]) -> Callable[Arguments, alt.LayerChart]:
    """Draw without validating each part as it is made."""

    @wraps(chart)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> alt.LayerChart:
        from altair.utils.schemapi import debug_mode

        with debug_mode(False):
            return chart(*args, **kwargs)

    return drawn


def spec_of(chart: alt.LayerChart) -> dict[str, Any]:
    """Return a chart's Vega-Lite specification, data included, without Altair's theme.

    It is not validated, which would take longer than all else that a page does for a chart; tests validate it.
    """
    spec: dict[str, Any] = chart.to_dict(validate=False)
    spec.pop("config", None)
    return spec


SYMLOG_TICKS = (-1000, -100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100, 1000)
"""Numbers on an axis that is linear about 0 and logarithmic beyond: Vega's own lie too close together."""


def _symlog_ticks(lines: Sequence[Line]) -> list[int]:
    values = np.concatenate([np.asarray(line.values, dtype=np.float64) for line in lines])
    low, high = np.nanmin(values, initial=0.0), np.nanmax(values, initial=0.0)
    return [tick for tick in SYMLOG_TICKS if low <= tick <= high]


@_unvalidated
def lines_chart(
    x: npt.ArrayLike,
    lines: Sequence[Line],
    *,
    x_title: str,
    y_title: str,
    log_x: bool = False,
    zero: bool = False,
    symlog_y: bool = False,
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
    symlog_y
        Linear from -1 to 1 and logarithmic beyond, so that values near 0 and far from it are both seen.
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
            format=",~r",
            tickCount=8,
            values=list(LOG_TICKS_HZ) if log_x else alt.Undefined,
            grid=False,
            labelFlush=True,
            labelOverlap=True,
        ),
    )
    height = alt.Scale(type="symlog", constant=1) if symlog_y else alt.Scale(zero=zero)
    numbers = {"values": _symlog_ticks(lines)} if symlog_y else {"tickCount": 5}
    y_axis = alt.Y("y:Q", title=y_title, scale=height, axis=alt.Axis(format="~r", **numbers))
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


def _line_rows(x: FloatArray, line: Line) -> list[dict[str, Any]]:
    rows = []
    for i, (at, value) in enumerate(zip(x, np.asarray(line.values, dtype=np.float64), strict=True)):
        row: dict[str, Any] = {
            "label": line.label,
            "x": short_number(at),
            "y": short_number(value) if np.isfinite(value) else None,
        }
        if line.low is not None and line.high is not None:
            row |= {"low": short_number(line.low[i]), "high": short_number(line.high[i])}
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
    for i, (text, height) in enumerate(
        rules.items()
    ):  # at alternating ends, so that names of close lines stay readable
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
    drawn = along_curve(curve.false_positive_rate, curve.true_positive_rate)
    figure.add_scatter(
        x=np.asarray(curve.false_positive_rate, dtype=np.float32)[drawn],
        y=np.asarray(curve.true_positive_rate, dtype=np.float32)[drawn],
        mode="lines",
        line={"color": curve.colour, "dash": curve.dash, "width": 2.5},
        name=curve.label,
        legendgroup=curve.label,
        hovertemplate="false-alarm rate %{x:.1%}, detection rate %{y:.1%}",
    )
    if curve.point is None:
        return
    figure.add_scatter(
        x=[curve.point[0]],
        y=[curve.point[1]],
        mode="markers",
        marker={"color": curve.colour, "size": 11, "symbol": curve.symbol, "line": {"width": 1.5, "color": "white"}},
        name=f"{curve.label}: operating point",
        legendgroup=curve.label,
        showlegend=False,
        hovertemplate="operating point: false-alarm rate %{x:.1%}, detection rate %{y:.1%}",
    )


def det_figure(fpr: FloatArray, fnr: FloatArray, *, point: tuple[float, float], colour: str) -> go.Figure:
    """Draw misses over false alarms on logarithmic axes (detection error trade-off; Martin et al. 1997).

    Parameters
    ----------
    fpr, fnr
        Shape (n_points,), each from 0 to 1; points where one of them is 0 lie beyond the axes.
    point
        (FPR, FNR) in force.
    """
    inside = np.flatnonzero((fpr > 0) & (fnr > 0))
    drawn = inside[along_curve(np.log10(fpr[inside]), np.log10(fnr[inside]))]
    figure = _rates_figure(fpr[drawn], fnr[drawn], point, colour=colour)
    figure.update_xaxes(title="False-alarm rate (FPR)", **_log_percent(fpr[inside]))
    figure.update_yaxes(title="Miss rate (FNR)", **_log_percent(fnr[inside]))
    return figure


def _log_percent(rates: FloatArray) -> dict[str, Any]:
    """A logarithmic axis for rates above 0, its numbers in percent."""
    if not rates.size:
        return {"tickformat": ".0%"}
    low, high = 0.8 * float(rates.min()), 1.25 * float(rates.max())
    ticks = log_ticks(low, high)
    limits = [float(np.log10(low)), float(np.log10(high))]
    return {"type": "log", "range": limits, "tickvals": ticks, "ticktext": [f"{100 * tick:g} %" for tick in ticks]}


def _rates_figure(x: FloatArray, y: FloatArray, point: tuple[float, float] | None, *, colour: str) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scatter(
        x=x.astype(np.float32), y=y.astype(np.float32), mode="lines", line={"color": colour, "width": 2.5}, name="curve"
    )
    if point is not None:
        marker = {"color": colour, "size": 13, "symbol": "circle-open", "line": {"width": 3}}
        figure.add_scatter(x=[point[0]], y=[point[1]], mode="markers", marker=marker, name="operating point")
    figure.update_layout(height=380, margin=MARGIN, showlegend=False)
    return figure


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
    figure.update_layout(height=height_px, margin={**MARGIN, "l": 84}, showlegend=False)
    figure.update_xaxes(title="Fall of the anomaly score", nticks=5)
    figure.update_yaxes(title="Band (Hz)", type="category")
    return numbered(figure)
