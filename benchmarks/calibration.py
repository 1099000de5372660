"""How close the simulated slide rail is to the real one: `python -m benchmarks.calibration [--seed 0]`.

Trains the DCASE 2020 autoencoder (preset quick, one model for all ids) on the simulated bench of size calibration: 100
training, 100 normal and 100 anomalous test clips for each of four ids. Prints its AUC and pAUC per id beside what the
baseline's authors publish for the real recordings. Asked for: AUC within .05 and pAUC within .10 of the published.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from asd_core.data.simulated.bench import write_bench
from asd_core.evaluation.summary import Ranking, ranking
from asd_core.evaluation.uncertainty import estimate_of
from asd_core.tasks.train import TrainingRequest, train

PUBLISHED = {"00": (0.9633, 0.8185), "02": (0.7881, 0.6288), "04": (0.9460, 0.7395), "06": (0.7022, 0.4902)}
"""AUC and pAUC of the official baseline on the real slider, development set: its README (y-kawagu)."""
WITHIN = (0.05, 0.10)
"""Of the published AUC and pAUC."""


def simulated_figures(root: Path, *, preset: str) -> tuple[Ranking, float]:
    """Train on the bench below `root`; its figures, and the seconds of the training."""
    with tempfile.TemporaryDirectory() as scratch:
        baseline = {"scaling": "none", "pooling": "mean"}  # whatever the preset takes
        request = TrainingRequest("dcase_autoencoder", root, preset=preset, settings=baseline, out=Path(scratch))
        result = train(request, on_progress=lambda progress: print(progress, file=sys.stderr))
        return ranking(result.artifact.scores.of("test")), result.artifact.manifest.training.seconds


def table(figures: Ranking, *, seconds: float, seed: int) -> str:
    """Write the Markdown table of one seed."""
    lines = [
        f"Simulated slide rail, seed {seed}; DCASE 2020 autoencoder, {seconds:.0f} s of training.",
        "",
        "| id | AUC simulated | published (real) | difference | within .05 | pAUC simulated | published (real) "
        "| difference | within .10 |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(name, (each.auc, each.pauc), PUBLISHED[name]) for name, each in figures.per_id.items()),
    ]
    means = estimate_of(figures.auc_mean), estimate_of(figures.pauc_mean)
    auc, pauc = (sum(values) / len(PUBLISHED) for values in zip(*PUBLISHED.values(), strict=True))
    return "\n".join([*lines, row("mean", means, (auc, pauc))])


def row(name: str, simulated: tuple[float | None, float | None], published: tuple[float, float]) -> str:
    """Write one id's row."""
    cells = [name]
    for limit, ours, real in zip(WITHIN, simulated, published, strict=True):
        assert ours is not None
        difference = ours - real
        cells += [
            f"{ours:.3f}",
            f"{real:.3f}",
            f"{difference:+.3f}",
            "yes" if abs(difference) <= limit else "no",
        ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the bench if it is missing, train, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the bench; the detector's is 0")
    parser.add_argument("--preset", default="quick", choices=("quick", "paper"))
    parser.add_argument("--data", type=Path, help="folder of the bench; default build/calibration-<seed>")
    arguments = parser.parse_args()
    folder = arguments.data or Path("build") / f"calibration-{arguments.seed}"
    root = write_bench(folder, size="calibration", seed=arguments.seed)
    found, seconds = simulated_figures(root, preset=arguments.preset)
    print(table(found, seconds=seconds, seed=arguments.seed))


if __name__ == "__main__":
    main()
