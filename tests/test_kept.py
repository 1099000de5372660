"""Copies of clips: which are kept and for how long, within a bound of bytes, and whatever the disk does."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sounds import hum

from asd_core.audio.reading import read_waveform
from asd_core.monitoring import kept
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.kept import Keeper, kept_clips, kept_path
from asd_core.monitoring.rows import WatchRow
from asd_core.system import logs
from asd_core.types import Waveform

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SOUND = hum(0, seconds=1.0)
PLENTY = 10**9


@pytest.fixture
def beside(tmp_path):
    return Beside(tmp_path / "t.csv")


def row(number: int, *, minutes: float = 0.0, alarm: bool = False, event: str = "") -> WatchRow:
    time = (BEGIN + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    return WatchRow(time, f"/in/{number}.wav", "m", "ok", "", 1.0, 0.5, "normal", alarm, event)


def keeper(beside: Beside, max_bytes: int = PLENTY) -> Keeper:
    return Keeper(beside, max_bytes, least_free_bytes=0)


def paths(beside: Beside) -> list[str]:
    return sorted(clip.key for clip in kept_clips(beside))


def survives(number: int, minutes: float) -> bool:
    return int(row(number, minutes=minutes).key, 16) % kept.ONE_IN == 0


def test_a_copy_is_found_by_its_rows_key_and_sounds_the_same(beside):
    keeper(beside).keep(row(1), SOUND)
    path = kept_path(beside, row(1).key)
    assert path is not None
    np.testing.assert_allclose(read_waveform(path).samples, SOUND.samples, atol=1 / 32768)
    assert kept_path(beside, row(2).key) is None
    (clip,) = kept_clips(beside)
    assert (clip.key, clip.path, clip.judged, clip.of_alarm) == (row(1).key, path, BEGIN.timestamp(), False)
    assert clip.n_bytes == path.stat().st_size
    assert not list(beside.clips.rglob("*.tmp"))


def test_another_rate_is_kept(beside):
    keeper(beside).keep(row(1), Waveform(SOUND.samples, 32_000))
    path = kept_path(beside, row(1).key)
    assert path is not None
    assert read_waveform(path).samples.size == 8_000  # half a second


@pytest.mark.parametrize("key", ["", "..", "../../secret", "a" * 15, "g" * 16, "A" * 16, "a" * 16 + "\n", "a/" * 8])
def test_what_is_no_key_finds_nothing(beside, key):
    (beside.clips / "others").mkdir(parents=True)
    (beside.folder / "secret.flac").write_bytes(b"x")
    assert kept_path(beside, key) is None


def test_links_are_no_copies(beside, tmp_path):
    (beside.clips / "others").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"x")
    (beside.clips / "others" / f"{row(1).key}.flac").symlink_to(tmp_path / "secret")
    assert kept_path(beside, row(1).key) is None
    assert kept_clips(beside) == []


def test_clips_of_an_alarm_and_the_three_before_it_are_set_apart(beside):
    keeping = keeper(beside)
    for number in range(6):
        keeping.keep(row(number), SOUND)
    keeping.keep(row(6, alarm=True, event="raised"), SOUND)
    keeping.keep(row(7, alarm=True), SOUND)
    keeping.keep(row(8, event="cleared"), SOUND)
    keeping.keep(row(9), SOUND)
    apart = {clip.key for clip in kept_clips(beside) if clip.of_alarm}
    assert apart == {row(number).key for number in (3, 4, 5)} | {
        row(6).key,
        row(7).key,
        row(8).key,
    }
    assert len(kept_clips(beside)) == 10


def test_an_alarm_with_the_first_clip_has_none_before(beside):
    keeper(beside).keep(row(0, alarm=True, event="raised"), SOUND)
    assert [clip.of_alarm for clip in kept_clips(beside)] == [True]


def test_all_of_the_last_hour_then_one_in_ten_of_a_week_then_none(beside):
    keeping = keeper(beside)
    for number in range(100):
        keeping.keep(row(number, minutes=number), SOUND)
    hour = {row(number, minutes=number).key for number in range(39, 100)}
    older = {row(number, minutes=number).key for number in range(39) if survives(number, number)}
    assert set(paths(beside)) == hour | older
    assert 0 < len(older) < 12
    keeping.keep(row(1000, minutes=7 * 24 * 60 + 45), SOUND)
    week = {row(number, minutes=number).key for number in range(45, 100) if survives(number, number)}
    assert set(paths(beside)) == week | {row(1000, minutes=7 * 24 * 60 + 45).key}
    assert keeping.n_bytes == sum(clip.n_bytes for clip in kept_clips(beside))


def test_clips_of_alarms_grow_as_old_as_they_like(beside):
    keeping = keeper(beside)
    keeping.keep(row(0, alarm=True, event="raised"), SOUND)
    keeping.keep(row(1, minutes=365 * 24 * 60), SOUND)
    assert kept_path(beside, row(0).key) is not None


def test_an_alarm_that_lasts_drives_out_no_earlier_one(beside, monkeypatch):
    monkeypatch.setattr(kept, "MOST_OF_ALARM", 3)
    keeping = keeper(beside)
    for begin in (0, 10):
        keeping.keep(row(begin, alarm=True, event="raised"), SOUND)
        for number in range(begin + 1, begin + 6):
            keeping.keep(row(number, alarm=True), SOUND)
        keeping.keep(row(begin + 6, event="cleared"), SOUND)
    of_alarm = {clip.key for clip in kept_clips(beside) if clip.of_alarm}
    before_the_second = {row(number).key for number in (4, 5)}
    assert of_alarm == {row(number).key for number in (0, 1, 2, 6, 10, 11, 12, 16)} | before_the_second | {row(3).key}


def size_of_a_copy(beside: Beside) -> int:
    keeper(beside).keep(row(999), SOUND)
    (clip,) = kept_clips(beside)
    clip.path.unlink()
    return clip.n_bytes


def test_within_the_bytes_the_oldest_go_first_and_those_of_alarms_last(beside):
    n_bytes = size_of_a_copy(beside)
    keeping = keeper(beside, 4 * n_bytes)
    keeping.keep(row(0, alarm=True, event="raised"), SOUND)
    for number in range(1, 6):
        keeping.keep(row(number), SOUND)
    assert set(paths(beside)) == {row(number).key for number in (0, 3, 4, 5)}
    for number in range(6, 12):
        keeping.keep(row(number, alarm=True), SOUND)
    assert set(paths(beside)) == {row(number).key for number in range(8, 12)}
    assert keeping.n_bytes <= 4 * n_bytes


def test_those_of_the_week_go_before_those_of_the_hour(beside):
    n_bytes = size_of_a_copy(beside)
    numbers = [number for number in range(200) if survives(number, 0)][:2]
    keeping = keeper(beside, 3 * n_bytes)
    for number in numbers:
        keeping.keep(row(number), SOUND)
    for number in (500, 501):
        keeping.keep(row(number, minutes=90), SOUND)
    assert set(paths(beside)) == {row(numbers[1]).key, row(500, minutes=90).key, row(501, minutes=90).key}


def test_a_restarted_watch_knows_what_is_there(beside):
    n_bytes = size_of_a_copy(beside)
    for number in range(6):
        keeper(beside, 4 * n_bytes).keep(row(number, minutes=number), SOUND)
    assert set(paths(beside)) == {row(number, minutes=number).key for number in range(2, 6)}
    (beside.clips / "others" / "0123456789abcdef.tmp").write_bytes(b"half")
    keeper(beside).keep(row(7, minutes=200), SOUND)
    assert not list(beside.clips.rglob("*.tmp"))
    left = {row(number, minutes=number).key for number in range(2, 6) if survives(number, number)}
    assert set(paths(beside)) == left | {row(7, minutes=200).key}


def test_the_folder_is_listed_once_however_many_clips_come(beside, monkeypatch):
    calls, real = [], os.scandir
    monkeypatch.setattr(kept.os, "scandir", lambda place: calls.append(place) or real(place))
    keeping = keeper(beside)
    keeping.keep(row(0), SOUND)
    n_at_first = len(calls)
    assert n_at_first
    for number in range(1, 20):
        keeping.keep(row(number, minutes=10 * number), SOUND)
    assert len(calls) == n_at_first


def test_with_0_bytes_nothing_is_kept_and_nothing_removed(beside):
    keeper(beside).keep(row(0), SOUND)
    keeper(beside, 0).keep(row(1), SOUND)
    assert paths(beside) == [row(0).key]


def lines() -> list[dict]:
    path = logs.log_path("watch")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_full_disk_is_logged_once_and_tried_again_later(beside, monkeypatch, tmp_path):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    logs.configure("watch")
    clock, is_full, tried = [0.0], [True], []
    monkeypatch.setattr(kept.time, "monotonic", lambda: clock[0])
    real = os.utime

    def utime(*arguments):
        tried.append(1)
        if is_full[0]:
            raise OSError(28, "No space left on device")
        real(*arguments)

    monkeypatch.setattr(kept.os, "utime", utime)
    keeping = keeper(beside)
    for number in range(3):
        keeping.keep(row(number), SOUND)
        clock[0] += 1.0
    assert len(tried) == 1
    clock[0] += 2 * kept.TRY_AGAIN_S
    keeping.keep(row(3), SOUND)
    assert len(tried) == 2
    assert [(line["event"], line["reason"]) for line in lines()] == [("clips are not kept", "No space left on device")]
    assert not list(beside.clips.rglob("*.*"))
    clock[0], is_full[0] = clock[0] + 2 * kept.TRY_AGAIN_S, False
    keeping.keep(row(4), SOUND)
    is_full[0] = True
    keeping.keep(row(5), SOUND)
    assert paths(beside) == [row(4).key]
    assert len(lines()) == 2


def test_where_little_is_free_the_room_is_left_to_the_table(beside):
    Keeper(beside, PLENTY, least_free_bytes=2**62).keep(row(0), SOUND)
    assert paths(beside) == []


def test_a_copy_that_somebody_removed_is_no_fault(beside):
    keeping = keeper(beside)
    for number in range(3):
        keeping.keep(row(number), SOUND)
    for clip in kept_clips(beside):
        clip.path.unlink()
    keeping.keep(row(3, minutes=100), SOUND)
    assert paths(beside) == [row(3, minutes=100).key]
    assert keeping.n_bytes == kept_clips(beside)[0].n_bytes
