"""Real recordings as clips whose recordings are known, in two halves: a lathe, a drone, and one id of a slide rail.

They lie in `../shared/data` (its README says what they are, and under which licences); nothing of them is part of this
project. Without them the benchmarks on real sound print so and end.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_core.audio.reading import encode_wav, read_waveform
from asd_core.data.clips import Clip
from asd_core.data.data_set import open_data_set
from benchmarks.halves import half_of_recordings, rows_for

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
REAL = SHARED / "real"
SLIDER = SHARED / "dcase_layout" / "dev_data"
SLIDER_SEED = 2020
SLIDER_FRESH = 5
"""Every fifth normal training clip of the slide rail, in a seeded order, joins its test clips."""


@dataclass(frozen=True)
class Part:
    """What a detector learns from, and what it is judged on; no recording is in both.

    Parameters
    ----------
    train
        Normal clips.
    test
        Clips of both labels.
    """

    train: tuple[Clip, ...]
    test: tuple[Clip, ...]


@dataclass(frozen=True)
class RealSet:
    """Clips of one machine, dealt to two halves by recording.

    Parameters
    ----------
    clips
        All of them.
    halves
        Half of each recording, 0 (for choosing) or 1 (reported); empty where clips are too few for halves, or for an
        AUC: then there is one part, of ranks only.
    """

    clips: tuple[Clip, ...]
    halves: dict[str, int]

    def part(self, half: int) -> Part:
        """Train on the other half's normal clips, judge all clips of this one."""
        rows = rows_for(self.clips, self.halves, judged=half)
        train, test = (tuple(self.clips[row] for row in each) for each in rows)
        return Part(train, test)


def lathe_clips() -> list[Clip]:
    """One-second cuts of a lathe; a block of 50 consecutive cuts is a recording."""
    with (REAL / "lathe" / "recordings.csv").open() as table:
        rows = list(csv.DictReader(table))
    clips = []
    for row in rows:
        recording = f"{row['label']} {row['series']} {row['block']}"
        path = REAL / "lathe" / row["path"]
        clips.append(Clip(path, row["path"], "00", "train", row["label"], recording=recording))
    return sorted(clips, key=lambda clip: clip.relative)


def joined_clips(clips: Sequence[Clip], folder: Path, *, n_joined: int = 5) -> list[Clip]:
    """Cuts of one recording whose numbers follow each other, joined to longer clips."""
    by_recording: dict[tuple[str | None, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        by_recording[clip.recording, clip.label].append(clip)
    made = []
    for (recording, label), members in by_recording.items():
        for run in _consecutive(members, n_joined):
            relative = f"{label}/{run[0].path.stem}.wav"
            path = folder / relative
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                samples = np.concatenate([read_waveform(clip.path).samples for clip in run])
                path.write_bytes(encode_wav(samples))
            made.append(Clip(path, relative, "00", "train", label, recording=recording))
    return sorted(made, key=lambda clip: clip.relative)


def _consecutive(clips: Sequence[Clip], n_joined: int) -> Iterator[list[Clip]]:
    run: list[Clip] = []
    for clip in clips:
        if run and _number(clip) != _number(run[-1]) + 1:
            run = []
        run.append(clip)
        if len(run) == n_joined:
            yield run
            run = []


def _number(clip: Clip) -> int:
    return int(clip.path.stem.rpartition("_")[2])


def drone_clips() -> list[Clip]:
    """Ten seconds of each of 40 flights with whole, and 40 with broken propellers; a flight is a recording."""
    labels = {"normal": "normal", "broken": "anomalous"}
    return [
        Clip(path, f"{folder}/{path.name}", "00", "train", label, recording=f"{folder} {path.stem}")
        for folder, label in labels.items()
        for path in sorted((REAL / "drone" / folder).glob("*.flac"))
    ]


def slider_part() -> Part:
    """75 normal clips of slider id 00, a seeded fifth of them for the test, with the six test clips of that id."""
    index = open_data_set(SLIDER, machine="slider").index
    normal, test = index.select(split="train", label="normal"), index.select(split="test")
    fresh = set(np.random.default_rng(SLIDER_SEED).permutation(len(normal))[: len(normal) // SLIDER_FRESH].tolist())
    train, others = (tuple(clip for row, clip in enumerate(normal) if (row in fresh) is own) for own in (False, True))
    return Part(train, (*others, *test))


def lathe(folder: Path, *, seconds: int = 1) -> RealSet:
    """Clips of the lathe of 1 s, or joined to longer ones; whatever their length, a recording is in the same half."""
    cuts = lathe_clips()
    halves = half_of_recordings(cuts)
    clips = cuts if seconds == 1 else joined_clips(cuts, folder / f"lathe-{seconds}s", n_joined=seconds)
    return RealSet(tuple(clips), halves)


def drone(folder: Path) -> RealSet:  # noqa: ARG001 - nothing is made
    """Flights, each in one half."""
    clips = drone_clips()
    return RealSet(tuple(clips), half_of_recordings(clips))


SETS: dict[str, Callable[[Path], RealSet]] = {
    "lathe, 1 s": lathe,
    "lathe, 5 s": lambda folder: lathe(folder, seconds=5),
    "lathe, 10 s": lambda folder: lathe(folder, seconds=10),
    "drone, 10 s": drone,
}
