"""The table of background jobs (trainings and chores) on disk: what was requested, how far each is, and its lock.

::

    <data folder>/runs/
        .lock                               held briefly by any process that changes the table
        .slot                               held by the process that trains, until it ends
        .slot-chores                        held by the process of a chore, until it ends
        .ended                              which jobs have ended (`listing`)
        20260131T120000000000Z-1a2b3c4d/
            job.json                        what to do
            status.json                     state, process, heartbeat, reason, model; replaced as a whole
            progress.jsonl                  one line per epoch of a training
            step.json                       how far a chore is; replaced as a whole
            log.txt                         what the process printed

It needs no server. While a process works, only that process writes its status.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asd_core.detectors.contract import Progress
from asd_core.errors import FileError, UsageError
from asd_core.jobs.chores import CHORES, Chore, Step
from asd_core.system.clock import age_s, utc_now
from asd_core.system.files import json_bytes, no_constant, parse_json, read_regular, replace_file
from asd_core.system.locks import hold
from asd_core.system.places import data_dir
from asd_core.system.processes import process_start
from asd_core.system.typed_json import from_json, to_json
from asd_core.tasks.train import TrainingRequest

STATES = ("queued", "running", "done", "failed", "cancelled", "lost")
ACTIVE_STATES = ("queued", "running")
TRAIN = "train"
COMMANDS = (TRAIN, *CHORES)
LANES: Mapping[str, str] = {TRAIN: ".slot", "chore": ".slot-chores"}
"""One job of each lane runs at a time, and holds the lane's lock."""
LOCK_S = 2.0
MAX_JSON_BYTES = 256 * 1024
MAX_PROGRESS_BYTES = 8 * 2**20
JOB, STATUS, PROGRESS, STEP, LOG = "job.json", "status.json", "progress.jsonl", "step.json", "log.txt"
HEADER: Mapping[str, Any] = {"schema": 1, "command": TRAIN}
_ASIDE = ".tmp-"
_MOMENT = "%Y%m%dT%H%M%S%fZ"
RUN_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")


@dataclass(frozen=True)
class Status:
    """How far a job is.

    Parameters
    ----------
    state
        One of `STATES`.
    pid, started
        The process that works, and when the system started it: process numbers are reused.
    token
        Drawn when the process is started, which recognises its run by it: what was started may be a launcher (a virtual
        environment on Windows, a wrapper script) whose child works under another number.
    began_at, ended_at, heartbeat
        ISO 8601, UTC; `heartbeat` is the last sign of life.
    error
        Why it failed, was cancelled or lost, for people.
    model, version
        The published detector's folder and version.
    command
        One of `COMMANDS`.
    """

    state: str
    pid: int | None = None
    started: str | None = None
    began_at: str | None = None
    ended_at: str | None = None
    heartbeat: str | None = None
    error: str | None = None
    model: str | None = None
    version: str | None = None
    warnings: tuple[str, ...] = ()
    token: str | None = None
    command: str = TRAIN

    def to_json(self) -> dict[str, Any]:
        """Content of `status.json`."""
        return {**HEADER, **to_json(self)}

    @classmethod
    def from_json(cls, content: object) -> Status:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            Other keys, types or values than it writes.
        """
        status = from_json(cls, _without_schema(content))
        if status.command not in COMMANDS:
            raise ValueError("it is of another command")
        if status.state not in STATES:
            raise ValueError(f"state must be one of {', '.join(STATES)}; got {status.state[:40]!r}")
        if status.pid is not None and not 2 <= status.pid < 2**31:
            raise ValueError(f"pid must be 2..{2**31 - 1}")
        if status.state == "running" and status.pid is None:
            raise ValueError("a running job must have a pid")
        if status.state == "done" and status.command == TRAIN and status.model is None:
            raise ValueError("a training that is done must have a model")
        for moment in filter(None, (status.began_at, status.ended_at, status.heartbeat)):
            age_s(moment)
        return status


@dataclass(frozen=True)
class Job:
    """One training or chore: what was requested, and how far it is.

    Parameters
    ----------
    folder
        Its run folder; the folder's name is the job's.
    request
        The training; None for a chore and where `job.json` is damaged.
    chore
        None for a training and where `job.json` is damaged.
    is_damaged
        Whether one of its files could not be read: then nobody knows what it did.
    """

    folder: Path
    request: TrainingRequest | None
    status: Status
    chore: Chore | None = None
    is_damaged: bool = False

    @property
    def name(self) -> str:
        """Given when it was submitted; sorts by time."""
        return self.folder.name

    @property
    def submitted_at(self) -> datetime:
        """When it was submitted, UTC."""
        return _moment(self.name)

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return self.status.state

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE_STATES

    @property
    def lane(self) -> str:
        """One of `LANES`: trainings run one at a time, and so do chores."""
        return TRAIN if self.chore is None else "chore"


def runs_dir() -> Path:
    """Folder of all run folders; made by the first `submit`."""
    return (data_dir() / "runs").resolve()


def run_names() -> list[str]:
    """Names of the run folders, newest first; nothing in them is opened."""
    try:
        with os.scandir(runs_dir()) as entries:
            found = [each.name for each in entries if RUN_NAME.fullmatch(each.name) and _is_folder(each)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, reverse=True)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def first_name_at(moment: datetime) -> str:
    """Run folders of jobs that were submitted before this moment (UTC) have a name that sorts before this one."""
    return f"{moment:{_MOMENT}}"


def slot_path(lane: str) -> Path:
    """Lock that a job of this lane holds while it runs."""
    return runs_dir() / LANES[lane]


def read_job(run_dir: Path) -> Job:
    """Read one job; a damaged one is failed or lost.

    Raises
    ------
    UsageError
        No run folder of the runs folder.
    """
    folder = checked_folder(run_dir)
    try:
        request = parse_request(_read_json(folder / JOB))
    except ValueError as error:
        return Job(folder, None, Status("failed", error=f"{JOB} is damaged: {error}"), is_damaged=True)
    is_damaged = False
    try:
        status = Status.from_json(_read_json(folder / STATUS))
    except ValueError as error:
        status = Status("lost", error=f"{STATUS} is damaged: {error}", command=command_of(request))
        is_damaged = True
    if isinstance(request, TrainingRequest):
        return Job(folder, request, status, is_damaged=is_damaged)
    return Job(folder, None, status, request, is_damaged)


def step(job: Job) -> Step:
    """How far a chore is; nothing counted where it has not begun."""
    try:
        return from_json(Step, _without_schema(_read_json(job.folder / STEP), leave_out=("command", "warnings")))
    except ValueError:
        return Step()


def progress(job: Job) -> list[Progress]:
    """Finished epochs so far, oldest first; an unfinished or damaged line is left out."""
    return [event for event in _events(job) if event.epoch > 0]


def expected_s(job: Job) -> float | None:
    """How long all epochs were expected to take before the first, in seconds; None where that is not known (yet)."""
    return next((event.eta_s for event in _events(job) if event.epoch == 0), None)


def _events(job: Job) -> list[Progress]:
    found = []
    for line in _tail(job.folder / PROGRESS, MAX_PROGRESS_BYTES).split(b"\n")[:-1]:
        with contextlib.suppress(ValueError, RecursionError):
            found.append(from_json(Progress, parse_json(line, parse_constant=no_constant)))
    return found


def log_text(job: Job, *, at_most: int = 64 * 1024) -> str:
    """End of what the training process printed, up to a number of bytes."""
    return _tail(job.folder / LOG, at_most).decode("utf-8", "replace")


def make_run(request: TrainingRequest | Chore) -> Path:
    """Write the run folder of a new job, under its name only when it is whole; call it with `table` held.

    Raises
    ------
    UsageError
        A setting is not finite.
    """
    try:
        text = json_bytes(job_json(request))
    except ValueError as error:
        raise UsageError("a setting must be finite, got NaN or Infinity") from error
    name = f"{_next_moment():{_MOMENT}}-{secrets.token_hex(4)}"
    staged = runs_dir() / f"{_ASIDE}{name}"
    staged.mkdir()
    replace_file(staged / JOB, text)
    write_status(staged, Status("queued", command=command_of(request)))
    return staged.rename(runs_dir() / name)


def _next_moment() -> datetime:
    """Now, or just after the newest job where the clock has been set back since: jobs are told apart by their order."""
    now = datetime.now(UTC)
    newest = next(iter(run_names()), "")
    with contextlib.suppress(ValueError, OverflowError):  # none, or a folder that was named by hand
        return max(now, _moment(newest) + timedelta(microseconds=1))
    return now


def _moment(name: str) -> datetime:
    return datetime.strptime(name.split("-")[0], _MOMENT).replace(tzinfo=UTC)


def write_status(folder: Path, status: Status) -> None:
    """Replace a job's status, all or nothing."""
    replace_file(folder / STATUS, json_bytes(status.to_json()))


def write_step(folder: Path, step: Step, *, command: str) -> None:
    """Replace a chore's progress, all or nothing."""
    replace_file(folder / STEP, json_bytes({**HEADER, "command": command, "warnings": [], **to_json(step)}))


def running(pid: int, *, command: str = TRAIN, token: str | None = None) -> Status:
    """Status of a job whose process has just begun."""
    now = utc_now("milliseconds")
    start = process_start(pid)
    return Status("running", pid, start, began_at=now, heartbeat=now, token=token, command=command)


def ended(status: Status, state: str, error: str) -> Status:
    """Status of a job that ended without a result."""
    return replace(status, state=state, error=error, ended_at=utc_now("milliseconds"))


def set_aside(job: Job) -> Path:
    """Remove a run folder from the table at once, with `table` held: removing what it holds may take longer."""
    return job.folder.rename(job.folder.with_name(f"{_ASIDE}{job.name}"))


def folders_aside() -> list[Path]:
    """Run folders that were set aside, or were never finished; call it with `table` held, so that nobody makes one."""
    return [path for path in runs_dir().glob(f"{_ASIDE}*") if RUN_NAME.fullmatch(path.name.removeprefix(_ASIDE))]


def checked_folder(run_dir: Path) -> Path:
    """Return the run folder; refuse every path that is not right inside the runs folder."""
    folder = runs_dir() / run_dir.name
    inside = run_dir.parent.resolve() == folder.parent and RUN_NAME.fullmatch(run_dir.name)
    if not inside or folder.is_symlink() or not folder.is_dir():
        raise UsageError(f"{str(run_dir)!r} is no run folder in {folder.parent}")
    return folder


def command_of(request: TrainingRequest | Chore) -> str:
    """What `job.json` calls a request: one of `COMMANDS`."""
    return TRAIN if isinstance(request, TrainingRequest) else request.kind


def job_json(request: TrainingRequest | Chore) -> dict[str, Any]:
    """Content of `job.json`."""
    return {**HEADER, "command": command_of(request), "warnings": [], "request": request_json(request)}


def request_json(request: TrainingRequest | Chore) -> dict[str, Any]:
    """Write a request as JSON values."""
    return to_json(request)


def parse_request(content: object) -> TrainingRequest | Chore:
    """Read the request of a `job.json`.

    Raises
    ------
    ValueError
        Other keys, types or values than it may hold.
    """
    job = _without_schema(content)
    if set(job) != {"command", "warnings", "request"} or not isinstance(job["warnings"], list):
        raise ValueError("it must hold exactly schema, command, warnings and request")
    kinds: dict[str, type[TrainingRequest | Chore]] = {TRAIN: TrainingRequest, **CHORES}
    kind = kinds.get(str(job["command"]))
    if kind is None:
        raise ValueError("it is of another command")
    return from_json(kind, _with_rules(job["request"]) if kind is TrainingRequest else job["request"])


def _with_rules(request: object) -> object:
    """A training request of earlier versions, whose rules were fields of their own."""
    if not isinstance(request, dict) or "rules" in request or not {"normal", "recording_by"} & set(request):
        return request
    rest = {name: value for name, value in request.items() if name not in ("normal", "recording_by")}
    normal, recording_by = request.get("normal"), request.get("recording_by")
    rules = ({} if normal is None else {"normal": [normal]}) | (
        {} if recording_by is None else {"recording_by": recording_by}
    )
    return {**rest, "rules": rules}


def table(wait_s: float = LOCK_S) -> AbstractContextManager[None]:
    """Hold the table's lock; raises BusyError where another process holds it for longer."""
    busy = f"the jobs in {runs_dir()} are busy: another process changes them; try again"
    return hold(runs_dir() / ".lock", busy=busy, wait_s=wait_s)


def _read_json(path: Path) -> object:
    """Read a small JSON file; every fault is a ValueError."""
    try:
        text = read_regular(path, at_most=MAX_JSON_BYTES)
    except FileError as error:
        raise ValueError(str(error)) from error
    content: object = parse_json(text, parse_constant=no_constant)
    return content


def _without_schema(content: object, *, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """Check the schema's number, and leave it out."""
    if not isinstance(content, dict) or type(content.get("schema")) is not int or content["schema"] != HEADER["schema"]:
        raise ValueError("it is of another schema")
    return {name: value for name, value in content.items() if name not in ("schema", *leave_out)}


def _tail(path: Path, at_most: int) -> bytes:
    """Last bytes of a file; none where there is no such file."""
    if path.is_symlink() or not path.is_file():
        return b""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:  # deleted meanwhile
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - at_most))
        return stream.read(at_most)
    return b""
