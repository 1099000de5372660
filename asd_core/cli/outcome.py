"""What a command leaves behind: its exit code, its report as JSON, and how lines and files are written."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from asd_core.formats import TRAINED_ON_SIMULATED

if TYPE_CHECKING:
    from asd_core.data.data_set import LabelRow
    from asd_core.data.folders import Skipped

DONE, UNEXPECTED, USAGE, SOME_REFUSED, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 130
MAX_WARNINGS_SHOWN = 20


class Outcome(NamedTuple):  # a dataclass would cost `--help` a fifth of its time
    """What a command did.

    Parameters
    ----------
    report
        For `--json`.
    code
        Exit code.
    """

    report: Mapping[str, Any]
    code: int = DONE


class Interrupted(Exception):  # noqa: N818 - a wish, not an error
    """Ctrl-C was pressed; the text says how to continue."""


def refusals(refused: Sequence[Mapping[str, str]]) -> int:
    """List refused clips on standard error; return the exit code they call for."""
    for entry in refused:
        print(f"refused {entry['path']}: {entry['reason']}", file=sys.stderr)
    return SOME_REFUSED if refused else DONE


def label_lines(rows: Sequence[LabelRow]) -> list[str]:
    """Write how labels were understood as a small table."""
    header = ("understood from", "label", "split", "clips", "recordings")
    cells = [
        (
            row.rule or "nothing",
            row.label,
            row.split,
            str(row.n_clips),
            "?" if (n := row.n_recordings) is None else str(n),
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = (zip(line, widths, strict=True) for line in (header, *cells))
    return ["  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in lines]


def show_skipped(skipped: Skipped) -> None:
    """Say on standard error which files were passed over, if any were."""
    if skipped:
        print(skipped.text, file=sys.stderr)


def show_warnings(lines: Sequence[str]) -> None:
    """Write the first warnings to standard error, and how many more there are."""
    for line in lines[:MAX_WARNINGS_SHOWN]:
        print(f"warning: {line}", file=sys.stderr)
    if (more := len(lines) - MAX_WARNINGS_SHOWN) > 0:
        print(f"warning: {more} more, listed by --json", file=sys.stderr)


def show_progress(text: str, *, last: bool) -> None:
    """Overwrite one line of a terminal; write nothing where standard error is a file."""
    if sys.stderr.isatty():
        print(f"\r{text}", end="\n" if last else "", file=sys.stderr, flush=True)


def show_clips(done_word: str) -> Any:
    """Return a callback that shows `<word> done of total clips`."""

    def show(done: int, total: int) -> None:
        show_progress(f"{done_word} {done} of {total} clips", last=done == total)

    return show


def figure(value: float | None, form: str = ".3f") -> str:
    """Write a figure, or that there is none."""
    return "not defined" if value is None else format(value, form)


def simulated_mark(*, detector: bool = False, data: bool = False) -> str:
    """Say that a detector was trained on simulated sound, and that clips are simulated, where it is so."""
    marks = [mark for mark, holds in ((TRAINED_ON_SIMULATED, detector), ("simulated data", data)) if holds]
    return f" ({'; '.join(marks)})" if marks else ""


def write_json(path: Path | None, report: Mapping[str, Any]) -> None:
    """Write a report where the user asked for one."""
    if path is not None:
        from asd_core.system.files import replace_text

        replace_text(path, json.dumps(report, allow_nan=False, indent=1) + "\n")


def write_text(path: Path | None, text: str) -> None:
    """Write to a file, or to standard output where none is named."""
    if path is None:
        sys.stdout.write(text)
    else:
        from asd_core.system.files import replace_text

        replace_text(path, text)
