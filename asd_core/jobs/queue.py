"""Trainings and chores in the background: requested, started, cancelled; `python -m asd_core.jobs RUN_DIR` runs one.

A job outlives the server that started it, and starts the next one when it ends; `clear_dead_jobs` finds those that died
(`table` describes the files on disk). One training runs at a time, and one chore beside it (`chores` says why).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asd_core.data.data_set import slug
from asd_core.detectors import detector_class
from asd_core.errors import AsdError, BusyError, UsageError
from asd_core.jobs.chores import Chore
from asd_core.jobs.listing import active_jobs, list_chores, note_ended
from asd_core.jobs.pruning import limits, prune
from asd_core.jobs.run import BUSY, HEARTBEAT_LIMIT_S, USAGE, check_free_disk, run, slot
from asd_core.jobs.table import (
    LANES,
    LOG,
    Job,
    Status,
    ended,
    job_json,
    make_run,
    parse_request,
    read_job,
    running,
    runs_dir,
    set_aside,
    slot_path,
    table,
    write_status,
)
from asd_core.system.clock import age_s
from asd_core.system.disk import remove_tree
from asd_core.system.files import is_writable
from asd_core.system.locks import lock_file
from asd_core.system.logs import configure, event
from asd_core.system.places import with_home
from asd_core.system.processes import process_start, signal_group
from asd_core.tasks.train import TrainingRequest

MAX_QUEUED = 8
TERM_S, KILL_S = 5.0, 0.5
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def submit(request: TrainingRequest) -> Job:
    """Put a training in the queue, and start it if nothing else trains; old runs are removed (`pruning`).

    Raises
    ------
    UsageError
        An unknown detector, preset or setting, more than one thread, too little room on the disk, or limits of runs
        that are not numbers.
    BusyError
        The queue is full, or the same detector is already queued or running for these clips.
    """
    request = _checked_request(request)
    check_free_disk(request)
    kept = limits()
    with table():
        _check_room(request)
        folder = make_run(request)
    event("training asked for", job=folder.name, detector=request.detector, data=str(request.data))
    with contextlib.suppress(BusyError):  # it is queued: the next look starts it
        clear_dead_jobs()
    with contextlib.suppress(BusyError):  # the next training that is asked for removes them
        prune(kept)
    return read_job(folder)


def start(chore: Chore) -> Job:
    """Start a chore beside any training; the previous chore's record is removed.

    Raises
    ------
    UsageError
        Values that cannot be written down.
    BusyError
        Another chore runs, or another process holds the table for more than a moment.
    """
    clear_dead_jobs()
    with table():
        before = list_chores()
        if any(job.is_active for job in before):
            raise BusyError("another data set is being made; wait for it or stop it")
        folder = make_run(chore)
        doomed = [set_aside(job) for job in before]
    for each in doomed:
        remove_tree(each)
    event("chore asked for", job=folder.name, kind=chore.kind, data_set=chore.name)
    with contextlib.suppress(BusyError):  # it is queued: the next look starts it
        clear_dead_jobs()
    return read_job(folder)


def last_chore() -> Job | None:
    """Return the chore that runs or ended last; None where there is none."""
    return next(iter(list_chores()), None)


def chore_is_active() -> bool:
    """Whether a chore runs or is about to; one whose process died does not."""
    with contextlib.suppress(BusyError):
        return any(job.chore is not None for job in clear_dead_jobs())
    return any(job.chore is not None for job in active_jobs())


def resubmit(job: Job) -> Job:
    """Train again from the last finished epoch, as a new job. Raises as `submit`."""
    if job.request is None:
        raise UsageError(f"{job.name} cannot be repeated: {job.status.error}")
    return submit(replace(job.request, resume=True))


def cancel(job: Job) -> Job:
    """End a job within 6 s, its process and all that it started; finished epochs stay in the checkpoint.

    A job that has ended already stays as it is.
    """
    with table():
        job = read_job(job.folder)
        if job.state == "queued":
            write_status(job.folder, ended(job.status, "cancelled", "cancelled before it began"))
    if job.state == "running":
        _end_process(job.folder)
        kept = "finished epochs are kept" if job.chore is None else "a download goes on from what has been fetched"
        with table():
            _close_if_running(job.folder, "cancelled", f"cancelled; {kept}")
        with contextlib.suppress(BusyError):
            clear_dead_jobs()
    return read_job(job.folder)


def delete(job: Job) -> None:
    """Remove a run folder; the detector it published stays.

    Raises
    ------
    UsageError
        It still waits or trains.
    """
    with table():
        job = read_job(job.folder)
        if job.is_active:
            raise UsageError(f"{job.name} is {job.state}: cancel it first")
        doomed = set_aside(job)
    remove_tree(doomed)


def clear_dead_jobs() -> list[Job]:
    """Mark running jobs whose process is gone as lost, then start the next queued one of each lane where nothing runs.

    Returns
    -------
    list of Job
        Those that wait or run now, newest first.

    A table that cannot be written to is only read.

    Raises
    ------
    BusyError
        Another process holds the table for more than a moment.
    """
    if not runs_dir().is_dir():
        return []
    if not is_writable(runs_dir()):
        return active_jobs()
    with table():
        active = active_jobs()
        note_ended()
        for lane in LANES:
            jobs = [job for job in active if job.lane == lane]
            if not any(_still_runs(job) for job in jobs):
                _start_first([job for job in reversed(jobs) if job.state == "queued"], lane)
        return [job for job in (read_job(each.folder) for each in active) if job.is_active]


def _checked_request(request: TrainingRequest) -> TrainingRequest:
    """Check types, then values, and make the paths absolute: the process that trains may be started from elsewhere."""
    request = replace(
        request,
        data=with_home(request.data, source="the data set").absolute(),
        out=with_home(request.out, source="the folder of detectors").absolute(),
    )
    try:
        parse_request(job_json(request))
    except ValueError as error:
        raise UsageError(f"this training cannot be written down: {error}") from error
    settings = {"seed": request.seed, "threads": request.threads, **(request.settings or {})}
    detector = detector_class(request.detector).from_preset(request.preset, **settings)
    if detector.threads != 1:
        raise UsageError(f"a job trains with 1 thread, beside the dashboard; got {detector.threads}")
    return request


def _check_room(request: TrainingRequest) -> None:
    active = [job for job in active_jobs() if job.request is not None]
    for job in active:
        if job.request is not None and _subject(job.request) == _subject(request):
            raise BusyError(f"{request.detector} is already {job.state} for these clips (job {job.name})")
    if sum(job.state == "queued" for job in active) >= MAX_QUEUED:
        raise BusyError(f"{MAX_QUEUED} jobs wait already; let one begin or cancel it first")


def _subject(request: TrainingRequest) -> tuple[str, str, str]:
    """What two jobs must not share: detector, machine folder and name of the data set."""
    machine_folder = request.data / (request.machine or "")
    place = machine_folder if machine_folder.is_dir() else request.data
    return request.detector, os.path.realpath(place), slug(request.name) if request.name else ""


def _still_runs(job: Job) -> bool:
    if job.state != "running":
        return False
    if _is_alive(job.status):
        return True
    signal_group(job.status.pid, job.status.started, "SIGKILL")  # what a killed training may have started
    _close_if_running(job.folder, "lost", "its process ended without a word (killed, or the machine went down)")
    return False


def _close_if_running(folder: Path, state: str, error: str) -> None:
    """Write the end of a job whose process is gone; read anew, as it may have written its own end just before."""
    job = read_job(folder)
    if job.state == "running":
        write_status(folder, ended(job.status, state, error))
        event(f"{'training' if job.chore is None else 'chore'} ended", job=folder.name, state=state, reason=error)


def _start_first(queued: Sequence[Job], lane: str) -> None:
    slot = lock_file(slot_path(lane)) if queued else None
    if slot is None:
        return
    try:
        for job in queued:
            if _launch(job, slot):
                return
    finally:
        os.close(slot)  # the process that was started holds it now


def _launch(job: Job, slot: int) -> bool:
    """Start a job's process, which inherits the slot's lock: there is no moment in which nobody holds it."""
    inherited = () if os.name == "nt" else (slot,)
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "asd_core.jobs", str(job.folder), f"--token={token}"]
    command += [f"--slot={number}" for number in inherited]
    paths = [str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        with (job.folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=inherited,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
    except OSError as error:
        write_status(job.folder, ended(job.status, "failed", f"could not be started: {error.strerror}"))
        return False
    write_status(job.folder, running(process.pid, command=job.status.command, token=token))
    threading.Thread(target=process.wait, name=f"reaper of {job.name}", daemon=True).start()
    return True


def _is_alive(status: Status) -> bool:
    if os.name == "nt":
        return status.heartbeat is not None and age_s(status.heartbeat) < HEARTBEAT_LIMIT_S
    return status.pid is not None and status.started is not None and process_start(status.pid) == status.started


def _end_process(folder: Path) -> None:
    """End the process of a run; again where that was a launcher, and its child has taken the run over meanwhile."""
    ended_pids: set[int | None] = set()
    while (status := read_job(folder).status).pid not in ended_pids and status.state == "running" and _is_alive(status):
        signal_group(status.pid, status.started, "SIGTERM")
        _wait_until_gone(status, TERM_S)
        signal_group(status.pid, status.started, "SIGKILL")
        _wait_until_gone(status, KILL_S)
        ended_pids.add(status.pid)


def _wait_until_gone(status: Status, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _is_alive(status) and time.monotonic() < deadline:
        time.sleep(0.02)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job in a run folder and return the exit code; then start the next job."""
    parser = argparse.ArgumentParser(prog="python -m asd_core.jobs", description="Run one background job.")
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a folder that the dashboard made")
    parser.add_argument(
        "--token", metavar="HEX", help="tells this process from any other (set by the process that starts the job)"
    )
    parser.add_argument(
        "--slot", type=int, metavar="FD", help="inherited lock (set by the process that starts the job)"
    )
    arguments = parser.parse_args(argv)
    configure("jobs")
    try:
        with slot(arguments.slot, read_job(arguments.run_dir).lane):
            code = run(arguments.run_dir, token=arguments.token)
        with contextlib.suppress(BusyError):  # the next look starts it
            clear_dead_jobs()
    except BusyError as error:
        return _fail(error, BUSY)
    except (AsdError, OSError) as error:
        return _fail(error, USAGE)
    return code


def _fail(message: object, code: int) -> int:
    print(f"asd_core.jobs: {message}", file=sys.stderr)
    return code
