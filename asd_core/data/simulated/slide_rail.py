"""The sound of a simulated slide rail: the machine in its surroundings, and its faults.

A clip is a sum: the noise of a recording session, passing disturbances, and a machine that runs a program of strokes.
Its healthy twin is rendered from the same random draws, so the two differ by the fault alone, and every fault fades
into the healthy machine as its severity falls. Healthy machines click, too: at the joints of their rails and at the end
stops. Levels in "mel dB" are 10 log10 of the power in a Slaney mel band (n_fft 1024, 128 bands), the scale on which
real slide rails were measured. Nothing here is a recording.
"""

from __future__ import annotations

import numpy as np

from asd_core.data.simulated.faults import fault_sound
from asd_core.data.simulated.motion import HEALTHY, Deformation, Motion, belt_deformation, move
from asd_core.data.simulated.scenes import Scene, rng_of
from asd_core.data.simulated.surroundings import disturbances, session_noise
from asd_core.data.simulated.synthesis import (
    FRICTION_ROLL,
    Complex64Array,
    add_at,
    coloured,
    expand,
    gains,
    hump,
    octaves_above,
    phase,
    ring,
    to_time,
    white_half_spectrum,
)
from asd_core.types import Float32Array

_JOINT_SD_DB, _KNOCK_SD_DB = 9.0, 7.0
"""How widely the clicks of healthy machines scatter from clip to clip."""
_GAIN_SD_DB = 1.3
"""How widely whole clips do, since recorders stand nearer or farther."""
_KNOCK_PEAK, _THUD_PEAK = 0.008, 0.014


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
    gain = np.float32(10 ** (_GAIN_SD_DB * rng_of(scene, 11).standard_normal() / 20))
    motion = move(scene, HEALTHY)
    machine = _machine_sound(friction, scene, motion, HEALTHY)
    twin = gain * (surroundings + machine)
    if scene.kind is None:
        return twin, twin
    if scene.kind == "belt":
        deformation = belt_deformation(scene)
        motion = move(scene, deformation)
        machine = _machine_sound(friction, scene, motion, deformation)
    return gain * (surroundings + machine + fault_sound(half, scene, motion)), twin


def _friction_noise(half: Complex64Array, scene: Scene) -> Float32Array:
    """Friction as it would sound at full speed for the whole clip."""
    machine = scene.machine
    level_db = machine.friction_db + 1.8 * rng_of(scene, 6).standard_normal()
    mel_db = level_db - 6.0 + 6.0 * hump(machine.friction_hump_hz, 0.6)
    mel_db += 9.0 * np.minimum(octaves_above(1500.0), 0.0)
    return np.roll(to_time(coloured(half, mel_db)), FRICTION_ROLL)


def _machine_sound(friction: Float32Array, scene: Scene, motion: Motion, deformation: Deformation) -> Float32Array:
    """Friction, motor and gear follow the speed; joints click, and a thud ends each stroke."""
    rng = rng_of(scene, 7)
    warmth_db = scene.warming_db * motion.times_s / scene.length_s
    sound = friction * expand(motion.speed * 10 ** (warmth_db / 20))
    sound += _motor_and_gear(scene, motion, deformation, rng)
    peak = _THUD_PEAK * 10 ** (_KNOCK_SD_DB * rng.standard_normal() / 20)
    thud = ring(rng.uniform(70, 400, 3), rng.uniform(0.012, 0.05, 3), peak * rng.uniform(0.3, 0.6, 3), rng)
    peak = _KNOCK_PEAK * 10 ** (_KNOCK_SD_DB * rng.standard_normal() / 20)
    knock = ring(rng.uniform(400, 3500, 4), rng.uniform(0.002, 0.01, 4), peak * rng.uniform(0.2, 0.5, 4), rng)
    for end_s, gain in zip(motion.ends_s, gains(motion.ends_s.size, 1.0, rng), strict=True):
        add_at(sound, thud, end_s, gain)
        add_at(sound, knock, end_s, gain)
    _add_joints(sound, scene, motion)
    return sound


def _add_joints(sound: Float32Array, scene: Scene, motion: Motion) -> None:
    """Add the click of each joint at each pass: on the way out and, mirrored, on the way back."""
    rng = rng_of(scene, 10)
    for place in scene.machine.joint_places:
        peak = scene.machine.joint_peak * 10 ** (_JOINT_SD_DB * rng.standard_normal() / 20)
        click = ring(rng.uniform(900, 5500, 3), rng.uniform(0.001, 0.006, 3), peak * rng.uniform(0.2, 0.5, 3), rng)
        spreads = gains(motion.starts_s.size, 1.5, rng)
        for i, (start_s, end_s) in enumerate(zip(motion.starts_s, motion.ends_s, strict=True)):
            share = place if i % 2 == 0 else 1 - place
            add_at(sound, click, start_s + share * (end_s - start_s), spreads[i])


def _motor_and_gear(scene: Scene, motion: Motion, deformation: Deformation, rng: np.random.Generator) -> Float32Array:
    """Make a tone with two overtones and the gear's lines; pitch and strength follow the speed."""
    machine = scene.machine
    full_hz = machine.motor_hz * (1 + 0.003 * rng.standard_normal())
    wobble = deformation.wobble_depth * np.sin(2 * np.pi * deformation.wobble_hz * motion.times_s)
    angle = phase(full_hz * (0.55 + 0.45 * motion.speed) * (1 + wobble), rng)  # (n_blocks, BLOCK)
    sine, cosine = np.sin(angle), np.cos(angle)
    second, third = 0.5 * rng.uniform(0.5, 1.0), 0.3 * rng.uniform(0.3, 1.0)
    tone = sine * (np.float32(1 + 3 * third) + np.float32(2 * second) * cosine - np.float32(4 * third) * sine**2)
    rms = machine.motor_rms * 10 ** (2 * rng.standard_normal() / 20)
    sound = tone.reshape(-1) * expand(np.sqrt(2) * rms * motion.speed)
    for hz in machine.gear_hz:
        line = np.sin(phase(hz * (0.7 + 0.3 * motion.speed) * (1 + 0.004 * rng.standard_normal()), rng)).reshape(-1)
        rms = machine.gear_rms * 10 ** (1.5 * rng.standard_normal() / 20)
        sound += line * expand(np.sqrt(2) * rms * motion.speed)
    return np.asarray(sound, np.float32)
