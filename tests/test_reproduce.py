"""The report's experiment, repeated on a tiny simulated bench."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from sounds import hum

from asd_core.artifacts.store import find_artifacts
from asd_core.audio.reading import encode_wav
from asd_core.cli import main
from asd_core.data.simulated.bench import BenchSize, IdCounts, write_bench
from asd_core.detectors.gru_autoencoder import GruAutoencoder
from asd_core.detectors.lstm_predictor import LstmPredictor
from asd_core.errors import DataSetError
from asd_core.evaluation.scores import Scores
from asd_core.features.log_mel import log_mel
from asd_core.reports import reproduce as module
from asd_core.reports.course_report import extrapolated_seconds
from asd_core.reports.course_tables import as_text
from asd_core.reports.published import LEFT_OPEN, OTHER_RULES, PUBLISHED, has_report_mix
from asd_core.tasks.assess import assess

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


@pytest.fixture
def assessed(bench, tmp_path, monkeypatch):
    """A reproduction, and the assessments behind it: each method with its assessment."""
    kept = []

    def keep(*args, **options):
        kept.append(assess(*args, **options))
        return kept[-1]

    monkeypatch.setattr(module, "assess", keep)
    result = module.reproduce(bench, tmp_path / "out")
    return {method.detector: (method, found) for method, found in zip(result.methods, kept, strict=True)}


def counted(found, alarms):
    """Confusion matrix of decisions about an assessment's clips."""
    labels = found.scores.is_anomalous
    return tuple(int((wanted & truth).sum()) for truth in (~labels, labels) for wanted in (~alarms, alarms))


def cells(summary):
    decided = summary.decisions.confusion
    return decided.tn, decided.fp, decided.fn, decided.tp


def test_the_gru_is_judged_at_the_report_s_rate_of_detections_and_the_lstm_nearest_to_the_corner(assessed):
    method, found = assessed["gru_autoencoder"]
    anomalous = np.sort(found.scores.anomaly_scores[found.scores.is_anomalous])[::-1]
    at = method.with_test_labels
    assert at.threshold.value == anomalous[4]  # 5 of 6 is the first rate of at least 0.80
    assert cells(at) == counted(found, found.scores.anomaly_scores >= anomalous[4])
    method, found = assessed["lstm_predictor"]
    values = found.scores.anomaly_scores
    distances = {
        value: np.hypot(cut[1] / 6, cut[2] / 6) for value in values if (cut := counted(found, values >= value))
    }
    assert distances[method.with_test_labels.threshold.value] == min(distances.values())


def test_the_svm_s_thresholds_0_and_0_2_are_on_its_decision_value(assessed):
    method, found = assessed["vggish_ocsvm"]
    decision_values = -found.scores.anomaly_scores
    zero, by_hand = method.other_rules.values()
    assert (zero.threshold.value, by_hand.threshold.value) == (0.0, -0.2)
    assert cells(zero) == counted(found, decision_values <= 0)
    assert cells(by_hand) == counted(found, decision_values <= 0.2)
    assert not by_hand.threshold.uses_test_labels


def test_the_lstm_s_mean_thresholds_come_from_held_out_normal_clips(assessed):
    method, found = assessed["lstm_predictor"]
    heldout = found.heldout.anomaly_scores
    limits = [heldout.mean() + k * heldout.std() for k in range(4)]
    assert [each.threshold.value for each in method.other_rules.values()] == pytest.approx(limits, rel=1e-12)
    for limit, each in zip(limits, method.other_rules.values(), strict=True):
        assert cells(each) == counted(found, found.scores.anomaly_scores >= limit)
    assert assessed["gru_autoencoder"][0].other_rules == {}


def test_a_rule_that_cannot_work_leaves_its_row_with_the_reason(assessed):
    _, found = assessed["lstm_predictor"]
    alone = replace(found, heldout=Scores(found.heldout.clips[:1]))
    summary = module._by_rule(alone, OTHER_RULES["lstm_predictor"][0], seed=0)
    assert (summary.threshold.value, summary.decisions.confusion) == (None, None)
    assert "at least 2" in summary.threshold.reason


def test_the_class_mix_is_written_and_figures_at_the_report_s_beside_ours(assessed):
    written = assessed["gru_autoencoder"][0].to_json()
    assert not written["has_report_mix"]
    decided = written["with_test_labels"]
    fpr, tpr = decided["confusion"]["fp"] / 6, decided["confusion"]["tp"] / 6
    precision = 801 * tpr / (801 * tpr + 300 * fpr)
    at_mix = decided["per_class_at_report_mix"]["anomalous"]
    assert (at_mix["precision"], at_mix["support"]) == (pytest.approx(precision), 801)
    assert decided["per_class"]["anomalous"]["support"] == 6
    assert list(written["other_rules"]) == []


def test_the_loss_of_the_mean_spectrum_comes_from_the_training_s_record_where_it_has_one(assessed):
    method, found = assessed["gru_autoencoder"]
    assert method.to_json()["mean_spectrum_loss"] == getattr(
        found.artifact.manifest.training, "mean_spectrum_loss", None
    )
    object.__setattr__(found.artifact.manifest.training, "mean_spectrum_loss", 0.0038)
    assert module._method(found, seed=0).to_json()["mean_spectrum_loss"] == 0.0038


@pytest.mark.parametrize(
    ("n_normal", "n_anomalous", "same"), [(300, 801, True), (75, 200, True), (150, 150, False), (300, 780, False)]
)
def test_a_class_mix_is_the_report_s_or_another(n_normal, n_anomalous, same):
    assert has_report_mix(n_normal, n_anomalous) is same


def test_the_number_of_windows_that_is_taken_is_the_number_that_there_is():
    frames = log_mel(np.random.default_rng(0).normal(size=160_000).astype(np.float32))
    n_windows = len(frames) - GruAutoencoder().window + 1
    (taken,) = (taken for what, taken in LEFT_OPEN.items() if what.startswith("windows of the GRU"))
    assert taken == f"all {n_windows} windows of ten in {len(frames)} frames"


def test_settings_unlike_the_report_s_are_read_from_the_trained_detector(bench, tmp_path, monkeypatch):
    for kind in (LstmPredictor, GruAutoencoder):
        monkeypatch.setattr(kind, "presets", {"paper": TINY, "quick": {**TINY, "learning_rate": 0.002}})
    result = module.reproduce(bench, tmp_path / "out")
    unlike = {method.detector: method.unlike_report for method in result.methods}
    assert unlike == {
        "vggish_ocsvm": {"encoder": ("logmel_stats", "vggish")},
        "lstm_predictor": {"learning_rate": (0.002, 0.001)},
        "gru_autoencoder": {"learning_rate": (0.002, 0.001)},
    }
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("Unlike the report: learning rate 0.002 instead of 0.001.") == 2
    assert "Unlike the report: encoder logmel_stats instead of vggish." in as_text(result)
    assert result.to_json()["methods"][1]["unlike_report"] == {"learning_rate": [0.002, 0.001]}


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
