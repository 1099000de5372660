"""Telling somebody: events go from the log to every sink, at least once and in order, over kills.

The log of events is the spool. Beside it, `sent.json` holds for each sink how far it has been told, and which events
are being sent at this moment: that is synced before anything is sent. After a kill in between, these events are sent
again; they say so, and are counted as doubled. Each sink has a thread of its own, so that one that hangs stops neither
the watch nor the others.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from asd_core.errors import FileError, UsageError
from asd_core.formats import seconds_text
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.status import SinkStatus
from asd_core.monitoring.telling.events import WatchEvent
from asd_core.monitoring.telling.messages import (
    AFTER_QUIET_HOURS,
    AT_ONCE,
    Attachment,
    Message,
    attachment_of,
    check_page,
    message_about,
    still_on,
    summary_of,
)
from asd_core.monitoring.telling.quiet_hours import QuietHours
from asd_core.monitoring.telling.sinks import AppriseSink, Sink, open_sinks, titles
from asd_core.system import logs
from asd_core.system.clock import Moment, moment
from asd_core.system.files import json_bytes, no_constant, parse_json, read_if_present, replace_file

PER_MINUTE = 10
MINUTE_S = 60.0
MAX_AT_ONCE = 100
"""Events in one message."""
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 300.0
LOOK_S = 30.0
"""Longest wait for quiet hours to end: clocks are set in the meantime."""
EXIT_S = 5.0
SLOW_S = 30.0
"""A sink that has not answered for so long is called failing."""
MAX_SENT_BYTES = 4 * 2**20
N_TAIL_BYTES = 256
NEVER: Final = math.inf


@dataclass(frozen=True)
class TellSettings:
    """Who is told, and how.

    Parameters
    ----------
    urls
        One per sink, in Apprise's form; they hold secrets and are never shown or logged.
    page
        Address of the dashboard, for links to clips; empty: no links.
    attaches_clip
        Whether the clip goes with the message where the sink takes files.
    quiet_hours
        Local times `22:00-06:00` in which nothing is sent; empty: always.
    per_minute
        Most messages per minute and sink; where more events wait, the older ones share a message.
    """

    urls: tuple[str, ...] = field(default=(), repr=False)
    page: str = ""
    attaches_clip: bool = False
    quiet_hours: str = ""
    per_minute: int = PER_MINUTE

    def __post_init__(self) -> None:
        check_page(self.page)
        QuietHours.parse(self.quiet_hours)
        if self.per_minute < 1:
            raise UsageError(f"at least 1 message per minute must be allowed, got {self.per_minute}")


@dataclass(frozen=True)
class Told:
    """How far one sink has been told.

    Parameters
    ----------
    offset
        Bytes of the log that it has been told of, or that were there before it.
    tail
        Digest of the last of them: whether the log is still the same.
    n_sent, n_doubled
        Events that it accepted, and those that it may have been sent twice because of a kill.
    in_flight
        Ids of events that are being sent: after a kill, nobody knows whether they arrived.
    tried
        Ids of events that may have arrived although they were never noted as sent.
    recent
        When the last messages were sent, in seconds since 1970: the rate holds over restarts.
    """

    offset: int = 0
    tail: str = ""
    n_sent: int = 0
    n_doubled: int = 0
    in_flight: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    recent: tuple[float, ...] = ()

    @classmethod
    def from_json(cls, table: Any) -> Self:
        """Read what `asdict` gave; raises ValueError where it is something else."""
        if not isinstance(table, dict):
            raise ValueError("how far a sink has been told must be an object")
        own = {each.name: table[each.name] for each in fields(cls) if each.name in table}
        lists = {name: own.get(name, []) for name in ("in_flight", "tried", "recent")}
        if not all(isinstance(each, list) for each in lists.values()):
            raise ValueError("what is being sent to a sink must be a list")
        counts = [own.get(name, 0) for name in ("offset", "n_sent", "n_doubled")]
        are_right = (
            all(type(count) is int and count >= 0 for count in counts),
            all(isinstance(each, str) for each in (own.get("tail", ""), *lists["in_flight"], *lists["tried"])),
            all(type(each) in (int, float) for each in lists["recent"]),
        )
        if not all(are_right):
            raise ValueError("how far a sink has been told is damaged")
        return cls(**{**own, **{name: tuple(each) for name, each in lists.items()}})


class Ledger:
    """How far each sink has been told, on the disk; threads share it."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._told: dict[str, Told] = {}

    def open(self, digests: Sequence[str]) -> None:
        """Read what is kept of some sinks; what is kept of others is forgotten: they are new when they come back."""
        try:
            content = read_if_present(self._path, at_most=MAX_SENT_BYTES)
            table = {} if content is None else parse_json(content, parse_constant=no_constant)["sinks"]
            self._told = {digest: Told.from_json(table[digest]) for digest in digests if digest in table}
        except (FileError, ValueError, KeyError, TypeError) as error:
            logs.event("sent_unreadable", path=str(self._path), error=str(error))

    def told(self, digest: str) -> Told | None:
        """How far a sink has been told; None of one that is new."""
        return self._told.get(digest)

    def note(self, digest: str, told: Told) -> None:
        """Keep how far a sink has been told, and sync it; raises OSError where that cannot be written."""
        with self._lock:
            self._told[digest] = told
            content = {"schema": 1, "sinks": {name: asdict(each) for name, each in self._told.items()}}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json_bytes(content))


class Spool:
    """The log of events as it grows: where its lines end; threads share it."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._ends = array("Q")

    def look(self) -> None:
        """Find lines that have been added; raises OSError where the log cannot be read."""
        with self._lock, contextlib.suppress(FileNotFoundError), self._path.open("rb") as stream:
            begin = self.size
            stream.seek(begin)
            content = stream.read()
            at = content.find(b"\n")
            while at >= 0:
                self._ends.append(begin + at + 1)
                at = content.find(b"\n", at + 1)

    @property
    def size(self) -> int:
        """Bytes of its whole lines."""
        return self._ends[-1] if self._ends else 0

    def n_after(self, offset: int) -> int:
        """Lines that end after an offset."""
        return len(self._ends) - bisect_left(self._ends, offset + 1)

    def after(self, offset: int, n_lines: int) -> list[tuple[int, WatchEvent | None]]:
        """Read the next lines: where each ends, and its event, which is None where the line is damaged."""
        first = bisect_left(self._ends, offset + 1)
        ends = self._ends[first : first + n_lines]
        lines, begin = [], offset
        content = self._read(offset, ends[-1] if ends else offset)
        for end in ends:
            lines.append((end, _event(content[begin - offset : end - offset])))
            begin = end
        return lines

    def tail(self, offset: int) -> str:
        """Digest of the last bytes before an offset; empty where the log is shorter."""
        if offset > self.size:
            return ""
        return hashlib.sha256(self._read(max(0, offset - N_TAIL_BYTES), offset)).hexdigest()[:16]

    def until(self, offset: int) -> list[WatchEvent]:
        """All events that end at an offset or before it."""
        n_lines = len(self._ends) - self.n_after(offset)
        return [event for _, event in self.after(0, n_lines) if event is not None]

    def _read(self, begin: int, end: int) -> bytes:
        if begin == end:
            return b""
        with self._path.open("rb") as stream:
            stream.seek(begin)
            return stream.read(end - begin)


def _event(line: bytes) -> WatchEvent | None:
    try:
        return WatchEvent.from_json(parse_json(line, parse_constant=no_constant))
    except ValueError:
        return None


class Teller:
    """Tells one sink; `step` sends one message at most."""

    def __init__(self, sink: Sink, title: str, spool: Spool, ledger: Ledger, beside: Beside, how: TellSettings) -> None:
        self.title = title
        self._sink, self._spool, self._ledger, self._beside, self._how = sink, spool, ledger, beside, how
        self._quiet = QuietHours.parse(how.quiet_hours)
        self._told = Told()
        self._retry_s, self._not_before = 0.0, -math.inf
        self._failing_since, self._error, self._unnoted = "", "", ""
        self._sending_since: Moment | None = None
        self.has_died = False

    def begin(self) -> None:
        """Go on where the last start ended; a sink that is new is told only of what comes from now on."""
        told, size = self._ledger.told(self._sink.digest), self._spool.size
        if told is None:
            told = Told(size, self._spool.tail(size))
        elif told.tail != self._spool.tail(told.offset):
            logs.event("events_replaced", sink=self.title)
            told = replace(told, offset=size, tail=self._spool.tail(size), in_flight=(), tried=())
        elif told.in_flight:
            n_doubled = told.n_doubled + len(told.in_flight)
            told = replace(told, n_doubled=n_doubled, in_flight=(), tried=_joined(told.tried, told.in_flight))
        self._note(told)

    def step(self, now: Moment, *, is_last: bool = False) -> float:
        """Send one message if it is time; returns how many seconds to wait before the next step.

        Parameters
        ----------
        is_last
            The watch is ending: one message is sent beyond the rate, and nothing is tried again.
        """
        lines = self._spool.after(self._told.offset, MAX_AT_ONCE)
        if not lines:
            return NEVER
        if self._quiet is not None and self._quiet.contains(now.wall):
            return LOOK_S
        if now.monotonic < self._not_before:
            return self._not_before - now.monotonic
        recent = tuple(at for at in self._told.recent if 0 <= now.wall.timestamp() - at < MINUTE_S)
        allowed = self._how.per_minute - len(recent) + is_last
        if allowed <= 0:
            return MINUTE_S - (now.wall.timestamp() - recent[0])
        self._send(lines, allowed, replace(self._told, recent=recent), now)
        return 0.0 if not self._retry_s else self._retry_s

    def _send(self, lines: Sequence[tuple[int, WatchEvent | None]], allowed: int, told: Told, now: Moment) -> None:
        n_lines, why = self._portion(lines, allowed)
        end = lines[n_lines - 1][0]
        chosen = [event for _, event in lines[:n_lines] if event is not None]
        ids = tuple(event.id for event in chosen)
        done = replace(told, offset=end, tail=self._spool.tail(end), in_flight=())
        if not chosen:
            self._note(done)
            return
        message, attachment = self._message(chosen, why, end), self._attachment(chosen)
        self._note(replace(told, in_flight=ids))
        self._sending_since = now
        error = self._sink.send(message, attachment)
        self._sending_since = None
        if error:
            self._note(replace(told, in_flight=(), tried=_joined(told.tried, ids)))
            self._fail(error, now)
            return
        left = tuple(each for each in told.tried if each not in ids)
        recent = (*told.recent, now.wall.timestamp())
        self._note(replace(done, n_sent=told.n_sent + len(ids), tried=left, recent=recent))
        self._succeed()

    def _portion(self, lines: Sequence[tuple[int, WatchEvent | None]], allowed: int) -> tuple[int, str]:
        """How many lines go into the next message, and why more than one do."""
        n_quiet = next((n for n, (_, event) in enumerate(lines) if not self._is_held(event)), len(lines))
        if n_quiet:
            return n_quiet, AFTER_QUIET_HOURS
        n_waiting = self._spool.n_after(self._told.offset)
        n_lines = min(max(1, n_waiting - allowed + 1), len(lines)) if n_waiting > allowed else 1
        return n_lines, AT_ONCE

    def _is_held(self, event: WatchEvent | None) -> bool:
        if self._quiet is None or event is None:
            return False
        try:
            noticed = datetime.fromisoformat(event.time)
        except ValueError:
            return False
        return self._quiet.contains(noticed)

    def _message(self, chosen: Sequence[WatchEvent], why: str, end: int) -> Message:
        table, page, again = self._beside.table, self._how.page, self._told.tried
        if len(chosen) == 1 and why == AT_ONCE:
            return message_about(chosen[0], table=table, page=page, is_repeated=chosen[0].id in again)
        lasting = still_on(self._spool.until(end))
        return summary_of(chosen, lasting, why=why, table=table, page=page, repeated=again)

    def _attachment(self, chosen: Sequence[WatchEvent]) -> Attachment | None:
        """The clip of a single event, at the first try: what refuses it is sent the words alone."""
        if not self._how.attaches_clip or len(chosen) > 1 or self._retry_s:
            return None
        return attachment_of(chosen[0], self._beside)

    def _note(self, told: Told) -> None:
        """Keep how far the sink has been told; where the disk refuses, people are told all the same."""
        self._told = told
        try:
            self._ledger.note(self._sink.digest, told)
            self._unnoted = ""
        except OSError as error:
            if not self._unnoted:
                logs.event("sent_not_noted", sink=self.title, error=str(error.strerror))
            self._unnoted = f"what is sent cannot be noted: {error.strerror}"

    def _fail(self, error: str, now: Moment) -> None:
        if not self._failing_since:
            logs.event("sink_failing", sink=self.title, error=error)
        self._failing_since, self._error = self._failing_since or now.text, error
        self._retry_s = min(max(FIRST_RETRY_S, 2 * self._retry_s), LAST_RETRY_S)
        self._not_before = now.monotonic + self._retry_s

    def _succeed(self) -> None:
        if self._failing_since:
            logs.event("sink_back", sink=self.title)
        self._failing_since, self._error, self._retry_s = "", "", 0.0

    def status(self, now: Moment) -> SinkStatus:
        """How far the sink is."""
        told, sending, since, error = self._told, self._sending_since, self._failing_since, self._error
        if sending is not None and now.monotonic - sending.monotonic > SLOW_S:
            since, error = since or sending.text, f"no answer for {seconds_text(now.monotonic - sending.monotonic)}"
        if self.has_died:
            since, error = since or now.text, "it can no longer be told because of a fault: start the watch again"
        return SinkStatus(
            title=self.title,
            n_waiting=self._spool.n_after(told.offset),
            n_sent=told.n_sent,
            n_doubled=told.n_doubled,
            failing_since=since,
            error=error or self._unnoted,
        )


class Outbox:
    """Threads that send what is in the log and not sent yet.

    Parameters
    ----------
    open_sink
        Makes a sink of a URL.

    Raises
    ------
    UsageError, MissingExtraError
        As `sinks.AppriseSink`.
    """

    def __init__(
        self, beside: Beside, settings: TellSettings, *, open_sink: Callable[[str], Sink] = AppriseSink
    ) -> None:
        self._spool, self._ledger = Spool(beside.events), Ledger(beside.sent)
        sinks = open_sinks(settings.urls, open_sink)
        self._digests = [sink.digest for sink in sinks]
        self._tellers = [
            Teller(sink, title, self._spool, self._ledger, beside, settings)
            for sink, title in zip(sinks, titles(sinks), strict=True)
        ]
        self._changed = threading.Condition()
        self._n_woken, self._is_ending = 0, False
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        if not self._tellers:
            return self
        self._spool.look()
        self._ledger.open(self._digests)
        for teller in self._tellers:
            teller.begin()
        self._threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in self._tellers]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what is left for a few seconds at most; the rest is sent after the next start."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        deadline = time.monotonic() + EXIT_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def wake(self) -> None:
        """An event was written."""
        with self._changed:
            self._n_woken += 1
            self._changed.notify_all()

    @property
    def sinks(self) -> Sequence[SinkStatus]:
        """How far each sink is."""
        if self._tellers:
            with contextlib.suppress(OSError):  # its threads say so
                self._spool.look()
        return tuple(teller.status(moment()) for teller in self._tellers)

    def _run(self, teller: Teller) -> None:
        has_ended = False
        try:
            self._tell(teller)
            has_ended = True
        finally:
            teller.has_died = not has_ended

    def _tell(self, teller: Teller) -> None:
        """Step until the watch ends; then until nothing is left, or the sink fails."""
        wait_s, n_woken = 0.0, -1
        while True:
            with self._changed:
                if not self._is_ending and wait_s > 0.0 and n_woken == self._n_woken:
                    self._changed.wait(None if wait_s == NEVER else wait_s)
                is_ending, n_woken = self._is_ending, self._n_woken
            wait_s = self._step(teller, is_last=is_ending)
            if is_ending and wait_s > 0.0:
                return

    def _step(self, teller: Teller, *, is_last: bool) -> float:
        try:
            self._spool.look()
            return teller.step(moment(), is_last=is_last)
        except OSError as error:
            logs.event("events_unreadable", sink=teller.title, error=str(error.strerror))
            return LOOK_S


def _joined(ids: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*ids, *more]))
