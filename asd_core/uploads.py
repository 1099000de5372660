"""Clips that came through the dashboard: a session's quota, decoding, and names made from their content."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asd_core.audio import MAX_UPLOAD_BYTES
from asd_core.clips import NORMAL_NAMES
from asd_core.decoding import decode_upload
from asd_core.errors import AudioError, DataSetError, UsageError
from asd_core.files import replace_beneath
from asd_core.formats import display_name
from asd_core.library import (
    HEADER,
    KnownSet,
    checked_name,
    json_bytes,
    read_library,
    read_small,
    table,
    uploads_dir,
    utc_now,
    writable_library,
    write_table,
)
from asd_core.logs import event
from asd_core.storage import check_free_disk

_NAMES = "names.json"

MAX_UPLOADS, MAX_UPLOADED_BYTES = 50, 200 * 2**20
"""Of one session; a single file may have `asd_core.audio.MAX_UPLOAD_BYTES`."""


@dataclass(frozen=True)
class Quota:
    """What a session has uploaded so far."""

    files: int = 0
    bytes: int = 0

    def with_files(self, sizes: Sequence[int]) -> Quota:
        """Add files by their sizes, before any of them is read; raises UsageError where they are too many or large."""
        files, total = self.files + len(sizes), self.bytes + sum(sizes)
        if max(sizes, default=0) > MAX_UPLOAD_BYTES:
            raise UsageError(f"a file may have at most {MAX_UPLOAD_BYTES >> 20} MB, got {max(sizes) / 2**20:.1f} MB")
        if files > MAX_UPLOADS or total > MAX_UPLOADED_BYTES:
            raise UsageError(
                f"a session may upload {MAX_UPLOADS} files and {MAX_UPLOADED_BYTES >> 20} MB; with these it would be "
                f"{files} files and {total / 2**20:.0f} MB. Name a folder instead, or reload the page for a new session"
            )
        return Quota(files, total)


@dataclass(frozen=True)
class Upload:
    """One file as it came: the name is text, never a path."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Stored:
    """What became of uploads.

    Parameters
    ----------
    known
        The data set they went to; None where all were refused and it did not exist before.
    stored, repeated
        New clips, and clips that were there already.
    refused
        `{"name": ..., "reason": ...}` of each.
    used
        The session's quota from now on.
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
        raise UsageError("choose at least one WAV or FLAC file")
    longer = used.with_files(sizes)
    check_free_disk(sum(sizes))
    return longer


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

    Parameters
    ----------
    name
        Data set of uploads; a new one is begun.
    kind
        None for normal clips, else the kind of anomaly ("bearing"); empty counts as `anomalous`.
    machine_id
        Which of several machines of one type; empty counts as one.

    Raises
    ------
    UsageError
        See `check_quota`; a name, kind or id that is not fit, or a name that is taken by another data set.
    """
    used = check_quota([len(upload.content) for upload in uploads], used)
    root = _upload_root(name)
    folder = root / _label_folder(kind) / _id_folder(machine_id)
    refused, names, repeated = [], {}, 0
    for n_done, upload in enumerate(uploads, start=1):
        try:
            decode_upload(upload.content, name=upload.name)
        except AudioError as error:
            refused.append({"name": display_name(upload.name), "reason": f"{error.code}: {error}"})
        else:
            path = folder / _storage_name(upload.content)
            repeated += path.exists()
            _write_clip(path, upload.content)
            names[path.relative_to(root).as_posix()] = display_name(upload.name)
        if on_progress is not None:
            on_progress(n_done, len(uploads))
    known = _note_uploads(root, names) if names else read_library().find(root.name)
    event("uploads", data_set=root.name, n_taken=len(names), n_refused=len(refused))
    return Stored(known, len(names) - repeated, repeated, tuple(refused), used)


def upload_names(known: KnownSet) -> dict[str, str]:
    """Relative path of each uploaded clip to what its owner calls it; empty where that is not known."""
    try:
        found = json.loads(read_small(known.folder / _NAMES))
    except (OSError, ValueError, RecursionError):
        return {}
    names = found.get("names") if isinstance(found, dict) else None
    return {str(path): display_name(str(name)) for path, name in names.items()} if isinstance(names, dict) else {}


def _upload_root(name: str) -> Path:
    made = checked_name(name)
    root = uploads_dir().resolve() / made
    known = read_library().find(made)
    if known is not None and known.folder != root:
        raise DataSetError(f"{made!r} is the name of another data set; choose another one")
    return root


def _label_folder(kind: str | None) -> str:
    if kind is None:
        return "normal"
    made = checked_name(kind or "anomalous", reserved=NORMAL_NAMES)
    if re.fullmatch(r"id_\d\d", made):
        raise DataSetError(f"{made!r} is no kind of anomaly: it looks like a machine id")
    return made


def _id_folder(machine_id: str) -> str:
    return checked_name(machine_id, reserved=(*NORMAL_NAMES, "abnormal")) if machine_id.strip() else ""


def _storage_name(content: bytes) -> str:
    suffix = ".flac" if content[:4] == b"fLaC" else ".wav"
    return hashlib.sha256(content).hexdigest()[:32] + suffix


def _write_clip(path: Path, content: bytes) -> None:
    if path.parent.resolve() != path.parent:
        raise DataSetError(f"{path.parent} leads elsewhere; nothing was written")
    if not path.exists():
        _write_below_uploads(path, content)


def _write_below_uploads(path: Path, content: bytes) -> None:
    """Replace a file below the uploads, also where a folder on the way is made a link meanwhile: that is refused."""
    root = uploads_dir().resolve()
    root.mkdir(parents=True, exist_ok=True)
    try:
        replace_beneath(root, path.relative_to(root), content)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise DataSetError(f"{path.parent} leads elsewhere; nothing was written") from error
        raise


def _note_uploads(root: Path, names: dict[str, str]) -> KnownSet:
    """List the data set, then keep its clips' names; the table's lock guards both."""
    known = KnownSet(root.name, root, "recordings", utc_now(), {root.name: ""}, "normal")
    with table():
        library = writable_library()
        found = library.find(root.name)
        if found is None:
            write_table([known, *library.sets])
        kept = upload_names(known) | names
        _write_below_uploads(root / _NAMES, json_bytes({**HEADER, "command": "upload", "names": kept}))
    return found or known
