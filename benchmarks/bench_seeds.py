"""How much the README's figures depend on the bench's seed: `python -m benchmarks.bench_seeds [DETECTOR ...]`.

The bench of another seed is another set of simulated machines, faults and noise. Each detector is trained with preset
quick and training seed 0 on the small bench of every seed (0, 1, 2 and 3, unless `--seeds` says otherwise). The table
gives the mean over bench seeds with the lowest and the highest; the same figures, seed by seed, with the best trivial
number of each bench, go to `asd_core/reports/bench_seeds.json`, where the pages find them. Without names, the detectors
that train in seconds; a network takes some minutes a seed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asd_core.data.indexing import index_clips
from asd_core.data.simulated.bench import BenchSize, write_bench
from asd_core.evaluation.summary import ranking
from asd_core.evaluation.trivial import BestNumber, best_number
from asd_core.evaluation.uncertainty import estimate_of
from asd_core.features.cache import read_clip
from asd_core.features.trivial import names, numbers_of
from asd_core.reports.bench_seeds import RESULTS, spread_text
from asd_core.system.files import replace_text
from asd_core.tasks.train import TrainingRequest, train

QUICKLY_TRAINED = ("vggish_ocsvm", "vggish_mahalanobis", "vggish_knn")
FIGURES = {"auc_mean": "AUC, mean over ids", "auc_pooled": "AUC, pooled", "pauc_mean": "pAUC, mean"}


def measured(
    detector: str, seeds: Sequence[int], folder: Path, *, size: str | BenchSize = "small"
) -> tuple[str, dict[str, list[float | None]]]:
    """Train on the bench of each seed; return the detector's title and each figure in the order of the seeds."""
    title, found = "", {name: list[float | None]() for name in FIGURES}
    for seed in seeds:
        data = write_bench(folder / f"bench-{seed}", size=size, seed=seed)
        result = train(TrainingRequest(detector, data, out=folder / "detectors"))
        title = result.artifact.title
        areas = ranking(result.artifact.scores.of("test")).areas
        for name in FIGURES:
            found[name].append(estimate_of(areas[name]))
    return title, found


def trivial_of(seed: int, folder: Path, *, size: str | BenchSize = "small") -> BestNumber:
    """Return the trivial number that tells the labels of a bench's test clips best."""
    clips = index_clips(write_bench(folder / f"bench-{seed}", size=size, seed=seed)).select(split="test")
    rows = [numbers_of(read_clip(clip.path)) for clip in clips]
    best = best_number(clips, {name: np.array([row[name] for row in rows]) for name in names()})
    if best is None:
        raise ValueError("a bench has normal and anomalous test clips")
    return best


def over_seeds(detector: str) -> str:
    """Write the mean AUC over bench seeds as measured last; a detector that was not measured is of seed 0 only."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {"detectors": []}
    rows = {each["detector"]: each for each in kept["detectors"]}
    return spread_text(rows[detector]["auc_mean"]) if detector in rows else "seed 0 only"


def table(report: Mapping[str, Any]) -> str:
    """Write a report as a Markdown table, one row per detector."""
    seeds = ", ".join(map(str, report["bench_seeds"]))
    lines = [f"| detector (simulated data, bench seeds {seeds}) | {' | '.join(FIGURES.values())} |"]
    lines.append(f"|---{'|---' * len(FIGURES)}|")
    lines += [
        f"| {each['title']} | {' | '.join(spread_text(each[name]) for name in FIGURES)} |"
        for each in report["detectors"]
    ]
    return "\n".join(lines)


def main() -> None:
    """Train, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detectors", nargs="*", default=list(QUICKLY_TRAINED))
    parser.add_argument("--seeds", default="0,1,2,3")
    parser.add_argument("--folder", type=Path, default=Path("build") / "bench-seeds")
    arguments = parser.parse_args()
    seeds = [int(text) for text in arguments.seeds.split(",")]
    rows = []
    for detector in arguments.detectors:
        title, found = measured(detector, seeds, arguments.folder)
        rows.append({"detector": detector, "title": title, "simulated": True, **found})
    report = {
        "schema": 1,
        "command": "bench_seeds",
        "warnings": [],
        "data_simulated": True,
        "preset": "quick",
        "bench_seeds": seeds,
        "training_seed": 0,
        "detectors": rows,
        "best_numbers": [trivial_of(seed, arguments.folder).to_json() for seed in seeds],
    }
    replace_text(RESULTS, json.dumps(report, allow_nan=False, indent=1) + "\n")
    sys.stdout.write(table(report) + "\n")


if __name__ == "__main__":
    main()
