"""The report's experiment, repeated on a tiny simulated bench."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from asd_core import reproduce as module
from asd_core.artifacts import find_artifacts
from asd_core.course_report import PUBLISHED, as_text, extrapolated_seconds
from asd_core.datasets.bench import BenchSize, IdCounts, write_bench
from asd_core.detectors.gru_autoencoder import GruAutoencoder
from asd_core.detectors.lstm_predictor import LstmPredictor

TINY = {"hidden": 8, "epochs": 1, "windows_per_epoch": 128}


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    for kind in (LstmPredictor, GruAutoencoder):
        monkeypatch.setattr(kind, "presets", {"paper": TINY, "quick": TINY})


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    ids = ("00", "02", "06")
    size = BenchSize("tiny", {name: IdCounts(10, 3, 3) for name in ids})
    return write_bench(tmp_path_factory.mktemp("bench") / "tiny", size=size, seed=3)


def test_it_trains_the_three_methods_on_the_reports_ids_and_sets_figures_side_by_side(bench, tmp_path):
    result = module.reproduce(bench, tmp_path / "out")
    assert result["ids"] == ["00", "02"]
    assert result["simulated"]
    assert [row["detector"] for row in result["methods"]] == list(PUBLISHED)
    for row in result["methods"]:
        assert row["with_test_labels"]["threshold"]["uses_test_labels"]
        assert not row["without_test_labels"]["threshold"]["uses_test_labels"]
        assert set(row["per_id"]) == {"00", "02"}
    assert json.loads((tmp_path / "out" / "reproduction.json").read_text()) == json.loads(json.dumps(result))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Simulated data" in page
    for words in ("Table 1", "Table 2", "0.9406", "0.000511", "Figure 3.", "leaves open", "held-out normal clips"):
        assert words in page, words
    for name in result["figures"]:
        picture = (tmp_path / "out" / name).read_text()
        assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own
        assert "Simulated data" in picture
    text = as_text(result)
    assert "report 0.9406" in text
    assert "simulated" in text
    assert "uses test labels" in text


def test_resumed_it_does_not_train_again_what_is_there(bench, tmp_path):
    module.reproduce(bench, tmp_path / "out")
    before = [folder.joinpath("current").read_text() for folder in find_artifacts(tmp_path / "out" / "detectors")]
    module.reproduce(bench, tmp_path / "out", resume=True)
    after = [folder.joinpath("current").read_text() for folder in find_artifacts(tmp_path / "out" / "detectors")]
    assert before == after
    assert len(before) == 3


def test_vggish_out_of_reach_is_listed_and_log_mel_statistics_keep_their_own_name(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_VGGISH_DIR", str(tmp_path / "nowhere"))
    result = module.reproduce(bench, tmp_path / "out", preset="paper")
    assert result["not_run"][0]["method"] == "VGGish + one-class SVM"
    assert "saved_model.pb" in result["not_run"][0]["reason"]
    assert result["methods"][0]["method"].startswith("Log-mel statistics")


def test_the_papers_time_at_the_reports_counts_is_extrapolated_in_proportion_and_only_where_needed():
    assert extrapolated_seconds(100.0, n_fitted=379, preset="paper") == 500.0
    assert extrapolated_seconds(100.0, n_fitted=1895, preset="paper") is None
    assert extrapolated_seconds(100.0, n_fitted=474, preset="quick") is None
