"""The scores that are kept with a trained detector: clips with their labels, as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_core.data.clips import LABELS
from asd_core.errors import ArtifactError, InputError
from asd_core.formats import cell_text
from asd_core.system.files import csv_text
from asd_core.types import BoolArray, FloatArray

SCORES = "scores.csv"

SCORE_COLUMNS = ("path", "machine_id", "split", "label", "kind", "digest", "anomaly_score")
NAME_COLUMN = "name"
"""A last column, where clips are called otherwise than their files."""


@dataclass(frozen=True)
class ScoredClip:
    """A clip's score, kept with the detector.

    Parameters
    ----------
    path
        Relative to the machine's folder.
    split
        `heldout` (normal clips, scored by a model that has not heard them) or `test`.
    digest
        SHA-256 of the file.
    name
        What its owner calls it, with its folder, as `asd_core.data.clips.Clip.shown` is; empty where that is its path.
    """

    path: str
    machine_id: str
    split: str
    label: str
    kind: str
    digest: str
    anomaly_score: float
    name: str = ""

    @property
    def shown(self) -> str:
        """How pages, tables and reports call it."""
        return self.name or self.path


@dataclass(frozen=True)
class Scores:
    """The scored clips of a detector as columns.

    Parameters
    ----------
    keeps_promises
        False where a threshold from these scores says nothing of new recordings, because all are of one.
    """

    clips: tuple[ScoredClip, ...]
    keeps_promises: bool = True

    def of(self, split: str) -> Scores:
        """Only those of a split."""
        return replace(self, clips=tuple(clip for clip in self.clips if clip.split == split))

    def labelled(self) -> Scores:
        """Only those with a label."""
        return replace(self, clips=tuple(clip for clip in self.clips if clip.label != "unlabelled"))

    @property
    def anomaly_scores(self) -> FloatArray:
        """Shape (n_clips,)."""
        return np.array([clip.anomaly_score for clip in self.clips], dtype=np.float64)

    @property
    def is_anomalous(self) -> BoolArray:
        """Shape (n_clips,)."""
        return np.array([clip.label == "anomalous" for clip in self.clips], dtype=np.bool_)

    @property
    def machine_ids(self) -> tuple[str, ...]:
        """One id per clip."""
        return tuple(clip.machine_id for clip in self.clips)


def finite_float(text: str) -> float:
    """Read a number; NaN, what is beyond a double and what is no number are a ValueError that does not show it."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("a number must be finite and within the range of a double")
    return value


def format_scores(scores: Sequence[ScoredClip]) -> bytes:
    """Write scores as CSV; raises InputError where one is not finite."""
    columns = (*SCORE_COLUMNS, NAME_COLUMN) if any(clip.name for clip in scores) else SCORE_COLUMNS
    rows: list[Sequence[str | float]] = [columns]
    for clip in scores:
        if not math.isfinite(clip.anomaly_score):
            raise InputError(f"the score of {clip.shown!r} is not finite")
        named = replace(clip, anomaly_score=float(clip.anomaly_score))
        rows.append([getattr(named, column) for column in columns])
    return csv_text(rows).encode("utf-8", "backslashreplace")


def parse_scores(content: bytes) -> Scores:
    """Read what `format_scores` gave; raises ArtifactError where it is damaged."""
    try:
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
        columns = tuple(rows[0])
        if columns not in (SCORE_COLUMNS, (*SCORE_COLUMNS, NAME_COLUMN)):
            raise ArtifactError(f"{SCORES} must have the columns {SCORE_COLUMNS}")
        clips = tuple(_scored_clip(row, number, len(columns)) for number, row in enumerate(rows[1:], start=1))
    except (ValueError, IndexError, TypeError, csv.Error) as error:
        raise ArtifactError(f"{SCORES} is damaged: {error}") from error
    return Scores(clips)


def _scored_clip(row: Sequence[str], number: int, n_columns: int) -> ScoredClip:
    if len(row) != n_columns:
        raise ValueError(f"clip {number} must have {n_columns} columns, got {len(row)}")
    path, machine_id, split, label, kind, digest, score, name = [*map(cell_text, row), ""][: len(SCORE_COLUMNS) + 1]
    if split not in ("heldout", "test") or label not in LABELS:
        raise ValueError(f"clip {number} has an unknown split or label")
    return ScoredClip(path, machine_id, split, label, kind, digest, finite_float(score), name)
