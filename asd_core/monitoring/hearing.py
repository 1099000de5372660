"""States in which a watch hears nothing, or not what it should: named, told, shown and cleared.

A state begins when several clips in a row show it, or when something has lasted; it ends when as many in a row do not
show it, so that none comes and goes with every clip.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from asd_core.errors import AudioError, UsageError
from asd_core.features.familiarity import ClipTraits, Familiarity
from asd_core.formats import counted, size_text
from asd_core.monitoring.alarms import DRIFT_CLIPS
from asd_core.monitoring.arriving.recording_time import ClockWatch
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.status import StateOn
from asd_core.monitoring.telling.events import BACK, DEAF, WatchEvent
from asd_core.system.clock import Moment
from asd_core.types import Waveform

STATES = {
    "quiet": "no clip",
    "flat": "flat",
    "constant": "constant",
    "clipped": "clipped",
    "drift": "drifted",
    "refusals": "refusals",
    "disk": "disk nearly full",
    "clock": "clock wrong",
    "folder": "folder missing",
}
"""Names of the states, and how they are called in a word or two."""

FIRST_QUIET_S, LEAST_QUIET_S, MAX_QUIET_S = 900.0, 300.0, 31 * 86_400.0
"""Time without a clip that is quiet: before the clips' rhythm is known; the least that is learned; the most to ask."""
QUIET_GAPS = 5
"""Quiet is so many times the usual gap between clips."""
USUAL_SHARE, MAX_GAPS = 0.9, 100
"""The usual gap is longer than this share of the newest gaps, so that an outage does not count as a habit."""
LEAST_GAP_S = 1.0
"""Clips that follow each other sooner came together: what lies between them is no gap."""
FOLDER_GRACE_S = 5.0
"""A folder that is made again, or a share that is mounted again, is missing for a moment."""
CLOCK_CALM_S = 600.0
"""How long nothing must be wrong with a clock before that is over."""
FREE_AGAIN = 1.25
"""The disk has room again at so many times the least free bytes."""
SAME_DB, SAME_AT_S = 0.1, 10.0
"""Clips of 10 s are the same sound where no band's level differs by more, in dB; the limit falls with the root of their
length, as differences of noise do: white noise of 10 s differs by .28 dB at least from clip to clip, that of 60 s by
.12, and one second that is repeated by .08."""
MAX_CLIPS = 1000

_DAY_S: Final = 86_400


@dataclass(frozen=True)
class HearingRules:
    """When a watch calls itself deaf.

    Parameters
    ----------
    quiet_after_s
        Seconds without a clip; None: learned from the clips' own rhythm.
    n_clips
        So many clips in a row that are flat, constant, clipped, drifted or refused.
    least_free_bytes
        Free bytes on the disk of the table, below which it is called nearly full.
    """

    quiet_after_s: float | None = None
    n_clips: int = 3
    least_free_bytes: int = 200 * 2**20

    def __post_init__(self) -> None:
        if self.quiet_after_s is not None and not 0 < self.quiet_after_s <= MAX_QUIET_S:
            most = f"{MAX_QUIET_S / 60:g} minutes"
            raise UsageError(f"deaf takes more than 0 and at most {most}, got {self.quiet_after_s / 60:g}")
        if not 1 <= self.n_clips <= MAX_CLIPS:
            raise UsageError(f"deaf takes 1 to {MAX_CLIPS} clips in a row, got {self.n_clips}")


@dataclass(frozen=True)
class StateChange:
    """A state that began or ended, in a sentence; `key` is of the row that showed it, or empty."""

    name: str
    is_on: bool
    text: str
    key: str = ""


@dataclass(frozen=True)
class QuietAfter:
    """How long no clip may come before the watch is quiet, in seconds, and where that figure comes from, in words."""

    seconds: float
    origin: str


@dataclass
class _Run:
    """Clips in a row that show something, or do not."""

    n_showing: int = 0
    n_others: int = 0
    first: datetime | None = None

    def note(self, *, shows: bool, at: datetime) -> None:
        if shows:
            self.first = at if self.n_showing == 0 else self.first
            self.n_showing, self.n_others = self.n_showing + 1, 0
        else:
            self.n_showing, self.n_others = 0, self.n_others + 1


@dataclass
class Hearing:
    """What a watch knows of its own hearing."""

    rules: HearingRules = field(default_factory=HearingRules)
    familiarity: Familiarity | None = None
    _on: dict[str, StateOn] = field(default_factory=dict, init=False)
    _gaps: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_GAPS), init=False)
    _runs: dict[str, _Run] = field(default_factory=dict, init=False)
    _before: datetime | None = field(default=None, init=False)
    """When the clip before was recorded."""
    _last_row: datetime | None = field(default=None, init=False)
    """When the clip before was judged, by the wall clock."""
    _last_heard: float | None = field(default=None, init=False)
    """The same by the other clock; None after a pause or an absence of the folder, which is no gap."""
    _quiet_from: float | None = field(default=None, init=False)
    _started: datetime | None = field(default=None, init=False)
    _missing_from: float | None = field(default=None, init=False)
    _clock_wrong_at: float = field(default=-math.inf, init=False)
    _clocks: ClockWatch = field(default_factory=ClockWatch, init=False)
    _own_clock: str = field(default="", init=False)
    _their_clock: str = field(default="", init=False)
    """What is wrong with this computer's clock, and with those of the recorders; usually nothing."""
    _n_until_drift: int = field(default=0, init=False)
    _digest: str = field(default="", init=False)
    _traits: ClipTraits | None = field(default=None, init=False)

    @property
    def states(self) -> tuple[StateOn, ...]:
        """Those that last."""
        return tuple(self._on.values())

    @property
    def quiet_after(self) -> QuietAfter:
        """How long no clip may come before the watch is quiet."""
        if self.rules.quiet_after_s is not None:
            return QuietAfter(self.rules.quiet_after_s, "as asked")
        if not self._gaps:
            return QuietAfter(FIRST_QUIET_S, "until the clips' rhythm is known")
        usual_s = sorted(self._gaps)[math.ceil(USUAL_SHARE * len(self._gaps)) - 1]
        seconds = QUIET_GAPS * usual_s
        if seconds < LEAST_QUIET_S:
            return QuietAfter(LEAST_QUIET_S, f"the least; clips usually come within {_span(usual_s)}")
        return QuietAfter(min(seconds, MAX_QUIET_S), f"{QUIET_GAPS} times the usual gap of {_span(usual_s)}")

    def recall(self, events: Iterable[WatchEvent]) -> None:
        """Take over the states that lasted when the watch ended, from the log of events."""
        for event in events:
            if event.state not in STATES:
                continue
            if event.kind == DEAF:
                self._on[event.state] = StateOn(event.state, event.time, event.text)
            elif event.kind == BACK:
                self._on.pop(event.state, None)

    def know(self, row: WatchRow) -> None:
        """Take over the rhythm from a row that was written earlier; in the order of the table."""
        judged = datetime.fromisoformat(row.time)
        if self._last_row is not None:
            self._note_gap((judged - self._last_row).total_seconds())
        self._last_row = judged

    def heard(self, row: WatchRow, sound: Waveform | AudioError, now: Moment) -> list[StateChange]:
        """Take in a judged clip; returns what began or ended with it."""
        changes = list(self._end_quiet(now, row.key))
        if self._last_heard is not None:
            self._note_gap(now.monotonic - self._last_heard)
        self._their_clock = self._clocks.heard(row)
        changes += self._look_at_clocks(now, row.key)
        for name, shows in self._signs(row, sound).items():
            changes += self._note(name, row, now, shows=shows)
        self._last_heard, self._quiet_from = now.monotonic, now.monotonic
        self._last_row, self._before = now.wall, _recorded(row, now)
        return changes

    def tick(
        self, now: Moment, *, n_waiting: int, free_bytes: int, is_paused: bool, missing: str = ""
    ) -> list[StateChange]:
        """Take in that time has passed; returns what began or ended.

        Parameters
        ----------
        n_waiting
            Files that have come but are not judged yet.
        free_bytes
            Free bytes on the disk of the table.
        missing
            Why the folder cannot be read; empty where it can.
        """
        self._started = self._started or now.wall
        self._own_clock = self._clocks.tick(now)
        changes = [
            *self._look_at_clocks(now),
            *self._look_at_folder(now, missing),
            *self._look_at_disk(now, free_bytes),
        ]
        if is_paused or missing or self._quiet_from is None:
            self._quiet_from = now.monotonic
            self._last_heard = None
        return [*changes, *self._begin_quiet(now, n_waiting)]

    def _note_gap(self, seconds: float) -> None:
        if seconds >= LEAST_GAP_S:
            self._gaps.append(seconds)

    def _begin_quiet(self, now: Moment, n_waiting: int) -> Iterator[StateChange]:
        passed_s = now.monotonic - (now.monotonic if self._quiet_from is None else self._quiet_from)
        if passed_s < self.quiet_after.seconds:
            return
        text = self._quiet_text(now, passed_s, n_waiting)
        if "quiet" in self._on:  # how long it has lasted is told by what is shown, not by another event
            self._on["quiet"] = replace(self._on["quiet"], text=text)
        else:
            yield self._begin("quiet", text, since=now.wall.timestamp() - passed_s)

    def _quiet_text(self, now: Moment, passed_s: float, n_waiting: int) -> str:
        if self._last_row is None:
            came = f"none has come since the start at {_clock(self._started or now.wall, now)}"
        else:
            came = f"the last came at {_clock(self._last_row, now)}"
        files = f"; {counted(n_waiting, 'file')} there, not whole yet" if n_waiting else ""
        return f"no clip for {_span(passed_s)}; {came}{files}; is the recorder running?"

    def _end_quiet(self, now: Moment, key: str) -> Iterator[StateChange]:
        state = self._on.get("quiet")
        if state is not None:
            lasted_s = (now.wall - datetime.fromisoformat(state.since)).total_seconds()
            yield self._end("quiet", f"clips come again, after {_span(max(0.0, lasted_s))} without", key)

    def _signs(self, row: WatchRow, sound: Waveform | AudioError) -> dict[str, bool]:
        """What a clip shows or does not show; what it cannot tell is left out."""
        if not isinstance(sound, Waveform) or row.status == "refused":
            return {"refusals": True}
        codes = {warning.partition(":")[0] for warning in row.reason.split("; ")}
        signs = {"refusals": False, "flat": "silent" in codes, "clipped": "clipping" in codes, "drift": bool(row.drift)}
        signs["constant"] = self._is_same(sound, row.traits)
        if signs["flat"]:
            del signs["constant"]
        self._n_until_drift = DRIFT_CLIPS if "flat" in self._on else max(0, self._n_until_drift - 1)
        if self._n_until_drift:  # silence among the clips of which drift speaks has been told already
            del signs["drift"]
        return signs

    def _is_same(self, sound: Waveform, measured: ClipTraits | None) -> bool:
        """Whether a clip is the sound of the clip before, sample by sample or in level and spectrum."""
        digest, before = hashlib.sha256(sound.samples.tobytes()).hexdigest(), self._traits
        is_same = digest == self._digest
        if measured is not None and before is not None:
            is_same |= _differ_by(measured, before) <= SAME_DB * math.sqrt(SAME_AT_S / measured.duration_s)
        self._digest, self._traits = digest, measured
        return is_same

    def _note(self, name: str, row: WatchRow, now: Moment, *, shows: bool) -> Iterator[StateChange]:
        run = self._runs.setdefault(name, _Run())
        recorded = _recorded(row, now)
        run.note(shows=shows, at=self._before or recorded if name == "constant" else recorded)
        needed = max(1, self.rules.n_clips - 1) if name == "constant" else self.rules.n_clips
        if name not in self._on and run.n_showing >= needed:
            began = run.first or now.wall
            text = _run_text(name, row, n=self.rules.n_clips, since=_clock(began, now))
            yield self._begin(name, text, since=began.timestamp(), key=row.key)
        elif name in self._on and run.n_others >= self.rules.n_clips:
            yield self._end(name, f"{_AGAIN[name]}, since {counted(run.n_others, 'clip')}", row.key)

    def _look_at_clocks(self, now: Moment, key: str = "") -> Iterator[StateChange]:
        """Begin or end `clock` by what is wrong with this computer's clock and with the recorders'."""
        if problem := "; ".join(filter(None, (self._own_clock, self._their_clock))):
            self._clock_wrong_at = now.monotonic
            text = f"{problem}; times of rows and alarms may be wrong: are the clocks kept by NTP?"
            if "clock" in self._on:
                self._on["clock"] = replace(self._on["clock"], text=text)
            else:
                yield self._begin("clock", text, since=now.wall.timestamp(), key=key)
        elif "clock" in self._on and now.monotonic - self._clock_wrong_at >= CLOCK_CALM_S:
            yield self._end("clock", f"no clock has jumped for {_span(CLOCK_CALM_S)}")

    def _look_at_folder(self, now: Moment, missing: str) -> Iterator[StateChange]:
        if not missing:
            self._missing_from = None
            if "folder" in self._on:
                yield self._end("folder", "the folder can be read again")
            return
        self._missing_from = now.monotonic if self._missing_from is None else self._missing_from
        missing_s = now.monotonic - self._missing_from
        if "folder" not in self._on and missing_s >= FOLDER_GRACE_S:
            since = now.wall.timestamp() - missing_s
            text = f"the folder cannot be read: {missing}; is its disk or share connected?"
            yield self._begin("folder", text, since=since)

    def _look_at_disk(self, now: Moment, free_bytes: int) -> Iterator[StateChange]:
        least = self.rules.least_free_bytes
        if "disk" not in self._on and free_bytes < least:
            text = (
                f"only {size_text(free_bytes)} are free on the disk of the table, less than {size_text(least)}: "
                "make room, or the watch ends when it is full"
            )
            yield self._begin("disk", text, since=now.wall.timestamp())
        elif "disk" in self._on and free_bytes >= FREE_AGAIN * least:
            yield self._end("disk", f"{size_text(free_bytes)} are free on the disk again")

    def _begin(self, name: str, text: str, *, since: float, key: str = "") -> StateChange:
        at = datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds")
        self._on[name] = StateOn(name, at, text)
        return StateChange(name, True, text, key)

    def _end(self, name: str, text: str, key: str = "") -> StateChange:
        del self._on[name]
        return StateChange(name, False, text, key)


_AGAIN = {
    "flat": "clips hold sound again",
    "constant": "clips differ again",
    "clipped": "clips are no longer clipped",
    "drift": "clips are like those of training again",
    "refusals": "files can be read again",
}


def _run_text(name: str, row: WatchRow, *, n: int, since: str) -> str:
    """What several clips in a row show, since when, and what to do."""
    clips = f"{counted(n, 'clip')} in a row, since {since},"
    return {
        "flat": f"{clips} hold no sound at all; is the microphone connected and switched on?",
        "constant": f"{clips} are the same sound; does the recorder repeat an old file or a stuck buffer?",
        "clipped": f"{clips} are clipped; lower the recorder's gain",
        "drift": f"clips since {since} are unlike those of training: {row.drift}; has the microphone moved, or its "
        "gain changed? If all is well, calibrate with new normal clips",
        "refusals": f"{counted(n, 'file')} in a row, since {since}, could not be heard: {row.reason}",
    }[name]


def _differ_by(one: ClipTraits, other: ClipTraits) -> float:
    """Largest difference in level between two clips, over all and in any band, in dB."""
    levels, others = (np.array([each.level_dbfs, each.peak_dbfs, *each.bands_db]) for each in (one, other))
    return float(np.abs(levels - others).max())


def _recorded(row: WatchRow, now: Moment) -> datetime:
    """When a clip was recorded, as far as that can be believed; else now."""
    if not row.recorded:
        return now.wall
    recorded = datetime.fromisoformat(row.recorded).astimezone(UTC)
    return recorded if 0 <= (now.wall - recorded).total_seconds() <= _DAY_S else now.wall


def _clock(moment: datetime, now: Moment) -> str:
    """A moment as people here read it: the time of day, with its date unless that is today's."""
    local, today = moment.astimezone(), now.wall.astimezone().date()
    return f"{local:%H:%M}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"


def _span(seconds: float) -> str:
    """A length of time in its largest fitting unit: `90 s`, `12 min`, `5 h`, `3 days`."""
    for unit, unit_s in (("days", _DAY_S), ("h", 3600), ("min", 60)):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
