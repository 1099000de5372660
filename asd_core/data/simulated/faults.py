"""What a fault adds to the sound of a simulated machine, in proportion to its severity.

Three kinds: a worn *rail* (stretches of it are rough, and bump softly as the carriage reaches them), dry *grease*
(friction all along that rasps, chatters and squeals) and a slipping *belt* (a rumble and whining side lines of the
motor, beside the strokes that `motion` lengthens and stalls).
"""

from __future__ import annotations

import numpy as np

from asd_core.data.simulated.motion import Motion
from asd_core.data.simulated.scenes import Scene, rng_of
from asd_core.data.simulated.synthesis import (
    FAULT_ROLL,
    Complex64Array,
    add_at,
    coloured,
    expand,
    gains,
    octaves_above,
    phase,
    ring,
    to_time,
)
from asd_core.types import Float32Array, FloatArray

_RAIL_DB, _GREASE_DB, _BELT_DB = -47.0, -47.0, -50.0
_BUMP_PEAK = 0.0004
_SQUEAL_RMS = 0.00009
_WHINE_RMS = 0.00012
"""Sizes of the added sounds at a severity of 0 dB: mel dB, and full scale is 1."""


def fault_sound(half: Complex64Array, scene: Scene, motion: Motion) -> Float32Array:
    """Render what the fault adds, shape (n_samples,)."""
    rng, gain = rng_of(scene, 9), float(10 ** (scene.severity_db / 20))
    if scene.kind == "rail":
        return gain * _worn_rail(half, motion, rng)
    if scene.kind == "grease":
        return gain * _dry_grease(half, motion, rng)
    return gain * _slipping_belt(half, motion, scene.machine.motor_hz, rng)


def _band_db(level_db: float, low_hz: float, high_hz: float) -> FloatArray:
    """Level at each of `KNOTS_HZ`: between two frequencies it falls like a site's, 5 dB per octave; steeply beyond."""
    mel_db = level_db - 5.0 * octaves_above(1200.0)
    mel_db += 18.0 * (np.minimum(octaves_above(low_hz), 0.0) - np.maximum(octaves_above(high_hz), 0.0))
    return mel_db


def _noise(half: Complex64Array, mel_db: FloatArray) -> Float32Array:
    return np.roll(to_time(coloured(half, mel_db)), FAULT_ROLL)


def _texture(motion: Motion, rate_hz: float, depth: float, rng: np.random.Generator) -> FloatArray:
    """Irregular factors around 1 at each control time that change at a rate, such as the grain of a surface."""
    knots_s = np.arange(0.0, motion.times_s[-1] + 2 / rate_hz, 1 / rate_hz)
    return np.asarray(1 + depth * np.interp(motion.times_s, knots_s, rng.uniform(-1, 1, knots_s.size)))


def _worn_rail(half: Complex64Array, motion: Motion, rng: np.random.Generator) -> Float32Array:
    """One to three rough stretches: passed on the way out and, mirrored, on the way back."""
    low_hz = rng.uniform(800, 2000)
    noise = _noise(half, _band_db(_RAIL_DB, low_hz, low_hz * 2 ** rng.uniform(1.2, 2.2)))
    rough = np.zeros(motion.times_s.size)
    for _ in range(int(rng.integers(1, 4))):
        centre, width = rng.uniform(0.1, 0.9), rng.uniform(0.12, 0.3)
        rough += np.exp(-(((motion.place - centre) / width) ** 4))
    grain = _texture(motion, rng.uniform(25, 110), 0.3, rng)
    sound = noise * expand(motion.speed * (0.6 + 0.4 * np.minimum(rough, 1)) * grain)
    bump = ring(rng.uniform(120, 900, 3), rng.uniform(0.015, 0.05, 3), np.full(3, _BUMP_PEAK), rng)
    share = rng.uniform(0.1, 0.9)
    for i, spread in enumerate(gains(motion.starts_s.size, 1.5, rng)):
        along = share if i % 2 == 0 else 1 - share
        add_at(sound, bump, motion.starts_s[i] + along * (motion.ends_s[i] - motion.starts_s[i]), float(spread))
    return sound


def _dry_grease(half: Complex64Array, motion: Motion, rng: np.random.Generator) -> Float32Array:
    """Friction that rasps, chatters slowly and squeals."""
    noise = _noise(half, _band_db(_GREASE_DB, rng.uniform(2600, 4200), rng.uniform(6000, 8000)))
    chatter = 1 + 0.3 * np.sin(2 * np.pi * rng.uniform(3, 14) * motion.times_s + rng.uniform(0, 2 * np.pi))
    sound = noise * expand(motion.speed * chatter * _texture(motion, rng.uniform(20, 60), 0.3, rng))
    strength = expand(np.sqrt(2) * _SQUEAL_RMS * motion.speed * _texture(motion, 2.0, 0.8, rng))
    for low_hz, high_hz in ((1200, 3200), (3000, 6500)):
        pitch_hz = rng.uniform(low_hz, high_hz) * (0.85 + 0.15 * motion.speed) * _texture(motion, 3.0, 0.015, rng)
        sound += np.sin(phase(pitch_hz, rng)).reshape(-1) * strength
    return sound


def _slipping_belt(half: Complex64Array, motion: Motion, motor_hz: float, rng: np.random.Generator) -> Float32Array:
    """A flapping rumble, and side lines of the motor's tone whose pitch drifts."""
    noise = _noise(half, _band_db(_BELT_DB, rng.uniform(130, 300), rng.uniform(500, 1000)))
    flap = 1 + 0.25 * np.sin(2 * np.pi * rng.uniform(4, 12) * motion.times_s + rng.uniform(0, 2 * np.pi))
    running = (0.7 + 0.3 * motion.speed) * flap  # the motor turns on under a belt that slips
    sound = noise * expand(running)
    drift = _texture(motion, 1.0, 0.03, rng)
    angle = phase(motor_hz * (0.8 + 0.2 * motion.speed) * drift, rng)
    first, second = rng.uniform(0.6, 1.6), rng.uniform(1.5, 2.4)
    lines = np.sin(np.float32(first) * angle) + np.float32(0.7) * np.sin(np.float32(second) * angle)
    sound += lines.reshape(-1) * expand(np.sqrt(2) * _WHINE_RMS * running)
    return sound
