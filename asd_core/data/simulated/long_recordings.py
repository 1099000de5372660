"""Long simulated recordings, cut into clips: how real data sets are made, and what a promise needs.

One slide rail is recorded once on each of some days and runs without a break. Days differ a little in load, grease,
pitch and noise; within a day nothing changes but slowly. Consecutive pieces of a recording are therefore nearly the
same sound, and another day is not: a threshold calibrated on clips held out at random breaks its promise on new
recordings, one calibrated by recording keeps it. Nothing here is a recording of a real machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from asd_core.data.simulated.bench import MACHINE_TYPE
from asd_core.data.simulated.record import GENERATOR_VERSION, RECORDING_BY
from asd_core.data.simulated.scenes import CLIP_S, KINDS, MACHINES, Scene, SlideRail
from asd_core.data.simulated.slide_rail import render
from asd_core.data.simulated.writing import ClipWriter, Recipe, anomaly_mask, to_pcm16, wav_bytes, write_simulated
from asd_core.errors import DataSetError
from asd_core.types import SR, Float32Array

SIZE_NAME = "recordings"
_MACHINE_ID = "00"
_GRADE_DB = -6.0
"""Faults are milder than those of the bench, so that a threshold decides how many of them are found."""
_SESSION_DOMAIN, _SOUND_DOMAIN, _DAY_DOMAIN = 4, 5, 6


@dataclass(frozen=True)
class RecordingCounts:
    """How many recordings there are, and how long each is.

    Parameters
    ----------
    n_normal, n_faulty
        Recordings of the healthy machine; of it with a fault, the kinds in turn.
    normal_s, faulty_s
        Length of each; a multiple of the clips' 10 s.
    """

    n_normal: int = 13
    n_faulty: int = 6
    normal_s: float = 120.0
    faulty_s: float = 60.0

    def recordings(self) -> list[RecordingKey]:
        """Name every recording, the normal ones first; days are numbered from 1."""
        normal = [RecordingKey(number, None, self.normal_s) for number in range(1, self.n_normal + 1)]
        return normal + [
            RecordingKey(self.n_normal + 1 + place, KINDS[place % len(KINDS)], self.faulty_s)
            for place in range(self.n_faulty)
        ]


@dataclass(frozen=True)
class RecordingKey:
    """Names one recording; with the seed it decides every sample.

    Parameters
    ----------
    day
        Its number, from 1.
    kind
        The fault, one of `KINDS`, or None.
    length_s
        A multiple of the clips' 10 s.
    """

    day: int
    kind: str | None
    length_s: float

    @property
    def n_clips(self) -> int:
        """Consecutive clips that it is cut into."""
        return round(self.length_s / CLIP_S)

    def path_of(self, piece: int) -> str:
        """Path of a clip below the set's root, pieces counted from 0."""
        return f"{MACHINE_TYPE}/{self.kind or 'normal'}/day_{self.day:02d}_{piece:03d}.wav"

    @property
    def paths(self) -> list[str]:
        """Paths of its clips, in the order of recording."""
        return [self.path_of(piece) for piece in range(self.n_clips)]


def render_recording(key: RecordingKey, *, seed: int = 0) -> tuple[Float32Array, Float32Array]:
    """Render one day's recording and its healthy twin, from its first to its last sample without a break.

    Returns
    -------
    samples, twin
        Each of shape (length_s * SR,), float32, full scale is 1; the same array twice where the machine is healthy.

    Raises
    ------
    DataSetError
        A negative seed.
    """
    return render(_scene(key, seed))


def _scene(key: RecordingKey, seed: int) -> Scene:
    """Plan a day: a session of its own, the machine's load, its fault's grade, and a clip's trouble per 10 s."""
    if seed < 0:
        raise DataSetError(f"seed must not be negative, got {seed}")
    rng = np.random.default_rng([_DAY_DOMAIN, seed, key.day])
    machine = _on_that_day(MACHINES[_MACHINE_ID], rng)
    return Scene(
        machine=machine,
        entropy=(_SOUND_DOMAIN, seed, key.day),
        session_entropy=(_SESSION_DOMAIN, seed, key.day),
        session=0,
        busy_db=None,
        n_events=int(rng.poisson(machine.event_rate * key.length_s / CLIP_S)),
        kind=key.kind,
        severity_db=machine.severity_db + _GRADE_DB + machine.severity_sd_db * rng.standard_normal(),
        length_s=key.length_s,
        warming_db=1.5 * rng.standard_normal(),
    )


def _on_that_day(machine: SlideRail, rng: np.random.Generator) -> SlideRail:
    """Draw how the machine runs on one day: friction and its colour, the motor's pitch and strength, the pace."""
    friction, hump, pitch, strength, pace = rng.standard_normal(5)
    stretch = 1 + 0.03 * pace
    return replace(
        machine,
        friction_db=machine.friction_db + 1.5 * friction,
        friction_hump_hz=machine.friction_hump_hz * 2 ** (0.1 * hump),
        motor_hz=machine.motor_hz * (1 + 0.01 * pitch),
        motor_rms=machine.motor_rms * 10 ** (strength / 20),
        program_s=tuple((stroke_s * stretch, pause_s * stretch) for stroke_s, pause_s in machine.program_s),
    )


def write_recordings(
    root: Path,
    *,
    counts: RecordingCounts | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write long simulated recordings, cut into clips of 10 s, or find them already there.

    ::

        <root>/slider/normal/day_01_000.wav, day_01_001.wav, ...    13 recordings of 2 minutes
        <root>/slider/<kind of fault>/day_14_000.wav, ...           6 recordings of 1 minute
        <root>/SIMULATED.json, masks.npz                            as those of a bench

    Parameters
    ----------
    counts
        Other numbers of recordings, or lengths.
    on_progress
        Called with (clips done, clips in all).

    Raises
    ------
    DataSetError, UsageError
        As `asd_core.data.simulated.writing.write_simulated`; a negative seed.
    """
    chosen = RecordingCounts() if counts is None else counts
    keys = chosen.recordings()
    header = {
        "schema": 1,
        "command": "simulate",
        "warnings": [],
        "simulated": True,
        "generator_version": GENERATOR_VERSION,
        "size": SIZE_NAME,
        "seed": seed,
        "machine": MACHINE_TYPE,
        "sr": SR,
        "kinds": list(KINDS),
        "recording_by": RECORDING_BY,
        "recordings": asdict(chosen),
    }
    paths = tuple(path for key in keys for path in key.paths)
    recipe = Recipe(header, paths, len(paths) * wav_bytes(round(CLIP_S * SR)))
    return write_simulated(root, recipe, partial(_write_all, keys=keys, seed=seed), on_progress=on_progress)


def _write_all(writer: ClipWriter, *, keys: list[RecordingKey], seed: int) -> None:
    for key in keys:
        scene = _scene(key, seed)
        samples, twin = (each.reshape(key.n_clips, -1) for each in render(scene))
        for path, clip, healthy in zip(key.paths, samples, twin, strict=True):
            writer.write(path, to_pcm16(clip))
            if key.kind is not None:
                mask = anomaly_mask(clip, healthy)
                writer.note(path, kind=key.kind, severity_db=scene.severity_db, mask=mask)
