"""A simulated bench: a data set of slide-rail clips that anyone can generate, in the DCASE 2020 layout.

The real recordings cannot be shipped. This bench is drawn from a seed, says that it is simulated, and records what is
unknown for real recordings: each anomalous clip's fault, its severity, and where in time and frequency it is audible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import scipy

from asd_core.data.simulated.record import GENERATOR_VERSION
from asd_core.data.simulated.scenes import KINDS, MACHINES, N_SESSIONS, Scene
from asd_core.data.simulated.slide_rail import render
from asd_core.data.simulated.writing import ClipWriter, Recipe, anomaly_mask, to_pcm16, wav_bytes, write_simulated
from asd_core.errors import DataSetError
from asd_core.types import SR, Float32Array

MACHINE_TYPE = "slider"
CLIP_BYTES = wav_bytes(10 * SR)
"""Size of a 10-s clip of 16 bit with its header."""

Split: TypeAlias = Literal["train", "test"]
Label: TypeAlias = Literal["normal", "anomaly"]

_SESSION_DOMAIN, _CLIP_DOMAIN, _PLAN_DOMAIN = 1, 2, 3
_GOLDEN = (5**0.5 - 1) / 2
_ROOT_OF_FIVE = 1.1347241384015194
"""Solves x**6 = x + 1: multiples of 1/x .. 1/x**5 spread evenly in five dimensions (Roberts' R sequence)."""


@dataclass(frozen=True)
class IdCounts:
    """How many clips one id has."""

    train_normal: int
    test_normal: int
    test_anomalous: int


@dataclass(frozen=True)
class BenchSize:
    """A named size: clips for each id, such as "00"."""

    name: str
    ids: dict[str, IdCounts]

    @property
    def n_clips(self) -> int:
        """Clips of all ids, splits and labels."""
        return sum(sum(asdict(counts).values()) for counts in self.ids.values())

    @property
    def n_bytes(self) -> int:
        """Size of the clips on disk."""
        return self.n_clips * CLIP_BYTES


SIZES = {
    "small": BenchSize("small", {i: IdCounts(60, 50, 50) for i in ("00", "02", "04")}),
    "calibration": BenchSize("calibration", {i: IdCounts(100, 100, 100) for i in ("00", "02", "04", "06")}),
    "report": BenchSize(
        "report",
        {"00": IdCounts(968, 100, 356), "02": IdCounts(968, 100, 267), "04": IdCounts(434, 100, 178)},
    ),
    "report-quarter": BenchSize(
        "report-quarter",
        {"00": IdCounts(242, 25, 89), "02": IdCounts(242, 25, 67), "04": IdCounts(108, 25, 44)},
    ),
}


@dataclass(frozen=True)
class ClipKey:
    """Names one clip of the bench; with the seed it decides every sample."""

    machine_id: str
    split: Split
    label: Label
    index: int

    @property
    def relative_path(self) -> str:
        """Path below the bench's root, with forward slashes."""
        return f"{MACHINE_TYPE}/{self.split}/{self.label}_id_{self.machine_id}_{self.index:08d}.wav"


@dataclass(frozen=True, eq=False)
class RenderedClip:
    """A clip with its healthy twin and its fault.

    Parameters
    ----------
    samples
        Shape (160000,), float32, full scale is 1, at `SR`.
    twin
        The same clip with a healthy machine, same shape; `samples` itself for a normal clip.
    kind, severity_db
        The fault and its severity, None for a normal clip.
    """

    samples: Float32Array
    twin: Float32Array
    kind: str | None
    severity_db: float | None


def render_clip(key: ClipKey, *, seed: int = 0, severity_offset_db: float = 0.0) -> RenderedClip:
    """Render one clip; it depends on nothing but the arguments.

    Raises
    ------
    DataSetError
        No such simulated id, or a negative seed or index.
    """
    scene = _scene(key, seed, severity_offset_db)
    samples, twin = render(scene)
    if scene.kind is None:
        return RenderedClip(samples, twin, None, None)
    return RenderedClip(samples, twin, scene.kind, scene.severity_db)


def _scene(key: ClipKey, seed: int, severity_offset_db: float) -> Scene:
    """Plan one clip; disturbances, sessions and severities are spread evenly along the index."""
    if key.machine_id not in MACHINES:
        raise DataSetError(f"simulated ids are {', '.join(MACHINES)}, got {key.machine_id!r}")
    if seed < 0 or key.index < 0:
        raise DataSetError(f"seed and index must not be negative, got {seed} and {key.index}")
    machine, machine_id = MACHINES[key.machine_id], int(key.machine_id)
    group = (seed, machine_id, int(key.split == "test"), int(key.label == "anomaly"))
    starts = np.random.default_rng([_PLAN_DOMAIN, *group]).random(6)
    steps = _ROOT_OF_FIVE ** -np.arange(1.0, 6.0)
    novel, busy, level, events, session = np.mod(starts[:5] + (key.index + 1) * steps, 1.0)
    kind, severity_db = None, 0.0
    if key.label == "anomaly":
        kind = KINDS[key.index % len(KINDS)]
        quantile = np.mod(starts[5] + (key.index // len(KINDS)) * _GOLDEN + key.index % len(KINDS) / 3, 1.0)
        grade = float(scipy.special.ndtri(np.clip(quantile, 0.005, 0.995)))
        severity_db = machine.severity_db + machine.severity_sd_db * grade + severity_offset_db
    return Scene(
        machine=machine,
        entropy=(_CLIP_DOMAIN, *group, key.index),
        session_entropy=(_SESSION_DOMAIN, seed, machine_id),
        session=None if novel < machine.novel_share else int(session * N_SESSIONS),
        busy_db=-30.0 + 3.0 * float(scipy.special.ndtri(level)) if busy < machine.busy_share else None,
        n_events=_poisson_quantile(float(events), machine.event_rate),
        kind=kind,
        severity_db=severity_db,
    )


def _poisson_quantile(quantile: float, mean: float) -> int:
    """Return the smallest count that is not exceeded with this probability, as `scipy.stats.poisson.ppf` does.

    Importing `scipy.stats` for it would take longer than rendering forty clips.
    """
    count = int(np.ceil(scipy.special.pdtrik(quantile, mean)))
    return count - 1 if count > 0 and scipy.special.pdtr(count - 1, mean) >= quantile else max(count, 0)


def write_bench(
    root: Path,
    *,
    size: str | BenchSize = "small",
    seed: int = 0,
    severity_offset_db: float = 0.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a simulated bench, or find it already there.

    Parameters
    ----------
    root
        Appears complete at the end; until then the clips are in a staging folder next to it.
    size
        A name in `SIZES`, or another size.
    severity_offset_db
        Added to every severity; at -60 the anomalous clips sound healthy, which shows whether labels leak.
    on_progress
        Called with (clips done, clips in all).

    Raises
    ------
    DataSetError
        An unknown size, a folder that holds something else, or a folder that cannot be written.
    UsageError
        Too little room on the disk; nothing has been rendered.
    """
    chosen = _size_named(size)
    paths = tuple(key.relative_path for key in clip_keys(chosen))
    recipe = Recipe(_header(chosen, seed, severity_offset_db), paths, chosen.n_bytes)
    render_all = partial(_write_clips, size=chosen, seed=seed, severity_offset_db=severity_offset_db)
    return write_simulated(root, recipe, render_all, on_progress=on_progress)


def _size_named(size: str | BenchSize) -> BenchSize:
    if isinstance(size, BenchSize):
        return size
    if size not in SIZES:
        raise DataSetError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    return SIZES[size]


def _header(size: BenchSize, seed: int, severity_offset_db: float) -> dict[str, Any]:
    """What two benches must share to be the same."""
    return {
        "schema": 1,
        "command": "simulate",
        "warnings": [],
        "simulated": True,
        "generator_version": GENERATOR_VERSION,
        "size": size.name,
        "seed": seed,
        "severity_offset_db": severity_offset_db,
        "machine": MACHINE_TYPE,
        "sr": SR,
        "kinds": list(KINDS),
        "ids": {machine_id: asdict(counts) for machine_id, counts in size.ids.items()},
    }


def clip_keys(size: BenchSize) -> Iterator[ClipKey]:
    """Name every clip of a size, in the order of writing."""
    for machine_id, counts in size.ids.items():
        groups: tuple[tuple[Split, Label, int], ...] = (
            ("train", "normal", counts.train_normal),
            ("test", "normal", counts.test_normal),
            ("test", "anomaly", counts.test_anomalous),
        )
        for split, label, n_clips in groups:
            for index in range(n_clips):
                yield ClipKey(machine_id, split, label, index)


def _write_clips(writer: ClipWriter, *, size: BenchSize, seed: int, severity_offset_db: float) -> None:
    for key in clip_keys(size):
        clip, path = render_clip(key, seed=seed, severity_offset_db=severity_offset_db), key.relative_path
        writer.write(path, to_pcm16(clip.samples))
        if clip.kind is not None and clip.severity_db is not None:
            mask = anomaly_mask(clip.samples, clip.twin)
            writer.note(path, kind=clip.kind, severity_db=clip.severity_db, mask=mask)
