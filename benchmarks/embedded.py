"""Train the detectors that come with the project anew: `make artifacts`.

Writes the simulated bench (size small, seed 0), trains each detector with preset quick, moves the result to
`artifacts/simulated-small`, and prints the table of the README.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from asd_core.artifacts.versions import READ_ONLY_MARK
from asd_core.data.simulated.bench import write_bench
from asd_core.detectors import DETECTOR_NAMES
from asd_core.tasks.evaluate import summarise
from asd_core.tasks.train import TrainingRequest, train

PROJECT = Path(__file__).resolve().parents[1]
NAME = "simulated-small"
MARK = """The trained detectors in this folder come with the project and are read-only.

What you train on the same data set goes to a folder beside it. `make artifacts` makes these anew.
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
    summary = summarise(result.artifact, result.artifact.scores.of("test"))
    per_id = ", ".join(f"{machine_id} {each['auc']:.3f}" for machine_id, each in summary["per_id"].items())
    pooled, mean = (
        f"{summary[key]:.3f} [{summary[key + '_ci'][0]:.3f}, {summary[key + '_ci'][1]:.3f}]"
        for key in ("auc_pooled", "auc_mean")
    )
    seconds = result.artifact.manifest.training.seconds
    return f"| {result.artifact.title} | {pooled} | {mean} | {per_id} | {summary['pauc_mean']:.3f} | {seconds:.0f} s |"


if __name__ == "__main__":
    main()
