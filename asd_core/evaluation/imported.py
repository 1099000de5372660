"""Scores computed elsewhere, matched to the clips of a data set."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from asd_core.errors import DataSetError
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.formats import cell_number, cell_text, separator_of

SCORE_NAMES = ("anomaly_score", "score")
MAX_ROWS = 1_000_000


def read_scores(path: Path) -> dict[str, float]:
    """Read a CSV with the columns `path` and `anomaly_score` (or `score`), such as the `score` command's.

    It may be one for Excel, or saved by it: with a byte-order mark, semicolons and decimal commas.

    Raises
    ------
    DataSetError
        Missing columns, a path given twice, or a score that is not a finite number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            separator = separator_of(first, "path")
            rows = csv.DictReader(chain([first], stream), delimiter=separator)
            column = _score_column(rows.fieldnames, path)
            found: dict[str, float] = {}
            for number, row in enumerate(rows, start=2):
                _take(found, row["path"], _score(row[column], separator), f"{path}:{number}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataSetError(f"{path} is not a CSV file in UTF-8 ({type(error).__name__})") from error
    return found


def _score_column(names: Sequence[str] | None, path: Path) -> str:
    for name in SCORE_NAMES:
        if names and "path" in names and name in names:
            return name
    raise DataSetError(f"{path} must have the columns path and {' or '.join(SCORE_NAMES)} in its first line")


def _score(cell: str | None, separator: str) -> float:
    try:
        return cell_number(cell or "", separator=separator)
    except ValueError:
        return math.nan


def _take(found: dict[str, float], path: str | None, value: float, place: str) -> None:
    name = cell_text(path or "")
    if not name or not math.isfinite(value):
        raise DataSetError(f"{place}: a row needs a path and a finite score")
    if name in found:
        raise DataSetError(f"{place}: this path is in the file twice")
    if len(found) >= MAX_ROWS:
        raise DataSetError(f"{place}: more than {MAX_ROWS} rows")
    found[name] = value


def rescore(scores: Scores, imported: Mapping[str, float], *, machine: str, required: bool = True) -> Scores:
    """Give each clip the imported score of its path, or of its owner's name for it with its folder.

    Both are relative to the machine's folder or to the folder above.

    Parameters
    ----------
    required
        Refuse when a clip has none; otherwise such clips are left out.

    Raises
    ------
    DataSetError
        Clips without a score, by name.
    """
    taken: list[ScoredClip] = []
    missing: list[str] = []
    for clip in scores.clips:
        names = dict.fromkeys((clip.path, clip.shown))
        value = next((imported[key] for name in names for key in (name, f"{machine}/{name}") if key in imported), None)
        if value is None:
            missing.append(clip.shown)
        else:
            taken.append(replace(clip, anomaly_score=value))
    if missing and required:
        raise DataSetError(f"{len(missing)} clips have no imported score, among them {', '.join(missing[:5])}")
    return replace(scores, clips=tuple(taken))
