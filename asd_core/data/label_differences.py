"""Do normal and anomalous clips differ as recordings? Then an AUC of 1.000 may be about the microphone.

Length, level, the highest frequency with sound and the file's own rate are compared one by one. A detector need not use
any of them, but one that hears nothing of the machine could.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

from asd_core.audio.stretches import extent
from asd_core.data.clips import Clip
from asd_core.errors import AudioError
from asd_core.features.cache import read_clip
from asd_core.types import SR, FloatArray, Waveform

MIN_CLIPS = 8
"""Of each label: from fewer, one trait or another separates the labels by chance."""
MIN_AUC = 0.98
SILENCE_DBFS = -120.0
N_FRAMES, FRAME = 32, 1024
"""Stretches of a clip whose spectra are averaged for its highest frequency."""
STEP_NOISE = 2.0**-30 / 12
"""Power of the rounding noise of 16 bits: what lies below ten times its density is no sound."""
_MEASURES = f"measures 1 frames={N_FRAMES}x{FRAME}"
"""Their name in a cache; the number is raised when the same samples give different ones."""


@dataclass(frozen=True)
class Measures:
    """A clip as a recording.

    Parameters
    ----------
    length_s, level_dbfs
        Length in seconds and RMS level, at least -120; 0 dBFS is full scale.
    edge_hz
        Highest frequency with sound above a 16-bit recorder's own noise, at most 8000; 0 for silence.
    rate_hz
        Sampling rate of the file.
    """

    length_s: float
    level_dbfs: float
    edge_hz: float
    rate_hz: float


@dataclass(frozen=True)
class _Trait:
    """How far the medians must lie apart (dB, or as a ratio), and the words for it."""

    name: str
    margin: float
    is_ratio: bool
    words: str


_TRAITS = (
    _Trait("length_s", 1.15, True, "last {ours:.3g} s, normal ones {theirs:.3g} s"),
    _Trait("level_dbfs", 3.0, False, "are {gap:.1f} dB {louder}"),
    _Trait("edge_hz", 1.3, True, "reach up to {ours:.0f} Hz, normal ones to {theirs:.0f} Hz"),
    _Trait("rate_hz", 1.05, True, "were saved at {ours:.0f} Hz, normal ones at {theirs:.0f} Hz"),
)


def measure(waveform: Waveform, path: Path) -> Measures:
    """Measure a clip that was read from `path`; once where it has a cache."""
    found = waveform.derived(_MEASURES, lambda: np.array([level_dbfs(waveform), _edge_hz(waveform)], dtype=np.float64))
    level, edge_hz = found.tolist()
    return Measures(waveform.duration_s, level, edge_hz, float(_rate_hz(path)))


def label_differences(clips: Sequence[Clip], *, channel: int | None) -> tuple[str, ...]:
    """Read clips, and say how the anomalous ones differ from the normal ones as recordings.

    Parameters
    ----------
    clips
        Of any split and label; what the reader refuses is left out.
    channel
        Channel to take, from 0; None takes the mean of all channels.
    """
    labels = [clip.label for clip in clips]
    if min(labels.count("normal"), labels.count("anomalous")) < MIN_CLIPS:
        return ()
    return differences(_measured(clips, channel))


def differences(measured: Iterable[tuple[str, Measures]]) -> tuple[str, ...]:
    """Say how anomalous clips differ from normal ones: `labels_differ: text` for each trait that separates them.

    A trait separates the labels where its AUC reaches 0.98 either way, from at least 8 clips of each, and where the
    medians lie further apart than recordings of one place do.

    Parameters
    ----------
    measured
        Label (others than normal and anomalous are left out) and measures of each clip.
    """
    by_label: dict[str, list[Measures]] = {"normal": [], "anomalous": []}
    for label, found in measured:
        by_label.get(label, []).append(found)
    normal, anomalous = by_label["normal"], by_label["anomalous"]
    if min(len(normal), len(anomalous)) < MIN_CLIPS:
        return ()
    remarks = (_remark(trait, _values(anomalous, trait), _values(normal, trait)) for trait in _TRAITS)
    return tuple(remark for remark in remarks if remark is not None)


def _measured(clips: Sequence[Clip], channel: int | None) -> Iterable[tuple[str, Measures]]:
    for clip in clips:
        try:
            yield clip.label, measure(read_clip(clip.path, channel=channel, span=clip.span), clip.path)
        except AudioError:
            continue


def _values(found: Sequence[Measures], trait: _Trait) -> FloatArray:
    return np.array([getattr(each, trait.name) for each in found], dtype=np.float64)


def _remark(trait: _Trait, anomalous: FloatArray, normal: FloatArray) -> str | None:
    area = _auc(anomalous, normal)
    ours, theirs = float(np.median(anomalous)), float(np.median(normal))
    gap = abs(np.log2(max(ours, 1e-9) / max(theirs, 1e-9))) if trait.is_ratio else abs(ours - theirs)
    least = np.log2(trait.margin) if trait.is_ratio else trait.margin
    if max(area, 1 - area) < MIN_AUC or gap < least:
        return None
    louder = "louder" if ours > theirs else "quieter"
    words = trait.words.format(ours=ours, theirs=theirs, gap=gap, louder=louder)
    return (
        f"labels_differ: anomalous clips {words} (medians); this alone tells them apart (AUC "
        f"{max(area, 1 - area):.3f}), so a detector's AUC may be about the recording and not about the machine"
    )


def _auc(anomalous: FloatArray, normal: FloatArray) -> float:
    """Share of pairs in which the anomalous clip has the larger value; ties count half."""
    known = np.sort(normal)
    below, up_to = np.searchsorted(known, anomalous, "left"), np.searchsorted(known, anomalous, "right")
    return float((below + up_to).mean() / (2 * len(known)))


def level_dbfs(waveform: Waveform) -> float:
    """RMS level in dB relative to full scale; -120 for silence."""
    power = float(np.square(waveform.samples, dtype=np.float64).mean())
    return max(SILENCE_DBFS, 10.0 * float(np.log10(max(power, 1e-30))))


def _edge_hz(waveform: Waveform) -> float:
    starts = np.linspace(0, len(waveform.samples) - FRAME, N_FRAMES).round().astype(np.intp)
    frames = waveform.samples[starts[:, None] + np.arange(FRAME)]  # (32, 1024)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    spectrum = scipy.fft.rfft(frames * window, axis=1, workers=1)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)).mean(axis=0)  # (513,)
    loud = np.flatnonzero(power > 10 * STEP_NOISE * np.square(window).sum())
    return float(loud[-1] * SR / FRAME) if len(loud) else 0.0


def _rate_hz(path: Path) -> int:
    return extent(path).sr
