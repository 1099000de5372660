"""Rows in the order of their recordings, and clocks that jump."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from asd_core.monitoring.arriving.recording_time import ClockJump, ClockWatch, count_late, in_recorded_order
from asd_core.monitoring.rows import WatchRow

NOON = datetime(2026, 1, 31, 12, 0, 0)
"""Local; far from any change of the clocks."""


@dataclass(frozen=True)
class At:
    """A moment, in seconds after noon by each clock."""

    wall_s: float
    monotonic: float

    @property
    def wall(self) -> datetime:
        return datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(seconds=self.wall_s)


def row(recorded_s: float | None, judged_s: float, *, how: str = "name") -> WatchRow:
    """A clip that was recorded and judged so many seconds after noon."""
    judged = (NOON + timedelta(seconds=judged_s)).astimezone(UTC).isoformat(timespec="milliseconds")
    recorded = "" if recorded_s is None else (NOON + timedelta(seconds=recorded_s)).isoformat()
    plain = WatchRow(judged, f"{recorded_s}.wav", "m", "ok", "", 1.0, 2.0, "normal")
    return replace(plain, recorded=recorded, recorded_from=how if recorded else "")


def texts(rows) -> list[str]:
    clocks = ClockWatch()
    return [clocks.heard(each) for each in rows]


def live(recorded, *, every_s: float = 10.0):
    """Clips that are judged 5 s after they end, one after the other."""
    return [row(recorded_s, every_s * i + 5) for i, recorded_s in enumerate(recorded)]


def test_late_clips_are_sorted_in_where_they_were_recorded():
    rows = [row(0, 10), row(10, 20), row(30, 40), row(20, 50)]
    assert in_recorded_order(rows) == [rows[0], rows[1], rows[3], rows[2]]
    assert [count_late(rows[:n]) for n in range(1, 5)] == [0, 0, 0, 1]


def test_clips_of_the_same_time_stay_in_the_order_of_their_judging_and_others_lie_where_they_were_judged():
    rows = [row(0, 10), replace(row(0, 11), path="b.wav"), row(None, 5), row(20, 21)]
    assert in_recorded_order(rows) == [rows[0], rows[1], rows[2], rows[3]]


def test_a_jump_of_this_computers_clock_is_named_for_a_while():
    clocks = ClockWatch()
    said = [clocks.tick(At(*at)) for at in ((0, 0), (1, 1), (3602, 2), (3603, 3), (3670, 70))]
    assert said[:2] == ["", ""]
    assert said[2] == said[3] == "this computer's clock went ahead by 1 h, or it slept"
    assert said[4] == ""


@pytest.mark.parametrize(("wall_s", "text"), [(4, ""), (-5, "this computer's clock went back by 6 s")])
def test_small_corrections_of_the_clock_are_none(wall_s, text):
    clocks = ClockWatch()
    clocks.tick(At(0, 0))
    assert clocks.tick(At(wall_s, 1)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3600, "ahead by 1 h"), (-86_400 * 2 - 7200, "back by 2 days 2 h"), (90.4, "1 min 30 s")]
)
def test_a_jump_is_told_in_its_two_largest_units(seconds, text):
    assert text in ClockJump(seconds, "the clock").text


def test_clips_that_come_as_they_are_recorded_are_no_problem():
    assert set(texts(live([10 * i for i in range(20)]))) == {""}


def test_a_gap_in_which_nothing_came_is_no_jump():
    rows = [*live([0, 10, 20, 30, 40]), row(3640, 3645), row(3650, 3655)]
    assert set(texts(rows)) == {""}


def test_a_gap_in_clips_that_were_judged_faster_than_recorded_is_no_jump():
    recorded = [0, 10, 20, 30, 40, 7240, 7250]
    assert set(texts([row(at, 10_000 + i / 50) for i, at in enumerate(recorded)])) == {""}


def test_a_recorder_whose_clock_was_set_back_is_named_once_two_clips_agree():
    said = texts(live([0, 10, 20, 30, 40, 50 - 3600, 60 - 3600, 70 - 3600, *(80 + 10 * i - 3600 for i in range(9))]))
    assert said[:6] == [""] * 6
    assert said[6] == "the recorded times went back by 1 h"
    assert said[-1] == ""


def test_a_recorder_whose_clock_was_slow_and_is_set_is_named():
    said = texts(live([-7200, -7190, -7180, -7170, -7160, 50, 60]))
    assert said[5] == "the recorded times went ahead by 2 h"


def test_late_clips_are_no_jump():
    single = live([0, 10, 20, 30, 40, -3600, 60, 70, -3500, 90])
    batch = [*live([0, 10, 20, 30, 40]), *(row(-3600 + 10 * i, 55 + i / 50) for i in range(8)), row(60, 65)]
    assert set(texts(single)) == set(texts(batch)) == {""}


def test_a_clip_that_was_waited_for_is_no_jump_of_the_next_one():
    rows = [*live([0, 10, 20, 30, 40]), row(50, 95), row(95, 105), row(105, 115)]
    assert set(texts(rows)) == {""}


def test_a_recorder_that_was_never_set_or_lives_in_the_future_is_named():
    (text,) = texts([replace(row(0, 5), recorded="1980-01-01T00:03:00")])
    assert "dated 1980-01-01" in text
    (text,) = texts([replace(row(0, 5), recorded="1970-01-01T00:03:00", recorded_from="file")])
    assert "never set" in text
    (text,) = texts([row(3605, 5)])
    assert text.startswith("a clip is dated 1 h in the future")
    assert texts([row(50, 5)]) == [""]
