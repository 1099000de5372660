"""A clip, the index of all clips of a machine, and what is read of their files for it.

`asd_core.data.indexing` makes the index from a folder.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asd_core.audio.riff import MAX_CHANNELS
from asd_core.audio.stretches import extent
from asd_core.data.folders import Skipped
from asd_core.errors import AudioError
from asd_core.features.prints import SoundPrint, sound_print

LABELS = ("normal", "anomalous", "unlabelled")


@dataclass(frozen=True)
class Clip:
    """A clip and what its path, or a table, says about it.

    Parameters
    ----------
    path, relative
        The file, links resolved; its path below the index's root with `/` between parts.
    machine_id
        Two digits in the published layouts, else the sub-folder's name or `00`.
    split
        `train`, `test`, or `val`: its normal clips calibrate the threshold.
    label
        `normal`, `anomalous` or `unlabelled`.
    kind
        Kind of anomaly, where the path names one.
    domain, attributes
        In DCASE 2021 and later: `source` or `target`, and what follows the number in the name; None where it is absent.
    recording
        The recording it was cut from, where that is given (`recording_by`).
    span
        Start and end in seconds where it is a stretch of a longer file; `relative` then ends with `#t=start,end`
        (W3C Media Fragments), so that it names one clip.
    name
        What its owner calls it, where that is not the file's name.
    rule
        What said which label it has, for people: `folder test/squeal`.
    """

    path: Path
    relative: str
    machine_id: str
    split: str
    label: str
    kind: str | None = None
    domain: str | None = None
    attributes: str | None = None
    recording: str | None = None
    span: tuple[float, float] | None = None
    name: str | None = None
    rule: str = ""

    @property
    def shown(self) -> str:
        """How pages, tables and reports call it: its folder and its owner's name for it."""
        if self.name is None:
            return self.relative
        folder = self.relative.rpartition("/")[0]
        return f"{folder}/{self.name}" if folder else self.name


@dataclass(frozen=True)
class ClipIndex:
    """All clips of one machine, sorted by relative path.

    Parameters
    ----------
    root
        The machine's folder.
    layout
        Key of the list of layouts in `asd_core.data.indexing`.
    left_out
        Relative paths of audio files below the root whose folder or name does not fit the layout.
    skipped
        Other files below the root that were passed over, by kind.
    remarks
        Warnings on what was not understood.
    is_near_and_far
        Whether the clips are those of DCASE 2026: channel 0 near the machine, channel 1 far from it.
    """

    root: Path
    machine: str
    layout: str
    clips: tuple[Clip, ...]
    left_out: tuple[str, ...] = ()
    skipped: Skipped = field(default_factory=Skipped)
    remarks: tuple[str, ...] = ()
    is_near_and_far: bool = False

    @property
    def channel(self) -> int | None:
        """Default channel; None is the mean of all.

        Raw MIMII and DCASE 2026 use the first, as DCASE 2020 and the baseline of 2026 do.
        """
        return 0 if self.layout == "mimii" or self.is_near_and_far else None

    @property
    def machine_ids(self) -> tuple[str, ...]:
        """The ids that occur, sorted."""
        return tuple(sorted({clip.machine_id for clip in self.clips}))

    def select(
        self, *, split: str | None = None, label: str | None = None, ids: Sequence[str] | None = None
    ) -> tuple[Clip, ...]:
        """Clips of a split, a label and ids; None takes all."""
        return tuple(
            clip
            for clip in self.clips
            if (split is None or clip.split == split)
            and (label is None or clip.label == label)
            and (ids is None or clip.machine_id in ids)
        )

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Number of clips by id, split and label."""
        found = Counter((clip.machine_id, clip.split, clip.label) for clip in self.clips)
        splits = ("train", "val", "test") if any(clip.split == "val" for clip in self.clips) else ("train", "test")
        return {
            machine_id: {split: {label: found[machine_id, split, label] for label in LABELS} for split in splits}
            for machine_id in self.machine_ids
        }

    def domains(self) -> dict[str, int]:
        """Number of clips per domain, where names give one; sorted by domain."""
        return dict(sorted(Counter(clip.domain for clip in self.clips if clip.domain).items()))

    def kinds(self) -> tuple[str, ...]:
        """The kinds of anomaly that paths name, sorted."""
        return tuple(sorted({clip.kind for clip in self.clips if clip.kind}))


def channel_warnings(index: ClipIndex) -> list[str]:
    """Warn that several channels are averaged although nothing says what they are; reads every header."""
    if index.channel is not None:
        return []
    counts = [n_channels_of(path) for path in dict.fromkeys(clip.path for clip in index.clips)]
    several = sorted({count for count in counts if 1 < count <= MAX_CHANNELS})  # of more, the reader says what to do
    if not several:
        return []
    n_files = sum(count in several for count in counts)
    return [
        f"channels: {n_files} of {len(counts)} files have {' or '.join(map(str, several))} channels, and their mean is "
        "heard. Where one microphone is nearer to the machine than the others, train on it alone: choose its channel "
        "when training (--channel; 0 is the first), or keep only that channel in the files"
    ]


def n_channels_of(path: Path) -> int:
    """Channels of a recording of any length, by its header; 0 for a file that is refused."""
    try:
        return extent(path).n_channels
    except AudioError:
        return 0


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, the same as in its `Waveform`."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def prints_of(clips: Iterable[Clip], *, channel: int | None) -> list[SoundPrint | None]:
    """Read the print of each clip; None for one that is refused."""
    return [_print_of(clip, channel) for clip in clips]


def _print_of(clip: Clip, channel: int | None) -> SoundPrint | None:
    try:
        return sound_print(clip.path, channel=channel, span=clip.span)
    except AudioError:
        return None
