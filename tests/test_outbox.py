"""Events reach every sink at least once and in order, over kills, failures, quiet hours and a full disk."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asd_core.errors import UsageError
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.telling import outbox as outbox_module
from asd_core.monitoring.telling.events import BACK, CLEARED, DEAF, RAISED, STARTED, EventLog, WatchEvent, event_id
from asd_core.monitoring.telling.messages import Attachment, Message
from asd_core.monitoring.telling.outbox import (
    LAST_RETRY_S,
    MAX_AT_ONCE,
    NEVER,
    Ledger,
    Outbox,
    Spool,
    Teller,
    TellSettings,
)
from asd_core.system.clock import Moment

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
TOLD = TellSettings(per_minute=1000)


class KilledError(BaseException):
    """The process ends here."""


@dataclass
class FakeSink:
    """Notes what it accepts; `refuses` and `kills` say what happens instead."""

    title: str = "json://sink"
    digest: str = "d1"
    refuses: str = ""
    kills: str = ""
    messages: list[Message] = field(default_factory=list)
    attachments: list[Attachment | None] = field(default_factory=list)

    def send(self, message: Message, attachment: Attachment | None = None) -> str:
        self.attachments.append(attachment)
        if self.kills == "before":
            raise KilledError
        if self.refuses:
            return self.refuses
        self.messages.append(message)
        if self.kills == "after":
            raise KilledError
        return ""

    @property
    def ids(self) -> list[str]:
        """Of all events in the order in which they arrived."""
        return [event.id for message in self.messages for event in message.events]


class Watch:
    """A log and the tellers of one start after another."""

    def __init__(self, folder: Path) -> None:
        self.beside = Beside(folder / "pump.csv")
        self.log = EventLog(self.beside.events)
        self.log.open()
        self.ids: list[str] = []
        self.now = Moment(NOON, 1000.0)

    def write(self, n: int = 1, kind: str = RAISED, state: str = "", at: datetime | None = None) -> None:
        for _ in range(n):
            number = len(self.ids)
            about = event_id(kind, str(number))
            moment = (at or self.now.wall).isoformat()
            assert self.log.append(WatchEvent(about, kind, moment, "pump 3", f"number {number}", state))
            self.ids.append(about)

    def start(self, sink: FakeSink, how: TellSettings = TOLD) -> Teller:
        spool, ledger = Spool(self.beside.events), Ledger(self.beside.sent)
        spool.look()
        ledger.open([sink.digest])
        teller = Teller(sink, sink.title, spool, ledger, self.beside, how)
        teller.begin()
        self.spool = spool
        return teller

    def steps(self, teller: Teller, n: int = 1000) -> float:
        """Step as the thread does until something must be waited for."""
        wait_s = 0.0
        for _ in range(n):
            self.spool.look()
            if (wait_s := teller.step(self.now)) > 0:
                break
        return wait_s

    def later(self, seconds: float) -> None:
        self.now = Moment(self.now.wall + timedelta(seconds=seconds), self.now.monotonic + seconds)


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


def test_events_are_sent_one_by_one_in_their_order(watch: Watch) -> None:
    sink = FakeSink()
    teller = watch.start(sink)
    watch.write(5)
    assert watch.steps(teller) == NEVER
    assert [len(message.events) for message in sink.messages] == [1] * 5
    assert sink.ids == watch.ids
    status = teller.status(watch.now)
    assert (status.n_sent, status.n_waiting, status.n_doubled, status.error) == (5, 0, 0, "")


def test_a_new_sink_is_told_only_of_what_comes_after_its_first_start(watch: Watch) -> None:
    watch.write(50)
    sink = FakeSink()
    teller = watch.start(sink)
    assert watch.steps(teller) == NEVER
    assert sink.messages == []
    watch.write(1)
    watch.steps(teller)
    assert sink.ids == watch.ids[-1:]


def test_a_sink_that_was_taken_away_is_new_when_it_comes_back(watch: Watch) -> None:
    watch.steps(watch.start(first := FakeSink()))
    watch.start(FakeSink(digest="another"))
    watch.write(3)
    watch.steps(watch.start(first))
    assert first.ids == []


def test_what_waited_when_the_watch_ended_is_sent_after_the_next_start(watch: Watch) -> None:
    sink = FakeSink()
    watch.start(sink)
    watch.write(3)
    watch.steps(watch.start(sink))
    assert sink.ids == watch.ids
    assert not any(message.is_repeated for message in sink.messages)


@pytest.mark.parametrize(("kills", "n_arrivals"), [("before", 1), ("after", 2)])
def test_a_kill_while_an_event_is_sent_lets_it_be_sent_again_marked_and_counted(
    watch: Watch, kills: str, n_arrivals: int
) -> None:
    sink = FakeSink()
    teller = watch.start(sink)
    watch.write(3)
    watch.steps(teller, n=1)
    sink.kills = kills
    with pytest.raises(KilledError):
        watch.steps(teller)
    sink.kills = ""
    again = watch.start(sink)
    watch.steps(again)
    assert Counter(sink.ids) == {watch.ids[0]: 1, watch.ids[1]: n_arrivals, watch.ids[2]: 1}
    assert [message.is_repeated for message in sink.messages][-2:] == [True, False]
    assert "may have arrived before" in sink.messages[-2].body
    assert again.status(watch.now).n_doubled == 1
    assert watch.start(sink).status(watch.now).n_doubled == 1  # counted once


@pytest.mark.parametrize("n_written", range(4))
def test_a_kill_at_any_write_of_how_far_the_sink_is_loses_nothing(
    watch: Watch, n_written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = FakeSink()
    teller = watch.start(sink)
    watch.write(2)
    left = [n_written]
    real = outbox_module.replace_file

    def killed(path: Path, content: bytes) -> None:
        if left[0] == 0:
            raise KilledError
        left[0] -= 1
        real(path, content)

    monkeypatch.setattr(outbox_module, "replace_file", killed)
    with pytest.raises(KilledError):
        watch.steps(teller)
    monkeypatch.setattr(outbox_module, "replace_file", real)
    again = watch.start(sink)
    watch.steps(again)
    assert list(dict.fromkeys(sink.ids)) == watch.ids
    n_doubled = len(sink.ids) - len(watch.ids)
    assert n_doubled == (n_written % 2)  # between sending and noting
    assert again.status(watch.now).n_doubled == n_doubled


def test_random_kills_lose_nothing_and_double_only_what_is_counted(watch: Watch) -> None:
    rng = random.Random(19)
    sink = FakeSink()
    teller = watch.start(sink)
    n_kills = 0
    for _ in range(25):
        watch.write(rng.randint(0, 2))
        sink.kills = rng.choice(["", "", "before", "after"])
        try:
            watch.steps(teller, n=rng.randint(0, 3))
        except KilledError:
            n_kills += 1
            sink.kills = ""
            teller = watch.start(sink)
    sink.kills = ""
    watch.steps(teller)
    assert n_kills > 3
    assert list(dict.fromkeys(sink.ids)) == watch.ids
    repeated = {event.id for message in sink.messages if message.is_repeated for event in message.events}
    assert {each for each, n in Counter(sink.ids).items() if n > 1} <= repeated
    assert len(sink.ids) - len(watch.ids) <= teller.status(watch.now).n_doubled == n_kills


def test_a_sink_that_fails_is_tried_again_ever_more_rarely_and_says_why(watch: Watch) -> None:
    sink = FakeSink(refuses="no route to host")
    teller = watch.start(sink)
    watch.write()
    waits = []
    for _ in range(11):
        waits.append(watch.steps(teller))
        watch.later(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, LAST_RETRY_S, LAST_RETRY_S]
    assert len(sink.attachments) == 11
    status = teller.status(watch.now)
    assert (status.error, status.failing_since, status.n_waiting) == ("no route to host", Moment(NOON, 0).text, 1)
    sink.refuses = ""
    watch.steps(teller)
    status = teller.status(watch.now)
    assert sink.ids == watch.ids
    assert (status.error, status.failing_since, status.n_waiting, status.n_doubled) == ("", "", 0, 0)
    watch.write()
    watch.steps(teller)
    assert sink.ids == watch.ids  # no longer waited for


def test_new_events_do_not_make_a_failing_sink_be_tried_more_often(watch: Watch) -> None:
    sink = FakeSink(refuses="no")
    teller = watch.start(sink)
    for _ in range(20):
        watch.write()
        watch.spool.look()
        teller.step(watch.now)
    assert len(sink.attachments) == 1


def test_what_was_refused_before_a_kill_is_marked_but_counts_as_no_double(watch: Watch) -> None:
    sink = FakeSink(refuses="500")
    teller = watch.start(sink)
    watch.write()
    watch.steps(teller)
    sink.refuses = ""
    again = watch.start(sink)
    watch.steps(again)
    assert sink.messages[0].is_repeated
    assert again.status(watch.now).n_doubled == 0


def test_more_events_than_the_rate_allows_share_a_message_that_lists_them(watch: Watch) -> None:
    sink = FakeSink()
    teller = watch.start(sink, TellSettings(per_minute=4))
    watch.write(9)
    watch.steps(teller)
    assert [len(message.events) for message in sink.messages] == [6, 1, 1, 1]
    assert sink.ids == watch.ids
    for about in watch.ids[:6]:
        assert f"event: {about} kind: raised" in sink.messages[0].body
    assert sink.messages[0].title == "pump 3: ALARM still on; 6 events told together"


def test_the_rate_holds_for_any_minute_and_over_restarts(watch: Watch) -> None:
    sink = FakeSink()
    teller = watch.start(sink, TellSettings(per_minute=2))
    watch.write()
    watch.steps(teller)
    watch.later(20)
    watch.write()
    watch.steps(teller)
    watch.write(3)
    assert watch.steps(teller) == pytest.approx(40)
    teller = watch.start(sink, TellSettings(per_minute=2))
    assert watch.steps(teller) == pytest.approx(40)
    watch.later(40)
    watch.steps(teller)
    assert [len(message.events) for message in sink.messages] == [1, 1, 3]


def test_a_clock_that_is_set_back_does_not_silence_a_sink(watch: Watch) -> None:
    sink = FakeSink()
    teller = watch.start(sink, TellSettings(per_minute=1))
    watch.write()
    watch.steps(teller)
    watch.now = replace(watch.now, wall=NOON - timedelta(hours=5))
    watch.write()
    watch.steps(teller)
    assert sink.ids == watch.ids


def test_a_flood_is_told_in_messages_of_a_bounded_length(watch: Watch) -> None:
    sink = FakeSink()
    teller = watch.start(sink, TellSettings(per_minute=3))
    watch.write(2 * MAX_AT_ONCE + 10)
    watch.steps(teller)
    assert [len(message.events) for message in sink.messages] == [MAX_AT_ONCE, MAX_AT_ONCE, 10]
    assert sink.ids == watch.ids


NIGHT = TellSettings(per_minute=1000, quiet_hours="22:00-06:00")


@pytest.fixture
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_utc")
def test_nothing_is_sent_in_quiet_hours_and_one_message_at_their_end_says_what_is_still_on(watch: Watch) -> None:
    sink = FakeSink()
    teller = watch.start(sink, NIGHT)
    watch.later(11 * 3600)  # 23:00
    watch.write(kind=RAISED)
    watch.write(kind=DEAF, state="quiet")
    watch.write(kind=BACK, state="quiet")
    watch.write(kind=DEAF, state="disk")
    assert 0 < watch.steps(teller) <= 60
    watch.later(7 * 3600 - 1)  # 05:59:59
    assert 0 < watch.steps(teller) <= 60
    assert sink.messages == []
    watch.later(1)
    assert watch.steps(teller) == NEVER
    (message,) = sink.messages
    assert sink.ids == watch.ids
    assert message.title == "pump 3: ALARM, DEAF (disk nearly full) still on; 4 events during the quiet hours"
    on = [line for line in message.body.splitlines() if line.startswith("still on: ")]
    assert on == [
        "still on: number 0 (since 2026-01-31 23:00:00+00:00)",
        "still on: number 3 (since 2026-01-31 23:00:00+00:00)",
    ]


@pytest.mark.usefixtures("_in_utc")
def test_a_quiet_night_after_which_nothing_is_on_says_so_even_after_a_restart(watch: Watch) -> None:
    sink = FakeSink()
    watch.start(sink, NIGHT)
    watch.later(11 * 3600)
    watch.write(kind=RAISED)
    watch.write(kind=CLEARED)
    watch.later(9 * 3600)  # 08:00
    watch.write(kind=STARTED)
    watch.steps(watch.start(sink, NIGHT))
    assert [len(message.events) for message in sink.messages] == [2, 1]
    assert sink.messages[0].body.startswith("nothing is still on\n")
    assert sink.messages[0].title == "pump 3: 2 events during the quiet hours"


@pytest.mark.usefixtures("_in_utc")
def test_an_alarm_of_the_evening_is_still_on_in_the_morning(watch: Watch) -> None:
    sink = FakeSink()
    teller = watch.start(sink, NIGHT)
    watch.write(kind=RAISED)
    watch.steps(teller)
    watch.later(11 * 3600)
    watch.write(kind=DEAF, state="quiet")
    watch.later(8 * 3600)
    watch.steps(teller)
    assert "still on: number 0 (since 2026-01-31 12:00:00+00:00)" in sink.messages[1].body


def test_invalid_settings_are_refused_and_secrets_are_not_printed() -> None:
    with pytest.raises(UsageError, match="quiet hours"):
        TellSettings(quiet_hours="at night")
    with pytest.raises(UsageError, match="http://host:8501"):
        TellSettings(page="javascript:alert(1)")
    with pytest.raises(UsageError, match="at least 1 message"):
        TellSettings(per_minute=0)
    assert "secret" not in repr(TellSettings(urls=("json://u:secret@host",)))


def test_a_damaged_line_of_the_log_is_passed_over(watch: Watch) -> None:
    sink = FakeSink()
    teller = watch.start(sink)
    watch.write()
    with watch.beside.events.open("ab") as log:
        log.write(b"\xff damaged\n")
    watch.write()
    assert watch.steps(teller) == NEVER
    assert sink.ids == watch.ids
    with watch.beside.events.open("ab") as log:
        log.write(b"not finished")
    assert watch.steps(teller) == NEVER
    assert teller.status(watch.now).n_waiting == 0


def test_another_log_in_the_place_of_the_known_one_is_not_told_from_its_beginning(watch: Watch) -> None:
    sink = FakeSink()
    teller = watch.start(sink)
    watch.write(3)
    watch.steps(teller)
    watch.beside.events.unlink()
    other = Watch(watch.beside.table.parent)
    other.write(20, kind=DEAF)
    teller = other.start(sink)
    assert other.steps(teller) == NEVER
    assert len(sink.ids) == 3
    other.write()
    other.steps(teller)
    assert sink.ids[3:] == other.ids[-1:]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"sinks": {"d1": {"offset": -1}}}',
        b'{"sinks": {"d1": {"offset": 1.5}}}',
        b'{"sinks": {"d1": {"tried": [1]}}}',
        b'{"sinks": {"d1": {"recent": ["x"]}}}',
        b'{"sinks": {"d1": {"in_flight": "x"}}}',
        b'{"sinks": {"d1": []}}',
        b'{"sinks": 5}',
    ],
)
def test_a_damaged_note_of_what_was_sent_begins_anew(watch: Watch, content: bytes) -> None:
    sink = FakeSink()
    watch.start(sink)
    watch.write(2)
    watch.beside.sent.write_bytes(content)
    teller = watch.start(sink)
    watch.write()
    watch.steps(teller)
    assert sink.ids == watch.ids[-1:]


def test_a_full_disk_stops_no_message_and_is_said(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = FakeSink()
    teller = watch.start(sink)
    watch.write(2)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    real = outbox_module.replace_file
    monkeypatch.setattr(outbox_module, "replace_file", full)
    watch.steps(teller)
    assert sink.ids == watch.ids
    assert "cannot be noted: No space left" in teller.status(watch.now).error
    monkeypatch.setattr(outbox_module, "replace_file", real)
    watch.write()
    watch.steps(teller)
    assert teller.status(watch.now).error == ""
    assert json.loads(watch.beside.sent.read_bytes())["sinks"]["d1"]["n_sent"] == 3


def test_a_clip_goes_with_a_single_event_at_the_first_try_only(watch: Watch, tmp_path: Path) -> None:
    clip = tmp_path / "a.wav"
    clip.write_bytes(b"RIFF" + bytes(100))
    sink = FakeSink(refuses="too large")
    teller = watch.start(sink, replace(TOLD, attaches_clip=True))
    now = datetime.now(UTC).isoformat()
    watch.log.append(WatchEvent("e1", RAISED, now, "pump", "alarm", key="k1", clip=str(clip)))
    watch.steps(teller)
    sink.refuses = ""
    watch.later(1)
    watch.steps(teller)
    assert [each and each.name for each in sink.attachments] == ["clip-k1.wav", None]


# --- with threads ---


def until(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def opened(sinks: dict[str, FakeSink]) -> Callable[[str], FakeSink]:
    return lambda url: sinks[url]


def test_a_sink_that_hangs_stops_neither_the_watch_nor_another_sink(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()

    class Hanging(FakeSink):
        def send(self, message: Message, attachment: Attachment | None = None) -> str:
            free.wait(20)
            return super().send(message, attachment)

    monkeypatch.setattr(outbox_module, "EXIT_S", 0.2)
    monkeypatch.setattr(outbox_module, "SLOW_S", 0.02)
    sinks: dict[str, FakeSink] = {"hangs": Hanging(digest="h"), "works": FakeSink(digest="w")}
    begin = time.monotonic()
    with Outbox(watch.beside, replace(TOLD, urls=("hangs", "works")), open_sink=opened(sinks)) as box:
        watch.write(3)
        box.wake()
        assert until(lambda: sinks["works"].ids == watch.ids)
        assert until(lambda: "no answer for" in box.sinks[0].error)
        assert [status.n_waiting for status in box.sinks] == [3, 0]
        assert [status.title for status in box.sinks] == ["json://sink", "json://sink (2)"]
        assert box.sinks[0].failing_since
        assert box.sinks[1].error == ""
    assert time.monotonic() - begin < 4
    free.set()
    assert until(lambda: threading.active_count() == 1 or sinks["hangs"].ids != [])


def test_leaving_sends_what_is_left_also_beyond_the_rate(watch: Watch) -> None:
    sink = FakeSink()
    with Outbox(watch.beside, TellSettings(urls=("s",), per_minute=1), open_sink=opened({"s": sink})) as box:
        watch.write()
        box.wake()
        assert until(lambda: len(sink.ids) == 1)
        watch.write(2)
    assert sink.ids == watch.ids


def test_leaving_does_not_wait_for_a_sink_that_fails(watch: Watch) -> None:
    sink = FakeSink(refuses="no")
    begin = time.monotonic()
    with Outbox(watch.beside, replace(TOLD, urls=("s",)), open_sink=opened({"s": sink})) as box:
        watch.write()
        box.wake()
    assert time.monotonic() - begin < 2
    assert sink.ids == []
    assert box.sinks[0].n_waiting == 1


def test_without_sinks_nothing_is_started_or_written(watch: Watch) -> None:
    before = threading.active_count()
    with Outbox(watch.beside, TellSettings()) as box:
        box.wake()
        assert threading.active_count() == before
        assert box.sinks == ()
    assert not watch.beside.sent.exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_sink_whose_thread_dies_of_a_fault_says_so(watch: Watch) -> None:
    sink = FakeSink(kills="before")
    with Outbox(watch.beside, replace(TOLD, urls=("s",)), open_sink=opened({"s": sink})) as box:
        watch.write()
        box.wake()
        assert until(lambda: "start the watch again" in box.sinks[0].error)
