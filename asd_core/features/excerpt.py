"""Hearing one spot of a clip: a stretch of time, one band of frequencies, and the normal clip that is most similar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from asd_core.errors import InputError
from asd_core.features.log_mel import vggish_patches
from asd_core.types import SR, Float32Array, FloatArray, Waveform

FADE_S = 0.02
EDGE_OCTAVES = 1 / 6
"""The band's edges fall over a sixth of an octave, so that it does not ring."""
LOUDEST = 0.7


def excerpt(
    waveform: Waveform, *, start_s: float, end_s: float, low_hz: float = 0.0, high_hz: float = SR / 2
) -> Float32Array:
    """Cut a stretch, keep one band of it, and fade its ends in and out.

    Returns
    -------
    Float32Array
        Shape (n_samples,), at the clip's own level.

    Raises
    ------
    InputError
        An empty stretch or band, or one outside the clip.
    """
    if not 0 <= start_s < end_s <= waveform.duration_s + 1e-6:
        raise InputError(f"a stretch must lie in 0 to {waveform.duration_s:.2f} s, got {start_s:.2f} to {end_s:.2f} s")
    if not 0 <= low_hz < high_hz <= SR / 2:
        raise InputError(f"a band must lie in 0 to {SR / 2:.0f} Hz, got {low_hz:.0f} to {high_hz:.0f} Hz")
    part = waveform.samples[round(start_s * SR) : round(end_s * SR)].astype(np.float64)
    spectrum = scipy.fft.rfft(part)
    hz = scipy.fft.rfftfreq(len(part), 1 / SR)
    band = scipy.fft.irfft(spectrum * band_gain(hz, low_hz, high_hz), len(part))
    fade = np.minimum(1.0, np.minimum(np.arange(len(band)), np.arange(len(band))[::-1]) / (FADE_S * SR))
    return np.asarray(band * fade, dtype=np.float32)


def band_gain(hz: FloatArray, low_hz: float, high_hz: float) -> FloatArray:
    """Gain of a band at frequencies, shape as `hz`: 1 inside, falling to 0 over a sixth of an octave outside."""
    octave = np.log2(np.maximum(hz, 1.0))
    rise = np.ones_like(hz) if low_hz <= 0 else (octave - np.log2(low_hz)) / EDGE_OCTAVES + 1
    fall = np.ones_like(hz) if high_hz >= SR / 2 else (np.log2(high_hz) - octave) / EDGE_OCTAVES + 1
    ramp: FloatArray = np.clip(np.minimum(rise, fall), 0.0, 1.0)
    return ramp


def made_audible(excerpts: Sequence[Float32Array]) -> list[Float32Array]:
    """Raise excerpts by one common gain until the loudest peak is at 0.7, so that they remain comparable."""
    peak = max((float(np.abs(part).max()) for part in excerpts if len(part)), default=0.0)
    gain = LOUDEST / peak if peak > 0 else 1.0
    return [np.asarray(part * np.float32(gain)) for part in excerpts]


def sound_vector(waveform: Waveform) -> FloatArray:
    """Mean and standard deviation of the clip's log-mel bands over time, shape (128,): what similarity is measured on.

    Raises
    ------
    InputError
        Shorter than one patch of 0.975 s.
    """
    patches = vggish_patches(waveform.samples)
    if not len(patches):
        raise InputError(f"a clip needs at least 0.975 s to be compared, got {waveform.duration_s:.2f} s")
    frames = patches.reshape(-1, patches.shape[2])
    return np.concatenate([frames.mean(axis=0), frames.std(axis=0)])


def nearest(vector: FloatArray, others: FloatArray) -> int:
    """Position of the nearest of `others`, shape (n, 128), by Euclidean distance; the first of equals."""
    return int(np.square(others - vector).sum(axis=1).argmin())
