"""Retrain the detectors that come with the project: `make artifacts`.

Writes the simulated bench (size small, seed 0), trains each detector with preset quick, moves the result to
`artifacts/simulated-small`, and prints the table of the README; its column over bench seeds is what
`python -m benchmarks.bench_seeds` measured last.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from asd_core.artifacts.versions import READ_ONLY_MARK
from asd_core.data.simulated.bench import write_bench
from asd_core.detectors import DETECTOR_NAMES
from asd_core.evaluation.summary import ranking
from asd_core.evaluation.uncertainty import estimate_of, interval_text
from asd_core.formats import area_text
from asd_core.tasks.train import TrainingRequest, train
from benchmarks.bench_seeds import over_seeds

PROJECT = Path(__file__).resolve().parents[1]
NAME = "simulated-small"
MARK = """The trained detectors in this folder come with the project and are read-only.

What you train on the same data set goes to a folder beside it. `make artifacts` recreates these.
"""


def main() -> None:
    """Train, move, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("build") / NAME)
    arguments = parser.parse_args()
    root = write_bench(arguments.data, size="small", seed=0)
    staged = Path("build") / "artifacts"
    shutil.rmtree(staged, ignore_errors=True)
    rows = [train_row(name, root, staged) for name in DETECTOR_NAMES]
    target = PROJECT / "artifacts" / NAME
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(staged / NAME, target)
    for lock in target.rglob(".lock"):
        lock.unlink()
    (target / READ_ONLY_MARK).write_text(MARK, encoding="utf-8")
    print("\n".join(rows))


def train_row(name: str, root: Path, out: Path) -> str:
    """Train one detector and return its row of the README's table."""
    result = train(
        TrainingRequest(name, root, name=NAME, out=out),
        on_progress=lambda progress: print(f"{name}: {progress}", file=sys.stderr),
    )
    found = ranking(result.artifact.scores.of("test"))
    per_id = ", ".join(f"{machine_id} {area_text(each.auc)}" for machine_id, each in found.per_id.items())
    pooled, mean, pauc = interval_text(found.auc_pooled), interval_text(found.auc_mean), estimate_of(found.pauc_mean)
    seconds = result.artifact.manifest.training.seconds
    cells = [result.artifact.title, pooled, mean, over_seeds(name), per_id, area_text(pauc), f"{seconds:.0f} s"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
