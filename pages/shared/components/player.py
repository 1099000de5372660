"""A clip's sound and pictures on one time axis, with one playhead that follows the audio."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from asd_core.errors import InputError
from pages.shared.components import register


@dataclass(frozen=True)
class ColourScale:
    """What a picture's colours mean: palette from low to high and the text at both ends.

    Parameters
    ----------
    values
        What the first and the last colour stand for; None where the picture shows no number under the cursor.
    unit
        Of these values, such as `dB`; empty where they have none.
    """

    stops: tuple[str, ...]
    low: str
    high: str
    values: tuple[float, float] | None = None
    unit: str = ""


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
    edges_hz
        Edges of the bands from the bottom, rising: what lies under the cursor is told in Hz, and a rectangle drawn
        on the picture is a band. None for pictures without bands.
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
    edges_hz: Sequence[float] | None = None


@dataclass(frozen=True)
class Region:
    """A stretch of time and a band of frequencies."""

    start_s: float
    end_s: float
    low_hz: float
    high_hz: float


@dataclass(frozen=True)
class OtherClip:
    """A clip to compare with: heard in place of the player's own, on the same playhead."""

    title: str
    wav: bytes


@dataclass(frozen=True)
class Selection:
    """What a page knows of the region that is heard, where it follows the player.

    Parameters
    ----------
    region
        The one to show; None for none.
    other
        The clip beside it, or None.
    compares
        Whether the page gives another clip when the reader asks for it; see `asks_for_other`.
    on_change
        Called when the reader has drawn, moved or cleared a region; see `drawn_region`.
    """

    region: Region | None
    other: OtherClip | None = None
    compares: bool = False
    on_change: Callable[[], None] = lambda: None


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


_mount = register("asd_synced_player", "player", styles=("stage.css", "keys.css", "player_low.css"))


def _nothing() -> None:
    """Streamlit wants a callback for everything that a component tells."""


def synced_player(
    *,
    clip: str,
    title: str,
    wav: bytes,
    duration_s: float,
    panels: Sequence[Panel | Trace],
    key: str,
    peak: float | None = None,
    selection: Selection | None = None,
    is_low: bool = False,
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
    selection
        The region that the page shows and follows; None where regions are the player's own affair.
    is_low
        Whether bar and waveform take as little height as they can, and a presentation's key plays this player.

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
        "sound": _fingerprint(wav),
        "wav": base64.b64encode(wav).decode(),
        "duration": float(duration_s),
        "peak": None if peak is None else max(float(peak), 1e-9),
        "low": is_low,
        "panels": [_trace_message(p) if isinstance(p, Trace) else _panel_message(p) for p in panels],
    }
    if selection is not None:
        message |= _selection_message(selection)
    state = _mount(
        key=key,
        data=message,
        on_cursor_change=_nothing,
        on_region_change=_nothing if selection is None else selection.on_change,
        on_ask_change=_nothing,
    )
    return _seconds(state.cursor, clip)


def drawn_region(key: str, clip: str, *, duration_s: float) -> Region | None:
    """Return the region last drawn in this clip's player, or None; callable before the player is drawn."""
    told = _told(key, "region", clip)
    region = None if told is None else told.get("region")
    if not isinstance(region, Mapping):
        return None
    sides = [region.get(name) for name in ("from", "to", "low", "high")]
    if not all(isinstance(side, int | float) and math.isfinite(side) for side in sides):
        return None
    start_s, end_s, low_hz, high_hz = map(float, sides)
    end_s = min(end_s, duration_s)
    if not (0 <= start_s < end_s and 0 <= low_hz < high_hz):
        return None
    return Region(start_s, end_s, low_hz, high_hz)


def asks_for_other(key: str, clip: str) -> bool:
    """Whether the reader has asked, in this clip's player, for the clip to compare with."""
    return _told(key, "ask", clip) is not None


def _told(key: str, name: str, clip: str) -> Mapping[str, Any] | None:
    """Return what a player has told of this clip under a name."""
    state = st.session_state.get(key)
    told = None if state is None else state.get(name)
    return told if isinstance(told, Mapping) and told.get("clip") == clip else None


def _selection_message(selection: Selection) -> dict[str, Any]:
    region, other = selection.region, selection.other
    return {
        "region": None
        if region is None
        else {"from": region.start_s, "to": region.end_s, "low": region.low_hz, "high": region.high_hz},
        "compares": selection.compares,
        "other": None
        if other is None
        else {"title": other.title, "sound": _fingerprint(other.wav), "wav": base64.b64encode(other.wav).decode()},
    }


def _fingerprint(wav: bytes) -> str:
    return hashlib.sha256(wav).hexdigest()[:16]


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
        "scale": None if scale is None else _scale_message(scale),
        "edges": None if panel.edges_hz is None else [round(float(edge), 1) for edge in panel.edges_hz],
    }


def _scale_message(scale: ColourScale) -> dict[str, Any]:
    message: dict[str, Any] = {"stops": list(scale.stops), "low": scale.low, "high": scale.high}
    if scale.values is not None:
        message |= {"from": float(scale.values[0]), "to": float(scale.values[1]), "unit": scale.unit}
    return message


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
