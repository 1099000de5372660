"""When a file has arrived: whole, closed, settled, once per content."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recorders import RECORDERS, n_clips, play
from sounds import hum

from asd_core.audio.reading import encode_wav
from asd_core.errors import AudioError, UsageError
from asd_core.features.familiarity import ClipTraits
from asd_core.monitoring.arriving import arrivals as arrivals_module
from asd_core.monitoring.arriving.arrivals import Arrivals, ArrivalSettings, FolderMissingError
from asd_core.monitoring.rows import WatchRow, escaped
from asd_core.types import SR, Waveform


class Watched:
    """A folder that is watched by a clock of its own; what arrives is noted."""

    def __init__(self, folder: Path, **settings) -> None:
        self.now = 1000.0
        self.folder = folder
        self.arrivals = Arrivals(folder, ArrivalSettings(**settings), channel=None, clock=lambda: self.now)
        self.heard: list = []
        self.rows: list[WatchRow] = []

    def look(self) -> list[str]:
        """Judge what is due; names of it, with marks for what is refused or replaces another."""
        found = []
        for arrival in self.arrivals.due():
            sound = arrival.sound
            refused = isinstance(sound, AudioError)
            traits = None if refused else ClipTraits(*[0.0] * 4, sound.duration_s, 0.0)
            row = WatchRow(
                f"2026-01-31T12:00:00.{len(self.rows):06d}+00:00",
                *(escaped(arrival.name), "m", "refused" if refused else "ok", "", None, None, ""),
                traits=traits,
                n_bytes=arrival.signature[0],
                changed_ns=arrival.signature[1],
                replaces=arrival.replaces,
            )
            self.arrivals.heard(arrival, row)
            self.rows.append(row)
            self.heard.append(arrival)
            mark = "!" if refused else "+" if arrival.replaces else ""
            found.append(mark + arrival.name.removeprefix(f"{self.folder}{os.sep}"))
        return found

    def after(self, seconds: float, *, every: float = 0.5) -> list[str]:
        """Look every so often until so much time has passed."""
        end, found = self.now + seconds, []
        while self.now < end - 1e-9:
            self.now = min(end, self.now + every)
            found += self.look()
        return found

    def again(self, **settings) -> Watched:
        """The same folder after a restart."""
        other = Watched(self.folder, **settings)
        for row in self.rows:
            other.arrivals.know(row)
        return other


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def wav(path: Path, seed: int = 1, *, seconds: float = 2.0, age_s: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(seed, seconds))
    if age_s:
        os.utime(path, (time.time() - age_s,) * 2)
    return path


def content(seed: int = 1, seconds: float = 2.0) -> bytes:
    return encode_wav(hum(seed, seconds=seconds).samples)


SHARE = {"trusts_system": False}
"""As on a network share, where nobody tells which files are open."""


# Settling


def test_a_file_is_judged_once_it_has_been_unchanged_for_the_settling_time(folder):
    watched = Watched(folder, settle_s=4.0)
    assert watched.look() == []
    wav(folder / "a.wav")
    assert watched.after(4.0) == []
    assert watched.arrivals.n_waiting == 1
    assert watched.after(0.5) == ["a.wav"]
    assert watched.arrivals.n_waiting == 0
    assert watched.after(100) == []


def test_what_was_there_at_the_start_is_judged_by_its_own_age(folder):
    wav(folder / "old.wav", age_s=60)
    wav(folder / "young.wav")
    wav(folder / "future.wav", age_s=-3600)
    watched = Watched(folder, settle_s=4.0)
    assert watched.look() == ["old.wav"]
    assert watched.after(5) == ["young.wav", "future.wav"]


def test_the_age_of_a_file_that_comes_later_does_not_count(folder, tmp_path):
    watched = Watched(folder, settle_s=4.0)
    watched.look()
    wav(folder / "copied.wav", age_s=3600)  # a copy that keeps its time
    assert watched.after(4.0) == []
    assert watched.after(0.5) == ["copied.wav"]


def test_clips_come_the_oldest_first_then_by_name(folder):
    for name, age_s in (("b", 30), ("a", 30), ("c", 60), ("sub/d", 10)):
        wav(folder / f"{name}.wav", age_s=age_s)
    stamp = time.time_ns() - 30 * 10**9
    for name in "ab":
        os.utime(folder / f"{name}.wav", ns=(stamp, stamp))
    assert Watched(folder, settle_s=2.0).look() == ["c.wav", "a.wav", "b.wav", "sub/d.wav"]


def test_asked_for_no_settling_a_file_is_whole_from_the_first_moment(folder):
    (folder / "text.wav").write_bytes(b"no sound" * 20)
    wav(folder / "a.wav")
    assert sorted(Watched(folder, settle_s=0.0).look()) == ["!text.wav", "a.wav"]


def test_settling_is_cautious_first_and_then_learned_from_the_longest_pause(folder):
    watched = Watched(folder, **SHARE)
    assert (watched.arrivals.settle.seconds, watched.arrivals.settle.origin) == (10.0, "cautious at first")
    watched.look()
    for pause_s in play("blocks", folder, (wav(folder.parent / "a.wav", seconds=3.0),) * 2, rounds=3):
        watched.after(pause_s)
    watched.after(20)
    settle = watched.arrivals.settle
    assert settle.seconds == pytest.approx(1.75 * 3.0, abs=1.75 * 0.5)
    assert settle.origin == "learned from 3 files"


def test_files_that_come_in_one_piece_are_soon_judged_soon_and_a_long_pause_is_forgotten(folder):
    watched = Watched(folder, **SHARE)
    watched.look()
    whole = content(seconds=3.0)
    (folder / "slow.wav").write_bytes(content(seconds=1.0))
    watched.after(6)
    (folder / "slow.wav").write_bytes(whole)
    watched.after(12)
    assert watched.arrivals.settle.seconds == pytest.approx(10.5, abs=1)
    for number in range(50):
        (folder / f"{number}.wav").write_bytes(whole)
        watched.after(16, every=4.0)
    assert watched.arrivals.settle.seconds == 2.0
    (folder / "last.wav").write_bytes(whole)
    assert watched.after(2.5) == ["last.wav"]


@pytest.mark.parametrize(
    "settings", [{"settle_s": -1.0}, {"settle_s": float("nan")}, {"settle_s": 4000.0}, {"segment_s": 0.1}, {"hop_s": 1}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(UsageError):
        ArrivalSettings(**settings)


# Whole


@pytest.mark.parametrize("trusts_system", [True, False])
def test_a_file_that_somebody_has_open_waits_where_the_system_tells(folder, trusts_system):
    watched = Watched(folder, settle_s=2.0, trusts_system=trusts_system)
    watched.look()
    with (folder / "a.wav").open("wb") as out:
        out.write(content())
        out.flush()
        said = watched.after(60)
    assert said == ([] if trusts_system else ["a.wav"])
    assert watched.after(3) == (["a.wav"] if trusts_system else [])


def truncated() -> bytes:
    return content()[:40_000]


def unfinished() -> bytes:
    return content()[:40] + bytes(4) + content()[44:]


def with_hole() -> bytes:
    return content()[:-8192] + bytes(8192)


def with_small_hole() -> bytes:
    return content()[:-2100] + bytes(2100)


def without_end() -> bytes:
    return content()[:4] + b"\xff" * 4 + content()[8:40] + b"\xff" * 4 + content()[44:]


def nothing() -> bytes:
    return b""


DOUBTFUL = [truncated, unfinished, with_hole, with_small_hole, without_end, nothing]


@pytest.mark.parametrize("made", DOUBTFUL, ids=lambda made: made.__name__)
def test_what_is_not_whole_is_given_more_time_and_judged_once_it_is(folder, made):
    watched = Watched(folder, settle_s=2.0, **SHARE)
    watched.look()
    (folder / "a.wav").write_bytes(made())
    assert watched.after(25) == []
    (folder / "a.wav").write_bytes(content(seconds=2.5))
    assert watched.after(3) == ["a.wav"]
    assert watched.heard[0].sound.duration_s == 2.5


@pytest.mark.parametrize("made", DOUBTFUL, ids=lambda made: made.__name__)
def test_what_stays_as_it_is_is_judged_in_the_end_with_its_warning(folder, made):
    watched = Watched(folder, settle_s=2.0, **SHARE)
    watched.look()
    (folder / "a.wav").write_bytes(made())
    assert watched.after(29.5) == []
    assert watched.after(1) == ["!a.wav" if made is nothing else "a.wav"]
    assert watched.after(100) == []


def test_a_refused_file_that_changes_is_a_new_clip(folder):
    watched = Watched(folder, settle_s=2.0, **SHARE)
    watched.look()
    (folder / "a.wav").write_bytes(b"no sound" * 20)
    assert watched.after(31) == ["!a.wav"]
    wav(folder / "a.wav")
    assert watched.after(3) == ["a.wav"]


def test_old_files_are_not_given_more_time(folder):
    (folder / "a.wav").write_bytes(truncated())
    os.utime(folder / "a.wav", (time.time() - 60,) * 2)
    assert Watched(folder, settle_s=2.0).look() == ["a.wav"]


def test_a_file_whose_content_changes_behind_its_time_goes_on_waiting(folder):
    """Some shares write the time of a change when the file is closed."""
    watched = Watched(folder, settle_s=2.0, **SHARE)
    watched.look()
    whole = content()
    path = folder / "a.wav"
    path.write_bytes(whole[:8192] + bytes(len(whole) - 8192))
    stamp = path.stat().st_mtime_ns
    for n_written in range(16_384, len(whole), 8192):
        assert watched.after(29) == []
        path.write_bytes(whole[:n_written] + bytes(len(whole) - n_written))
        os.utime(path, ns=(stamp, stamp))
    path.write_bytes(whole)
    assert watched.after(3) == ["a.wav"]
    assert watched.arrivals.n_early == 0


def mp3(path: Path) -> Path:
    soundfile.write(path, hum(1, seconds=3.0).samples, SR, format="MP3")
    return path


@pytest.mark.parametrize(("trusts_system", "after_s"), [(True, 2.5), (False, 30.5)])
def test_a_format_that_does_not_say_where_it_ends_waits_unless_it_is_known_to_be_closed(folder, trusts_system, after_s):
    watched = Watched(folder, settle_s=2.0, trusts_system=trusts_system)
    watched.look()
    mp3(folder / "a.mp3")
    assert watched.after(after_s - 0.5) == []
    assert watched.after(1.0) == ["a.mp3"]


# Renamed


@pytest.mark.parametrize("before", [".a.wav", "a.wav.part", "a.wav.tmp", "sub/a.tmp"])
def test_a_file_that_was_written_under_another_name_is_judged_at_once(folder, before):
    watched = Watched(folder, **SHARE)
    wav(folder / before)
    watched.look()
    (folder / before).rename(folder / "a.wav")
    assert watched.look() == ["a.wav"]


def test_a_renamed_file_must_still_be_whole_and_closed(folder):
    watched = Watched(folder, settle_s=2.0)
    (folder / ".cut.wav").write_bytes(truncated())
    with (folder / ".open.wav").open("wb") as out:
        out.write(content())
        out.flush()
        watched.look()
        (folder / ".cut.wav").rename(folder / "cut.wav")
        (folder / ".open.wav").rename(folder / "open.wav")
        assert watched.after(20) == []
    assert watched.after(0.5) == ["open.wav"]
    assert watched.after(12) == ["cut.wav"]


def test_another_file_of_the_new_name_is_no_renamed_one(folder):
    watched = Watched(folder, settle_s=4.0)
    wav(folder / ".a.wav")
    watched.look()
    wav(folder / "a.wav", 2)
    assert watched.look() == []


# New content of a judged file


def test_a_judged_file_that_changes_is_a_new_clip_whose_earlier_row_stays(folder):
    watched = Watched(folder, settle_s=2.0)
    wav(folder / "rec.wav", 1, age_s=60)
    assert watched.look() == ["rec.wav"]
    for seed in (2, 2, 3):
        wav(folder / "rec.wav", seed)
        assert watched.after(3) == ["rec.wav"]
    assert watched.again(settle_s=2.0).after(60) == []


def test_a_clip_that_was_judged_too_early_is_named_counted_and_learned_from(folder):
    watched = Watched(folder, **SHARE)
    watched.look()
    for number in range(3):  # nothing ever pauses
        wav(folder / f"{number}.wav", number)
        watched.after(12)
    assert watched.arrivals.settle.seconds == 2.0
    (folder / "a.wav").write_bytes(content(seconds=1.0))
    assert watched.after(6) == ["a.wav"]
    (folder / "a.wav").write_bytes(content(seconds=3.0))
    assert watched.after(12) == ["+a.wav"]
    assert watched.heard[-1].replaces == watched.rows[-2].key
    assert watched.arrivals.n_early == 1
    assert watched.arrivals.settle.seconds == pytest.approx(1.75 * 6, abs=1.0)


@pytest.mark.parametrize("made", [truncated, unfinished, with_hole], ids=lambda made: made.__name__)
def test_a_clip_that_was_judged_cut_short_is_replaced_by_the_whole_one(folder, made):
    watched = Watched(folder, settle_s=2.0, **SHARE)
    watched.look()
    (folder / "a.wav").write_bytes(made())
    assert watched.after(31) == ["a.wav"]
    (folder / "a.wav").write_bytes(content())
    assert watched.after(3) == ["+a.wav"]
    assert watched.arrivals.settle.seconds == 2.0


def test_a_file_that_is_overwritten_before_it_has_settled_is_not_lost(folder):
    watched = Watched(folder, settle_s=10.0, **SHARE)
    watched.look()
    said = []
    for seed in range(5):
        wav(folder / "rec.wav", seed)
        said += watched.after(3)
    said += watched.after(12)
    assert said == ["rec.wav"] * 5
    digests = [arrival.sound.digest for arrival in watched.heard]
    assert len(set(digests)) == 5
    assert watched.again(settle_s=10.0).after(60) == []


def test_a_file_that_becomes_shorter_was_overwritten(folder):
    watched = Watched(folder, settle_s=10.0, **SHARE)
    watched.look()
    wav(folder / "rec.wav")
    watched.after(3)
    (folder / "rec.wav").write_bytes(b"")
    assert watched.after(0.5) == ["rec.wav"]


def test_a_recorder_that_writes_its_header_again_made_one_clip(folder):
    watched = Watched(folder, settle_s=10.0, **SHARE)
    watched.look()
    wav(folder / "a.wav")
    watched.after(3)
    wav(folder / "a.wav")
    assert watched.after(15) == ["a.wav"]


def test_what_is_held_is_bounded(folder, monkeypatch):
    monkeypatch.setattr("asd_core.monitoring.arriving.arrivals.MAX_HELD_BYTES", 3 * 4 * 2 * SR)
    watched = Watched(folder, settle_s=10.0, **SHARE)
    watched.look()
    for seed in range(20):
        wav(folder / f"{seed}.wav", seed)
    watched.after(5)
    assert sum(watched.arrivals._holding.values()) == 4 * 4 * 2 * SR
    assert len(watched.after(10)) == 20
    assert watched.arrivals._holding == {}


def test_a_file_that_goes_away_is_not_waited_for_and_may_come_back(folder):
    watched = Watched(folder, settle_s=4.0)
    watched.look()
    path = wav(folder / "a.wav")
    watched.after(2)
    path.rename(folder.parent / "a.wav")
    assert watched.after(6) == []
    assert watched.arrivals.n_waiting == 0
    (folder.parent / "a.wav").rename(path)
    assert watched.after(6) == ["a.wav"]


# Rows of earlier watches


def test_rows_without_a_signature_stand_for_the_files_as_they_are_now(folder):
    wav(folder / "a.wav", age_s=60)
    watched = Watched(folder, settle_s=2.0)
    for name in ("a.wav", "gone.wav"):
        watched.arrivals.know(WatchRow(NOW, escaped(str(folder / name)), "m", "ok", "", 1.0, 2.0, "normal"))
    assert watched.look() == []
    wav(folder / "a.wav", 2)
    wav(folder / "gone.wav")
    assert watched.after(3) == ["a.wav", "gone.wav"]


NOW = "2026-01-31T12:00:00.000+00:00"


@pytest.mark.parametrize("name", ["a\nb.wav", "\u202egpj.wav", "x\\x0a;.wav", os.fsdecode(b"\xff.wav")])
def test_hostile_names_are_known_again(folder, name):
    wav(folder / name, age_s=60)
    watched = Watched(folder, settle_s=2.0)
    assert watched.look() == [name]
    assert watched.again(settle_s=2.0).look() == []


# Segments


def grow(path: Path, sound: bytes, seconds: float) -> None:
    path.write_bytes(sound[: 44 + 2 * round(seconds * SR)])


def test_a_growing_file_is_heard_by_segments_and_its_end_when_it_is_whole(folder):
    watched = Watched(folder, segment_s=2.0, settle_s=2.0)
    watched.look()
    sound = content(seconds=7.0)
    said = []
    for seconds in (1.0, 2.5, 4.5, 7.0):
        grow(folder / "run.wav", sound, seconds)
        said.append(watched.after(1.0))
    assert said == [[], ["run.wav#t=0,2"], ["run.wav#t=2,4"], ["run.wav#t=4,6"]]
    assert watched.after(3) == ["run.wav#t=6,7"]
    assert watched.arrivals.n_waiting == 0
    starts = [arrival.recorded.time for arrival in watched.heard]
    assert starts[-1] > starts[1]


def test_a_restart_goes_on_where_it_was(folder):
    watched = Watched(folder, segment_s=2.0, settle_s=2.0)
    sound = content(seconds=7.0)
    watched.look()
    grow(folder / "run.wav", sound, 4.5)
    assert watched.after(1) == ["run.wav#t=0,2", "run.wav#t=2,4"]
    other = watched.again(segment_s=2.0, settle_s=2.0)
    grow(folder / "run.wav", sound, 7.0)
    assert other.look() == ["run.wav#t=4,6"]
    assert other.after(3) == ["run.wav#t=6,7"]
    other.rows = [*watched.rows, *other.rows]
    assert other.again(segment_s=2.0, settle_s=2.0).after(60) == []


def test_a_recording_that_goes_on_after_its_end_was_heard_replaces_that_segment(folder):
    watched = Watched(folder, segment_s=2.0, settle_s=2.0, **SHARE)
    watched.look()
    (folder / "run.wav").write_bytes(content(seconds=3.0))
    assert watched.after(3) == ["run.wav#t=0,2", "run.wav#t=2,3"]
    (folder / "run.wav").write_bytes(content(seconds=5.0))
    watched.after(0.5)
    assert watched.heard[-1].name.endswith("#t=2,4")
    assert watched.heard[-1].replaces == watched.rows[1].key
    assert watched.arrivals.n_early == 1
    assert watched.after(3) == ["run.wav#t=4,5"]


def test_another_recording_of_the_same_name_is_heard_from_its_beginning(folder):
    watched = Watched(folder, segment_s=2.0, settle_s=2.0)
    watched.look()
    for seed, seconds in ((1, 4.0), (2, 4.0), (3, 2.0)):
        wav(folder / "run.wav", seed, seconds=seconds)
        assert len(watched.after(4)) == seconds // 2


def test_a_file_that_cannot_be_cut_is_refused_once(folder):
    watched = Watched(folder, segment_s=2.0, settle_s=2.0)
    watched.look()
    (folder / "run.wav").write_bytes(b"no sound" * 20)
    assert watched.after(25) == []
    assert watched.after(10) == ["!run.wav"]
    assert watched.after(60) == []


# The folder


def test_a_missing_folder_is_said_each_time_and_nothing_is_forgotten(folder):
    watched = Watched(folder, settle_s=2.0)
    wav(folder / "a.wav", age_s=60)
    assert watched.look() == ["a.wav"]
    folder.rename(folder.parent / "away")
    for _ in range(2):
        with pytest.raises(FolderMissingError):
            watched.look()
    (folder.parent / "away").rename(folder)
    wav(folder / "b.wav")
    assert watched.after(3) == ["b.wav"]


def test_what_is_no_recording_is_skipped_and_counted(folder):
    for name in ("a.txt", "sub/b.TXT", "@eaDir/good.wav", ".hidden.wav", "part", "own.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    watched = Watched(folder, settle_s=0.0)
    assert watched.look() == []
    skipped = watched.arrivals.skipped(but={str(folder / "own.csv")})
    assert skipped.to_json() == {".txt": 2, "hidden": 1, "of the operating system": 1, "without suffix": 1}
    assert skipped.kinds[".txt"] == ("a.txt", "sub/b.TXT")


def test_the_wait_ends_when_the_next_file_has_settled_or_the_watch_stops(folder):
    wav(folder / "a.wav")
    arrivals = Arrivals(folder, ArrivalSettings(settle_s=0.3), channel=None)
    assert list(arrivals.due()) == []
    started = time.monotonic()
    arrivals.wait(10.0, threading.Event())
    assert time.monotonic() - started < 5
    assert len(list(arrivals.due())) == 1
    stop = threading.Event()
    stop.set()
    arrivals.wait(10.0, stop)
    assert time.monotonic() - started < 5


def test_a_look_costs_what_has_changed_and_not_what_was_judged(folder, monkeypatch):
    for number in range(20):
        wav(folder / f"{number}.wav", age_s=60)
    watched = Watched(folder, settle_s=2.0)
    assert len(watched.look()) == 20
    touched = []
    for name in ("read_as", "seen_as", "is_open_for_writing"):
        real = getattr(arrivals_module, name)
        monkeypatch.setattr(
            arrivals_module,
            name,
            lambda path, *args, real=real, **more: touched.append(path) or real(path, *args, **more),
        )
    assert watched.after(5) == touched == []
    wav(folder / "new.wav")
    assert watched.after(3) == ["new.wav"]
    assert set(touched) == {str(folder / "new.wav")}


# Recorders


def recorded(kind: str, watched: Watched, *, every: float, rounds: int = 3) -> list[str]:
    watched.look()
    first = wav(watched.folder.parent / "first.wav", 1, seconds=3.0)
    second = wav(watched.folder.parent / "second.wav", 2, seconds=3.0)
    found = []
    for pause_s in play(kind, watched.folder, (first, second), rounds=rounds):
        found += watched.after(pause_s, every=every)
    return found + watched.after(40, every=every)


@pytest.mark.parametrize("every", [0.25, 1.0])
@pytest.mark.parametrize("trusts_system", [True, False])
@pytest.mark.parametrize("kind", RECORDERS)
def test_every_recorders_clips_are_judged_once_and_whole(folder, kind, trusts_system, every):
    watched = Watched(folder, trusts_system=trusts_system)
    found = recorded(kind, watched, every=every)
    if kind == "appended" and trusts_system:  # closed between its blocks: judged early once, then learned
        assert found == ["appended_0.wav", "+appended_0.wav", "appended_1.wav", "appended_2.wav"]
        return
    assert len(found) == n_clips(kind)
    assert watched.arrivals.n_early == 0
    assert {isinstance(arrival.sound, Waveform) and arrival.sound.duration_s for arrival in watched.heard} == {3.0}
    assert all(arrival.sound.warnings == () for arrival in watched.heard)
    np.testing.assert_array_less(0.01, [np.abs(arrival.sound.samples[-100:]).max() for arrival in watched.heard])


@pytest.mark.slow
@pytest.mark.parametrize("trusts_system", [True, False])
def test_recorders_at_work_side_by_side_lose_and_double_nothing(folder, trusts_system):
    """In real time, by the lookout's thread."""
    sounds = wav(folder.parent / "1.wav", 1, seconds=3.0), wav(folder.parent / "2.wav", 2, seconds=3.0)
    kinds = [kind for kind in RECORDERS if kind != "appended" or not trusts_system]

    def record(kind: str) -> None:
        for pause_s in play(kind, folder, sounds):
            time.sleep(pause_s)

    watched = Watched(folder, trusts_system=trusts_system)
    arrivals = watched.arrivals = Arrivals(folder, ArrivalSettings(trusts_system=trusts_system), channel=None)
    recorders = [threading.Thread(target=record, args=(kind,)) for kind in kinds]
    with arrivals:
        assert watched.look() == []
        for each in recorders:
            each.start()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and (arrivals.n_waiting or any(each.is_alive() for each in recorders)):
            watched.look()
            arrivals.wait(1.0, threading.Event())
    names = [Path(arrival.name).stem for arrival in watched.heard]
    assert sorted(names) == sorted(
        name for kind in kinds for name in ([f"rec{i}" for i in range(3)] * 3 if kind == "reuse" else clips(kind))
    )
    assert arrivals.n_early == 0
    assert {arrival.sound.duration_s for arrival in watched.heard} == {3.0}


def clips(kind: str) -> list[str]:
    return [f"{kind}_{number}" for number in range(3)]
