"""The numbers of the threshold page in its URL: what a link opens, what it names, and what it cannot ask for."""

from __future__ import annotations

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
from asd_core.evaluation.operating import shortest_threshold
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.system.places import data_dir
from pages.parts.threshold.linked_numbers import number_in, rule_limits

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


def link_of(page) -> dict[str, str]:
    return {name: page.query_params[name] for name in page.query_params}


def test_a_link_opens_the_threshold_that_was_set_by_hand(page):
    shown = page(detector="lstm_predictor", rule="manual", value="0.004321")
    assert not shown.exception
    assert "Threshold **0.004321**, set by hand" in text_of(shown)
    assert "**No promise.** Observed" in text_of(shown)
    assert link_of(shown)["value"] == "0.004321"


def test_a_threshold_moved_by_hand_is_named_by_the_url_and_another_rule_takes_it_out(page):
    shown = page(detector="lstm_predictor", rule="manual")
    scores = LSTM.scores.of("test").labelled().anomaly_scores
    before = shown.slider[0].value
    shown.slider[0].set_value(float(np.median(scores))).run()
    named = float(link_of(shown)["value"])
    assert named != before
    assert np.array_equal(is_anomalous(scores, named), is_anomalous(scores, shown.slider[0].value))
    shown.selectbox(key="rule").set_value("youden").run()
    assert "value" not in link_of(shown)


def test_a_link_names_the_number_of_a_rule_and_the_share_of_faults(page):
    shown = page(rule="cost", rule_value="7.5", prior="2.5")
    assert [each.value for each in shown.number_input if each.key in ("rule_value:cost", "prior")] == [7.5, 2.5]
    assert (link_of(shown)["rule_value"], link_of(shown)["prior"]) == ("7.5", "2.5")
    shown.selectbox(key="rule").set_value("target_tpr").run()
    assert link_of(shown)["rule_value"] == "0.9"
    assert "prior" not in link_of(shown)


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "0,5", "<b>", ""])
def test_a_link_with_no_number_opens_the_current_threshold_to_be_moved(page, value):
    shown = page(detector="lstm_predictor", rule="manual", value=value)
    assert not shown.exception
    assert f"Threshold **{LSTM.threshold.value:.4g}**, set by hand" in text_of(shown)


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
    assert "set by hand" in text_of(shown)


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
