"""Listening to a clip: player, spectrogram, and each detector's map on one time axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from asd_core.artifacts.store import Artifact
from asd_core.audio.reading import encode_wav
from asd_core.detectors import detector_class
from asd_core.detectors.on_embeddings import PatchDetector
from asd_core.features.log_mel import log_mel, mel_band_centres_hz
from asd_core.formats import score_text
from asd_core.reports.plots import (
    DETECTOR_COLOURS,
    DETECTOR_SHORT_NAMES,
    MAP_LABELS,
    MAP_TIMES_THRESHOLD,
    SPECTROGRAM_DB,
    frequency_ticks,
    heatmap_png,
    map_limit,
    palette_stops,
)
from asd_core.types import SR, FloatArray, MapUnit, Waveform
from pages.shared.cache import Heard
from pages.shared.components.player import ColourScale, Panel, Selection, Trace, synced_player

FRAME_S = 0.032
UNIT_TEXTS: Mapping[MapUnit, str] = {
    "error": "",
    "times_normal": "\N{MULTIPLICATION SIGN} normal",
    "spreads": "spreads",
}
"""What a number of a map is followed by."""


@dataclass(frozen=True)
class Size:
    """Heights of a player's pictures in pixels.

    Parameters
    ----------
    is_low
        Whether everything else takes as little height as it can: short names above the maps, without notes.
    """

    spectrogram: int = 190
    map: int = 130
    trace: int = 90
    is_low: bool = False


FULL_SIZE = Size()


def listening_panels(
    waveform: Waveform,
    artifacts: Mapping[str, Artifact],
    heard: Mapping[str, Heard],
    *,
    title: str,
    key: str,
    selection: Selection | None = None,
    size: Size = FULL_SIZE,
) -> None:
    """Draw the player with a spectrogram and one map per detector.

    Parameters
    ----------
    selection
        The region that the page follows; None leaves regions to the player alone.
    """
    panels: list[Panel | Trace] = [_spectrogram(waveform, size)]
    panels += [_map_panel(artifacts[name], each, waveform, size) for name, each in heard.items()]
    synced_player(
        clip=player_clip(waveform, artifacts),
        title=title,
        wav=encode_wav(waveform.samples),
        duration_s=waveform.duration_s,
        panels=panels,
        key=key,
        selection=selection,
        is_low=size.is_low,
    )


def player_clip(waveform: Waveform, artifacts: Mapping[str, Artifact]) -> str:
    """Identify what the player shows: the clip and the versions that listened to it."""
    return waveform.digest + "".join(artifact.version for artifact in artifacts.values())


def _spectrogram(waveform: Waveform, size: Size) -> Panel:
    low, high = SPECTROGRAM_DB
    return Panel(
        label="Log-mel spectrogram",
        png=heatmap_png(log_mel(waveform.samples), low=low, high=high),
        alt="Log-mel spectrogram: time to the right, frequency upwards, brighter is louder",
        y_ticks=frequency_ticks(mel_band_centres_hz()),
        height_px=size.spectrogram,
        scale=ColourScale(palette_stops("viridis"), f"{low:g} dB", f"{high:g} dB", (low, high), "dB"),
        edges_hz=band_edges_hz(mel_band_centres_hz()),
    )


def band_edges_hz(centres_hz: FloatArray) -> tuple[int, ...]:
    """Edges of bands in whole Hz, half-way between their centres; shape (n_bands + 1,), from 0 to half the rate."""
    inner = (centres_hz[:-1] + centres_hz[1:]) / 2
    return (0, *(round(float(edge)) for edge in inner), SR // 2)


def _map_panel(artifact: Artifact, heard: Heard, waveform: Waveform, size: Size) -> Panel | Trace:
    steps = heard.anomaly_map.times_s
    colour = DETECTOR_COLOURS[artifact.detector_name]
    if heard.anomaly_map.values.shape[1] == 1:
        return _trace(artifact, heard, colour, size)
    unit = heard.anomaly_map.unit
    high = map_limit(heard.anomaly_map.values, artifact.threshold.value, unit=unit)
    half_step = (steps[1] - steps[0]) / 2 if len(steps) > 1 else FRAME_S / 2
    return Panel(
        label=f"{_panel_name(artifact, size)}: {MAP_LABELS[unit]}",
        png=heatmap_png(heard.anomaly_map.values, low=0.0, high=high, palette="magma"),
        alt=f"Anomaly map of {artifact.title}; {loudest_text(heard)}",
        y_ticks=frequency_ticks(heard.anomaly_map.bands_hz),
        height_px=size.map,
        colour=colour,
        note=None if size.is_low else loudest_text(heard),
        span_s=(max(0.0, float(steps[0] - half_step)), min(waveform.duration_s, float(steps[-1] + half_step))),
        scale=ColourScale(
            palette_stops("magma"),
            *_scale_texts(artifact.threshold.value, high, unit=unit),
            values=(0.0, high),
            unit=UNIT_TEXTS[unit],
        ),
        edges_hz=band_edges_hz(heard.anomaly_map.bands_hz),
    )


def _scale_texts(threshold: float | None, high: float, *, unit: MapUnit) -> tuple[str, str]:
    """Say what the darkest and the brightest colour of a network's map stand for."""
    if unit == "spreads":
        return "normal", f"{high:g} spreads above"
    return "0", f"{high:g} × normal" if unit == "times_normal" else _limit_text(threshold, high)


def _limit_text(threshold: float | None, high: float) -> str:
    return score_text(high) if threshold is None or threshold <= 0 else f"{MAP_TIMES_THRESHOLD:g} × threshold"


def _panel_name(artifact: Artifact, size: Size) -> str:
    return DETECTOR_SHORT_NAMES[artifact.detector_name] if size.is_low else artifact.title


def _trace(artifact: Artifact, heard: Heard, colour: str, size: Size = FULL_SIZE) -> Trace:
    name = _panel_name(artifact, size)
    if issubclass(detector_class(artifact.detector_name), PatchDetector):
        label = f"{name}: score of each 0.96 s"
        alt = f"Score that {artifact.title} gives each 0.96 s, whose mean is the clip's"
    else:
        label = f"{name}: how the score depends on each 0.96 s"
        alt = f"How much the score of {artifact.title} falls without each patch"
    return Trace(
        label=label,
        times_s=heard.anomaly_map.times_s.tolist(),
        values=heard.anomaly_map.values[:, 0].tolist(),
        alt=f"{alt}; {loudest_text(heard)}",
        colour=colour,
        note=None if size.is_low else loudest_text(heard),
        height_px=size.trace,
    )


def loudest_text(heard: Heard) -> str:
    """Say where the map is highest: `strangest at 3.20 s near 2.1 kHz`, and how high where that is measured.

    A map over time only is called no more than highest there: its time AUC on simulated faults lies about 0.5
    (docs/evaluation.md), so that its highest place says hardly anything about the fault's.
    """
    values = heard.anomaly_map.values
    step, band = np.unravel_index(values.argmax(), values.shape)
    at = f"at {heard.anomaly_map.times_s[step]:.2f} s"
    if values.shape[1] == 1:
        return f"highest {at}; simulated faults are found in time hardly better than by chance"
    hz = heard.anomaly_map.bands_hz[band]
    place = f"strangest {at} near {frequency_text(hz)}"
    found, unit = float(values[step, band]), heard.anomaly_map.unit
    if unit == "error":
        return place
    return f"{place}: {spreads_text(found) if unit == 'spreads' else f'{found:.1f} times what is normal there'}"


def strangest_place(heard: Heard) -> tuple[float, float] | None:
    """Return seconds and Hz of a map's highest value; None for a map over time only."""
    values = heard.anomaly_map.values
    if values.shape[1] == 1:
        return None
    step, band = np.unravel_index(values.argmax(), values.shape)
    return float(heard.anomaly_map.times_s[step]), float(heard.anomaly_map.bands_hz[band])


def frequency_text(hz: float) -> str:
    """Write a frequency as people say it: `2.1 kHz`, `150 Hz`."""
    return f"{hz / 1000:.1f} kHz" if hz >= 1000 else f"{hz:.0f} Hz"


def spreads_text(spreads: float) -> str:
    """Write how far a value lies from what is normal in its band: `3.2 normal spreads above what is normal there`."""
    side = "above" if spreads >= 0 else "below"
    return f"{abs(spreads):.1f} normal spreads {side} what is normal there"
