"""Official DCASE files of a detector, read back by our evaluator."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from asd_core.artifacts.store import open_artifact
from asd_core.cli import main
from asd_core.data.simulated.bench import BenchSize, IdCounts, write_bench
from asd_core.errors import DataSetError
from asd_core.evaluation.dcase import evaluate_folder
from asd_core.tasks.evaluate import evaluate
from asd_core.tasks.export import export_dcase
from asd_core.tasks.train import TrainingRequest, train


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    size = BenchSize("tiny", {"00": IdCounts(30, 8, 8), "02": IdCounts(30, 8, 8)})
    return write_bench(tmp_path_factory.mktemp("bench") / "tiny", size=size, seed=1)


@pytest.fixture(scope="module")
def model(bench, tmp_path_factory):
    return train(TrainingRequest("vggish_ocsvm", bench, out=tmp_path_factory.mktemp("out"))).model


def truth_of(bench, path):
    """A label list in the official form, from the clips' names."""
    names = sorted(clip.name for clip in (bench / "slider" / "test").iterdir())
    lines = ["slider", *(f"{name},{name},{int(name.startswith('anomaly'))}" for name in names)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_exported_scores_give_the_same_figures_back(model, bench, tmp_path):
    report = export_dcase(model, bench, tmp_path / "scores")
    figures = evaluate_folder(tmp_path / "scores", truth_of(bench, tmp_path / "truth.csv"))["machines"]["slider"]
    ours = evaluate(model, bench).summary.ranking
    assert report["n_clips"] == 32
    assert figures["auc_mean"] == pytest.approx(ours.auc_mean.estimate, abs=1e-12)
    for machine_id, each in ours.per_id.items():
        assert figures["per_id"][machine_id]["pauc"] == pytest.approx(each.pauc, abs=1e-12)


def test_decisions_are_those_of_the_saved_threshold_and_called_an_extension(model, bench, tmp_path):
    report = export_dcase(model, bench, tmp_path / "scores")

    def column(kind):
        paths = sorted((tmp_path / "scores").glob(f"{kind}_slider_id_*.csv"))
        return [float(line.rsplit(",", 1)[1]) for path in paths for line in path.read_text().splitlines()]

    decided, limit = column("decision_result"), open_artifact(model).threshold.value
    assert decided == [float(score >= limit) for score in column("anomaly_score")]
    confusion = evaluate(model, bench).summary.decisions.confusion
    assert sum(decided) == confusion.tp + confusion.fp
    assert "extension" in report["decisions"]


def test_a_folder_that_holds_something_is_refused_before_any_clip_is_scored(model, bench, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("clips were read")

    monkeypatch.setattr("asd_core.tasks.export.readable", never)
    (tmp_path / "old.csv").touch()
    with pytest.raises(DataSetError, match="must be an empty folder"):
        export_dcase(model, bench, tmp_path)


def test_clips_that_were_trained_on_are_left_out_and_counted(model, bench, tmp_path):
    copy = Path(shutil.copytree(bench, tmp_path / "bench"))
    known = sorted(copy.glob("slider/train/normal_id_00_*.wav"))[0]
    shutil.copy(known, copy / "slider" / "test" / "normal_id_00_00000099.wav")
    whole, fewer = export_dcase(model, bench, tmp_path / "a"), export_dcase(model, copy, tmp_path / "b")
    assert (whole["n_excluded"], fewer["n_excluded"]) == (0, 1)
    assert fewer["n_clips"] == whole["n_clips"]


def test_a_folder_that_holds_something_is_refused(model, bench, tmp_path):
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "anomaly_score_slider_id_00.csv").write_text("")
    with pytest.raises(DataSetError, match="empty"):
        export_dcase(model, bench, tmp_path / "scores")


def test_the_commands_work_together(model, bench, tmp_path, capsys):
    out, truth = tmp_path / "scores", truth_of(bench, tmp_path / "truth.csv")
    assert main(["export-dcase", str(model), "--data", str(bench), "--out", str(out)]) == 0
    assert main(["evaluate-dcase", str(out), "--truth", str(truth), "--json", str(tmp_path / "r.json")]) == 0
    assert set(json.loads((tmp_path / "r.json").read_text())["machines"]) == {"slider"}
    assert "slider mean" in capsys.readouterr().out
