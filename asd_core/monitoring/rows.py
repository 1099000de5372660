"""A row of a watch: one clip on one line of CSV, and the escaping that keeps names from breaking it."""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self, TypeAlias

from asd_core.features.familiarity import ClipTraits
from asd_core.formats import cell_text
from asd_core.monitoring.telling.events import CLEARED, RAISED, WatchEvent, event_id
from asd_core.system.files import csv_text
from asd_core.tasks.score import ScoreRow

Signature: TypeAlias = tuple[int, int]
"""Size in bytes and time of the last change in ns: a file that is still being written changes one of them."""

_SCORE_COLUMNS = tuple(column.name for column in fields(ScoreRow))
_TRAIT_COLUMNS = {
    "level_db": "level_dbfs",
    "peak_db": "peak_dbfs",
    "bandwidth_hz": "bandwidth_hz",
    "noise_floor_db": "noise_floor_db",
    "duration_s": "duration_s",
    "centroid_hz": "centroid_hz",
}
_SHARED = tuple(name for name in _SCORE_COLUMNS if name not in ("encoder", "simulated"))
_FIRST_COLUMNS = ("time", *_SHARED, "alarm", "event", *_TRAIT_COLUMNS, "drift")
_SECOND_COLUMNS = (*_FIRST_COLUMNS, "simulated")
_ADDED = ("recorded", "recorded_from", "n_bytes", "changed_ns", "replaces", "p_value", "paused")
COLUMNS = (*_SECOND_COLUMNS, *_ADDED)


def _header(columns: Sequence[str]) -> bytes:
    return (",".join(columns) + "\n").encode("ascii")


HEADER = _header(COLUMNS)
COLUMNS_BY_HEADER = {_header(columns): columns for columns in (COLUMNS, _SECOND_COLUMNS, _FIRST_COLUMNS)}
"""Columns of a table by its first line: of this release, and of those that did not write the later ones yet."""
_SIMULATED = {"true": True, "false": False, "": None}
_LATER = dict.fromkeys(("simulated", *_ADDED), "")
_CHOICES = {
    "status": ("ok", "warning", "refused"),
    "verdict": ("normal", "anomalous", ""),
    "alarm": ("0", "1"),
    "event": (RAISED, CLEARED, ""),
    "simulated": tuple(_SIMULATED),
    "recorded_from": ("name", "metadata", "file", ""),
    "paused": ("1", ""),
}


@dataclass(frozen=True)
class WatchRow:
    """One clip as a watch judged it.

    Parameters
    ----------
    time
        When it was judged, ISO 8601 in UTC.
    path
        Absolute and escaped; `unescaped` gives the file's own.
    model
        Folder of the detector's version.
    status, reason, anomaly_score, threshold, verdict
        As in a `ScoreRow`.
    alarm
        Whether the alarm is on after this clip.
    event
        `raised`, `cleared` or empty: what this clip did to the alarm.
    traits
        What the recording is like; None for a refused clip.
    drift
        How recent clips have moved away from the training clips; empty where they have not.
    simulated
        Whether the detector was trained on simulated sound; None in a table of a release that did not write it.
    recorded, recorded_from
        When the clip was recorded, ISO 8601, naive and local, and what says so (`asd_core.audio.recorded`); empty
        where nothing does.
    n_bytes, changed_ns
        Size and time of change of the file as it was judged; None in tables of releases that did not write them.
    replaces
        `key` of an earlier row of the same clip, which had been judged before the file was whole; usually empty.
    p_value
        Share of held-out normal clips, this one included, that score at least as high; None without such scores.
    paused
        Whether the watch was paused: the clip counts for no alarm.
    """

    time: str
    path: str
    model: str
    status: str
    reason: str
    anomaly_score: float | None
    threshold: float | None
    verdict: str
    alarm: bool = False
    event: str = ""
    traits: ClipTraits | None = None
    drift: str = ""
    simulated: bool | None = None
    recorded: str = ""
    recorded_from: str = ""
    n_bytes: int | None = None
    changed_ns: int | None = None
    replaces: str = ""
    p_value: float | None = None
    paused: bool = False

    @property
    def key(self) -> str:
        """Short name of the row, the same wherever it is read: links and events use it."""
        return hashlib.sha256(f"{self.path}\0{self.time}".encode("utf-8", "surrogateescape")).hexdigest()[:16]

    @property
    def signature(self) -> Signature | None:
        """Size and time of change of the file as it was judged."""
        if self.n_bytes is None or self.changed_ns is None:
            return None
        return self.n_bytes, self.changed_ns

    def line(self, columns: Sequence[str] = COLUMNS) -> bytes:
        """One line of a table with these columns, its end included."""
        own = {name: getattr(self, name) for name in COLUMNS if hasattr(self, name)}
        own["alarm"] = str(int(self.alarm))
        own["paused"] = "1" if self.paused else ""
        own |= {name: getattr(self.traits, trait, None) for name, trait in _TRAIT_COLUMNS.items()}
        return csv_text([[own[name] for name in columns]]).encode()

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read a line of the table.

        Raises
        ------
        ValueError
            It is not one.
        """
        cells = _cells(line.decode("utf-8"))
        columns = next((known for known in COLUMNS_BY_HEADER.values() if len(known) == len(cells)), None)
        if columns is None:
            raise ValueError(f"a row must have {len(COLUMNS)} cells, got {len(cells)}")
        named = {**_LATER, **dict(zip(columns, cells, strict=True))}
        datetime.fromisoformat(named["time"])
        for name, known in _CHOICES.items():
            if named[name] not in known:
                raise ValueError(f"{name} must be one of {known}")
        traits = {trait: _number(named[name]) for name, trait in _TRAIT_COLUMNS.items()}
        values = [value for value in traits.values() if value is not None]
        whole: dict[str, Any] | None = dict(zip(traits, values, strict=True)) if len(values) == len(traits) else None
        texts = {
            name: named[name]
            for name in (
                *("time", "path", "model", "status", "reason", "verdict", "event", "drift"),
                *("recorded", "recorded_from", "replaces"),
            )
        }
        return cls(
            **texts,
            anomaly_score=_number(named["anomaly_score"]),
            threshold=_number(named["threshold"]),
            alarm=named["alarm"] == "1",
            traits=None if whole is None else ClipTraits(**whole),
            simulated=_SIMULATED[named["simulated"]],
            n_bytes=_whole_number(named["n_bytes"]),
            changed_ns=_whole_number(named["changed_ns"]),
            p_value=_number(named["p_value"]),
            paused=named["paused"] == "1",
        )


def alarm_event(row: WatchRow, *, machine: str = "", evidence: str = "") -> WatchEvent:
    """What somebody is told of a row that raised or cleared the alarm; the same row always gives the same id.

    Parameters
    ----------
    machine
        What its owner calls the machine, escaped.
    evidence
        What the alarm rests on, in words.
    """
    return WatchEvent(
        id=event_id(row.event, row.key),
        kind=row.event,
        time=row.time,
        machine=machine,
        text=f"alarm {row.event}: {evidence}" if evidence else f"alarm {row.event}",
        key=row.key,
        clip=row.path,
        recorded=row.recorded,
        anomaly_score=row.anomaly_score,
        threshold=row.threshold,
        simulated=row.simulated,
    )


def _cells(line: str) -> list[str]:
    try:
        return [cell_text(cell) for cell in next(csv.reader([line], strict=True), [])]
    except csv.Error as error:
        raise ValueError(f"not a line of CSV: {error}") from error


def _number(cell: str) -> float | None:
    if not cell:
        return None
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"numbers must be finite, got {cell}")
    return value


def _whole_number(cell: str) -> int | None:
    return int(cell) if cell else None


def escaped(text: str) -> str:
    r"""Write line breaks, other control characters and invalid UTF-8 as `\x0a;`; a backslash is doubled."""
    return "".join(_escape(letter) for letter in text)


def _escape(letter: str) -> str:
    if letter == "\\":
        return "\\\\"
    return letter if letter.isprintable() else f"\\x{ord(letter):x};"


def one_line(text: str) -> str:
    """Replace each line break or other control character by a space."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def unescaped(text: str) -> str:
    """Undo `escaped`."""
    return re.sub(
        r"\\(?:(\\)|x([0-9a-f]{1,6});)", lambda found: found[1] or chr(min(int(found[2], 16), 0x10FFFF)), text
    )
