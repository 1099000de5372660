"""Clips of a watch that somebody called normal or a fault, copied so that no ring buffer overwrites them.

Those called normal wait here: nothing trains or calibrates on them before somebody makes a re-baseline active
(`monitoring.rebaselining.change`). Faults are kept as what a re-baseline must still find. A clip is known by its sound,
so that the same one marked twice counts once; what is undone is removed again, unless a detector has learned it by
then.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from asd_core.audio.reading import encode_flac, encode_wav
from asd_core.errors import AudioError, FileError
from asd_core.features.cache import read_clip, split_name
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.kept import kept_path
from asd_core.monitoring.notes import FAULT, NORMAL, UNDONE, Note
from asd_core.monitoring.rows import WatchRow, unescaped
from asd_core.system.disk import check_free_disk
from asd_core.system.files import json_bytes, no_constant, parse_json, read_regular, replace_file
from asd_core.system.locks import hold
from asd_core.system.typed_json import from_json, to_json
from asd_core.types import Waveform

MAX_CLIPS: Final = 300
"""Clips that one watch's quarantine takes; a re-baseline needs some dozens."""
MAX_ENTRY_BYTES = 64 * 1024
LOCK_S = 10.0
SITTING_GAP_S = 600.0
"""Clips that are further apart than this were heard in different sittings."""
_NAME = re.compile(r"[0-9a-f]{32}\.json")
_NAME_LENGTH = 32


@dataclass(frozen=True)
class MarkedClip:
    """A clip that somebody marked, and what the watch had said of it.

    Parameters
    ----------
    sound
        SHA-256 of the samples as they are kept: its name here.
    said
        `normal` or `fault`.
    keys
        Of the rows that it was marked in (`WatchRow.key`), sorted.
    digests
        SHA-256 of the files that it was read from, sorted.
    path, time, recorded, model, anomaly_score, alarm
        Of the first of these rows.
    learned_by
        Version of the detector that has learned it, or whose threshold rests on it; empty while it waits.
    """

    sound: str
    said: str
    keys: tuple[str, ...]
    digests: tuple[str, ...]
    path: str
    time: str
    recorded: str
    model: str
    anomaly_score: float | None
    alarm: bool
    learned_by: str = ""

    @property
    def name(self) -> str:
        """How its owner calls it: the file's name."""
        return Path(unescaped(self.path)).name

    @property
    def heard_at(self) -> datetime:
        """When it was recorded, or else judged; without a zone."""
        return datetime.fromisoformat(self.recorded or self.time).replace(tzinfo=None)


@dataclass(frozen=True)
class Followed:
    """What following the notes changed.

    Parameters
    ----------
    n_taken, n_released
        Clips that came in, and those that left.
    missing
        Marked clips whose sound is gone, with the reason; by the row's path.
    n_too_many
        Clips that were marked normal beyond `MAX_CLIPS`.
    """

    n_taken: int = 0
    n_released: int = 0
    missing: tuple[tuple[str, str], ...] = ()
    n_too_many: int = 0


def quarantine_folder(beside: Beside) -> Path:
    """Where the marked clips of a watch are."""
    return beside.folder / "quarantine"


def sound_path(beside: Beside, clip: MarkedClip) -> Path:
    """The copy of a marked clip: FLAC, mono, as the detector heard it."""
    return quarantine_folder(beside) / f"{clip.sound[:_NAME_LENGTH]}.flac"


def marked_clips(beside: Beside) -> list[MarkedClip]:
    """All marked clips in the order in which they were heard; one whose note or copy is damaged is left out."""
    folder = quarantine_folder(beside)
    try:
        names = sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [
        clip for name in names if (clip := _read(folder / name)) is not None and sound_path(beside, clip).is_file()
    ]
    return sorted(found, key=lambda clip: (clip.heard_at, clip.sound))


def waiting(clips: Iterable[MarkedClip]) -> list[MarkedClip]:
    """Of these, the ones called normal that no detector has learned yet."""
    return [clip for clip in clips if clip.said == NORMAL and not clip.learned_by]


def learned(clips: Iterable[MarkedClip]) -> list[MarkedClip]:
    """Of these, the ones that a re-baseline has made part of normal."""
    return [clip for clip in clips if clip.said == NORMAL and clip.learned_by]


def faults(clips: Iterable[MarkedClip]) -> list[MarkedClip]:
    """Of these, the ones called faults."""
    return [clip for clip in clips if clip.said == FAULT]


def sittings(clips: Sequence[MarkedClip]) -> list[int]:
    """Number each clip's sitting: clips with less than `SITTING_GAP_S` between them are of one, as of one recording."""
    order = sorted(range(len(clips)), key=lambda row: clips[row].heard_at)
    numbers = [0] * len(clips)
    for before, row in pairwise(order):
        gap = clips[row].heard_at - clips[before].heard_at
        numbers[row] = numbers[before] + (gap > timedelta(seconds=SITTING_GAP_S))
    return numbers


def follow_notes(
    beside: Beside,
    rows: Iterable[WatchRow],
    notes: Mapping[str, Note],
    *,
    channel: int | None,
    roots: Sequence[Path] | None = None,
) -> Followed:
    """Take in the clips that notes call normal or a fault, and release those of which that was taken back.

    Parameters
    ----------
    rows
        Of the watch; a clip is found by its row's key.
    notes
        The last of each row, by key.
    channel
        What the detector hears of the original recordings, from 0; None is the mean.
    roots
        Folders, resolved, in which an original recording may be read; None: anywhere. Kept copies always are.

    Raises
    ------
    BusyError
        Another process changes the quarantine and does not end.
    UsageError
        Too little room on the disk.
    """
    marked = {key: note for key, note in notes.items() if note.said in (NORMAL, FAULT)}
    with _locked(beside):
        n_released = _release(beside, notes)
        known = {key for clip in marked_clips(beside) for key in clip.keys}
        wanted = [row for row in rows if row.key in marked and row.key not in known]
        room = MAX_CLIPS - len(marked_clips(beside))
        missing = []
        for row in wanted[: max(0, room)]:
            reason = _take(beside, row, marked[row.key].said, channel, roots)
            if reason:
                missing.append((row.path, reason))
    n_too_many = max(0, len(wanted) - room)
    return Followed(len(wanted) - n_too_many - len(missing), n_released, tuple(missing), n_too_many)


def set_learned(beside: Beside, sounds: Iterable[str], version: str) -> None:
    """Note which version has learned these clips; an empty one lets them wait again."""
    chosen = frozenset(sounds)
    with _locked(beside):
        for clip in marked_clips(beside):
            if clip.sound in chosen:
                _write(beside, replace(clip, learned_by=version))


def _locked(beside: Beside) -> AbstractContextManager[None]:
    busy = "another process changes the quarantine of this watch; try again"
    return hold(quarantine_folder(beside) / ".lock", busy=busy, wait_s=LOCK_S)


def _release(beside: Beside, notes: Mapping[str, Note]) -> int:
    """Remove the clips of which what was said has been taken back or changed, unless a detector has learned them."""
    n_released = 0
    for clip in marked_clips(beside):
        stays = tuple(key for key in clip.keys if not _is_taken_back(notes.get(key), clip.said))
        if clip.learned_by or stays == clip.keys:
            continue
        if stays:
            _write(beside, replace(clip, keys=stays))
            continue
        n_released += 1
        for path in (_entry_path(beside, clip), sound_path(beside, clip)):
            path.unlink(missing_ok=True)
    return n_released


def _is_taken_back(note: Note | None, said: str) -> bool:
    """Whether a row's last note no longer says what its clip is kept for; acknowledging an alarm says nothing of it."""
    return note is None or note.said == UNDONE or (note.said in (NORMAL, FAULT) and note.said != said)


def _take(beside: Beside, row: WatchRow, said: str, channel: int | None, roots: Sequence[Path] | None) -> str:
    """Copy one clip; returns why that was not possible, empty where it was."""
    try:
        heard = row_sound(beside, row, channel=channel, roots=roots)
        samples = heard.samples
    except AudioError as error:
        return error.advice
    sound = hashlib.sha256(encode_wav(samples)).hexdigest()
    before = _read(quarantine_folder(beside) / f"{sound[:_NAME_LENGTH]}.json")
    if before is not None and before.said != said:
        return f"the same sound is marked {before.said} in another row: take one of the two back"
    clip = before or MarkedClip(
        sound,
        said,
        (),
        (),
        row.path,
        row.time,
        row.recorded,
        row.model,
        row.anomaly_score,
        row.alarm or bool(row.event),
    )
    keys, digests = {*clip.keys, row.key}, {*clip.digests, heard.digest}
    content = encode_flac(samples)
    check_free_disk(len(content), beside.folder)
    if not sound_path(beside, clip).is_file():
        replace_file(sound_path(beside, clip), content)
    _write(beside, replace(clip, keys=tuple(sorted(keys)), digests=tuple(sorted(digests))))
    return ""


def row_sound(beside: Beside, row: WatchRow, *, channel: int | None, roots: Sequence[Path] | None) -> Waveform:
    """Read a row's clip: the original where it is unchanged and may be read, else the copy that the watch kept.

    Raises
    ------
    AudioError
        Neither is there.
    """
    original = Path(unescaped(row.path))
    if is_unchanged(row) and (roots is None or _is_below(original, roots)):
        place, span = split_name(os.fspath(original))
        with contextlib.suppress(AudioError):
            return read_clip(place, channel=channel, span=span)
    kept = kept_path(beside, row.key)
    if kept is None:
        raise AudioError("open", "its file has been overwritten or removed, and no copy of it was kept", name=row.path)
    return read_clip(kept)


def is_unchanged(row: WatchRow) -> bool:
    """Whether a row's file is still the one that was judged: in a ring buffer another clip may bear its name."""
    try:
        status = Path(split_name(unescaped(row.path))[0]).stat()
    except (OSError, ValueError):
        return False
    if row.n_bytes is not None and row.changed_ns is not None:
        return (status.st_size, status.st_mtime_ns) == (row.n_bytes, row.changed_ns)
    return status.st_mtime <= datetime.fromisoformat(row.time).timestamp()


def _is_below(path: Path, roots: Sequence[Path]) -> bool:
    place = path.parent.resolve()
    return not path.is_symlink() and any(place.is_relative_to(root) for root in roots)


def _entry_path(beside: Beside, clip: MarkedClip) -> Path:
    return quarantine_folder(beside) / f"{clip.sound[:_NAME_LENGTH]}.json"


def _write(beside: Beside, clip: MarkedClip) -> None:
    replace_file(_entry_path(beside, clip), json_bytes({"schema": 1, **to_json(clip)}))


def _read(path: Path) -> MarkedClip | None:
    try:
        content: Any = parse_json(read_regular(path, at_most=MAX_ENTRY_BYTES), parse_constant=no_constant)
        if not isinstance(content, dict) or content.pop("schema", None) != 1:
            return None
        clip = from_json(MarkedClip, content)
        datetime.fromisoformat(clip.recorded or clip.time)
    except (FileError, ValueError):
        return None
    return clip if clip.said in (NORMAL, FAULT) and clip.sound.startswith(path.stem) else None
