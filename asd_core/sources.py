"""Which clips are meant, and reading those that are not on this machine.

Clips are named by path or URL: on the command line (files, folders) or in a manifest, a CSV or Parquet file with a
column `path`. Object stores are read through fsspec under the same limits as files. `http` is left out on purpose:
a list of clips from somebody else must not make this machine, or a worker inside a network, call any address.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from asd_core.audio import MAX_FILE_BYTES, decode_waveform
from asd_core.clips import find_audio
from asd_core.errors import AudioError, UsageError
from asd_core.types import Waveform

MANIFEST_SUFFIXES = (".csv", ".parquet")
MANIFEST_COLUMN = "path"
SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "az", "hdfs", "memory")
"""URLs that are read through fsspec; `file://` is a local path, under the rules for those."""

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_URL_AS_PATH = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


def expand(paths: Sequence[Path]) -> list[str]:
    """Files named, .wav and .flac files below folders named, and what manifests list; sorted, each once.

    Names in a manifest are taken as they stand: URLs, or paths from the current folder like those of a command.

    Raises
    ------
    UsageError
        A path that does not exist, a manifest that cannot be read, or no file at all.
    """
    found: set[str] = set()
    for path in paths:
        found.update(_named_by(path))
    if not found:
        raise UsageError("no .wav or .flac file in the folders named")
    return sorted(found)


def locate(name: str, base: str) -> str | None:
    """Local path of a clip, seen from the folder `base`; None for a URL elsewhere."""
    scheme = _scheme(name)
    if scheme is None:
        return os.path.join(base, name)  # noqa: PTH118 - a name stays as it was written
    return name[len("file://") :] if scheme == "file" else None


def read_remote(url: str, *, channel: int | None = None) -> Waveform:
    """Read a recording from an object store, at most `MAX_FILE_BYTES`; otherwise as `audio.read_waveform`.

    Raises
    ------
    AudioError
        A URL that is not read, an object that is missing or forbidden, or anything wrong with the recording.
    UsageError
        The package for this kind of store is not installed.
    OSError
        The store cannot be reached: not this clip's fault.
    """
    import fsspec

    _check_url(url)
    try:
        system, path = fsspec.url_to_fs(url)
        with system.open(path, "rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise AudioError("open", f"{url!a}: cannot be read: {type(error).__name__}") from error
    except ImportError as error:
        raise UsageError(f"{_scheme(url)}:// cannot be read here: {error}") from error
    return decode_waveform(content, name=url, channel=channel, max_bytes=MAX_FILE_BYTES)


def _check_url(url: str) -> None:
    if _scheme(url) not in SCHEMES:
        raise AudioError("open", f"{url!a}: a URL must start with file or one of {', '.join(SCHEMES)}; fetch it first")
    if "::" in url:  # fsspec would chain file systems: an allowed one around any other
        raise AudioError("open", f"{url!a}: a URL must not hold '::'")


def _scheme(name: str) -> str | None:
    match = _URL.match(name)
    return None if match is None else match[1].lower()


def _named_by(path: Path) -> Iterable[str]:
    if not os.path.lexists(path):
        hint = "; list URLs in a manifest" if _URL_AS_PATH.match(os.fspath(path)) else ""
        raise UsageError(f"{str(path)!r} does not exist{hint}")
    if path.is_symlink() or not path.is_dir():
        is_manifest = path.suffix.lower() in MANIFEST_SUFFIXES and path.is_file()
        return _read_manifest(path) if is_manifest else [os.fspath(path)]
    return [os.fspath(clip) for clip in find_audio(path)]


def _read_manifest(path: Path) -> list[str]:
    names = _csv_column(path) if path.suffix.lower() == ".csv" else _parquet_column(path)
    if not names:
        raise UsageError(f"{path} lists no clip")
    for row, name in enumerate(names, start=1):
        if not isinstance(name, str) or not name:
            raise UsageError(f"{path}, clip {row}: {MANIFEST_COLUMN!r} must be a path or URL, got {name!r}")
    return names


def _csv_column(path: Path) -> list[Any]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            _check_columns(path, reader.fieldnames or ())
            return [row[MANIFEST_COLUMN] for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is no CSV file in UTF-8: {error}") from error


def _parquet_column(path: Path) -> list[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names)
            names: list[Any] = file.read(columns=[MANIFEST_COLUMN])[MANIFEST_COLUMN].to_pylist()
    except pa.ArrowException as error:
        raise UsageError(f"{path} is no Parquet file: {error}") from error
    return names


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    if MANIFEST_COLUMN not in columns:
        raise UsageError(f"{path} must have a column {MANIFEST_COLUMN!r}, got {', '.join(columns) or 'none'}")
