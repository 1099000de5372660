"""The table of background trainings on disk: what was asked for, how far each is, and its lock.

::

    <data folder>/runs/
        .lock                               held for moments, by whoever changes the table
        .slot                               held by the process that trains, until it ends
        20260131T120000000000Z-1a2b3c4d/
            job.json                        what to train
            status.json                     state, process, heartbeat, reason, model; replaced as a whole
            progress.jsonl                  a line an epoch
            log.txt                         what the process printed

It needs no server. While a process trains, only that process writes its status.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asd_core.detector import Progress
from asd_core.errors import BusyError, UsageError
from asd_core.files import replace_file
from asd_core.pipeline import TrainingRequest
from asd_core.places import data_dir
from asd_core.processes import process_start

STATES = ("queued", "running", "done", "failed", "cancelled", "lost")
ACTIVE_STATES = ("queued", "running")
LOCK_S = 2.0
MAX_JSON_BYTES = 256 * 1024
MAX_PROGRESS_BYTES = 8 * 2**20
JOB, STATUS, PROGRESS, LOG = "job.json", "status.json", "progress.jsonl", "log.txt"
HEADER: Mapping[str, Any] = {"schema": 1, "command": "train"}
_MOMENT = "%Y%m%dT%H%M%S%fZ"
_RUN_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")
_TEXT, _WHOLE, _NOTHING = (str,), (int,), type(None)
_REQUEST_TYPES: Mapping[str, tuple[type, ...]] = {
    "detector": _TEXT,
    "data": _TEXT,
    "machine": (str, _NOTHING),
    "ids": (list, _NOTHING),
    "normal": (str, _NOTHING),
    "name": (str, _NOTHING),
    "preset": _TEXT,
    "settings": (dict, _NOTHING),
    "seed": _WHOLE,
    "threads": _WHOLE,
    "channel": (int, _NOTHING),
    "resume": (bool,),
    "out": _TEXT,
}
_STATUS_TYPES: Mapping[str, tuple[type, ...]] = {
    "state": _TEXT,
    "pid": (int, _NOTHING),
    "started": (str, _NOTHING),
    "began_at": (str, _NOTHING),
    "ended_at": (str, _NOTHING),
    "heartbeat": (str, _NOTHING),
    "error": (str, _NOTHING),
    "model": (str, _NOTHING),
    "version": (str, _NOTHING),
    "warnings": (list,),
}
_PROGRESS_TYPES: Mapping[str, tuple[type, ...]] = {
    "epoch": _WHOLE,
    "epochs": _WHOLE,
    "loss": (int, float, _NOTHING),
    "heldout_loss": (int, float, _NOTHING),
    "elapsed_s": (int, float),
    "eta_s": (int, float),
}


@dataclass(frozen=True)
class Status:
    """How far a job is.

    Parameters
    ----------
    state
        One of `STATES`.
    pid, started
        The process that trains, and when the system started it: process numbers are used again.
    began_at, ended_at, heartbeat
        ISO 8601, UTC; `heartbeat` is the last sign of life.
    error
        Why it failed, was cancelled or lost, for people.
    model, version
        The published detector's folder and version.
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

    def to_json(self) -> dict[str, Any]:
        """Content of `status.json`."""
        return {**HEADER, **asdict(self), "warnings": list(self.warnings)}

    @classmethod
    def from_json(cls, content: object) -> Status:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            Other keys, types or values than it writes.
        """
        values = _checked(content, {**_STATUS_TYPES, "schema": _WHOLE, "command": _TEXT})
        status = cls(**{**values, "warnings": _texts(values["warnings"])})
        if status.state not in STATES:
            raise ValueError(f"state must be one of {', '.join(STATES)}; got {status.state[:40]!r}")
        if status.pid is not None and not 2 <= status.pid < 2**31:
            raise ValueError(f"pid must be 2..{2**31 - 1}")
        if (status.state == "running" and status.pid is None) or (status.state == "done" and status.model is None):
            raise ValueError("a running job must have a pid and one that is done a model")
        for moment in (status.began_at, status.ended_at, status.heartbeat):
            age_s(moment)
        return status


@dataclass(frozen=True)
class Job:
    """One training: what was asked for, and how far it is.

    Parameters
    ----------
    folder
        Its run folder; the folder's name is the job's.
    request
        None where `job.json` is damaged.
    """

    folder: Path
    request: TrainingRequest | None
    status: Status

    @property
    def name(self) -> str:
        """Made up when it was submitted; sorts by time."""
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
        """Whether it waits or trains."""
        return self.state in ACTIVE_STATES


def runs_dir() -> Path:
    """Folder of all run folders; made by the first `submit`."""
    return (data_dir() / "runs").resolve()


def list_jobs() -> list[Job]:
    """All jobs, newest first; a damaged one is listed as failed or lost, with the reason."""
    runs = runs_dir()
    if not runs.is_dir():
        return []
    names = sorted((path.name for path in runs.iterdir() if _RUN_NAME.fullmatch(path.name)), reverse=True)
    found = []
    for name in names:
        with contextlib.suppress(UsageError):  # deleted meanwhile, or not a folder
            found.append(read_job(runs / name))
    return found


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
        return Job(folder, None, Status("failed", error=f"{JOB} is damaged: {error}"))
    try:
        return Job(folder, request, Status.from_json(_read_json(folder / STATUS)))
    except ValueError as error:
        return Job(folder, request, Status("lost", error=f"{STATUS} is damaged: {error}"))


def progress(job: Job) -> list[Progress]:
    """Finished epochs so far, oldest first; an unfinished or damaged line is left out."""
    found = []
    for line in _tail(job.folder / PROGRESS, MAX_PROGRESS_BYTES).split(b"\n")[:-1]:
        with contextlib.suppress(ValueError, RecursionError):
            found.append(Progress(**_checked(json.loads(line, parse_constant=_refuse_constant), _PROGRESS_TYPES)))
    return found


def log_text(job: Job, *, at_most: int = 64 * 1024) -> str:
    """End of what the training process printed, up to a number of bytes."""
    return _tail(job.folder / LOG, at_most).decode("utf-8", "replace")


def make_run(text: bytes) -> Path:
    """Write a run folder under its name only when it is whole; call it with `table` held."""
    name = f"{_next_moment():{_MOMENT}}-{secrets.token_hex(4)}"
    staged = runs_dir() / f".tmp-{name}"
    staged.mkdir()
    replace_file(staged / JOB, text)
    write_status(staged, Status("queued"))
    return staged.rename(runs_dir() / name)


def _next_moment() -> datetime:
    """Now, or just after the newest job where the clock has been set back since: jobs are told apart by their order."""
    now = datetime.now(UTC)
    newest = max((path.name for path in runs_dir().iterdir() if _RUN_NAME.fullmatch(path.name)), default="")
    with contextlib.suppress(ValueError, OverflowError):  # none, or a folder that was named by hand
        return max(now, _moment(newest) + timedelta(microseconds=1))
    return now


def _moment(name: str) -> datetime:
    return datetime.strptime(name.split("-")[0], _MOMENT).replace(tzinfo=UTC)


def write_status(folder: Path, status: Status) -> None:
    """Replace a job's status, all or nothing."""
    replace_file(folder / STATUS, json_bytes(status.to_json()))


def running(pid: int) -> Status:
    """Status of a job whose process has just begun."""
    now = utc_now()
    return Status("running", pid=pid, started=process_start(pid), began_at=now, heartbeat=now)


def ended(status: Status, state: str, error: str) -> Status:
    """Status of a job that ended without a detector."""
    return replace(status, state=state, error=error, ended_at=utc_now())


def checked_folder(run_dir: Path) -> Path:
    """Take run folders in the runs folder only, whatever path is asked for."""
    folder = runs_dir() / run_dir.name
    inside = run_dir.parent.resolve() == folder.parent and _RUN_NAME.fullmatch(run_dir.name)
    if not inside or folder.is_symlink() or not folder.is_dir():
        raise UsageError(f"{str(run_dir)!r} is no run folder in {folder.parent}")
    return folder


def request_json(request: TrainingRequest) -> dict[str, Any]:
    """Write a request as JSON values."""
    values = {field.name: getattr(request, field.name) for field in fields(request)}
    ids, settings = request.ids, request.settings
    return values | {
        "data": str(request.data),
        "out": str(request.out),
        "ids": None if ids is None else list(ids),
        "settings": None if settings is None else dict(settings),
    }


def parse_request(content: object) -> TrainingRequest:
    """Read the request of a `job.json`.

    Raises
    ------
    ValueError
        Other keys, types or values than it may hold.
    """
    job = _checked(content, {"schema": _WHOLE, "command": _TEXT, "warnings": (list,), "request": (dict,)})
    values = _checked(job["request"], _REQUEST_TYPES)
    ids, settings = values["ids"], values["settings"]
    for name, value in (settings or {}).items():
        if type(value) not in (int, float, str, bool):
            raise ValueError(f"setting {name!r} must be a number or a text")
    return TrainingRequest(
        **{
            **values,
            "data": Path(values["data"]),
            "out": Path(values["out"]),
            "ids": None if ids is None else _texts(ids),
        }
    )


@contextlib.contextmanager
def table(wait_s: float = LOCK_S) -> Iterator[None]:
    """Hold the table's lock; raises BusyError where another process holds it for longer."""
    runs = runs_dir()
    runs.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    while (descriptor := lock_file(runs / ".lock")) is None:
        if time.monotonic() > deadline:
            raise BusyError(f"the jobs in {runs} are busy: another process changes them; try again")
        time.sleep(0.01)
    try:
        yield
    finally:
        os.close(descriptor)


def lock_file(path: Path) -> int | None:
    """Take a file's lock at once: its open descriptor, or None where another holds it; the kernel frees it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    if flock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def flock(descriptor: int) -> bool:
    """Lock an open file at once, if nobody else holds it."""
    if os.name == "nt":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Write JSON; raises UsageError for numbers that are not finite."""
    try:
        return json.dumps(content, allow_nan=False, indent=1).encode() + b"\n"
    except ValueError as error:
        raise UsageError("a setting must be finite, got NaN or Infinity") from error


def _read_json(path: Path) -> object:
    """Read a small JSON file; every fault is a ValueError."""
    if path.is_symlink() or not path.is_file():
        raise ValueError("it is missing or no regular file")
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_JSON_BYTES + 1)
        if len(text) > MAX_JSON_BYTES:
            raise ValueError(f"it must be at most {MAX_JSON_BYTES} bytes")
        content: object = json.loads(text, parse_constant=_refuse_constant)
    except (OSError, RecursionError) as error:
        raise ValueError(f"it cannot be read ({type(error).__name__})") from error
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _checked(content: object, types: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """Exactly these keys with exactly these types; `schema` and `command` are checked and left out."""
    if not isinstance(content, dict) or set(content) != set(types):
        raise ValueError(f"it must hold exactly {', '.join(types)}")
    for name, allowed in types.items():
        if type(content[name]) not in allowed:
            raise ValueError(f"{name} must be {' or '.join(kind.__name__ for kind in allowed)}")
    if "schema" in types and any(content[name] != value for name, value in HEADER.items()):
        raise ValueError("it is of another schema or command")
    return {name: value for name, value in content.items() if name not in HEADER}


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise ValueError("a list must hold texts only")
    return tuple(str(value) for value in values)


def _tail(path: Path, at_most: int) -> bytes:
    """Last bytes of a file; none where there is no such file."""
    if path.is_symlink() or not path.is_file():
        return b""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:  # deleted meanwhile
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - at_most))
        return stream.read(at_most)
    return b""


def utc_now() -> str:
    """Write the present moment as ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def age_s(moment: str | None) -> float:
    """Seconds since a moment; ValueError where it is none."""
    if moment is None:
        return 0.0
    then = datetime.fromisoformat(moment)
    if then.tzinfo is None:
        raise ValueError(f"{moment} must name its time zone")
    return (datetime.now(UTC) - then).total_seconds()
