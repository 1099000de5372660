"""The Monitor page over watches: what it says of each, what is heard by a press, what people say and start."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import encode_wav, read_waveform
from asd_core.errors import BusyError, InputError
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.control import FOREVER, read_control
from asd_core.monitoring.kept import Keeper
from asd_core.monitoring.notes import FAULT, NORMAL, read_notes
from asd_core.monitoring.rows import WatchRow, escaped
from asd_core.monitoring.status import WatchStatus, write_status
from asd_core.monitoring.table import open_table, watches_dir
from asd_core.monitoring.telling.events import CLEARED, RAISED, EventLog, WatchEvent, event_id
from asd_core.system.clock import utc_now
from pages.parts.monitor.sounds import OVERWRITTEN, sound_of

SVM = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"
HOSTILE = "<img src=x onerror=alert(1)>[l](javascript:alert(1)) :red[x]"
VERDICTS = ("normal",) * 4 + ("anomalous",) * 3 + ("normal",) * 5


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A data folder in which nothing has to be generated."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(SVM.parents[2]))
    monkeypatch.syspath_prepend(str(PROJECT))
    (tmp_path / "data" / "simulated-small" / "slider").mkdir(parents=True)
    return tmp_path / "data"


def opened(*, present: bool = False, **query: str) -> AppTest:
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    for key, value in query.items():
        app.query_params[key] = value
    app.session_state["present"] = present
    return app.switch_page("pages/monitor.py").run()


def text_of(page: AppTest) -> str:
    kinds = ("markdown", "caption", "text", "error", "warning", "info", "title")
    return "\n".join(str(element.value) for kind in kinds for element in page.get(kind))


def sent(page: AppTest, component: str) -> list[dict]:
    found = [each.proto for each in page.get("bidi_component") if each.proto.component_name == component]
    return [json.loads(each.json) for each in found]


def sounds(page: AppTest, label: str) -> dict:
    (found,) = [each for each in sent(page, "asd_play_list") if each["list"].startswith(label)]
    return found


def table_of(name: str = "pump", *, verdicts: tuple[str, ...] = VERDICTS, every_s: float = 610, folder: str = "/gone"):
    """A table of clips every ten minutes up to now, with an alarm at the third anomalous one, and its log."""
    path = watches_dir() / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    log, rows, on = EventLog(Beside(path).events), [], False
    log.open()
    with open_table(path) as table:
        list(table.rows())
        for number, word in enumerate(verdicts):
            past = verdicts[max(0, number - 4) : number + 1].count("anomalous")
            event = RAISED if not on and past >= 3 else CLEARED if on and past <= 1 else ""
            on = event == RAISED or (on and event != CLEARED)
            at = datetime.now(UTC) - timedelta(seconds=every_s * (len(verdicts) - number))
            score = 3.0 if word == "anomalous" else 1.0
            row = WatchRow(
                at.isoformat(timespec="milliseconds"), escaped(f"{folder}/{number:03d}.wav"), str(SVM), "ok", "",
                *(score, 2.0, word, on, event), simulated=True,
            )  # fmt: skip
            table.append(row)
            rows.append(row)
            if event:
                log.append(
                    WatchEvent(
                        event_id(event, row.key), event, row.time, name, f"alarm {event}: why", "", row.key, row.path
                    )
                )
    return path, rows


def beating(path: Path, **other: object) -> WatchStatus:
    texts = dict.fromkeys(("process_start", "folder", "model", "title", "rule", "settle_from", "notices"), "")
    given = {"at": utc_now("milliseconds"), "started_at": utc_now("milliseconds"), "state": "listening", **other}
    status = WatchStatus(pid=os.getpid(), settle_s=2.0, **{**texts, "machine": path.stem, **given})
    write_status(Beside(path).status, status)
    return status


@contextmanager
def running(path: Path, **other: object):
    """Pretend that a watch writes to a table."""
    with open_table(path) as table:
        list(table.rows())
        beating(path, **other)
        yield


# What it says


def test_a_newcomer_sees_the_demo_first_and_whoever_has_a_watch_sees_that(home):
    page = opened()
    assert page.session_state["monitor"] == "replay"
    table_of()
    page = opened()
    assert not page.exception
    assert page.session_state["monitor"] == "live"


def test_the_state_in_words_comes_first(home):
    path, rows = table_of()
    with running(path, machine="pump 3", started_at=rows[0].time):
        page = opened()
    assert not page.exception
    (headline,) = [each.value for each in page.markdown if each.value.startswith("## ")]
    assert "pump 3: quiet for 20 minutes" in headline
    assert ":blue[:material/check:" in headline
    assert "last heard 10 minutes ago" in text_of(page)
    assert "trained on simulated sound" in text_of(page)


def test_several_watches_are_shown_as_tiles_and_the_pressed_one_is_looked_at(home):
    alarmed, _ = table_of("b-alarmed", verdicts=VERDICTS[:7])
    table_of("a-quiet", verdicts=("normal",) * 3)
    (watches_dir() / "c-foreign.csv").write_bytes(b"\xff\0nonsense\n" * 50)
    with running(alarmed, machine=escaped(HOSTILE)):
        page = opened(watch="a-quiet.csv")
        assert not page.exception
        (tiles,) = sent(page, "asd_watches")
        assert [tile["kind"] for tile in tiles["tiles"]] == ["ended", "alarm", "empty"]
        assert (tiles["chosen"], tiles["wall"]) == ("a-quiet.csv", False)
        tile = tiles["tiles"][1]
        assert (tile["name"], tile["word"]) == (HOSTILE, "ALARM")
        assert tile["lines"][0] == "for 10 minutes"
        assert tile["lines"][2] == "last heard 10 minutes ago, score 3"
        assert tile["lines"][3] == "trained on simulated sound"
        assert tile["scores"] == [1, 1, 1, 1, 3, 3, 3]
        page.session_state["watch_next"] = "b-alarmed.csv"
        page.run()
    assert page.selectbox(key="watch").value == "b-alarmed.csv"
    assert "ALARM for" in text_of(page)
    for element in [*page.markdown, *page.caption]:
        assert "<img" not in str(element.value).replace("\\<", "")


def test_on_the_wall_there_are_tiles_alone(home):
    path, _ = table_of()
    with running(path):
        page = opened(monitor="live", present=True)
    assert not page.exception
    (tiles,) = sent(page, "asd_watches")
    assert tiles["wall"] is True
    assert [tile["kind"] for tile in tiles["tiles"]] == ["quiet"]
    assert page.get("vega_lite_chart") == []
    assert sent(page, "asd_play_list") == []


def test_no_more_than_eight_tiles_and_the_urgent_ones_are_among_them(home):
    for number in range(9):
        table_of(f"old{number}", verdicts=("normal",))
    path, _ = table_of("z-alarm", verdicts=VERDICTS[:7])
    with running(path, alarm=True):
        (tiles,) = sent(opened(watch="old3.csv"), "asd_watches")
    names = [tile["id"] for tile in tiles["tiles"]]
    assert len(names) == 8
    assert {"old3.csv", "z-alarm.csv"} <= set(names)
    assert names == sorted(names)


# What is heard


def test_a_link_to_a_clip_opens_it_with_its_alarm(home):
    path, rows = table_of()
    page = opened(monitor="live", watch=path.name, clip=rows[5].key)
    assert not page.exception
    assert [row["id"] for row in sounds(page, "This clip")["rows"]] == [rows[5].key]
    assert "The clip that was picked" in text_of(page)
    assert f"in the alarm of {rows[6].time[:10]}" in text_of(page).replace("\\", "")
    page.button(key="follow_newest").click().run()
    assert [row["id"] for row in sounds(page, "This clip")["rows"]] == [rows[-1].key]
    assert "The newest clip" in text_of(page)
    assert "clip" not in page.query_params


def test_a_link_to_an_alarm_whose_row_is_long_gone_opens_what_its_event_says(home):
    path, rows = table_of()
    old = WatchEvent(event_id(RAISED, "ab" * 8), RAISED, rows[0].time, "pump", "old", "", "ab" * 8, "/gone/old.wav")
    log = EventLog(Beside(path).events)
    log.open()
    log.append(replace(old, anomaly_score=7.5))
    page = opened(watch=path.name, clip="ab" * 8)
    assert not page.exception
    (row,) = sounds(page, "This clip")["rows"]
    assert row["title"].endswith("old.wav")
    assert "score 7.5" in row["note"]


@pytest.mark.parametrize("clip", ["nonsense", "<script>", "../../etc/passwd", ""])
def test_a_link_to_no_clip_shows_the_newest(home, clip):
    path, rows = table_of()
    page = opened(watch=path.name, clip=clip)
    assert not page.exception
    assert [row["id"] for row in sounds(page, "This clip")["rows"]] == [rows[-1].key]


def test_what_the_figure_tells_is_played_and_shown(home, monkeypatch):
    path, rows = table_of()
    page = opened(watch=path.name, span="all")
    assert sounds(page, "This clip")["told"] == {"id": "", "count": 0}
    live = "pages.parts.monitor.live"
    monkeypatch.setattr(f"{live}.figure", lambda clips, *, on_pick, **_: on_pick(clips[2].key))
    page.run()
    monkeypatch.setattr(f"{live}.figure", lambda *_, **__: None)
    page.run()
    assert sounds(page, "This clip")["told"] == {"id": rows[2].key, "count": 1}
    assert [row["id"] for row in sounds(page, "This clip")["rows"]] == [rows[2].key]
    assert sounds(page, "Last clips")["told"]["count"] == 0  # one of them plays it


def test_a_kept_copy_is_heard_before_the_file_and_a_file_written_anew_is_not_taken_for_the_clip(home):
    folder = home / "incoming"
    folder.mkdir()
    path, rows = table_of(folder=str(folder), verdicts=("normal",))
    row, file = rows[0], folder / "000.wav"
    assert sound_of(Beside(path), row) is None
    file.write_bytes(encode_wav(hum(1).samples))
    status = file.stat()
    row = replace(row, n_bytes=status.st_size, changed_ns=status.st_mtime_ns)
    np.testing.assert_array_equal(sound_of(Beside(path), row).samples, read_waveform(file).samples)
    file.write_bytes(encode_wav(hum(2).samples))
    with pytest.raises(InputError, match=OVERWRITTEN):
        sound_of(Beside(path), row)
    Keeper(Beside(path), 10**7).keep(row, hum(3))
    np.testing.assert_allclose(sound_of(Beside(path), row).samples, hum(3).samples, atol=1e-4)


def test_a_stretch_of_a_recording_that_still_grows_is_heard(home):
    folder = home / "incoming"
    folder.mkdir()
    path, rows = table_of(folder=str(folder), verdicts=("normal",))
    (folder / "000.wav").write_bytes(encode_wav(hum(1, seconds=4.0).samples))
    row = replace(rows[0], path=f"{rows[0].path}#t=1,3", n_bytes=7, changed_ns=1)
    whole = read_waveform(folder / "000.wav").samples
    np.testing.assert_array_equal(sound_of(Beside(path), row).samples, whole[16000:48000])


def test_files_outside_the_allowed_folders_are_not_read(home, tmp_path):
    (tmp_path / "000.wav").write_bytes(encode_wav(hum(1).samples))
    path, rows = table_of(folder=str(tmp_path), verdicts=("normal",))
    with pytest.raises(InputError, match="ASD_DATA_ROOTS"):
        sound_of(Beside(path), rows[0])


def chart(page: AppTest) -> list[dict]:
    (found,) = page.get("vega_lite_chart")
    return json.loads(found.proto.spec)["layer"][-1]["data"]["values"]


def test_late_clips_are_sorted_in_by_the_time_of_their_recording(home):
    path = watches_dir() / "late.csv"
    path.parent.mkdir(parents=True)
    recorded = ("2026-01-31T10:00:00", "2026-01-31T10:02:00", "2026-01-31T10:01:00")
    with open_table(path) as table:
        list(table.rows())
        for number, moment in enumerate(recorded):
            time = f"2026-01-31T12:00:0{number}.000+00:00"
            table.append(
                WatchRow(time, f"/in/{number}.wav", "m", "ok", "", 1.0 + number, 2.0, "normal", recorded=moment)
            )
    page = opened(watch=path.name)
    assert [point["score"] for point in chart(page)] == [1, 2, 3]
    page = opened(watch=path.name, by="recorded")
    assert not page.exception
    assert [point["score"] for point in chart(page)] == [1, 3, 2]
    assert chart(page)[1]["at"] == "2026-01-31T10:01:00+00:00"
    assert sounds(page, "Last clips")["rows"][0]["title"][:19] == "2026-01-31 10:02:00"


def test_the_figure_shows_the_last_hour_the_last_day_or_all(home):
    path, _ = table_of(verdicts=("normal",) * 30, every_s=3599)
    counts = [len(chart(opened(watch=path.name, span=span))) for span in ("hour", "day", "all")]
    assert counts == [2, 25, 30]


def test_a_clip_of_the_demo_is_heard_as_it_comes_where_sound_is_on(home):
    page = opened(replay_sound="on")
    page.button(key="replay").click().run()
    replay = page.session_state["monitor_replay"]
    replay._revealed, replay.paused = 3.5, True
    page.run()
    told = sounds(page, "Last clips")["told"]
    assert told == {"id": replay.rows[-1].key, "count": 1}
    page.run()
    assert sounds(page, "Last clips")["told"] == told  # nothing came: nothing is played again
    page.toggle(key="replay_sound").set_value(False).run()
    replay._revealed = 5.5
    page.run()
    assert sounds(page, "Last clips")["told"] == told


# What people say


def test_a_clip_is_called_a_fault_with_a_note_and_that_is_taken_back(home):
    path, rows = table_of()
    page = opened(watch=path.name)
    key = f"clip:{path.name}:{rows[-1].key}"
    page.text_input(key=f"note:{key}").set_value(f"  worn {HOSTILE}")
    page.button(key=f"fault:{key}").click().run()
    assert not page.exception
    said = read_notes(Beside(path))[rows[-1].key]
    assert (said.said, said.text) == (FAULT, f"worn {HOSTILE}")
    assert "marked as a fault" in text_of(page)
    assert any(HOSTILE in each.value for each in page.text)
    assert sounds(page, "Last clips")["rows"][0]["truth"] == "called normal; marked as fault"
    assert "<img" not in "\n".join(str(each.value) for each in page.markdown).replace("\\<", "")
    page.button(key=f"undo:{key}").click().run()
    assert read_notes(Beside(path)) == {}
    assert page.button(key=f"normal:{key}")


def test_what_is_said_of_an_alarm_is_said_of_its_anomalous_clips_too(home):
    path, rows = table_of()
    page = opened(watch=path.name, watch_part="alarms")
    assert not page.exception
    alarm = event_id(RAISED, rows[6].key)
    key = f"alarm:{path.name}:{alarm}"
    assert len(sounds(page, "Clips of the alarm")["rows"]) == 8  # three before it, and the clip that cleared it
    assert "alarm raised: why; raised by 006.wav" in text_of(page)
    page.button(key=f"acknowledged:{key}").click().run()
    assert list(read_notes(Beside(path))) == [alarm]
    page.button(key=f"normal:{key}").click().run()
    assert {key: note.said for key, note in read_notes(Beside(path)).items()} == dict.fromkeys(
        [alarm, *(row.key for row in rows[4:7])], NORMAL
    )
    page.button(key=f"undo:{key}").click().run()
    assert read_notes(Beside(path)) == {}


def test_a_watch_without_an_alarm_says_so(home):
    path, _ = table_of(verdicts=("normal",) * 3)
    assert "No alarm has been raised" in text_of(opened(watch=path.name, watch_part="alarms"))


# What people start and stop


def test_a_watch_is_started_from_the_form(home, monkeypatch):
    asked = []

    def started(settings):
        asked.append(settings)
        return table_of("hall", verdicts=("normal",))[0]

    monkeypatch.setattr("pages.shared.watch_form.start_watch", started)
    page = opened(monitor="live")
    page.text_input(key="new_watch_folder").set_value(" /srv/hall ")
    page.text_input(key="new_watch_machine").set_value("pump 3")
    page.selectbox(key="new_watch_rule").set_value("budget:1/week")
    page.number_input(key="new_watch_every").set_value(10.0)
    next(each for each in page.button if each.label == "Start watching").click().run()
    assert not page.exception
    (settings,) = asked
    assert (settings.folder, settings.machine, settings.alarm) == ("/srv/hall", "pump 3", "budget:1/week")
    assert (settings.every_s, settings.segment_s) == (10.0, None)
    assert Path(settings.model).parent == SVM.parent
    assert page.selectbox(key="watch").value == "hall.csv"


def test_a_watch_that_cannot_be_started_says_why(home, monkeypatch):
    def refused(_):
        raise BusyError("8 watches are running, the most at a time: stop one first")

    monkeypatch.setattr("pages.shared.watch_form.start_watch", refused)
    page = opened(monitor="live")
    next(each for each in page.button if each.label == "Start watching").click().run()
    assert not page.exception
    assert "8 watches are running" in text_of(page)


def test_a_running_watch_is_stopped_paused_and_resumed(home, monkeypatch):
    path, _ = table_of()
    stopped = []
    monkeypatch.setattr("pages.parts.monitor.controls.stop_watch", stopped.append)
    with running(path):
        page = opened(watch=path.name)
        page.button(key=f"pause:{path.name}").click().run()
        until = read_control(Beside(path).control).paused_until
        minutes = (datetime.fromisoformat(until) - datetime.now(UTC)).total_seconds() / 60
        assert 29 < minutes <= 30.1
        page.button(key=f"resume:{path.name}").click().run()
        assert read_control(Beside(path).control).paused_until not in (until, FOREVER)
        page.button(key=f"stop:{path.name}").click().run()
    assert stopped == [path]
    assert not page.exception


def test_a_watch_that_was_started_here_can_be_started_again_once_it_has_ended(home, monkeypatch):
    path, _ = table_of()
    again = []
    monkeypatch.setattr(
        "pages.parts.monitor.controls.start_again", lambda table, *, model: again.append((table, model))
    )
    assert not [each for each in opened(watch=path.name).button if each.key == f"again:{path.name}"]
    (Beside(path).folder / "request.json").write_text('{"schema": 1, "folder": "/in", "model": "/m"}')
    page = opened(watch=path.name)
    page.button(key=f"again:{path.name}").click().run()
    assert again == [(path, None)]


def test_a_watch_that_judges_by_an_earlier_version_can_go_on_with_the_current_one(home, monkeypatch):
    path, _ = table_of()
    again = []
    monkeypatch.setattr(
        "pages.parts.monitor.controls.start_again", lambda table, *, model: again.append((table, model))
    )
    beating(path)
    (Beside(path).folder / "request.json").write_text('{"schema": 1, "folder": "/in", "model": "/m"}')
    current = open_artifact(SVM)
    for model, buttons in ((current.folder, 0), (SVM / "v0000", 1)):
        with running(path, model=escaped(str(model))):
            page = opened(watch=path.name)
            assert len([each for each in page.button if each.key == f"again:{path.name}"]) == buttons
    assert f"{current.version} is current" in text_of(page)
    with running(path, model=escaped(str(SVM / "v0000"))):
        page.button(key=f"again:{path.name}").click().run()
    assert again == [(path, SVM)]


def test_the_settings_say_whom_it_tells_and_how_long_a_file_must_be_still(home):
    path, _ = table_of()
    with running(path, settle_from="learned from the folder", notices="polling", n_early=2, folder=escaped(HOSTILE)):
        page = opened(watch=path.name, watch_part="settings")
    assert not page.exception
    text = "\n".join(each.value for each in page.text)
    assert "A file is judged when it has not changed for: 2 s (learned from the folder)" in text
    assert "2 judged again once they were whole" in text
    assert "the folder is looked through" in text
    assert "ASD_NOTIFY" in text_of(page)
    assert "<img" not in "\n".join(str(each.value) for each in [*page.markdown, *page.caption]).replace("\\<", "")


def test_the_page_runs_again_only_when_there_is_something_new(home):
    from pages.parts.monitor.followed import Followed

    path, rows = table_of()
    followed = Followed(path)
    before = followed.seen
    beating(path)
    first = followed.seen
    assert first != before
    beating(path, started_at=followed.status.started_at)  # the heart beats on
    assert followed.seen == first
    with open_table(path) as table:
        list(table.rows())
        table.append(replace(rows[-1], time=utc_now("milliseconds")))
    assert followed.seen != first
