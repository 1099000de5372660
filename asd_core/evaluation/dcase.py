"""The files of the DCASE 2020 Task 2 evaluator: truth lists, anomaly scores, results.

The numbers equal the official evaluator's. Its silent errors are not imitated: scores are joined to the truth by file
name, never by position, and whatever does not fit is refused by name.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asd_core.errors import DataSetError
from asd_core.evaluation import metrics
from asd_core.system.files import replace_text

Truth = dict[str, dict[str, dict[str, bool]]]
"""Machine -> machine id -> file name -> whether anomalous, in the order of the list."""

MAX_BYTES = 64 * 2**20
_SCORE_FILE = re.compile(r"anomaly_score_(?P<machine>.+)_id_(?P<id>[0-9]{2})\.csv")
_ID_IN_NAME = re.compile(r"id_([0-9]{2})")
_MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_MAX_NAMED = 5


def _named(names: Iterable[str]) -> str:
    """Return a few names for a message, and how many more there are."""
    listed = sorted(names)
    more = len(listed) - _MAX_NAMED
    return ", ".join(listed[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return line number and cells of each line that is not blank; a byte order mark and CRLF do no harm."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataSetError(f"{path.name}: a list may have {MAX_BYTES // 2**20} MiB at most")
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except OSError as error:
        raise DataSetError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataSetError(f"{path.name}: not a UTF-8 text of comma-separated lines ({error})") from error


def read_truth(path: Path) -> Truth:
    """Return the truth list: a line with the machine's name, then `<file name>,<original name>,<0|1>` lines.

    Raises
    ------
    DataSetError
        Not such a list, a clip named twice, or a file name without `id_NN`; the text names line or clip.
    """
    truth: Truth = {}
    machine: str | None = None
    for line, cells in _rows(path):
        if len(cells) == 1:
            machine = cells[0].strip()
            truth.setdefault(machine, {})
            continue
        if machine is None:
            raise DataSetError(f"{path.name} line {line}: the first line must be the machine's name, got {cells}")
        name, is_anomalous = _truth_line(cells, where=f"{path.name} line {line}")
        machine_id = _id_of(name, where=f"{path.name} line {line}")
        clips = truth[machine].setdefault(machine_id, {})
        if name in clips:
            raise DataSetError(f"{path.name} line {line}: {name} is listed twice for {machine}")
        clips[name] = is_anomalous
    if not truth:
        raise DataSetError(f"{path.name}: an empty truth list")
    return truth


def _truth_line(cells: list[str], *, where: str) -> tuple[str, bool]:
    if len(cells) != 3 or cells[2].strip() not in ("0", "1"):
        raise DataSetError(f"{where}: must be `<file name>,<original name>,<0|1>`, got {','.join(cells)}")
    return cells[0], cells[2].strip() == "1"


def _id_of(name: str, *, where: str) -> str:
    found = _ID_IN_NAME.search(name)
    if found is None:
        raise DataSetError(f"{where}: {name} does not tell its machine id (id_NN)")
    return found[1]


def read_anomaly_scores(path: Path) -> dict[str, float]:
    """Return file name -> anomaly score of one score file: no header, `<file name>,<number>` lines.

    Raises
    ------
    DataSetError
        A header, another number of columns, a score that is no finite number, or a clip named twice; the text names
        the file and the clip or line.
    """
    scores: dict[str, float] = {}
    for line, cells in _rows(path):
        where = f"{path.name} line {line}: {cells[0]}"
        if len(cells) != 2:
            raise DataSetError(f"{where}: a line has two columns, file name and score, got {len(cells)}")
        score = _score(cells[1], where=where)
        if cells[0] in scores:
            raise DataSetError(f"{where}: this clip has a score already")
        scores[cells[0]] = score
    return scores


def _score(text: str, *, where: str) -> float:
    try:
        score = float(text)
    except ValueError as error:
        raise DataSetError(f"{where}: a score must be a number, got {text!r}; a header is not allowed") from error
    if not math.isfinite(score):
        raise DataSetError(f"{where}: a score must be finite, got {text.strip()}")
    return score


def _refuse_id_in_name(folder: Path) -> None:
    name = folder.resolve().name
    found = _ID_IN_NAME.search(name)
    if found is not None:
        raise DataSetError(
            f"the folder's name {name} contains id_{found[1]}: the official evaluator would take every file in it for "
            f"machine id {found[1]}; rename the folder"
        )


def _score_files(folder: Path) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Return machine -> machine id -> score file, and a warning for each CSV file whose name is almost right."""
    if not folder.is_dir():
        raise DataSetError(f"{folder}: not a folder")
    files: dict[str, dict[str, Path]] = {}
    warnings = []
    for path in sorted(folder.iterdir()):
        found = _SCORE_FILE.fullmatch(path.name)
        if found is not None:
            files.setdefault(found["machine"], {})[found["id"]] = path
        elif path.name.startswith("anomaly_score_") and path.suffix.lower() == ".csv":
            warnings.append(f"{path.name} is not read: the name must be anomaly_score_<machine>_id_<NN>.csv")
    if not files:
        raise DataSetError(f"{folder}: no file anomaly_score_<machine>_id_<NN>.csv")
    return files, warnings


def evaluate_folder(folder: Path, truth_file: Path) -> dict[str, Any]:
    """Judge a folder of official score files by a truth list.

    Parameters
    ----------
    folder
        Holds `anomaly_score_<machine>_id_<NN>.csv`; other files are left alone.
    truth_file
        See `read_truth`.

    Returns
    -------
    dict
        `machines`: {machine: {`per_id`: {id: {`auc`, `pauc`, `n_normal`, `n_anomalous`}}, `auc_mean`, `pauc_mean`,
        `partial`}} for the machines that have score files, in the order of the list; `warnings`. A figure that is not
        defined is None. The means are over the ids that have figures; `partial` is True where that is not all ids of
        the truth list, and a warning names the others.

    Raises
    ------
    DataSetError
        Input that cannot be joined or trusted; the text names the clip or the id.
    """
    folder = Path(folder)
    _refuse_id_in_name(folder)
    truth = read_truth(Path(truth_file))
    files, warnings = _score_files(folder)
    unknown = files.keys() - truth.keys()
    if unknown:
        raise DataSetError(f"the truth list does not have the machine {_named(unknown)}")
    machines = {}
    for machine, clips_by_id in truth.items():
        if machine not in files:
            warnings.append(f"{machine}: in the truth list, but without score files; left out")
            continue
        machines[machine], more = _evaluate_machine(machine, files[machine], clips_by_id)
        warnings += more
    return {"machines": machines, "warnings": warnings}


def _evaluate_machine(
    machine: str, files: Mapping[str, Path], truth: Mapping[str, Mapping[str, bool]]
) -> tuple[dict[str, Any], list[str]]:
    unknown = files.keys() - truth.keys()
    if unknown:
        raise DataSetError(f"{machine}: the truth list does not have the machine id {_named(unknown)}")
    figures: dict[str, metrics.IdFigures] = {}
    for machine_id, path in files.items():
        labels, scores = _joined(truth[machine_id], read_anomaly_scores(path), where=f"{machine} id {machine_id}")
        figures |= metrics.per_id(labels, scores, [machine_id] * len(labels))
    mean = metrics.mean_over_ids(figures)
    warnings = [f"{machine} id {name}: AUC {each.reason}" for name, each in figures.items() if each.reason]
    absent = sorted(truth.keys() - files.keys())
    if absent:
        warnings.append(f"{machine}: no score file for id {', '.join(absent)}")
    left_out = sorted(truth.keys() - set(mean.ids_included))
    if left_out:
        included = ", ".join(mean.ids_included) or "none"
        warnings.append(f"{machine}: the average is partial: over id {included}, without {', '.join(left_out)}")
    return {
        "per_id": {name: _id_row(each) for name, each in figures.items()},
        "auc_mean": mean.auc_mean,
        "pauc_mean": mean.pauc_mean,
        "partial": bool(left_out),
    }, warnings


def _id_row(each: metrics.IdFigures) -> dict[str, float | int | None]:
    return {"auc": each.auc, "pauc": each.pauc, "n_normal": each.n_normal, "n_anomalous": each.n_anomalous}


def _joined(truth: Mapping[str, bool], scores: Mapping[str, float], *, where: str) -> tuple[list[bool], list[float]]:
    """Return labels and scores in the order of the truth list, joined by name."""
    unknown, missing = scores.keys() - truth.keys(), truth.keys() - scores.keys()
    if unknown:
        raise DataSetError(f"{where}: scored clips that the truth list does not have: {_named(unknown)}")
    if missing:
        raise DataSetError(f"{where}: clips without a score: {_named(missing)}")
    return list(truth.values()), [scores[name] for name in truth]


def write_anomaly_scores(folder: Path, machine: str, rows: Iterable[tuple[str, str, float]]) -> list[Path]:
    """Write official score files, one for each machine id: no header, no byte order mark, LF, sorted by file name.

    Parameters
    ----------
    folder
        Must be empty or not there yet; its name must not contain `id_NN`.
    machine
        Letters, digits, `_` and `-`.
    rows
        (machine id of two digits, file name, anomaly score) of each clip.

    Returns
    -------
    list of Path
        The files, by machine id.

    Raises
    ------
    DataSetError
        A folder, name, id or score that the official evaluator would misread, a clip named twice, or no rows. Nothing
        is written then.
    """
    folder = Path(folder)
    check_export(folder, machine)
    by_id: dict[str, dict[str, float]] = {}
    for machine_id, name, score in rows:
        _check_row(machine_id, name, score)
        clips = by_id.setdefault(machine_id, {})
        if name in clips:
            raise DataSetError(
                f"{machine} id {machine_id}: two clips are called {name}, and official files know clips by their names "
                "alone (as in raw MIMII); rename one, or score them with `score`"
            )
        clips[name] = float(score)
    if not by_id:
        raise DataSetError(f"{machine}: there are no scores to write")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for machine_id in sorted(by_id):
        path = folder / f"anomaly_score_{machine}_id_{machine_id}.csv"
        text = "".join(f"{name},{score!r}\n" for name, score in sorted(by_id[machine_id].items()))
        replace_text(path, text)
        paths.append(path)
    return paths


def check_export(folder: Path, machine: str) -> None:
    """Refuse a folder or a machine's name that the official evaluator would misread.

    Raises
    ------
    DataSetError
        The text says what it must be.
    """
    _refuse_id_in_name(folder)
    if not _MACHINE.fullmatch(machine) or _ID_IN_NAME.search(machine):
        raise DataSetError(f"a machine's name has letters, digits, _ and -, and no id_NN; got {machine!r}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataSetError(f"{folder}: must be an empty folder, since the official evaluator reads every file in it")


def _check_row(machine_id: str, name: str, score: float) -> None:
    if not re.fullmatch(r"[0-9]{2}", machine_id):
        raise DataSetError(f"{name}: the official format has machine ids of two digits, got {machine_id!r}")
    if not name.strip() or name.strip() != name or any(sign in name for sign in ',"\r\n\0/\\'):
        raise DataSetError(f"{name!r}: a file name must not be empty, nor contain commas, quotes, slashes or breaks")
    if not math.isfinite(score):
        raise DataSetError(f"{name}: a score must be finite, got {score}")
