"""Figures over several seeds of the bench: what is trained on what, and what README and docs say of it."""

from __future__ import annotations

import json
import re

import pytest
from sounds import PROJECT

from asd_core.data.simulated.bench import BenchSize, IdCounts, write_bench
from asd_core.evaluation.summary import ranking
from asd_core.tasks.train import TrainingRequest, train
from benchmarks import bench_seeds

TINY = BenchSize("tiny", {"00": IdCounts(20, 8, 8)})


def test_each_seed_is_a_bench_of_its_own(tmp_path):
    title, found = bench_seeds.measured("vggish_knn", [3, 1], tmp_path / "a", size=TINY)
    assert title == "Log-mel statistics + nearest neighbours"
    for place, seed in enumerate((3, 1)):
        data = write_bench(tmp_path / str(seed), size=TINY, seed=seed)
        scores = train(TrainingRequest("vggish_knn", data, out=tmp_path / "out")).artifact.scores.of("test")
        assert found["auc_mean"][place] == ranking(scores).auc_mean.estimate
        assert found["pauc_mean"][place] == ranking(scores).pauc_mean.estimate
    assert found["auc_mean"][0] != found["auc_mean"][1]


def test_a_spread_is_the_mean_with_the_lowest_and_the_highest():
    assert bench_seeds.spread_text([0.968, 0.966, 0.957, 0.957]) == "0.962 (0.957 to 0.968)"
    assert bench_seeds.spread_text([0.9, None]) == "not defined"


def test_the_table_has_each_figure_under_its_heading():
    row = {"title": "A", "auc_mean": [0.9, 0.7], "auc_pooled": [0.6, 0.5], "pauc_mean": [0.4, 0.2]}
    heading, _, line = bench_seeds.table({"bench_seeds": [0, 5], "detectors": [row]}).splitlines()
    cells = dict(zip(heading.split(" | "), line.split(" | "), strict=True))
    assert cells["AUC, mean over ids"] == "0.800 (0.700 to 0.900)"
    assert cells["AUC, pooled"] == "0.550 (0.500 to 0.600)"
    assert cells["pAUC, mean |"] == "0.300 (0.200 to 0.400) |"
    assert "seeds 0, 5" in heading


KEPT = json.loads(bench_seeds.RESULTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", KEPT["detectors"], ids=lambda row: row["detector"])
def test_readme_and_docs_say_what_was_measured(row):
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    simulated = readme.split("| detector (simulated) |")[1]
    (line,) = re.findall(rf"^\| {re.escape(row['title'])} \|.*$", simulated, re.MULTILINE)
    assert bench_seeds.spread_text(row["auc_mean"]) in line
    docs = (PROJECT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert bench_seeds.table({**KEPT, "detectors": [row]}).splitlines()[-1] in docs


def test_the_readmes_table_is_printed_with_what_was_measured_last(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_seeds, "RESULTS", tmp_path / "kept.json")
    assert bench_seeds.over_seeds("vggish_knn") == "seed 0 only"
    rows = [{"detector": "vggish_knn", "auc_mean": [0.9, 0.8]}]
    bench_seeds.RESULTS.write_text(json.dumps({"detectors": rows}))
    assert bench_seeds.over_seeds("vggish_knn") == "0.850 (0.800 to 0.900)"
    assert bench_seeds.over_seeds("lstm_predictor") == "seed 0 only"


def test_the_figures_are_of_the_seeds_that_the_readme_names():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert KEPT["bench_seeds"] == [0, 1, 2, 3]
    assert "bench seeds 0 to 3" in readme
    assert "python -m benchmarks.bench_seeds" in readme
