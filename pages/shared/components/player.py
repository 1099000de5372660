"""A clip's sound and pictures on one time axis, with one playhead that follows the audio."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from asd_core.errors import InputError
from pages.shared.components import register


@dataclass(frozen=True)
class ColourScale:
    """What a picture's colours mean: palette from low to high and the text at both ends."""

    stops: tuple[str, ...]
    low: str
    high: str


@dataclass(frozen=True)
class Panel:
    """A picture over time, such as a spectrogram or a detector's anomaly map.

    Parameters
    ----------
    label
        What it shows; drawn above it.
    png
        The picture, time to the right; stretched to its span of the time axis and to `height_px`.
    alt
        The picture in words, for those who do not see it.
    y_ticks
        (relative position from 0 = bottom to 1 = top, text) on the left.
    colour
        Of the mark before the label.
    note
        Small print after the label, such as "score 0.00212, anomalous".
    span_s
        First and last second that the picture covers; None for the whole clip.
    scale
        Legend of the colours, drawn at the right.
    """

    label: str
    png: bytes
    alt: str
    height_px: int = 160
    y_ticks: tuple[tuple[float, str], ...] = ()
    colour: str | None = None
    note: str | None = None
    span_s: tuple[float, float] | None = None
    scale: ColourScale | None = None


@dataclass(frozen=True)
class Trace:
    """A line over time, such as a detector's score for each window, with its threshold.

    Parameters
    ----------
    label, alt, colour, note, height_px
        As for `Panel`.
    times_s, values
        Equally long, times rising; a value that is not finite breaks the line.
    threshold
        Drawn as a dashed line, in the unit of the values.
    """

    label: str
    times_s: Sequence[float]
    values: Sequence[float]
    alt: str
    colour: str
    threshold: float | None = None
    note: str | None = None
    height_px: int = 72


_mount = register("asd_synced_player", "player")


def synced_player(
    *,
    clip: str,
    title: str,
    wav: bytes,
    duration_s: float,
    panels: Sequence[Panel | Trace],
    key: str,
    peak: float | None = None,
) -> float | None:
    """Draw the player; return where playback was last paused in this clip, in seconds.

    The waveform is drawn from the sound itself, above the panels. A change of panels leaves playback alone, a
    change of sound stops it.

    Parameters
    ----------
    clip
        Identity of the clip, such as its digest; a cursor of another clip is not returned.
    title
        The clip in words; shown and read out.
    wav
        The sound as `PCM_16` WAV.
    duration_s
        Length of the time axis.
    peak
        Largest sample on the waveform's axis, so that several clips can be compared; None means the clip's own.

    Raises
    ------
    InputError
        The duration is not positive, or the line of a trace has times and values of different lengths.
    """
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise InputError(f"{title}: a clip must last longer than 0 s, got {duration_s}")
    message = {
        "clip": clip,
        "title": title,
        "sound": hashlib.sha256(wav).hexdigest()[:16],
        "wav": base64.b64encode(wav).decode(),
        "duration": float(duration_s),
        "peak": None if peak is None else max(float(peak), 1e-9),
        "panels": [_trace_message(p) if isinstance(p, Trace) else _panel_message(p) for p in panels],
    }
    state = _mount(key=key, data=message, on_cursor_change=lambda: None, on_spot_change=lambda: None)
    return _seconds(state.cursor, clip)


@dataclass(frozen=True)
class Spot:
    """A spot that was double-clicked: which panel, when, and how high from 0 = bottom to 1 = top."""

    panel: int
    seconds: float
    height: float


def last_spot(key: str, clip: str) -> Spot | None:
    """Return the spot last double-clicked in this clip's player, or None; callable before the player is drawn."""
    state = st.session_state.get(key)
    spot = None if state is None else state.get("spot")
    if not spot or spot.get("clip") != clip:
        return None
    panel, seconds, height = spot.get("panel"), spot.get("seconds"), spot.get("height")
    if not isinstance(panel, int) or not all(isinstance(value, int | float) for value in (seconds, height)):
        return None
    return Spot(panel, max(0.0, float(seconds)), min(1.0, max(0.0, float(height))))


def _panel_message(panel: Panel) -> dict[str, Any]:
    scale = panel.scale
    return {
        "label": panel.label,
        "png": base64.b64encode(panel.png).decode(),
        "alt": panel.alt,
        "height": panel.height_px,
        "ticks": [[float(at), text] for at, text in panel.y_ticks],
        "colour": panel.colour,
        "note": panel.note,
        "span": None if panel.span_s is None else [float(second) for second in panel.span_s],
        "scale": None if scale is None else {"stops": list(scale.stops), "low": scale.low, "high": scale.high},
    }


def _trace_message(trace: Trace) -> dict[str, Any]:
    if len(trace.times_s) != len(trace.values) or len(trace.values) == 0:
        lengths = f"{len(trace.times_s)} and {len(trace.values)}"
        raise InputError(f"{trace.label}: times and values must be equally long and not empty, got {lengths}")
    finite_threshold = trace.threshold is not None and math.isfinite(trace.threshold)
    return {
        "label": trace.label,
        "alt": trace.alt,
        "height": trace.height_px,
        "colour": trace.colour,
        "note": trace.note,
        "threshold": trace.threshold if finite_threshold else None,
        "times": [round(float(t), 4) for t in trace.times_s],
        "values": [float(f"{v:.5g}") if math.isfinite(v) else None for v in trace.values],
    }


def _seconds(cursor: Mapping[str, Any] | None, clip: str) -> float | None:
    """Return the seconds of a message from the browser; None if it is about another clip."""
    if not cursor or cursor.get("clip") != clip:
        return None
    seconds = cursor.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else None
