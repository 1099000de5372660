"""Tables of labels: `labels.csv` and the like, and Audacity's label tracks beside long recordings.

A table has a column `path`, `file` or `filename`, a column `label`, and may have `id`, `recording`, `split`, `kind`,
`start_s` and `end_s`; its separator is a comma, a semicolon or a tab, its encoding UTF-8, UTF-16 or Windows-1252. A
label track has lines of start, tab, end, tab, label, in seconds.
"""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from asd_core.audio.reading import MIN_DURATION_S
from asd_core.data.folder_rules import FolderRules, is_no_label, split_of
from asd_core.data.own_folders import NO_ID, Meaning, check_labels, contradiction
from asd_core.errors import DataSetError, FileError
from asd_core.formats import cell_text, display_name, seconds_text
from asd_core.system.files import read_regular

TABLE_NAME = "labels.csv"
MAX_TABLE_BYTES = 64 * 2**20
PATH_COLUMNS = ("path", "file", "filename", "file_name")
_OTHER_COLUMNS = ("label", "id", "recording", "split", "kind", "start_s", "end_s")
_SEPARATORS = ",;\t"
_EXCEL_HINTS = tuple(f"sep={separator}" for separator in _SEPARATORS)
_CORRECT = "correct one of them"
NOT_THERE, NO_STRETCH = "named but not there", "stretches shorter than half a second"


@dataclass(frozen=True)
class Row:
    """A line of a table: the cells that it has, as text; `number` is the line's."""

    number: int
    path: str
    label: str
    cells: Mapping[str, str] = field(default_factory=dict)

    def span(self, where: str) -> tuple[float, float] | None:
        """Start and end in seconds, where the line has them; raises DataSetError where they are no stretch."""
        start, end = self.cells.get("start_s", ""), self.cells.get("end_s", "")
        if not start and not end:
            return None
        try:
            found = seconds_of(start or "0"), seconds_of(end)
        except ValueError:
            found = (0.0, 0.0)
        if not 0 <= found[0] < found[1]:
            raise DataSetError(
                f"{where}, line {self.number}: a stretch must begin at 0 or later and end after that, in seconds, got "
                f"start_s {start!r}, end_s {end!r}"
            )
        return found


@dataclass(frozen=True)
class Labelled:
    """What a table says.

    Parameters
    ----------
    meanings
        Of each clip: a file's path below the root, and what is said of it; several of one file are its stretches.
    skipped
        Kind and name of what the table names and cannot be used.
    """

    meanings: tuple[tuple[str, Meaning], ...]
    skipped: tuple[tuple[str, str], ...] = ()


def read_table(path: Path) -> tuple[Row, ...]:
    """Read a table of labels.

    Raises
    ------
    DataSetError
        No regular file, too large, no such columns, or no line.
    """
    lines = list(_lines(_text(path), path))
    if not lines:
        raise DataSetError(
            f"{path} has no line below its header; write one for each recording, for example run1.wav,normal"
        )
    return tuple(lines)


def is_table(path: Path) -> bool:
    """Whether a file reads as a table of labels with at least one line."""
    try:
        return bool(read_table(path))
    except DataSetError:
        return False


def meanings_of(
    rows: Sequence[Row], names: Sequence[str], rules: FolderRules, *, where: str, base: str = ""
) -> Labelled:
    """Bring a table and the files below a root together; a file that no line names is unlabelled.

    Parameters
    ----------
    names
        Paths of the files below the root.
    where
        The table, as errors call it.
    base
        The table's folder below the root, where paths in it start too.

    Raises
    ------
    DataSetError
        No normal label; lines of one clip that contradict each other; a kind whose name says normal; a path that
        leads out of the root; an unknown split.
    """
    rules.check()
    known = _Names(names, base)
    by_name: dict[str, dict[tuple[float, float] | None, tuple[Row, Meaning]]] = defaultdict(dict)
    missing: list[tuple[str, str]] = []
    for row in rows:
        name = known.find(row.path, where, row.number)
        if name is None:
            missing.append((NOT_THERE, row.path))
            continue
        meaning = _meaning(row, rules, where)
        if meaning.span is not None and meaning.span[1] - meaning.span[0] < MIN_DURATION_S:
            missing.append((NO_STRETCH, f"{name} at {meaning.span[0]:g} s"))
            continue
        before = by_name[name].setdefault(meaning.span, (row, meaning))
        if before[1].label != meaning.label:
            one, other = (f"label {each.label} in line {each.number}" for each in (before[0], row))
            raise contradiction(name, one, f"{other} of {where}", cure=_CORRECT)
    if rows and not by_name:
        raise _nothing_there(rows[0], names, where)
    said = [meaning for spans in by_name.values() for _, meaning in spans.values()]
    check_labels(said, rules, where, what="normal label")
    found = [(name, meaning) for name in names for _, meaning in by_name.get(name, {}).values()]
    found += [(name, Meaning("unlabelled", f"not in {where}")) for name in names if name not in by_name]
    for name, spans in by_name.items():
        _check_overlaps(name, [meaning for _, meaning in spans.values()], where)
    return Labelled(tuple(sorted(found, key=_order)), tuple(missing))


def read_track(path: Path) -> tuple[tuple[float, float, str], ...] | None:
    """Read an Audacity label track: start and end in seconds, and the label; None for any other text."""
    try:
        lines = [line for line in _text(path).splitlines() if line.strip() and not line.startswith("\\")]
        return tuple(_stretch(line) for line in lines) or None
    except (DataSetError, ValueError):
        return None


def track_meanings(
    track: Sequence[tuple[float, float, str]], name: str, given: Meaning, rules: FolderRules, *, where: str
) -> Labelled:
    """Say what the stretches of a recording are; points, which have no length, are passed over.

    Parameters
    ----------
    given
        What the recording's own path says; its split, machine and recording hold for each stretch.

    Raises
    ------
    DataSetError
        Stretches that overlap and contradict each other.
    """
    found: list[tuple[str, Meaning]] = []
    skipped: list[tuple[str, str]] = []
    for start, end, word in track:
        if end - start < MIN_DURATION_S:
            skipped.append((NO_STRETCH, f"{name} at {start:g} s"))
            continue
        label, kind = _label_and_kind(word, "", rules)
        found.append(
            (
                name,
                Meaning(
                    label, f"{where}: {word}", given.split, word, kind, given.machine_id, given.recording, (start, end)
                ),
            )
        )
    _check_overlaps(name, [meaning for _, meaning in found], where)
    return Labelled(tuple(found), tuple(skipped))


def _nothing_there(row: Row, names: Sequence[str], where: str) -> DataSetError:
    """The error of a table that names none of the files."""
    return DataSetError(
        f"{where} names none of the {len(names)} recordings: its first is {display_name(row.path)}, the "
        f"folder's is {display_name(names[0])}; "
        "write paths as they are below the folder, with the files' suffixes"
    )


def seconds_of(text: str) -> float:
    """Read seconds, with a point or a comma; raises ValueError for anything else."""
    found = float(text.strip().replace(",", "."))
    if not math.isfinite(found):
        raise ValueError(text)
    return found


def _order(entry: tuple[str, Meaning]) -> tuple[str, tuple[float, float]]:
    return entry[0], entry[1].span or (0.0, 0.0)


def _stretch(line: str) -> tuple[float, float, str]:
    start, end, *rest = line.split("\t")
    return seconds_of(start), seconds_of(end), " ".join(rest).strip()


def _text(path: Path) -> str:
    try:
        content = read_regular(path.resolve(), at_most=MAX_TABLE_BYTES)
    except FileError as error:
        cure = "check the name" if not path.exists() else "write it as comma-separated text"
        raise DataSetError(f"{cure}: {path} cannot be read as a table of labels: {error}") from error
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _lines(text: str, path: Path) -> Iterator[Row]:
    first, _, rest = text.partition("\n")
    if first.strip().casefold() in _EXCEL_HINTS:  # a line of Excel's that names the separator
        text, first = rest, rest.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = [cell.strip().casefold() for cell in next(reader, [])]
    path_column = next((name for name in PATH_COLUMNS if name in header), None)
    if path_column is None or "label" not in header:
        raise DataSetError(
            f"{path} must have a column path (or file, filename) and a column label in its first line, got "
            f"{', '.join(map(ascii, header[:8])) or 'nothing'}; for example path,label and below it run1.wav,normal"
        )
    try:
        for cells in reader:
            values = dict(zip(header, (cell_text(cell.strip()) for cell in cells), strict=False))
            if any(values.values()):
                others = {name: values[name] for name in _OTHER_COLUMNS if values.get(name)}
                yield Row(reader.line_num, values.get(path_column, ""), values.get("label", ""), others)
    except csv.Error as error:
        raise DataSetError(f"{path}, line {reader.line_num}: {error}") from error


class _Names:
    """Files by what a table may call them: the path below the root or below the table, else a file's name alone."""

    def __init__(self, names: Sequence[str], base: str) -> None:
        self.names, self.base = {_composed(name): name for name in names}, base
        self.by_file: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self.by_file[_composed(PurePosixPath(name).name)].append(name)

    def find(self, text: str, where: str, line: int) -> str | None:
        path = _composed(text).replace("\\", "/")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise DataSetError(f"{where}, line {line}: a path must not lead out of the folder, got {text!a}")
        below = "/".join(parts)
        for name in (f"{self.base}/{below}" if self.base else below, below):
            if name in self.names:
                return self.names[name]
        alone = self.by_file.get(parts[-1], []) if parts else []
        return alone[0] if len(alone) == 1 else None


def _composed(name: str) -> str:
    """A name with each letter and its accent in one; macOS lists them apart."""
    return unicodedata.normalize("NFC", name)


def _meaning(row: Row, rules: FolderRules, where: str) -> Meaning:
    label, kind = _label_and_kind(row.label, row.cells.get("kind", ""), rules)
    split = row.cells.get("split", "")
    if split and split_of(split) is None:
        raise DataSetError(f"{where}, line {row.number}: split must be train, val or test, got {split!a}")
    return Meaning(
        label,
        f"{where}: {row.label}" if row.label else f"{where}, no label",
        split_of(split),
        row.label,
        kind,
        row.cells.get("id", NO_ID),
        row.cells.get("recording"),
        row.span(where),
    )


def _label_and_kind(word: str, kind: str, rules: FolderRules) -> tuple[str, str | None]:
    label = rules.label_of(word)
    if label is None:
        label = "unlabelled" if is_no_label(word) else "anomalous"
    return label, (kind or word) if label == "anomalous" else None


def _stretch_text(span: tuple[float, float]) -> str:
    if math.isinf(span[1]):
        return "whole file"
    return f"stretch from {seconds_text(span[0])} to {seconds_text(span[1])}"


def _check_overlaps(name: str, meanings: Sequence[Meaning], where: str) -> None:
    """Refuse stretches of one recording that overlap and say different things."""
    spans = sorted((meaning.span or (0.0, math.inf), meaning.label) for meaning in meanings)
    longest: dict[str, tuple[float, float]] = {}  # of each label, the stretch that ends last so far
    for span, label in spans:
        for other_label, other in longest.items():
            if other_label != label and span[0] < other[1]:
                raise contradiction(
                    name,
                    f"{_stretch_text(other)} ({other_label})",
                    f"{_stretch_text(span)} ({label}) of {where}",
                    cure=_CORRECT,
                )
        longest[label] = max(longest.get(label, span), span, key=lambda found: found[1])
