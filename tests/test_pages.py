"""Every page as Streamlit runs it, without a browser: with trained detectors, without any, and with bad input."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile as sf
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.artifacts.versions import save_threshold

PAGES = ("pages/check.py", "pages/threshold.py", "pages/monitor.py")
EMBEDDED = PROJECT / "artifacts" / "simulated-small"
N_DETECTORS = len(list(EMBEDDED.glob("*/*/current")))
HOSTILE = "<img src=x onerror=alert(1)>[l](javascript:alert(1))\n=cmd|' /C calc'!A0\u202e.wav"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A copy of the detectors that come with the project."""
    out = tmp_path_factory.mktemp("artifacts")
    shutil.copytree(EMBEDDED, out / "simulated-small")
    return out


@pytest.fixture
def app(monkeypatch, trained):
    """Return a function that opens a page over some artifacts."""

    def open_(page: str = "pages/overview.py", artifacts: Path = trained) -> AppTest:
        monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(artifacts))
        monkeypatch.syspath_prepend(str(PROJECT))
        test = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=180).run()
        return test if page == "pages/overview.py" else test.switch_page(page).run()

    return open_


def text_of(app: AppTest) -> str:
    kinds = ("markdown", "caption", "text", "error", "warning", "info", "title", "metric")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def verdicts_of(app: AppTest) -> list[str]:
    return [each.value for each in app.markdown if re.search(r"-badge\[.* (normal|anomalous)\]", each.value)]


def wav_bytes(samples, sr=16000) -> bytes:
    stream = io.BytesIO()
    sf.write(stream, samples, sr, format="WAV", subtype="PCM_16")
    return stream.getvalue()


def test_the_overview_says_in_words_how_many_faults_each_active_detector_finds(app):
    page = app()
    assert not page.exception
    lines = [each for each in page.markdown if "of 100 faults at" in each.value]
    titles = ("Log-mel statistics + one-class SVM", "LSTM next-frame predictor", "GRU autoencoder")
    assert len(lines) == len(titles) < N_DETECTORS
    for line, title in zip(lines, titles, strict=True):
        assert title in line.value
        assert "false alarms in 100 (simulated)" in line.value
        assert re.match(r"\d+ of 150 anomalous clips, with \d false alarms on 150 normal: ", line.help)
    assert "VGGish" not in text_of(page)
    assert "Simulated data" in text_of(page)
    assert not page.metric
    assert len(page.get("page_link")) == 9  # three doors, six more pages


def test_the_overviews_figures_are_one_click_away(app):
    page = app().toggle(key="figures").set_value(True).run()
    assert not page.exception
    text = text_of(page)
    assert text.count("95 % interval") == text.count("(Split-conformal") == len(page.metric) == 3
    assert text.count("from 36 held-out normal clips (Split-conformal") == 2  # the networks
    assert text.count("from 180 normal clips, each scored by a fit that has not heard it (Split-conformal") == 1


@pytest.mark.parametrize("path", ["pages/overview.py", *PAGES])
def test_without_detectors_a_page_says_what_to_do(app, tmp_path, path):
    page = app(path, artifacts=tmp_path)
    assert not page.exception
    assert "No trained detector is here yet" in text_of(page)
    assert "python -m asd_core train" in page.get("code")[0].value


BREAKS = {
    "dcase_autoencoder": lambda current: current.write_text("nonsense"),
    "gru_autoencoder": lambda current: current.mkdir(),
    "vggish_knn": os.mkfifo,
    "vggish_mahalanobis": lambda current: current.symlink_to("nowhere"),
    "vggish_ocsvm": lambda current: current.write_bytes(b"\xff" * 100),
}


@pytest.fixture
def broken(tmp_path):
    """Detectors whose file `current` is damaged, a folder, a pipe, a dangling link and no text; the LSTM is sound."""
    shutil.copytree(EMBEDDED, tmp_path / "simulated-small")
    for name, put in BREAKS.items():
        current = tmp_path / "simulated-small" / "slider" / name / "current"
        current.unlink()
        put(current)
    return tmp_path


@pytest.mark.parametrize("path", ["pages/overview.py", *PAGES, "pages/compare.py", "pages/learn.py"])
def test_broken_detectors_are_named_with_the_reason_and_the_others_work(app, broken, path):
    page = app(path, artifacts=broken)
    assert not page.exception
    text = text_of(page)
    for name in BREAKS:
        assert f"{name} cannot be used" in text
        assert re.search(rf"{name}/current is (damaged|not a regular file)", text)
    assert "lstm_predictor cannot be used" not in text
    assert "this should not have happened" not in text
    offered = [
        option for kind in ("selectbox", "segmented_control") for each in page.get(kind) for option in each.options
    ]
    shown = {
        "pages/compare.py": "that every detector scored",
        "pages/check.py": "1 of 1 detector: ",
        "pages/threshold.py": "LSTM",
        "pages/monitor.py": "LSTM",
    }
    usable = shown.get(path, "LSTM next-frame predictor")
    assert usable in text + "\n".join(offered)


def test_where_every_detector_is_broken_a_page_says_so_and_ends(app, broken):
    (broken / "simulated-small" / "slider" / "lstm_predictor" / "current").write_text("nonsense")
    for path in ("pages/check.py", "pages/threshold.py"):
        page = app(path, artifacts=broken)
        assert not page.exception
        assert "None of these detectors can be used" in text_of(page)
        assert "lstm_predictor cannot be used" in text_of(page)


def test_the_threshold_page_states_promise_and_observation(app):
    page = app("pages/threshold.py")
    assert not page.exception
    text = text_of(page)
    assert "**Promise:** at most 10 % of normal clips give a false alarm on average, for new recordings" in text
    assert "Observed false-alarm rate" in text
    assert "95 % interval" in text


@pytest.mark.parametrize("rule", ["conformal", "quantile", "gamma", "mean_std", "highest", "manual"])
def test_label_free_rules_are_not_marked(app, rule):
    page = app("pages/threshold.py")
    page.selectbox(key="rule").set_value(rule).run()
    assert not page.exception
    assert not page.warning


@pytest.mark.parametrize("rule", ["closest_topleft", "youden", "best_f1", "target_tpr", "target_fpr", "cost"])
def test_rules_that_use_test_labels_are_marked(app, rule):
    page = app("pages/threshold.py")
    page.selectbox(key="rule").set_value(rule).run()
    assert not page.exception
    assert "chosen on the labels of the" in page.warning[0].value


def test_the_zero_rule_belongs_to_the_svm_alone(app):
    page = app("pages/threshold.py")
    assert any("own boundary, 0" in option for option in page.selectbox(key="rule").options)
    page.segmented_control(key="detector").set_value("lstm_predictor").run()
    assert not page.exception
    assert not any("own boundary, 0" in option for option in page.selectbox(key="rule").options)


@pytest.fixture
def own(tmp_path):
    """One detector that may be written to, and a page's way to save a threshold with it."""
    shutil.copytree(EMBEDDED / "slider" / "vggish_knn", tmp_path / "pump-hall" / "slider" / "vggish_knn")
    return tmp_path


def save_button(page):
    return next(button for button in page.button if button.label.startswith("Save threshold"))


def chosen_by_rule(page):
    return next(box for box in page.selectbox if box.key == "rule").set_value("closest_topleft").run()


def test_a_saved_threshold_is_shown_and_the_next_one_is_saved_with_it(app, own):
    folder = own / "pump-hall" / "slider" / "vggish_knn"
    first = open_artifact(folder)
    page = chosen_by_rule(app("pages/threshold.py", artifacts=own))
    page = save_button(page).click().run()
    assert not page.exception
    second = open_artifact(folder)
    assert f"Saved as version {second.version} in pump-hall." in "".join(each.value for each in page.success)
    assert not [button for button in page.button if button.label.startswith("Save threshold")]
    page = next(box for box in page.selectbox if box.key == "rule").set_value("youden").run()
    assert not page.success
    page = save_button(page).click().run()
    third = open_artifact(folder)
    assert [each.manifest.parent for each in (first, second, third)] == [None, first.version, second.version]
    assert second.threshold.rule == "closest_topleft"
    assert third.threshold.rule == "youden"


def test_a_page_opened_before_another_version_became_current_saves_nothing(app, own):
    folder = own / "pump-hall" / "slider" / "vggish_knn"
    page = chosen_by_rule(app("pages/threshold.py", artifacts=own))
    shown = open_artifact(folder)
    elsewhere = save_threshold(shown, replace(shown.threshold, reason="elsewhere"), folder=folder)
    page = save_button(page).click().run()
    assert not page.exception
    assert open_artifact(folder).version == elsewhere.version


def test_moving_the_threshold_lists_the_clips_that_flip(app):
    page = app("pages/threshold.py")
    page.selectbox(key="rule").set_value("target_tpr").run()
    assert not page.exception
    moved = next(o for o in page.segmented_control(key="list").options if "Changed class" in str(o))
    assert "(0)" not in str(moved)
    (told,) = [json.loads(each.proto.json) for each in page.get("bidi_component") if "clips:" in each.proto.id]
    assert 0 < len(told["rows"]) <= 25
    assert {row["truth"].split(" ")[0] for row in told["rows"]} <= {"normal", "anomalous"}


def test_one_class_only_still_gives_threshold_and_promise(app, tmp_path):
    from asd_core.artifacts.store import open_artifact, publish

    shutil.copytree(EMBEDDED, tmp_path / "simulated-small")
    folder = tmp_path / "simulated-small" / "slider" / "vggish_ocsvm"
    artifact = open_artifact(folder)
    normal = [clip for clip in artifact.scores.clips if clip.label == "normal"]
    publish(folder, manifest=artifact.manifest, state=artifact.detector().state, scores=normal)
    page = app("pages/threshold.py", artifacts=tmp_path)
    assert not page.exception
    assert "Observed false-alarm rate" in text_of(page)
    (told,) = [json.loads(each.proto.json) for each in page.get("bidi_component") if "detectors" in each.proto.json]
    assert told["detectors"][0]["areas"] == {"pooled": "", "mean": "", "per_id": [""] * 3}
    overview = app(artifacts=tmp_path).toggle(key="figures").set_value(True).run()
    assert not overview.exception
    assert "no labelled test clips tell how many faults it finds" in text_of(overview)
    assert "not defined" in text_of(overview)
