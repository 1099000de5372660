"""Scores in the order in which clips came, with the threshold and the stretches in which an alarm stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asd_core.plots.look import ANOMALOUS_COLOUR, NEUTRAL_COLOUR, NORMAL_COLOUR, short_number

if TYPE_CHECKING:
    import altair as alt

_VERDICTS = {"normal": ("circle", NORMAL_COLOUR), "anomalous": ("triangle-up", ANOMALOUS_COLOUR)}


@dataclass(frozen=True)
class TimelinePoint:
    """A judged clip.

    Parameters
    ----------
    at
        Number of the clip, or its time in ISO 8601; the same kind for all points of a figure.
    threshold
        That counted for this clip; None draws none there.
    verdict
        `normal` or `anomalous`; anything else has a mark of its own.
    alarm
        Whether an alarm stood after it.
    title
        For the tooltip.
    """

    at: int | str
    anomaly_score: float
    threshold: float | None
    verdict: str
    alarm: bool
    title: str


def score_timeline(
    points: Sequence[TimelinePoint],
    *,
    span: tuple[float, float] | None = None,
    score_span: tuple[float, float] | None = None,
    height_px: int = 280,
) -> alt.LayerChart:
    """Draw scores over clips or time with Altair: marks tell verdicts, a dashed step the threshold, bands the alarm.

    Parameters
    ----------
    points
        In the order in which they came; may be empty.
    span, score_span
        Fixed ends of both axes, so that the figure stands still while points come in; `span` for numbers only.
    """
    import altair as alt

    is_timed = bool(points) and isinstance(points[0].at, str)
    x = alt.X(
        "at:T" if is_timed else "at:Q",
        title="Time (UTC)" if is_timed else "Clip",
        scale=alt.Scale(type="utc", nice=False) if is_timed else _scale(span),
        axis=alt.Axis(labelFlush=True) if is_timed else alt.Axis(format="d", tickMinStep=1, labelFlush=True),
    )
    y = alt.Y(
        "score:Q",
        title="Anomaly score (higher = more anomalous)",
        scale=_scale(score_span),
        axis=alt.Axis(format="~g", tickCount=5, titleLimit=260),
    )
    scored = alt.Chart({"values": [_row(point) for point in points]})
    limits = alt.Chart({"values": [_limit(point) for point in points if point.threshold is not None]})
    line = scored.mark_line(color=NEUTRAL_COLOUR, strokeWidth=1, opacity=0.6).encode(x=x, y=y)
    step = limits.mark_line(color=NEUTRAL_COLOUR, strokeWidth=2, strokeDash=[6, 3], interpolate="step-after")
    layers: list[Any] = [
        *_alarm_layers(points, x),
        line,
        step.encode(x=x, y=y, tooltip="label:N"),
        _marks(scored, x, y),
    ]
    return alt.LayerChart(layer=layers, height=height_px)


def alarm_spans(points: Sequence[TimelinePoint]) -> list[tuple[int | str, int | str]]:
    """First and last place of each stretch in which an alarm stood."""
    spans: list[tuple[int | str, int | str]] = []
    stood = False
    for point in points:
        if point.alarm:
            spans = [*spans[:-1], (spans[-1][0], point.at)] if stood else [*spans, (point.at, point.at)]
        elif stood:
            spans[-1] = (spans[-1][0], point.at)  # it stood until this clip cleared it
        stood = point.alarm
    return spans


def _scale(span: tuple[float, float] | None) -> Any:
    import altair as alt

    if span is None:
        return alt.Scale(zero=False, nice=False, padding=12)
    return alt.Scale(zero=False, nice=False, domain=list(span), padding=12)


def _row(point: TimelinePoint) -> dict[str, Any]:
    verdict = point.verdict if point.verdict in _VERDICTS else "no verdict"
    return {"at": point.at, "score": short_number(point.anomaly_score), "verdict": verdict, "clip": point.title}


def _limit(point: TimelinePoint) -> dict[str, Any]:
    threshold = point.threshold or 0.0
    return {"at": point.at, "score": short_number(threshold), "label": f"threshold {threshold:.4g}"}


def _alarm_layers(points: Sequence[TimelinePoint], x: alt.X) -> list[Any]:
    import altair as alt

    rows = [{"at": first, "to": last, "label": "alarm"} for first, last in alarm_spans(points)]
    base = alt.Chart({"values": rows})
    band = base.mark_rect(color=ANOMALOUS_COLOUR, opacity=0.18).encode(x=x, x2="to:Q")
    edge = base.mark_rule(color=ANOMALOUS_COLOUR, strokeWidth=2).encode(x=x)
    text = base.mark_text(align="left", baseline="top", dx=4, dy=4, fontWeight="bold", color=ANOMALOUS_COLOUR)
    return [band, edge, text.encode(x=x, y=alt.value(0), text="label:N")]


def _marks(scored: alt.Chart, x: alt.X, y: alt.Y) -> alt.Chart:
    import altair as alt

    names = [*_VERDICTS, "no verdict"]
    shapes = [*(shape for shape, _ in _VERDICTS.values()), "square"]
    colours = [*(colour for _, colour in _VERDICTS.values()), NEUTRAL_COLOUR]
    legend = alt.Legend(orient="bottom", values=names[:2])
    marks: alt.Chart = scored.mark_point(filled=True, size=70, opacity=1).encode(
        x=x,
        y=y,
        color=alt.Color("verdict:N", title=None, scale=alt.Scale(domain=names, range=colours), legend=legend),
        shape=alt.Shape("verdict:N", title=None, scale=alt.Scale(domain=names, range=shapes), legend=legend),
        tooltip=[
            alt.Tooltip("clip:N"),
            alt.Tooltip("score:Q", title="anomaly score", format=".4~g"),
            alt.Tooltip("verdict:N"),
        ],
    )
    return marks
