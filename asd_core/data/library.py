"""The data sets that this installation knows, and what may be stored and deleted beside them.

::

    <data folder>/
        library.json                                     the table of data sets
        simulated-small/                                 the bench that the embedded detectors know; made when needed
        benches/<name>/                                  simulated benches of another size or seed
        uploads/<name>/<normal or kind>/[<id>/]<digest>.wav     clips that came through the dashboard
        uploads/<name>/names.jsonl                       what their owners call them; shown, never used as a path
        marked/<normal or anomalous>/<digest>.wav        clips whose verdict was marked wrong
        dcase2020/<part>/<machine>/                      downloads
        surveys/<digest>.json                            lengths, levels, duplicates of a data set's clips
        locks/<name>.lock                                held while clips are stored in a data set or it is deleted

Folders of recordings may be named only below the allowed roots: the data folder, and those that `ASD_DATA_ROOTS` names.
Deleting forgets such a folder; only what was made here is removed from the disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asd_core.data.clips import index_clips
from asd_core.data.data_set import OWN_SUFFIX, DataSet, open_data_set, slug
from asd_core.data.marked import marked_dir
from asd_core.data.simulated.bench import read_simulated
from asd_core.errors import DataSetError, FileError, UsageError
from asd_core.formats import MAX_SHOWN_NAME
from asd_core.system.clock import utc_now
from asd_core.system.disk import remove_tree, set_aside
from asd_core.system.files import json_bytes, parse_json, read_regular, replace_file
from asd_core.system.locks import data_set_lock, hold
from asd_core.system.places import benches_dir, data_dir

KINDS = ("simulated", "recordings", "downloaded")
EMBEDDED_NAME = "simulated-small"
ROOTS_VARIABLE = "ASD_DATA_ROOTS"
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
}


@dataclass(frozen=True)
class KnownSet:
    """A data set in the table.

    Parameters
    ----------
    name
        As its detectors are filed under: lower-case letters, digits, `_` and `-`.
    folder
        Absolute; a root of machine folders, a machine folder, or own recordings.
    kind
        One of `KINDS`.
    added
        ISO 8601, UTC; empty for the embedded bench.
    machines
        Machine name to its folder's name below `folder`; empty text for `folder` itself.
    normal
        Folder of the normal clips of own recordings, where it has another name than usual.
    aliases
        Other names that detectors trained on it are filed under.
    """

    name: str
    folder: Path
    kind: str
    added: str = ""
    machines: Mapping[str, str] = field(default_factory=dict)
    normal: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def made_here(self) -> bool:
        """Whether its clips were generated, uploaded, marked or downloaded by this program, which may delete them."""
        alone = (_embedded().folder, marked_dir().resolve())
        return self.folder in alone or self.folder.parent in [path.resolve() for path in _clip_parents()]

    @property
    def uploaded(self) -> bool:
        """Whether clips may be added to it through the dashboard."""
        return self.folder == uploads_dir().resolve() / self.name

    def to_json(self) -> dict[str, Any]:
        """Value in the table."""
        values = {name: getattr(self, name) for name in ("kind", "added", "normal")}
        return values | {"folder": str(self.folder), "machines": dict(self.machines), "aliases": list(self.aliases)}

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
        if not isinstance(content, dict) or set(content) != set(_SET_TYPES):
            raise ValueError(f"{name} must hold exactly {', '.join(_SET_TYPES)}")
        for key, allowed in _SET_TYPES.items():
            if type(content[key]) not in allowed:
                raise ValueError(f"{name}: {key} must be {' or '.join(kind.__name__ for kind in allowed)}")
        _check_values(name, content)
        values = {**content, "folder": Path(content["folder"]), "aliases": tuple(content["aliases"])}
        return cls(name=name, **values)


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
    """Whether this names the folder itself (empty) or one directly below; a backslash parts names on Windows only."""
    return "\0" not in part and part != ".." and Path(part).name == part


@dataclass(frozen=True)
class Library:
    """The table as it was read: the embedded bench first, then by name; `fault` says why it could not be read."""

    sets: tuple[KnownSet, ...]
    fault: str | None = None

    def find(self, name: str) -> KnownSet | None:
        """Look a data set up by the name its detectors are filed under."""
        wanted = {name, name.removesuffix(OWN_SUFFIX)}
        exact = [known for known in self.sets if known.name == name]
        also = [known for known in self.sets if known.name in wanted or wanted & set(known.aliases)]
        return next(iter([*exact, *also]), None)


def read_library() -> Library:
    """Read the table; a damaged one counts as empty, with the reason."""
    path = data_dir() / _TABLE
    if not os.path.lexists(path):
        return Library((_embedded(),))
    try:
        sets = _parse_table(path)
    except (OSError, ValueError) as error:
        return Library((_embedded(),), f"{_TABLE} is damaged ({error})")
    return Library((_embedded(), *sorted(sets, key=lambda known: known.name)))


def restart_library() -> Path:
    """Put a damaged table aside, so that a new one can begin; returns where the old one is now."""
    path = data_dir() / _TABLE
    with table():
        if read_library().fault is None:
            raise UsageError(f"{path} is not damaged")
        return path.replace(path.with_name(f"{_TABLE}.damaged-{secrets.token_hex(4)}"))


def allowed_roots() -> tuple[Path, ...]:
    """Folders below which recordings may be named: the data folder, and those of `ASD_DATA_ROOTS`; links resolved."""
    named = [part for part in os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep) if Path(part).is_absolute()]
    return tuple(dict.fromkeys(path.resolve() for path in (data_dir(), *map(Path, named))))


def checked_folder(folder: Path | str) -> Path:
    """Resolve links, then check that the folder lies below an allowed root and is there.

    Raises
    ------
    DataSetError
        Elsewhere (whether or not it exists), not absolute, or no folder.
    """
    roots = allowed_roots()
    try:
        path = Path(folder).expanduser()
        resolved = path.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise DataSetError(f"{str(folder)[:MAX_SHOWN_NAME]!a} is no path") from error
    own = data_dir().resolve()
    if not path.is_absolute() or resolved == own or not any(resolved.is_relative_to(root) for root in roots):
        raise DataSetError(
            f"a folder of recordings must be named in full and lie below {' or '.join(map(str, roots))}; "
            f"whoever runs this program allows others with {ROOTS_VARIABLE}"
        )
    if not resolved.is_dir():
        raise DataSetError(f"{resolved} is not a folder")
    return resolved


def add_folder(name: str, folder: Path | str, *, kind: str = "recordings", normal: str | None = None) -> KnownSet:
    """Put a folder of clips in the table, or list its machines anew where it stands there already.

    Raises
    ------
    DataSetError
        See `checked_folder`; no clips, no normal label, or a name that another folder has.
    """
    place = checked_folder(folder)
    kind = "simulated" if read_simulated(place) is not None else kind
    known = KnownSet(checked_name(name), place, kind, utc_now(), _machines(place, normal), normal)
    with table():
        library = writable_library()
        taken = library.find(known.name)
        if taken is not None and taken.folder != place:
            raise DataSetError(f"{known.name!r} is the name of another data set: {taken.folder}")
        if other := [each.name for each in library.sets if each.folder == place and each.name != known.name]:
            raise DataSetError(f"this folder is in the table already, as {other[0]!r}")
        if taken is not None:
            known = replace(known, added=taken.added, aliases=taken.aliases)
        write_table([known, *(other for other in library.sets if other.name != known.name)])
    return known


def add_alias(alias: str, name: str) -> None:
    """Remember that detectors under another name were trained on this data set.

    Raises
    ------
    DataSetError
        The name belongs to another data set.
    """
    alias = checked_name(alias, reserved=())
    if alias == name:
        return
    with table():
        library = writable_library()
        known, other = library.find(name), library.find(alias)
        if known is None:
            raise DataSetError(f"no data set is called {name!r}")
        if other is not None and other.name != known.name:
            raise DataSetError(f"{alias!r} is the name of another data set; choose another one")
        if known.name == EMBEDDED_NAME:
            raise DataSetError(f"detectors trained on the embedded bench are filed under {EMBEDDED_NAME}{OWN_SUFFIX}")
        if other is None:
            longer = replace(known, aliases=(*known.aliases, alias))
            write_table([longer, *(each for each in library.sets if each.name != known.name)])


def checked_name(name: str, *, reserved: Sequence[str] = (EMBEDDED_NAME,)) -> str:
    """Make a name fit for a folder.

    Raises
    ------
    DataSetError
        Too long, nothing left of it, or reserved.
    """
    made = slug(name).lstrip("_-")
    if not re.search(r"[a-zA-Z0-9]", name) or not made or len(made) > MAX_NAME:
        raise DataSetError(f"a name must have 1 to {MAX_NAME} letters and digits, got {name[:MAX_SHOWN_NAME]!a}")
    if made in reserved or made.endswith(OWN_SUFFIX):
        raise DataSetError(f"{made!r} is reserved; choose another name")
    return made


def open_known(known: KnownSet, machine: str, *, ids: Sequence[str] | None = None, seed: int = 0) -> DataSet:
    """Index one machine of a data set. Raises as `asd_core.data.data_set.open_data_set` and `checked_folder`."""
    folder = checked_folder(known.folder)
    several = machine if len(known.machines) > 1 else None
    return open_data_set(folder, machine=several, ids=ids, normal=known.normal, name=known.name, seed=seed)


def clips_folder(data_set: str, machine: str) -> Path | None:
    """Machine folder of the clips that detectors filed under this name were trained on; None where unknown or gone."""
    known = read_library().find(data_set)
    if known is None:
        return None
    for name, part in known.machines.items():
        folder = known.folder / part
        if slug(name) == machine and folder.is_dir():
            return folder
    return None


def new_bench_folder(name: str) -> Path:
    """Where a simulated bench of this name goes.

    Raises
    ------
    DataSetError
        No fit name, or one that is taken.
    """
    made = checked_name(name)
    if read_library().find(made) is not None:
        raise DataSetError(f"{made!r} is the name of another data set; choose another one")
    return benches_dir() / made


def delete_data_set(name: str) -> None:
    """Take a data set out of the table; clips that were made here are removed, others stay where they are.

    Raises
    ------
    UsageError
        No such data set, or a folder that leads out of the data folder.
    BusyError
        Clips are being stored in it.
    """
    with data_set_lock(slug(name)[:MAX_NAME]), table():
        library = writable_library()
        known = next((each for each in library.sets if each.name == name), None)
        if known is None:
            raise DataSetError(f"no data set is called {name!r}")
        doomed = set_aside(known.folder, data_dir()) if known.made_here and os.path.lexists(known.folder) else None
        if known.name != EMBEDDED_NAME:
            write_table([other for other in library.sets if other.name != name])
    if doomed is not None:
        remove_tree(doomed)


def unlisted_folders() -> tuple[Path, ...]:
    """Folders of clips that were made here and belong to no data set of the table, sorted; none while it is damaged.

    They remain where making or downloading a data set was cut short, or where a new table was begun.
    """
    library = read_library()
    if library.fault is not None:
        return ()
    own = [path for parent in _clip_parents() if parent.is_dir() for path in sorted(parent.resolve().iterdir())]
    folders = [path for path in (*own, marked_dir().resolve()) if path.is_dir() and not path.is_symlink()]
    listed = [known.folder for known in library.sets]
    return tuple(
        path
        for path in folders
        if not path.name.startswith(".") and not any(folder.is_relative_to(path) for folder in listed)
    )


def delete_unlisted(folder: Path) -> None:
    """Remove one of `unlisted_folders` from the disk.

    Raises
    ------
    DataSetError
        It is none of them, or no longer.
    BusyError
        Clips are being stored in it.
    """
    with data_set_lock(slug(folder.name)[:MAX_NAME]), table():
        if folder not in unlisted_folders():
            raise DataSetError(f"{folder} is no folder of clips that the table of data sets leaves out")
        doomed = set_aside(folder, data_dir())
    remove_tree(doomed)


def _clip_parents() -> tuple[Path, ...]:
    """Where each folder holds the clips of one data set that was made here."""
    return benches_dir(), uploads_dir(), data_dir() / "dcase2020"


def _embedded() -> KnownSet:
    folder = data_dir().resolve() / EMBEDDED_NAME
    return KnownSet(EMBEDDED_NAME, folder, "simulated", machines={"slider": "slider"})


def uploads_dir() -> Path:
    """Folder of the data sets that came through the dashboard."""
    return data_dir() / "uploads"


def _machines(folder: Path, normal: str | None) -> dict[str, str]:
    """Machine names below a folder, with their folders' names."""
    try:
        found = [index_clips(folder, normal=normal)]
    except DataSetError:
        found = []
        for child in sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()):
            with contextlib.suppress(DataSetError):
                found.append(index_clips(folder, machine=child.name))
        if not found:
            raise
    return {index.machine: "" if index.root.resolve() == folder else index.root.name for index in found}


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


def writable_library() -> Library:
    """Read the table in order to change it; raises DataSetError where it is damaged, which is never overwritten."""
    library = read_library()
    if library.fault is not None:
        raise DataSetError(f"{library.fault}; put it aside first")
    return library


def write_table(sets: Sequence[KnownSet]) -> None:
    """Replace the table, all or nothing; call it with `table` held."""
    own = {known.name: known.to_json() for known in sets if known.name != EMBEDDED_NAME}
    if len(own) > MAX_SETS:
        raise DataSetError(f"at most {MAX_SETS} data sets can be listed; delete one first")
    content = json_bytes({**_HEADER, "sets": dict(sorted(own.items()))})
    if len(content) > MAX_TABLE_BYTES:
        raise DataSetError(
            f"the table of data sets may have at most {MAX_TABLE_BYTES} bytes, it would have {len(content)}; "
            "delete a data set first"
        )
    replace_file(data_dir() / _TABLE, content)


def table() -> AbstractContextManager[None]:
    """Hold the table's lock; wait a moment for another process."""
    busy = "the table of data sets is busy: another process changes it; try again"
    return hold(data_dir() / ".lock", busy=busy, wait_s=LOCK_S)
