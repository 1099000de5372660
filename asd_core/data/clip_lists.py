"""Lists of clips, and reading clips that are not on this machine.

Clips are named by path or URL: on the command line (files, folders) or in a clip list, a CSV or Parquet file with a
column `path`. A CSV may be one that Excel wrote: with a byte-order mark, separated by semicolons or tabs. Object stores
are read through fsspec under the same limits as files, and only those that the operator lists in `ASD_REMOTE_STORES`:
a list of clips from somebody else must not make this machine, or a worker inside a network, call arbitrary addresses.
`http` is left out on purpose.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote_to_bytes
from urllib.request import url2pathname

from asd_core.audio.reading import MAX_FILE_BYTES, decode_waveform
from asd_core.data.folders import Listing, Skipped, list_files, skipped_tables, where_to_look
from asd_core.errors import AudioError, UsageError
from asd_core.formats import cell_text, separator_of
from asd_core.system.extras import require
from asd_core.types import Waveform

LIST_SUFFIXES = (".csv", ".parquet")
PATH_COLUMN = "path"
MAX_LIST_BYTES = 256 * 2**20
MAX_CLIPS = 1_000_000
"""Rows of a clip list."""
MAX_COLUMNS = 1_000
MAX_ROW_CHARACTERS = 2**20
"""Of a CSV clip list."""
MAX_SHOWN = 3
"""Folders that a message names."""
MAX_NAME_CHARACTERS = 8192
"""A path has at most 4096 bytes on Linux, and a byte may take three characters in a URL."""

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "az", "hdfs", "memory")
"""URLs that are read through fsspec; `file://` is a local path, under the rules for those."""
STORES_VARIABLE = "ASD_REMOTE_STORES"

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_URL_AS_PATH = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_STORE = re.compile(r"([a-z0-9]+://[^/?#:@]+(?:[@:][^/?#:@]+){0,2})(/[^?#]*)?")


@dataclass(frozen=True)
class NamedClips:
    """The clips that somebody named.

    Parameters
    ----------
    names
        Paths and URLs as they were named or found, sorted, each once.
    skipped
        Files in the named folders that are no recordings.
    """

    names: tuple[str, ...]
    skipped: Skipped


def expand(paths: Sequence[Path]) -> NamedClips:
    """The named files, the recordings below named folders, and what clip lists name.

    Names in a clip list are taken literally: URLs, or paths relative to the current folder, as on the command line.
    Folders are searched by suffix, see `asd_core.data.folders.list_files`; a file that is named itself is tried
    whatever it is called.

    Raises
    ------
    UsageError
        A path that does not exist, a clip list that cannot be read or is too large, or no recording at all.
    """
    found: set[str] = set()
    others: set[tuple[str, str]] = set()
    for path in paths:
        if path.is_dir():
            listing = list_files(path)
            found.update(map(os.fspath, listing.audio))
            others |= _others(path, listing)
        else:
            found |= _named_by(path)
    skipped = Skipped.of(others)
    if not found:
        raise _no_recording(paths, skipped)
    return NamedClips(tuple(sorted(found)), skipped)


def _others(folder: Path, listing: Listing) -> set[tuple[str, str]]:
    """Kind and path of what is no recording in a folder."""
    kinds = skipped_tables(listing, folder).kinds
    return {(kind, os.fspath(folder / name)) for kind, names in kinds.items() for name in names}


def _no_recording(folders: Sequence[Path], skipped: Skipped) -> UsageError:
    named = ", ".join(map(str, folders[:MAX_SHOWN])) + (", ..." if len(folders) > MAX_SHOWN else "")
    verb = "holds" if len(folders) == 1 else "hold"
    found = f"{named} {verb} no recording: {skipped.text if skipped else 'nothing is there'}"
    return UsageError(f"{found}; {where_to_look(skipped)}")


def locate(name: str, base: str) -> str | None:
    """Local path of a clip, seen from the folder `base`; None for a URL elsewhere, also for a file of another host."""
    scheme = _scheme(name)
    if scheme is None:
        return os.path.join(base, name)  # noqa: PTH118 - a name stays as it was written
    return _file_path(name) if scheme == "file" else None


def place_of(name: str, base: str) -> str | None:
    """Where a clip's bytes are, links resolved; otherwise as `locate`.

    The reader itself follows no link. Whoever names a file or a folder in a shell may read what its links lead to.
    """
    place = locate(name, base)
    try:
        return None if place is None else os.path.realpath(place)
    except ValueError:  # a NUL in the name: the reader refuses it
        return place


def refusal_of(error: AudioError, name: str, base: str) -> AudioError:
    """A clip's refusal under the name that it was given, wherever it was found; links to nothing are called so."""
    place = locate(name, base)
    if place is None or error.code not in ("open", "not_file") or not _leads_nowhere(place):
        return error.named(name)
    what = "this is a link, and what it leads to is not there"
    return AudioError(error.code, what, cure="name the recording itself, or copy it here", name=name)


def _leads_nowhere(place: str) -> bool:
    try:
        return os.path.islink(place) and not os.path.exists(place)  # noqa: PTH110, PTH114 - as it was written
    except ValueError:  # a NUL in the name
        return False


def read_remote(url: str, *, channel: int | None = None) -> Waveform:
    """Read a recording from an object store, at most `MAX_FILE_BYTES`; otherwise as `audio.read_waveform`.

    Raises
    ------
    AudioError
        A URL that is not read, a store that is not allowed or whose package is missing, an object that is missing or
        forbidden, or anything wrong with the recording.
    UsageError
        `ASD_REMOTE_STORES` cannot be understood.
    OSError
        The store cannot be reached: not this clip's fault.
    """
    _check_url(url)
    system, path = _opened_store(url)
    try:
        with system.open(path, "rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        what = f"cannot be read: {type(error).__name__}"
        raise _refusal(url, what, cure="check the name, and that you may read it there") from error
    return decode_waveform(content, name=url, channel=channel, max_bytes=MAX_FILE_BYTES)


def allowed_stores() -> tuple[str, ...]:
    """URLs of the buckets, containers and hosts that may be read, or of folders in them: `ASD_REMOTE_STORES`.

    Raises
    ------
    UsageError
        An entry that is no such URL, or names a whole kind of store.
    """
    stores = tuple(os.environ.get(STORES_VARIABLE, "").split())
    for store in stores:
        if _scheme(store) not in SCHEMES or not _STORE.fullmatch(store):
            raise UsageError(
                f"{STORES_VARIABLE} must list URLs like s3://bucket, s3://bucket/folder or hdfs://host:8020, separated "
                f"by blanks; got {store!r}"
            )
    return stores


def _opened_store(url: str) -> tuple[Any, str]:
    """File system of a URL and the path in it."""
    require("cluster", "fsspec", task="reading object stores")
    import fsspec

    try:
        system, path = fsspec.url_to_fs(url)
    except (ImportError, OSError, ValueError) as error:  # a client's library that is missing is an OSError for HDFS
        reason = str(error) if isinstance(error, ImportError) else type(error).__name__
        what = f"{_scheme(url)}:// cannot be read here: {reason}"
        raise _refusal(url, what, cure="fetch the file, or install what reads this store") from error
    return system, path


def _check_url(url: str) -> None:
    scheme = _scheme(url)
    if scheme == "file":
        raise _refusal(url, "a file URL must name this machine: file:///path", cure="copy the file to this machine")
    if scheme not in SCHEMES:
        what = f"a URL must start with file or one of {', '.join(SCHEMES)}"
        raise _refusal(url, what, cure="fetch the file, and name it on this machine")
    if "::" in url:  # fsspec would chain file systems: an allowed one around any other
        raise _refusal(url, "a URL must not hold '::'", cure="name the file by a plain URL")
    if not any(_is_within(url, store) for store in allowed_stores()):
        what = f"{STORES_VARIABLE} does not list this store"
        raise _refusal(url, what, cure=f"list the store in {STORES_VARIABLE} where the clip is read")


def _refusal(url: str, what: str, *, cure: str) -> AudioError:
    return AudioError("open", what, cure=cure, name=url)


def _is_within(url: str, store: str) -> bool:
    """Whether a URL lies in a store or in a folder of one: the same text up to a slash, and no `..` out of it."""
    if ".." in url.split("/") or (url.startswith("hdfs:") and "?" in url):  # fsspec takes options from a query
        return False
    return url.startswith(f"{store.rstrip('/')}/")


def _scheme(name: str) -> str | None:
    match = _URL.match(name)
    return None if match is None else match[1].lower()


def _file_path(url: str) -> str | None:
    """Path of a file URL on this machine (RFC 8089); None if it names another machine."""
    host, slash, path = url[len("file://") :].partition("/")
    if host.lower() not in ("", "localhost"):
        return None
    if os.name == "nt":
        return url2pathname(slash + path)
    return os.fsdecode(unquote_to_bytes(os.fsencode(slash + path)))


def _named_by(path: Path) -> set[str]:
    if not os.path.lexists(path):
        hint = "list URLs in a clip list" if _URL_AS_PATH.match(os.fspath(path)) else "check the name and the folder"
        raise UsageError(f"{str(path)!r} does not exist; {hint}")
    is_clip_list = path.suffix.lower() in LIST_SUFFIXES and path.is_file()
    return _read_clip_list(path) if is_clip_list else {os.fspath(path)}


def _read_clip_list(path: Path) -> set[str]:
    if (n_bytes := path.stat().st_size) > MAX_LIST_BYTES:
        raise UsageError(f"{path}: a clip list must have at most {MAX_LIST_BYTES} bytes, got {n_bytes}; split it")
    names = _csv_column(path) if path.suffix.lower() == ".csv" else _parquet_column(path)
    found: set[str] = set()
    for row, name in enumerate(names, start=1):
        if row > MAX_CLIPS:
            raise _too_many_clips(path)
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARACTERS:
            rule = f"{PATH_COLUMN!r} must be a path or URL of at most {MAX_NAME_CHARACTERS} characters"
            raise UsageError(f"{path}, clip {row}: {rule}")
        found.add(name)
    if not found:
        raise UsageError(f"{path} lists no clip")
    return found


def _too_many_clips(path: Path) -> UsageError:
    return UsageError(f"{path}: a clip list must name at most {MAX_CLIPS} clips; split it")


class _Lines:
    """Lines of a CSV file; `csv.Error` where one row takes more than `MAX_ROW_CHARACTERS`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.left = MAX_ROW_CHARACTERS

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(self.left + 1)
        self.left -= len(line)
        if self.left < 0:
            raise csv.Error
        if not line:
            raise StopIteration
        return line


def _csv_column(path: Path) -> Iterator[str | None]:
    """Yield the names in a CSV file row by row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = _Lines(stream)
            reader = csv.reader(lines, delimiter=_separator(stream))
            columns = next(reader, [])
            _check_columns(path, columns)
            at = columns.index(PATH_COLUMN)
            for row in reader:
                lines.left = MAX_ROW_CHARACTERS
                if row:
                    yield cell_text(row[at]) if at < len(row) else None
    except (UnicodeDecodeError, csv.Error) as error:
        rule = f"a CSV file in UTF-8 with at most {MAX_ROW_CHARACTERS} characters in a row"
        cure = "save it as 'CSV UTF-8'"
        raise UsageError(f"{path} must be {rule} ({type(error).__name__}); {cure}") from error


def _separator(stream: TextIO) -> str:
    """The separator of a CSV file, by its first line; the stream is then at its start again."""
    first = stream.readline(MAX_ROW_CHARACTERS)
    stream.seek(0)
    return separator_of(first, PATH_COLUMN)


def _parquet_column(path: Path) -> Iterator[Any]:
    """Yield the names in a Parquet file; texts that occur often stay one text."""
    require("cluster", "pyarrow", task="reading Parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
        _check_size(path, metadata)
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=[PATH_COLUMN]) as file:
            for batch in file.iter_batches(columns=[PATH_COLUMN]):
                yield from _values(batch.column(0))
    except pa.ArrowException as error:
        raise UsageError(f"{path} is no Parquet file that can be read ({type(error).__name__})") from error


def _check_size(path: Path, metadata: Any) -> None:
    """Check a Parquet file's metadata: its columns, its rows, and the unpacked size of its names."""
    n_columns = min(metadata.num_columns, MAX_COLUMNS + 1)
    columns = [metadata.schema.column(number).path for number in range(n_columns)]
    _check_columns(path, columns)
    if metadata.num_rows > MAX_CLIPS:
        raise _too_many_clips(path)
    at = columns.index(PATH_COLUMN)
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    if sum(group.column(at).total_uncompressed_size for group in groups) > MAX_LIST_BYTES:
        raise UsageError(f"{path}: the names of a clip list must take at most {MAX_LIST_BYTES} bytes; split it")


def _values(column: Any) -> Iterator[Any]:
    if not hasattr(column, "dictionary"):
        yield from column.to_pylist()
        return
    texts = column.dictionary.to_pylist()
    for index in column.indices.to_pylist():
        yield None if index is None else texts[index]


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise UsageError(f"{path}: a clip list must have at most {MAX_COLUMNS} columns, got more")
    if PATH_COLUMN not in columns:
        rule = f"{path} must have a column {PATH_COLUMN!r}, and none of its columns is called so"
        raise UsageError(f"{rule}; write {PATH_COLUMN} over the one with the names of the recordings")
