"""The clip index: one row per clip, whatever the folder's layout.

Layouts, tried in this order; the first match is taken:

1. `dcase2020`: `<machine>/{train,test}/{normal,anomaly}_id_NN_00000000.wav`, evaluation clips `id_NN_00000000.wav`
2. `dcase2021`: `<machine>/<any>/section_SS_{source,target}_{train,test}_{normal,anomaly}_NNNN[_attributes].wav`,
   evaluation clips without label, and from 2022 on without domain and split: `section_SS_NNNN.wav`. Those of 2026
   have the same names and two channels: a microphone near the machine, and one far from it (arXiv 2606.01578)
3. `mimii`: `<machine>/id_NN/{normal,abnormal}/00000000.wav`
4. `folders`: `<root>/<label>/[<id>/]*.wav`: one label is the normal one, the others are kinds of anomaly
5. `loose`: audio files without any of these: unlabelled, scored, never guessed
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asd_core.audio.reading import count_channels
from asd_core.data.names import with_names
from asd_core.data.recordings import find_recordings, training_rows
from asd_core.errors import AudioError, DataSetError, UsageError
from asd_core.features.prints import SoundPrint, sound_print

AUDIO_SUFFIXES = (".wav", ".flac")
NORMAL_NAMES = ("normal", "healthy", "ok", "good")
LABELS = ("normal", "anomalous", "unlabelled")
_WITHOUT_SPLIT = ("mimii", "folders")
"""Layouts whose training clips are drawn here."""
_PROBED_CLIPS = 10
"""At most this many headers are read to find the number of channels of a DCASE set."""

_DCASE2020 = re.compile(r"(?:(?P<label>normal|anomaly)_)?id_(?P<id>\d{2})_\d+$")
_DCASE2021 = re.compile(
    r"section_(?P<id>\d{2})(?:_(?P<domain>source|target))?(?:_(?P<split>train|test))?(?:_(?P<label>normal|anomaly))?"
    r"_\d+(?:_(?P<attributes>.*))?$"
)
_MIMII_ID = re.compile(r"id_(?P<id>\d{2})$")


@dataclass(frozen=True)
class Clip:
    """One recording and what its path says about it.

    Parameters
    ----------
    path, relative
        The file; its path below the index's root with `/` between parts.
    machine_id
        Two digits in the DCASE layouts, else the sub-folder's name or `00`.
    split
        `train` or `test`.
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
        Key of the module's list of layouts.
    left_out
        Relative paths of audio files below the root whose folder or name does not fit the layout.
    is_near_and_far
        Whether the clips are those of DCASE 2026: channel 0 near the machine, channel 1 far from it.
    """

    root: Path
    machine: str
    layout: str
    clips: tuple[Clip, ...]
    left_out: tuple[str, ...] = ()
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
        return {
            machine_id: {
                split: {label: found[machine_id, split, label] for label in LABELS} for split in ("train", "test")
            }
            for machine_id in self.machine_ids
        }

    def domains(self) -> dict[str, int]:
        """Number of clips per domain, where names give one; sorted by domain."""
        return dict(sorted(Counter(clip.domain for clip in self.clips if clip.domain).items()))

    def kinds(self) -> tuple[str, ...]:
        """The kinds of anomaly that paths name, sorted."""
        return tuple(sorted({clip.kind for clip in self.clips if clip.kind}))


def index_clips(
    data: Path,
    *,
    machine: str | None = None,
    normal: str | None = None,
    ids: Sequence[str] | None = None,
    seed: int = 0,
    recording_by: str | None = None,
) -> ClipIndex:
    """List the clips of one machine below a root of machine folders, or of a machine folder.

    Parameters
    ----------
    machine
        Which one, where the root holds several.
    normal
        Name of the normal label's folder, for own recordings.
    ids
        Keep these machine ids only.
    seed
        Of the training split of own recordings without a test split.
    recording_by
        How paths name the recording that a clip was cut from: `folder` (which then is no machine id), `none` (each clip
        is a recording of its own), or a regular expression, found anywhere in the path below the machine's folder: its
        first group, or all of it. Every normal clip that may be trained on needs one. None: recordings are found in the
        sound.

    Raises
    ------
    DataSetError
        No such folder, no clips, several machines and none named, no normal label, unknown id or machine, a normal
        clip whose path names no recording.
    UsageError
        `recording_by` is no regular expression.
    """
    if not data.is_dir():
        raise DataSetError(f"{data} is not a folder; --data names a folder of machines or of one machine")
    index = with_names(_choose(_machines(data, normal=normal), data, machine))
    if recording_by is not None:
        index = replace(index, clips=_with_recordings(index, recording_by))
    if index.layout in _WITHOUT_SPLIT:
        index = replace(index, clips=_with_training_split(index, seed=seed))
    if ids is None:
        return index
    if unknown := set(ids) - set(index.machine_ids):
        raise DataSetError(f"{index.machine} has no id {sorted(unknown)[0]}; it has {', '.join(index.machine_ids)}")
    return replace(index, clips=index.select(ids=ids))


def channel_warnings(index: ClipIndex) -> list[str]:
    """Warn that several channels are averaged although nothing says what they are; reads every header."""
    if index.channel is not None:
        return []
    counts = [_n_channels(clip.path) for clip in index.clips]
    several = sorted({count for count in counts if count > 1})
    if not several:
        return []
    n_clips = sum(count > 1 for count in counts)
    return [
        f"channels: {n_clips} of {len(counts)} clips have {' or '.join(map(str, several))} channels, and their mean is "
        "heard. Where one microphone is nearer to the machine than the others, train on it alone: name its channel "
        "with --channel (0 is the first), or keep only that channel in the files"
    ]


def _n_channels(path: Path) -> int:
    """Channels of a recording; 0 for a file that is refused."""
    try:
        return count_channels(path)
    except AudioError:
        return 0


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, the same as in its `Waveform`."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def find_audio(folder: Path) -> list[Path]:
    """Audio files below a folder by suffix in any case, sorted.

    Hidden and linked folders are left out; a linked file is listed, so that the reader's refusal becomes visible.
    """
    found = []
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in names if name.lower().endswith(AUDIO_SUFFIXES)]
    return sorted(found, key=os.fspath)


def _machines(data: Path, *, normal: str | None) -> dict[str, ClipIndex]:
    """Index per machine name. Each layout is tried with the folder as a machine and as a root of machines."""
    audio = find_audio(data)
    if not audio:
        raise DataSetError(f"{data} holds no .wav or .flac file")
    for layout, grammar in (("dcase2020", _dcase2020), ("dcase2021", _dcase2021), ("mimii", _mimii)):
        by_root: dict[Path, list[Clip]] = defaultdict(list)
        for path in audio:
            if (parsed := grammar(path)) is not None:
                by_root[parsed[0]].append(parsed[1])
        own = {root: clips for root, clips in by_root.items() if root in (data, *_children(data))}
        if own:
            return {root.resolve().name: _index(root, layout, clips, audio) for root, clips in own.items()}
    return {data.resolve().name: _folders_or_loose(data, audio, normal=normal)}


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _choose(found: dict[str, ClipIndex], data: Path, machine: str | None) -> ClipIndex:
    names = ", ".join(sorted(found))
    if machine is not None:
        if machine not in found:
            raise DataSetError(f"{data} has no machine {machine!r}; it has {names}")
        return found[machine]
    if len(found) > 1:
        raise DataSetError(f"{data} holds several machines ({names}): choose one with --machine")
    return next(iter(found.values()))


def _index(root: Path, layout: str, clips: Sequence[Clip], audio: Sequence[Path]) -> ClipIndex:
    fitting = {clip.path for clip in clips}
    left_out = [path.relative_to(root).as_posix() for path in audio if path not in fitting and root in path.parents]
    ordered = tuple(sorted(clips, key=lambda clip: clip.relative))
    near_and_far = layout == "dcase2021" and _first_n_channels(ordered) == 2
    return ClipIndex(root, root.resolve().name, layout, ordered, tuple(sorted(left_out)), near_and_far)


def _first_n_channels(clips: Sequence[Clip]) -> int:
    """Channels of the first clip that can be read; 0 where none of the first few can."""
    return next(filter(None, (_n_channels(clip.path) for clip in clips[:_PROBED_CLIPS])), 0)


_LABEL_WORDS = {"normal": "normal", "anomaly": "anomalous", "abnormal": "anomalous", None: "unlabelled"}


def _dcase2020(path: Path) -> tuple[Path, Clip] | None:
    match = _DCASE2020.fullmatch(path.stem)
    if match is None or path.parent.name not in ("train", "test"):
        return None
    root = path.parent.parent
    label = _LABEL_WORDS[match["label"]]
    return root, Clip(path, path.relative_to(root).as_posix(), match["id"], path.parent.name, label)


def _dcase2021(path: Path) -> tuple[Path, Clip] | None:
    match = _DCASE2021.fullmatch(path.stem)
    if match is None:
        return None
    root = path.parent.parent
    label = _LABEL_WORDS[match["label"]]
    split, relative = match["split"] or "test", path.relative_to(root).as_posix()
    return root, Clip(
        path, relative, match["id"], split, label, domain=match["domain"], attributes=match["attributes"] or None
    )


def _mimii(path: Path) -> tuple[Path, Clip] | None:
    match = _MIMII_ID.fullmatch(path.parent.parent.name)
    if match is None or path.parent.name not in ("normal", "abnormal"):
        return None
    root = path.parents[2]
    label = _LABEL_WORDS[path.parent.name]
    return root, Clip(path, path.relative_to(root).as_posix(), match["id"], "test", label)


def _folders_or_loose(data: Path, audio: Sequence[Path], *, normal: str | None) -> ClipIndex:
    in_folders = [path for path in audio if 2 <= len(path.relative_to(data).parts) <= 3]
    if not in_folders:
        return _index(data, "loose", [_unlabelled(path, data) for path in audio], audio)
    labels = sorted({path.relative_to(data).parts[0] for path in in_folders})
    normal_label = _normal_label(labels, data, normal)
    clips = [_own_clip(path, data, normal_label) for path in audio]
    return _index(data, "folders", clips, audio)


def _normal_label(labels: Sequence[str], data: Path, normal: str | None) -> str:
    wanted = (normal,) if normal is not None else NORMAL_NAMES
    for name in wanted:
        for label in labels:
            if label.lower() == name.lower():
                return label
    raise DataSetError(
        f"no folder of normal clips in {data}: it has {', '.join(labels)}; name the normal one with --normal, "
        f"or call it {', '.join(NORMAL_NAMES[:-1])} or {NORMAL_NAMES[-1]}"
    )


def _unlabelled(path: Path, root: Path) -> Clip:
    return Clip(path, path.relative_to(root).as_posix(), "00", "test", "unlabelled")


def _own_clip(path: Path, root: Path, normal_label: str) -> Clip:
    parts = path.relative_to(root).parts
    if not 2 <= len(parts) <= 3:
        return _unlabelled(path, root)
    machine_id = parts[1] if len(parts) == 3 else "00"
    if parts[0] == normal_label:
        return Clip(path, "/".join(parts), machine_id, "test", "normal")
    return Clip(path, "/".join(parts), machine_id, "test", "anomalous", kind=parts[0])


def prints_of(clips: Iterable[Clip], *, channel: int | None) -> list[SoundPrint | None]:
    """Read the print of each clip; None for one that is refused."""
    return [_print_of(clip.path, channel) for clip in clips]


def _print_of(path: Path, channel: int | None) -> SoundPrint | None:
    try:
        return sound_print(path, channel=channel)
    except AudioError:
        return None


def _with_training_split(index: ClipIndex, *, seed: int) -> tuple[Clip, ...]:
    """Own recordings and raw MIMII have no test split: part of the normal clips of each id become training clips.

    About 60 % where the id has anomalous clips to test, by whole recordings; else all.
    """
    tested = {clip.machine_id for clip in index.clips if clip.label == "anomalous"}
    normal = [clip for clip in index.clips if clip.label == "normal"]
    split = [clip for clip in normal if clip.machine_id in tested]
    drawn = training_rows(split, find_recordings(split, prints_of(split, channel=index.channel)), seed=seed)
    training = {clip.relative for clip in normal if clip.machine_id not in tested}
    training |= {split[row].relative for row in drawn}
    return tuple(replace(clip, split="train") if clip.relative in training else clip for clip in index.clips)


def _with_recordings(index: ClipIndex, recording_by: str) -> tuple[Clip, ...]:
    clips = index.clips
    if recording_by == "folder":
        return tuple(_of_folder(clip, own=index.layout == "folders") for clip in clips)
    if recording_by == "none":
        return tuple(replace(clip, recording=clip.relative) for clip in clips)
    try:
        pattern = re.compile(recording_by)
    except re.error as error:
        raise UsageError(
            f"--recording-by takes folder, none or a regular expression; {recording_by!r} is none: {error}"
        ) from error
    named = tuple(replace(clip, recording=_first_group(pattern, clip.relative)) for clip in clips)
    given_split = index.layout not in _WITHOUT_SPLIT
    needed = [clip for clip in named if clip.label == "normal" and (clip.split == "train" or not given_split)]
    if nameless := [clip.relative for clip in needed if clip.recording is None]:
        raise DataSetError(
            f"--recording-by {recording_by!r} names no recording for {len(nameless)} normal clips, among them "
            f"{nameless[0]}"
        )
    return named


def _of_folder(clip: Clip, *, own: bool) -> Clip:
    """A clip whose folder is its recording; in own recordings that folder is a machine only if it is called `id_*`."""
    folder = clip.relative.rpartition("/")[0]
    machine_id = "00" if own and not clip.machine_id.startswith("id_") else clip.machine_id
    return replace(clip, recording=folder, machine_id=machine_id)


def _first_group(pattern: re.Pattern[str], path: str) -> str | None:
    match = pattern.search(path)
    return None if match is None else match.group(min(1, pattern.groups))
