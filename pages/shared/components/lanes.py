"""Several sounds with their pictures, stacked on one time axis with one playhead; one of them is heard."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asd_core.errors import InputError
from pages.shared.components import register
from pages.shared.components.player import ColourScale

LETTERS = "ABCDEFGHIJKL"


@dataclass(frozen=True)
class Lane:
    """One sound and its picture.

    Parameters
    ----------
    title, short
        What it is, above the picture and beside its button.
    note
        Small print after the title.
    wav
        The sound as `PCM_16` WAV.
    png, alt
        The picture, time to the right, and in words.
    y_ticks
        (relative position from 0 = bottom to 1 = top, text) on the left.
    span_s
        First and last second that the picture covers.
    """

    title: str
    short: str
    wav: bytes
    duration_s: float
    png: bytes
    alt: str
    y_ticks: tuple[tuple[float, str], ...]
    span_s: tuple[float, float]
    colour: str
    note: str = ""


_mount = register("asd_lanes", "lanes", styles=("stage.css", "keys.css"))


def lanes_player(lanes: Sequence[Lane], *, scale: ColourScale, peak: float, height_px: int, key: str) -> None:
    """Draw the lanes; a key from 1 or a button chooses the one that is heard, and the playhead stays where it is.

    Parameters
    ----------
    lanes
        1 to 12; the longest one is the time axis.
    scale
        What the colours of all pictures mean.
    peak
        Largest sample on the axis of all waveforms.
    height_px
        Of each picture.

    Raises
    ------
    InputError
        No lane or too many, or one that lasts no time.
    """
    if not 1 <= len(lanes) <= len(LETTERS) or any(lane.duration_s <= 0 for lane in lanes):
        raise InputError(f"a player takes 1 to {len(LETTERS)} sounds that last longer than 0 s, got {len(lanes)}")
    message = {
        "lanes": [_lane_message(lane, letter) for lane, letter in zip(lanes, LETTERS, strict=False)],
        "duration": max(float(lane.duration_s) for lane in lanes),
        "peak": max(float(peak), 1e-9),
        "height": height_px,
        "scale": {"stops": list(scale.stops), "low": scale.low, "high": scale.high},
    }
    _mount(key=key, data=message)


def _lane_message(lane: Lane, letter: str) -> dict[str, Any]:
    return {
        "letter": letter,
        "title": lane.title,
        "short": lane.short,
        "note": lane.note,
        "sound": hashlib.sha256(lane.wav).hexdigest()[:16],
        "wav": base64.b64encode(lane.wav).decode(),
        "duration": float(lane.duration_s),
        "png": base64.b64encode(lane.png).decode(),
        "alt": lane.alt,
        "ticks": [[float(at), text] for at, text in lane.y_ticks],
        "span": [float(second) for second in lane.span_s],
        "colour": lane.colour,
    }
