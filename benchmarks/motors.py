"""Simulated motors, each recorded several times by several microphones: for judging what is said of recordings.

Not a bench for detectors: there are no faults. A motor has a speed, harmonics and resonances; a microphone colours what
it hears; from recording to recording speed, level, background and the microphone's place drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_core.types import SR, FloatArray, Waveform

CLIP_S = 2
N_HARMONICS = 40
_N = CLIP_S * SR


@dataclass(frozen=True)
class Recording:
    """Names a recording; the same one always gives the same sound.

    Parameters
    ----------
    motor, microphone, number
        From 0.
    """

    motor: int
    microphone: int
    number: int

    def clip(self, index: int) -> Waveform:
        """Clip `index` of this recording: 2 s at 16 kHz, simulated."""
        rng = np.random.default_rng([3, self.motor, self.microphone, self.number, index])
        speed_hz, level_db, background_db, place_db = self._drift()
        colour_db = _microphone_db(self.microphone) + place_db
        noise = _shaped(rng, _motor_noise_db(self.motor)) + 10 ** (background_db / 20) * _shaped(rng, _pink_db())
        sound = _coloured(_harmonics(rng, self.motor, speed_hz) + 0.5 * noise, colour_db)
        gain = 10 ** ((level_db + rng.normal(0, 0.3)) / 20)
        samples = 0.02 * gain * sound + 2e-5 * rng.standard_normal(_N)
        return Waveform(samples.astype(np.float32))

    def _drift(self) -> tuple[float, float, float, FloatArray]:
        """Speed in Hz, level and background in dB, and what the microphone's place does to each bin in dB."""
        rng = np.random.default_rng([2, self.motor, self.microphone, self.number])
        speed_hz = _motor_rng(self.motor).uniform(15, 60) * rng.uniform(0.97, 1.03)
        return speed_hz, rng.normal(0, 1.5), rng.normal(-12, 2), _smooth_db(rng, 0.7)


def _motor_rng(motor: int) -> np.random.Generator:
    return np.random.default_rng([1, motor])


def _bins_hz() -> FloatArray:
    return np.asarray(np.fft.rfftfreq(_N, 1 / SR), dtype=np.float64)


def _harmonics(rng: np.random.Generator, motor: int, speed_hz: float) -> FloatArray:
    """Tones at multiples of the speed; their heights are the motor's, their phases the clip's."""
    heights_db = _motor_rng(motor + 1000).normal(-0.4 * np.arange(N_HARMONICS), 6)
    phases = rng.uniform(0, 2 * np.pi, N_HARMONICS)
    turns = speed_hz * np.arange(_N) / SR
    tones = [
        10 ** (height_db / 20) * np.sin(2 * np.pi * order * turns + phase)
        for order, (height_db, phase) in enumerate(zip(heights_db, phases, strict=True), start=1)
    ]
    return np.sum(tones, axis=0)


def _motor_noise_db(motor: int) -> FloatArray:
    """Noise falling with frequency, with three resonances; dB for each bin."""
    rng, octaves = _motor_rng(motor + 2000), np.log2(np.maximum(_bins_hz(), 30) / 1000)
    centres, heights = np.log2(rng.uniform(0.3, 6, 3)), rng.uniform(3, 15, 3)
    peaks = [
        height * np.exp(-(((octaves - centre) / 0.3) ** 2)) for centre, height in zip(centres, heights, strict=True)
    ]
    return np.asarray(rng.uniform(-9, -3) * octaves + np.sum(peaks, axis=0), dtype=np.float64)


def _pink_db() -> FloatArray:
    return np.asarray(-3 * np.log2(np.maximum(_bins_hz(), 30) / 1000), dtype=np.float64)


def _microphone_db(microphone: int) -> FloatArray:
    return _smooth_db(np.random.default_rng([4, microphone]), 4.0)


def _smooth_db(rng: np.random.Generator, spread_db: float) -> FloatArray:
    """A smooth random curve over the octaves from 60 Hz to 8 kHz, dB for each bin."""
    knots_hz = 62.5 * 2.0 ** np.arange(8)
    return np.asarray(
        np.interp(np.log2(np.maximum(_bins_hz(), 1)), np.log2(knots_hz), rng.normal(0, spread_db, 8)), dtype=np.float64
    )


def _shaped(rng: np.random.Generator, curve_db: FloatArray) -> FloatArray:
    return _coloured(rng.standard_normal(_N), curve_db)


def _coloured(sound: FloatArray, curve_db: FloatArray) -> FloatArray:
    return np.asarray(np.fft.irfft(np.fft.rfft(sound) * 10 ** (curve_db / 20), _N), dtype=np.float64)
