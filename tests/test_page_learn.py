"""The learn page as Streamlit runs it, without a browser: its numbers are the detectors' own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.data.table import KnownSet, Library
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.formats import score_text
from asd_core.tasks.neighbours import Trial

EMBEDDED = PROJECT / "artifacts" / "simulated-small"
LESSONS = ("lstm_predictor", "gru_autoencoder", "vggish_ocsvm")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("artifacts")
    shutil.copytree(EMBEDDED, out / "simulated-small")
    return out


@pytest.fixture
def learn(monkeypatch, trained):
    """Return a function that opens the page over some artifacts, with a query."""

    def open_(artifacts: Path = trained, **query: str) -> AppTest:
        monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(artifacts))
        monkeypatch.syspath_prepend(str(PROJECT))
        page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
        page = page.switch_page("pages/learn.py")
        for name, value in query.items():
            page.query_params[name] = value
        return page.run()

    return open_


def text_of(app: AppTest) -> str:
    kinds = ("markdown", "caption", "text", "error", "warning", "info", "title", "subheader", "metric")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


@pytest.mark.parametrize("name", LESSONS)
@pytest.mark.parametrize("path", ["test/normal_id_00_00000003.wav", "test/anomaly_id_04_00000007.wav"])
def test_a_lesson_ends_at_the_score_threshold_and_verdict_on_record(learn, name, path):
    page = learn(lesson=name, clip=path)
    assert not page.exception
    artifact = open_artifact(EMBEDDED / "slider" / name)
    recorded = next(clip for clip in artifact.scores.clips if clip.path == path)
    label = "anomalous" if recorded.anomaly_score >= artifact.threshold.value else "normal"
    values = [metric.value for metric in page.metric]
    assert values == [score_text(recorded.anomaly_score), score_text(artifact.threshold.value), label]
    assert "VGGish" not in text_of(page)
    assert "Simulated data" in text_of(page)


@pytest.mark.parametrize(("name", "n"), [("lstm_predictor", 303), ("gru_autoencoder", 304)])
def test_the_slider_begins_at_the_strangest_step_and_moves_the_numbers(learn, name, n):
    page = learn(lesson=name)
    slider = page.slider(key=f"step_{name}")
    assert (slider.min, slider.max) == (1, n)
    worst = _error(page)
    slider.set_value(1).run()
    assert not page.exception
    assert _error(page) < worst
    page.slider(key=f"step_{name}").set_value(n).run()
    assert not page.exception


def _error(page: AppTest) -> float:
    found = [re.search(r"is \*\*([0-9.e-]+)\*\*\.$", element.value) for element in page.markdown]
    return float(next(match for match in found if match)[1])


def test_the_mean_of_the_steps_errors_is_the_score():
    import numpy as np

    from asd_core.data.simulated.bench import ClipKey, render_clip
    from asd_core.types import Waveform

    waveform = Waveform(render_clip(ClipKey("00", "test", "anomaly", 3), seed=9).samples)
    lstm = open_artifact(EMBEDDED / "slider" / "lstm_predictor").detector()
    gru = open_artifact(EMBEDDED / "slider" / "gru_autoencoder").detector()
    lstm.pooling = gru.pooling = "mean"
    for trained, (output, target) in ((lstm, lstm.predict_frames(waveform)), (gru, gru.rebuild_windows(waveform))):
        errors = np.square(output - target, dtype=np.float64)
        assert errors.mean() == pytest.approx(trained.anomaly_score(waveform), rel=1e-5)


@pytest.mark.parametrize("through", ["centre", "clip"])
def test_the_boundary_page_states_what_the_plane_shows_and_hides(learn, through):
    page = learn(lesson="vggish_ocsvm")
    page.segmented_control(key="slice").set_value(through).run()
    assert not page.exception
    assert "A shadow only" in text_of(page)
    assert re.search(r"the plane shows \d+ % of the variance", text_of(page))
    assert "1,280 dimensions" in text_of(page)


@pytest.fixture
def neighbours(monkeypatch, tmp_path):
    """Let the lesson find a few clips and these false alarms: 0.30, 0.35, ... at random, a tenth of it by recording."""
    monkeypatch.syspath_prepend(str(PROJECT))
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "home"))
    (tmp_path / "home" / "simulated-small" / "slider").mkdir(parents=True)
    from asd_core.data.simulated import long_recordings
    from asd_core.data.simulated.long_recordings import RecordingCounts
    from pages.shared import neighbour_trials

    def tried(clips, held_out, *, split):
        n_alarms = 30 + 5 * split if held_out == "at_random" else 3
        calibration = [ScoredClip(f"{i}", "00", "heldout", "normal", "", f"{i}", float(i)) for i in range(20)]
        test = [
            ScoredClip(f"{i}", "00", "test", "normal", "", f"{i}", 18.0 if i < n_alarms else 1.0) for i in range(100)
        ]
        days = tuple(f"day_{1 + i % 2:02d}" for i in range(20)), ("day_03",) * 100
        return Trial(held_out, Scores(tuple(calibration)), Scores(tuple(test)), 18.0, 0.10, *days)

    tiny = RecordingCounts(n_normal=1, n_faulty=1, normal_s=10.0, faulty_s=10.0)
    monkeypatch.setattr(long_recordings, "RecordingCounts", lambda: tiny)
    monkeypatch.setattr(neighbour_trials, "try_promise", tried)


def test_the_lesson_on_neighbours_shows_false_alarms_of_both_ways_once_asked(learn, neighbours):
    page = learn(lesson="neighbours")
    assert not page.exception
    assert "Simulated data" in text_of(page)
    assert [metric.value for metric in page.metric] == []
    next(button for button in page.button if button.label == "Try it").click()
    page.run()
    assert not page.exception
    assert [(metric.value, metric.delta) for metric in page.metric] == [
        ("40.0 %", "32.0 % to 48.0 % over the draws"),
        ("3.0 %", "3.0 % to 3.0 % over the draws"),
    ]
    assert "promised 10.0 %" in text_of(page)
    assert "Try it" not in [button.label for button in page.button]


def test_a_set_of_ones_own_with_the_name_of_the_recordings_is_not_taken_for_them(learn, neighbours, monkeypatch):
    from pages.shared import neighbour_trials

    monkeypatch.setattr(
        neighbour_trials, "read_library", lambda: Library((KnownSet("simulated-recordings", Path("/x"), "own"),))
    )
    page = learn(lesson="neighbours")
    assert not page.exception
    assert "Your own data set simulated-recordings hides these recordings." in text_of(page)
    assert "Try it" not in [button.label for button in page.button]


def test_detectors_without_a_lesson_are_left_out(learn, tmp_path):
    shutil.copytree(EMBEDDED, tmp_path / "simulated-small")
    for name in ("lstm_predictor", "gru_autoencoder"):
        shutil.rmtree(tmp_path / "simulated-small" / "slider" / name)
    page = learn(artifacts=tmp_path)
    assert not page.exception
    assert len(page.segmented_control(key="lesson").options) == 3


def test_without_clips_the_glossary_stays(learn, tmp_path):
    shutil.copytree(EMBEDDED, tmp_path / "elsewhere")
    page = learn(artifacts=tmp_path)
    assert not page.exception
    assert "Nothing to take apart here" in text_of(page)
    assert "**pAUC.**" in text_of(page)


def test_without_detectors_the_page_says_what_to_do(learn, tmp_path):
    page = learn(artifacts=tmp_path)
    assert not page.exception
    assert "No trained detector is here yet" in text_of(page)


def test_every_term_of_the_glossary_is_said_in_one_or_two_sentences(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT))
    from pages.parts.learn.glossary import GLOSSARY

    needed = "Anomaly score,Threshold,ROC,AUC,pAUC,False alarm,Miss,Precision,Recall,F1,Held-out,Log-mel,Patch,Epoch"
    assert set(needed.split(",")) <= set(GLOSSARY)
    for words in GLOSSARY.values():
        assert words.endswith(".")
        assert len(re.findall(r"\.(?: |$)", words)) <= 2, words


def test_the_glossary_says_for_which_sound_a_promise_holds(learn):
    entries = dict(re.findall(r"\*\*([^*]+)\.\*\* (.+)", text_of(learn())))
    assert "it holds for new recordings of the same machine, microphone and place" in entries["Conformal threshold"]
    assert "nor from the recordings that they were cut from" in entries["Held-out"]
    assert {"Recording", "Cross-fitting", "Provisional threshold"} <= set(entries)


def test_the_quiz_gives_the_listeners_own_point(learn):
    page = learn(lesson="quiz")
    assert not page.exception
    guesses = [control for control in page.segmented_control if control.label.startswith("Clip ")]
    assert len(guesses) == 6
    page.button[0].click().run()
    assert "6 clips have no guess yet" in text_of(page)
    for control in [c for c in page.segmented_control if c.label.startswith("Clip ")]:
        control.set_value("anomalous")
    page.button[0].click().run()
    assert not page.exception
    values = {metric.label: metric.value for metric in page.metric}
    assert values["Your detection rate"].startswith("100.0 %")
    assert values["Your false-alarm rate"].startswith("100.0 %")
    assert len(page.dataframe[0].value) == 6


def test_a_link_to_the_quiz_plays_the_same_clips_to_everybody(learn):
    first = learn(lesson="quiz")
    linked = first.query_params["quiz"]
    assert learn(lesson="quiz", quiz=linked).session_state["quiz_seed"] == int(linked)
    for nonsense in ("-1", "1e9", "", "9" * 5000):
        assert learn(lesson="quiz", quiz=nonsense).session_state["quiz_seed"] != int(linked)


def test_a_link_to_a_step_opens_it_and_another_clip_starts_at_its_own_strangest(learn):
    page = learn(lesson="lstm_predictor", step="7")
    assert page.slider(key="step_lstm_predictor").value == 7
    page.selectbox(key="clip").select_index(5).run()
    assert page.slider(key="step_lstm_predictor").value != 7
    assert "step" not in page.query_params


def test_quiz_clips_follow_the_seed_and_hold_both_classes(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT))
    from pages.parts.learn.quiz import quiz_clips

    def clips(n_normal: int, n_anomalous: int) -> list[ScoredClip]:
        labels = ["normal"] * n_normal + ["anomalous"] * n_anomalous
        return [ScoredClip(f"{i}.wav", "00", "test", label, "", f"{i}", 0.0) for i, label in enumerate(labels)]

    many = clips(20, 20)
    assert quiz_clips(many, seed=3) == quiz_clips(many, seed=3)
    for seed in range(50):
        drawn = quiz_clips(many, seed=seed)
        assert len({clip.path for clip in drawn}) == 6
        assert 2 <= sum(clip.label == "anomalous" for clip in drawn) <= 4
        assert len(quiz_clips(clips(2, 4), seed=seed)) == 6
    for few in (clips(6, 0), clips(0, 6), clips(2, 3), clips(1, 9)):
        assert quiz_clips(few, seed=0) == []
