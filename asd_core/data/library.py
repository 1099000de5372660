"""Adding, opening and deleting the data sets of this installation, whose table `asd_core.data.table` reads and writes.

::

    <data folder>/
        library.json                                     the table of data sets
        simulated-small/                                 the bench that the embedded detectors know; made when needed
        simulated-recordings/                            long simulated recordings; made when needed
        benches/<name>/                                  simulated benches of another size or seed
        uploads/<name>/<normal or kind>/[<id>/]<digest>.wav     clips that came through the dashboard
        uploads/<name>/names.jsonl                       what their owners call them; shown, never used as a path
        marked/<normal or anomalous>/<digest>.wav        clips whose verdict was marked wrong
        dcase2020/<part>/<machine>/                      downloads
        surveys/<name>.<digest>.json                     lengths, levels, duplicates of a data set's clips
        locks/<name>.lock                                held while clips are stored in a data set or it is deleted

Folders of recordings may be named only below the allowed roots: the data folder, and those that `ASD_DATA_ROOTS` names.
Deleting forgets such a folder; only what was made here is removed from the disk.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from asd_core.data.data_set import OWN_SUFFIX, DataSet, open_data_set, slug
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.data.folders import check_is_folder
from asd_core.data.indexing import index_clips
from asd_core.data.marked import marked_dir
from asd_core.data.simulated.record import GENERATOR_VERSION, read_simulated
from asd_core.data.table import (
    EMBEDDED_NAME,
    EMBEDDED_NAMES,
    MAX_NAME,
    KnownSet,
    clip_parents,
    read_library,
    table_lock,
    writable_library,
    write_table,
)
from asd_core.errors import DataSetError
from asd_core.formats import MAX_SHOWN_NAME
from asd_core.system.clock import utc_now
from asd_core.system.disk import remove_tree, set_aside
from asd_core.system.locks import data_set_lock
from asd_core.system.places import benches_dir, data_dir

ROOTS_VARIABLE = "ASD_DATA_ROOTS"


def allowed_roots() -> tuple[Path, ...]:
    """Folders below which recordings may lie: the data folder and those in `ASD_DATA_ROOTS`; links resolved."""
    named = [part for part in os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep) if Path(part).is_absolute()]
    return tuple(dict.fromkeys(path.resolve() for path in (data_dir(), *map(Path, named))))


def checked_folder(folder: Path | str) -> Path:
    """Resolve links, then check that the folder lies below an allowed root and is there.

    Raises
    ------
    DataSetError
        It lies elsewhere (whether or not it exists), is not absolute, or is not a folder.
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
    check_is_folder(resolved)
    return resolved


def _checked_file(path: Path) -> Path:
    """Resolve the path of a table; raises DataSetError where it does not lie below an allowed root."""
    resolved = path.expanduser().resolve()
    if not any(resolved.is_relative_to(root) for root in allowed_roots()) or not resolved.is_file():
        raise DataSetError("a table of labels must be a file below a folder that whoever runs this program allows")
    return resolved


def add_folder(
    name: str,
    folder: Path | str,
    *,
    kind: str = "recordings",
    rules: FolderRules = NO_RULES,
) -> KnownSet:
    """Put a folder of clips in the table, or update its machines if it is there already.

    Parameters
    ----------
    rules
        How the names below it are to be understood; a table of labels must lie below an allowed root too.

    Raises
    ------
    DataSetError
        See `checked_folder`; anything that `asd_core.data.indexing.index_clips` refuses; a name that another folder
        has.
    UsageError
        Rules that cannot be followed.
    """
    place = checked_folder(folder)
    kind = "simulated" if read_simulated(place) is not None else kind
    if rules.labels is not None:
        rules = replace(rules, labels=_checked_file(rules.labels))
    known = KnownSet(checked_name(name), place, kind, utc_now(), _machines(place, rules), rules=rules)
    with table_lock():
        library = writable_library()
        taken = library.find(known.name)
        if taken is not None and taken.folder != place:
            raise DataSetError(f"{known.name!r} is the name of another data set: {taken.folder}")
        if other := [each.name for each in library.sets if each.folder == place and each.name != known.name]:
            raise DataSetError(f"this folder is in the table already, as {other[0]!r}: look at it there")
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
    with table_lock():
        library = writable_library()
        known, other = library.find(name), library.find(alias)
        if known is None:
            raise DataSetError(f"no data set is called {name!r}")
        if other is not None and other.name != known.name:
            raise DataSetError(f"{alias!r} is the name of another data set; choose another one")
        if known.embedded:
            filed = known.name + OWN_SUFFIX * (known.name == EMBEDDED_NAME)
            raise DataSetError(f"detectors trained on {known.name} are filed under {filed}")
        if other is None:
            longer = replace(known, aliases=(*known.aliases, alias))
            write_table([longer, *(each for each in library.sets if each.name != known.name)])


def checked_name(name: str, *, reserved: Sequence[str] = EMBEDDED_NAMES) -> str:
    """Turn a name into one that is fit for a folder.

    Raises
    ------
    DataSetError
        Too long, nothing left of it, or reserved.
    """
    made = slug(name).lstrip("_-")
    if not fits_a_folder(name):
        raise DataSetError(f"a name must have 1 to {MAX_NAME} letters and digits, got {name[:MAX_SHOWN_NAME]!a}")
    if made in reserved or made.endswith(OWN_SUFFIX):
        raise DataSetError(f"{made!r} is reserved; choose another name")
    return made


def fits_a_folder(name: str) -> bool:
    """Whether something is left of a name that is made fit for a folder, and not too much."""
    return re.search(r"[a-zA-Z0-9]", name) is not None and 0 < len(slug(name).lstrip("_-")) <= MAX_NAME


def open_known(known: KnownSet, machine: str, *, ids: Sequence[str] | None = None, seed: int = 0) -> DataSet:
    """Index one machine of a data set. Raises as `asd_core.data.data_set.open_data_set` and `checked_folder`."""
    folder = checked_folder(known.folder)
    several = machine if len(known.machines) > 1 else None
    roots = allowed_roots()
    return open_data_set(folder, machine=several, ids=ids, name=known.name, seed=seed, rules=known.rules, within=roots)


def find_machine(data_set: str, machine: str) -> tuple[KnownSet, str] | None:
    """Return the data set, and its machine's own name, that detectors filed under these names were trained on.

    The machine may be named by its own name, or by that of the folder of its detectors.
    """
    known = read_library().find(data_set)
    if known is None:
        return None
    if machine in known.machines:
        return known, machine
    return next(((known, name) for name in known.machines if slug(name) == machine), None)


def clips_folder(data_set: str, machine: str) -> Path | None:
    """Machine folder of the clips that detectors filed under this name were trained on; None where unknown or gone."""
    found = find_machine(data_set, machine)
    if found is None:
        return None
    known, name = found
    folder = known.folder / known.machines[name]
    return folder if folder.is_dir() else None


def make_embedded(known: KnownSet, *, on_progress: Callable[[int, int], None] | None = None) -> Path:
    """Generate the clips of an embedded set, or find them there; returns their folder.

    Clips that an earlier generator made are replaced: the embedded detectors were trained on others.

    Parameters
    ----------
    on_progress
        Called with (clips done, clips in all).

    Raises
    ------
    DataSetError, UsageError
        As `asd_core.data.simulated.writing.write_simulated`.
    """
    from asd_core.data.simulated.bench import write_bench
    from asd_core.data.simulated.long_recordings import write_recordings

    if is_outdated(known):
        remove_tree(set_aside(known.folder, data_dir()))
    write = write_bench if known.name == EMBEDDED_NAME else write_recordings
    return write(known.folder, on_progress=on_progress)


def is_outdated(known: KnownSet) -> bool:
    """Whether the clips of an embedded set are there, but as an earlier version of the generator made them."""
    found = read_simulated(known.folder) if known.folder.is_dir() else None
    return found is not None and found.recipe.get("generator_version") != GENERATOR_VERSION


def new_bench_folder(name: str) -> Path:
    """Folder for a new simulated bench of this name.

    Raises
    ------
    DataSetError
        The name is not fit or is taken.
    """
    made = checked_name(name)
    if read_library().find(made) is not None:
        raise DataSetError(f"{made!r} is the name of another data set; choose another one")
    return benches_dir() / made


def delete_data_set(name: str) -> None:
    """Remove a data set from the table; clips that were made here are deleted, others stay where they are.

    Raises
    ------
    UsageError
        No such data set, or a folder that leads out of the data folder.
    BusyError
        Clips are being stored in it.
    """
    with data_set_lock(slug(name)[:MAX_NAME]), table_lock():
        library = writable_library()
        known = next((each for each in library.sets if each.name == name), None)
        if known is None:
            raise DataSetError(f"no data set is called {name!r}")
        doomed = set_aside(known.folder, data_dir()) if known.made_here and os.path.lexists(known.folder) else None
        if not known.embedded:
            write_table([other for other in library.sets if other.name != name])
    if doomed is not None:
        remove_tree(doomed)


def unlisted_folders() -> tuple[Path, ...]:
    """Folders of clips that were made here and belong to no data set of the table, sorted; none while it is damaged.

    They remain after an interrupted simulation or download, or after a new table was begun.
    """
    library = read_library()
    if library.fault is not None:
        return ()
    own = [path for parent in clip_parents() if parent.is_dir() for path in sorted(parent.resolve().iterdir())]
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
        It is not, or no longer, one of them.
    BusyError
        Clips are being stored in it.
    """
    with data_set_lock(slug(folder.name)[:MAX_NAME]), table_lock():
        if folder not in unlisted_folders():
            raise DataSetError(f"{folder} is no folder of clips that the table of data sets leaves out")
        doomed = set_aside(folder, data_dir())
    remove_tree(doomed)


def _machines(folder: Path, rules: FolderRules) -> dict[str, str]:
    """Machine names below a folder, with their folders' names."""
    try:
        found = [index_clips(folder, rules=rules, within=allowed_roots())]
    except DataSetError:
        found = []
        for child in sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()):
            with contextlib.suppress(DataSetError):
                found.append(index_clips(folder, machine=child.name, rules=rules, within=allowed_roots()))
        if not found:
            raise
    return {index.machine: "" if index.root.resolve() == folder else index.root.name for index in found}
