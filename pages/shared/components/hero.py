"""A normal clip, then an anomalous one, on one playhead: what a detector hears lights up as the playhead passes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asd_core.errors import InputError
from asd_core.reports.plots import ANOMALOUS_COLOUR, NORMAL_COLOUR
from pages.shared.components import register
from pages.shared.components.player import ColourScale


@dataclass(frozen=True)
class HeroClip:
    """One of the clips, and what the detector makes of it.

    Parameters
    ----------
    title, verdict
        What it is, and what the detector says of it at its end.
    is_anomalous, called_anomalous
        Its label, and the verdict.
    spectrogram, map_picture
        PNG, time to the right.
    map_span_s
        First and last second of the clip that the map covers.
    times_s, values
        The score as it builds up, equally long, times rising; the last value is the clip's score.
    """

    title: str
    verdict: str
    is_anomalous: bool
    called_anomalous: bool
    duration_s: float
    spectrogram: bytes
    map_picture: bytes
    map_alt: str
    map_span_s: tuple[float, float]
    times_s: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True)
class HeroRow:
    """What one of the pictures shows: a label, (relative height, text) ticks, and the legend of its colours."""

    label: str
    ticks: tuple[tuple[float, str], ...]
    scale: ColourScale | None


_mount = register("asd_hero", "hero", styles=("stage.css", "keys.css"))


def hero(
    clips: Sequence[HeroClip],
    *,
    flac: bytes,
    spectrogram: HeroRow,
    anomaly_map: HeroRow,
    detector: str,
    colour: str,
    threshold: float,
    key: str,
) -> None:
    """Draw the clips one after another; nothing sounds before the play button is pressed.

    Parameters
    ----------
    flac
        The sound of all clips, one after another.
    detector, colour
        Name and colour of the detector that listens.
    threshold
        Of its scores; drawn as a dashed line.

    Raises
    ------
    InputError
        No clips, or times and values of different lengths.
    """
    if not clips or any(len(clip.times_s) != len(clip.values) for clip in clips):
        raise InputError("a demonstration needs clips whose times and values are equally long")
    ends = [sum(clip.duration_s for clip in clips[: i + 1]) for i in range(len(clips))]
    message = {
        "sound": hashlib.sha256(flac).hexdigest()[:16],
        "flac": base64.b64encode(flac).decode(),
        "duration": ends[-1],
        "ends": ends,
        "clips": [_clip_message(clip) for clip in clips],
        "sound_panel": _row_message(spectrogram),
        "map_panel": _row_message(anomaly_map),
        "score_label": f"{detector}: how the score builds up",
        "score_alt": f"Score of {detector} over time: {'; '.join(clip.verdict for clip in clips)}",
        "colour": colour,
        "colours": {"normal": NORMAL_COLOUR, "anomalous": ANOMALOUS_COLOUR},
        "threshold": float(f"{threshold:.6g}"),
    }
    _mount(key=key, data=message)


def _clip_message(clip: HeroClip) -> dict[str, Any]:
    return {
        "title": clip.title,
        "verdict": clip.verdict,
        "colour": _colour(clip.is_anomalous),
        "verdict_colour": _colour(clip.called_anomalous),
        "duration": float(clip.duration_s),
        "png": base64.b64encode(clip.spectrogram).decode(),
        "alt": f"Spectrogram of the {clip.title}: time to the right, frequency upwards, brighter is louder",
        "map": base64.b64encode(clip.map_picture).decode(),
        "map_alt": clip.map_alt,
        "map_span": [float(second) for second in clip.map_span_s],
        "times": [round(float(second), 3) for second in clip.times_s],
        "values": [float(f"{value:.5g}") for value in clip.values],
    }


def _row_message(row: HeroRow) -> dict[str, Any]:
    scale = row.scale
    return {
        "label": row.label,
        "ticks": [[float(at), text] for at, text in row.ticks],
        "scale": None if scale is None else {"stops": list(scale.stops), "low": scale.low, "high": scale.high},
    }


def _colour(is_anomalous: bool) -> str:
    return ANOMALOUS_COLOUR if is_anomalous else NORMAL_COLOUR
