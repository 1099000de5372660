"""Records of old runs are removed when a new one is queued, never that of a version which exists.

The newest runs are kept, up to a number and an age. Beyond these limits a run stays that waits or runs, that made a
version which is still there, or whose files are damaged, so that nobody knows what it made. One beyond the number alone
also stays while the checkpoint that it wrote is there: it can still be resumed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from asd_core.artifacts.manifest import MANIFEST
from asd_core.errors import UsageError
from asd_core.jobs.listing import Jobs
from asd_core.jobs.table import (
    Job,
    first_name_at,
    folders_aside,
    read_job,
    run_names,
    runs_dir,
    set_aside,
    table,
)
from asd_core.system.disk import remove_tree
from asd_core.system.logs import event
from asd_core.tasks.train import CHECKPOINT

RUNS_VARIABLE, DAYS_VARIABLE = "ASD_KEEP_RUNS", "ASD_KEEP_RUNS_DAYS"
KEEP_RUNS, KEEP_DAYS = 500, 90
BATCH = 100
"""Runs that are set aside while the table's lock is held once, which takes some tens of milliseconds."""


@dataclass(frozen=True)
class Limits:
    """How many runs are kept, and for how many days after their end; None: without a limit."""

    runs: int | None = KEEP_RUNS
    days: int | None = KEEP_DAYS


def limits() -> Limits:
    """What `ASD_KEEP_RUNS` and `ASD_KEEP_RUNS_DAYS` say, else 500 runs and 90 days.

    Raises
    ------
    UsageError
        One of them is not a whole number.
    """
    return Limits(_limit(RUNS_VARIABLE, KEEP_RUNS), _limit(DAYS_VARIABLE, KEEP_DAYS))


def _limit(variable: str, default: int) -> int | None:
    text = os.environ.get(variable, "").strip() or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise UsageError(f"{variable} must be a whole number from 0 to 99999, 0 for no limit; got {text[:40]!a}")
    return int(text) or None


def prune(limits: Limits) -> list[str]:
    """Remove the runs beyond the limits, and what a removal that was cut short has left.

    Returns
    -------
    list of str
        Names of the runs that were removed, oldest first.

    Raises
    ------
    BusyError
        Another process holds the table for more than a moment; the next call removes the rest.
    """
    doomed = sorted(_beyond(limits))
    removed = []
    for first in range(0, max(1, len(doomed)), BATCH):
        with table():
            gone = [(name, why) for name, why in doomed[first : first + BATCH] if _set_aside(name)]
            aside = folders_aside()
        for name, why in gone:
            event("old run removed", job=name, reason=why)
        for folder in aside:
            _remove(folder)
        removed += [name for name, _ in gone]
    return removed


def _beyond(limits: Limits) -> Iterator[tuple[str, str]]:
    """Names of the runs to remove unless they are active, and why; only too many or too old ones are opened."""
    since = None if limits.days is None else datetime.now(UTC) - timedelta(days=limits.days)
    written = cache(_written)  # thousands of runs trained in the same few folders
    jobs = Jobs(run_names())
    for n_newer, name in enumerate(jobs.names):
        too_many = limits.runs is not None and n_newer >= limits.runs
        if not too_many and (since is None or name >= first_name_at(since)):
            continue
        with contextlib.suppress(UsageError):  # deleted meanwhile
            job = jobs[n_newer]
            if job.is_damaged or _made_a_version(job, written):
                continue
            if since is not None and _ended_before(job, since):
                yield name, f"it ended more than {limits.days} days ago"
            elif too_many and not _is_resumable(job, written):
                yield name, f"there are {limits.runs} newer runs"


_Written = Callable[[Path, str, str], tuple[float, ...]]


def _written(out: Path, detector: str, pattern: str) -> tuple[float, ...]:
    """When the files of a detector, of any data set and machine, were written: seconds since 1970."""
    found = []
    for path in out.glob(f"*/*/{detector}/{pattern}"):
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
            found.append(path.stat().st_mtime)
    return tuple(found)


def _made_a_version(job: Job, written: _Written) -> bool:
    """Whether a version that this run made is still there.

    A run that was lost may have died between publishing and saying so: a version from that time is taken to be its own.
    """
    if job.status.model is not None:
        return _may_exist(Path(job.status.model) / (job.status.version or ""))
    if job.request is None or job.state != "lost":
        return False
    began, ended = _moment_s(job.status.began_at), _moment_s(job.status.ended_at)
    if began is None or ended is None:
        return False
    return any(began <= each <= ended for each in written(job.request.out, job.request.detector, f"v*/{MANIFEST}"))


def _may_exist(place: Path) -> bool:
    try:
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # on a disk that cannot be read now
        return True
    return True


def _is_resumable(job: Job, written: _Written) -> bool:
    """Whether a training was cut short, and a checkpoint has been written since it began."""
    began = _moment_s(job.status.began_at)
    if job.request is None or began is None or job.state == "done":
        return False
    return any(began <= each for each in written(job.request.out, job.request.detector, f"{CHECKPOINT}*"))


def _ended_before(job: Job, since: datetime) -> bool:
    ended = _moment_s(job.status.ended_at)
    return job.name < first_name_at(since) if ended is None else ended < since.timestamp()


def _moment_s(moment: str | None) -> float | None:
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def _set_aside(name: str) -> bool:
    """Set a run aside, with `table` held; False where it waits or runs, or another process has done so."""
    with contextlib.suppress(UsageError):
        job = read_job(runs_dir() / name)
        if not job.is_active:
            set_aside(job)
            return True
    return False


def _remove(folder: Path) -> None:
    try:
        remove_tree(folder)
    except OSError as error:  # it is out of the table already, and the next call tries again
        event("old run could not be removed", folder=folder.name, reason=str(error))
