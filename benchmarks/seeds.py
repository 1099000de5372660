"""How much a detector's figures depend on its seed: `python -m benchmarks.seeds [--seeds 0,1,2] [DETECTOR ...]`.

Each detector is trained with preset quick on the small simulated bench, once per seed; the seed moves the first
weights, the order of windows and which clips are held out. The table gives mean and standard deviation (ddof 1)
over seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from asd_core.data.simulated.bench import write_bench
from asd_core.detectors import DETECTOR_NAMES
from asd_core.evaluation.summary import ranking
from asd_core.evaluation.uncertainty import estimate_of
from asd_core.tasks.train import TrainingRequest, train
from benchmarks.embedded import NAME

FIGURES = ("auc_mean", "auc_pooled", "pauc_mean")


def figures(detector: str, seed: int, data: Path) -> list[float]:
    """Train once and return the three figures on the test clips."""
    result = train(TrainingRequest(detector, data, name=NAME, seed=seed, out=Path("build") / f"seed-{seed}"))
    areas = ranking(result.artifact.scores.of("test")).areas
    return [estimate_of(areas[name]) or np.nan for name in FIGURES]


def main() -> None:
    """Print one row per detector as soon as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detectors", nargs="*", default=list(DETECTOR_NAMES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--data", type=Path, default=Path("build") / NAME)
    arguments = parser.parse_args()
    seeds = [int(text) for text in arguments.seeds.split(",")]
    data = write_bench(arguments.data, size="small", seed=0)
    sys.stdout.write(
        f"| detector (simulated data, {len(seeds)} seeds) | AUC, mean over ids | AUC, pooled | pAUC, mean |\n"
    )
    sys.stdout.write("|---|---|---|---|\n")
    for detector in arguments.detectors:
        rows = np.array([figures(detector, seed, data) for seed in seeds])
        cells = [f"{column.mean():.3f} ± {column.std(ddof=1):.3f}" for column in rows.T]
        sys.stdout.write(f"| {detector} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
