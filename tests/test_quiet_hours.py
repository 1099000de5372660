"""Quiet hours are what the clock on the wall shows, also over midnight and where it is set."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from asd_core.errors import UsageError
from asd_core.monitoring.telling.quiet_hours import QuietHours

BERLIN = ZoneInfo("Europe/Berlin")


def quiet(text: str, moment: str, zone: object = UTC) -> bool:
    hours = QuietHours.parse(text, zone=zone)  # type: ignore[arg-type]
    assert hours is not None
    return hours.contains(datetime.fromisoformat(moment))


@pytest.mark.parametrize(
    ("moment", "is_quiet"),
    [
        ("21:59:59", False),
        ("22:00:00", True),
        ("23:59:59", True),
        ("00:00:00", True),
        ("05:59:59", True),
        ("06:00:00", False),
        ("12:00:00", False),
    ],
)
def test_hours_over_midnight_begin_with_their_first_minute_and_end_before_their_last(
    moment: str, is_quiet: bool
) -> None:
    assert quiet("22:00-06:00", f"2026-01-31T{moment}+00:00") is is_quiet


def test_hours_of_one_day_do_not_reach_over_midnight() -> None:
    assert quiet("09:00-17:30", "2026-01-31T17:29:59+00:00")
    assert not quiet("09:00-17:30", "2026-01-31T17:30:00+00:00")
    assert not quiet("09:00-17:30", "2026-01-31T00:30:00+00:00")


def test_the_clock_is_the_local_one() -> None:
    assert quiet("22:00-06:00", "2026-01-31T21:30:00+00:00", BERLIN)
    assert not quiet("22:00-06:00", "2026-01-31T05:30:00+00:00", BERLIN)


def test_the_hour_that_comes_twice_is_quiet_twice_and_a_skipped_one_does_no_harm() -> None:
    assert quiet("02:00-03:00", "2026-10-25T00:30:00+00:00", BERLIN)  # 02:30, summer time
    assert quiet("02:00-03:00", "2026-10-25T01:30:00+00:00", BERLIN)  # 02:30 again
    assert not quiet("02:00-03:00", "2026-10-25T02:00:00+00:00", BERLIN)
    assert not quiet("02:00-03:00", "2026-03-29T01:00:00+00:00", BERLIN)  # from 01:59:59 to 03:00
    assert quiet("22:00-06:00", "2026-03-29T03:59:00+00:00", BERLIN)


def test_the_zone_of_this_machine_counts_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import time as clock

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    clock.tzset()
    try:
        hours = QuietHours.parse("22:00-06:00")
        assert hours is not None
        assert hours.contains(datetime(2026, 1, 31, 17, 0, tzinfo=UTC))  # 22:30 in India
        assert not hours.contains(datetime(2026, 1, 31, 1, 0, tzinfo=UTC))  # 06:30
    finally:
        monkeypatch.delenv("TZ")
        clock.tzset()


def test_a_text_is_read_as_people_write_it_and_none_means_never_quiet() -> None:
    assert QuietHours.parse(" 22:00 - 06:00 ") == QuietHours(time(22), time(6))
    assert QuietHours.parse("  ") is None


@pytest.mark.parametrize("text", ["22-6", "22:00", "24:00-06:00", "22:60-06:00", "22:00-06:00-07:00", "２２:00-06:00"])
def test_another_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="22:00-06:00"):
        QuietHours.parse(text)


def test_hours_that_would_be_empty_or_a_whole_day_are_refused() -> None:
    with pytest.raises(UsageError, match="different times"):
        QuietHours.parse("22:00-22:00")
