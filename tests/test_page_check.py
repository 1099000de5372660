"""The page Check a clip as Streamlit runs it: answer, views, examples, uploads, many clips, report."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from printed import drawn, gauges_of, text_of
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.types import AnomalyMap, Waveform
from pages.parts.check import answer, examples, region, stepwise
from pages.shared.cache import Heard
from pages.shared.components.player import Region
from pages.shared.keys import held

EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"
HOSTILE = "<img src=x onerror=alert(1)>[l](javascript:alert(1))\n=cmd|' /C calc'!A0\u202e.wav"
THREE = ("SVM", "LSTM", "GRU")


@pytest.fixture
def app(monkeypatch):
    """Return a function that opens the page over some artifacts, by a link with these choices."""

    def open_(artifacts: Path = PROJECT / "artifacts", **link: str) -> AppTest:
        monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(artifacts))
        monkeypatch.syspath_prepend(str(PROJECT))
        test = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=180).run()
        for name, value in link.items():
            test.query_params[name] = value
        page = test.switch_page("pages/check.py").run()
        assert not page.exception
        return page

    return open_


def wav_bytes(samples, sr=16000) -> bytes:
    stream = io.BytesIO()
    sf.write(stream, samples, sr, format="WAV", subtype="PCM_16")
    return stream.getvalue()


def player_of(page: AppTest) -> dict:
    (proto,) = [each.proto for each in page.get("bidi_component") if each.proto.component_name == "asd_synced_player"]
    return json.loads(proto.json)


@pytest.fixture(scope="module")
def detectors():
    return {name: open_artifact(EMBEDDED / name) for name in ("vggish_ocsvm", "lstm_predictor", "gru_autoencoder")}


def with_threshold(artifact, value, **changes):
    threshold = replace(artifact.threshold, value=value, **changes)
    return replace(artifact, manifest=replace(artifact.manifest, threshold=threshold))


def heard_at(score: float, *, hz: float = 5000.0, seconds: float = 9.3, n_bands: int = 3) -> Heard:
    """A map whose highest value is at this place."""
    values = np.zeros((2, n_bands))
    values[1, -1] = 1.0
    bands_hz = np.linspace(hz / 2, hz, n_bands) if n_bands > 1 else np.full(1, np.nan)
    return Heard(score, AnomalyMap(values, np.array([0.0, seconds]), bands_hz), ())


# The answer


def test_a_clip_that_all_detectors_call_anomalous_is_answered_in_one_sentence_with_its_place(detectors):
    heard = {name: heard_at(1e9) for name in detectors}
    text = answer.answer_text(detectors, heard)
    assert text == "3 of 3 detectors: anomalous, strongest near 5.0 kHz at 9.3 s"


def test_a_clip_that_none_calls_anomalous_is_normal_for_all(detectors):
    assert answer.answer_text(detectors, {name: heard_at(-1e9) for name in detectors}) == "All 3 detectors: normal"


def test_detectors_that_disagree_are_said_to(detectors):
    heard = {name: heard_at(-1e9) for name in detectors} | {"lstm_predictor": heard_at(1e9)}
    text = answer.answer_text(detectors, heard)
    assert text == "1 of 3 detectors: anomalous, strongest near 5.0 kHz at 9.3 s; they disagree"


def test_the_place_is_that_of_the_detector_furthest_above_its_threshold(detectors):
    lstm, gru = (detectors[name].threshold.value for name in ("lstm_predictor", "gru_autoencoder"))
    heard = {
        "vggish_ocsvm": heard_at(-1e9),
        "lstm_predictor": heard_at(1.01 * lstm, hz=1000.0, seconds=1.0),
        "gru_autoencoder": heard_at(9 * gru, hz=2000.0, seconds=2.0),
    }
    assert "near 2.0 kHz at 2.0 s" in answer.answer_text(detectors, heard)


def test_a_map_over_time_only_names_no_place(detectors):
    svm = {"vggish_ocsvm": detectors["vggish_ocsvm"]}
    assert answer.answer_text(svm, {"vggish_ocsvm": heard_at(1e9, n_bands=1)}) == "1 of 1 detector: anomalous"


def test_a_detector_without_a_threshold_cannot_judge(detectors):
    silent = {name: with_threshold(artifact, None) for name, artifact in detectors.items()}
    heard = {name: heard_at(1e9) for name in detectors}
    assert answer.answer_text(silent, heard) == "Cannot judge: no threshold is known yet"
    mixed = {**detectors, "vggish_ocsvm": silent["vggish_ocsvm"]}
    assert answer.answer_text(mixed, heard).startswith("2 of 2 detectors: anomalous")
    assert answer.answer_text(mixed, heard).endswith("; 1 cannot judge")
    page = drawn(lambda: answer.answer(mixed, heard, hum(1), is_recording=False))
    assert [row["word"] for row in gauges_of(page)] == ["cannot judge", "anomalous", "anomalous"]
    assert gauges_of(page)[0]["place"] is None


def test_what_a_verdict_must_be_read_with_is_beside_it_and_not_in_its_place(detectors):
    lstm = {"lstm_predictor": with_threshold(detectors["lstm_predictor"], 1.0, provisional=True, rule="highest")}
    page = drawn(
        lambda: answer.answer(lstm, {"lstm_predictor": heard_at(2.0)}, hum(1, seconds=10.0), is_recording=False)
    )
    (row,) = gauges_of(page)
    assert row["word"] == "anomalous"
    chips = [chip["text"] for chip in row["chips"]]
    assert {"provisional", "unlike its training", "trained on simulated sound"} <= set(chips)


def test_an_own_recording_judged_by_simulated_detectors_alone_is_said_to_be_in_the_sentence(detectors):
    heard = {name: heard_at(1e9) for name in detectors}
    assert answer.ONLY_SIMULATED in text_of(drawn(lambda: answer.answer(detectors, heard, hum(1), is_recording=True)))
    assert answer.ONLY_SIMULATED not in text_of(
        drawn(lambda: answer.answer(detectors, heard, hum(1), is_recording=False))
    )


def test_checking_an_example_gives_a_verdict_of_each_active_detector(app):
    page = app()
    rows = gauges_of(page)
    assert tuple(row["name"] for row in rows) == THREE
    assert all(row["word"] in ("normal", "anomalous") for row in rows)
    assert all((row["place"] >= 0.5) == (row["word"] == "anomalous") for row in rows)
    assert all(len(row["normal"]) > 20 for row in rows)


def test_the_figures_are_one_click_away(app):
    page = app()
    assert "threshold" not in text_of(page)
    page.segmented_control(key="view").set_value("details").run()
    text = text_of(page)
    assert text.count("Higher than ") == text.count("Score **") == 3
    assert "held-out normal clips" in text
    facts = page.table[0].value
    assert "SHA-256" in str(facts)


# Examples


def test_examples_are_offered_without_label_or_name_in_an_order_that_tells_nothing(app, detectors):
    page = app()
    clips = {clip.digest: clip for clip in detectors["lstm_predictor"].scores.of("test").clips}
    box = page.selectbox(key="example")
    assert len(box.options) == len(clips) == 300
    assert not any(word in option for option in box.options for word in ("normal", "anomal", "rail", "grease", ".wav"))
    ordered = list(examples.by_hidden_name(clips.values()).values())
    n_changes = sum(one.label != other.label for one, other in pairwise(ordered))
    assert n_changes > 100
    assert not any(word in str(page.query_params) for word in ("normal", "anomal", "wav"))
    assert "anomalous (" not in text_of(page)


def test_next_random_and_reveal(app, detectors):
    page = app()
    first = page.selectbox(key="example").value
    page.button(key="example_next").click().run()
    second = page.selectbox(key="example").value
    assert page.query_params["example"] == second
    assert second > first
    page.button(key="example_random").click().run()
    assert page.selectbox(key="example").value != second
    shown = page.selectbox(key="example").value
    (clip,) = [clip for clip in detectors["lstm_predictor"].scores.of("test").clips if clip.digest.startswith(shown)]
    page.button(key="example_reveal").click().run()
    assert f"it is {clip.label}" in text_of(page)
    page.button(key="example_next").click().run()
    assert "it is " not in text_of(page)


def test_a_link_opens_the_example_it_names_and_an_older_one_its_clip(app, detectors):
    clips = detectors["lstm_predictor"].scores.of("test").clips
    name = clips[7].digest[: examples.NAME_LETTERS]
    assert app(example=name).selectbox(key="example").value == name
    assert app(clip=clips[7].path).selectbox(key="example").value == name


# Where: the player and its region


def test_the_player_gets_bands_in_hz_and_the_values_of_its_colours(app):
    panels = player_of(app())["panels"]
    spectrogram = panels[0]
    assert (spectrogram["edges"][0], spectrogram["edges"][-1], len(spectrogram["edges"])) == (0, 8000, 129)
    assert [spectrogram["scale"][name] for name in ("from", "to", "unit")] == [-75, -5, "dB"]
    assert sum("edges" in panel and panel["edges"] is not None for panel in panels) == 3


def test_a_region_is_in_the_link_and_the_nearest_normal_clip_comes_with_it(app):
    plain = player_of(app())
    assert plain["region"] is None
    assert plain["other"] is None
    assert plain["compares"]
    page = app(region="2.00-3.50s,521-2032Hz")
    message = player_of(page)
    assert message["region"] == {"from": 2.0, "to": 3.5, "low": 521.0, "high": 2032.0}
    assert message["other"]["title"].startswith("nearest normal clip")
    assert page.query_params["region"] == "2.00-3.50s,521-2032Hz"
    page.button(key="example_next").click().run()
    assert player_of(page)["region"] is None
    assert "region" not in page.query_params


def test_the_sliders_set_the_region_and_the_whole_range_is_none(app):
    page = app()
    page.slider[0].set_range(1.0, 2.5).run()
    assert player_of(page)["region"] == {"from": 1.0, "to": 2.5, "low": 0.0, "high": 8000.0}
    page.select_slider[0].set_range(region.EDGES_HZ[10], region.EDGES_HZ[40]).run()
    assert player_of(page)["region"]["low"] == region.EDGES_HZ[10]
    page.slider[0].set_range(0.0, 10.0).run()
    page.select_slider[0].set_range(0, 8000).run()
    assert player_of(page)["region"] is None


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (Region(1.0, 99.0, 0.0, 400.0), Region(1.0, 10.0, 0.0, 400.0)),
        (Region(11.0, 12.0, 0.0, 400.0), None),
        (Region(1.0, 2.0, 9000.0, 9500.0), None),
        (Region(0.0, 10.0, 0.0, 8000.0), None),
    ],
)
def test_a_region_stays_inside_the_clip_and_the_whole_clip_is_none(asked, kept):
    assert region._checked(asked, hum(1, seconds=10.0)) == kept


def test_a_region_is_read_back_from_its_text_and_nothing_else_is():
    spot = Region(8.9, 9.6, 4190.0, 5620.0)
    assert region.region_text(spot) == "8.90-9.60s,4190-5620Hz"
    assert region.region_named(region.region_text(spot)) == spot
    for text in ("", "8-9s", "a-9s,1-2Hz", "9.60-8.90s,1-2Hz", "1-2s,1-2Hz-3", "1.1.1-2s,1-2Hz", "²-3s,1-2Hz"):
        assert region.region_named(text) is None


# Frequencies and What if: steps, a bar, a stop


def steps_of(n: int, made: list[int]) -> list[stepwise.Step]:
    return [stepwise.Step(("test", id(made), i), lambda i=i: made.append(i) or i * 1.5, ("abc",)) for i in range(n)]


def computed(work: str, steps) -> list:
    import streamlit as st

    computing = stepwise.stepwise(work, steps)
    st.session_state["found"] = computing.take(steps)
    computing.end()


def test_steps_are_computed_once_and_nothing_is_left_of_the_bar():
    made: list[int] = []
    steps = steps_of(4, made)
    page = drawn(lambda: computed("w", steps))
    assert page.session_state["found"] == [0.0, 1.5, 3.0, 4.5]
    assert made == [0, 1, 2, 3]
    assert not page.button
    drawn(lambda: computed("w", steps))
    assert made == [0, 1, 2, 3]


def test_a_stop_leaves_out_what_is_not_known_and_continue_goes_on():
    made: list[int] = []
    steps = steps_of(4, made)
    held().get(steps[1].key, lambda: 1.5)
    page = drawn(lambda: computed("w", steps), stopped=ascii("w"))
    assert page.session_state["found"] == [None, 1.5, None, None]
    assert made == []
    assert "Stopped: 3 steps are left" in text_of(page)
    page.button(key="step_continue").click().run()
    assert page.session_state["found"] == [0.0, 1.5, 3.0, 4.5]
    assert made == [0, 2, 3]


def test_a_stop_holds_for_its_own_computation_alone():
    made: list[int] = []
    page = drawn(lambda: computed("another", steps_of(2, made)), stopped=ascii("w"))
    assert page.session_state["found"] == [0.0, 1.5]


def test_the_bar_says_how_long_the_rest_takes_once_a_step_has_shown_it():
    assert stepwise._bar_text(0, 40, 0.0) == "Listening 40 times …"
    assert stepwise._bar_text(10, 40, 5.0) == "10 of 40, about 15 s left"
    assert stepwise._bar_text(40, 40, 20.0) == "40 of 40"


def test_what_is_kept_of_a_step_goes_with_its_clip():
    made: list[int] = []
    steps = steps_of(1, made)
    drawn(lambda: computed("w", steps))
    held().drop(["abc"])
    assert held().find(steps[0].key) is None


# The report


def test_the_report_is_one_file_with_sound_pictures_scores_and_versions(detectors):
    clip = Waveform(hum(3, seconds=2.0).samples, digest="ab" * 32)
    svm = detectors["vggish_ocsvm"]
    from asd_core.reports.clip import Judged, clip_report

    judged = [
        Judged(detectors["lstm_predictor"], *detectors["lstm_predictor"].detector().anomaly_score_and_map(clip)),
        Judged(with_threshold(svm, None), *svm.detector().anomaly_score_and_map(clip), ("a: <remark>",)),
    ]
    page = clip_report(clip, judged, title="<b>pump</b>.wav", summary="1 of 2 detectors: anomalous.", notes=["a note"])
    assert page.count("data:audio/wav;base64,") == 1
    assert page.count("data:image/png;base64,") == 2  # the spectrogram, and the LSTM's map; the SVM's is over time only
    assert "&lt;b&gt;pump&lt;/b&gt;.wav" in page
    assert "&lt;remark&gt;" in page
    assert "<script" not in page
    assert not [line for line in page.splitlines() if "http:" in line or "https:" in line]
    for artifact in (detectors["lstm_predictor"], svm):
        assert artifact.version in page
    assert "cannot judge" in page
    assert "1 of 2 detectors: anomalous." in page
    assert "ab" * 32 in page


def test_the_page_offers_the_report(app):
    (button,) = [each.proto for each in app().get("download_button") if each.proto.label == "Report"]
    assert button.url or button.deferred_file_id


# Uploads


def test_an_uploaded_clip_gets_three_verdicts_and_its_name_stays_text(app):
    page = app()
    page.segmented_control(key="source").set_value("Upload").run()
    page.file_uploader(key="upload").upload(HOSTILE, wav_bytes(hum(1, seconds=10.0).samples), "audio/wav").run()
    assert not page.exception
    assert len(gauges_of(page)) == 3
    (warning,) = [each.value for each in page.warning if "rained on simulated sound" in each.value]
    assert "not whether your machine is faulty" in warning
    assert all("trained on simulated sound" in [chip["text"] for chip in row["chips"]] for row in gauges_of(page))
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
    page = app(artifacts=tmp_path / "out")
    page.segmented_control(key="source").set_value("Upload").run()
    verdicts = []
    for content in (eight_channels(100), eight_channels(100, knocks=3), wav_bytes(hum(100, seconds=1.0).samples)):
        page.file_uploader(key="upload").set_value(("clip.wav", content, "audio/wav")).run()
        assert not page.exception
        verdicts += [row["word"] for row in gauges_of(page)]
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
    page = app()
    page.segmented_control(key="source").set_value("Upload").run()
    page.file_uploader(key="upload").upload("clip.wav", content, "audio/wav").run()
    assert not page.exception
    assert "This could not be done" in text_of(page)
    assert reason in text_of(page)


def test_several_uploads_give_a_table_with_reasons_for_those_refused(app):
    page = app()
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
    assert list(table["File"]) == ["b.wav", "a.wav"]  # the most anomalous first
    assert list(table["Mean"]) == sorted(table["Mean"], reverse=True)
    assert set(table["LSTM says"]) <= {"normal", "anomalous"}
    assert all(
        (place >= 0.5) == (word == "anomalous") for place, word in zip(table["LSTM"], table["LSTM says"], strict=True)
    )
    assert player_of(page)["title"] == "b.wav"


def test_files_beyond_the_limits_of_a_session_are_refused_unread(app, monkeypatch):
    from asd_core.data.quotas import CHECKING, Quota
    from pages.parts.check import uploads

    read = []
    monkeypatch.setattr(uploads, "decode_upload", lambda _content, name, **_: read.append(name) or hum(1, seconds=1.0))
    page = app()
    page.session_state["check_used"] = Quota(files=48, bytes=2**20, limits=CHECKING)
    page.segmented_control(key="source").set_value("Upload").run()
    clips = [(f"{number}.wav", wav_bytes(hum(number, seconds=1.0).samples), "audio/wav") for number in range(4)]
    page.file_uploader(key="upload").set_value(clips).run()
    assert not page.exception
    assert read == ["0.wav", "1.wav"]
    assert "2 clips scored, 2 refused" in text_of(page)
    assert text_of(page).count("a session may check 50 files and 200 MB") == 1  # one line for both
    line = next(text for text in text_of(page).splitlines() if text.startswith("**2 files**"))
    assert "choose 'Use a server folder' on the Data page" in line
    assert "a session may check 50 files and 200 MB, 0 files and 199 MB are left" in line
    page.run()
    assert "2 clips scored, 2 refused" in text_of(page)  # each file counts once
    assert page.session_state["check_used"].files == 50
    page.session_state["check_used"] = Quota(files=1, bytes=200 * 2**20, limits=CHECKING)
    page.file_uploader(key="upload").set_value(("more.wav", clips[3][1], "audio/wav")).run()
    assert "49 files and 0 MB are left, and this would take 1 file and less than 1 MB" in text_of(page)
    assert "This could not be done" in text_of(page)
    assert read == ["0.wav", "1.wav"]


def test_a_verdict_can_be_marked_wrong_and_is_kept(app, monkeypatch, tmp_path):
    from asd_core.data.marked import marked_dir
    from asd_core.data.table import read_library

    page = app()
    page.button(key="mark_save").click().run()
    assert not page.exception
    assert "Marked as normal" in text_of(page)
    assert len(list((marked_dir() / "normal").iterdir())) == 1
    assert read_library().find("marked").folder == marked_dir().resolve()


def test_bands_are_shown_on_demand(app):
    page = app()
    assert not page.get("plotly_chart")
    page.segmented_control(key="view").set_value("frequencies").run()
    assert not page.exception
    assert len(page.get("plotly_chart")) == 3


def test_a_changed_clip_is_heard_judged_and_drawn_beside_the_recorded_one(app):
    page = app(view="what_if")
    assert "Change something above first" in text_of(page)
    assert all(cell.endswith("unchanged") for cell in page.table[0].value["Verdict"])
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
    page = app(what_gain="-20", what_high="nonsense")
    assert page.segmented_control(key="view").value == "what_if"
    assert page.select_slider(key="what_gain").value == "-20"
    assert page.select_slider(key="what_high").value == "8000"
