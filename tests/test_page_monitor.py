"""The monitor page as Streamlit runs it: a replay that goes on, an alarm that comes, hostile names that stay text."""

from __future__ import annotations

import json
import re
import shutil
import time

import altair as alt
import pytest
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.monitoring.arriving.arrivals import ArrivalSettings
from asd_core.monitoring.table import watches_dir
from asd_core.monitoring.watch import WatchRequest, watch
from asd_core.reports.plots import TimelinePoint, score_timeline
from asd_core.reports.plots.timeline import alarm_spans
from pages.parts.monitor.replay import AFTER, BEFORE, BROKEN, Replay, replay_order
from pages.shared.components import play_list

EMBEDDED = PROJECT / "artifacts" / "simulated-small"
SVM = EMBEDDED / "slider" / "vggish_ocsvm"
HOSTILE = "<img src=x onerror=alert(1)>[l](javascript:alert(1)) **b** :red[x]\n.wav"
N_CLIPS = BEFORE + BROKEN + AFTER


@pytest.fixture
def data_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def app(monkeypatch, data_dir):
    def open_(*, bench: bool = False, **query: str) -> AppTest:
        if not bench:  # a folder without clips: nothing is generated
            (data_dir / "simulated-small" / "slider").mkdir(parents=True)
        monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(EMBEDDED.parent))
        monkeypatch.syspath_prepend(str(PROJECT))
        test = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
        for key, value in query.items():
            test.query_params[key] = value
        return test.switch_page("pages/monitor.py").run()

    return open_


def text_of(page: AppTest) -> str:
    kinds = ("markdown", "caption", "text", "error", "warning", "info", "title")
    return "\n".join(str(element.value) for kind in kinds for element in page.get(kind))


def at_clip(page: AppTest, number: int) -> AppTest:
    """Turn the replay's clock to a clip."""
    replay: Replay = page.session_state["monitor_replay"]
    replay._revealed, replay.paused = number + 0.5, True
    return page.run()


def test_a_newcomer_presses_one_button_and_sees_the_alarm_come_and_go(app):
    page = app()
    assert not page.exception
    assert "A replay, not live" in text_of(page)
    assert "simulated test clips" in text_of(page)
    assert "trained on simulated sound" in text_of(page)
    page.button(key="replay").click().run()
    assert not page.exception
    page = at_clip(page, BEFORE)
    assert "no alarm" in text_of(page)
    assert f"**{BEFORE}** clips heard" in text_of(page)
    page = at_clip(page, BEFORE + 6)
    assert "ALARM" in text_of(page)
    (raised,) = re.findall(r"since clip (\d+)", text_of(page))
    assert BEFORE < int(raised) <= BEFORE + 5  # three of five in a row, though one may be missed
    assert [toast.value for toast in page.toast] == [f"Alarm raised at clip {raised}."]
    page = at_clip(page, N_CLIPS)
    assert not page.exception
    assert "no alarm" in text_of(page)
    assert "cleared at clip" in text_of(page)
    assert page.session_state["monitor_replay"].is_over


def test_a_replay_goes_on_by_itself_faster_or_slower_and_pauses(app):
    page = app()
    page.selectbox(key="replay_speed").set_value("5").run()
    page.button(key="replay").click().run()
    replay: Replay = page.session_state["monitor_replay"]
    replay._since -= 2
    page.run()
    assert len(replay.rows) >= 10
    page.button(key="replay_pause").click().run()
    n_before = len(replay.rows)
    replay._since -= 100
    page.run()
    assert len(replay.rows) == n_before
    page.button(key="replay_pause").click().run()
    page.selectbox(key="replay_speed").set_value("1").run()
    assert n_before <= len(replay.rows) < N_CLIPS


def test_the_replays_scores_are_those_stored_with_the_detector_in_a_fixed_order(app):
    page = at_clip(app().button(key="replay").click().run(), N_CLIPS)
    replay: Replay = page.session_state["monitor_replay"]
    artifact = open_artifact(SVM)
    stored = {each.path: each.anomaly_score for each in artifact.scores.of("test").clips if each.machine_id == "00"}
    assert {row.path: row.anomaly_score for row in replay.rows}.items() <= stored.items()
    labels = [each.label for each in replay.clips]
    assert labels == ["normal"] * BEFORE + ["anomalous"] * BROKEN + ["normal"] * AFTER
    assert [each.path for each in replay.clips] == [each.path for each in replay_order(replay.clips[::-1])]


def test_every_detector_and_id_can_be_replayed(app):
    page = app()
    for name in page.selectbox(key="detector").options[:2]:
        page.selectbox(key="detector").select(name).run()
        for machine_id in ("00", "02"):
            page.selectbox(key="replay_id").set_value(machine_id).run()
            page = at_clip(page.button(key="replay").click().run(), N_CLIPS)
            assert not page.exception
            assert f"**{N_CLIPS}** clips heard" in text_of(page)


def pressed(monkeypatch, page: AppTest, title: str) -> tuple[AppTest, dict]:
    """Press the row of the list whose title ends so; return the page, and what the list is sent then."""
    row = next(each for each in listed(page)["rows"] if each["title"].endswith(title))
    monkeypatch.setattr(play_list, "_wanted", lambda _: [row["id"]])
    page.run()
    return page, listed(page)


def listed(page: AppTest) -> dict:
    lists = [each.proto for each in page.get("bidi_component") if each.proto.component_name == "asd_play_list"]
    (found,) = [each for each in (json.loads(each.json) for each in lists) if each["list"].startswith("Last clips")]
    return found


def test_a_clip_of_the_replay_can_be_heard_where_its_sound_is_at_hand(app, monkeypatch):
    page = at_clip(app(bench=True).button(key="replay").click().run(), 3)
    assert [row["title"].split(" · ")[0] for row in listed(page)["rows"]] == ["clip 3", "clip 2", "clip 1"]
    page, message = pressed(monkeypatch, page, listed(page)["rows"][-1]["title"])
    assert not page.exception
    assert len(message["addresses"]) == 1
    page = at_clip(page, 30)
    assert listed(page)["addresses"] == message["addresses"]
    assert "No drift" in text_of(page)


def test_the_clips_of_an_alarm_are_listed_to_the_end(app):
    page = at_clip(app().button(key="replay").click().run(), N_CLIPS)
    rows = listed(page)["rows"]
    assert len(rows) == N_CLIPS
    said = [row["truth"] for row in rows]
    assert "called anomalous, alarm raised" in said
    assert "called anomalous, in the alarm" in said
    assert {row["tone"] for row in rows} == {"normal", "anomalous"}


def test_a_rerun_of_the_whole_replay_takes_little(app):
    page = at_clip(app().button(key="replay").click().run(), N_CLIPS)
    replay: Replay = page.session_state["monitor_replay"]
    before = time.process_time()
    replay.reveal()
    assert time.process_time() - before < 0.02


def test_without_a_watch_the_page_says_how_to_start_one(app):
    page = app(monitor="live")
    assert not page.exception
    assert "No folder is being watched" in text_of(page)
    assert "python -m asd_core watch FOLDER --model" in page.get("code")[0].value


@pytest.fixture
def watched(data_dir, tmp_path):
    """A folder in the data folder with three clips, one of a hostile name, one refused; judged once."""
    folder = data_dir / "incoming"
    folder.mkdir(parents=True)
    (folder / "a.wav").write_bytes(encode_wav(hum(1, seconds=2.0).samples))
    (folder / HOSTILE.replace("/", "")).write_bytes(encode_wav(hum(2, seconds=2.0).samples))
    (folder / "=bad.wav").write_bytes(b"no sound" * 20)
    watch(WatchRequest(folder, SVM, once=True, poll_s=0.05, arrivals=ArrivalSettings(settle_s=0.0)))
    return folder


def test_a_watched_folder_is_followed_while_rows_come_in(app, watched):
    page = app(monitor="live")
    assert not page.exception
    assert "no watch is running" in text_of(page)
    assert "**3** clips heard, 1 refused" in text_of(page)
    assert "UTC" in text_of(page)
    for seed in range(3):
        (watched / f"new{seed}.wav").write_bytes(encode_wav(hum(seed, seconds=2.0, knocks=9).samples))
    watch(WatchRequest(watched, SVM, once=True, poll_s=0.05, arrivals=ArrivalSettings(settle_s=0.0)))
    page.run()
    assert "**6** clips heard" in text_of(page)
    assert "ALARM" in text_of(page)


def test_hostile_names_stay_text(app, watched):
    page = app(monitor="live")
    assert not page.exception
    assert any("<img src=x" in row["title"] for row in listed(page)["rows"])
    for element in [*page.markdown, *page.caption, *page.toast]:
        assert "<img" not in str(element.value)
        assert "javascript" not in str(element.value)


def test_clips_are_heard_only_below_the_allowed_folders(app, watched, tmp_path, monkeypatch):
    page = app(monitor="live")
    page, message = pressed(monkeypatch, page, "a.wav")
    assert len(message["addresses"]) == 1
    away = tmp_path / "elsewhere"
    shutil.copytree(watched, away)
    watch(WatchRequest(away, SVM, once=True, poll_s=0.05, kept_bytes=0, arrivals=ArrivalSettings(settle_s=0.0)))
    page.run()
    table = next(path.name for path in watches_dir().glob("elsewhere-*.csv"))
    page.selectbox(key="watch").set_value(table).run()
    page, message = pressed(monkeypatch, page, "a.wav")
    assert not page.exception
    assert message["addresses"] == {}
    (words,) = message["problems"].values()
    assert "ASD_DATA_ROOTS" in words


def test_a_clip_that_was_refused_says_why_when_it_is_pressed(app, watched, monkeypatch):
    page, message = pressed(monkeypatch, app(monitor="live"), "=bad.wav")
    assert not page.exception
    (words,) = message["problems"].values()
    assert "must be WAV or FLAC" in words


def test_a_foreign_file_among_the_tables_does_no_harm(app, watched):
    (watches_dir() / "zz.csv").write_bytes(b"\xff\0nonsense\n" * 50)
    page = app(monitor="live")
    assert not page.exception
    page.selectbox(key="watch").set_value("zz.csv").run()
    assert not page.exception
    assert "no clip yet" in text_of(page)


def point(at, alarm, score=1.0):
    return TimelinePoint(at, score, 2.0, "normal", alarm, f"clip {at}")


def test_an_alarms_band_goes_from_the_clip_that_raised_it_to_the_one_that_cleared_it():
    flags = (False, True, True, False, False, True)
    assert alarm_spans([point(i, flag) for i, flag in enumerate(flags)]) == [(1, 3), (5, 5)]
    assert alarm_spans([]) == []


def test_the_figure_shows_threshold_band_and_marks_also_for_times_and_for_no_clip():
    times = [f"2026-01-31T12:00:0{i}+00:00" for i in range(3)]
    for points in ([], [point(i, i == 1) for i in range(3)], [point(at, True) for at in times]):
        spec = score_timeline(points)
        marks = [layer["mark"]["type"] for layer in spec["layer"]]
        assert marks == ["rect", "rule", "text", "line", "line", "point"]
        assert len(spec["layer"][-1]["data"]["values"]) == len(points)
        assert alt.LayerChart.from_dict(spec).to_dict()["height"] == 320  # a valid specification
    assert spec["layer"][0]["encoding"]["x"]["type"] == "temporal"
