"""Coloured noise, tones and decaying modes, from which the simulated sounds are put together.

Levels in "mel dB" are 10 log10 of the power in a Slaney mel band (n_fft 1024, 128 bands).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy

from asd_core.types import SR, Float32Array, FloatArray

Complex64Array: TypeAlias = npt.NDArray[np.complex64]

BLOCK = 64
"""Samples between control values: 4 ms."""
WITHIN_BLOCK = np.arange(BLOCK, dtype=np.float32) / np.float32(BLOCK)
KNOTS_HZ = np.concatenate([[0.0], np.geomspace(20.0, SR / 2, 160)])

FRICTION_ROLL, FAULT_ROLL, BUSY_ROLL = 54_321, 97_531, 123_457
"""Circular shifts in samples that make tracks coloured from one white spectrum independent of each other."""

_DENSITY_TO_MEL_DB = 52.94
"""Mel dB of noise with a one-sided density of 1 per Hz: sum(hann^2) * SR/2 / bin width, in dB."""
LINE_TO_MEL_DB = 38.3
"""Mel dB of a sine with rms 1 in one of the low, 23 Hz wide bands."""


def control_times(n_samples: int) -> FloatArray:
    """Times of the control values in seconds, shape (n_samples / BLOCK + 1,)."""
    return np.asarray(np.arange(n_samples // BLOCK + 1) * (BLOCK / SR), np.float64)


def white_half_spectrum(n_samples: int, rng: np.random.Generator) -> Complex64Array:
    """Draw the positive half of a white spectrum, shape (n_samples / 2 + 1,), mean power 1; `n_samples` is even."""
    parts = rng.standard_normal(2 * (n_samples // 2 + 1), dtype=np.float32)
    parts *= np.float32(np.sqrt(0.5))
    return parts.view(np.complex64)


def coloured(half: Complex64Array, mel_db: FloatArray) -> Complex64Array:
    """Colour a white half spectrum: `mel_db` is the wanted level at each of `KNOTS_HZ`."""
    density = 10 ** ((mel_db - _DENSITY_TO_MEL_DB) / 10)
    n_samples = _n_samples(half)
    amplitude = np.sqrt(density * (n_samples * SR / 2))
    bins_hz = np.arange(half.size) * (SR / n_samples)
    spectrum: Complex64Array = half * np.interp(bins_hz, KNOTS_HZ, amplitude).astype(np.float32)
    spectrum[0] = 0
    return spectrum


def to_time(spectrum: Complex64Array) -> Float32Array:
    """Return the samples of a half spectrum, shape (n_samples,)."""
    samples: Float32Array = scipy.fft.irfft(spectrum, _n_samples(spectrum), workers=1)
    return samples


def _n_samples(half: Complex64Array) -> int:
    return 2 * (half.size - 1)


def expand(control: FloatArray) -> Float32Array:
    """Join control values, shape (n_blocks + 1,), by straight lines to shape (n_blocks * BLOCK,)."""
    values = control.astype(np.float32)
    steps = np.diff(values)[:, None] * WITHIN_BLOCK  # (n_blocks, BLOCK)
    return np.asarray((values[:-1, None] + steps).reshape(-1), np.float32)


def phase(pitch_hz: FloatArray, rng: np.random.Generator) -> Float32Array:
    """Return the phase of a tone of this pitch at the control times, shape (n_blocks, BLOCK), from a drawn start."""
    advance = 2 * np.pi * pitch_hz[:-1] * (BLOCK / SR)
    start = np.mod(rng.uniform(0, 2 * np.pi) + np.concatenate([[0.0], np.cumsum(advance)[:-1]]), 2 * np.pi)
    return np.asarray(start.astype(np.float32)[:, None] + advance[:, None].astype(np.float32) * WITHIN_BLOCK)


def octaves_above(hz: float) -> FloatArray:
    """Return how many octaves each of `KNOTS_HZ` lies above a frequency."""
    return np.asarray(np.log2(np.maximum(KNOTS_HZ, 1.0) / hz), np.float64)


def hump(centre_hz: float, width_octaves: float) -> FloatArray:
    """Return a Gaussian over octaves at `KNOTS_HZ`, 1 at its centre."""
    return np.asarray(np.exp(-0.5 * (octaves_above(centre_hz) / width_octaves) ** 2), np.float64)


def add_tone(spectrum: Complex64Array, hz: float, rms: float, rng: np.random.Generator) -> None:
    """Add a narrow line to `spectrum` in place: a tone whose strength wanders over tenths of a second."""
    n_samples = _n_samples(spectrum)
    centre, reach = round(hz * n_samples / SR), round(8.0 * n_samples / SR)
    offsets = np.arange(-reach, reach + 1)  # bins, up to 8 Hz away
    draws = rng.standard_normal(offsets.size) + 1j * rng.standard_normal(offsets.size)
    line = np.exp(-0.5 * (offsets / (2.0 * n_samples / SR)) ** 2) * draws
    line *= rms * n_samples / np.sqrt(2 * np.sum(np.abs(line) ** 2))
    spectrum[centre - reach : centre + reach + 1] += line.astype(np.complex64)


def ring(hz: FloatArray, decays_s: FloatArray, peaks: FloatArray, rng: np.random.Generator) -> Float32Array:
    """Make a sum of decaying modes, six decays of the slowest long; phases are drawn."""
    time_s = np.arange(int(6 * decays_s.max() * SR), dtype=np.float32)[:, None] / np.float32(SR)
    phases = rng.uniform(0, 2 * np.pi, hz.size).astype(np.float32)
    angles = (2 * np.pi * hz).astype(np.float32) * time_s + phases  # (n_template, n_modes)
    modes = np.sin(angles) * np.exp(-time_s / decays_s.astype(np.float32))
    onset = np.minimum(time_s[:, 0] / np.float32(0.0005), 1)
    return np.asarray((modes @ peaks.astype(np.float32)) * onset, np.float32)


def add_at(track: Float32Array, template: Float32Array, time_s: float, gain: float) -> None:
    """Add a template to `track` in place; it may start between samples, and what lies outside is cut off."""
    first = int(np.floor(time_s * SR))
    if first >= track.size or first + template.size < 0:
        return
    fraction = np.float32(time_s * SR - first)
    shifted = np.empty(template.size + 1, np.float32)
    shifted[:-1] = template * (1 - fraction)
    shifted[-1] = 0
    shifted[1:] += template * fraction
    low, high = max(first, 0), min(first + shifted.size, track.size)
    if low < high:
        track[low:high] += np.float32(gain) * shifted[low - first : high - first]


def gains(n: int, sd_db: float, rng: np.random.Generator) -> FloatArray:
    """Draw `n` factors that scatter around 1 by `sd_db`."""
    return np.asarray(10 ** (sd_db * rng.standard_normal(n) / 20), np.float64)
