"""How a watch is, in words; and its alarms with their clips."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from asd_core.monitoring.past_alarms import CLIPS_BEFORE, past_alarms
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.status import SinkStatus, StateOn, WatchStatus
from asd_core.monitoring.telling.events import CLEARED, RAISED, WatchEvent, event_id
from pages.parts.monitor.standing import STUCK_S, lasting_text, standing

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def ago(**time: float) -> str:
    return (NOW - timedelta(**time)).isoformat(timespec="milliseconds")


def row(number: int, word: str = "normal", *, event: str = "", alarm: bool = False, **time: float) -> WatchRow:
    moment = ago(**(time or {"seconds": 1000 - number}))
    return WatchRow(moment, f"/in/{number}.wav", "m", "ok", "", 3.25, 2.0, word, alarm or event == RAISED, event)


def status(**other: object) -> WatchStatus:
    texts = dict.fromkeys(("process_start", "folder", "model", "title", "rule", "settle_from", "notices"), "")
    given = {"at": ago(seconds=1), "started_at": ago(hours=4), "machine": "pump 3", "state": "listening", **other}
    return WatchStatus(pid=1, settle_s=2.0, **texts, **given)


def how(given: WatchStatus | None, rows=(), events=(), *, is_alive: bool = True):
    return standing("table", status=given, rows=rows, events=events, is_alive=is_alive, now=NOW)


def test_a_quiet_watch_says_for_how_long_and_when_it_heard_last():
    now = how(status(), [row(1, seconds=6)])
    assert now.headline == "pump 3: quiet for 4 hours, last heard 6 s ago"
    assert (now.kind, now.is_on, now.further, now.since) == ("quiet", True, (), "")


def test_it_is_quiet_since_the_last_alarm_was_cleared():
    cleared = WatchEvent("1", CLEARED, ago(minutes=7), "pump 3", "")
    assert how(status(), [row(1, seconds=6)], [cleared]).sentence == "quiet for 7 minutes"
    assert how(status(), [row(1, event=CLEARED, minutes=9)]).sentence == "quiet for 9 minutes"
    assert how(None, [row(1, days=2), row(2, seconds=6)]).sentence == "quiet for 2 days"  # of an earlier release


def test_an_alarm_says_since_when_and_by_what():
    now = how(status(), [row(1, "anomalous", event=RAISED, minutes=5), row(2, "anomalous", alarm=True, seconds=6)])
    assert now.headline == "pump 3: ALARM for 5 minutes, last heard 6 s ago"
    assert now.further == ("raised 2026-01-31 11:55:00 UTC by 1.wav: score 3.25, threshold 2",)
    assert now.since == "since 31 Jan, 11:55 UTC"


def test_an_alarm_that_was_raised_before_the_rows_at_hand_is_dated_by_the_heartbeat():
    now = how(status(alarm=True, alarm_since=ago(days=1)), [row(2, "anomalous", alarm=True, seconds=6)])
    assert now.sentence == "ALARM for 1 day"


def test_a_deaf_watch_says_which_state_since_when():
    quiet = StateOn("quiet", ago(minutes=12), "no clip for 12 minutes, usually one every 10 s")
    now = how(status(states=(quiet,)), [row(1, minutes=12)])
    assert now.headline == "pump 3: DEAF for 12 minutes: no clip, last heard 12 minutes ago"
    assert now.further == ("since 2026-01-31 11:48:00 UTC: no clip for 12 minutes, usually one every 10 s",)
    assert (now.kind, now.since) == ("deaf", "since 31 Jan, 11:48 UTC")


def test_drift_and_a_full_disk_are_told_but_it_still_hears():
    states = tuple(StateOn(name, ago(minutes=1), f"{name}!") for name in ("drift", "disk", "clock"))
    now = how(status(states=states), [row(1, seconds=6)])
    assert now.kind == "quiet"
    assert [text.rpartition(": ")[2] for text in now.further] == ["drift!", "disk!", "clock!"]


def test_an_alarm_comes_before_deafness_and_deafness_before_a_pause():
    deaf = (StateOn("flat", ago(minutes=2), "flat"),)
    paused = status(states=deaf, state="paused", paused_until=ago(minutes=-30))
    assert how(paused, [row(1, alarm=True)]).kind == "alarm"
    now = how(paused, [row(1)])
    assert now.kind == "deaf"
    assert now.further[-1] == "paused until 2026-01-31 12:30:00 UTC: new clips raise no alarm"
    assert how(replace(paused, states=()), [row(1)]).sentence == "PAUSED until 2026-01-31 12:30:00 UTC"
    assert how(replace(paused, states=(), paused_until="until resumed"), [row(1)]).sentence == "PAUSED until resumed"
    assert how(status(state="waiting"), [row(1)]).kind == "waiting"


def test_a_process_that_ended_without_a_word_has_died_and_its_alarm_is_not_forgotten():
    now = how(status(at=ago(hours=3)), [row(1, alarm=True, hours=3)], is_alive=False)
    assert now.sentence == "DIED: no heartbeat for 3 hours; its process has ended without a word"
    assert now.further == ("the ALARM was on when it was heard of last",)
    assert (now.kind, now.is_on, now.since) == ("died", False, "since 31 Jan, 09:00 UTC")
    assert how(status(at=ago(seconds=5)), [row(1)], is_alive=False).kind == "died"  # at once


def test_a_process_that_lives_but_says_nothing_for_minutes_is_taken_for_dead():
    assert how(status(at=ago(seconds=STUCK_S - 1)), [row(1)]).kind == "quiet"
    assert how(status(at=ago(seconds=STUCK_S + 1)), [row(1)]).sentence.endswith("it runs, but says nothing")


def test_a_watch_that_ended_is_not_dead():
    now = how(status(state="ended", at=ago(hours=3)), [row(1, hours=3)], is_alive=False)
    assert now.headline == "pump 3: no watch is running; ended 3 hours ago, last heard 3 hours ago"
    assert how(None, [row(1)], is_alive=False).sentence == "no watch is running"
    assert how(None, is_alive=False).headline == "table: no clip yet"
    assert how(status()).sentence == "no clip yet"


def test_whom_no_message_reaches_is_said():
    sink = SinkStatus("mqtt://broker/hark", 2, 5, 0, ago(minutes=3), "connection refused")
    now = how(status(sinks=(sink, SinkStatus("json://x"))), [row(1)])
    assert now.further == ("messages to mqtt://broker/hark do not arrive: connection refused",)


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0 s"), (59.9, "59 s"), (60, "1 minute"), (7200, "2 hours"), (200_000, "2 days")]
)
def test_a_time_is_written_in_its_largest_unit(seconds, text):
    assert lasting_text(seconds) == text


def event(of: WatchRow) -> WatchEvent:
    return WatchEvent(event_id(of.event, of.key), of.event, of.time, "pump 3", "told", key=of.key, clip=of.path)


ROWS = [
    *(row(number) for number in range(5)),
    row(5, "anomalous", event=RAISED),
    row(6, "anomalous", alarm=True),
    row(7, alarm=True),
    row(8, event=CLEARED),
    row(9),
    row(10, "anomalous", event=RAISED),
]


def test_alarms_come_newest_first_each_with_its_clips_and_those_before():
    events = [event(each) for each in ROWS if each.event]
    on, past = past_alarms(events, ROWS)
    assert (on.cleared, on.raised.key) == (None, ROWS[10].key)
    assert on.rows == tuple(ROWS[10 - CLIPS_BEFORE :])
    assert past.rows == tuple(ROWS[5 - CLIPS_BEFORE : 9])
    assert [each.path for each in past.anomalous] == ["/in/5.wav", "/in/6.wav"]
    assert past.key == event_id(RAISED, ROWS[5].key)


def test_alarms_of_a_table_without_a_log_are_told_by_its_rows_and_none_twice():
    assert [alarm.key for alarm in past_alarms([], ROWS)] == [alarm.key for alarm in past_alarms(map_events(), ROWS)]
    assert len(past_alarms([event(ROWS[5])], ROWS)) == 2


def map_events() -> list[WatchEvent]:
    return [event(each) for each in ROWS if each.event]


def test_an_alarm_before_the_rows_at_hand_is_listed_without_clips_and_a_cut_one_with_its_last():
    assert [len(alarm.rows) for alarm in past_alarms(map_events(), ROWS[9:])] == [2, 0]
    assert [len(alarm.rows) for alarm in past_alarms(map_events(), ROWS[6:])] == [4, 3]
    assert [alarm.rows for alarm in past_alarms(map_events(), [])] == [(), ()]
    assert past_alarms([event(ROWS[8])], ROWS[8:9]) == []  # cleared, but nobody knows what
