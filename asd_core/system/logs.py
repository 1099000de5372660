"""Events for operators: one JSON object per line, in `<data folder>/logs/<program>.jsonl`.

::

    {"time": "2026-01-31T12:00:00.000+00:00", "level": "ERROR", "event": "fault", "number": "E-1a2b3c4d", ...}

Users' texts are cut short and written in ASCII with escapes, so that no name can end a line, hide itself or reverse the
direction of writing. Sounds and files are never written. Each program keeps its newest lines, with at most `MAX_BYTES`
per file. Nothing is written before `configure`.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import re
import secrets
import sys
import threading
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

from asd_core.errors import FileError
from asd_core.system.files import parse_json, read_regular, replace_file
from asd_core.system.places import data_dir

MAX_BYTES = 2 * 2**20
KEPT_FILES = 4
"""Besides the one being written: 10 MiB per program."""
MAX_TEXT = 1000
MAX_FRAMES = 30
MASK = "(deleted)"
_NEVER_MASKED = ("time", "level", "event", "pid", "number")

_LOGGER = logging.getLogger("asd_core")
_CONFIGURING = threading.Lock()


def log_path(program: str) -> Path:
    """Where a program (`dashboard`, `jobs`, `chores`, `watch`) writes."""
    return (data_dir() / "logs" / f"{program}.jsonl").absolute()


def configure(program: str) -> None:
    """Write this process's events to its file from now on; a second call for the same file changes nothing."""
    path = log_path(program)
    with _CONFIGURING:  # visitors of the dashboard that come at once would each add a handler
        _write_to(path)


def _write_to(path: Path) -> None:
    ours = [handler for handler in _LOGGER.handlers if isinstance(handler, _JsonLines)]
    if any(handler.baseFilename == str(path) for handler in ours):
        return
    for handler in ours:
        _LOGGER.removeHandler(handler)
        handler.close()
    _LOGGER.addHandler(_JsonLines(path))
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False


def event(name: str, **fields: str | int | None) -> None:
    """Log an event."""
    _LOGGER.info(name, extra={"fields": fields})


def fault(error: BaseException, **fields: str | int | None) -> str:
    """Log an unexpected error with its trace; returns a number to show, by which an operator finds it."""
    number = f"E-{secrets.token_hex(4)}"
    _LOGGER.error("fault", exc_info=error, extra={"fields": {"number": number, **fields}})
    return number


def mask(names: Iterable[str]) -> int:
    """Replace names that a user wants to be forgotten, wherever they stand as words of their own; returns the lines.

    A line that another program writes in the same instant may be lost.
    """
    words = "|".join(re.escape(name) for name in sorted(set(names), key=len, reverse=True) if name)
    if not words:
        return 0
    pattern = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])")
    return sum(_mask_file(path, pattern) for path in sorted((data_dir() / "logs").glob("*.jsonl*")))


def _mask_file(path: Path, pattern: re.Pattern[str]) -> int:
    try:
        lines = read_regular(path, at_most=2 * MAX_BYTES).decode("ascii", "replace").splitlines()
    except FileError:
        return 0
    masked = [_masked_line(line, pattern) for line in lines]
    n_changed = sum(one != other for one, other in zip(lines, masked, strict=True))
    if n_changed:
        replace_file(path, "".join(f"{line}\n" for line in masked if line).encode("ascii"))
    return n_changed


def _masked_line(line: str, pattern: re.Pattern[str]) -> str:
    """The line with the names masked in the values of its fields; nothing of one that cannot be read."""
    try:
        content = parse_json(line)
    except ValueError:
        return ""
    return _written(
        {name: value if name in _NEVER_MASKED else _masked(value, pattern) for name, value in content.items()}
    )


def _masked(value: object, pattern: re.Pattern[str]) -> object:
    if isinstance(value, list):
        return [_masked(each, pattern) for each in value]
    return pattern.sub(MASK, value) if isinstance(value, str) else value


class _JsonLines(logging.handlers.RotatingFileHandler):
    """Creates its folder and file with the first event; if that fails, the line goes to standard error."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="ascii", delay=True)

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - logging's name
        """Whether the file is full; if another process has rotated it in the meantime, continue with the new one."""
        if self.stream is not None and not _is_still(self.stream, self.baseFilename):
            self.stream.close()
            self.stream = None
        return bool(super().shouldRollover(record))

    def format(self, record: logging.LogRecord) -> str:
        return _line(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        print(_line(record), file=sys.stderr)


def _is_still(stream: TextIOWrapper, path: str) -> bool:
    """Whether an open file is still the one with this name."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), Path(path).stat())
    except FileNotFoundError:
        return False


def _line(record: logging.LogRecord) -> str:
    content: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "event": _short(record.getMessage()),
        "pid": os.getpid(),
    }
    for name, value in getattr(record, "fields", {}).items():
        content[name] = value if value is None or isinstance(value, int) else _short(str(value))
    if record.exc_info and record.exc_info[1] is not None:
        content |= _trace(record.exc_info[1])
    return _written(content)


def _written(content: dict[str, object]) -> str:
    return json.dumps(content).replace("\x7f", "\\u007f")  # all else that cannot be printed is escaped already


def _trace(error: BaseException) -> dict[str, object]:
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    lines = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__name__, "text": _short(str(error)), "trace": lines}


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
