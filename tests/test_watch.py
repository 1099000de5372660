"""Listening all day: arrival, alarms, drift, and a table that survives kill -9."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from printed import after, before
from sounds import PROJECT, hum

from asd_core.artifacts.store import open_artifact, publish
from asd_core.audio.reading import encode_wav
from asd_core.cli import main
from asd_core.errors import ArtifactError, BusyError, UsageError
from asd_core.features.familiarity import ClipTraits, Familiarity, traits
from asd_core.monitoring import alarms as judging
from asd_core.monitoring import table as watch_table
from asd_core.monitoring import watch as watch_module
from asd_core.monitoring.alarms import AlarmRule, Judge
from asd_core.monitoring.arriving.arrivals import ArrivalSettings
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rows import _FIRST_COLUMNS, _SECOND_COLUMNS, COLUMNS, WatchRow, escaped, unescaped
from asd_core.monitoring.status import read_status
from asd_core.monitoring.table import Tail, default_table, is_running, list_tables, open_table, read_rows, watches_dir
from asd_core.monitoring.telling.events import EventLog, read_events
from asd_core.monitoring.watch import WatchRequest, _Watcher, watch
from asd_core.system.files import DiskFullError, csv_text
from asd_core.system.locks import hold
from asd_core.tasks.score import ScoreRow, score_clips
from asd_core.tasks.train import TrainingRequest, train

HOSTILE = (
    "=cmd|' C calc'!A0.wav",
    "a\nb.wav",
    "<img src=x onerror=alert(1)>.wav",
    "\u202egpj.wav",
    'q",".wav',
    "x\\x0a;.wav",
)

NOW = "2026-01-31T12:00:00.000+00:00"


def write(
    path: Path, seed: int, *, seconds: float = 1.0, knocks: int = 0, gain: float = 1.0, age_s: float = 0.0
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_wav(np.float32(gain) * hum(seed, seconds=seconds, knocks=knocks).samples))
    if age_s:
        os.utime(path, (time.time() - age_s,) * 2)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A detector of a hum; knocks are anomalous."""
    data = tmp_path_factory.mktemp("watch") / "pump"
    for seed in range(90):
        write(data / "normal" / f"{seed:03d}.wav", seed)
    return train(TrainingRequest("vggish_ocsvm", data, out=data.parent / "out")).model


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


AT_ONCE, SOON = ArrivalSettings(settle_s=0.0), ArrivalSettings(settle_s=0.1)


def run_once(folder, model, table, **options):
    return watch(WatchRequest(folder, model, table, once=True, poll_s=0.05, **{"arrivals": AT_ONCE, **options}))


def rows_of(table: Path) -> list[WatchRow]:
    return read_rows(table)[0] if table.exists() else []


def names(table: Path) -> list[str]:
    return [Path(unescaped(row.path)).name for row in rows_of(table)]


def scored(verdict: str) -> ScoreRow:
    return ScoreRow("a.wav", "m", "", "ok" if verdict else "refused", "", 1.0 if verdict else None, 0.5, verdict, True)


# Alarms


def alarms(rule: AlarmRule, word: str) -> tuple[str, list[str]]:
    judge = Judge(rule)
    verdicts = {".": "normal", "x": "anomalous", "?": ""}
    rows = [judge.judge(scored(verdicts[letter]), None, now=NOW) for letter in word]
    return "".join("01"[row.alarm] for row in rows), [f"{i}{row.event}" for i, row in enumerate(rows) if row.event]


@pytest.mark.parametrize(
    ("rule", "word", "expected", "events"),
    [
        ("3/5", "..x.x.x", "0000001", ["6raised"]),
        ("3/5", "xx...x...", "000000000", []),
        ("3/5", "xxx.x......", "00111110000", ["2raised", "7cleared"]),
        ("3/5", "xx???x", "000001", ["5raised"]),
        ("1/1", ".x.x", "0101", ["1raised", "2cleared", "3raised"]),
        ("2/2", "xx.x.", "01111", ["1raised"]),
        ("2/2", "xx..", "0110", ["1raised", "3cleared"]),
        ("4/4", "xxxx.xx..x.", "00011111110", ["3raised", "10cleared"]),
    ],
)
def test_k_of_n_raise_an_alarm_and_fewer_than_half_of_k_clear_it(rule, word, expected, events):
    assert alarms(AlarmRule.parse(rule), word) == (expected, events)


@pytest.mark.parametrize("text", ["", "3", "0/5", "6/5", "3/0", "-1/2", "3/5/7", "1/1001", "3 of 5"])
def test_an_alarm_rule_that_makes_no_sense_is_refused(text):
    with pytest.raises(UsageError, match="alarm"):
        AlarmRule.parse(text)


def watcher(lines: list[str], rows, folder: Path) -> _Watcher:
    """A watch by 4 of 7 that has read a table of these rows; what it says goes to `lines`."""
    known = {"version": "v0001", "title": "A", "simulated": True, "folder": Path("m"), "familiarity": None}
    scores = SimpleNamespace(of=lambda _: SimpleNamespace(anomaly_scores=np.array([])))
    artifact = SimpleNamespace(**known, channel=None, threshold=SimpleNamespace(value=0.5), scores=scores)
    table = SimpleNamespace(rows=lambda: iter(rows), damaged=0, path=folder / "t.csv")
    request = WatchRequest(folder, Path("m"), rule=AlarmRule(4, 7))
    found = _Watcher(request, folder, artifact, None, table, threading.Event(), lines.append)
    found._recall()
    return found


def test_a_watch_begins_by_saying_what_raises_and_clears_an_alarm(tmp_path):
    lines: list[str] = []
    judge = Judge(AlarmRule(4, 7))
    rows = [judge.judge(replace(scored("anomalous"), path=f"{i}.wav"), None, now=NOW) for i in range(5)]
    watcher(lines, rows, tmp_path)
    assert [before(lines[0], word) for word in ("anomalous of", "clips", "or fewer")] == ["4", "7", "1"]
    assert before(lines[-1], "clips") == "5"
    assert "alarm on" in lines[-1]


def test_a_cleared_alarm_is_told_with_the_count_at_that_time(tmp_path):
    lines: list[str] = []
    judge = Judge(AlarmRule(4, 7))
    rows = [judge.judge(replace(scored("anomalous"), path=f"{i}.wav"), None, now=NOW) for i in range(4)]
    found = watcher(lines, rows, tmp_path)
    lines.clear()
    for i in range(6):
        row = found._judge.judge(replace(scored("normal"), path=f"later {i}.wav"), None, now=NOW)
        found._tell(row, "")
    assert len(lines) == 1
    assert "cleared" in lines[0]
    assert (before(lines[0], "of the last"), after(lines[0], "of the last")) == ("1", "7")


# Drift


def some_traits(**changes) -> ClipTraits:
    return replace(ClipTraits(-30.0, -20.0, 6000.0, -35.0, 10.0, 500.0), **changes)


def test_drift_is_named_when_the_median_of_recent_clips_leaves_the_training_range():
    training = [some_traits(level_dbfs=-30 + 0.1 * i) for i in range(20)]
    known = Familiarity.fit(training)
    judge = Judge(familiarity=known, n_drift=5)
    said = [
        judge.judge(scored("normal"), some_traits(level_dbfs=-28.1 + gain), now=NOW).drift for gain in [0] * 5 + [6] * 5
    ]
    assert said == [""] * 7 + ["level is 6.0 dB above training"] * 3
    assert known.drift([]) == ()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"level_dbfs": -40.0}, "level is 10.0 dB below training"),
        ({"noise_floor_db": -30.0}, "noise floor is 5.0 dB above training"),
        ({"bandwidth_hz": 3000.0}, "bandwidth is 3000 Hz, below training (at least 6000 Hz)"),
        ({"centroid_hz": 900.0}, "spectrum's centre is 900 Hz, above training (at most 500 Hz)"),
        ({"duration_s": 2.0}, "length is 2 s, below training (at least 10 s)"),
    ],
)
def test_each_trait_drifts_in_its_own_words(changes, text):
    known = Familiarity.fit([some_traits()] * 10)
    assert known.drift([some_traits(**changes)] * 3) == (text,)
    assert known.drift([some_traits(), some_traits(), some_traits(**changes)]) == ()


def test_training_clips_themselves_do_not_drift():
    clips = [traits(hum(seed)) for seed in range(40)]
    known = Familiarity.fit(clips)
    assert known.drift(clips[:20]) == known.drift([traits(hum(seed)) for seed in range(100, 120)]) == ()


# Lines of the table


@pytest.mark.parametrize("name", [*HOSTILE, "plain.wav", os.fsdecode(b"\xff.wav"), "\r.wav", "\U0001f50a.wav"])
def test_a_line_is_one_line_and_reads_back_whatever_the_name(name):
    row = Judge().judge(replace(scored("anomalous"), path=name, reason="a\nb"), some_traits(), now=NOW)
    line = row.line()
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    read = WatchRow.parse(line)
    assert unescaped(read.path) == name
    assert read == row


@pytest.mark.parametrize(
    "line", [b"", b"a,b\n", b"\xff\n", b",".join([b"x"] * len(COLUMNS)), b'"' + b"," * len(COLUMNS), b"\0" * 40]
)
def test_a_damaged_line_is_not_taken_for_a_row(line):
    with pytest.raises(ValueError, match=r"must|codec|line|expected|NUL|isoformat"):
        WatchRow.parse(line)


def test_not_a_number_is_no_score():
    line = Judge().judge(scored("normal"), None, now=NOW).line()
    with pytest.raises(ValueError, match="finite"):
        WatchRow.parse(line.replace(b",1.0,", b",nan,"))


# Watching


def test_clips_are_judged_in_order_of_time_then_name_and_score_as_the_score_command_says(model, folder, tmp_path):
    for name, age in (("b", 30), ("a", 30), ("c", 60), ("sub/d", 10)):
        write(folder / f"{name}.wav", ord(name[-1]), knocks=4 * (name == "a"), age_s=age)
    stamp = time.time_ns() - 30 * 10**9
    for name in "ab":
        os.utime(folder / f"{name}.wav", ns=(stamp, stamp))
    report = run_once(folder, model, tmp_path / "t.csv")
    assert names(tmp_path / "t.csv") == ["c.wav", "a.wav", "b.wav", "d.wav"]
    by_path = {row.path: row for row in score_clips([folder], [model])}
    for row in rows_of(tmp_path / "t.csv"):
        assert row.anomaly_score == by_path[row.path].anomaly_score
        assert (row.status, row.verdict) == (by_path[row.path].status, by_path[row.path].verdict)
    assert (report.n_judged, report.refused) == (4, [])
    assert rows_of(tmp_path / "t.csv")[1].verdict == "anomalous"


def test_an_alarm_is_raised_and_cleared_and_told(model, folder, tmp_path):
    for i in range(14):
        write(folder / f"{i:02d}.wav", 200 + i, knocks=4 * (4 <= i < 8), age_s=100 - i)
    lines: list[str] = []
    request = WatchRequest(folder, model, tmp_path / "t.csv", once=True, rule=AlarmRule(3, 5), arrivals=AT_ONCE)
    report = watch(request, say=lines.append)
    verdicts = [row.verdict for row in rows_of(tmp_path / "t.csv")]
    assert verdicts[4:8] == ["anomalous"] * 4
    assert (report.n_raised, report.n_cleared, report.alarm) == (1, 1, False)
    assert [row.event for row in rows_of(tmp_path / "t.csv")][6] == "raised"
    assert sum("alarm raised: 3 of the last 5" in line for line in lines) == 1
    assert sum("alarm cleared" in line for line in lines) == 1


def test_nothing_is_judged_twice_and_the_alarm_goes_on_after_a_restart(model, folder, tmp_path):
    whole, parts = tmp_path / "whole.csv", tmp_path / "parts.csv"
    for i in range(12):
        write(folder / f"{i:02d}.wav", 300 + i, knocks=4 * (3 <= i < 8), age_s=100 - i)
    run_once(folder, model, whole, n_drift=4)
    later = [shutil.move(folder / f"{i:02d}.wav", tmp_path / f"{i:02d}.wav") for i in range(5, 12)]
    run_once(folder, model, parts, n_drift=4)
    for path in later:
        shutil.move(path, folder)
        run_once(folder, model, parts, n_drift=4)
    report = run_once(folder, model, parts, n_drift=4)
    assert (report.n_before, report.n_judged) == (12, 0)
    assert [replace(row, time="") for row in rows_of(parts)] == [replace(row, time="") for row in rows_of(whole)]
    assert "raised" in {row.event for row in rows_of(parts)}


def test_a_refused_file_is_a_row_with_its_reason_and_never_counts_for_the_alarm(model, folder, tmp_path):
    (folder / "text.wav").write_bytes(b"no sound" * 20)
    write(tmp_path / "elsewhere.wav", 1)
    (folder / "link.wav").symlink_to(tmp_path / "elsewhere.wav")
    (folder / "dir").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.wav")
    (folder / "notes.txt").write_text("not audio")
    write(folder / ".hidden.wav", 2)
    write(folder / "good.wav", 3, age_s=9)
    report = run_once(folder, model, tmp_path / "t.csv")
    found = {Path(row.path).name: row.reason.partition(":")[0] for row in rows_of(tmp_path / "t.csv")}
    assert found == {"good.wav": "short", "text.wav": "magic", "link.wav": "not_file", "pipe.wav": "not_file"}
    assert len(report.refused) == 3
    assert all(row.verdict == "" and row.anomaly_score is None for row in rows_of(tmp_path / "t.csv")[1:])


def test_what_is_no_recording_is_counted_by_kind_and_our_own_table_is_not(model, folder, tmp_path, capsys):
    write(folder / "sub" / "good.wav", 1, age_s=9)
    for name in ("a.txt", "sub/b.TXT", "photo.jpg", "@eaDir/good.wav", ".hidden.wav", "part"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "linked").symlink_to(tmp_path)
    report = run_once(folder, model, folder / "t.csv")
    assert report.to_json()["skipped"] == {
        ".txt": 2,
        ".jpg": 1,
        "hidden": 1,
        "linked folders": 1,
        "of the operating system": 1,
        "without suffix": 1,
    }
    assert report.skipped.kinds[".txt"] == ("a.txt", "sub/b.TXT")
    assert main(["watch", str(folder), "--model", str(model), "--once", "--csv", str(folder / "t.csv")]) == 0
    assert "7 skipped: 2 .txt (a.txt, sub/b.TXT), 1 .jpg (photo.jpg)" in capsys.readouterr().err


def compressed(path: Path, seed: int, encoder: str) -> Path:
    """A clip as a phone saves it."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(hum(seed, seconds=2.0).samples[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path


def test_other_formats_than_wav_and_flac_are_watched(model, folder, tmp_path):
    compressed(folder / "a.mp3", 1, "libmp3lame")
    compressed(folder / "b.M4A", 2, "aac")
    run_once(folder, model, tmp_path / "t.csv")
    found = {Path(row.path).name: row for row in rows_of(tmp_path / "t.csv")}
    assert set(found) == {"a.mp3", "b.M4A"}
    assert all("lossy: " in row.reason and row.verdict for row in found.values())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_judged_once(model, folder, tmp_path, name):
    write(folder / name, 1)
    run_once(folder, model, tmp_path / "t.csv")
    assert run_once(folder, model, tmp_path / "t.csv").n_judged == 0
    assert names(tmp_path / "t.csv") == [name]


def test_a_missing_folder_or_a_foreign_table_is_refused(model, folder, tmp_path):
    with pytest.raises(UsageError, match="not a folder"):
        run_once(tmp_path / "nowhere", model, tmp_path / "t.csv")
    for content in ("path,score\na,1\n", "just a note"):
        (tmp_path / "mine.csv").write_text(content)
        with pytest.raises(UsageError, match="no table of a watch"):
            run_once(folder, model, tmp_path / "mine.csv")
        assert (tmp_path / "mine.csv").read_text() == content
    (tmp_path / "link.csv").symlink_to(tmp_path / "mine.csv")
    with pytest.raises(UsageError, match="cannot be written"):
        run_once(folder, model, tmp_path / "link.csv")
    with pytest.raises(ArtifactError):
        run_once(folder, tmp_path, tmp_path / "t.csv")


@pytest.mark.parametrize("options", [{"poll_s": 0.0}, {"poll_s": float("nan")}, {"n_drift": 0}])
def test_settings_out_of_range_are_refused(folder, model, options):
    with pytest.raises(UsageError):
        WatchRequest(folder, model, **options)


def test_without_a_threshold_a_watch_ends_before_it_begins_or_records_scores_as_asked(model, folder, tmp_path):
    artifact = open_artifact(model)
    threshold = replace(artifact.threshold, value=None, reason="too few clips", per_id=None)
    place = tmp_path / "set" / "pump" / "vggish_ocsvm"
    place.mkdir(parents=True)
    manifest = replace(artifact.manifest, threshold=threshold)
    publish(place, manifest=manifest, state=artifact.detector().state, scores=artifact.scores.clips)
    write(folder / "a.wav", 1)
    with pytest.raises(UsageError, match=r"no threshold.*--record"):
        run_once(folder, place, tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()
    report = run_once(folder, place, tmp_path / "t.csv", record=True)
    assert "no threshold" in report.warnings[0]
    (row,) = rows_of(tmp_path / "t.csv")
    assert (row.verdict, row.anomaly_score is None) == ("", False)


class Watching:
    """A watch in a thread of this process."""

    def __init__(self, request: WatchRequest) -> None:
        self.stop, self.lines = threading.Event(), []
        self.request, self.error, self.is_to_fail = request, None, False
        self._thread = threading.Thread(target=self._watch)

    def _watch(self):
        try:
            watch(self.request, stop=self.stop, say=self.lines.append)
        except OSError as error:
            self.error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()
        if self.error is not None and not self.is_to_fail:
            raise self.error

    def until(self, condition, seconds: float = 20.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.lines, rows_of(self.request.table))
            time.sleep(0.02)


def test_a_growing_file_waits_until_it_is_whole(model, folder, tmp_path):
    content = encode_wav(hum(1, seconds=4.0).samples)
    with Watching(WatchRequest(folder, model, tmp_path / "t.csv", poll_s=0.25)) as watching:
        watching.until(lambda: (tmp_path / "t.csv").is_file())
        with (folder / "a.wav").open("wb") as stream:
            for start in range(0, len(content), len(content) // 20 + 1):
                stream.write(content[start : start + len(content) // 20 + 1])
                stream.flush()
                time.sleep(0.05)
        watching.until(lambda: rows_of(tmp_path / "t.csv"))
    (row,) = rows_of(tmp_path / "t.csv")
    assert "truncated" not in row.reason
    assert row.traits.duration_s == 4.0


def test_a_truncated_file_that_no_longer_grows_is_judged_with_its_warning(model, folder, tmp_path):
    content = encode_wav(hum(1, seconds=4.0).samples)
    (folder / "a.wav").write_bytes(content[: len(content) // 2])
    run_once(folder, model, tmp_path / "t.csv")
    (row,) = rows_of(tmp_path / "t.csv")
    assert row.status == "warning"
    assert "truncated" in row.reason


def test_a_folder_that_goes_away_is_waited_for(model, folder, tmp_path):
    table = tmp_path / "t.csv"
    with Watching(WatchRequest(folder, model, table, poll_s=0.05, arrivals=SOON)) as watching:
        write(folder / "a.wav", 1)
        watching.until(lambda: names(table) == ["a.wav"])
        folder.rename(tmp_path / "away")
        watching.until(lambda: any("waiting for" in line for line in watching.lines))
        (tmp_path / "away").rename(folder)
        write(folder / "b.wav", 2)
        watching.until(lambda: names(table) == ["a.wav", "b.wav"])
    assert sum("waiting for" in line for line in watching.lines) == 1
    assert any("is back" in line for line in watching.lines)


def test_a_folder_that_is_deleted_and_made_again_is_watched_on(model, folder, tmp_path):
    table = tmp_path / "t.csv"
    with Watching(WatchRequest(folder, model, table, poll_s=0.05, arrivals=SOON)) as watching:
        for number in range(5):
            write(folder / "sub" / f"{number}.wav", number)
            watching.until(lambda: len(names(table)) == number + 1)  # noqa: B023 - called at once
            shutil.rmtree(folder)
            watching.until(lambda: sum("waiting for" in line for line in watching.lines) == number + 1)  # noqa: B023
            folder.mkdir()
    assert names(table) == [f"{number}.wav" for number in range(5)]
    assert sum("is back" in line for line in watching.lines) >= 4


def test_a_watched_folder_that_becomes_a_link_or_a_file_is_waited_for_and_not_followed(model, folder, tmp_path):
    table, elsewhere = tmp_path / "t.csv", tmp_path / "elsewhere"
    write(elsewhere / "secret.wav", 1)
    with Watching(WatchRequest(folder, model, table, poll_s=0.05, arrivals=AT_ONCE)) as watching:
        watching.until(lambda: watching.lines)
        folder.rmdir()
        folder.symlink_to(elsewhere)
        watching.until(lambda: any("has become a link" in line for line in watching.lines))
        folder.unlink()
        folder.write_text("a file")
        time.sleep(0.2)
        folder.unlink()
        write(folder / "a.wav", 2)
        watching.until(lambda: names(table) == ["a.wav"])
    assert any("is back" in line for line in watching.lines)


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_watch_whose_table_goes_away_ends_and_says_so_instead_of_writing_into_nothing(model, folder, tmp_path, how):
    table = folder / "t.csv"
    write(folder / "a.wav", 1)
    with open_table(table) as opened:
        list(opened.rows())
        table.unlink()
        if how == "replaced":
            table.write_text("somebody else's")
        with pytest.raises(OSError, match="removed or replaced while the watch wrote to it"):
            opened.append(_row())
    table.unlink(missing_ok=True)
    run_once(folder, model, table)  # the next start makes a new one
    assert names(table) == ["a.wav"]


def _row():
    scored = ScoreRow("a.wav", "model", "", "ok", "", 1.0, 2.0, "normal", False)
    return Judge(AlarmRule()).judge(scored, None, now=NOW)


def test_a_new_version_is_picked_up_at_the_next_start_only(model, folder, tmp_path):
    place = tmp_path / "set" / "pump" / "vggish_ocsvm"
    shutil.copytree(model, place)
    first = open_artifact(place)
    table = tmp_path / "t.csv"
    with Watching(WatchRequest(folder, place, table, poll_s=0.05, arrivals=AT_ONCE)) as watching:
        write(folder / "a.wav", 1)
        watching.until(lambda: len(rows_of(table)) == 1)
        second = publish(place, manifest=first.manifest, state=first.detector().state, scores=first.scores.clips)
        write(folder / "b.wav", 2)
        watching.until(lambda: len(rows_of(table)) == 2)
    write(folder / "c.wav", 3)
    run_once(folder, place, table)
    assert [Path(row.model).name for row in rows_of(table)] == [first.version, first.version, second.version]


def test_one_table_takes_one_watch(model, folder, tmp_path):
    table = tmp_path / "t.csv"
    with Watching(WatchRequest(folder, model, table, poll_s=0.05, arrivals=AT_ONCE)) as watching:
        watching.until(lambda: table.is_file() and is_running(table))
        with pytest.raises(BusyError, match="another watch"):
            run_once(folder, model, table)
    assert not is_running(table)


def test_without_a_named_table_the_rows_go_where_the_page_finds_them(model, folder):
    before = list_tables()
    write(folder / "a.wav", 1)
    run_once(folder, model, None)
    (table,) = set(list_tables()) - set(before)
    assert table == default_table(folder.resolve(), open_artifact(model))
    assert table.parent == watches_dir()
    assert run_once(folder, model, None).n_before == 1


# Kills


@pytest.fixture
def five_rows(model, folder, tmp_path):
    for i in range(5):
        write(folder / f"{i}.wav", 400 + i, age_s=20 - i)
    run_once(folder, model, tmp_path / "t.csv")
    return tmp_path / "t.csv"


def test_a_table_cut_at_any_byte_of_its_last_line_is_made_whole_again(model, folder, five_rows):
    content = five_rows.read_bytes()
    kept = [replace(row, time="") for row in rows_of(five_rows)]
    last = content[:-1].rindex(b"\n") + 1
    for cut in [*range(last, len(content), 37), len(content) - 1]:
        five_rows.write_bytes(content[:cut])
        assert len(rows_of(five_rows)) == 4
        with open_table(five_rows) as table:
            assert len(list(table.rows())) == 4
        assert five_rows.read_bytes() == content[:last]
    run_once(folder, model, five_rows)
    assert [replace(row, time="") for row in rows_of(five_rows)] == kept


def test_a_header_cut_anywhere_is_written_again(model, folder, five_rows):
    header = five_rows.read_bytes().partition(b"\n")[0]
    for cut in range(0, len(header), 11):
        five_rows.write_bytes(header[:cut])
        with open_table(five_rows) as table:
            assert list(table.rows()) == []
        assert five_rows.read_bytes() == header + b"\n"


def test_a_damaged_line_in_the_middle_is_passed_over_and_its_clip_judged_again(model, folder, five_rows):
    lines = five_rows.read_bytes().splitlines(keepends=True)
    five_rows.write_bytes(b"".join([*lines[:3], b"\0" * 50 + b"\n", *lines[4:]]))
    report = run_once(folder, model, five_rows)
    assert (report.n_before, report.n_judged) == (4, 1)
    assert "1 damaged" in report.warnings[0]


def half_written(descriptor, content, whole=os.write):
    n_bytes = 1 if len(content) == 1 else len(content) // 2  # what threads wake one another with is no file
    return whole(descriptor, content[:n_bytes])


def no_room(descriptor, content, whole=os.write):
    if len(content) == 1:
        return whole(descriptor, content)
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("write_to_full_disk", [half_written, no_room])
def test_on_a_full_disk_a_look_ends_with_a_reason_and_nothing_half_written(
    model, folder, five_rows, monkeypatch, write_to_full_disk
):
    write(folder / "9.wav", 1)
    before = five_rows.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_to_full_disk)
        with pytest.raises(DiskFullError, match=r"is the disk full|No space left"):
            run_once(folder, model, five_rows)
    assert five_rows.read_bytes() == before
    assert run_once(folder, model, five_rows).n_judged == 1
    assert sorted(names(five_rows)) == ["0.wav", "1.wav", "2.wav", "3.wav", "4.wav", "9.wav"]


def test_a_watch_waits_for_room_on_a_full_disk_and_loses_neither_rows_nor_events(model, folder, tmp_path, monkeypatch):
    table = tmp_path / "t.csv"
    is_full = threading.Event()
    whole = os.write
    monkeypatch.setattr(watch_module, "DISK_WAIT_S", 0.05)
    monkeypatch.setattr(os, "write", lambda *it: no_room(*it) if is_full.is_set() else whole(*it))
    with Watching(WatchRequest(folder, model, table, poll_s=0.05, arrivals=AT_ONCE)) as watching:
        write(folder / "0.wav", 600, age_s=9)
        watching.until(lambda: names(table) == ["0.wav"])
        is_full.set()
        for i in range(1, 5):
            write(folder / f"{i}.wav", 600 + i, knocks=4, age_s=9 - i)
        watching.until(lambda: any("waiting for room" in line for line in watching.lines))
        assert names(table) == ["0.wav"]
        is_full.clear()
        watching.until(lambda: len(names(table)) == 5)
    assert names(table) == [f"{i}.wav" for i in range(5)]
    assert kinds(table) == ["started", "raised", "ended"]
    assert any("room on the disk again" in line for line in watching.lines)


def start(folder, model, table, *options) -> subprocess.Popen:
    command = [sys.executable, "-m", "asd_core", "watch", folder, "--model", model, "--csv", table, "--poll", "0.05"]
    return subprocess.Popen(
        [*map(str, command), *options], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kill_and_restart(folder, model, table, *, kills: int, clips: int, seed: int) -> None:
    """Let clips arrive while the watch is killed at random moments; then let it end by itself."""
    rng = random.Random(seed)
    names_left = [f"{i:03d}.wav" for i in range(clips)]
    for _ in range(kills):
        watching = start(folder, model, table)
        assert watching.stdout.readline().startswith("watching")
        for name in names_left[: clips // kills]:
            write(folder / name, int(name[:3]), knocks=4 * (10 <= int(name[:3]) < 20))
        names_left = names_left[clips // kills :]
        time.sleep(rng.uniform(0, 0.25))
        os.kill(watching.pid, signal.SIGKILL)
        watching.communicate()
    for name in names_left:
        write(folder / name, int(name[:3]))
    ended = start(folder, model, table, "--once")
    ended.communicate(timeout=120)
    assert ended.returncode == 0


def check_nothing_lost_or_doubled(folder, model, table, clips):
    found = rows_of(table)
    assert sorted(names(table)) == [f"{i:03d}.wav" for i in range(clips)]
    artifact = open_artifact(model)
    reference = artifact.scores.of("heldout").anomaly_scores
    judge = Judge(AlarmRule(3, 5), artifact.familiarity, reference=reference)
    no_file = {"recorded": "", "recorded_from": "", "n_bytes": None, "changed_ns": None}
    for row in found:
        again = judge.judge(
            ScoreRow(
                *(row.path, row.model, "", row.status, row.reason),
                *(row.anomaly_score, row.threshold, row.verdict, row.simulated),
            ),
            row.traits,
            now=row.time,
        )
        assert again == replace(row, path=escaped(row.path), model=escaped(row.model), **no_file)


@pytest.mark.slow
def test_five_kills_lose_nothing_and_double_nothing(model, folder, tmp_path):
    kill_and_restart(folder, model, tmp_path / "t.csv", kills=5, clips=40, seed=0)
    check_nothing_lost_or_doubled(folder, model, tmp_path / "t.csv", 40)


@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_double_nothing(model, folder, tmp_path):
    kill_and_restart(folder, model, tmp_path / "t.csv", kills=20, clips=200, seed=1)
    check_nothing_lost_or_doubled(folder, model, tmp_path / "t.csv", 200)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_the_watch_cleanly(model, folder, tmp_path, number, code):
    write(folder / "a.wav", 1)
    watching = start(folder, model, tmp_path / "t.csv", "--json", str(tmp_path / "r.json"))
    watching.stdout.readline()
    deadline = time.monotonic() + 20
    while not rows_of(tmp_path / "t.csv") and time.monotonic() < deadline:
        time.sleep(0.02)
    watching.send_signal(number)
    _, errors = watching.communicate(timeout=20)
    assert watching.returncode == code
    assert "1 clips scored" in errors
    assert "Traceback" not in errors
    assert '"command": "watch"' in (tmp_path / "r.json").read_text()


# Tables of earlier releases, which did not write all of today's columns


def as_of_an_earlier_release(table: Path, columns: tuple[str, ...] = _FIRST_COLUMNS) -> None:
    rows = list(csv.reader(table.read_text().splitlines()))
    table.write_text(csv_text([row[: len(columns)] for row in rows]))


def test_rows_say_whether_the_detector_was_trained_on_simulated_sound(five_rows, model):
    assert {row.simulated for row in rows_of(five_rows)} == {open_artifact(model).simulated} == {False}
    line = Judge().judge(scored("normal"), None, now=NOW).line()
    assert WatchRow.parse(line).simulated is True


@pytest.mark.parametrize("columns", [_FIRST_COLUMNS, _SECOND_COLUMNS])
def test_a_table_of_an_earlier_release_is_read_and_keeps_its_columns(model, folder, five_rows, columns):
    as_of_an_earlier_release(five_rows, columns)
    before = five_rows.read_bytes()
    assert [row.simulated for row in rows_of(five_rows)] == [None if columns == _FIRST_COLUMNS else False] * 5
    assert {row.signature for row in rows_of(five_rows)} == {None}
    write(folder / "later.wav", 500)
    run_once(folder, model, five_rows)
    assert five_rows.read_bytes().startswith(before)
    lines = five_rows.read_text().splitlines()
    assert lines[0] == ",".join(columns)
    assert len({len(next(csv.reader([line]))) for line in lines}) == 1
    assert names(five_rows) == ["0.wav", "1.wav", "2.wav", "3.wav", "4.wav", "later.wav"]


def test_a_row_tells_when_its_clip_was_recorded_and_which_file_it_was(model, folder, tmp_path):
    clip = write(folder / "mic 2026-11-03 14.05.09.wav", 1, age_s=9)
    run_once(folder, model, tmp_path / "t.csv")
    (row,) = rows_of(tmp_path / "t.csv")
    assert (row.recorded, row.recorded_from) == ("2026-11-03T14:05:09", "name")
    assert row.signature == (clip.stat().st_size, clip.stat().st_mtime_ns)
    assert row.key == rows_of(tmp_path / "t.csv")[0].key != replace(row, time=NOW).key


def test_a_file_that_is_written_again_is_a_new_clip_and_its_old_row_stays(model, folder, tmp_path):
    for seed in (1, 2, 3):
        write(folder / "ring.wav", seed, age_s=30 - seed)
        run_once(folder, model, tmp_path / "t.csv")
    rows = rows_of(tmp_path / "t.csv")
    assert len(rows) == 3
    assert len({row.anomaly_score for row in rows}) == len({row.key for row in rows}) == 3


# Events, and the heartbeat


def kinds(table: Path) -> list[str]:
    return [event.kind for event in read_events(Beside(table).events)]


def test_an_alarm_is_an_event_with_its_clip_between_the_watchs_start_and_end(model, folder, tmp_path):
    table = tmp_path / "t.csv"
    for i in range(14):
        write(folder / f"{i:02d}.wav", 200 + i, knocks=4 * (4 <= i < 8), age_s=100 - i)
    run_once(folder, model, table, machine="pump\n3")
    assert kinds(table) == ["started", "raised", "cleared", "ended"]
    (row,) = [row for row in rows_of(table) if row.event == "raised"]
    raised = read_events(Beside(table).events)[1]
    assert (raised.key, raised.time, raised.anomaly_score) == (row.key, row.time, row.anomaly_score)
    assert (raised.machine, raised.text) == ("pump\\xa;3", "alarm raised: 3 of the last 5 clips anomalous")


@pytest.mark.parametrize("lost", [b"", b'{"id": "torn'])
def test_an_event_that_a_kill_kept_from_the_log_is_written_at_the_next_start(model, folder, tmp_path, lost):
    table = tmp_path / "t.csv"
    for i in range(5):
        write(folder / f"{i:02d}.wav", 200 + i, knocks=4, age_s=100 - i)
    run_once(folder, model, table)
    log = Beside(table).events
    raised = read_events(log)[1]
    log.write_bytes(log.read_bytes().splitlines(keepends=True)[0] + lost)
    run_once(folder, model, table)
    assert kinds(table) == ["started", "raised", "started", "ended"]
    again = read_events(log)[1]
    assert (again.id, again.key, again.time, again.anomaly_score) == (
        raised.id,
        raised.key,
        raised.time,
        raised.anomaly_score,
    )


def test_a_watch_that_ends_by_an_error_tells_it_and_one_that_died_is_named_at_the_next_start(model, folder, tmp_path):
    table = tmp_path / "t.csv"
    with Watching(WatchRequest(folder, model, table, poll_s=0.05, arrivals=AT_ONCE)) as watching:
        watching.is_to_fail = True
        watching.until(lambda: kinds(table) == ["started"])
        table.unlink()
        write(folder / "a.wav", 1, age_s=9)
        watching.until(lambda: kinds(table) == ["started", "ended"])
    assert "removed or replaced" in str(watching.error)
    texts = [event.text for event in read_events(Beside(table).events)]
    assert "error" not in texts[0]
    assert "ended by an error" in texts[1]
    log = Beside(table).events
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:1]))  # as a kill leaves it
    run_once(folder, model, table)
    assert "killed or died" in read_events(log)[1].text
    run_once(folder, model, table)
    assert "died" not in read_events(log)[3].text


def test_an_event_that_is_in_the_log_is_not_written_again(model, folder, tmp_path):
    table = tmp_path / "t.csv"
    for i in range(5):
        write(folder / f"{i:02d}.wav", 200 + i, knocks=4, age_s=100 - i)
    run_once(folder, model, table)
    run_once(folder, model, table)
    assert kinds(table) == ["started", "raised", "ended", "started", "ended"]


def test_events_that_do_not_fit_on_the_disk_wait_and_keep_their_order(model, folder, tmp_path, monkeypatch):
    table, real, failures = tmp_path / "t.csv", EventLog.append, []

    def append(log, event):
        if event.kind == "raised" and len(failures) < 3:
            failures.append(event)
            raise DiskFullError("full")
        return real(log, event)

    monkeypatch.setattr(EventLog, "append", append)
    monkeypatch.setattr(watch_module, "HEARTBEAT_S", 0.0)
    for i in range(14):
        write(folder / f"{i:02d}.wav", 200 + i, knocks=4 * (4 <= i < 8), age_s=100 - i)
    run_once(folder, model, table)
    assert kinds(table) == ["started", "raised", "cleared", "ended"]
    assert len(failures) == 3


def test_the_heartbeat_says_what_the_watch_is_doing_and_that_it_has_ended(model, folder, tmp_path):
    table = tmp_path / "t.csv"
    write(folder / "a.wav", 1, age_s=9)
    with Watching(WatchRequest(folder, model, table, poll_s=0.05, machine="pump 3", arrivals=AT_ONCE)) as watching:
        watching.until(lambda: (status := read_status(Beside(table).status)) is not None and status.n_judged == 1)
        status = read_status(Beside(table).status)
    assert (status.state, status.machine, status.pid) == ("listening", "pump 3", os.getpid())
    assert status.newest.anomaly_score == rows_of(table)[0].anomaly_score
    assert read_status(Beside(table).status).state == "ended"


def test_what_lies_beside_a_table_in_the_watched_folder_is_never_taken_for_recordings(model, folder):
    write(folder / "a.wav", 1, age_s=9)
    run_once(folder, model, folder / "t.csv")
    write(Beside(folder / "t.csv").clips / "copy.wav", 2)
    report = run_once(folder, model, folder / "t.csv")
    assert (report.n_judged, report.skipped.to_json()) == (0, {})


# The command, and the page's view of a table


def test_the_command_ends_with_3_when_a_clip_was_refused(model, folder, tmp_path, capsys):
    write(folder / "a.wav", 1)
    (folder / "b.wav").write_bytes(b"no sound" * 20)
    os.utime(folder / "b.wav", (time.time() - 60,) * 2)  # a younger one is given time to become readable
    table = tmp_path / "t.csv"
    command = ["watch", str(folder), "--model", str(model), "--csv", str(table), "--once", "--poll", "0.05"]
    assert main(command) == 3
    assert table.read_text().startswith(
        "time,path,model,status,reason,anomaly_score,threshold,verdict,alarm,event,level_db"
    )
    assert main(command) == 0
    assert "refused" in capsys.readouterr().out
    assert main([*command, "--alarm", "7/5"]) == 2
    assert "got 7/5" in capsys.readouterr().err


def test_rows_are_written_in_the_order_of_their_recordings_and_late_ones_counted(model, folder, tmp_path, capsys):
    table = tmp_path / "t.csv"
    for seed, second in enumerate((10, 20, 40, 30)):
        write(folder / f"mic 2026-11-03 14.05.{second}.wav", seed, age_s=9)
        run_once(folder, model, table)
    with table.open("ab") as stream:
        stream.write(b"damaged\n")
    out, report = tmp_path / "ordered.csv", tmp_path / "r.json"
    assert main(["rows", str(table), "--csv", str(out), "--json", str(report)]) == 0
    assert [row.recorded[-2:] for row in rows_of(out)] == ["10", "20", "30", "40"]
    assert json.loads(report.read_text())["n_late"] == 1
    assert "1 damaged line" in capsys.readouterr().err
    assert main(["rows", str(table), "--judged"]) == 0
    judged = [line for line in capsys.readouterr().out.splitlines() if ".wav" in line]
    assert [line.partition(".wav")[0][-2:] for line in judged] == ["10", "20", "40", "30"]
    assert main(["rows", str(report)]) == 2


def test_the_tail_reads_only_what_is_new_and_starts_again_with_a_new_file(five_rows, monkeypatch):
    tail = Tail(five_rows, n_rows=3)
    assert [row.path[-5:] for row in tail.update()] == ["2.wav", "3.wav", "4.wav"]
    assert tail.is_cut
    line = five_rows.read_bytes().splitlines(keepends=True)[-1]
    with five_rows.open("ab") as stream:
        stream.write(line.replace(b"4.wav", b"5.wav") + line[:40])
    assert [row.path[-5:] for row in tail.update()] == ["3.wav", "4.wav", "5.wav"]
    five_rows.unlink()
    assert len(tail.update()) == 3
    five_rows.write_bytes(b"")
    assert list(tail.update()) == []


def test_a_table_opens_although_its_lock_is_held_for_an_instant(tmp_path):
    path = tmp_path / "t.csv"
    page = contextlib.ExitStack()
    page.enter_context(hold(watch_table._lock(path), busy="a page looks"))
    release = threading.Timer(0.1, page.close)
    release.start()
    try:
        with open_table(path) as table:
            assert table.path == path
    except BusyError as error:
        pytest.fail(str(error))
    finally:
        release.join()


def test_the_tail_of_a_long_table_begins_at_a_line(five_rows, monkeypatch):
    monkeypatch.setattr(watch_table, "TAIL_BYTES", 600)
    tail = Tail(five_rows)
    rows = tail.update()
    assert 1 <= len(rows) < 5
    assert tail.is_cut


# What a look costs


def test_no_name_is_escaped_at_a_look_that_finds_nothing(model, folder, tmp_path, monkeypatch):
    for number in range(3):
        write(folder / f"{number}.wav", number)
    run_once(folder, model, tmp_path / "t.csv")
    stop, calls, per_look = threading.Event(), [], []
    real = watch_module.escaped

    def wait(_):
        per_look.append(len(calls))
        calls.clear()
        if len(per_look) == 5:
            stop.set()

    for module in (judging, watch_module):
        monkeypatch.setattr(module, "escaped", lambda text: calls.append(text) or real(text))
    monkeypatch.setattr(watch_module, "HEARTBEAT_S", 3600.0)
    monkeypatch.setattr(stop, "wait", wait)
    watch(WatchRequest(folder, model, tmp_path / "t.csv", poll_s=3600.0, arrivals=AT_ONCE), stop=stop)
    assert per_look[0] > 0  # at the start, and for the first heartbeat
    assert per_look[1:] == [0] * 4
