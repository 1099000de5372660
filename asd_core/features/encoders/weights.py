"""What the files of a model folder are, what they were at its first use, and whether they are still the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from asd_core.errors import EncoderUnavailableError, FileError
from asd_core.features.encoders.contract import WeightFile
from asd_core.system.files import parse_json, read_if_present, write_synced
from asd_core.system.places import data_dir

SCHEMA = 1
MAX_FILES = 200
"""A SavedModel has about five; each is listed in every detector trained with it."""
_MAX_RECORD_BYTES = 2**20

_SHA256 = re.compile(r"[0-9a-f]{64}")


def weight_files(folder: Path) -> tuple[WeightFile, ...]:
    """List all files below a folder, in the order of their names; nothing where the folder is missing.

    Raises
    ------
    EncoderUnavailableError
        More than `MAX_FILES`.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(paths) > MAX_FILES:
        raise EncoderUnavailableError(
            f"a model's folder must hold at most {MAX_FILES} files, {folder} holds {len(paths)}: name the folder of "
            "one unpacked SavedModel"
        )
    return tuple(_weight_file(path, folder) for path in paths)


def files_json(files: Iterable[WeightFile]) -> list[dict[str, str | int]]:
    """Write files as JSON values."""
    return [asdict(file) for file in files]


def parse_files(content: object) -> tuple[WeightFile, ...]:
    """Read what `files_json` gave.

    Raises
    ------
    ValueError
        Keys, types or values that it would not write.
    """
    if not isinstance(content, list) or len(content) > MAX_FILES:
        raise ValueError(f"a model's files must be a list of at most {MAX_FILES}")
    files = tuple(_parsed_file(entry) for entry in content)
    if len({file.name for file in files}) < len(files):
        raise ValueError("a model's file must be listed once")
    return files


def _parsed_file(entry: object) -> WeightFile:
    if not isinstance(entry, dict) or set(entry) != {"name", "sha256", "bytes"}:
        raise ValueError("a model's file must have exactly a name, a sha256 and its bytes")
    name, sha256, n_bytes = entry["name"], entry["sha256"], entry["bytes"]
    if not isinstance(name, str) or not name or not isinstance(sha256, str) or _SHA256.fullmatch(sha256) is None:
        raise ValueError("a model's file must have a name and a SHA-256 of 64 digits")
    if type(n_bytes) is not int or n_bytes < 0:
        raise ValueError(f"a model's file must have a size, got {n_bytes!r}")
    return WeightFile(name, sha256, n_bytes)


def weights_digest(files: Iterable[WeightFile]) -> str:
    """One SHA-256 over names and contents of all files, as artifacts keep it."""
    total = hashlib.sha256()
    for file in files:
        total.update(os.fsencode(file.name))
        total.update(bytes.fromhex(file.sha256))
    return total.hexdigest()


def record_path(folder: Path) -> Path:
    """Where the record of a model folder is kept: named after the SHA-256 of its resolved path."""
    return data_dir() / "vggish" / f"{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()}.json"


def check_record(folder: Path, files: Iterable[WeightFile]) -> None:
    """Compare a model folder's files with those of its first use; nothing to compare before that.

    Raises
    ------
    EncoderUnavailableError
        A file is changed, missing or additional, or the record cannot be read.
    """
    path = record_path(folder)
    try:
        content = read_if_present(path, at_most=_MAX_RECORD_BYTES)
    except FileError as error:
        raise EncoderUnavailableError(f"the record of {folder} cannot be read: {error}") from error
    if content is None:
        return
    if difference := difference_of(_parsed(content, path), files):
        raise EncoderUnavailableError(
            f"the model in {folder} is not the one of its first use: {difference}. Bring the first files back; if you "
            f"changed the model on purpose, delete the record at {path}"
        )


def record_first_use(folder: Path, files: Iterable[WeightFile]) -> None:
    """Write down a model folder's files unless that was done before; then compare.

    Where several processes do so at once, the first one's record is kept.

    Raises
    ------
    EncoderUnavailableError
        As `check_record`, or the record cannot be written.
    """
    path, files = record_path(folder), tuple(files)
    staged = path.with_name(f".tmp-{path.stem[:16]}-{secrets.token_hex(8)}")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_synced(staged, _content(folder, files))
            _link_unless_there(staged, path)
    except OSError as error:
        raise EncoderUnavailableError(
            f"the files of {folder} cannot be recorded at {path} ({error}): make the data folder writable, or name "
            "another one by ASD_DATA_DIR"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            staged.unlink()
    check_record(folder, files)


def difference_of(before: Iterable[WeightFile], now: Iterable[WeightFile]) -> str:
    """Name the first file that differs, and how many more do; empty where all are the same."""
    known, found = {file.name: file for file in before}, {file.name: file for file in now}
    said = [
        f"{name!a} is {_how(known.get(name), found.get(name))}"
        for name in sorted(known.keys() | found.keys())
        if known.get(name) != found.get(name)
    ]
    more = f", and {len(said) - 1} more files differ" if len(said) > 1 else ""
    return said[0] + more if said else ""


def _weight_file(path: Path, folder: Path) -> WeightFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return WeightFile(path.relative_to(folder).as_posix(), digest, stream.tell())


def _content(folder: Path, files: Iterable[WeightFile]) -> bytes:
    record = {"schema": SCHEMA, "folder": str(folder.resolve()), "files": files_json(files)}
    return json.dumps(record, indent=2).encode() + b"\n"


def _link_unless_there(staged: Path, path: Path) -> None:
    """Give the staged file its name; unlike a renaming, this never replaces another process's record."""
    try:
        path.hardlink_to(staged)
    except FileExistsError:
        return


def _parsed(text: bytes, path: Path) -> tuple[WeightFile, ...]:
    try:
        record = parse_json(text)
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']!r}, not {SCHEMA}")
        return parse_files(record["files"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise EncoderUnavailableError(
            f"the record of a model's files at {path} is damaged ({type(error).__name__}); if you trust the model as "
            "it is now, delete the record"
        ) from error


def _how(known: WeightFile | None, found: WeightFile | None) -> str:
    if found is None:
        return "missing"
    return "additional" if known is None else "changed"
