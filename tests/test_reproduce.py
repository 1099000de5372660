"""The report's experiment, repeated on a tiny simulated bench."""

from __future__ import annotations

import json
import shutil
from xml.etree import ElementTree

import pytest
from sounds import hum

from asd_core.artifacts.store import find_artifacts
from asd_core.audio.reading import encode_wav
from asd_core.cli import main
from asd_core.data.simulated.bench import BenchSize, IdCounts, write_bench
from asd_core.detectors.gru_autoencoder import GruAutoencoder
from asd_core.detectors.lstm_predictor import LstmPredictor
from asd_core.errors import DataSetError
from asd_core.reports import reproduce as module
from asd_core.reports.course_report import PUBLISHED, as_text, extrapolated_seconds

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
    assert result.ids == ("00", "02")
    assert (result.simulated, result.data_simulated) == (True, True)
    assert all(method.to_json()["simulated"] for method in result.methods)
    assert [method.detector for method in result.methods] == list(PUBLISHED)
    for method in result.methods:
        assert method.with_test_labels.threshold.uses_test_labels
        assert not method.without_test_labels.threshold.uses_test_labels
        assert set(method.ranking.per_id) == {"00", "02"}
    assert json.loads((tmp_path / "out" / "reproduction.json").read_text()) == json.loads(json.dumps(result.to_json()))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Simulated data" in page
    for words in ("Table 1", "Table 2", "0.9406", "0.000511", "Figure 3.", "leaves open", "held-out normal clips"):
        assert words in page, words
    for name in result.figures:
        picture = (tmp_path / "out" / name).read_text()
        assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own
        assert "Simulated data" in picture
        assert "trained on simulated sound" in picture
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
    assert result.not_run[0]["method"] == "VGGish + one-class SVM"
    assert "saved_model.pb" in result.not_run[0]["reason"]
    assert result.methods[0].title.startswith("Log-mel statistics")


def test_the_papers_time_at_the_reports_counts_is_extrapolated_in_proportion_and_only_where_needed():
    assert extrapolated_seconds(100.0, n_fitted=379, preset="paper") == 500.0
    assert extrapolated_seconds(100.0, n_fitted=1895, preset="paper") is None
    assert extrapolated_seconds(100.0, n_fitted=474, preset="quick") is None


def test_resumed_on_other_clips_it_trains_anew(bench, tmp_path):
    module.reproduce(bench, tmp_path / "out")
    size = BenchSize("tiny", {name: IdCounts(11, 3, 3) for name in ("00", "02", "06")})
    other = write_bench(tmp_path / "other" / "tiny", size=size, seed=4)
    result = module.reproduce(other, tmp_path / "out", resume=True)
    assert result.n_train == 22


def test_resumed_it_still_says_that_vggish_was_not_run(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_VGGISH_DIR", str(tmp_path / "nowhere"))
    first = module.reproduce(bench, tmp_path / "out", preset="paper")
    again = module.reproduce(bench, tmp_path / "out", preset="paper", resume=True)
    assert again.not_run == first.not_run != ()
    assert again.methods[0].version == first.methods[0].version


def test_preset_quick_says_that_it_does_not_run_vggish(bench, tmp_path):
    result = module.reproduce(bench, tmp_path / "out")
    assert [entry["method"] for entry in result.not_run] == ["VGGish + one-class SVM"]
    assert "--preset paper" in result.not_run[0]["reason"]


def test_ids_of_the_report_that_are_missing_are_named(bench, tmp_path):
    assert module.reproduce(bench, tmp_path / "out").warnings == (
        "missing_ids: the report's ids are 00, 02, 04; 04 are not there",
    )
    other = write_bench(tmp_path / "tiny", size=BenchSize("tiny", {"06": IdCounts(10, 3, 3)}), seed=3)
    with pytest.raises(DataSetError, match="the report's ids are 00, 02, 04; slider has 06"):
        module.reproduce(other, tmp_path / "out6")


def test_without_anomalous_test_clips_nothing_is_trained(bench, tmp_path):
    copy = shutil.copytree(bench, tmp_path / "tiny")
    for path in copy.glob("slider/test/anomaly_*"):
        path.unlink()
    with pytest.raises(DataSetError, match="has no anomalous test clips of id 00, 02"):
        module.reproduce(copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_own_recordings_name_their_normal_folder(tmp_path, capsys):
    root = tmp_path / "pump"
    for label, n, knocks in (("gut", 20, 0), ("leak", 3, 3)):
        for i in range(n):
            path = root / label / "00" / f"{i}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_wav(hum(100 * knocks + i, knocks=knocks).samples))
    assert main(["reproduce", "--data", str(root), "--normal", "gut", "--out", str(tmp_path / "out")]) == 0
    assert "missing_ids" in capsys.readouterr().err
