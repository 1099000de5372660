"""Trainings in the background: asked for, started one at a time, cancelled; `python -m asd_core.jobs RUN_DIR` runs one.

A training goes on when the server that started it dies, starts the next one when it ends, and whoever calls `sweep`
finds the ones that died (`job_table` tells what lies on disk).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asd_core.detectors import detector_class
from asd_core.errors import AsdError, BusyError, UsageError
from asd_core.files import is_writable
from asd_core.job_run import BUSY, HEARTBEAT_LIMIT_S, USAGE, check_free_disk, run, slot
from asd_core.job_table import (
    HEADER,
    LOG,
    Job,
    Status,
    age_s,
    ended,
    json_bytes,
    list_jobs,
    lock_file,
    make_run,
    parse_request,
    read_job,
    request_json,
    running,
    runs_dir,
    table,
    write_status,
)
from asd_core.logs import configure, event
from asd_core.pipeline import TrainingRequest, slug
from asd_core.processes import process_start, signal_group
from asd_core.storage import remove_tree

MAX_QUEUED = 8
TERM_S, KILL_S = 5.0, 0.5
_PACKAGE_ROOT = Path(__file__).resolve().parents[1]


def submit(request: TrainingRequest) -> Job:
    """Put a training in the queue, and start it if nothing else trains.

    Raises
    ------
    UsageError
        An unknown detector, preset or setting, more than one thread, or too little room on the disk.
    BusyError
        The queue is full, or the same detector is already queued or running for these clips.
    """
    request = _checked_request(request)
    text = json_bytes({**HEADER, "warnings": [], "request": request_json(request)})
    check_free_disk(request)
    with table():
        _check_room(request)
        folder = make_run(text)
    event("training asked for", job=folder.name, detector=request.detector, data=str(request.data))
    with contextlib.suppress(BusyError):  # it is queued: whoever looks next starts it
        sweep()
    return read_job(folder)


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
        _end_process(job.status)
        with table():
            _close_if_running(job.folder, "cancelled", "cancelled; finished epochs are kept")
        with contextlib.suppress(BusyError):
            sweep()
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
        doomed = job.folder.rename(job.folder.with_name(f".tmp-{job.name}"))
    remove_tree(doomed)


def sweep() -> None:
    """Mark running jobs whose process is gone as lost, then start the next queued one if nothing trains.

    Where the table cannot be written to, nothing is done: it can still be read.

    Raises
    ------
    BusyError
        Another process holds the table for more than a moment.
    """
    if not runs_dir().is_dir() or not is_writable(runs_dir()):
        return
    with table():
        jobs = list_jobs()
        if not any(_still_runs(job) for job in jobs):
            _start_first([job for job in reversed(jobs) if job.state == "queued"])


def _checked_request(request: TrainingRequest) -> TrainingRequest:
    """Check types, then values, and make the paths absolute: the process that trains may be started from elsewhere."""
    request = replace(request, data=request.data.expanduser().absolute(), out=request.out.expanduser().absolute())
    try:
        parse_request({**HEADER, "warnings": [], "request": request_json(request)})
    except ValueError as error:
        raise UsageError(f"this training cannot be written down: {error}") from error
    settings = {"seed": request.seed, "threads": request.threads, **(request.settings or {})}
    detector = detector_class(request.detector).from_preset(request.preset, **settings)
    if detector.threads != 1:
        raise UsageError(f"a job trains with 1 thread, beside the dashboard; got {detector.threads}")
    return request


def _check_room(request: TrainingRequest) -> None:
    active = [job for job in list_jobs() if job.is_active and job.request is not None]
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
    status = read_job(folder).status
    if status.state == "running":
        write_status(folder, ended(status, state, error))
        event("training ended", job=folder.name, state=state, reason=error)


def _start_first(queued: Sequence[Job]) -> None:
    slot = lock_file(runs_dir() / ".slot") if queued else None
    if slot is None:
        return
    try:
        for job in queued:
            if _launch(job, slot):
                return
    finally:
        os.close(slot)  # the process that trains holds it now


def _launch(job: Job, slot: int) -> bool:
    """Start a job's process, which inherits the slot's lock: there is no moment in which nobody holds it."""
    inherited = () if os.name == "nt" else (slot,)
    command = [sys.executable, "-m", "asd_core.jobs", str(job.folder), *(f"--slot={number}" for number in inherited)]
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
    write_status(job.folder, running(process.pid))
    threading.Thread(target=process.wait, name=f"reaper of {job.name}", daemon=True).start()
    return True


def _is_alive(status: Status) -> bool:
    if os.name == "nt":
        return status.heartbeat is not None and age_s(status.heartbeat) < HEARTBEAT_LIMIT_S
    return status.pid is not None and status.started is not None and process_start(status.pid) == status.started


def _end_process(status: Status) -> None:
    if not _is_alive(status):
        return
    signal_group(status.pid, status.started, "SIGTERM")
    _wait_until_gone(status, TERM_S)
    signal_group(status.pid, status.started, "SIGKILL")
    _wait_until_gone(status, KILL_S)


def _wait_until_gone(status: Status, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _is_alive(status) and time.monotonic() < deadline:
        time.sleep(0.02)


def main(argv: Sequence[str] | None = None) -> int:
    """Train what a run folder asks for and return the exit code; then start the next job."""
    parser = argparse.ArgumentParser(prog="python -m asd_core.jobs", description="Run one training job.")
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a folder that the dashboard made")
    parser.add_argument("--slot", type=int, metavar="FD", help="inherited lock (set by whoever starts the job)")
    arguments = parser.parse_args(argv)
    configure("jobs")
    try:
        with slot(arguments.slot):
            code = run(arguments.run_dir)
        with contextlib.suppress(BusyError):  # whoever looks next starts the next job
            sweep()
    except BusyError as error:
        return _fail(error, BUSY)
    except (AsdError, OSError) as error:
        return _fail(error, USAGE)
    return code


def _fail(message: object, code: int) -> int:
    print(f"asd_core.jobs: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
