"""The simulated slide rails, and all that decides how one clip of them sounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_core.types import SR

CLIP_S = 10.0
"""Length of a bench's clips."""
N_SESSIONS = 7
KINDS = ("rail", "grease", "belt")


@dataclass(frozen=True)
class SlideRail:
    """One simulated machine, the faults it gets and the trouble around it.

    Parameters
    ----------
    program_s
        (stroke, pause) in seconds, repeated for ever.
    friction_db, friction_hump_hz
        Friction noise at full speed in mel dB at the centre of its hump.
    motor_hz, motor_rms
        The motor's tone at full speed.
    gear_hz, gear_rms
        Whistling lines of the gear at full speed; their pitch follows it.
    joint_places, joint_peak
        Joints along the rail, in [0, 1], that click softly whenever the carriage passes; the median click's peak.
    severity_db, severity_sd_db
        Mean and standard deviation of the faults' grades.
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
    gear_hz: tuple[float, ...]
    gear_rms: float
    joint_places: tuple[float, ...]
    joint_peak: float
    severity_db: float
    severity_sd_db: float
    novel_share: float
    busy_share: float
    event_rate: float


MACHINES = {
    "00": SlideRail(
        program_s=((0.72, 0.50), (1.60, 0.55)),
        friction_db=-45,
        friction_hump_hz=5500,
        motor_hz=490,
        motor_rms=0.0016,
        gear_hz=(),
        gear_rms=0.0,
        joint_places=(0.62,),
        joint_peak=0.013,
        severity_db=29.3,
        severity_sd_db=3.0,
        novel_share=0.04,
        busy_share=0.10,
        event_rate=0.7,
    ),
    "02": SlideRail(
        program_s=((0.42, 0.10), (0.42, 0.10), (0.42, 0.10), (0.42, 0.50)),
        friction_db=-47,
        friction_hump_hz=6500,
        motor_hz=262,
        motor_rms=0.0022,
        gear_hz=(),
        gear_rms=0.0,
        joint_places=(0.3, 0.8),
        joint_peak=0.011,
        severity_db=23.6,
        severity_sd_db=5.0,
        novel_share=0.02,
        busy_share=0.08,
        event_rate=1.2,
    ),
    "04": SlideRail(
        program_s=((0.56, 0.48), (0.56, 0.48), (0.86, 0.52)),
        friction_db=-45,
        friction_hump_hz=5800,
        motor_hz=455,
        motor_rms=0.0014,
        gear_hz=(5200.0, 7300.0),
        gear_rms=0.0008,
        joint_places=(0.25,),
        joint_peak=0.018,
        severity_db=30.5,
        severity_sd_db=3.0,
        novel_share=0.05,
        busy_share=0.10,
        event_rate=0.7,
    ),
    "06": SlideRail(
        program_s=((0.32, 0.78), (0.44, 0.80)),
        friction_db=-40,
        friction_hump_hz=6800,
        motor_hz=345,
        motor_rms=0.0014,
        gear_hz=(),
        gear_rms=0.0,
        joint_places=(0.4, 0.55),
        joint_peak=0.013,
        severity_db=26.5,
        severity_sd_db=1.0,
        novel_share=0.16,
        busy_share=0.18,
        event_rate=2.0,
    ),
}
"""The machines by id. The severities and shares were set so that a plain autoencoder finds the ids as hard as the
published baseline finds the real ones."""


@dataclass(frozen=True)
class Scene:
    """All that decides how one clip sounds; equal scenes give equal samples.

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
        The fault, one of `KINDS`, and its grade; None: healthy.
    length_s
        A multiple of 8 ms; the machine runs without a break for all of it.
    warming_db
        By how much friction changes from beginning to end, as the machine warms up.
    """

    machine: SlideRail
    entropy: tuple[int, ...]
    session_entropy: tuple[int, ...]
    session: int | None
    busy_db: float | None
    n_events: int
    kind: str | None
    severity_db: float
    length_s: float = CLIP_S
    warming_db: float = 0.0

    @property
    def n_samples(self) -> int:
        """Samples at `SR`."""
        return round(self.length_s * SR)


def rng_of(scene: Scene, stream: int) -> np.random.Generator:
    """Return the generator of one of the independent streams of draws of a clip."""
    return np.random.default_rng([*scene.entropy, stream])
