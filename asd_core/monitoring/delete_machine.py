"""Everything that is kept of one's own machine, listed with its size, and deleted at once.

A machine is a data set of the table: its recordings, and what came of them. Deleting takes the locks of all that it
removes, so that nothing is being stored, trained or watched meanwhile; what is removed is first renamed, so that nobody
sees half of it. Folders of recordings that were not made here stay where they are, and so does what was exported or
downloaded to other places.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from asd_core.artifacts.store import DIGEST_PREFIX, find_artifacts, list_versions, locked, open_artifact
from asd_core.artifacts.versions import is_read_only
from asd_core.data.data_set import slug
from asd_core.data.folders import list_files
from asd_core.data.library import allowed_roots
from asd_core.data.marked import forget_marks, marked_dir, marks_of
from asd_core.data.names import NAMES, OLD_NAMES, read_names
from asd_core.data.survey import kept_surveys
from asd_core.data.table import KnownSet, read_library, table_lock, writable_library, write_table
from asd_core.errors import ArtifactError, BusyError, DataSetError, FileError, UsageError
from asd_core.features.cache import clip_entries, graph_entries
from asd_core.jobs import table as jobs
from asd_core.jobs.listing import active_jobs, list_chores, list_jobs, note_ended
from asd_core.jobs.queue import clear_dead_jobs
from asd_core.jobs.table import Job
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rows import unescaped
from asd_core.monitoring.table import is_running, list_tables, own_files
from asd_core.system import logs
from asd_core.system.disk import folder_bytes, remove_tree, set_aside
from asd_core.system.files import read_if_present
from asd_core.system.locks import data_set_lock, data_set_lock_path
from asd_core.system.places import data_dir

_STEM_LENGTH = 32


@dataclass(frozen=True)
class Holding:
    """One kind of thing that is kept of a machine.

    Parameters
    ----------
    title
        What it is, for people.
    n, n_bytes
        How many, and their size on disk.
    stays
        Why it is not removed with the machine; empty where it is.
    """

    title: str
    n: int
    n_bytes: int
    stays: str = ""


@dataclass(frozen=True)
class Holdings:
    """What is kept of a machine: kinds that there are some of.

    Parameters
    ----------
    name
        Of its data set.
    digests
        First 16 hex digits of the digests of its clips, by which sounds in memory can be forgotten too.
    """

    name: str
    items: tuple[Holding, ...]
    digests: frozenset[str]

    @property
    def removed(self) -> tuple[Holding, ...]:
        """What deleting removes."""
        return tuple(item for item in self.items if not item.stays)

    @property
    def n_bytes(self) -> int:
        """Size on disk of what deleting removes."""
        return sum(item.n_bytes for item in self.removed)


@dataclass(frozen=True)
class _Found:
    """The files and folders that hold something of a machine."""

    known: KnownSet
    recordings: tuple[Path, ...]
    names: tuple[str, ...]
    detectors: tuple[Path, ...]
    runs: tuple[Job, ...]
    marks: tuple[Path, ...]
    surveys: tuple[Path, ...]
    watches: tuple[Path, ...]
    features: tuple[Path, ...]
    digests: frozenset[str]

    @property
    def filed_under(self) -> tuple[str, ...]:
        """Names of the data set's folders of detectors."""
        return self.known.name, *self.known.aliases


def what_is_kept(data_set: str, *, out: Path) -> Holdings:
    """List what is kept of a machine, with numbers and sizes; nothing is changed.

    Parameters
    ----------
    data_set
        Name of its data set, or one that detectors trained on it are filed under.
    out
        Folder of all trained detectors.

    Raises
    ------
    UsageError
        No such data set, or one that comes with the project.
    """
    return _holdings(_found(_own(data_set, out), out))


def delete_machine(data_set: str, *, out: Path) -> Holdings:
    """Delete all that is kept of a machine; returns what was removed.

    In the logs its names are masked; what they tell of other things stays.

    Parameters
    ----------
    data_set, out
        As for `what_is_kept`.

    Raises
    ------
    UsageError
        As `what_is_kept`.
    BusyError
        It is used by a training, a chore or a watch, or clips are being stored in it.
    """
    known = _own(data_set, out)
    with contextlib.suppress(BusyError):  # a training whose process died uses nothing
        clear_dead_jobs()
    with data_set_lock(known.name):
        with ExitStack() as held:
            held.enter_context(jobs.table())
            found = _found(known, out)
            _check_unused(found)
            for folder in found.detectors:
                held.enter_context(locked(folder))
            held.enter_context(table_lock())
            doomed = _set_aside(found, out)
        for folder in doomed:
            remove_tree(folder)
        _remove((*found.surveys, *_watch_files(found), *found.features))
        forget_marks(found.digests)
        logs.mask(_words(found))
        data_set_lock_path(known.name).unlink(missing_ok=True)
    with contextlib.suppress(BusyError), jobs.table():
        note_ended()
    return _holdings(found)


def _own(data_set: str, out: Path) -> KnownSet:
    known = read_library().find(data_set)
    if known is None:
        raise DataSetError(f"no data set is called {data_set!r}")
    if known.embedded or any(is_read_only(folder) for folder in _detectors(known, out)):
        raise UsageError(f"{known.name} comes with the project and is not deleted; choose a machine of your own")
    return known


def _found(known: KnownSet, out: Path) -> _Found:
    detectors = tuple(_detectors(known, out))
    recordings, places = _recordings(known)
    stored = {path.stem[:DIGEST_PREFIX] for path in recordings if known.uploaded and len(path.stem) == _STEM_LENGTH}
    watches = tuple(path for path in list_tables() if _watches(path, known, detectors))
    copies = (path for table in watches for path in Beside(table).folder.rglob("*") if path.is_file())
    entries, digests = clip_entries((*places, *copies), {*stored, *_trained_on(detectors)})
    marks = tuple(marks_of(digests))
    of_marks, _ = clip_entries(marks)
    graphs = graph_entries() if detectors else []
    return _Found(
        known=known,
        recordings=recordings,
        names=tuple(read_names(known.folder).names.values()),
        detectors=detectors,
        runs=tuple(job for job in (*list_jobs(), *list_chores()) if _is_about(job, known, detectors)),
        marks=() if known.folder == marked_dir().resolve() else marks,
        surveys=tuple(dict.fromkeys([*kept_surveys((known.name, *known.aliases)), *_sweeps(known)])),
        watches=watches,
        features=tuple(dict.fromkeys([*entries, *of_marks, *graphs])),
        digests=digests,
    )


def _detectors(known: KnownSet, out: Path) -> Iterator[Path]:
    """Folders of the detectors that are filed under its names."""
    names = {known.name, *known.aliases}
    for folder in find_artifacts(out):
        if folder.parents[1].name in names:
            yield folder


def _recordings(known: KnownSet) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Its recordings as they are named, and all paths that the feature cache may know them by."""
    if not known.folder.is_dir():
        return (), ()
    listing = list_files(known.folder, within=allowed_roots())
    return listing.audio, tuple(dict.fromkeys([*listing.audio, *listing.places]))


def _trained_on(detectors: Iterable[Path]) -> Iterator[str]:
    """Digest prefixes of the clips in manifests and scores, also of recordings that have been removed since."""
    for folder in detectors:
        for version in list_versions(folder):
            with contextlib.suppress(ArtifactError):
                artifact = open_artifact(version)
                yield from artifact.training_digests
                yield from (clip.digest[:DIGEST_PREFIX] for clip in artifact.scores.clips)


def _is_about(job: Job, known: KnownSet, detectors: Iterable[Path]) -> bool:
    """Whether a training or chore is of these clips, or made one of these detectors."""
    names = {known.name, *known.aliases}
    if job.chore is not None:
        return job.chore.name in names
    if job.status.model is not None and Path(job.status.model) in set(detectors):
        return True
    if job.request is None:
        return os.fsencode(known.folder) in _content(job.folder / jobs.JOB)
    is_named = job.request.name is not None and slug(job.request.name) in names
    return is_named or job.request.data.resolve().is_relative_to(known.folder)


def _content(path: Path) -> bytes:
    with contextlib.suppress(FileError):
        return read_if_present(path, at_most=jobs.MAX_JSON_BYTES) or b""
    return b""


def _sweeps(known: KnownSet) -> list[Path]:
    return [path for name in (known.name, *known.aliases) for path in (data_dir() / "sweeps").glob(f"{name}.*.json")]


def _watches(table: Path, known: KnownSet, detectors: Iterable[Path]) -> bool:
    """Whether a watch's table is by one of the detectors, or of clips below the recordings' folder."""
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        lines = io.StringIO(file.readline() + file.readline())
    row = next(csv.DictReader(lines), {})
    model, clip = (Path(unescaped(row.get(name) or "")) for name in ("model", "path"))
    is_by = any(model.resolve().is_relative_to(folder.resolve()) for folder in detectors)
    return is_by or clip.is_relative_to(known.folder)


def _check_unused(found: _Found) -> None:
    """Refuse while something reads or makes its clips or detectors; the table of jobs is held."""
    active = {job.name for job in active_jobs()}
    for job in found.runs:
        if job.name in active:
            what = "a training" if job.chore is None else "a task in the background"
            raise BusyError(f"{found.known.name} is used by {what}: stop it on the page Train or Data, then try again")
    for table in found.watches:
        if is_running(table):
            raise BusyError(f"{found.known.name} is being watched ({table.name}): stop the watch, then try again")


def _set_aside(found: _Found, out: Path) -> list[Path]:
    """Take everything out of its place, with all locks held; returns what is then to be removed."""
    known = found.known
    rest = [other for other in writable_library().sets if other.name != known.name]
    doomed = [jobs.set_aside(job) for job in found.runs]
    if known.made_here and os.path.lexists(known.folder):
        doomed.append(set_aside(known.folder, data_dir()))
    doomed += [set_aside(out / name, out) for name in found.filed_under if (out / name).is_dir()]
    write_table(rest)
    return doomed


def _watch_files(found: _Found) -> list[Path]:
    return [Path(path) for table in found.watches for path in own_files(table)]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            remove_tree(set_aside(path, path.parent))
            continue
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _words(found: _Found) -> list[str]:
    """What the logs may say of it: names of the data set, of its owner's files and of the stored ones."""
    stored = [path.stem for path in found.recordings] if found.known.made_here else []
    return [*found.filed_under, *found.names, *stored]


def _holdings(found: _Found) -> Holdings:
    known = found.known
    outside = "" if known.made_here else f"the folder is yours and stays as it is: {known.folder}"
    n_versions = sum(len(list_versions(folder)) for folder in found.detectors)
    files = [known.folder / name for name in (NAMES, OLD_NAMES) if (known.folder / name).is_file()]
    items = (
        Holding("recordings", len(found.recordings), _size(found.recordings), outside),
        Holding("their names", len(found.names), _size(files)),
        Holding(f"detectors, in {n_versions} versions", len(found.detectors), _size(found.detectors)),
        Holding("records of trainings", len(found.runs), _size(job.folder for job in found.runs)),
        Holding("verdicts that were marked wrong", len(found.marks), _size(found.marks)),
        Holding("reports on the recordings", len(found.surveys), _size(found.surveys)),
        Holding("watches, with the clips that they kept", len(found.watches), _size(_watch_files(found))),
        Holding("computed features", len(found.features), _size(found.features)),
        Holding("entry in the list of data sets", 1, 0),
    )
    return Holdings(known.name, tuple(item for item in items if item.n), found.digests)


def _size(paths: Iterable[Path]) -> int:
    return sum(map(folder_bytes, paths))
