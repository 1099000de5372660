"""Every page as Streamlit runs it, without a browser: with trained detectors, without any, and with bad input."""

from __future__ import annotations

import io
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from sounds import PROJECT, hum
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
    usable = "that every method scored" if path == "pages/compare.py" else "LSTM next-frame predictor"
    assert usable in text + "\n".join(offered)


def test_where_every_detector_is_broken_a_page_says_so_and_ends(app, broken):
    (broken / "simulated-small" / "slider" / "lstm_predictor" / "current").write_text("nonsense")
    for path in ("pages/check.py", "pages/threshold.py"):
        page = app(path, artifacts=broken)
        assert not page.exception
        assert "None of these detectors can be used" in text_of(page)
        assert "lstm_predictor cannot be used" in text_of(page)


def test_checking_an_example_gives_a_verdict_of_each_detector(app):
    page = app("pages/check.py")
    assert not page.exception
    assert len(verdicts_of(page)) == 3
    assert len(re.findall(r"Stranger than \d+ % of \d+ (held-out normal clips|normal clips, each)", text_of(page))) == 3


def test_an_uploaded_clip_gets_three_verdicts_and_its_name_stays_text(app):
    page = app("pages/check.py")
    page.segmented_control(key="source").set_value("Upload").run()
    page.file_uploader(key="upload").upload(HOSTILE, wav_bytes(hum(1, seconds=10.0).samples), "audio/wav").run()
    assert not page.exception
    assert len(verdicts_of(page)) == 3
    (warning,) = [each.value for each in page.warning if "rained on simulated sound" in each.value]
    assert "not whether your machine is faulty" in warning
    assert sum("trained on simulated sound" in m.value for m in page.markdown) == 3
    assert not any("<img" in element.value for element in [*page.markdown, *page.caption])


def test_an_upload_is_heard_by_the_channel_that_the_detectors_were_trained_on(app, tmp_path):
    from asd_core.tasks.train import TrainingRequest, train

    def eight_channels(seed, knocks=0):
        first = hum(seed, seconds=1.0, knocks=knocks).samples
        noise = np.random.default_rng(seed).uniform(-0.9, 0.9, (len(first), 7))
        return wav_bytes(np.column_stack([first, noise]))

    for label, n, knocks in (("normal", 80, 0), ("abnormal", 3, 3)):
        for i in range(n):
            path = tmp_path / "fan" / "id_00" / label / f"{i:08d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(eight_channels(i, knocks))
    train(TrainingRequest("vggish_knn", tmp_path / "fan", name="raw", out=tmp_path / "out"))
    page = app("pages/check.py", artifacts=tmp_path / "out")
    page.segmented_control(key="source").set_value("Upload").run()
    verdicts = []
    for content in (eight_channels(100), eight_channels(100, knocks=3), wav_bytes(hum(100, seconds=1.0).samples)):
        page.file_uploader(key="upload").set_value(("clip.wav", content, "audio/wav")).run()
        assert not page.exception
        verdicts += [
            word for m in page.markdown if "badge" in m.value for word in ("anomalous", "normal") if word in m.value
        ]
    assert verdicts == ["normal", "anomalous", "normal"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not audio at all" * 10, "must be WAV or FLAC"),
        (wav_bytes(np.zeros(1000)), "0.5"),
        (b"", "bytes"),
    ],
)
def test_a_bad_upload_is_refused_with_a_reason(app, content, reason):
    page = app("pages/check.py")
    page.segmented_control(key="source").set_value("Upload").run()
    page.file_uploader(key="upload").upload("clip.wav", content, "audio/wav").run()
    assert not page.exception
    assert "This could not be done" in text_of(page)
    assert reason in text_of(page)


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
    assert "chosen on the labels of the clips it is judged by" in page.warning[0].value


def test_the_zero_rule_belongs_to_the_svm_alone(app):
    page = app("pages/threshold.py")
    assert any("Zero" in option for option in page.selectbox(key="rule").options)
    page.segmented_control(key="detector").set_value("lstm_predictor").run()
    assert not page.exception
    assert not any("Zero" in option for option in page.selectbox(key="rule").options)


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
    assert page.get("dataframe")


def test_one_class_only_still_gives_threshold_and_promise(app, tmp_path):
    from asd_core.artifacts.store import open_artifact, publish

    shutil.copytree(EMBEDDED, tmp_path / "simulated-small")
    folder = tmp_path / "simulated-small" / "slider" / "vggish_ocsvm"
    artifact = open_artifact(folder)
    normal = [clip for clip in artifact.scores.clips if clip.label == "normal"]
    publish(folder, manifest=artifact.manifest, state=artifact.detector().state, scores=normal)
    page = app("pages/threshold.py", artifacts=tmp_path)
    assert not page.exception
    assert "A ROC needs normal and anomalous test clips" in text_of(page)
    assert "Observed false-alarm rate" in text_of(page)
    overview = app(artifacts=tmp_path).toggle(key="figures").set_value(True).run()
    assert not overview.exception
    assert "no labelled test clips tell how many faults it finds" in text_of(overview)
    assert "not defined" in text_of(overview)


def test_several_uploads_give_a_table_with_reasons_for_those_refused(app):
    page = app("pages/check.py")
    page.segmented_control(key="source").set_value("Upload").run()
    uploader = page.file_uploader(key="upload")
    uploader.set_value(
        [
            ("a.wav", wav_bytes(hum(1, seconds=10.0).samples), "audio/wav"),
            ("b.wav", wav_bytes(hum(2, seconds=10.0, knocks=5).samples), "audio/wav"),
            ("c.wav", b"no sound" * 20, "audio/wav"),
        ]
    ).run()
    assert not page.exception
    assert "2 clips scored, 1 refused" in text_of(page)
    (table,) = (frame.value for frame in page.dataframe)
    assert "**c.wav** · Name another file or, if this one holds sound" in text_of(page)
    assert "magic" not in text_of(page)
    assert "1 file was refused." in text_of(page)
    assert "WAV or FLAC" in next(text for text in text_of(page).splitlines() if text.startswith("**c.wav**"))
    assert list(table["File"]) == ["a.wav", "b.wav"]


def test_files_beyond_the_limits_of_a_session_are_refused_unread(app, monkeypatch):
    from asd_core.data.uploads import Quota
    from pages.parts.check import uploads

    read = []
    monkeypatch.setattr(uploads, "decode_upload", lambda _content, name, **_: read.append(name) or hum(1, seconds=1.0))
    page = app("pages/check.py")
    page.session_state["upload_used"] = Quota(files=48, bytes=2**20)
    page.segmented_control(key="source").set_value("Upload").run()
    clips = [(f"{number}.wav", wav_bytes(hum(number, seconds=1.0).samples), "audio/wav") for number in range(4)]
    page.file_uploader(key="upload").set_value(clips).run()
    assert not page.exception
    assert read == ["0.wav", "1.wav"]
    assert "2 clips scored, 2 refused" in text_of(page)
    assert text_of(page).count("a session may upload 50 files and 200 MB") == 1  # one line for both
    line = next(text for text in text_of(page).splitlines() if text.startswith("**2 files**"))
    assert "Choose 'Use a server folder' on the Data page" in line
    assert "a session may upload 50 files and 200 MB" in line
    page.run()
    assert "2 clips scored, 2 refused" in text_of(page)  # each file counts once
    assert page.session_state["upload_used"].files == 50
    page.session_state["upload_used"] = Quota(files=1, bytes=200 * 2**20)
    page.file_uploader(key="upload").set_value(("more.wav", clips[0][1], "audio/wav")).run()
    assert "201 MB" in text_of(page) or "200 MB" in text_of(page)
    assert "This could not be done" in text_of(page)
    assert read == ["0.wav", "1.wav"]


def test_a_verdict_can_be_marked_wrong_and_is_kept(app, monkeypatch, tmp_path):
    from asd_core.data.marked import marked_dir
    from asd_core.data.table import read_library

    page = app("pages/check.py")
    page.button(key="mark_save").click().run()
    assert not page.exception
    assert "Marked as normal" in text_of(page)
    assert len(list((marked_dir() / "normal").iterdir())) == 1
    assert read_library().find("marked").folder == marked_dir().resolve()


def test_bands_are_shown_on_demand(app):
    page = app("pages/check.py")
    assert not page.get("plotly_chart")
    page.toggle(key="bands").set_value(True).run()
    assert not page.exception
    assert len(page.get("plotly_chart")) == 3


def test_a_changed_clip_is_heard_judged_and_drawn_beside_the_recorded_one(app):
    page = app("pages/check.py")
    page.toggle(key="what_if").set_value(True).run()
    assert "Change something above first" in text_of(page)
    assert all(cell.endswith("stays") for cell in page.table[0].value["Verdict"])
    page.select_slider(key="what_snr").set_value("0").run()
    assert not page.exception
    scores = [cell.split(" → ") for cell in page.table[0].value["Score"]]
    assert len(scores) == 3
    assert all(before != after for before, after in scores)
    assert "standard deviations of the scores of the normal clips that it was calibrated on" in text_of(page)
    page.selectbox(key="what_detector").set_value("vggish_ocsvm").run()
    page.button(key="what_again").click().run()
    assert not page.exception
    assert "60 simulated test clips" in text_of(page)
    decided = page.table[1].value
    assert all("/30)" in cell for cell in [*decided["False alarms"], *decided["Faults found"]])


def test_a_change_of_the_sound_can_be_linked_to(app):
    page = app()
    page.query_params["what_gain"] = "-20"
    page.query_params["what_high"] = "nonsense"
    page.switch_page("pages/check.py").run()
    assert not page.exception
    assert page.toggle(key="what_if").value
    assert page.select_slider(key="what_gain").value == "-20"
    assert page.select_slider(key="what_high").value == "8000"
