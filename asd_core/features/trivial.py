"""Trivial numbers of a clip, taken from its samples without any training.

A benchmark on which one of them does as well as a trained detector says little about detectors.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy

from asd_core.features.log_mel import checked_samples
from asd_core.types import SR, Float32Array, FloatArray, Waveform

FRAME = 1024
LOW_HZ, HIGH_HZ = 500.0, 4000.0
PEAK_STDS = 4.0
ROLL_OFF = 0.85
TINY = 1e-30


_VERSION = "trivial 1"
"""In a cache's keys; the number is raised when the same samples give other values."""


def kurtosis(values: FloatArray) -> float:
    """Fourth moment about the mean over the squared variance: 3 for Gaussian noise, 1.5 for a sine."""
    centred = values - values.mean()
    return float((centred**4).mean() / max(float((centred**2).mean()) ** 2, TINY))


def _spectra(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Power spectra of frames without overlap, shape (n_frames, 513), and the bins' frequencies in Hz."""
    n_frames = len(samples) // FRAME
    frames = samples[: n_frames * FRAME].reshape(n_frames, FRAME) * np.hanning(FRAME)
    power = np.abs(scipy.fft.rfft(frames, axis=1)) ** 2
    return power, np.arange(power.shape[1]) * SR / FRAME


def numbers(samples: Float32Array) -> dict[str, float]:
    """Trivial numbers of a clip of at least two frames of 1024 samples at 16 kHz, by their names."""
    sound = samples.astype(np.float64)
    power, hz = _spectra(sound)
    mean_power, total = power.mean(axis=0), max(float(power.mean(axis=0).sum()), TINY)
    centroid = float((hz * mean_power).sum() / total)
    loudness = power.sum(axis=1)
    shape = power / np.maximum(power.sum(axis=1, keepdims=True), TINY)
    rms = float(sound.std())
    return {
        "level": 10 * float(np.log10(max(rms**2, TINY))),
        "kurtosis": kurtosis(sound),
        "kurtosis of the first difference": kurtosis(np.diff(sound)),
        "kurtosis of the second difference": kurtosis(np.diff(sound, 2)),
        "crest factor": float(np.abs(sound).max() / max(rms, TINY)),
        "peaks beyond 4 standard deviations": float((np.abs(sound - sound.mean()) > PEAK_STDS * rms).mean()),
        "zero crossings": float((np.diff(np.signbit(sound)) != 0).mean()),
        "spectral centroid": centroid,
        "spectral spread": float(np.sqrt(((hz - centroid) ** 2 * mean_power).sum() / total)),
        "spectral roll-off": float(hz[min(int(np.searchsorted(mean_power.cumsum(), ROLL_OFF * total)), len(hz) - 1)]),
        "spectral flatness": float(np.exp(np.log(np.maximum(mean_power, TINY)).mean()) / max(mean_power.mean(), TINY)),
        "spectral flux": float(np.abs(np.diff(shape, axis=0)).sum(axis=1).mean()),
        "share below 500 Hz": float(mean_power[hz < LOW_HZ].sum() / total),
        "share above 4 kHz": float(mean_power[hz > HIGH_HZ].sum() / total),
        "spread of the loudness": float(loudness.std() / max(float(loudness.mean()), TINY)),
    }


@cache
def names() -> tuple[str, ...]:
    """Names of the numbers, in their order."""
    return tuple(numbers(np.zeros(2 * FRAME, dtype=np.float32)))


def numbers_of(clip: Waveform) -> dict[str, float]:
    """Trivial numbers of a clip by their names; computed once where the clip has a cache.

    Raises
    ------
    InputError
        A rate other than 16 kHz, not mono, shorter than 2048 samples, or not finite.
    """

    def measured() -> FloatArray:
        found = numbers(checked_samples(clip, min_samples=2 * FRAME))
        return np.array([found[name] for name in names()], dtype=np.float64)

    values = clip.derived(f"{_VERSION} {', '.join(names())}", measured)
    return dict(zip(names(), values.tolist(), strict=True))
