"""One machine's clips as a data set: opening it, reading one clip at a time, describing it."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from asd_core.audio.kinds import LOSSY
from asd_core.audio.refusals import in_data_set
from asd_core.data.clips import LABELS, Clip, ClipIndex, channel_warnings, prints_of
from asd_core.data.dcase2020.published import CountRow, published_counts
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.data.folders import Skipped
from asd_core.data.indexing import index_clips
from asd_core.data.label_differences import label_differences
from asd_core.data.published_layouts import PUBLISHED
from asd_core.data.recordings import How, Recordings, find_recordings
from asd_core.data.simulated.record import SimulatedRecord, read_simulated
from asd_core.errors import AudioError
from asd_core.features.cache import read_clip
from asd_core.formats import counted
from asd_core.system.typed_json import to_json
from asd_core.types import SR, Waveform

LOSSY_LEFT_OUT = "lossy beside lossless"
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
    name: str | None = None,
    seed: int = 0,
    rules: FolderRules | None = None,
    within: Sequence[Path] | None = None,
) -> DataSet:
    """Index the clips below `data`; the bench's record gives the kinds of simulated anomalies.

    Parameters
    ----------
    name
        Of the data set; default the slug of the root's last part.
    machine, ids, seed, rules, within
        See `asd_core.data.indexing.index_clips`.

    Raises
    ------
    DataSetError, UsageError
        See `asd_core.data.indexing.index_clips`.
    """
    index = index_clips(data, machine=machine, ids=ids, seed=seed, rules=rules, within=within)
    root = index.root.resolve().parent if index.layout in PUBLISHED else data.resolve()
    record = read_simulated(root)
    if record is None and root == index.root.resolve() and (above := read_simulated(root.parent)) is not None:
        root, record = root.parent, above  # the machine's own folder was named
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
        clip = self.clips[position]
        return read_clip(clip.path, channel=self.channel, span=clip.span)


@dataclass(frozen=True)
class ReadableClips:
    """Clips that the reader accepts, their digests, and its refusals and warnings.

    `codings` has for each clip what coding has taken from it (`MP3: nothing above 15.8 kHz`), empty where it is whole.
    """

    clips: tuple[Clip, ...]
    digests: tuple[str, ...]
    refused: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]
    codings: tuple[str, ...] = ()

    def only(self, rows: Sequence[int]) -> ReadableClips:
        """These rows of it; refusals and warnings stay."""
        return replace(
            self,
            clips=tuple(self.clips[row] for row in rows),
            digests=tuple(self.digests[row] for row in rows),
            codings=tuple(self.codings[row] for row in rows),
        )


def readable(clips: Iterable[Clip], *, channel: int | None, min_samples: int = 1) -> ReadableClips:
    """Read each clip once and keep those that are accepted and have at least `min_samples`."""
    good: list[tuple[Clip, str, str]] = []
    refused: list[dict[str, str]] = []
    warnings: list[str] = []
    for clip in clips:
        try:
            waveform = read_clip(clip.path, channel=channel, span=clip.span)
        except AudioError as error:
            refused.append(in_data_set(error).entry(clip.shown))
            continue
        if waveform.n_samples < min_samples:
            refused.append(_too_short(waveform, min_samples).entry(clip.shown))
            continue
        coding = next((text.removeprefix(LOSSY) for text in waveform.warnings if text.startswith(LOSSY)), "")
        good.append((clip, waveform.digest, coding))
        warnings += [f"{clip.shown}: {text}" for text in waveform.warnings if not text.startswith(LOSSY)]
    codings = tuple(coding for _, _, coding in good)
    if (remark := coding_remark(codings)) is not None:
        warnings.insert(0, f"{LOSSY}{remark}")
    kept, digests = tuple(clip for clip, _, _ in good), tuple(digest for _, digest, _ in good)
    return ReadableClips(kept, digests, tuple(refused), tuple(warnings), codings)


def _too_short(waveform: Waveform, min_samples: int) -> AudioError:
    what = f"the detector needs clips of at least {min_samples / SR:.3g} s, this one has {waveform.duration_s:.3g} s"
    return AudioError("too_short", what, cure="record longer clips")


def most_common_coding(codings: Sequence[str]) -> str | None:
    """How most of the clips that were coded lossily were coded; None where none was."""
    return next((coding for coding, _ in Counter(filter(None, codings)).most_common(1)), None)


def coding_remark(codings: Sequence[str]) -> str | None:
    """Say how many clips were coded lossily, and how; None where none was."""
    most, different = most_common_coding(codings), set(codings) - {""}
    if most is None:
        return None
    n_lossy, others = sum(map(bool, codings)), " and other codings" if len(different) > 1 else ""
    return f"{n_lossy} of {len(codings)} clips were coded lossily: {most}{others}"


def without_lossy(found: ReadableClips, rules: FolderRules) -> tuple[ReadableClips, Skipped]:
    """Leave lossily coded clips out where others are lossless, unless the rules take them."""
    lossless = [row for row, coding in enumerate(found.codings) if not coding]
    if rules.lossy or not lossless or len(lossless) == len(found.clips):
        return found, Skipped()
    left_out = [clip.shown for clip, coding in zip(found.clips, found.codings, strict=True) if coding]
    said = (
        f"{text}; these were left out (--lossy trains on them too)" if text.startswith(LOSSY) else text
        for text in found.warnings
    )
    kept = replace(found.only(lossless), warnings=tuple(said))
    return kept, Skipped.of((LOSSY_LEFT_OUT, name) for name in left_out)


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
            return f"not known; {counted(self.n, 'run')} of clips in name order stand for them"
        return f"{self.n}, {'found in the sound' if self.how == 'found' else 'given by the paths of the clips'}"


@dataclass(frozen=True)
class LabelRow:
    """What a folder, a table or a name was understood to mean.

    Parameters
    ----------
    rule
        What said it, for people: `folder test/squeal`.
    n_recordings
        Recordings among its clips; None where they are not known.
    """

    rule: str
    label: str
    split: str
    n_clips: int
    n_recordings: int | None


def label_rows(clips: Sequence[Clip], recordings: Mapping[str, str]) -> tuple[LabelRow, ...]:
    """Sum up how labels were understood: normal ones first, then by rule; training clips before test clips.

    Parameters
    ----------
    recordings
        Recording of each clip by its relative path, as far as known.
    """
    rows: dict[tuple[str, str, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        rows[clip.rule, clip.label, clip.split].append(clip)
    order = sorted(rows, key=lambda row: (LABELS.index(row[1]), ("train", "val", "test").index(row[2]), row[0]))
    return tuple(_label_row(row, rows[row], recordings) for row in order)


def _label_row(row: tuple[str, str, str], clips: Sequence[Clip], recordings: Mapping[str, str]) -> LabelRow:
    found = {recordings.get(clip.relative, clip.recording) for clip in clips}
    return LabelRow(*row, len(clips), None if None in found else len(found))


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
    labels
        How labels were understood, see `label_rows`.
    kinds, domains
        Kinds of anomaly; clips by domain.
    skipped
        Files that are no recordings, or were passed over, by kind.
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
    labels: tuple[LabelRow, ...]
    kinds: tuple[str, ...]
    skipped: Skipped
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
    labels
        Recording of each clip by its relative path; empty where recordings are not known.
    """

    recordings: RecordingCount
    doubles: tuple[tuple[str, ...], ...]
    labels: Mapping[str, str] = field(default_factory=dict)


def find_dependence(clips: Sequence[Clip], *, channel: int | None) -> Dependence:
    """Read each clip, and find the recordings they were cut from and those that sound the same."""
    found = find_recordings(clips, prints_of(clips, channel=channel))
    doubles = tuple(tuple(clips[row].relative for row in rows) for rows in found.doubles)
    names = [clip.relative for clip in clips] if found.how != "order" else []
    return Dependence(RecordingCount.of(found), doubles, dict(zip(names, found.labels, strict=False)))


def _lossy_warnings(found: ReadableClips) -> list[str]:
    n_left_out = without_lossy(found, NO_RULES)[1].n
    if not n_left_out:
        return []
    return [
        f"lossy_clips: {n_left_out} lossy clips lie beside lossless ones and are not trained on, since a detector "
        "would learn the coding (--lossy trains on them too)"
    ]


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
        labels=label_rows(index.clips, dependence.labels),
        kinds=tuple(index.kinds()),
        skipped=index.skipped,
        domains=index.domains(),
        expected=tuple(expected_counts(data_set)),
        recordings=dependence.recordings,
        duplicates=dependence.doubles,
        refused=found.refused,
        warnings=(
            *_left_out_warnings(index),
            *index.remarks,
            *channel_warnings(index),
            *differ,
            *found.warnings,
            *_lossy_warnings(found),
        ),
    )
