"""The numbers of the threshold page in its URL: what a link opens, what it names, and what it cannot ask for."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.artifacts.versions import save_threshold
from asd_core.evaluation.label_rules import from_labelled_scores
from asd_core.evaluation.operating import shortest_threshold
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.system.places import data_dir
from pages.parts.threshold.linked_numbers import number_in, numbers_by_id, rule_limits

EMBEDDED = PROJECT / "artifacts" / "simulated-small"
LSTM = open_artifact(EMBEDDED / "slider" / "lstm_predictor")


@pytest.fixture
def page(monkeypatch, tmp_path):
    """Return a function that opens the threshold page by a link."""
    monkeypatch.setenv("ASD_DATA_DIR", str(data_dir()))
    monkeypatch.syspath_prepend(str(PROJECT))

    def open_(*, artifacts=None, **query: str) -> AppTest:
        monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(artifacts or EMBEDDED.parent))
        app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
        for name, value in query.items():
            app.query_params[name] = value
        return app.switch_page("pages/threshold.py").run()

    return open_


def text_of(page) -> str:
    return "\n".join(each.value for each in (*page.markdown, *page.caption))


def now_of(page) -> dict:
    """What the cockpit is told at this run."""
    found = [json.loads(each.proto.json) for each in page.get("bidi_component") if ":says" in each.proto.id]
    return found[-1]


def link_of(page) -> dict[str, str]:
    return {name: page.query_params[name] for name in page.query_params}


def test_a_link_opens_the_threshold_that_was_set_by_hand(page):
    shown = page(detector="lstm_predictor", rule="manual", value="0.004321")
    assert not shown.exception
    assert "Threshold **0.004321**. Set by hand: it promises nothing." in text_of(shown)
    assert link_of(shown)["value"] == "0.004321"


def test_a_threshold_moved_by_hand_is_named_by_the_url_and_another_rule_takes_it_out(page):
    shown = page(detector="lstm_predictor", rule="manual")
    scores = LSTM.scores.of("test").labelled().anomaly_scores
    moved = float(np.median(scores)) * (1 + 1e-9)
    shown.session_state[f"manual:{LSTM.folder}"] = moved
    shown.run()
    named = float(link_of(shown)["value"])
    assert named != moved
    assert np.array_equal(is_anomalous(scores, named), is_anomalous(scores, moved))
    shown.selectbox(key="rule").set_value("youden").run()
    assert "value" not in link_of(shown)


def test_a_link_names_the_costs_and_the_share_of_faults(page):
    shown = page(detector="lstm_predictor", rule="cost", cost="7.5", prior="2.5", every="60")
    assert now_of(shown)["numbers"] == {"prior": 0.025, "ratio": 7.5, "every_s": 60.0}
    scores = LSTM.scores.of("test").labelled()
    cheapest = from_labelled_scores("cost", scores.is_anomalous, scores.anomaly_scores, rule_value=7.5, prior=0.025)
    assert now_of(shown)["thresholds"] == [cheapest.value]
    assert now_of(shown)["look"]["costs"]
    assert [link_of(shown)[name] for name in ("cost", "prior", "every")] == ["7.5", "2.5", "60.0"]
    shown.selectbox(key="rule").set_value("target_tpr").run()
    assert link_of(shown)["rule_value"] == "0.9"
    assert link_of(shown)["prior"] == "2.5"


def test_a_link_opens_curves_costs_picture_and_the_second_detectors_threshold(page):
    look = {"ids": "curves", "costs": "on", "panel": "pr"}
    shown = page(detector="lstm_predictor", second="gru_autoencoder", second_value="0.25", **look)
    assert now_of(shown)["look"] == {"ids": "curves", "costs": True, "panel": "pr"}
    assert now_of(shown)["thresholds"] == [LSTM.threshold.value, 0.25]
    assert {name: link_of(shown)[name] for name in look} == look
    assert link_of(shown)["second_value"] == "0.25"
    plain = page(detector="lstm_predictor")
    assert not {"ids", "costs", "panel", "second_value", "per_id", "value", "prior", "cost"} & set(link_of(plain))


def test_each_id_is_judged_by_the_threshold_that_the_link_gives_it(page):
    own = {"00": 1e-9, "02": 1e9}
    shown = page(detector="lstm_predictor", rule="manual", value="0.004", ids="thresholds", per_id=json.dumps(own))
    assert now_of(shown)["per_id"] == [1e-9, 1e9, 0.004]
    scores = LSTM.scores.of("test").labelled()
    normal = {
        name: sum(c.label == "normal" and c.machine_id == name for c in scores.clips) for name in ("00", "02", "04")
    }
    table = shown.table[0].value
    assert table["False-alarm rate"]["id 00"] == f"100.0 % ({normal['00']}/{normal['00']})"
    assert table["False-alarm rate"]["id 02"] == f"0.0 % (0/{normal['02']})"
    assert "A threshold for each id. Set by hand" in text_of(shown)
    again = numbers_by_id(link_of(shown)["per_id"])
    assert set(again) == {"00", "02"}


def test_a_rule_gives_each_id_its_own_threshold_from_its_own_clips(page):
    shown = page(detector="lstm_predictor", rule="youden", ids="thresholds")
    scores = LSTM.scores.of("test").labelled()
    for at, name in enumerate(("00", "02", "04")):
        clips = [clip for clip in scores.clips if clip.machine_id == name]
        own = from_labelled_scores("youden", [c.label == "anomalous" for c in clips], [c.anomaly_score for c in clips])
        assert now_of(shown)["per_id"][at] == own.value
    assert page(detector="lstm_predictor", ids="thresholds").table[0].value["Threshold"].nunique() == 3


@pytest.mark.parametrize("text", ["", "[]", "{", '{"00": "x"}', '{"00": null}', '{"00": NaN}', "1", '{"00": true}'])
def test_thresholds_by_id_that_are_none_are_passed_over(text):
    assert numbers_by_id(text) is None


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "0,5", "<b>", ""])
def test_a_link_with_no_number_opens_the_current_threshold_to_be_moved(page, value):
    shown = page(detector="lstm_predictor", rule="manual", value=value)
    assert not shown.exception
    assert f"Threshold **{LSTM.threshold.value:.4g}**. Set by hand" in text_of(shown)


def test_a_value_is_for_the_detector_that_the_link_names_alone(page):
    shown = page(detector="lstm_predictor", rule="manual", value="0.004321")
    shown.segmented_control(key="detector").set_value("vggish_ocsvm").run()
    assert "0.004321" not in text_of(shown)


@pytest.mark.parametrize(
    ("text", "rule", "number"),
    [("0.25", "quantile", 0.25), ("0", "quantile", None), ("1.5", "quantile", None), ("1.5", "cost", 1.5)],
)
def test_a_number_out_of_its_rules_range_is_passed_over(text, rule, number):
    assert number_in({"rule_value": text}, "rule_value", *rule_limits(rule)) == number


def test_without_a_threshold_the_page_offers_none_as_the_detectors_own(page, tmp_path):
    shutil.copytree(EMBEDDED / "slider" / "vggish_knn", tmp_path / "pump" / "slider" / "vggish_knn")
    folder = tmp_path / "pump" / "slider" / "vggish_knn"
    artifact = open_artifact(folder)
    save_threshold(artifact, replace(artifact.threshold, value=None, reason="too few clips"), folder=folder)
    shown = page(artifacts=tmp_path)
    assert not shown.exception
    assert shown.selectbox(key="rule").value == "manual"
    assert not [option for option in shown.selectbox(key="rule").options if "current threshold" in option]
    assert "Set by hand" in text_of(shown)


def test_a_rule_that_uses_test_labels_begins_by_saying_so(page):
    options = page().selectbox(key="rule").options
    assert "Uses test labels: largest TPR \N{MINUS SIGN} FPR" in options
    assert "Uses test labels: nearest to top left" in options
    assert "Held-out clips: a quantile" in options


@given(st.lists(st.floats(-1e6, 1e6), max_size=8), st.floats(-1e6, 1e6))
def test_the_shortest_threshold_decides_every_score_alike(scores, threshold):
    found = shortest_threshold(scores, threshold)
    assert np.array_equal(is_anomalous(scores, found), is_anomalous(scores, threshold))


def test_four_digits_are_kept_where_they_decide_alike_and_more_where_they_must_be():
    assert shortest_threshold([0.1, 0.9], 0.123456789) == 0.1235
    assert shortest_threshold([0.1234567, 0.1234568], 0.12345675) == 0.1234568
