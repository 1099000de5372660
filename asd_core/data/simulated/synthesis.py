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

CLIP_S = 10.0
N_SAMPLES = 160_000

BLOCK = 64
"""Samples between control values: 4 ms."""
_N_BLOCKS = N_SAMPLES // BLOCK
CONTROL_S = np.arange(_N_BLOCKS + 1) * (BLOCK / SR)
WITHIN_BLOCK = np.arange(BLOCK, dtype=np.float32) / np.float32(BLOCK)
_BINS_HZ = np.arange(N_SAMPLES // 2 + 1) * (SR / N_SAMPLES)
KNOTS_HZ = np.concatenate([[0.0], np.geomspace(20.0, SR / 2, 160)])

FRICTION_ROLL, FAULT_ROLL, BUSY_ROLL = 54_321, 97_531, 123_457
"""Circular shifts in samples that make tracks coloured from one white spectrum independent of each other."""

_DENSITY_TO_MEL_DB = 52.94
"""Mel dB of noise with a one-sided density of 1 per Hz: sum(hann^2) * SR/2 / bin width, in dB."""
LINE_TO_MEL_DB = 38.3
"""Mel dB of a sine with rms 1 in one of the low, 23 Hz wide bands."""


def white_half_spectrum(rng: np.random.Generator) -> Complex64Array:
    """Draw the positive half of a white spectrum, shape (N_SAMPLES / 2 + 1,), mean power 1."""
    parts = rng.standard_normal(2 * _BINS_HZ.size, dtype=np.float32)
    parts *= np.float32(np.sqrt(0.5))
    return parts.view(np.complex64)


def coloured(half: Complex64Array, mel_db: FloatArray) -> Complex64Array:
    """Colour a white half spectrum: `mel_db` is the wanted level at each of `KNOTS_HZ`."""
    density = 10 ** ((mel_db - _DENSITY_TO_MEL_DB) / 10)
    amplitude = np.sqrt(density * (N_SAMPLES * SR / 2))
    spectrum: Complex64Array = half * np.interp(_BINS_HZ, KNOTS_HZ, amplitude).astype(np.float32)
    spectrum[0] = 0
    return spectrum


def to_time(spectrum: Complex64Array) -> Float32Array:
    """Return the samples of a half spectrum, shape (N_SAMPLES,)."""
    samples: Float32Array = scipy.fft.irfft(spectrum, N_SAMPLES, workers=1)
    return samples


def expand(control: FloatArray) -> Float32Array:
    """Join control values, shape (N_SAMPLES / BLOCK + 1,), by straight lines to shape (N_SAMPLES,)."""
    values = control.astype(np.float32)
    steps = np.diff(values)[:, None] * WITHIN_BLOCK  # (_N_BLOCKS, BLOCK)
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
    """Add a narrow line to `spectrum` in place: a tone whose strength wanders over a second or so."""
    centre = round(hz * N_SAMPLES / SR)
    offsets = np.arange(-12, 13)
    line = np.exp(-0.5 * (offsets / 3.0) ** 2) * (rng.standard_normal(25) + 1j * rng.standard_normal(25))
    line *= rms * N_SAMPLES / np.sqrt(2 * np.sum(np.abs(line) ** 2))
    spectrum[centre - 12 : centre + 13] += line.astype(np.complex64)


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
