"""Histograms: scores of both classes with their threshold, and any values by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError
from asd_core.formats import score_text
from asd_core.reports.plots.look import ANOMALOUS_COLOUR, NEUTRAL_COLOUR, NORMAL_COLOUR, finite_scores, short_number
from asd_core.types import BoolArray, FloatArray

if TYPE_CHECKING:
    import altair as alt


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
    anomalous ones downwards, since neither may hide the other where they overlap. Only the central share of all scores
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
    x_axis = alt.Axis(format="~r", tickCount=8, labelFlush=True)
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


def score_edges(anomaly_scores: npt.ArrayLike, *, n_bins: int = 40, central_share: float = 0.99) -> FloatArray:
    """Return the edges of the bars of `score_histogram`, whatever the threshold; shape (n_bins + 1,), rising.

    Parameters
    ----------
    anomaly_scores
        Shape (n_clips,), finite, at least one.
    central_share
        As for `score_histogram`.
    """
    scores = {"all": finite_scores(anomaly_scores)}
    return _score_bins(scores, None, n_bins=n_bins, log_axis=False, central_share=central_share).edges


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


def _score_bins(
    classes: Mapping[str, FloatArray], threshold: float | None, *, n_bins: int, log_axis: bool, central_share: float
) -> _Bins:
    """Edges over the central scores; the threshold is included where that costs no more than half of the axis."""
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
            lines.append(f"Not drawn {side} {score_text(edge)}: {', '.join(counts)}")
    if threshold is not None and shown is None:
        lines.append(f"The threshold {score_text(threshold)} lies outside the axis")
    return tuple(lines)


def _bar_rows(classes: Mapping[str, FloatArray], edges: FloatArray) -> list[dict[str, Any]]:
    """Return one row per class and bin, and one for the right end of each outline (`high` is None there)."""
    rows: list[dict[str, Any]] = []
    for (name, scores), side in zip(classes.items(), (1, -1), strict=True):
        if scores.size == 0:
            continue
        counts, _ = np.histogram(scores, bins=edges)
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
            share = 100 * count / scores.size
            text = f"{share:.1f} % ({count:,}/{scores.size:,}) from {score_text(low)} to {score_text(high)}"
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
    return {"at": threshold, "label": f"threshold {score_text(threshold)}"}


def _threshold_layers(threshold: float | None) -> list[Any]:
    import altair as alt

    if threshold is None:
        return []
    base = alt.Chart({"values": [_threshold_row(threshold)]})
    rule = base.mark_rule(color=NEUTRAL_COLOUR, strokeWidth=2, strokeDash=[6, 3]).encode(x="at:Q", tooltip="label:N")
    text = base.mark_text(color=NEUTRAL_COLOUR, align="center", baseline="bottom", dy=-4, fontWeight="bold")
    return [rule, text.encode(x="at:Q", y=alt.value(0), text="label:N")]
