"""Evaluations that can be checked: imported scores, per-id normalisation, and the same bytes again."""

from __future__ import annotations

import csv
import json

import pytest
from sounds import PROJECT

from asd_core.artifacts.store import open_artifact
from asd_core.data.simulated.bench import BenchSize, IdCounts, write_bench
from asd_core.errors import DataSetError, ThresholdError, UsageError
from asd_core.evaluation.imported import read_scores
from asd_core.tasks.evaluate import evaluate
from asd_core.tasks.score import ScoreRow, format_score_csv
from asd_core.tasks.train import TrainingRequest, train

SVM = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    size = BenchSize("tiny", {"00": IdCounts(60, 12, 12), "02": IdCounts(60, 12, 12)})
    return write_bench(tmp_path_factory.mktemp("bench") / "tiny", size=size, seed=5)


@pytest.fixture(scope="module")
def model(bench, tmp_path_factory):
    return train(TrainingRequest("vggish_ocsvm", bench, out=tmp_path_factory.mktemp("out"))).model


def write_scores(path, model, *, change=lambda row: row, splits=("test",)):
    """Write the detector's own scores as another method's file."""
    clips = [clip for clip in open_artifact(model).scores.clips if clip.split in splits]
    rows = [change((f"slider/{clip.path}", clip.anomaly_score)) for clip in clips]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "anomaly_score"), *(row for row in rows if row)])
    return path


def test_an_evaluation_again_gives_the_same_bytes(model, bench):
    first, second = (json.dumps(evaluate(model, bench, seed=3).to_json(), sort_keys=True) for _ in range(2))
    assert first == second
    made_from = json.loads(first)["made_from"]
    assert {"version", "test_fingerprint", "training_fingerprint", "split", "rule", "seed", "versions"} <= set(
        made_from
    )
    assert json.dumps(evaluate(model, bench, seed=4).to_json(), sort_keys=True) != first


def test_the_same_scores_imported_give_the_same_figures_and_no_difference(model, bench, tmp_path):
    imported = read_scores(write_scores(tmp_path / "same.csv", model, splits=("test", "heldout")))
    report = evaluate(model, bench, rule="conformal", imported=imported, imported_name="same")
    other = report.imported
    assert other.summary == report.summary
    assert other.difference.auc_pooled.estimate == 0
    assert other.difference.p_value == 1


def test_imported_scores_without_heldout_clips_have_no_label_free_threshold(model, bench, tmp_path):
    report = evaluate(model, bench, imported=read_scores(write_scores(tmp_path / "test.csv", model)))
    decisions = report.imported.summary.decisions
    assert decisions.threshold.value is None
    assert "no normal scores" in decisions.threshold.reason
    assert decisions.confusion is None


def test_worse_imported_scores_differ_significantly(model, bench, tmp_path):
    path = write_scores(tmp_path / "worse.csv", model, change=lambda row: (row[0], -row[1]))
    difference = evaluate(model, bench, imported=read_scores(path)).imported.difference
    assert difference.auc_pooled.low > 0
    assert difference.p_value < 1e-3


def test_a_clip_without_imported_score_is_named(model, bench, tmp_path):
    path = write_scores(
        tmp_path / "gap.csv", model, change=lambda row: None if "anomaly_id_02_00000003" in row[0] else row
    )
    with pytest.raises(DataSetError, match=r"1 clips have no imported score.*anomaly_id_02_00000003"):
        evaluate(model, bench, imported=read_scores(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,score\na,1\n", "must have the columns path"),
        ("path,score\na,nan\n", "needs a path and a finite score"),
        ("path,score\na,1\na,2\n", "twice"),
        ("path,score\na,one\n", "needs a path and a finite score"),
        ("", "must have the columns path"),
    ],
)
def test_a_broken_score_file_is_refused(tmp_path, text, message):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(DataSetError, match=message):
        read_scores(path)


def test_no_content_is_shown_where_a_score_file_is_refused(tmp_path):
    path = tmp_path / "scores.csv"
    for text in ("hunter2,x\n", "path,score\nhunter2,hunter2\n", "path,score\nhunter2,1\nhunter2,1\n", "hunter2\xff"):
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(DataSetError) as refusal:
            read_scores(path)
        assert "hunter2" not in str(refusal.value)


def test_scores_that_the_score_command_wrote_are_read_under_their_own_names(tmp_path):
    names = ["=1.wav", "x;=cmd;.wav", "'=1.wav", "a\rb.wav"]
    rows = [ScoreRow(name, "m", "", "ok", "", float(number), None, "", True) for number, name in enumerate(names)]
    path = tmp_path / "scores.csv"
    path.write_text(format_score_csv(rows), encoding="utf-8", newline="")
    assert read_scores(path) == {name: float(number) for number, name in enumerate(names)}


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_bytes(b"\xef\xbb\xbfpath,score\na,1.5\n")
    assert read_scores(path) == {"a": 1.5}


def test_per_id_normalisation_leaves_each_ids_auc(model, bench):
    report = evaluate(model, bench, normalise=True)
    raw, normalised = evaluate(model, bench).summary, report.summary
    assert report.normalised_per_id
    assert normalised.ranking.auc_mean.estimate == pytest.approx(raw.ranking.auc_mean.estimate, abs=1e-12)
    assert normalised.threshold.rule == "conformal"
    assert normalised.threshold.value != raw.threshold.value


def test_a_rule_with_labels_comes_with_its_optimism(model, bench):
    summary = evaluate(model, bench, rule="best_f1").summary
    assert summary.threshold.uses_test_labels
    assert summary.optimism.naive.f1 >= summary.optimism.honest.f1
    assert evaluate(model, bench).summary.optimism is None


def test_thresholds_per_id_decide_each_clip_by_its_own(model, bench):
    report = evaluate(model, bench, per_id=True)
    own = report.summary.threshold.per_id
    clips = [clip for clip in open_artifact(model).scores.clips if clip.split == "test" and clip.label == "normal"]
    expected = sum(clip.anomaly_score >= own[clip.machine_id] for clip in clips)
    assert set(own) == {"00", "02"}
    assert report.summary.decisions.confusion.fp == expected
    assert report.threshold_per_id


def test_a_rule_without_thresholds_per_id_is_refused(model, bench):
    with pytest.raises(ThresholdError, match="no threshold for each id"):
        evaluate(model, bench, rule="manual", rule_value=0.5, per_id=True)


def test_the_ensemble_with_another_detector_stands_beside_the_first(model, bench):
    other = train(TrainingRequest("vggish_knn", bench, out=model.parents[2])).model
    report = evaluate(model, bench, others=[other])
    joint = report.ensemble
    assert joint.title == "Ensemble of 2 (z-scores, no test labels)"
    assert [each["title"] for each in joint.members] == [report.title, open_artifact(other).title]
    assert joint.summary.threshold.n_calibration == 120
    assert joint.summary.threshold.rule == "conformal"
    gap = report.summary.ranking.auc_pooled.estimate - joint.summary.ranking.auc_pooled.estimate
    assert joint.difference.auc_pooled.estimate == pytest.approx(gap)
    assert evaluate(model, bench).ensemble is None


def test_a_detector_of_another_split_cannot_join_the_ensemble(model, bench, tmp_path):
    other = train(TrainingRequest("vggish_knn", bench, seed=1, ids=("00",), out=tmp_path)).model
    assert evaluate(model, bench, others=[other]).ensemble.summary.threshold.n_calibration == 60


@pytest.fixture(scope="module")
def network(bench, tmp_path_factory):
    settings = {"epochs": 1, "windows_per_epoch": 256, "hidden": 8, "layers": 1}
    out = tmp_path_factory.mktemp("network")
    return train(TrainingRequest("lstm_predictor", bench, settings=settings, out=out)).model


def test_another_pooling_of_a_cross_fitted_network_has_no_threshold_since_it_has_heard_every_clip(bench, tmp_path):
    settings = {"epochs": 1, "windows_per_epoch": 256, "hidden": 8, "layers": 1}
    request = TrainingRequest("lstm_predictor", bench, settings=settings, folds=2, out=tmp_path)
    summary = evaluate(train(request).model, bench, pooling="max").summary
    assert summary.threshold.value is None
    assert "no normal scores" in summary.threshold.reason
    assert summary.ranking.auc_mean.estimate > 0.5


def test_another_pooling_needs_no_training_and_gives_what_training_with_it_gives(network, bench, tmp_path):
    settings = {"epochs": 1, "windows_per_epoch": 256, "hidden": 8, "layers": 1, "pooling": "std"}
    trained = train(TrainingRequest("lstm_predictor", bench, settings=settings, out=tmp_path)).model
    again, whole = evaluate(network, bench, pooling="std"), evaluate(trained, bench)
    assert again.summary == whole.summary
    assert again.repooled == "std"
    assert again.title.endswith("pooled by std")
    assert again.summary.ranking != evaluate(network, bench).summary.ranking


def test_pooling_is_refused_where_there_is_none_or_no_heldout_clip_to_set_a_threshold(model, network, bench):
    with pytest.raises(UsageError, match="no pooling over time"):
        evaluate(model, bench, pooling="std")
    with pytest.raises(UsageError, match="pooling must be one of"):
        evaluate(network, bench, pooling="median")
    with pytest.raises(DataSetError, match=r"24 held-out clips again, and 12 of them"):
        evaluate(network, bench, pooling="std", ids=["00"])
