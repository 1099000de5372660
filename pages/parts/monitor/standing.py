"""How a watch is, in words: it hears and is quiet, it has an alarm, it is deaf, it has died."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from asd_core.formats import ago_text, display_name, score_text
from asd_core.monitoring.control import FOREVER
from asd_core.monitoring.hearing import STATES
from asd_core.monitoring.rows import WatchRow, unescaped
from asd_core.monitoring.status import ENDED, PAUSED, WAITING, StateOn, WatchStatus
from asd_core.monitoring.telling.events import CLEARED, WatchEvent

Kind = Literal["alarm", "died", "deaf", "waiting", "paused", "quiet", "empty", "ended"]
WORDS: dict[Kind, tuple[str, str, str]] = {
    "alarm": ("ALARM", "orange", "notifications_active"),
    "died": ("DIED", "red", "heart_broken"),
    "deaf": ("DEAF", "red", "hearing_disabled"),
    "waiting": ("WAITING", "red", "folder_off"),
    "paused": ("PAUSED", "gray", "pause_circle"),
    "quiet": ("no alarm", "blue", "check"),
    "empty": ("no clip yet", "blue", "hourglass_empty"),
    "ended": ("not running", "gray", "sensors_off"),
}
"""What each kind is called, its colour, and its icon; the most urgent ones first."""
HEARS_BADLY = frozenset({"drift", "disk", "clock"})
"""States in which a watch still hears its clips: they are told, but it is not deaf."""
STUCK_S = 120.0
"""A process that lives but has written no heartbeat for so long is taken for dead: a long recording takes a minute."""


@dataclass(frozen=True)
class Standing:
    """How a watch is.

    Parameters
    ----------
    name
        What its owner calls the machine; printable.
    sentence
        What holds, and for how long: `quiet for 4 hours`.
    heard
        When it heard its last clip: `last heard 6 s ago`; empty where it heard none.
    further
        Sentences on what holds besides.
    is_on
        Whether a watch runs.
    since
        When it began: `since 12:00 UTC`; empty where nobody knows, or it does not matter.
    """

    name: str
    kind: Kind
    sentence: str
    heard: str
    further: tuple[str, ...]
    is_on: bool
    since: str = ""

    @property
    def headline(self) -> str:
        """One line: `pump 3: quiet for 4 hours, last heard 6 s ago`."""
        return f"{self.name}: {', '.join(filter(None, [self.sentence, self.heard]))}"


@dataclass(frozen=True)
class _Seen:
    """What is known of a watch at a moment."""

    status: WatchStatus | None
    rows: Sequence[WatchRow]
    events: Sequence[WatchEvent]
    is_alive: bool
    now: datetime

    def for_text(self, since: str) -> str:
        """How long ago a moment was: `6 s`, `4 hours`."""
        return lasting_text((self.now - moment(since)).total_seconds())

    @property
    def alarm(self) -> bool:
        """Whether the alarm is on."""
        return self.rows[-1].alarm if self.rows else self.status is not None and self.status.alarm

    @property
    def alarm_since(self) -> str:
        raised = next((row.time for row in reversed(self.rows) if row.event == "raised"), "")
        return raised or ("" if self.status is None else self.status.alarm_since)

    @property
    def deafness(self) -> tuple[StateOn, ...]:
        """States in which it hears nothing, or not what it should, the longest first."""
        states = () if self.status is None else self.status.states
        return tuple(state for state in states if state.name not in HEARS_BADLY)

    @property
    def has_died(self) -> bool:
        """Whether it runs no longer without having said so, or is stuck."""
        if self.status is None or self.status.state == ENDED:
            return False
        return not self.is_alive or (self.now - moment(self.status.at)).total_seconds() > STUCK_S


def standing(
    name: str,
    *,
    status: WatchStatus | None,
    rows: Sequence[WatchRow],
    events: Sequence[WatchEvent],
    is_alive: bool,
    now: datetime | None = None,
) -> Standing:
    """Say how a watch is.

    Parameters
    ----------
    name
        What it is called where its heartbeat does not say so.
    status
        Its heartbeat; None for watches of earlier releases, and before the first.
    rows
        Its newest rows, the oldest first.
    is_alive
        Whether its process runs.
    """
    seen = _Seen(status, rows, events, is_alive, now or datetime.now(UTC))
    kind = _kind(seen)
    machine = display_name(unescaped(status.machine)) if status is not None and status.machine else name
    further = tuple(_further(kind, seen))
    return Standing(machine, kind, _sentence(kind, seen), _heard(seen), further, is_alive, _since(kind, seen))


def moment(time: str) -> datetime:
    """Read a time with its zone; UTC where it names none."""
    read = datetime.fromisoformat(time)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def lasting_text(seconds: float) -> str:
    """Write how long something has lasted in its largest unit: `6 s`, `4 minutes`, `2 days`."""
    return f"{max(0, int(seconds))} s" if seconds < 60 else ago_text(seconds).removesuffix(" ago")


def time_text(time: str) -> str:
    """Write a time of a row or an event: `2026-01-31 12:00:00 UTC`."""
    return f"{moment(time).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _kind(seen: _Seen) -> Kind:
    if seen.has_died:
        return "died"
    if not seen.is_alive:
        return "ended" if seen.rows or seen.status is not None else "empty"
    if seen.alarm:
        return "alarm"
    if seen.deafness:
        return "deaf"
    if seen.status is not None and seen.status.state in (WAITING, PAUSED):
        return "waiting" if seen.status.state == WAITING else "paused"
    return "quiet" if seen.rows else "empty"


def _sentence(kind: Kind, seen: _Seen) -> str:
    status = seen.status
    if kind == "alarm":
        return f"ALARM for {seen.for_text(seen.alarm_since)}" if seen.alarm_since else "ALARM"
    if kind == "deaf":
        state = seen.deafness[0]
        return f"DEAF for {seen.for_text(state.since)}: {STATES.get(state.name, state.name)}"
    if kind == "died" and status is not None:
        said = "it runs, but says nothing" if seen.is_alive else "its process has ended without a word"
        return f"DIED: no heartbeat for {seen.for_text(status.at)}; {said}"
    if kind == "paused" and status is not None:
        return f"PAUSED {_until(status.paused_until)}"
    if kind == "ended":
        ended = "" if status is None else f"; ended {ago_text((seen.now - moment(status.at)).total_seconds())}"
        return f"no watch is running{ended}"
    if kind == "quiet":
        return f"quiet for {seen.for_text(_quiet_since(seen))}"
    return {"waiting": "WAITING: its folder is missing"}.get(kind, "no clip yet")


def _until(paused_until: str) -> str:
    if not paused_until or paused_until == FOREVER:
        return FOREVER
    return f"until {time_text(paused_until)}"


def _quiet_since(seen: _Seen) -> str:
    """Since the last alarm was cleared, or since the watch listens, whichever is later."""
    cleared = [event.time for event in seen.events if event.kind == CLEARED]
    cleared += [row.time for row in seen.rows if row.event == CLEARED]
    began = seen.rows[0].time if seen.status is None else seen.status.started_at
    return max([began, *cleared], key=moment)


def _since(kind: Kind, seen: _Seen) -> str:
    if kind == "alarm":
        began = seen.alarm_since
    elif kind == "deaf":
        began = seen.deafness[0].since
    else:
        began = seen.status.at if kind == "died" and seen.status is not None else ""
    return f"since {moment(began).astimezone(UTC):%d %b, %H:%M} UTC" if began else ""


def _heard(seen: _Seen) -> str:
    newest = seen.rows[-1].time if seen.rows else ""
    return f"last heard {seen.for_text(newest)} ago" if newest else ""


def _further(kind: Kind, seen: _Seen) -> list[str]:
    said = []
    if seen.alarm and kind != "alarm":
        said.append("the ALARM was on when it was heard of last" if kind in ("died", "ended") else "the ALARM is on")
    if kind == "alarm":
        said += _raised_by(seen)
    status = seen.status
    if status is None or not seen.is_alive:
        return said
    said += [f"since {time_text(state.since)}: {state.text}" for state in status.states]
    if status.state == PAUSED and kind != "paused":
        said.append(f"paused {_until(status.paused_until)}: new clips raise no alarm")
    said += [f"messages to {sink.title} do not arrive: {sink.error}" for sink in status.sinks if sink.failing_since]
    return said


def _raised_by(seen: _Seen) -> list[str]:
    row = next((row for row in reversed(seen.rows) if row.event == "raised"), None)
    if row is None:
        return []
    name = display_name(unescaped(row.path).rpartition("/")[2])
    return [
        f"raised {time_text(row.time)} by {name}: score {score_text(row.anomaly_score)}, "
        f"threshold {score_text(row.threshold)}"
    ]
