"""The table of the data sets that this installation knows, on disk; `asd_core.data.library` adds to it and deletes.

A damaged table is treated as empty, with the reason, and is never overwritten.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asd_core.data.data_set import OWN_SUFFIX
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.data.marked import marked_dir
from asd_core.data.simulated.record import RECORDING_BY
from asd_core.errors import DataSetError, FileError, UsageError
from asd_core.system.files import parse_json, read_regular, replace_file
from asd_core.system.locks import hold
from asd_core.system.places import benches_dir, data_dir

KINDS = ("simulated", "recordings", "downloaded")
EMBEDDED_NAME = "simulated-small"
EMBEDDED_RECORDINGS = "simulated-recordings"
EMBEDDED_NAMES = (EMBEDDED_NAME, EMBEDDED_RECORDINGS)
MAX_NAME = 60
MAX_SETS = 500
MAX_TABLE_BYTES = 1024 * 1024
LOCK_S = 2.0
_TABLE = "library.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_HEADER: Mapping[str, Any] = {"schema": 1, "command": "library", "warnings": []}
_SET_TYPES: Mapping[str, tuple[type, ...]] = {
    "folder": (str,),
    "kind": (str,),
    "added": (str,),
    "machines": (dict,),
    "normal": (str, type(None)),
    "aliases": (list,),
    "recording_by": (str, type(None)),
    "rules": (dict,),
}
_LATER_KEYS: Mapping[str, Any] = {"recording_by": None, "rules": {}}
"""Left out of the table where they have these values, so that earlier versions read it."""


@dataclass(frozen=True)
class KnownSet:
    """A data set in the table.

    Parameters
    ----------
    name
        Name that its detectors are filed under: lower-case letters, digits, `_` and `-`.
    folder
        Absolute; a root of machine folders, a machine folder, or own recordings.
    kind
        One of `KINDS`.
    added
        ISO 8601, UTC; empty for the embedded sets.
    machines
        Machine name to its folder's name below `folder`; empty text for `folder` itself.
    aliases
        Further names that detectors trained on it are filed under.
    rules
        How the names below its folder are to be understood.
    """

    name: str
    folder: Path
    kind: str
    added: str = ""
    machines: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    rules: FolderRules = NO_RULES

    @property
    def embedded(self) -> bool:
        """Whether it comes with the project: its clips are generated when they are needed."""
        return (self.name, self.folder) in [(each.name, each.folder) for each in _embedded()]

    @property
    def made_here(self) -> bool:
        """Whether its clips were generated, uploaded, marked or downloaded by this program, which may delete them."""
        return (
            self.embedded
            or self.folder == marked_dir().resolve()
            or self.folder.parent in [path.resolve() for path in clip_parents()]
        )

    @property
    def uploaded(self) -> bool:
        """Whether clips may be added to it through the dashboard."""
        return self.folder == uploads_dir().resolve() / self.name

    def to_json(self) -> dict[str, Any]:
        """Value in the table."""
        rules = self.rules.to_json()
        values: dict[str, Any] = {"kind": self.kind, "added": self.added, "normal": None, "folder": str(self.folder)}
        values |= {"machines": dict(self.machines), "aliases": list(self.aliases)}
        if len(self.rules.normal) == 1:  # as earlier versions have it
            values["normal"] = rules.pop("normal")[0]
        if "recording_by" in rules:
            values["recording_by"] = rules.pop("recording_by")
        return {**values, "rules": rules} if rules else values

    @classmethod
    def from_json(cls, name: str, content: object) -> KnownSet:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            Other keys, types or values than it writes.
        """
        if _NAME.fullmatch(name) is None or len(name) > MAX_NAME or name == EMBEDDED_NAME:
            raise ValueError(f"{name[:MAX_NAME]!a} is no name of a data set")
        if isinstance(content, dict):
            content = {**_LATER_KEYS, **content}
        if not isinstance(content, dict) or set(content) != set(_SET_TYPES):
            raise ValueError(f"{name} must hold exactly {', '.join(_SET_TYPES)}")
        for key, allowed in _SET_TYPES.items():
            if type(content[key]) not in allowed:
                raise ValueError(f"{name}: {key} must be {' or '.join(kind.__name__ for kind in allowed)}")
        _check_values(name, content)
        normal, recording_by = content["normal"], content["recording_by"]
        older = ({} if normal is None else {"normal": [normal]}) | (
            {} if recording_by is None else {"recording_by": recording_by}
        )
        try:
            rules = FolderRules.from_json({**older, **content["rules"]})
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        known = cls(
            name=name,
            folder=Path(content["folder"]),
            kind=content["kind"],
            added=content["added"],
            machines=content["machines"],
            aliases=tuple(content["aliases"]),
            rules=rules,
        )
        return replace(known, rules=replace(rules, ids_from="folder")) if known.uploaded else known


def _check_values(name: str, content: Mapping[str, Any]) -> None:
    if content["kind"] not in KINDS:
        raise ValueError(f"{name}: kind must be one of {', '.join(KINDS)}")
    if "\0" in content["folder"] or not Path(content["folder"]).is_absolute():
        raise ValueError(f"{name}: folder must be an absolute path")
    parts = list(content["machines"].values())
    if not all(isinstance(part, str) and _is_folder_name(part) for part in parts):
        raise ValueError(f"{name}: machines must name folders directly below it")
    if not all(isinstance(alias, str) and _NAME.fullmatch(alias) for alias in content["aliases"]):
        raise ValueError(f"{name}: aliases must be names")


def _is_folder_name(part: str) -> bool:
    """Whether this is empty (the folder itself) or names a direct sub-folder; a backslash separates on Windows only."""
    return "\0" not in part and part != ".." and Path(part).name == part


@dataclass(frozen=True)
class Library:
    """The table as read: the embedded sets first, then by name; `fault` says why it could not be read."""

    sets: tuple[KnownSet, ...]
    fault: str | None = None

    def find(self, name: str) -> KnownSet | None:
        """Find a data set by the name that its detectors are filed under."""
        wanted = {name, name.removesuffix(OWN_SUFFIX)}
        exact = [known for known in self.sets if known.name == name]
        also = [known for known in self.sets if known.name in wanted or wanted & set(known.aliases)]
        return next(iter([*exact, *also]), None)


def read_library() -> Library:
    """Read the table; a damaged one is treated as empty, with the reason."""
    path = data_dir() / _TABLE
    if not os.path.lexists(path):
        return Library(_embedded())
    try:
        sets = _parse_table(path)
    except (OSError, ValueError) as error:
        return Library(_embedded(), f"{_TABLE} is damaged ({error})")
    taken = {known.name for known in sets}  # by a set from before the name was ours
    embedded = (known for known in _embedded() if known.name not in taken)
    return Library((*embedded, *sorted(sets, key=lambda known: known.name)))


def writable_library() -> Library:
    """Read the table in order to change it; raises DataSetError where it is damaged, which is never overwritten."""
    library = read_library()
    if library.fault is not None:
        raise DataSetError(f"{library.fault}; put it aside first")
    return library


def restart_library() -> Path:
    """Move a damaged table out of the way, so that a new one can begin; returns its new path."""
    path = data_dir() / _TABLE
    with table_lock():
        if read_library().fault is None:
            raise UsageError(f"{path} is not damaged")
        return path.replace(path.with_name(f"{_TABLE}.damaged-{secrets.token_hex(4)}"))


def write_table(sets: Sequence[KnownSet]) -> None:
    """Replace the table, all or nothing; call it with `table_lock` held."""
    own = {known.name: known.to_json() for known in sets if not known.embedded}
    if len(own) > MAX_SETS:
        raise DataSetError(f"at most {MAX_SETS} data sets can be listed; delete one first")
    content = _json_bytes({**_HEADER, "sets": dict(sorted(own.items()))})
    if len(content) > MAX_TABLE_BYTES:
        raise DataSetError(
            f"the table of data sets may have at most {MAX_TABLE_BYTES} bytes, it would have {len(content)}; "
            "delete a data set first"
        )
    replace_file(data_dir() / _TABLE, content)


def table_lock() -> AbstractContextManager[None]:
    """Hold the table's lock; wait a moment for another process."""
    busy = "the table of data sets is busy: another process changes it; try again"
    return hold(data_dir() / ".lock", busy=busy, wait_s=LOCK_S)


def uploads_dir() -> Path:
    """Folder of the data sets that were uploaded through the dashboard."""
    return data_dir() / "uploads"


def clip_parents() -> tuple[Path, ...]:
    """Folders whose sub-folders each hold the clips of one data set that was made here."""
    return benches_dir(), uploads_dir(), data_dir() / "dcase2020"


def _embedded() -> tuple[KnownSet, ...]:
    rules = {EMBEDDED_NAME: NO_RULES, EMBEDDED_RECORDINGS: FolderRules(recording_by=RECORDING_BY)}
    return tuple(
        KnownSet(name, data_dir().resolve() / name, "simulated", machines={"slider": "slider"}, rules=rules[name])
        for name in EMBEDDED_NAMES
    )


def _parse_table(path: Path) -> list[KnownSet]:
    content = parse_json(_read_small(path))
    if not isinstance(content, dict) or content.get("schema") != 1 or not isinstance(content.get("sets"), dict):
        raise ValueError("it must hold schema 1 and sets")
    if len(content["sets"]) > MAX_SETS:
        raise ValueError(f"it must hold at most {MAX_SETS} data sets")
    return [KnownSet.from_json(name, value) for name, value in content["sets"].items()]


def _read_small(path: Path) -> bytes:
    """Read a regular file of at most `MAX_TABLE_BYTES`; raises ValueError for any other."""
    try:
        return read_regular(path, at_most=MAX_TABLE_BYTES)
    except FileError as error:
        raise ValueError(str(error)) from error


def _json_bytes(content: Mapping[str, Any]) -> bytes:
    """Write JSON; numbers must be finite."""
    return json.dumps(content, allow_nan=False, indent=1).encode() + b"\n"
