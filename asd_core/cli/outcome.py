"""What a command leaves behind: its exit code, its report as JSON, and how lines and files are written."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from asd_core.formats import TRAINED_ON_SIMULATED, display_name

if TYPE_CHECKING:
    from asd_core.data.data_set import LabelRow
    from asd_core.data.folders import Skipped

DONE, UNEXPECTED, USAGE, SOME_REFUSED, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 130
MAX_WARNINGS_SHOWN = 20
MAX_NAMES_SHOWN = 10
_REASON = re.compile(
    r"""(?:(?P<code>[a-z_]+):\ )?  (?:(?P<name>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"):\ )?  (?P<text>.*)""",
    re.VERBOSE | re.DOTALL,
)
"""`code: 'name': text`, as an `AudioError` is written in a row."""
_NUMBER = re.compile(r"\d[\d.,]*")


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


class Refusals:
    """Refused files, folded by what is to be done about them; memory does not grow with their number."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], _Group] = {}

    def add(self, path: str, reason: str) -> None:
        """Take a refused file; `reason` is `code: text`, as `AudioError.entry` gives it."""
        code, text, shown = _parts(reason)
        general = _for_any_file(text, shown)
        key = code, _NUMBER.sub("#", general)
        self._groups.setdefault(key, _Group(text, general)).add(display_name(path), general)

    def show(self) -> int:
        """List them on standard error, what to do first; return the exit code they call for."""
        for group in self._groups.values():
            print(f"refused {group.line()}", file=sys.stderr)
        return SOME_REFUSED if self._groups else DONE


class _Group:
    """Files that are refused for the same kind of reason."""

    def __init__(self, text: str, general: str) -> None:
        self._text, self._general = text, general
        self._names: list[str] = []
        self._last, self._n, self._is_one_reason = "", 0, True

    def add(self, name: str, general: str) -> None:
        self._is_one_reason &= general == self._general
        if name == self._last:  # the rows of a clip under several models follow each other
            return
        self._last = name
        self._n += 1
        if len(self._names) < MAX_NAMES_SHOWN:
            self._names.append(name)

    def line(self) -> str:
        """What to do, why, and the files; with several reasons, that of the first."""
        if self._n == 1:
            return f"{self._names[0]}: {self._text}"
        more = self._n - len(self._names)
        others = f" and {more} more, see the rows" if more else ""
        if self._is_one_reason:
            return f"{self._n} files: {self._general}: {', '.join(self._names)}{others}"
        return f"{self._n} files: {self._general} ({self._names[0]}); also {', '.join(self._names[1:])}{others}"


def _parts(reason: str) -> tuple[str, str, str]:
    """Code, text without the file's name, and that name as the text shows it; what is missing is empty."""
    found = _REASON.fullmatch(reason)
    if found is None:
        return "", reason, ""
    return found["code"] or "", found["text"], (found["name"] or "")[1:-1]


def _for_any_file(text: str, shown: str) -> str:
    """Put FILE for the file's name in the command, which is in the brackets before the first colon."""
    own = re.escape(shlex.quote(shown))
    return re.sub(rf"^([^:(]*\((?:[^()]*\s)?){own}(?=[\s)])", r"\1FILE", text) if shown else text


def refusals(refused: Sequence[Mapping[str, str]]) -> int:
    """List refused clips on standard error, folded by kind; return the exit code they call for.

    Parameters
    ----------
    refused
        What `AudioError.entry` gives: `path` and `reason`.
    """
    folded = Refusals()
    for entry in refused:
        folded.add(entry["path"], entry["reason"])
    return folded.show()


def show_skipped(*found: Skipped) -> None:
    """Write to standard error what was passed over, where anything was."""
    for skipped in found:
        if skipped:
            print(skipped.text, file=sys.stderr)


def label_lines(rows: Sequence[LabelRow]) -> list[str]:
    """Write how labels were understood as a small table."""
    header = ("understood from", "label", "split", "clips", "recordings")
    counts = [(str(row.n_clips), "not known" if row.n_recordings is None else str(row.n_recordings)) for row in rows]
    cells = [
        (display_name(row.rule) or "nothing", row.label, row.split, *count)
        for row, count in zip(rows, counts, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = (zip(line, widths, strict=True) for line in (header, *cells))
    return ["  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in lines]


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
