"""Clips that came through the dashboard: a session's quota, decoding, and names made from their content.

The owners' names for them are kept by `asd_core.data.names`.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asd_core.audio.kinds import kind_of
from asd_core.audio.reading import MAX_UPLOAD_BYTES
from asd_core.audio.recorded import time_in_metadata, time_in_name
from asd_core.audio.sandbox import decode_upload
from asd_core.data.folder_rules import NORMAL_WORDS, FolderRules
from asd_core.data.library import checked_name
from asd_core.data.names import NAMES, ClipNames, RecordedTime, name_lines, names_content, owner_name, read_names
from asd_core.data.own_folders import is_kind
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
MAX_UPLOADS, MAX_UPLOADED_BYTES = 50, 200 * 2**20
"""Of one session; a single file may have `asd_core.audio.reading.MAX_UPLOAD_BYTES`."""


@dataclass(frozen=True)
class Quota:
    """What a session has uploaded so far."""

    files: int = 0
    bytes: int = 0

    def with_files(self, sizes: Sequence[int]) -> Quota:
        """Add files by their sizes, before any of them is read; raises UsageError where they are too many or large."""
        files, total = self.files + len(sizes), self.bytes + sum(sizes)
        if max(sizes, default=0) > MAX_UPLOAD_BYTES:
            raise UsageError(
                "cut the file into shorter recordings, or let whoever runs this program put it into a folder on the "
                "server, then choose 'Use a server folder' on the Data page: an uploaded file may have at most "
                f"{MAX_UPLOAD_BYTES >> 20} MB, this one has {max(sizes) / 2**20:.1f} MB"
            )
        if files > MAX_UPLOADS or total > MAX_UPLOADED_BYTES:
            raise UsageError(
                "choose 'Use a server folder' on the Data page, or reload the page for a new session: a session may "
                f"upload {MAX_UPLOADS} files and {MAX_UPLOADED_BYTES >> 20} MB, with these it would be {files} files "
                f"and {total / 2**20:.0f} MB"
            )
        return Quota(files, total)


@dataclass(frozen=True)
class Upload:
    """One file as it came: the name is text, never a path."""

    name: str
    content: bytes


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
    """

    known: KnownSet | None
    stored: int
    repeated: int
    refused: tuple[dict[str, str], ...]
    used: Quota


def check_quota(sizes: Sequence[int], used: Quota) -> Quota:
    """Check sizes before anything is read or decoded; returns the quota with them.

    Raises
    ------
    UsageError
        Nothing, too many, too large, or too little room on the disk.
    """
    if not sizes:
        raise UsageError("choose at least one recording")
    longer = used.with_files(sizes)
    check_free_disk(sum(sizes))
    return longer


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

    Parameters
    ----------
    name, kind, machine_id
        As for `destination`.
    on_progress
        Called with (files decoded, files in all).

    Raises
    ------
    UsageError
        See `check_quota` and `destination`.
    BusyError
        The data set is being deleted, or another upload to it is being stored.
    """
    used = check_quota([len(upload.content) for upload in uploads], used)
    place = destination(name, kind=kind, machine_id=machine_id)
    good: list[Upload] = []
    refused: list[dict[str, str]] = []
    for n_done, upload in enumerate(uploads, start=1):
        try:
            decode_upload(upload.content, name=upload.name)
        except AudioError as error:
            refused.append(error.entry(display_name(upload.name)))
        else:
            good.append(upload)
        if on_progress is not None:
            on_progress(n_done, len(uploads))
    known, n_stored = _keep(place, good) if good else (read_library().find(place.root.name), 0)
    event("uploads", data_set=place.root.name, n_taken=len(good), n_refused=len(refused))
    return Stored(known, n_stored, len(good) - n_stored, tuple(refused), used)


def _keep(place: Destination, uploads: Sequence[Upload]) -> tuple[KnownSet, int]:
    """Store clips that were decoded; returns their data set and how many are new.

    The data set is listed first and the clips are written last, so that an interruption leaves no clip that the pages
    do not list and cannot delete.
    """
    with data_set_lock(place.root.name):
        if place.folder.resolve() != place.folder:
            raise DataSetError(f"{place.folder} leads elsewhere; nothing was written")
        known = _listed(place.root)
        clips = {place.folder / _storage_name(upload.content): upload for upload in uploads}
        new = [path for path in clips if not path.exists()]
        _note_names(known, {path.relative_to(place.root).as_posix(): upload for path, upload in clips.items()})
        for path in new:
            _write_below_uploads(path, clips[path].content)
    return known, len(new)


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
            rules=FolderRules(normal=("normal",), ids_from="folder"),
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
    if (time := time_in_metadata(upload.content)) is not None:
        return RecordedTime(time, "metadata")
    return RecordedTime(local_now(), "upload")


def _label_folder(kind: str | None) -> str:
    if kind is None:
        return "normal"
    made = checked_name(kind or "anomalous", reserved=NORMAL_WORDS)
    if not is_kind(made):
        raise DataSetError(f"{made!r} is no kind of anomaly: it reads like an id, a date, a split or a normal label")
    return made


def _id_folder(machine_id: str) -> str:
    return checked_name(machine_id, reserved=(*NORMAL_WORDS, "abnormal")) if machine_id.strip() else ""


def _storage_name(content: bytes) -> str:
    kind = kind_of(content)
    suffix = _SUFFIXES[kind.demuxer] if kind else ".flac" if content[:4] == b"fLaC" else ".wav"
    return hashlib.sha256(content).hexdigest()[:32] + suffix


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
