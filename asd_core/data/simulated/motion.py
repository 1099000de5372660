"""When a simulated carriage moves, how fast, and where along its rail it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_core.data.simulated.scenes import Scene, rng_of
from asd_core.data.simulated.synthesis import control_times
from asd_core.types import FloatArray


@dataclass(frozen=True, eq=False)
class Motion:
    """When the carriage moves (also past the clip's end), how fast and where it is.

    Parameters
    ----------
    times_s
        The control times.
    starts_s, ends_s
        Of each stroke.
    speed
        At each control time; 1 is full speed.
    place
        At each control time, in [0, 1] along the rail: out on even strokes, back on odd ones.
    """

    times_s: FloatArray
    starts_s: FloatArray
    ends_s: FloatArray
    speed: FloatArray
    place: FloatArray


@dataclass(frozen=True, eq=False)
class Deformation:
    """How a slipping belt bends the motion.

    Parameters
    ----------
    amount
        In [0, 1); 0 is a healthy belt.
    lengthening
        Relative growth of a stroke at an amount of 1.
    wobble_hz, wobble_depth
        Of the motor's pitch; the depth is relative and in proportion to the amount.
    """

    amount: float
    lengthening: float
    wobble_hz: float
    wobble_depth: float


HALF_BENT_DB = 18.0
"""Severity at which a belt bends the motion half as much as it can."""
HEALTHY = Deformation(amount=0.0, lengthening=0.0, wobble_hz=0.0, wobble_depth=0.0)


def belt_deformation(scene: Scene) -> Deformation:
    """Longer, uneven strokes that stall and a wobbling tone, all in proportion to a small severity's power."""
    rng = rng_of(scene, 8)
    power = 10 ** ((scene.severity_db - HALF_BENT_DB) / 10)
    amount = power / (1 + power)
    return Deformation(amount, rng.uniform(0.1, 0.5), rng.uniform(3, 9), amount * rng.uniform(0.02, 0.06))


def move(scene: Scene, deformation: Deformation) -> Motion:
    """Run the machine's program from a random place in its cycle."""
    rng = rng_of(scene, 5)
    program_s = np.asarray(scene.machine.program_s)
    cycle_s = float(program_s.sum())
    n_cycles = int(2 * scene.length_s / cycle_s) + 3
    spans_s = np.tile(program_s, (n_cycles, 1)) * (1 + 0.03 * rng.standard_normal())  # (n_strokes, 2)
    ramp_s = rng.uniform(0.05, 0.10)
    first_s = -rng.random() * cycle_s
    spans_s *= 1 + 0.015 * rng.standard_normal(spans_s.shape)
    uneven = 0.15 * rng.standard_normal(spans_s.shape)
    uneven[:, 0] += deformation.lengthening
    spans_s *= np.clip(1 + deformation.amount * uneven, 0.6, 1.9)
    starts_s = first_s + np.concatenate([[0.0], np.cumsum(spans_s.sum(axis=1))[:-1]])
    ends_s = starts_s + spans_s[:, 0]
    times_s = control_times(scene.n_samples)
    corners_s = np.stack([starts_s, starts_s + ramp_s, ends_s - ramp_s, ends_s], axis=1).reshape(-1)
    speed = np.interp(times_s, corners_s, np.tile([0.0, 1.0, 1.0, 0.0], starts_s.size))
    out_and_back = np.tile([0.0, 1.0, 1.0, 0.0], (starts_s.size + 1) // 2)[: 2 * starts_s.size]
    place = np.interp(times_s, np.stack([starts_s, ends_s], axis=1).reshape(-1), out_and_back)
    if deformation.amount:
        speed *= _stalls(times_s, starts_s, ends_s, deformation, rng)
    return Motion(times_s, starts_s, ends_s, speed, place)


def _stalls(
    times_s: FloatArray, starts_s: FloatArray, ends_s: FloatArray, deformation: Deformation, rng: np.random.Generator
) -> FloatArray:
    """Make factors on the speed at each control time: a slipping belt loses its grip once a stroke."""
    centres_s = starts_s + rng.uniform(0.2, 0.8, starts_s.size) * (ends_s - starts_s)
    widths_s = rng.uniform(0.03, 0.09, starts_s.size)
    depths = deformation.amount * rng.uniform(0.3, 0.9, starts_s.size)
    factors = np.ones(times_s.size)
    for centre_s, width_s, depth in zip(centres_s, widths_s, depths, strict=True):
        near = slice(*np.searchsorted(times_s, [centre_s - 6 * width_s, centre_s + 6 * width_s]))
        factors[near] *= 1 - depth * np.exp(-0.5 * ((times_s[near] - centre_s) / width_s) ** 2)
    return factors
