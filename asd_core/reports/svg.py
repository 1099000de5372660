"""Small pictures for self-contained reports: SVG text without scripts, every label escaped."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from asd_core.reports.plots import ANOMALOUS_COLOUR, DETECTOR_COLOURS, DETECTOR_DASHES, NEUTRAL_COLOUR, NORMAL_COLOUR
from asd_core.reports.plots.ticks import nice_ticks, tick_text
from asd_core.types import FloatArray

_LEFT, _TOP, _BOTTOM = 44, 14, 34
_DASH_ARRAYS = {
    "dash": "7 4",
    "dot": "2 3",
    "dashdot": "8 3 2 3",
    "longdash": "12 4",
    "longdashdot": "12 3 2 3",
}
"""Plotly's name of a dash pattern -> lengths of dashes and gaps in SVG; any other is a solid line."""
_LEGEND = 360


@dataclass(frozen=True)
class Curve:
    """A ROC, its legend, and marked points (false-alarm rate, detection rate); rates have shape (n_points,)."""

    label: str
    fpr: FloatArray
    tpr: FloatArray
    colour: str
    dash: str = ""
    points: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of_detector(
        cls, name: str, label: str, fpr: FloatArray, tpr: FloatArray, *, points: tuple[tuple[float, float], ...] = ()
    ) -> Curve:
        """Draw a detector's curve in its colour and dash pattern, the same as on every page."""
        dash = _DASH_ARRAYS.get(DETECTOR_DASHES.get(name, "solid"), "")
        return cls(label, fpr, tpr, DETECTOR_COLOURS.get(name, NEUTRAL_COLOUR), dash, points)


def roc_svg(curves: Sequence[Curve], *, size: int = 340) -> Markup:
    """Draw ROC curves on one square with the chance diagonal and a legend."""
    parts = [_frame(size, size), _ticks(size, size)]
    parts.append(
        Markup('<path d="M{} {}L{} {}" stroke="{}" stroke-dasharray="2 4"/>').format(
            _LEFT, _TOP + size, _LEFT + size, _TOP, NEUTRAL_COLOUR
        )
    )
    for row, curve in enumerate(curves):
        points = " ".join(
            f"{_LEFT + size * x:.1f},{_TOP + size * (1 - y):.1f}" for x, y in zip(curve.fpr, curve.tpr, strict=True)
        )
        parts.append(
            Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2" stroke-dasharray="{}"/>').format(
                points, curve.colour, curve.dash
            )
        )
        for fpr, tpr in curve.points:
            parts.append(
                Markup('<circle cx="{}" cy="{}" r="4" fill="{}"/>').format(
                    f"{_LEFT + size * fpr:.1f}", f"{_TOP + size * (1 - tpr):.1f}", curve.colour
                )
            )
        x, y = _LEFT + size + 20, _TOP + 12 + 18 * row
        parts.append(
            Markup('<path d="M{} {}h22" stroke="{}" stroke-width="3" stroke-dasharray="{}"/>').format(
                x, y - 4, curve.colour, curve.dash
            )
        )
        parts.append(_text(x + 28, y, curve.label))
    parts.append(_text(_LEFT + size / 2 - 50, _TOP + size + 30, "False-alarm rate (FPR)"))
    parts.append(_text(_LEFT + size * 0.62, _TOP + size * 0.97, "↑ Detection rate (TPR)"))
    return _svg(_LEFT + size + _LEGEND, _TOP + size + _BOTTOM, "ROC curves", parts)


def histogram_svg(
    normal: FloatArray,
    anomalous: FloatArray,
    *,
    thresholds: Mapping[str, float | None],
    width: int = 430,
    height: int = 190,
) -> Markup:
    """Draw the share of each class by score, with thresholds; the outermost bars hold what lies beyond.

    Parameters
    ----------
    normal, anomalous
        Scores, shape (n_clips,) each.
    thresholds
        Words to write beside the line (or none) to a threshold; one beyond the axis, or None, is not drawn.
    """
    scores = np.concatenate([normal, anomalous])
    low, high = (float(edge) for edge in np.quantile(scores, [0.005, 0.98]))
    edges = np.linspace(low, high if high > low else low + 1.0, 37)
    shares = [
        np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] / max(1, len(part)) for part in (normal, anomalous)
    ]
    top = max(float(share.max()) for share in shares) or 1.0
    step = width / (len(edges) - 1)
    parts = [_frame(width, height)]
    for share, colour in zip(shares, (NORMAL_COLOUR, ANOMALOUS_COLOUR), strict=True):
        for column, value in enumerate(share):
            bar = height * float(value) / top
            parts.append(
                Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}" fill-opacity=".5"/>').format(
                    f"{_LEFT + column * step:.1f}", f"{_TOP + height - bar:.1f}", f"{step:.1f}", f"{bar:.1f}", colour
                )
            )
    for row, (words, threshold) in enumerate(thresholds.items()):
        if threshold is not None and edges[0] <= threshold <= edges[-1]:
            x = _LEFT + width * (threshold - edges[0]) / (edges[-1] - edges[0])
            parts += [_threshold_line(x, height), _text(x + 4, _TOP + 12 + 14 * row, words)]
    parts.append(_score_ticks(float(edges[0]), float(edges[-1]), width, height))
    parts += [
        _text(_LEFT - 40, _TOP + height * (1 - share / top) + 4, f"{100 * share:g} %")
        for share in nice_ticks(0.0, top)
        if share < 0.97 * top
    ]
    parts.append(_text(_LEFT + 4, _TOP + 12, "↑ Share of the class"))
    parts.append(
        _text(_LEFT + 60, _TOP + height + 28, "Anomaly score: normal blue, anomalous orange, dashed threshold")
    )
    return _svg(_LEFT + width + 12, _TOP + height + _BOTTOM, "Histogram of the scores", parts)


def by_id_svg(
    groups: Mapping[str, tuple[FloatArray, FloatArray]], *, threshold: float | None, width: int = 430
) -> Markup:
    """Draw for each id the 5th to 95th percentile and the quartiles of normal and anomalous scores."""
    everything = np.concatenate([part for pair in groups.values() for part in pair])
    low, high = (float(edge) for edge in np.quantile(everything, [0.01, 0.97]))
    span = (high - low) or 1.0
    height = 40 * len(groups)
    parts = [_frame(width, height)]
    for row, (name, pair) in enumerate(groups.items()):
        parts.append(_text(2, _TOP + 40 * row + 24, f"id {name}"))
        for line, (part, colour) in enumerate(zip(pair, (NORMAL_COLOUR, ANOMALOUS_COLOUR), strict=True)):
            if len(part):
                parts.append(_box(part, low, span, width, _TOP + 40 * row + 13 + 14 * line, colour))
    if threshold is not None and low <= threshold <= high:
        parts.append(_threshold_line(_LEFT + width * (threshold - low) / span, height))
    parts.append(_score_ticks(low, low + span, width, height))
    parts.append(_text(_LEFT + 20, _TOP + height + 28, "Anomaly score per id: quartiles, and 5th to 95th percentile"))
    return _svg(_LEFT + width + 12, _TOP + height + _BOTTOM, "Scores per machine id", parts)


def _threshold_line(x: float, height: float) -> Markup:
    return Markup('<path d="M{} {}v{}" stroke="currentColor" stroke-dasharray="5 3"/>').format(f"{x:.1f}", _TOP, height)


def _box(part: FloatArray, low: float, span: float, width: int, y: float, colour: str) -> Markup:
    marks = np.clip((np.quantile(part, [0.05, 0.25, 0.5, 0.75, 0.95]) - low) / span, 0, 1) * width + _LEFT
    a, b, c, d, e = (f"{mark:.1f}" for mark in marks)
    line = Markup('<path d="M{} {}H{}" stroke="{}" stroke-width="2"/>').format(a, y, e, colour)
    box = Markup('<path d="M{} {}H{}" stroke="{}" stroke-width="9" stroke-opacity=".6"/>').format(b, y, d, colour)
    return line + box + Markup('<circle cx="{}" cy="{}" r="3" fill="currentColor"/>').format(c, y)


def stacked_svg(title: str, pictures: Mapping[str, Markup], *, note: str) -> str:
    """Stack pictures with their headings, as the text of a self-contained SVG file.

    Parameters
    ----------
    pictures
        Headings to pictures made here.
    note
        A line under the title, such as that the data is simulated.
    """
    parts, y, widest = [_text(8, 20, title), _text(8, 38, note)], 50.0, 0.0
    for heading, picture in pictures.items():
        width, height = (float(number) for number in _VIEW_BOX.findall(picture)[0])
        parts += [_text(8, y + 14, heading), Markup('<g transform="translate(0 {})">').format(y + 20), picture]
        parts.append(Markup("</g>"))
        y, widest = y + height + 30, max(widest, width)
    head = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}">'
        '<rect width="100%" height="100%" fill="#ffffff"/><g font-family="sans-serif" font-size="11" color="#222222" '
        'fill="#222222">'
    ).format(widest, y)
    return str(head + Markup("").join(parts) + Markup("</g></svg>\n"))


def image_svg(png: bytes, *, width: int, height: int, title: str) -> Markup:
    """Embed a PNG, stretched to a size in pixels."""
    uri = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    picture = Markup(
        '<image x="{}" y="{}" width="{}" height="{}" preserveAspectRatio="none" image-rendering="pixelated" href="{}"/>'
    ).format(_LEFT, _TOP, width, height, uri)
    return _svg(_LEFT + width + 12, _TOP + height + 4, title, [picture])


_VIEW_BOX = re.compile(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"')


def _frame(width: float, height: float) -> Markup:
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="{}" stroke-opacity=".5"/>').format(
        _LEFT, _TOP, width, height, NEUTRAL_COLOUR
    )


def _score_ticks(low: float, high: float, width: float, height: float) -> Markup:
    """Numbers along the lower edge, at least three."""
    ticks = Markup("")
    for score in nice_ticks(low, high):
        x = _LEFT + width * (score - low) / (high - low)
        ticks += Markup('<path d="M{} {}v4" stroke="{}"/>').format(f"{x:.1f}", _TOP + height, NEUTRAL_COLOUR)
        ticks += Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
            f"{x:.1f}", f"{_TOP + height + 15:.1f}", tick_text(score)
        )
    return ticks


def _ticks(width: float, height: float) -> Markup:
    ticks = Markup("")
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        ticks += _text(_LEFT + width * tick - 8, _TOP + height + 14, f"{tick:g}")
        ticks += _text(_LEFT - 24, _TOP + height * (1 - tick) + 4, f"{tick:g}")
    return ticks


def _text(x: float, y: float, text: str) -> Markup:
    return Markup('<text x="{}" y="{}">{}</text>').format(f"{x:.1f}", f"{y:.1f}", text)


def _svg(width: float, height: float, title: str, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg role="img" width="{0}" height="{1}" viewBox="0 0 {0} {1}"><title>{2}</title>')
    return head.format(width, height, escape(title)) + Markup("").join(parts) + Markup("</svg>")
