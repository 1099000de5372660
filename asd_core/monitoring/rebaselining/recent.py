"""The last week of a watch, read from its table, and the alarms that other verdicts would have raised in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from asd_core.artifacts.arrays import STATE
from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.errors import AsdError
from asd_core.monitoring.alarms import AlarmRule, Judge, read_rule
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rows import COLUMNS_BY_HEADER, WatchRow, unescaped
from asd_core.monitoring.table import MAX_LINE_BYTES
from asd_core.monitoring.tallies import Rule
from asd_core.monitoring.telling.events import RAISED
from asd_core.tasks.score import ScoreRow
from asd_core.types import FloatArray

WEEK = timedelta(days=7)
MAX_RESCORED = 200
"""Clips of the week that a retrained detector scores anew."""
MAX_BYTES = 32 * 2**20
"""Of a table's end that is read: some 90,000 clips, a week of one every 7 s."""


@dataclass(frozen=True)
class Week:
    """The judged clips of the seven days before the newest one, oldest first.

    Parameters
    ----------
    rows
        Without refused clips, and without those that were judged again once they were whole.
    is_cut
        Whether earlier clips of the week were left out, because there are too many.
    """

    rows: tuple[WatchRow, ...]
    is_cut: bool = False


@dataclass(frozen=True)
class Episode:
    """A time during which an alarm is on: the clip that raises it, and how many clips it lasts for."""

    raised_at: WatchRow
    n_clips: int


def read_newest(table: Path) -> tuple[list[WatchRow], bool]:
    """Read the rows at the end of a table that a watch may be writing to; and whether earlier ones were left out."""
    rows: list[WatchRow] = []
    try:
        descriptor = os.open(table, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return rows, False
    with os.fdopen(descriptor, "rb") as file:
        start = max(0, os.fstat(descriptor).st_size - MAX_BYTES)
        file.seek(start)
        if start:
            file.readline(MAX_LINE_BYTES)
        for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
            if line.endswith(b"\n") and line not in COLUMNS_BY_HEADER:
                with contextlib.suppress(ValueError):
                    rows.append(WatchRow.parse(line))
    return rows, start > 0


def week_of(rows: Sequence[WatchRow], *, is_cut: bool = False) -> Week:
    """The last seven days of these rows."""
    if not rows:
        return Week(())
    since = max(_time(row) for row in rows) - WEEK
    replaced = {row.replaces for row in rows if row.replaces}
    kept = tuple(row for row in rows if _time(row) > since and row.verdict and row.key not in replaced)
    return Week(kept, is_cut and _time(rows[0]) > since)


def _time(row: WatchRow) -> datetime:
    return datetime.fromisoformat(row.time)


def same_model(rows: Sequence[WatchRow], artifact: Artifact, *, base: Path) -> list[float | None]:
    """The score of each row, where the row was scored by the same arrays as the artifact's; else None.

    Parameters
    ----------
    base
        Folder that relative paths of models start from.
    """
    is_same: Mapping[str, bool] = {
        model: _has_arrays_of(artifact, base / unescaped(model)) for model in {row.model for row in rows}
    }
    return [row.anomaly_score if is_same[row.model] else None for row in rows]


def _has_arrays_of(artifact: Artifact, model: Path) -> bool:
    if model == artifact.folder:
        return True
    try:
        return open_artifact(model).manifest.files[STATE] == artifact.manifest.files[STATE]
    except (AsdError, ValueError):  # deleted or damaged
        return False


def episodes(
    rows: Sequence[WatchRow],
    verdicts: Sequence[str],
    anomaly_scores: Sequence[float | None],
    *,
    rule: Rule,
    reference: FloatArray,
) -> list[Episode]:
    """Judge rows anew with these verdicts and scores; returns the alarms that they raise, in their order.

    Parameters
    ----------
    rule, reference
        Of the alarm, and the scores that its p-values come from, as for a `Judge`.
    """
    judge, found = Judge(rule, reference=reference), list[Episode]()
    for row, verdict, score in zip(rows, verdicts, anomaly_scores, strict=True):
        scored = ScoreRow(unescaped(row.path), "", "", row.status, "", score, None, verdict, row.simulated)
        judged = judge.judge(scored, None, now=row.time, replaces=row.replaces, paused=row.paused)
        if judged.event == RAISED:
            found.append(Episode(row, 0))
        if judged.alarm:
            found[-1] = Episode(found[-1].raised_at, found[-1].n_clips + 1)
    return found


def rule_of(beside: Beside) -> Rule:
    """The rule of the watch's alarm; the default one for a budget's, which would need another detector's level."""
    return read_rule(beside.rule) or AlarmRule()


def rows_to_rescore(week: Week, *, at_most: int = MAX_RESCORED) -> list[int]:
    """Numbers of the rows that a retrained detector scores anew: the newest, anomalous ones up to half of them."""
    newest = range(len(week.rows) - 1, -1, -1)
    anomalous = [number for number in newest if week.rows[number].verdict == "anomalous"]
    normal = [number for number in newest if week.rows[number].verdict != "anomalous"]
    n_anomalous = min(len(anomalous), max(at_most // 2, at_most - len(normal)))
    return sorted([*anomalous[:n_anomalous], *normal[: at_most - n_anomalous]])
