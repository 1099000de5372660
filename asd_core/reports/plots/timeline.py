"""Scores in the order in which clips came, with the threshold and the stretches in which an alarm was on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asd_core.formats import score_text
from asd_core.reports.plots.look import ANOMALOUS_COLOUR, NEUTRAL_COLOUR, NORMAL_COLOUR, short_number

_VERDICTS = {"normal": ("circle", NORMAL_COLOUR), "anomalous": ("triangle-up", ANOMALOUS_COLOUR)}

FEW_POINTS, MARK_SIZE, SMALL_MARK_SIZE = 200, 70, 25


@dataclass(frozen=True)
class TimelinePoint:
    """A judged clip.

    Parameters
    ----------
    at
        Number of the clip, or its time in ISO 8601; the same kind for all points of a figure.
    threshold
        In force for this clip; None draws none there.
    verdict
        `normal` or `anomalous`; anything else has its own mark.
    alarm
        Whether an alarm was on after it.
    title
        For the tooltip.
    key
        Names the point where it can be picked.
    """

    at: int | str
    anomaly_score: float
    threshold: float | None
    verdict: str
    alarm: bool
    title: str
    key: str = ""


def score_timeline(
    points: Sequence[TimelinePoint],
    *,
    span: tuple[float, float] | None = None,
    score_span: tuple[float, float] | None = None,
    height_px: int = 320,
    time_title: str = "Time (UTC)",
    picks: str = "",
    ringed: str = "",
) -> dict[str, Any]:
    """Draw scores over clips or time: marks tell verdicts, a dashed step the threshold, bands the alarm.

    A Vega-Lite specification, not an Altair chart: this figure is redrawn every second, and Altair's checks alone
    would take most of a page's 50 ms.

    Parameters
    ----------
    points
        In the order in which they came; may be empty.
    span, score_span
        Fixed ends of both axes, so that the figure keeps still while points come in; `span` for numbers only.
    time_title
        What the axis says where points are at times.
    picks
        Name of the selection by which the point nearest to a press is picked; empty: none is.
    ringed
        Key of the point that has a ring.
    """
    is_timed = bool(points) and isinstance(points[0].at, str)
    x = _time_axis(time_title, points) if is_timed else _clip_axis(span)
    axis = {"format": "~r", "tickCount": 5}
    y = {"field": "score", "type": "quantitative", "title": "Anomaly score", "scale": _scale(score_span), "axis": axis}
    scored = {"values": [_row(point) for point in points]}
    limits = {"values": [_limit(point) for point in points if point.threshold is not None]}
    line = {"type": "line", "color": NEUTRAL_COLOUR, "strokeWidth": 1, "opacity": 0.6}
    dashed = {"strokeWidth": 2, "strokeDash": [6, 3], "interpolate": "step-after"}
    layers = [
        *_alarm_layers(points, x),
        {"data": scored, "mark": line, "encoding": {"x": x, "y": y}},
        {
            "data": limits,
            "mark": {"type": "line", "color": NEUTRAL_COLOUR, **dashed},
            "encoding": {"x": x, "y": y, "tooltip": {"field": "label", "type": "nominal"}},
        },
        *_ring([point for point in points if ringed and point.key == ringed], x, y),
        _points(scored, _marks(x, y), picks, size=MARK_SIZE if len(points) <= FEW_POINTS else SMALL_MARK_SIZE),
    ]
    return {"layer": layers, "height": height_px}


def alarm_spans(points: Sequence[TimelinePoint]) -> list[tuple[int | str, int | str]]:
    """First and last position of each stretch in which an alarm was on."""
    spans: list[tuple[int | str, int | str]] = []
    stood = False
    for point in points:
        if point.alarm:
            spans = [*spans[:-1], (spans[-1][0], point.at)] if stood else [*spans, (point.at, point.at)]
        elif stood:
            spans[-1] = (spans[-1][0], point.at)  # it was on until this clip cleared it
        stood = point.alarm
    return spans


def _time_axis(title: str, points: Sequence[TimelinePoint]) -> dict[str, Any]:
    days = {str(point.at)[:10] for point in points}
    axis = {"format": "%H:%M:%S" if len(days) <= 1 else "%d %b %H:%M", "tickCount": 6, "labelFlush": True}
    scale = {"type": "utc", "nice": False}
    return {"field": "at", "type": "temporal", "title": title, "scale": scale, "axis": axis}


def _clip_axis(span: tuple[float, float] | None) -> dict[str, Any]:
    axis = {"format": "d", "tickMinStep": 1, "labelFlush": True}
    return {"field": "at", "type": "quantitative", "title": "Clip", "scale": _scale(span), "axis": axis}


def _scale(span: tuple[float, float] | None) -> dict[str, Any]:
    scale: dict[str, Any] = {"zero": False, "nice": False, "padding": 12}
    return scale if span is None else {**scale, "domain": list(span)}


def _row(point: TimelinePoint) -> dict[str, Any]:
    verdict = point.verdict if point.verdict in _VERDICTS else "no verdict"
    row = {"at": point.at, "score": short_number(point.anomaly_score), "verdict": verdict, "clip": point.title}
    return {**row, "key": point.key} if point.key else row


def _limit(point: TimelinePoint) -> dict[str, Any]:
    threshold = point.threshold or 0.0
    return {"at": point.at, "score": short_number(threshold), "label": f"threshold {score_text(threshold)}"}


def _alarm_layers(points: Sequence[TimelinePoint], x: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [{"at": first, "to": last, "label": "alarm"} for first, last in alarm_spans(points)]
    text = {"align": "left", "baseline": "bottom", "dy": -4, "fontWeight": "bold"}
    label = {"field": "label", "type": "nominal"}
    return [
        {
            "data": {"values": rows},
            "mark": {"type": "rect", "color": ANOMALOUS_COLOUR, "opacity": 0.18},
            "encoding": {"x": x, "x2": {"field": "to"}},
        },
        {
            "data": {"values": rows},
            "mark": {"type": "rule", "color": ANOMALOUS_COLOUR, "strokeWidth": 2},
            "encoding": {"x": x},
        },
        {
            "data": {"values": rows},
            "mark": {"type": "text", "color": ANOMALOUS_COLOUR, **text},
            "encoding": {"x": x, "y": {"value": 0}, "text": label},
        },
    ]


def _ring(points: Sequence[TimelinePoint], x: dict[str, Any], y: dict[str, Any]) -> list[dict[str, Any]]:
    mark = {"type": "point", "size": 320, "strokeWidth": 3, "color": NEUTRAL_COLOUR, "opacity": 1}
    rows = {"values": [_row(point) for point in points]}
    return [{"data": rows, "mark": mark, "encoding": {"x": x, "y": y}}] if points else []


def _points(scored: dict[str, Any], encoding: dict[str, Any], picks: str, *, size: int) -> dict[str, Any]:
    mark = {"type": "point", "filled": True, "size": size, "opacity": 1}
    layer: dict[str, Any] = {"data": scored, "mark": mark, "encoding": encoding}
    if picks:
        layer["params"] = [{"name": picks, "select": {"type": "point", "fields": ["key"], "nearest": True}}]
    return layer


def _marks(x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    names = [*_VERDICTS, "no verdict"]
    shapes = [*(shape for shape, _ in _VERDICTS.values()), "square"]
    colours = [*(colour for _, colour in _VERDICTS.values()), NEUTRAL_COLOUR]
    verdict = {
        "field": "verdict",
        "type": "nominal",
        "title": None,
        "legend": {"orient": "bottom", "values": names[:2]},
    }
    return {
        "x": x,
        "y": y,
        "color": {**verdict, "scale": {"domain": names, "range": colours}},
        "shape": {**verdict, "scale": {"domain": names, "range": shapes}},
        "tooltip": [
            {"field": "clip", "type": "nominal"},
            {"field": "score", "type": "quantitative", "title": "anomaly score", "format": ".4~g"},
            {"field": "verdict", "type": "nominal"},
        ],
    }
