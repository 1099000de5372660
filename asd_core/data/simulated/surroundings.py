"""What surrounds a simulated machine: the noise of a recording session, and passing disturbances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_core.data.simulated.scenes import N_SESSIONS, Scene, rng_of
from asd_core.data.simulated.synthesis import (
    BUSY_ROLL,
    KNOTS_HZ,
    LINE_TO_MEL_DB,
    Complex64Array,
    add_at,
    add_tone,
    coloured,
    control_times,
    expand,
    hump,
    octaves_above,
    ring,
    to_time,
)
from asd_core.types import SR, Float32Array, FloatArray

_DRIFT_S = 2.5
"""Seconds between the values that a session's level wanders through."""
_NOVEL_STRANGENESS = 2.5
"""How much wider a session of its own strays; it gives the heavy tail that false alarms come from."""


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


def _draw_session(rng: np.random.Generator, site: float, level: float, strangeness: float = 1.0) -> _Session:
    """Draw a session.

    `site` and `level` are quantiles in [0, 1) that choose the site's kind and its loudness; `strangeness` widens bumps
    and tones.
    """
    kind = int(np.searchsorted([0.40, 0.62], site, side="right"))
    tones_hz = 50.0 * rng.integers(2, 9, 3) * (1 + 0.004 * rng.standard_normal(3))
    tones_db = -13.0 + 2.0 * strangeness * rng.standard_normal(3)
    if kind == 2:  # the flattest site has a fan or a pump: a stack of harmonics, the strongest near 900 Hz
        order, lowest_hz = np.arange(1, 9), rng.uniform(105, 260)
        shape_db = np.maximum(-10.0 - 14.0 * np.abs(np.log2(order * lowest_hz / 900.0)), -13.0 - 2.5 * order)
        tones_hz = np.concatenate([tones_hz, lowest_hz * order])
        tones_db = np.concatenate([tones_db, shape_db + 1.5 * strangeness * rng.standard_normal(8)])
    return _Session(
        level_db=-32.5 + 5.0 * level,
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
        rng = rng_of(scene, 1)
        return _draw_session(rng, rng.random(), rng.random(), _NOVEL_STRANGENESS)
    shared = np.random.default_rng(scene.session_entropy)
    sites = (shared.permutation(N_SESSIONS) + shared.random(N_SESSIONS)) / N_SESSIONS
    levels = (shared.permutation(N_SESSIONS) + shared.random(N_SESSIONS)) / N_SESSIONS
    own = np.random.default_rng([*scene.session_entropy, 1 + scene.session])  # a trailing 0 would not count
    return _draw_session(own, sites[scene.session], levels[scene.session])


def session_noise(half: Complex64Array, scene: Scene) -> Float32Array:
    """Render the session's noise and tones with the clip's small deviations and a slow drift in level."""
    session, rng = _session_of(scene), rng_of(scene, 2)
    octaves = np.log2(np.maximum(KNOTS_HZ, 230.0) / 1200.0)
    tilt = session.tilt_db_per_octave + 0.3 * rng.standard_normal()
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
        add_tone(spectrum, hz, 10 ** ((db + 0.8 * rng.standard_normal() - LINE_TO_MEL_DB) / 20), rng)
    n_knots = 1 + round(scene.length_s / _DRIFT_S)
    drift_db = rng.uniform(0.2, 0.9) * rng.standard_normal(n_knots)
    drift = np.interp(control_times(scene.n_samples), np.linspace(0, scene.length_s, n_knots), drift_db)
    return to_time(spectrum) * expand(10 ** (drift / 20))


def disturbances(half: Complex64Array, scene: Scene) -> Float32Array:
    """Render hiss or a vehicle, then short events; they happen to healthy and faulty machines alike."""
    track = np.zeros(scene.n_samples, np.float32)
    if scene.busy_db is not None:
        track += _busy_noise(half, scene.busy_db, scene.length_s, rng_of(scene, 3))
    rng = rng_of(scene, 4)
    for _ in range(scene.n_events):
        template = _event(rng)
        add_at(track, template, rng.uniform(0, scene.length_s - 0.3), 1.0)
    return track


def _busy_noise(half: Complex64Array, level_db: float, length_s: float, rng: np.random.Generator) -> Float32Array:
    """Air hiss that is switched on for a while, or one to three swells of a passing vehicle."""
    times_s = control_times(round(length_s * SR))
    if rng.random() < 0.5:
        mel_db = level_db + 6.0 * np.minimum(octaves_above(1000.0), 0.0)
        start_s, hiss_s = rng.uniform(0, length_s - 4), rng.uniform(1.5, 8)
        control = np.clip(np.minimum(times_s - start_s, start_s + hiss_s - times_s) / 0.03, 0, 1)
    else:
        mel_db = level_db - 4.0 * np.log2(np.maximum(KNOTS_HZ, 150.0) / 1200.0)
        n_swells = int(rng.integers(1, 4))
        centres_s, widths_s = rng.uniform(0, length_s, n_swells), rng.uniform(0.5, 1.6, n_swells)
        control = np.exp(-0.5 * ((times_s[:, None] - centres_s) / widths_s) ** 2).sum(axis=1)
    return np.roll(to_time(coloured(half, mel_db)), BUSY_ROLL) * expand(control)


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
