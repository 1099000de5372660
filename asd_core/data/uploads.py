"""Clips that came through the dashboard: decoded, and kept under names made from their content.

The owners' names for them are kept by `asd_core.data.names`.
"""

from __future__ import annotations

import errno
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from asd_core.audio.kinds import kind_of
from asd_core.audio.recorded import time_in_metadata, time_in_name
from asd_core.audio.sandbox import decode_upload
from asd_core.data.folder_rules import NORMAL_WORDS, FolderRules
from asd_core.data.library import checked_name
from asd_core.data.names import (
    NAMES,
    ClipNames,
    RecordedTime,
    name_lines,
    names_content,
    owner_name,
    read_names,
    told_apart,
)
from asd_core.data.own_folders import is_kind
from asd_core.data.quotas import NOT_SAID, Quota, Upload
from asd_core.data.recordings import natural_key
from asd_core.data.table import KnownSet, read_library, table_lock, uploads_dir, writable_library, write_table
from asd_core.errors import AudioError, DataSetError, FileError, UsageError
from asd_core.formats import display_name
from asd_core.system.clock import local_now, utc_now
from asd_core.system.disk import check_free_disk
from asd_core.system.files import replace_beneath
from asd_core.system.locks import data_set_lock
from asd_core.system.logs import event

_SUFFIXES = {
    "mp3": ".mp3",
    "aac": ".aac",
    "ogg": ".ogg",
    "mov": ".m4a",
    "matroska": ".webm",
    "amr": ".amr",
    "asf": ".wma",
    "aiff": ".aiff",
    "wav": ".wav",
}
"""Of stored clips, by the reader that a kind of recording is handed to."""
NORMAL = "normal"
"""Folder of normal clips, and their label."""
_STORED_STEM = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Stored:
    """Result of storing uploads.

    Parameters
    ----------
    known
        The data set they went to; None if all were refused and it did not exist before.
    stored, repeated
        Number of new clips, and of those that were there already or occur twice in this upload.
    refused
        `AudioError.entry` of each, by its owner's name for it.
    used
        The session's quota after this upload.
    labels
        Number of new clips by label: `normal` or a kind of anomaly.
    elsewhere
        Names of files that are stored already under another label, or of another machine, and stay there.
    """

    known: KnownSet | None
    stored: int
    repeated: int
    refused: tuple[dict[str, str], ...]
    used: Quota
    labels: Mapping[str, int] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()


def check_quota(uploads: Sequence[Upload], used: Quota, *, stored: Collection[str] = ()) -> Quota:
    """Check sizes before anything is decoded; returns the quota with them.

    Parameters
    ----------
    stored
        See `stored_digests`: what costs nothing.

    Raises
    ------
    UsageError
        Nothing, too many, too large, or too little room on the disk.
    """
    if not uploads:
        raise UsageError("choose at least one recording")
    longer = used.with_uploads(uploads, stored)
    check_free_disk(longer.bytes - used.bytes)
    return longer


def stored_digests(name: str) -> frozenset[str]:
    """`Upload.digest` of each clip in a data set of uploads; none where there is no such data set."""
    return frozenset(_stored_clips(uploads_dir().resolve() / checked_name(name)))


@dataclass(frozen=True)
class StoredClip:
    """A clip in a data set of uploads.

    Parameters
    ----------
    path
        Below the data set's folder.
    name
        What its owner calls it, without its label's folder.
    label
        `normal` or the kind of anomaly.
    machine_id
        Empty where none was given.
    recorded
        When it was recorded and how that is known; empty where nothing is.
    """

    path: str
    name: str
    label: str
    machine_id: str
    recorded: str

    @property
    def digest(self) -> str:
        """First hex digits of the SHA-256 of its content."""
        return PurePosixPath(self.path).stem


def stored_clips(known: KnownSet) -> list[StoredClip]:
    """All clips that were uploaded to a data set, normal ones first, in natural order of their owners' names."""
    names = read_names(known.folder)
    shown = told_apart(names.names)
    found = []
    for path in _stored_clips(known.folder).values():
        relative = path.relative_to(known.folder)
        place, (label, *ids) = relative.as_posix(), relative.parts[:-1]
        time = names.recorded.get(place)
        found.append(
            StoredClip(place, shown.get(place, path.name), label, "/".join(ids), "" if time is None else time.text)
        )
    return sorted(found, key=lambda clip: (clip.label != NORMAL, clip.label, natural_key(clip.name), clip.path))


def _stored_clips(root: Path) -> dict[str, Path]:
    """Clips below a data set of uploads by the digest in their names; what else lies there is left out."""
    return {path.stem: path for path in root.glob("*/**/*.*") if _STORED_STEM.fullmatch(path.stem)}


@dataclass(frozen=True)
class Destination:
    """Where uploaded clips go: the data set's folder, and the folder for their label and machine id below it."""

    root: Path
    folder: Path


def destination(name: str, *, kind: str | None = None, machine_id: str = "") -> Destination:
    """Check the user's names of data set, kind and machine; nothing is written.

    Parameters
    ----------
    name
        Data set of uploads; it need not exist yet.
    kind
        None for normal clips, else the kind of anomaly ("bearing"); empty means `anomalous`.
    machine_id
        Which of several machines of one type; empty if there is only one.

    Raises
    ------
    DataSetError
        A name, kind or id is not fit, or the name is taken by another data set.
    """
    made = checked_name(name)
    root = uploads_dir().resolve() / made
    _check_not_taken(read_library().find(made), root)
    return Destination(root, root / _label_folder(kind) / _id_folder(machine_id))


def store_uploads(
    name: str,
    uploads: Sequence[Upload],
    *,
    used: Quota,
    kind: str | None = None,
    machine_id: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> Stored:
    """Decode uploaded clips and keep those that pass, under names made from their content.

    Nothing is written before all are decoded, so an upload that is interrupted in `on_progress` leaves nothing behind.
    One recording at a time is in memory, besides what came.

    Parameters
    ----------
    name, kind, machine_id
        As for `destination`; `kind` is that of the uploads whose own names say no label.
    on_progress
        Called with (files decoded, files in all).

    Raises
    ------
    UsageError
        See `check_quota` and `destination`.
    BusyError
        The data set is being deleted, or another upload to it is being stored.
    """
    asked = destination(name, kind=kind, machine_id=machine_id)
    used = check_quota(uploads, used, stored=stored_digests(name))
    said = {label: destination(name, kind=_kind(label), machine_id=machine_id) for label in _labels_said(uploads)}
    good: list[tuple[Upload, Path]] = []
    refused: list[dict[str, str]] = []
    for n_done, upload in enumerate(uploads, start=1):
        try:
            decode_upload(upload.read(), name=upload.name)
        except AudioError as error:
            refused.append(error.entry(display_name(upload.name)))
        else:
            good.append((upload, said.get(upload.label, asked).folder))
        if on_progress is not None:
            on_progress(n_done, len(uploads))
    root = asked.root
    kept = _keep(root, good) if good else _Kept(read_library().find(root.name))
    event("uploads", n_taken=len(good), n_refused=len(refused))
    n_repeated = len(good) - sum(kept.labels.values()) - len(kept.elsewhere)
    return Stored(kept.known, sum(kept.labels.values()), n_repeated, tuple(refused), used, kept.labels, kept.elsewhere)


def _labels_said(uploads: Sequence[Upload]) -> list[str]:
    return [label for label in dict.fromkeys(upload.label for upload in uploads) if label != NOT_SAID]


def _kind(label: str) -> str | None:
    return None if label == NORMAL else label


@dataclass(frozen=True)
class _Kept:
    """The data set that clips went to, how many are new by label, and which are stored elsewhere in it."""

    known: KnownSet | None
    labels: Mapping[str, int] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()


def _keep(root: Path, uploads: Sequence[tuple[Upload, Path]]) -> _Kept:
    """Store clips that were decoded, each in its folder.

    The data set is listed first and the clips are written last, so that an interruption leaves no clip that the pages
    do not list and cannot delete.
    """
    with data_set_lock(root.name):
        for folder in dict.fromkeys(folder for _, folder in uploads):
            if folder.resolve() != folder:
                raise DataSetError(f"{folder} leads elsewhere; nothing was written")
        known = _listed(root)
        there, elsewhere = _stored_clips(root), []
        clips: dict[Path, Upload] = {}
        for upload, folder in uploads:
            path = folder / _storage_name(upload)
            if there.setdefault(upload.digest, path).parent != folder:
                elsewhere.append(display_name(upload.name))
            else:
                clips[path] = upload
        new = [path for path in clips if not path.exists()]
        _note_names(known, {path.relative_to(root).as_posix(): upload for path, upload in clips.items()})
        for path in new:
            _write_below_uploads(path, clips[path].read())
    labels = Counter(path.relative_to(root).parts[0] for path in new)
    return _Kept(known, dict(labels.most_common()), tuple(elsewhere))


def _listed(root: Path) -> KnownSet:
    """Put a data set of uploads in the table, or find it there."""
    with table_lock():
        library = writable_library()
        found = library.find(root.name)
        _check_not_taken(found, root)
        if found is not None:
            return found
        known = KnownSet(
            root.name,
            root,
            "recordings",
            utc_now(),
            {root.name: ""},
            rules=FolderRules(normal=(NORMAL,), ids_from="folder"),
        )
        write_table([known, *library.sets])
    return known


def _check_not_taken(known: KnownSet | None, root: Path) -> None:
    if known is not None and known.folder != root:
        raise DataSetError(f"{root.name!r} is the name of another data set; choose another one")


def upload_names(known: KnownSet) -> ClipNames:
    """Read the names of a data set's uploaded clips; none where no clip was uploaded to it."""
    return read_names(known.folder)


def _note_names(known: KnownSet, clips: Mapping[str, Upload]) -> None:
    """Append the names that are new or changed, all or nothing; what the file holds, damaged or not, stays."""
    kept, path = upload_names(known).names, known.folder / NAMES
    changed = {clip: upload for clip, upload in clips.items() if kept.get(clip) != owner_name(upload.name)}
    if not changed:
        return
    try:
        before = names_content(path)
    except FileError as error:
        raise DataSetError(f"{error}; move it away, then upload again") from error
    if before and not before.endswith(b"\n"):
        before += b"\n"
    names = {clip: upload.name for clip, upload in changed.items()}
    recorded = {clip: _recorded(upload) for clip, upload in changed.items()}
    _write_below_uploads(path, before + name_lines(names, recorded))


def _recorded(upload: Upload) -> RecordedTime:
    """When an upload was recorded: browsers send no time of a file, so that the present stands in for it."""
    if (time := time_in_name(upload.name)) is not None:
        return RecordedTime(time, "name")
    if (time := time_in_metadata(upload.read())) is not None:
        return RecordedTime(time, "metadata")
    return RecordedTime(local_now(), "upload")


def _label_folder(kind: str | None) -> str:
    if kind is None:
        return NORMAL
    made = checked_name(kind or "anomalous", reserved=NORMAL_WORDS)
    if not is_kind(made):
        raise DataSetError(f"{made!r} is no kind of anomaly: it reads like an id, a date, a split or a normal label")
    return made


def _id_folder(machine_id: str) -> str:
    return checked_name(machine_id, reserved=(*NORMAL_WORDS, "abnormal")) if machine_id.strip() else ""


def _storage_name(upload: Upload) -> str:
    content = upload.read()
    kind = kind_of(content)
    suffix = _SUFFIXES[kind.demuxer] if kind else ".flac" if content[:4] == b"fLaC" else ".wav"
    return upload.digest + suffix


def _write_below_uploads(path: Path, content: bytes) -> None:
    """Replace a file below the uploads; refused if a folder on the way is, or becomes, a link."""
    root = uploads_dir().resolve()
    root.mkdir(parents=True, exist_ok=True)
    try:
        replace_beneath(root, path.relative_to(root), content)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise DataSetError(f"{path.parent} leads elsewhere; nothing was written") from error
        raise
