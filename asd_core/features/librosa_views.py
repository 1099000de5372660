"""Sounds taken apart by librosa: what lasts and what strikes, the rhythm, and pitch on a scale of equal ratios.

librosa needs Numba, whose functions take seconds when they are first used, so it is imported where it is asked for.
Nothing here is seen by a detector: these are pictures and sounds for people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError
from asd_core.system.extras import require
from asd_core.system.threads import one_blas_thread
from asd_core.types import SR, Float32Array, FloatArray

HOP_LENGTH = 256
"""Samples between the steps of a constant-Q picture: 16 ms."""
ONSET_HOP = 128
"""Samples between the steps of a rhythm: 8 ms, so that neighbouring tempi are told apart up to 16 Hz."""
RHYTHM_WINDOW = 768
"""Steps over which a rhythm is looked for: 6.1 s."""
SLOWEST_BPM, FASTEST_BPM, N_TEMPI = 30.0, 960.0, 160
"""Range of a rhythm, 0.5 to 16 Hz, on a logarithmic axis of 32 tempi per octave."""
CLEAR_STRENGTH = 0.3
"""Mean strength from which a rhythm is called one: noise stays below it."""
LOWEST_HZ, BINS_PER_OCTAVE, N_OCTAVES = 55.0, 24, 7
"""The constant-Q bins: quarter tones from 55 Hz (the note A1) to just below 7 kHz."""
FLOOR_DB = -100.0

_PERCUSSION_WINDOW = 1024
_FIRST_ONSETS = 10
"""Steps at which a sound's own beginning would be an onset."""


@dataclass(frozen=True, eq=False)
class SoundParts:
    """A sound's two parts, each of shape (n_samples,) and on the scale of the whole; they add up to it.

    Parameters
    ----------
    harmonic
        What lasts: lines along time in the spectrogram, such as a motor's hum.
    percussive
        What strikes: lines along frequency, such as knocks.
    """

    harmonic: Float32Array
    percussive: Float32Array


@dataclass(frozen=True, eq=False)
class Rhythm:
    """How strongly a sound repeats itself at each tempo, over time.

    Parameters
    ----------
    strength
        Shape (n_steps, n_tempi), 0 to 1: autocorrelation of the onsets within 6.1 s around the step, over the step's
        largest.
    tempi_bpm
        Shape (n_tempi,): rising tempi in beats per minute, equally spaced in logarithm; divide by 60 for Hz.
    span_s
        Where the first step begins and the last one ends, in seconds.
    """

    strength: Float32Array
    tempi_bpm: FloatArray
    span_s: tuple[float, float]

    @property
    def beats_per_minute(self) -> float | None:
        """The fastest tempo whose mean strength peaks at 85 % of the highest or more; None where none is clear.

        What repeats each second repeats every two seconds as well, so that slower peaks may be as high.
        """
        mean = self.strength.mean(axis=0)
        if mean.max() < CLEAR_STRENGTH:
            return None
        inner = mean[1:-1]
        peaks = 1 + np.flatnonzero((inner > mean[:-2]) & (inner >= mean[2:]) & (inner >= 0.85 * mean.max()))
        return float(self.tempi_bpm[peaks[-1]]) if len(peaks) else None


@dataclass(frozen=True, eq=False)
class ConstantQ:
    """Levels on a frequency axis of equal ratios.

    Parameters
    ----------
    levels_db
        Shape (n_steps, n_bins) in dB re a full-scale sine; at least -100.
    bins_hz
        Shape (n_bins,): rising centre frequencies in Hz, 24 per octave.
    span_s
        Where the first step begins and the last one ends, in seconds.
    """

    levels_db: Float32Array
    bins_hz: FloatArray
    span_s: tuple[float, float]


@one_blas_thread()
def sound_parts(samples: npt.ArrayLike) -> SoundParts:
    """Split a sound into what lasts and what strikes, by median filters (Fitzgerald, 2010).

    Parameters
    ----------
    samples
        Shape (n_samples,) at 16 kHz, full scale is 1.
    """
    signal = _checked(samples)
    require("views", task="taking a sound apart")
    import librosa

    padded = _padded(signal, _PERCUSSION_WINDOW)
    spectrum = librosa.stft(padded, n_fft=_PERCUSSION_WINDOW, hop_length=HOP_LENGTH)
    harmonic, _ = librosa.decompose.hpss(spectrum)
    lasting = librosa.istft(harmonic, hop_length=HOP_LENGTH, length=len(padded))[: len(signal)].astype(np.float32)
    return SoundParts(lasting, signal - lasting)


@one_blas_thread()
def rhythm(samples: npt.ArrayLike) -> Rhythm:
    """Find the tempi at which a sound's onsets repeat: an autocorrelation tempogram (Grosche et al., 2010).

    A rhythm is seen at its half and its third as well: what repeats each second also repeats every two.

    Parameters
    ----------
    samples
        Shape (n_samples,) at 16 kHz, full scale is 1.
    """
    signal = _checked(samples)
    require("views", task="finding a rhythm")
    import librosa

    onsets = librosa.onset.onset_strength(y=_padded(signal, 2048), sr=SR, hop_length=ONSET_HOP)
    onsets -= onsets.mean()  # of steady noise the rest repeats at no tempo, the mean at all of them
    onsets[:_FIRST_ONSETS] = 0.0
    # Beyond its ends a sound is silent: a ramp, which librosa would add there, repeats at all tempi.
    around = np.pad(onsets, RHYTHM_WINDOW // 2)
    by_lag = librosa.feature.tempogram(
        onset_envelope=around, sr=SR, hop_length=ONSET_HOP, win_length=RHYTHM_WINDOW, center=False
    ).T[: len(onsets)]  # (n_steps, n_lags)
    tempi = np.geomspace(SLOWEST_BPM, FASTEST_BPM, N_TEMPI)
    lags = 60.0 * SR / ONSET_HOP / tempi
    below = np.floor(lags).astype(int)
    share = lags - below
    strength = (1 - share) * by_lag[:, below] + share * by_lag[:, np.minimum(below + 1, RHYTHM_WINDOW - 1)]
    return Rhythm(np.clip(strength, 0, 1).astype(np.float32), tempi, _span_s(len(strength), ONSET_HOP))


@one_blas_thread()
def constant_q(samples: npt.ArrayLike) -> ConstantQ:
    """Levels of quarter tones over time: low tones are told apart finely, high ones are placed finely in time.

    Parameters
    ----------
    samples
        Shape (n_samples,) at 16 kHz, full scale is 1.
    """
    signal = _checked(samples)
    require("views", task="a constant-Q picture")
    import librosa

    bins_hz = LOWEST_HZ * 2.0 ** (np.arange(N_OCTAVES * BINS_PER_OCTAVE) / BINS_PER_OCTAVE)
    transformed = librosa.cqt(
        _padded(signal, 2 * SR),  # the longest filter takes 0.6 s, and each octave halves the rate
        sr=SR,
        hop_length=HOP_LENGTH,
        fmin=LOWEST_HZ,
        n_bins=len(bins_hz),
        bins_per_octave=BINS_PER_OCTAVE,
        scale=False,
    )
    lengths, _ = librosa.filters.wavelet_lengths(freqs=bins_hz, sr=SR)
    amplitude = (2.0 * np.abs(transformed) / lengths[:, None]).T[: 1 + len(signal) // HOP_LENGTH]  # (n_steps, n_bins)
    levels = 20 * np.log10(np.maximum(amplitude, 10 ** (FLOOR_DB / 20)))
    return ConstantQ(levels.astype(np.float32), bins_hz, _span_s(len(levels), HOP_LENGTH))


def _checked(samples: npt.ArrayLike) -> Float32Array:
    signal = np.asarray(samples, dtype=np.float32)
    if signal.ndim != 1 or signal.size == 0 or not np.isfinite(signal).all():
        raise InputError(f"a clip must be finite and of shape (n_samples,), at least 1 sample, got {signal.shape}")
    return signal


def _padded(signal: Float32Array, least: int) -> Float32Array:
    return np.pad(signal, (0, max(0, least - len(signal))))


def _span_s(n_steps: int, hop_length: int) -> tuple[float, float]:
    """First and last second of centred steps."""
    return -0.5 * hop_length / SR, (n_steps - 0.5) * hop_length / SR
