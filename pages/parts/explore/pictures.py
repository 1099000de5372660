"""The pictures of the explore page: spectrograms as the reader sets them, and what librosa makes of a sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from asd_core.features.librosa_views import ConstantQ, Rhythm, SoundParts, constant_q, rhythm, sound_parts
from asd_core.features.spectra import HOPS, SCALES, WINDOWS, spectrogram
from asd_core.reports.plots import PALETTES, frequency_ticks, heatmap_png, palette_stops
from asd_core.types import SR, Waveform
from pages.shared.choices import keep, link, switch
from pages.shared.components.player import ColourScale
from pages.shared.keys import kept

SPECTROGRAM, PARTS, RHYTHM, PITCH = "spectrogram", "parts", "rhythm", "pitch"
PICTURES = {SPECTROGRAM: "Spectrogram", PARTS: "Hum and knocks", RHYTHM: "Rhythm", PITCH: "Pitch"}
MOST_SWITCHED = 3
"""With more options than these, a slider takes their place."""
TOPS_DB, SPANS_DB = (-45, -30, -15, -5, 0, 15, 30), (30, 40, 50, 60, 70, 80, 100)
PITCH_DB = (-100.0, -30.0)
"""Levels of the end colours of a constant-Q picture, in dB re a full-scale sine."""
BEATS = (30, 60, 120, 240, 480, 960)


@dataclass(frozen=True)
class PictureSettings:
    """How spectrograms are drawn: axis, window and hop in samples, palette, and the levels of both end colours."""

    scale: str
    window: int
    hop_length: int
    palette: str
    low_db: float
    high_db: float

    @property
    def text(self) -> str:
        """The settings in words."""
        return (
            f"{self.scale} frequency axis, window {self.window} samples ({1000 * self.window / SR:g} ms), "
            f"step {self.hop_length} ({1000 * self.hop_length / SR:g} ms), {self.low_db:g} to {self.high_db:g} dB"
        )

    @property
    def colours(self) -> ColourScale:
        """The legend."""
        return ColourScale(palette_stops(self.palette), f"{self.low_db:g} dB", f"{self.high_db:g} dB")


@dataclass(frozen=True)
class Picture:
    """A sound drawn over time.

    Parameters
    ----------
    png
        Time to the right.
    span_s
        First and last second of it.
    ticks
        (relative position from 0 = bottom to 1 = top, text).
    what, axis
        What is drawn and what lies upwards, in words, for those who do not see it.
    note
        What was found in it.
    """

    png: bytes
    span_s: tuple[float, float]
    ticks: tuple[tuple[float, str], ...]
    what: str
    axis: str
    note: str = ""


def picture_settings() -> PictureSettings:
    """Let the user choose how spectrograms are drawn; the URL names every choice."""
    with st.expander("Picture settings", icon=":material/tune:"):
        left, right = st.columns(2)
        scale = _choice(left, "scale", "Frequency axis", SCALES, "mel")
        palette = _choice(right, "palette", "Colours", PALETTES, "viridis")
        window = int(_choice(left, "window", "Window (samples at 16 kHz)", WINDOWS, "1024"))
        hops = [hop for hop in HOPS if hop <= window // 2]  # a longer step would skip sound
        hop = int(_choice(right, "hop", "Step between windows (samples)", hops, str(min(512, window // 2))))
        high = float(_choice(left, "top", "Brightest colour at (dB)", TOPS_DB, "-5"))
        span = float(_choice(right, "span", "Range of the colours (dB)", SPANS_DB, "70"))
        st.caption(
            "A long window tells close tones apart, a short one close moments. Window 1024, step 512 on the mel axis "
            "is what the LSTM and the GRU see."
        )
    return PictureSettings(scale, window, hop, palette, high - span, high)


def _choice(
    place: st.delta_generator.DeltaGenerator, key: str, label: str, options: Sequence[object], default: str
) -> str:
    texts = [str(option) for option in options]
    keep(key, [default, *texts])
    if len(texts) <= MOST_SWITCHED:
        return switch(label, texts, key=key, place=place)
    chosen = place.select_slider(label, texts, key=key, persist_state="session")
    link(key)
    return chosen


def drawn(kind: str, waveform: Waveform, settings: PictureSettings) -> tuple[Picture, ColourScale]:
    """Draw a sound as one of `PICTURES`; return the legend of its colours as well."""
    if kind == RHYTHM:
        return _rhythm_picture(waveform), ColourScale(palette_stops("magma"), "no repeat", "strong repeat")
    if kind == PITCH:
        low, high = PITCH_DB
        return _pitch_picture(waveform), ColourScale(palette_stops("viridis"), f"{low:g} dB", f"{high:g} dB")
    return spectrogram_picture(waveform, settings), settings.colours


@kept()
def spectrogram_picture(waveform: Waveform, settings: PictureSettings) -> Picture:
    """Draw a sound's spectrogram."""
    return _spectrogram(waveform.samples, settings)


def _spectrogram(samples: np.ndarray, settings: PictureSettings) -> Picture:
    made = spectrogram(samples, window=settings.window, hop_length=settings.hop_length, scale=settings.scale)
    png = heatmap_png(made.levels_db, low=settings.low_db, high=settings.high_db, palette=settings.palette)
    ticks = frequency_ticks(made.bands_hz, ticks_hz=(250, 500, 1000, 2000, 4000, 6000))
    return Picture(png, made.span_s, ticks, "Spectrogram", settings.text)


@dataclass(frozen=True)
class HeardPart:
    """A part of a sound, to be seen and heard by itself."""

    samples: np.ndarray
    picture: Picture


def part_pictures(waveform: Waveform, settings: PictureSettings) -> dict[str, HeardPart]:
    """Split a sound into its hum and its knocks, each with its spectrogram."""
    parts = _parts(waveform)
    both = {"hum": parts.harmonic, "knocks": parts.percussive}
    return {name: HeardPart(samples, _part_picture(waveform, name, settings)) for name, samples in both.items()}


@kept("Taking the sound apart …")
def _parts(waveform: Waveform) -> SoundParts:
    return sound_parts(waveform.samples)


@kept()
def _part_picture(waveform: Waveform, name: str, settings: PictureSettings) -> Picture:
    parts = _parts(waveform)
    return _spectrogram(parts.harmonic if name == "hum" else parts.percussive, settings)


@kept("Looking for a rhythm …")
def _rhythm_picture(waveform: Waveform) -> Picture:
    found = rhythm(waveform.samples)
    png = heatmap_png(found.strength[::4], low=0.0, high=1.0, palette="magma")
    at = np.interp(np.log(BEATS), np.log(found.tempi_bpm), np.linspace(0, 1, len(found.tempi_bpm)))
    ticks = tuple((float(place), f"{beats} · {beats / 60:g}") for place, beats in zip(at, BEATS, strict=True))
    return Picture(png, found.span_s, ticks, "Rhythm", "beats per minute upwards", _beat(found))


def _beat(found: Rhythm) -> str:
    beats = found.beats_per_minute
    if beats is None:
        return "beats per minute · Hz; no clear rhythm"
    return f"beats per minute · Hz; most at {beats:.0f} per minute ({beats / 60:.1f} Hz)"


@kept("Drawing its pitches …")
def _pitch_picture(waveform: Waveform) -> Picture:
    found = constant_q(waveform.samples)
    low, high = PITCH_DB
    ticks = frequency_ticks(found.bins_hz, ticks_hz=(55, 110, 220, 440, 880, 1760, 3520))
    png = heatmap_png(found.levels_db, low=low, high=high)
    return Picture(png, found.span_s, ticks, "Constant-Q picture", "octaves upwards", _tone(found))


def _tone(found: ConstantQ) -> str:
    mean = (10 ** (found.levels_db / 10)).mean(axis=0)
    return f"loudest near {found.bins_hz[mean.argmax()]:.0f} Hz"
