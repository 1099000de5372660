"""Rows in the order of their recordings, and clocks that jump: this computer's and the recorders'."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

from asd_core.monitoring.rows import WatchRow
from asd_core.system.clock import Moment

JUMP_S = 5.0
"""A clock that differs by more than this from what has passed since the last look has been set."""
HOLD_S = 60.0
HOLD_CLIPS = 5
"""A jump is told for so long, or for so many clips: it has then been seen, and the clock goes on from there."""
FIRST_BELIEVED_YEAR = 2010
"""A recorder that says an earlier year starts from its makers' date (1970, 1980, 2000) or miscounts weeks of GPS."""
MAX_AHEAD_S = 60.0
RHYTHM_CLIPS, MIN_RHYTHM_CLIPS = 20, 3
_UNITS = ((86_400, "day"), (3600, "h"), (60, "min"), (1, "s"))


def recorded_time(row: WatchRow) -> datetime:
    """When a row's clip was recorded, naive and local; where nothing says so, when it was judged."""
    if row.recorded:
        return datetime.fromisoformat(row.recorded).replace(tzinfo=None)
    return _judged_time(row)


def in_recorded_order(rows: Iterable[WatchRow]) -> list[WatchRow]:
    """Rows by the time of their recordings; those of the same time stay in the order in which they were judged."""
    return sorted(rows, key=recorded_time)


def count_late(rows: Iterable[WatchRow]) -> int:
    """Count the clips that were judged after one that was recorded later; rows in the order of their judging."""
    n_late, newest = 0, datetime.min
    for row in rows:
        recorded = recorded_time(row)
        n_late += recorded < newest
        newest = max(newest, recorded)
    return n_late


@dataclass(frozen=True)
class ClockJump:
    """A clock that was set, or runs wrong.

    Parameters
    ----------
    seconds
        By how much it went ahead; negative: back.
    whose
        `this computer's clock` or `the recorded times`.
    """

    seconds: float
    whose: str

    @property
    def text(self) -> str:
        """What happened, in a sentence without its full stop."""
        way = "ahead" if self.seconds > 0 else "back"
        return f"{self.whose} went {way} by {_duration(abs(self.seconds))}"


@dataclass
class ClockWatch:
    """What is wrong with the clocks, this computer's and the recorders', while clips are heard."""

    _tick: Moment | None = field(default=None, init=False)
    _told: str = field(default="", init=False)
    _told_at: float = field(default=0.0, init=False)
    _last: WatchRow | None = field(default=None, init=False)
    _steps: deque[float] = field(default_factory=lambda: deque(maxlen=RHYTHM_CLIPS), init=False)
    _lags: deque[float] = field(default_factory=lambda: deque(maxlen=RHYTHM_CLIPS), init=False)
    """How long after its recording began each clip was judged, in seconds."""
    _behind: WatchRow | None = field(default=None, init=False)
    _jump: str = field(default="", init=False)
    _n_told: int = field(default=0, init=False)

    def tick(self, moment: Moment) -> str:
        """Compare this computer's clock with the time that has passed; returns the problem, or an empty text."""
        last, self._tick = self._tick, moment
        if last is not None:
            passed_s = moment.monotonic - last.monotonic
            jump_s = (moment.wall - last.wall).total_seconds() - passed_s
            if abs(jump_s) > JUMP_S:
                slept = ", or it slept" if jump_s > 0 else ""
                self._told, self._told_at = ClockJump(jump_s, "this computer's clock").text + slept, moment.monotonic
        if self._told and moment.monotonic - self._told_at > HOLD_S:
            self._told = ""
        return self._told

    def heard(self, row: WatchRow) -> str:
        """Compare a clip's recorded time with its judging and with the clips before; returns the problem, or empty.

        Rows must come in the order in which they were judged. Late clips, which somebody copied afterwards, are no
        problem; neither are gaps in what is judged faster than it was recorded.
        """
        if not row.recorded:
            return ""
        recorded, last = recorded_time(row), self._last
        if text := _wrong_by_itself(row, recorded):
            return text
        if last is None:
            self._last = row
            return ""
        jump = self._jump_since(last, row)
        if jump is not None:
            self._jump, self._n_told = jump.text, 0
            self._steps.clear()
            self._lags = deque([_lag(row)], maxlen=RHYTHM_CLIPS)
        self._n_told += 1
        if self._n_told > HOLD_CLIPS:
            self._jump = ""
        return self._jump

    def _jump_since(self, last: WatchRow, row: WatchRow) -> ClockJump | None:
        """How the recorder's clock jumped between two clips that were judged as they came."""
        step_s = _seconds_between(recorded_time(last), recorded_time(row))
        if len(self._steps) < MIN_RHYTHM_CLIPS:
            self._go_on(row, step_s)
            return None
        rhythm_s = median(self._steps)
        if step_s < 0:
            return self._jump_back(last, row, rhythm_s)
        sooner_s = min(self._lags) - _lag(row)  # than any clip before: it is not the clip before that came late
        self._go_on(row, step_s)
        passed_s = _seconds_between(_judged_time(last), _judged_time(row))
        is_ahead = passed_s >= rhythm_s / 2 and step_s - passed_s > max(JUMP_S, 3 * rhythm_s) and sooner_s > JUMP_S
        return ClockJump(step_s - passed_s, "the recorded times") if is_ahead else None

    def _jump_back(self, last: WatchRow, row: WatchRow, rhythm_s: float) -> ClockJump | None:
        """How far the clock went back, where two clips go on from the earlier time as they come: no late clips."""
        first, self._behind = self._behind, row
        if first is None or recorded_time(row) <= recorded_time(first):
            return None
        passed_s = _seconds_between(_judged_time(first), _judged_time(row))
        back_s = rhythm_s - _seconds_between(recorded_time(last), recorded_time(first))
        if passed_s < rhythm_s / 2 or back_s <= max(JUMP_S, rhythm_s):
            return None
        self._go_on(row, rhythm_s)
        return ClockJump(-back_s, "the recorded times")

    def _go_on(self, row: WatchRow, step_s: float) -> None:
        self._last, self._behind = row, None
        self._lags.append(_lag(row))
        if step_s > 0:
            self._steps.append(step_s)


def _lag(row: WatchRow) -> float:
    return _seconds_between(recorded_time(row), _judged_time(row))


def _seconds_between(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()


def _wrong_by_itself(row: WatchRow, recorded: datetime) -> str:
    if recorded.year < FIRST_BELIEVED_YEAR:
        return f"a clip is dated {recorded:%Y-%m-%d}: the recorder's clock was never set, or its battery is empty"
    ahead_s = (recorded - _judged_time(row)).total_seconds()
    if ahead_s > MAX_AHEAD_S:
        return f"a clip is dated {_duration(ahead_s)} in the future: the recorder's clock or this computer's is wrong"
    return ""


def _judged_time(row: WatchRow) -> datetime:
    """When a clip was judged, naive and local as recorded times are."""
    return datetime.fromisoformat(row.time).astimezone().replace(tzinfo=None)


def _duration(seconds: float) -> str:
    """`1 h 30 min`, its two largest units."""
    left, parts = round(seconds), []
    for size, unit in _UNITS:
        n, left = divmod(left, size)
        if n:
            parts.append(f"{n} {unit}{'s' if unit == 'day' and n > 1 else ''}")
    return " ".join(parts[:2]) or "0 s"


def later(recorded: datetime, seconds: float) -> datetime:
    """When a stretch of a recording was recorded that begins so many seconds after it."""
    return recorded + timedelta(seconds=seconds)
