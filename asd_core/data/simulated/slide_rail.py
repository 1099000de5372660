"""The sound of a simulated slide rail: the machine in its surroundings, and three kinds of fault.

A clip is a sum: the noise of a recording session, passing disturbances, and a machine that runs a program of strokes.
Its healthy twin is rendered from the same random draws, so the two differ by the fault alone, and every fault fades
into the healthy machine as its severity falls. Levels in "mel dB" are 10 log10 of the power in a Slaney mel band
(n_fft 1024, 128 bands), the scale on which real slide rails were measured. Nothing here is a recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_core.data.simulated.scenes import Scene, SlideRail, rng_of
from asd_core.data.simulated.surroundings import disturbances, session_noise
from asd_core.data.simulated.synthesis import (
    BLOCK,
    FRICTION_ROLL,
    GREASE_ROLL,
    WITHIN_BLOCK,
    Complex64Array,
    add_at,
    coloured,
    control_times,
    expand,
    gains,
    hump,
    octaves_above,
    ring,
    to_time,
    white_half_spectrum,
)
from asd_core.types import SR, Float32Array, FloatArray

_RAIL_PEAK = 0.004
_SLAP_PEAK = 0.0026
_GREASE_DB = -43.0
"""Sizes of the added sounds at a severity of 0 dB: full scale is 1, and mel dB."""


@dataclass(frozen=True, eq=False)
class _Motion:
    """When the carriage moves (also past the clip's end), and how fast (1 = full speed) at each control time."""

    times_s: FloatArray
    starts_s: FloatArray
    ends_s: FloatArray
    speed: FloatArray


@dataclass(frozen=True, eq=False)
class _Deformation:
    """How a bad belt bends the motion; amount 0 is a healthy one."""

    amount: float
    wobble_hz: float
    wobble_depth: float


_HEALTHY = _Deformation(amount=0.0, wobble_hz=0.0, wobble_depth=0.0)


def render(scene: Scene) -> tuple[Float32Array, Float32Array]:
    """Render a clip and its healthy twin.

    Returns
    -------
    samples, twin
        Each of shape (scene.n_samples,), float32, full scale is 1; the same array twice for a healthy scene.
    """
    half = white_half_spectrum(scene.n_samples, rng_of(scene, 0))
    surroundings = session_noise(half, scene) + disturbances(half, scene)
    friction = _friction_noise(half, scene)
    twin = surroundings + _machine_sound(friction, scene, _HEALTHY)
    if scene.kind is None:
        return twin, twin
    deformation = _belt_deformation(scene) if scene.kind == "belt" else _HEALTHY
    samples = surroundings + _machine_sound(friction, scene, deformation)
    samples += _fault_sound(half, scene, _motion(scene, deformation))
    return samples, twin


def _motion(scene: Scene, deformation: _Deformation) -> _Motion:
    """Run the machine's program from a random place in its cycle; a bad belt makes stroke and pause uneven."""
    rng = rng_of(scene, 5)
    program_s = np.asarray(scene.machine.program_s)
    cycle_s = float(program_s.sum())
    n_cycles = int(2 * scene.length_s / cycle_s) + 3
    spans_s = np.tile(program_s, (n_cycles, 1)) * (1 + 0.03 * rng.standard_normal())  # (n_strokes, 2)
    ramp_s = rng.uniform(0.05, 0.10)
    first_s = -rng.random() * cycle_s
    spans_s *= 1 + 0.015 * rng.standard_normal(spans_s.shape)
    spans_s *= np.clip(1 + 0.22 * deformation.amount * rng.standard_normal(spans_s.shape), 0.6, 1.6)
    starts_s = first_s + np.concatenate([[0.0], np.cumsum(spans_s.sum(axis=1))[:-1]])
    ends_s = starts_s + spans_s[:, 0]
    corners_s = np.stack([starts_s, starts_s + ramp_s, ends_s - ramp_s, ends_s], axis=1).reshape(-1)
    times_s = control_times(scene.n_samples)
    speed = np.interp(times_s, corners_s, np.tile([0.0, 1.0, 1.0, 0.0], starts_s.size))
    return _Motion(times_s, starts_s, ends_s, speed)


def _friction_noise(half: Complex64Array, scene: Scene) -> Float32Array:
    """Friction as it would sound at full speed for the whole clip."""
    machine = scene.machine
    level_db = machine.friction_db + 0.8 * rng_of(scene, 6).standard_normal()
    mel_db = level_db - 6.0 + 6.0 * hump(machine.friction_hump_hz, 0.6)
    mel_db += 9.0 * np.minimum(octaves_above(1500.0), 0.0)
    return np.roll(to_time(coloured(half, mel_db)), FRICTION_ROLL)


def _machine_sound(friction: Float32Array, scene: Scene, deformation: _Deformation) -> Float32Array:
    """Friction and motor follow the speed; a soft thud ends each stroke."""
    motion, rng = _motion(scene, deformation), rng_of(scene, 7)
    warmth_db = scene.warming_db * motion.times_s / scene.length_s
    sound = friction * expand(motion.speed * 10 ** (warmth_db / 20))
    sound += _motor_tone(scene.machine, motion, deformation, rng)
    thud = ring(rng.uniform(70, 190, 3), rng.uniform(0.012, 0.03, 3), 0.004 * rng.uniform(0.3, 0.6, 3), rng)
    for end_s, gain in zip(motion.ends_s, gains(motion.ends_s.size, 1.0, rng), strict=True):
        add_at(sound, thud, end_s, gain)
    return sound


def _motor_tone(
    machine: SlideRail, motion: _Motion, deformation: _Deformation, rng: np.random.Generator
) -> Float32Array:
    """Make a tone with two overtones whose pitch and strength follow the speed."""
    full_hz = machine.motor_hz * (1 + 0.003 * rng.standard_normal())
    wobble = deformation.wobble_depth * np.sin(2 * np.pi * deformation.wobble_hz * motion.times_s)
    pitch_hz = full_hz * (0.55 + 0.45 * motion.speed) * (1 + wobble)
    advance = 2 * np.pi * pitch_hz[:-1] * (BLOCK / SR)
    start = rng.uniform(0, 2 * np.pi) + np.concatenate([[0.0], np.cumsum(advance)[:-1]])
    start = np.mod(start, 2 * np.pi).astype(np.float32)
    angle = start[:, None] + advance[:, None].astype(np.float32) * WITHIN_BLOCK  # (n_blocks, BLOCK)
    sine, cosine = np.sin(angle), np.cos(angle)
    second, third = 0.5 * rng.uniform(0.5, 1.0), 0.3 * rng.uniform(0.3, 1.0)
    tone = sine * (np.float32(1 + 3 * third) + np.float32(2 * second) * cosine - np.float32(4 * third) * sine**2)
    rms = machine.motor_rms * 10 ** (rng.standard_normal() / 20)
    return np.asarray(tone.reshape(-1) * expand(np.sqrt(2) * rms * motion.speed), np.float32)


def _belt_deformation(scene: Scene) -> _Deformation:
    """Uneven strokes and a wobbling tone, both in proportion to the severity's power while that is small."""
    rng = rng_of(scene, 8)
    power = 10 ** (scene.severity_db / 10)
    amount = power / (1 + power)
    return _Deformation(amount, wobble_hz=rng.uniform(4, 9), wobble_depth=amount * rng.uniform(0.02, 0.05))


def _fault_sound(half: Complex64Array, scene: Scene, motion: _Motion) -> Float32Array:
    """Render what the fault adds to the machine, in proportion to its severity."""
    rng, gain = rng_of(scene, 9), 10 ** (scene.severity_db / 20)
    if scene.kind == "grease":
        return gain * _dry_friction(half, motion, rng)
    track = np.zeros(scene.n_samples, np.float32)
    if scene.kind == "rail":
        _add_rail_clicks(track, motion, gain, rng)
    else:
        slap = ring(rng.uniform(250, 2200, 6), rng.uniform(0.02, 0.07, 6), np.full(6, _SLAP_PEAK), rng)
        for start_s, spread in zip(motion.starts_s, gains(motion.starts_s.size, 2.5, rng), strict=True):
            add_at(track, slap, start_s, gain * spread)
    return track


def _add_rail_clicks(track: Float32Array, motion: _Motion, gain: float, rng: np.random.Generator) -> None:
    """One to three defects along the rail: the carriage passes each on the way out and, mirrored, on the way back."""
    for place in rng.uniform(0.12, 0.88, int(rng.integers(1, 4))):
        peaks = _RAIL_PEAK * rng.uniform(0.6, 1.4, 3)
        click = ring(rng.uniform(900, 5500, 3), rng.uniform(0.004, 0.03, 3), peaks, rng)
        spreads = gains(motion.starts_s.size, 1.5, rng)
        for i, (start_s, end_s) in enumerate(zip(motion.starts_s, motion.ends_s, strict=True)):
            share = place if i % 2 == 0 else 1 - place
            add_at(track, click, start_s + share * (end_s - start_s), gain * spreads[i])


def _dry_friction(half: Complex64Array, motion: _Motion, rng: np.random.Generator) -> Float32Array:
    """Extra friction that sticks and slips."""
    mel_db = _GREASE_DB - 12.0 + 12.0 * hump(rng.uniform(2500, 6500), 0.6)
    mel_db += 9.0 * np.minimum(octaves_above(1500.0), 0.0)
    slip = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(12, 45) * motion.times_s + rng.uniform(0, 2 * np.pi))
    noise = np.roll(to_time(coloured(half, mel_db)), GREASE_ROLL)
    return noise * expand(motion.speed * (0.4 + 0.9 * slip**2))
