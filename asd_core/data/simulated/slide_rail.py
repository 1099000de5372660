"""The sound of a simulated slide rail: a site, a machine in it, and three kinds of fault.

A clip is a sum: the noise of a recording session, passing disturbances, and a machine that runs a program of strokes.
Its healthy twin is rendered from the same random draws, so the two differ by the fault alone, and every fault fades
into the healthy machine as its severity falls. Levels in "mel dB" are 10 log10 of the power in a Slaney mel band
(n_fft 1024, 128 bands), the scale on which real slide rails were measured. Nothing here is a recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_core.data.simulated.synthesis import (
    BLOCK,
    CLIP_S,
    CONTROL_S,
    KNOTS_HZ,
    LINE_TO_MEL_DB,
    N_SAMPLES,
    WITHIN_BLOCK,
    Complex64Array,
    add_at,
    add_tone,
    coloured,
    expand,
    hump,
    octaves_above,
    ring,
    to_time,
    white_half_spectrum,
)
from asd_core.types import SR, Float32Array, FloatArray

N_SESSIONS = 7
KINDS = ("rail", "grease", "belt")

_FRICTION_ROLL, _GREASE_ROLL, _BUSY_ROLL = 54_321, 97_531, 123_457
"""Circular shifts in samples that make tracks coloured from one white spectrum independent of each other."""

_NOVEL_STRANGENESS = 2.5
"""How much wider a clip's own session varies; this gives the heavy tail that false alarms come from."""

_RAIL_PEAK = 0.004
_SLAP_PEAK = 0.0026
_GREASE_DB = -43.0
"""Sizes of the added sounds at a severity of 0 dB: full scale is 1, and mel dB."""


@dataclass(frozen=True)
class SlideRail:
    """One simulated machine, the severity of its faults, and its disturbances.

    Parameters
    ----------
    program_s
        (stroke, pause) in seconds, repeated endlessly.
    friction_db, friction_hump_hz
        Friction noise at full speed in mel dB at the centre of its hump.
    motor_hz, motor_rms
        The motor's tone at full speed.
    severity_db, severity_sd_db
        Mean and standard deviation of the faults' severities.
    novel_share, busy_share
        Shares of clips from a session of their own, and with air hiss or a passing vehicle.
    event_rate
        Mean number of clanks, voices and beeps in a clip.
    """

    program_s: tuple[tuple[float, float], ...]
    friction_db: float
    friction_hump_hz: float
    motor_hz: float
    motor_rms: float
    severity_db: float
    severity_sd_db: float
    novel_share: float
    busy_share: float
    event_rate: float


MACHINES = {
    "00": SlideRail(((0.72, 0.50), (1.60, 0.55)), -45, 5500, 490, 0.0016, 21.2, 3.0, 0.05, 0.10, 0.7),
    "02": SlideRail(
        ((0.42, 0.10), (0.42, 0.10), (0.42, 0.10), (0.42, 0.50)), -47, 6500, 262, 0.0022, 6.5, 5.0, 0.02, 0.08, 1.2
    ),
    "04": SlideRail(((1.60, 0.48), (0.80, 0.55)), -45, 3200, 455, 0.0018, 21.0, 3.0, 0.07, 0.11, 0.7),
    "06": SlideRail(((1.05, 0.62), (1.05, 0.62)), -49, 4300, 345, 0.0020, 10.9, 1.0, 0.16, 0.18, 2.0),
}
"""The machines by id. The severities and shares were set so that a plain autoencoder finds the ids as hard as the
published baseline finds the real ones."""


@dataclass(frozen=True)
class Scene:
    """Everything that determines the sound of one clip; equal scenes give equal samples.

    Parameters
    ----------
    entropy
        Non-negative integers that seed the clip's own random draws.
    session_entropy, session
        Seed of the id's sessions, and which of the `N_SESSIONS` it is; None: a session of the clip's own.
    busy_db
        Level of air hiss or a passing vehicle in mel dB, or None.
    n_events
        Number of clanks, voices and beeps.
    kind, severity_db
        The fault, one of `KINDS`, and its severity; None: healthy.
    """

    machine: SlideRail
    entropy: tuple[int, ...]
    session_entropy: tuple[int, ...]
    session: int | None
    busy_db: float | None
    n_events: int
    kind: str | None
    severity_db: float


@dataclass(frozen=True, eq=False)
class _Session:
    """A site's spectrum in mel dB, and its tones."""

    level_db: float
    tilt_db_per_octave: float
    roll_off_db: float
    bump_octaves: FloatArray  # above 1.2 kHz
    bump_widths: FloatArray  # octaves
    bump_db: FloatArray
    tones_hz: FloatArray
    tones_db: FloatArray


@dataclass(frozen=True, eq=False)
class _Motion:
    """When the carriage moves (also past the clip's end), and how fast (1 = full speed) at each control time."""

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
        Each of shape (N_SAMPLES,), float32, full scale is 1; the same array twice for a healthy scene.
    """
    half = white_half_spectrum(_rng(scene, 0))
    surroundings = _session_noise(half, scene) + _disturbances(half, scene)
    friction = _friction_noise(half, scene)
    twin = surroundings + _machine_sound(friction, scene, _HEALTHY)
    if scene.kind is None:
        return twin, twin
    deformation = _belt_deformation(scene) if scene.kind == "belt" else _HEALTHY
    samples = surroundings + _machine_sound(friction, scene, deformation)
    samples += _fault_sound(half, scene, _motion(scene, deformation))
    return samples, twin


def _rng(scene: Scene, stream: int) -> np.random.Generator:
    return np.random.default_rng([*scene.entropy, stream])


def _draw_session(rng: np.random.Generator, site: float, level: float, strangeness: float = 1.0) -> _Session:
    """Draw a session.

    `site` and `level` are quantiles in [0, 1) that choose the site's kind and its loudness; `strangeness` widens bumps
    and tones.
    """
    kind = int(np.searchsorted([0.40, 0.62], site, side="right"))
    tones_hz = 50.0 * rng.integers(2, 9, 3) * (1 + 0.004 * rng.standard_normal(3))
    tones_db = -13.0 + 2.0 * strangeness * rng.standard_normal(3)
    if kind == 2:  # the flattest site has a fan or a pump: a stack of harmonics
        order = np.arange(1, 7)
        tones_hz = np.concatenate([tones_hz, rng.uniform(105, 260) * order])
        tones_db = np.concatenate([tones_db, -13.0 - 2.5 * order + 1.5 * strangeness * rng.standard_normal(6)])
    return _Session(
        level_db=-31.5 + 3.5 * level,
        tilt_db_per_octave=(-6.3, -5.0, -4.0)[kind],
        roll_off_db=(9.0, 5.0, 2.0)[kind],
        bump_octaves=rng.uniform(-2.2, 2.7, 3),
        bump_widths=rng.uniform(0.3, 1.0, 3),
        bump_db=1.6 * strangeness * rng.standard_normal(3),
        tones_hz=tones_hz,
        tones_db=tones_db,
    )


def _session_of(scene: Scene) -> _Session:
    """Look up the clip's session; an id's sessions are spread evenly over kinds of site and levels."""
    if scene.session is None:
        rng = _rng(scene, 1)
        return _draw_session(rng, rng.random(), rng.random(), _NOVEL_STRANGENESS)
    shared = np.random.default_rng(scene.session_entropy)
    sites = (shared.permutation(N_SESSIONS) + shared.random(N_SESSIONS)) / N_SESSIONS
    levels = (shared.permutation(N_SESSIONS) + shared.random(N_SESSIONS)) / N_SESSIONS
    own = np.random.default_rng([*scene.session_entropy, 1 + scene.session])  # a trailing 0 would not count
    return _draw_session(own, sites[scene.session], levels[scene.session])


def _session_noise(half: Complex64Array, scene: Scene) -> Float32Array:
    """Render the session's noise and tones with the clip's small deviations and a slow drift in level."""
    session, rng = _session_of(scene), _rng(scene, 2)
    octaves = np.log2(np.maximum(KNOTS_HZ, 230.0) / 1200.0)
    tilt = session.tilt_db_per_octave + 0.2 * rng.standard_normal()
    mel_db = session.level_db + 0.5 * rng.standard_normal() + tilt * octaves
    mel_db += 2.0 * hump(2000.0, 0.8) + 2.5 * hump(240.0, 0.6)
    mel_db -= session.roll_off_db * np.maximum(octaves_above(4500.0), 0.0) / np.log2(8000 / 4500)
    for centre, width, height in zip(
        session.bump_octaves, session.bump_widths, session.bump_db + 0.6 * rng.standard_normal(3), strict=True
    ):
        mel_db += height * hump(1200.0 * 2.0**centre, width)
    spectrum = coloured(half, mel_db)
    pitch = 1 + 0.002 * rng.standard_normal()
    for hz, db in zip(session.tones_hz * pitch, session.tones_db, strict=True):
        add_tone(spectrum, hz, 10 ** ((db + 1.2 * rng.standard_normal() - LINE_TO_MEL_DB) / 20), rng)
    drift_db = rng.uniform(0.2, 0.9) * rng.standard_normal(5)
    drift = np.interp(CONTROL_S, np.linspace(0, CLIP_S, 5), drift_db)
    return to_time(spectrum) * expand(10 ** (drift / 20))


def _disturbances(half: Complex64Array, scene: Scene) -> Float32Array:
    """Hiss or a vehicle, then short events; they happen to healthy and faulty machines alike."""
    track = np.zeros(N_SAMPLES, np.float32)
    if scene.busy_db is not None:
        track += _busy_noise(half, scene.busy_db, _rng(scene, 3))
    rng = _rng(scene, 4)
    for _ in range(scene.n_events):
        template = _event(rng)
        add_at(track, template, rng.uniform(0, CLIP_S - 0.3), 1.0)
    return track


def _busy_noise(half: Complex64Array, level_db: float, rng: np.random.Generator) -> Float32Array:
    """Air hiss that is switched on for a while, or one to three swells of a passing vehicle."""
    if rng.random() < 0.5:
        mel_db = level_db + 6.0 * np.minimum(octaves_above(1000.0), 0.0)
        start_s, length_s = rng.uniform(0, 6), rng.uniform(1.5, 8)
        control = np.clip(np.minimum(CONTROL_S - start_s, start_s + length_s - CONTROL_S) / 0.03, 0, 1)
    else:
        mel_db = level_db - 4.0 * np.log2(np.maximum(KNOTS_HZ, 150.0) / 1200.0)
        n_swells = int(rng.integers(1, 4))
        centres_s, widths_s = rng.uniform(0, CLIP_S, n_swells), rng.uniform(0.5, 1.6, n_swells)
        control = np.exp(-0.5 * ((CONTROL_S[:, None] - centres_s) / widths_s) ** 2).sum(axis=1)
    return np.roll(to_time(coloured(half, mel_db)), _BUSY_ROLL) * expand(control)


def _event(rng: np.random.Generator) -> Float32Array:
    """Make one clank, voice-like burst or beep."""
    choice = rng.random()
    if choice < 0.6:
        peak = 0.008 * 10 ** (0.25 * rng.standard_normal())
        return ring(rng.uniform(600, 6000, 4), rng.uniform(0.02, 0.12, 4), peak * rng.uniform(0.2, 0.6, 4), rng)
    if choice < 0.85:
        return _voice(rng)
    length_s, hz = rng.uniform(0.08, 0.3), rng.uniform(900, 3200)
    time_s = np.arange(int(length_s * SR)) / SR
    peak = 0.003 * 10 ** (0.2 * rng.standard_normal())
    beep = peak * np.sin(2 * np.pi * hz * time_s) * np.clip(np.minimum(time_s, length_s - time_s) / 0.01, 0, 1)
    return np.asarray(beep, np.float32)


def _voice(rng: np.random.Generator) -> Float32Array:
    """Make a gliding stack of harmonics under two formants."""
    length_s, pitch_hz, glide = rng.uniform(0.25, 0.7), rng.uniform(110, 230), rng.uniform(-0.2, 0.2)
    time_s = np.arange(int(length_s * SR)) / SR
    phase = 2 * np.pi * pitch_hz * (time_s + 0.5 * glide * time_s**2 / length_s)
    order = np.arange(1, 13)
    formants = np.asarray([[rng.uniform(350, 800)], [rng.uniform(1000, 2200)]])
    weights = np.exp(-0.5 * ((order * pitch_hz - formants) / 180.0) ** 2).sum(axis=0) + 0.03
    burst = np.sin(order[:, None] * phase.astype(np.float32)).T.astype(np.float32) @ weights.astype(np.float32)
    shape = np.sin(np.pi * time_s / length_s) ** 2
    peak = 0.004 * 10 ** (0.2 * rng.standard_normal())
    return np.asarray(peak * burst * shape, np.float32)


def _motion(scene: Scene, deformation: _Deformation) -> _Motion:
    """Run the machine's program from a random place in its cycle; a bad belt makes stroke and pause uneven."""
    rng = _rng(scene, 5)
    program_s = np.asarray(scene.machine.program_s)
    cycle_s = float(program_s.sum())
    n_cycles = int(2 * CLIP_S / cycle_s) + 3
    spans_s = np.tile(program_s, (n_cycles, 1)) * (1 + 0.03 * rng.standard_normal())  # (n_strokes, 2)
    ramp_s = rng.uniform(0.05, 0.10)
    first_s = -rng.random() * cycle_s
    spans_s *= 1 + 0.015 * rng.standard_normal(spans_s.shape)
    spans_s *= np.clip(1 + 0.22 * deformation.amount * rng.standard_normal(spans_s.shape), 0.6, 1.6)
    starts_s = first_s + np.concatenate([[0.0], np.cumsum(spans_s.sum(axis=1))[:-1]])
    ends_s = starts_s + spans_s[:, 0]
    corners_s = np.stack([starts_s, starts_s + ramp_s, ends_s - ramp_s, ends_s], axis=1).reshape(-1)
    speed = np.interp(CONTROL_S, corners_s, np.tile([0.0, 1.0, 1.0, 0.0], starts_s.size))
    return _Motion(starts_s, ends_s, speed)


def _friction_noise(half: Complex64Array, scene: Scene) -> Float32Array:
    """Friction as it would sound at full speed for the whole clip."""
    machine = scene.machine
    level_db = machine.friction_db + 0.8 * _rng(scene, 6).standard_normal()
    mel_db = level_db - 6.0 + 6.0 * hump(machine.friction_hump_hz, 0.6)
    mel_db += 9.0 * np.minimum(octaves_above(1500.0), 0.0)
    return np.roll(to_time(coloured(half, mel_db)), _FRICTION_ROLL)


def _machine_sound(friction: Float32Array, scene: Scene, deformation: _Deformation) -> Float32Array:
    """Friction and motor follow the speed; a soft thud ends each stroke."""
    motion, rng = _motion(scene, deformation), _rng(scene, 7)
    sound = friction * expand(motion.speed)
    sound += _motor_tone(scene.machine, motion.speed, deformation, rng)
    thud = ring(rng.uniform(70, 190, 3), rng.uniform(0.012, 0.03, 3), 0.004 * rng.uniform(0.3, 0.6, 3), rng)
    for end_s, gain in zip(motion.ends_s, _gains(motion.ends_s.size, 1.0, rng), strict=True):
        add_at(sound, thud, end_s, gain)
    return sound


def _gains(n: int, sd_db: float, rng: np.random.Generator) -> FloatArray:
    return np.asarray(10 ** (sd_db * rng.standard_normal(n) / 20), np.float64)


def _motor_tone(
    machine: SlideRail, speed: FloatArray, deformation: _Deformation, rng: np.random.Generator
) -> Float32Array:
    """Make a tone with two overtones whose pitch and strength follow the speed."""
    full_hz = machine.motor_hz * (1 + 0.003 * rng.standard_normal())
    wobble = deformation.wobble_depth * np.sin(2 * np.pi * deformation.wobble_hz * CONTROL_S)
    pitch_hz = full_hz * (0.55 + 0.45 * speed) * (1 + wobble)
    advance = 2 * np.pi * pitch_hz[:-1] * (BLOCK / SR)
    start = rng.uniform(0, 2 * np.pi) + np.concatenate([[0.0], np.cumsum(advance)[:-1]])
    start = np.mod(start, 2 * np.pi).astype(np.float32)
    angle = start[:, None] + advance[:, None].astype(np.float32) * WITHIN_BLOCK  # (N_BLOCKS, BLOCK)
    sine, cosine = np.sin(angle), np.cos(angle)
    second, third = 0.5 * rng.uniform(0.5, 1.0), 0.3 * rng.uniform(0.3, 1.0)
    tone = sine * (np.float32(1 + 3 * third) + np.float32(2 * second) * cosine - np.float32(4 * third) * sine**2)
    rms = machine.motor_rms * 10 ** (rng.standard_normal() / 20)
    return np.asarray(tone.reshape(-1) * expand(np.sqrt(2) * rms * speed), np.float32)


def _belt_deformation(scene: Scene) -> _Deformation:
    """Uneven strokes and a wobbling tone, both in proportion to the severity's power while that is small."""
    rng = _rng(scene, 8)
    power = 10 ** (scene.severity_db / 10)
    amount = power / (1 + power)
    return _Deformation(amount, wobble_hz=rng.uniform(4, 9), wobble_depth=amount * rng.uniform(0.02, 0.05))


def _fault_sound(half: Complex64Array, scene: Scene, motion: _Motion) -> Float32Array:
    """Render what the fault adds to the machine, in proportion to its severity."""
    rng, gain = _rng(scene, 9), 10 ** (scene.severity_db / 20)
    if scene.kind == "grease":
        return gain * _dry_friction(half, motion, rng)
    track = np.zeros(N_SAMPLES, np.float32)
    if scene.kind == "rail":
        _add_rail_clicks(track, motion, gain, rng)
    else:
        slap = ring(rng.uniform(250, 2200, 6), rng.uniform(0.02, 0.07, 6), np.full(6, _SLAP_PEAK), rng)
        for start_s, spread in zip(motion.starts_s, _gains(motion.starts_s.size, 2.5, rng), strict=True):
            add_at(track, slap, start_s, gain * spread)
    return track


def _add_rail_clicks(track: Float32Array, motion: _Motion, gain: float, rng: np.random.Generator) -> None:
    """One to three defects along the rail: the carriage passes each on the way out and, mirrored, on the way back."""
    for place in rng.uniform(0.12, 0.88, int(rng.integers(1, 4))):
        peaks = _RAIL_PEAK * rng.uniform(0.6, 1.4, 3)
        click = ring(rng.uniform(900, 5500, 3), rng.uniform(0.004, 0.03, 3), peaks, rng)
        spreads = _gains(motion.starts_s.size, 1.5, rng)
        for i, (start_s, end_s) in enumerate(zip(motion.starts_s, motion.ends_s, strict=True)):
            share = place if i % 2 == 0 else 1 - place
            add_at(track, click, start_s + share * (end_s - start_s), gain * spreads[i])


def _dry_friction(half: Complex64Array, motion: _Motion, rng: np.random.Generator) -> Float32Array:
    """Extra friction that sticks and slips."""
    mel_db = _GREASE_DB - 12.0 + 12.0 * hump(rng.uniform(2500, 6500), 0.6)
    mel_db += 9.0 * np.minimum(octaves_above(1500.0), 0.0)
    slip = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(12, 45) * CONTROL_S + rng.uniform(0, 2 * np.pi))
    noise = np.roll(to_time(coloured(half, mel_db)), _GREASE_ROLL)
    return noise * expand(motion.speed * (0.4 + 0.9 * slip**2))
