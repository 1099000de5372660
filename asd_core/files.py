"""Files that are whole or not there at all, and rows of text that read back equal."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import BinaryIO

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)

CANNOT_BE_KEPT = frozenset(
    {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
)
"""Errors that tell of a place, not of a fault in the program: read-only, somebody else's, or full."""


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file, all or nothing, and sync it."""
    staged = path.with_name(f".tmp-{path.name}-{secrets.token_hex(4)}")
    try:
        write_synced(staged, content)
        staged.replace(path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Replace a file's content, all or nothing; what is no plain file, such as /dev/stdout, is written to instead."""
    content = text.encode("utf-8", "backslashreplace")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and have it on the disk before returning; raises FileExistsError where there is one."""
    _write_synced(os.open(path, _NEW_FILE, 0o644), content)


def _write_synced(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextlib.contextmanager
def folder_beneath(root: Path, parts: Sequence[str], *, make: bool = False) -> Iterator[int | None]:
    """Open a folder below `root` step by step, following no link, and give its descriptor for `dir_fd`.

    Whatever is renamed or replaced by a link meanwhile, the descriptor stays with the folder that was opened. None
    where the system knows no such descriptors (Windows).

    Raises
    ------
    OSError
        `root`, or a part below it, is missing, a link or no folder; `make` makes missing parts.
    """
    if os.open not in os.supports_dir_fd:
        if make:
            root.joinpath(*parts).mkdir(parents=True, exist_ok=True)
        yield None
        return
    with contextlib.ExitStack() as stack:
        folder = os.open(root, _FOLDER)
        stack.callback(os.close, folder)
        for part in parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder)
            folder = os.open(part, _FOLDER, dir_fd=folder)
            stack.callback(os.close, folder)
        yield folder


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors name the whole path, of which the system was told one part at a time."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise


def create_beneath(root: Path, relative: PurePath) -> BinaryIO:
    """Open a new file below `root` for writing, its folders made where missing; no link below `root` is followed.

    Raises
    ------
    OSError
        As `folder_beneath`; there is such a file.
    """
    *parts, name = relative.parts
    with _naming(root / relative), folder_beneath(root, parts, make=True) as folder:
        place = root / relative if folder is None else name
        return os.fdopen(os.open(place, _NEW_FILE, 0o644, dir_fd=folder), "wb")


def replace_beneath(root: Path, relative: PurePath, content: bytes) -> None:
    """Replace a file below `root`, all or nothing, and sync it; no link below `root` is followed.

    Raises
    ------
    OSError
        As `folder_beneath`.
    """
    *parts, name = relative.parts
    staged = f".tmp-{name}-{secrets.token_hex(4)}"
    with _naming(root / relative), folder_beneath(root, parts, make=True) as folder:
        if folder is None:
            replace_file(root / relative, content)
            return
        try:
            _write_synced(os.open(staged, _NEW_FILE, 0o644, dir_fd=folder), content)
            os.replace(staged, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(staged, dir_fd=folder)
            raise
        os.fsync(folder)


def rename_beneath(root: Path, relative: PurePath, name: str) -> None:
    """Give a file or folder below `root` another name in its folder; no link below `root` is followed.

    Raises
    ------
    OSError
        As `folder_beneath`; there is no such file.
    """
    with _naming(root / relative), folder_beneath(root, relative.parts[:-1]) as folder:
        if folder is None:
            (root / relative).rename((root / relative).with_name(name))
        else:
            os.rename(relative.name, name, src_dir_fd=folder, dst_dir_fd=folder)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk before returning."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the nearest one above it that exists."""
    place = folder.absolute()
    return os.access(next(path for path in (place, *place.parents) if os.path.lexists(path)), os.W_OK | os.X_OK)


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Write rows as CSV that reads back equal: a carriage return is quoted, which Python 3.11's writer leaves bare."""
    stream = io.StringIO(newline="")
    plain = csv.writer(stream, lineterminator="\n")
    quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (quoted if any("\r" in cell for cell in row) else plain).writerow(row)
    return stream.getvalue()
