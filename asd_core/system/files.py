"""Writing files whole or not at all, reading small files and JSON safely, and rows of text that read back equal."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from asd_core.errors import FileError
from asd_core.formats import PLAIN, CsvStyle, spreadsheet_cell

MAX_JSON_DEPTH = 64
"""Nested lists and objects; our own files have at most 8 levels. Python's reader, and its writer even sooner, raises a
`RecursionError` at some hundreds."""

# Windows has no O_NOFOLLOW, O_NONBLOCK and O_CLOEXEC, but needs O_BINARY.
_READ_FLAGS = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _READ_FLAGS |= getattr(os, _flag, 0)

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)

CANNOT_BE_KEPT = frozenset(
    {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
)
"""Errors caused by the folder and not by the program: read-only, somebody else's, or full."""

DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


class DiskFullError(OSError):
    """A line did not fit on the disk, and nothing of it is left; once there is room again, it can be written."""


def read_regular(path: Path, *, at_most: int) -> bytes:
    """Read a regular file up to a size; links are not followed, and nothing waits for a pipe's writer.

    Parameters
    ----------
    at_most
        Largest size in bytes.

    Raises
    ------
    FileError
        It is missing, no regular file, larger, or cannot be read; the `OSError`, where there was one, is the cause.
    """
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, error) from error
    try:
        _check_regular(path, os.fstat(descriptor), at_most)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(at_most + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)
    if len(content) > at_most:  # it has grown in the meantime
        raise FileError(f"{path} must be at most {at_most} bytes, it has more")
    return content


def read_if_present(path: Path, *, at_most: int) -> bytes | None:
    """Read a regular file up to a size in bytes; None where there is none.

    Raises
    ------
    FileError
        As `read_regular`, unless the file is missing.
    """
    try:
        return read_regular(path, at_most=at_most)
    except FileError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise


def read_small_text(path: Path, *, at_most: int) -> str:
    """Read a regular file of UTF-8 text up to a size in bytes.

    Raises
    ------
    FileError
        As `read_regular`, or the content is not UTF-8.
    """
    try:
        return read_regular(path, at_most=at_most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is damaged: it is not UTF-8 text") from error


def _check_regular(path: Path, status: os.stat_result, at_most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{path} is not a regular file")
    if status.st_size > at_most:
        raise FileError(f"{path} must be at most {at_most} bytes, it has {status.st_size}")


def _unreadable(path: Path, error: OSError | ValueError) -> FileError:
    if isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.ENXIO):
        return FileError(f"{path} is not a regular file, but a link or a socket")
    return FileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}")


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
    """Replace a file's content, all or nothing; a device or link, such as /dev/stdout, is written to instead."""
    content = text.encode("utf-8", "backslashreplace")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and sync it; raises FileExistsError if there is one."""
    _write_synced(os.open(path, _NEW_FILE, 0o644), content)


def _write_synced(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def append_line(descriptor: int, line: bytes, *, name: Path) -> None:
    """Append a whole line to a file that is open for appending, and sync it.

    Parameters
    ----------
    name
        What an error calls the file.

    Raises
    ------
    DiskFullError
        The disk is full; nothing of the line is left in the file.
    OSError
        The disk is failing.
    """
    size = os.fstat(descriptor).st_size
    try:
        written = os.write(descriptor, line)
        os.fsync(descriptor)
    except OSError as error:
        os.ftruncate(descriptor, size)
        if error.errno in DISK_FULL:
            raise DiskFullError(error.errno, f"{name} cannot be written to: {error.strerror}") from error
        raise
    if written != len(line):
        os.ftruncate(descriptor, size)
        text = f"{name}: only {written} of {len(line)} bytes could be written; is the disk full?"
        raise DiskFullError(errno.ENOSPC, text)


@contextlib.contextmanager
def folder_beneath(root: Path, parts: Sequence[str], *, make: bool = False) -> Iterator[int | None]:
    """Open a folder below `root` step by step, following no link, and give its descriptor for `dir_fd`.

    The descriptor stays with the folder that was opened, even if that is renamed or replaced by a link. None where the
    system has no such descriptors (Windows).

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
    """Let errors name the whole path although the system was given one part at a time."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise


def create_beneath(root: Path, relative: PurePath) -> BinaryIO:
    """Open a new file below `root` for writing and make missing folders; no link below `root` is followed.

    Raises
    ------
    OSError
        As `folder_beneath`, or the file exists.
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
        As `folder_beneath`, or the file does not exist.
    """
    with _naming(root / relative), folder_beneath(root, relative.parts[:-1]) as folder:
        if folder is None:
            (root / relative).rename((root / relative).with_name(name))
        else:
            os.rename(relative.name, name, src_dir_fd=folder, dst_dir_fd=folder)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk."""
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


def csv_text(rows: Iterable[Sequence[str | float | None]], *, style: CsvStyle = PLAIN) -> str:
    """Write rows as CSV in which no text is a formula; read its cells with `csv` and `formats.cell_text`.

    A carriage return is quoted, which Python 3.11's writer leaves bare. The style's byte-order mark is the caller's
    affair, since a text may be a part of a file.
    """
    stream = io.StringIO(newline="")
    plain = csv.writer(stream, delimiter=style.separator, lineterminator="\n")
    quoted = csv.writer(stream, delimiter=style.separator, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        cells = [spreadsheet_cell(value, decimal=style.decimal) for value in row]
        (quoted if any("\r" in cell for cell in cells) else plain).writerow(cells)
    return stream.getvalue()


def no_constant(word: str) -> None:
    """Refuse NaN and the infinities, which are no JSON: a `parse_constant` of `parse_json`."""
    raise ValueError(f"{word} is not a number")


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Write JSON as its files have it; raises ValueError for a number that is not finite."""
    return json.dumps(content, allow_nan=False, indent=1).encode() + b"\n"


def parse_json(text: str | bytes, **options: Any) -> Any:
    """Read JSON; every fault in the text is a ValueError that does not quote it.

    Parameters
    ----------
    options
        Those of `json.loads`.

    Raises
    ------
    ValueError
        No JSON, no UTF-8, or lists and objects more than `MAX_JSON_DEPTH` deep.
    """
    try:
        content = json.loads(text, **options)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not in UTF-8 from byte {error.start} on") from error
    except RecursionError as error:
        raise _too_deep() from error
    level = _containers([content])
    for _ in range(MAX_JSON_DEPTH):
        level = [child for each in level for child in _containers(each)]
        if not level:
            return content
    raise _too_deep()


def _containers(parent: Any) -> list[Any]:
    """Lists and objects directly inside a list or object."""
    children = parent.values() if isinstance(parent, dict) else parent
    return [child for child in children if isinstance(child, (dict, list))]


def _too_deep() -> ValueError:
    return ValueError(f"lists and objects must be at most {MAX_JSON_DEPTH} deep inside one another")
