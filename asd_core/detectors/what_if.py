"""What if: the same clip in more noise, through a duller microphone, or recorded louder, and what becomes of scores.

The order is that of a recording: noise joins the sound in the room, the microphone passes a band of both, the recorder
amplifies what is left and cuts off what exceeds full scale. Changed sound is not recorded sound: a score that stays
does not prove that it would stay in such a room; a score that flips shows what it depends on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy

from asd_core.errors import InputError
from asd_core.features.excerpt import band_gain
from asd_core.types import SR, BoolArray, Float32Array, FloatArray, Waveform

MAX_GAIN_DB = 60.0
MAX_SNR_DB = 120.0


@dataclass(frozen=True)
class Change:
    """How a recording is changed; the defaults change nothing.

    Parameters
    ----------
    snr_db
        Level of the clip over that of white noise added to it, both as RMS; None adds none.
    low_hz, high_hz
        The band that the microphone passes.
    gain_db
        Amplification of the recorder.
    seed
        Of the noise; with the clip's length it determines every sample.
    """

    snr_db: float | None = None
    low_hz: float = 0.0
    high_hz: float = SR / 2
    gain_db: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.snr_db is not None and not abs(self.snr_db) <= MAX_SNR_DB:
            raise InputError(f"snr_db must be within +-{MAX_SNR_DB:g} dB, got {self.snr_db}")
        if not abs(self.gain_db) <= MAX_GAIN_DB:
            raise InputError(f"gain_db must be within +-{MAX_GAIN_DB:g} dB, got {self.gain_db}")
        if not 0 <= self.low_hz < self.high_hz <= SR / 2:
            raise InputError(f"a band must lie in 0 to {SR / 2:.0f} Hz, got {self.low_hz:.0f} to {self.high_hz:.0f} Hz")

    @property
    def is_nothing(self) -> bool:
        """Whether a clip stays as it is."""
        return replace(self, seed=0) == Change()


@dataclass(frozen=True, eq=False)
class Judgements:
    """Scores of the same clips before and after a change, shape (n_clips,) each, in the clips' order."""

    is_anomalous: BoolArray
    before: FloatArray
    after: FloatArray


def changed(waveform: Waveform, change: Change) -> Waveform:
    """Return the clip as it would have been recorded; its digest names clip and change.

    A silent clip stays silent: no noise has a level relative to it. Samples beyond full scale are cut off there, which
    `clipped_share` measures.
    """
    if change.is_nothing:
        return waveform
    samples = waveform.samples.astype(np.float64)
    if change.snr_db is not None:
        noise = np.random.default_rng(change.seed).normal(0.0, 1.0, len(samples))
        samples = samples + noise * (_rms(samples) * 10 ** (-change.snr_db / 20))
    samples = _band(samples, change.low_hz, change.high_hz) * 10 ** (change.gain_db / 20)
    cut: Float32Array = np.clip(samples, -1.0, 1.0).astype(np.float32)
    digest = hashlib.sha256(f"{waveform.digest or _digest(waveform)} {change}".encode()).hexdigest()
    return Waveform(cut, waveform.sr, digest, waveform.warnings)


def clipped_share(waveform: Waveform) -> float:
    """Share of samples at full scale, in 0..1: above about 0.001 a recording audibly crackles."""
    return float(np.mean(np.abs(waveform.samples) >= 1.0)) if waveform.n_samples else 0.0


def in_normal_spreads(anomaly_scores: FloatArray, *, threshold: float, normal_scores: FloatArray) -> FloatArray:
    """Distance to the threshold in standard deviations of normal clips' scores, shape as given: 0 lies at it.

    Detectors' scores have scales of their own; this one is common to all. NaN where normal scores do not spread.
    """
    spread = float(np.std(normal_scores)) if len(normal_scores) else 0.0
    distance: FloatArray = (np.asarray(anomaly_scores, dtype=np.float64) - threshold) / (spread or np.nan)
    return distance


def spread_evenly(labels: Sequence[bool], machine_ids: Sequence[str], *, at_most: int) -> list[int]:
    """Positions of at most `at_most` clips, as many of each label and machine id as can be, in their order.

    Raises
    ------
    InputError
        `at_most` below 1, or lengths that differ.
    """
    if at_most < 1 or len(labels) != len(machine_ids):
        raise InputError(f"at least 1 clip of as many labels as ids, got {at_most}, {len(labels)}, {len(machine_ids)}")
    groups: dict[tuple[bool, str], list[int]] = {}
    for position, group in enumerate(zip(labels, machine_ids, strict=True)):
        groups.setdefault(group, []).append(position)
    in_turn = sorted((turn, group, at) for group, own in groups.items() for turn, at in enumerate(own))
    return sorted(at for _, _, at in in_turn[:at_most])


def _rms(samples: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) if samples.size else 0.0


def _digest(waveform: Waveform) -> str:
    return hashlib.sha256(np.ascontiguousarray(waveform.samples).tobytes()).hexdigest()


def _band(samples: FloatArray, low_hz: float, high_hz: float) -> FloatArray:
    if low_hz <= 0 and high_hz >= SR / 2:
        return samples
    size = scipy.fft.next_fast_len(len(samples), real=True)
    spectrum = scipy.fft.rfft(samples, size, workers=1)
    kept: FloatArray = scipy.fft.irfft(
        spectrum * band_gain(scipy.fft.rfftfreq(size, 1 / SR), low_hz, high_hz), size, workers=1
    )
    return kept[: len(samples)]
