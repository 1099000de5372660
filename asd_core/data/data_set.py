"""One machine's clips as a data set: opening it, reading one clip at a time, describing it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from asd_core.data.clips import Clip, ClipIndex, channel_warnings, index_clips, prints_of
from asd_core.data.dcase2020.published import CountRow, published_counts
from asd_core.data.label_differences import label_differences
from asd_core.data.recordings import How, Recordings, find_recordings
from asd_core.data.simulated.record import SimulatedRecord, read_simulated
from asd_core.errors import AudioError
from asd_core.features.cache import read_clip
from asd_core.system.typed_json import to_json
from asd_core.types import Waveform

OWN_SUFFIX = "-own"
"""Suffix of the data-set name for detectors trained on a data set whose own detectors are read-only."""


@dataclass(frozen=True)
class DataSet:
    """One machine's clips, the name its detectors are filed under, and the bench's record of them.

    Parameters
    ----------
    name
        Slug of the root's last part, or as given.
    simulated
        The bench's record, or None for recordings.
    """

    name: str
    index: ClipIndex
    simulated: SimulatedRecord | None


def open_data_set(
    data: Path,
    *,
    machine: str | None = None,
    ids: Sequence[str] | None = None,
    normal: str | None = None,
    name: str | None = None,
    seed: int = 0,
    recording_by: str | None = None,
) -> DataSet:
    """Index the clips below `data`; the bench's record gives the kinds of simulated anomalies.

    Raises
    ------
    DataSetError, UsageError
        See `asd_core.data.clips.index_clips`.
    """
    index = index_clips(data, machine=machine, normal=normal, ids=ids, seed=seed, recording_by=recording_by)
    layered = index.layout in ("dcase2020", "dcase2021", "mimii")
    root = index.root.resolve().parent if layered else index.root.resolve()
    record = read_simulated(root)
    if record is not None:
        kinds = {path: fault.kind for path, fault in record.faults.items()}
        prefix = "" if root == index.root.resolve() else f"{index.root.resolve().name}/"
        clips = tuple(replace(clip, kind=kinds.get(prefix + clip.relative)) for clip in index.clips)
        index = replace(index, clips=clips)
    return DataSet(slug(name or root.name), index, record)


def slug(text: str) -> str:
    """Lower-case letters, digits, `_` and `-` only: fit for a folder's name, never empty."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-") or "data"


@dataclass(frozen=True)
class FileClips(Sequence[Waveform]):
    """Clips that are opened at each access, so that a whole data set is never in memory.

    A file that the feature cache knows and that has not changed is not read again.
    """

    clips: tuple[Clip, ...]
    channel: int | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return FileClips(self.clips[position], self.channel)
        return read_clip(self.clips[position].path, channel=self.channel)


@dataclass(frozen=True)
class ReadableClips:
    """Clips that the reader accepts, their digests, and its refusals and warnings."""

    clips: tuple[Clip, ...]
    digests: tuple[str, ...]
    refused: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]


def readable(clips: Iterable[Clip], *, channel: int | None, min_samples: int = 1) -> ReadableClips:
    """Read each clip once and keep those that are accepted and have at least `min_samples`."""
    good: list[Clip] = []
    digests: list[str] = []
    refused: list[dict[str, str]] = []
    warnings: list[str] = []
    for clip in clips:
        try:
            waveform = read_clip(clip.path, channel=channel)
        except AudioError as error:
            refused.append({"path": clip.relative, "reason": f"{error.code}: {error}"})
            continue
        if waveform.n_samples < min_samples:
            reason = f"input: a clip needs at least {min_samples} samples, got {waveform.n_samples}"
            refused.append({"path": clip.relative, "reason": reason})
            continue
        good.append(clip)
        digests.append(waveform.digest)
        warnings += [f"{clip.shown}: {text}" for text in waveform.warnings]
    return ReadableClips(tuple(good), tuple(digests), tuple(refused), tuple(warnings))


def fingerprint(digests: Sequence[str]) -> str:
    """One digest for a set of clips, independent of their order."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def expected_counts(data_set: DataSet) -> list[CountRow]:
    """Published and found clips per id, split and label; empty if nothing is published about this data set."""
    return [] if data_set.simulated is not None else published_counts(data_set.index)


@dataclass(frozen=True)
class RecordingCount:
    """Number of recordings, or of the runs of clips that stand for them, and how they are known."""

    n: int
    how: How

    @classmethod
    def of(cls, recordings: Recordings) -> Self:
        """Count them."""
        return cls(recordings.n, recordings.how)

    @property
    def text(self) -> str:
        """How many there are and how that is known, for people: `13, found in the sound`."""
        if self.how == "order":
            return f"not known; {self.n} runs of clips in name order stand for them"
        return f"{self.n}, {'found in the sound' if self.how == 'found' else 'given by the paths of the clips'}"


@dataclass(frozen=True)
class IndexReport:
    """What the `index` command reports about a data set.

    Parameters
    ----------
    layout
        How its folders were understood.
    channel
        The channel that is used; None: the mean of all.
    counts
        Clips by id, split and label.
    kinds, domains
        Kinds of anomaly; clips by domain.
    expected
        Published and found clips; empty if nothing is published about it.
    recordings
        Over all clips.
    duplicates
        Groups of paths with equal or nearly equal sound.
    refused
        `path` and `reason` of each refused clip.
    """

    machine: str
    data_set: str
    simulated: bool
    layout: str
    channel: int | None
    n_clips: int
    counts: Mapping[str, Mapping[str, Mapping[str, int]]]
    kinds: tuple[str, ...]
    domains: Mapping[str, int]
    expected: tuple[CountRow, ...]
    recordings: RecordingCount
    duplicates: tuple[tuple[str, ...], ...]
    refused: tuple[Mapping[str, str], ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Write the report as `index --json` does."""
        return {
            "schema": 1,
            "command": "index",
            "warnings": list(self.warnings),
            **to_json(self),
            "expected": [row.to_json() for row in self.expected] or None,
        }


def _left_out_warnings(index: ClipIndex) -> list[str]:
    if not index.left_out:
        return []
    first = ", ".join(index.left_out[:3])
    return [f"left_out: {len(index.left_out)} audio files do not fit the layout {index.layout}, among them {first}"]


@dataclass(frozen=True)
class Dependence:
    """Which clips of a data set are not independent of each other.

    Parameters
    ----------
    recordings
        Over all clips that can be read.
    doubles
        Groups of paths with equal or nearly equal sound.
    """

    recordings: RecordingCount
    doubles: tuple[tuple[str, ...], ...]


def find_dependence(clips: Sequence[Clip], *, channel: int | None) -> Dependence:
    """Read each clip, and find the recordings they were cut from and those that sound the same."""
    found = find_recordings(clips, prints_of(clips, channel=channel))
    doubles = tuple(tuple(clips[row].relative for row in rows) for rows in found.doubles)
    return Dependence(RecordingCount.of(found), doubles)


def describe_index(data_set: DataSet) -> IndexReport:
    """Read every clip; report counts, kinds, duplicates and refusals."""
    index = data_set.index
    found = readable(index.clips, channel=index.channel)
    dependence = find_dependence(found.clips, channel=index.channel)
    differ = label_differences(found.clips, channel=index.channel)
    return IndexReport(
        machine=index.machine,
        data_set=data_set.name,
        simulated=data_set.simulated is not None,
        layout=index.layout,
        channel=index.channel,
        n_clips=len(index.clips),
        counts=index.counts(),
        kinds=tuple(index.kinds()),
        domains=index.domains(),
        expected=tuple(expected_counts(data_set)),
        recordings=dependence.recordings,
        duplicates=dependence.doubles,
        refused=found.refused,
        warnings=(*_left_out_warnings(index), *channel_warnings(index), *differ, *found.warnings),
    )
