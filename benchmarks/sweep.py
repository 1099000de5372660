"""How long a grid of 6 nu x 6 gamma takes: `python -m benchmarks.sweep [--clips 2370]`.

Simulated blocks of 1,280 numbers (a low-rank part and noise), as many as the report's training clips, and half as many
others to score. For comparison: one fit of scikit-learn's own RBF one-class SVM, times the number of cells.
"""

from __future__ import annotations

import argparse
from time import perf_counter

import numpy as np
from sklearn.svm import OneClassSVM

from asd_core.detectors.on_embeddings import standard_scale
from asd_core.tasks.nu_gamma import GAMMAS, NUS, WORKERS, fit_grid
from asd_core.types import FloatArray
from benchmarks.rows import Row, median_row

WIDTH, RANK, ASKED_S = 1280, 40, 60


def blocks(n_blocks: int, rng: np.random.Generator) -> FloatArray:
    """Blocks whose columns go together, shape (n_blocks, 1280)."""
    directions = np.random.default_rng(1).normal(size=(RANK, WIDTH))
    return rng.standard_t(6, size=(n_blocks, RANK)) @ directions + 3.0 * rng.normal(size=(n_blocks, WIDTH))


def rows(n_clips: int = 2370, *, repeats: int = 3) -> list[Row]:
    """Time the grid alone."""
    rng = np.random.default_rng(0)
    fitted, others = blocks(n_clips, rng), blocks(n_clips // 2, rng)
    times = []
    for _ in range(repeats):
        began = perf_counter()
        fit_grid(fitted, others, nus=NUS, gammas=GAMMAS, workers=WORKERS)
        times.append(perf_counter() - began)
    name = f"one-class SVM: {len(NUS)} nu x {len(GAMMAS)} gamma at {n_clips:,} x {WIDTH:,}, {WORKERS} processes"
    return [median_row(name, times, unit="s", asked=ASKED_S)]


def report(n_clips: int, workers: int) -> str:
    """Time both ways, in lines."""
    rng = np.random.default_rng(0)
    fitted, others = blocks(n_clips, rng), blocks(n_clips // 2, rng)
    began = perf_counter()
    _, cells = fit_grid(fitted, others, nus=NUS, gammas=GAMMAS, workers=workers)
    grid_s = perf_counter() - began
    mean, scale = standard_scale(fitted)
    alone = []
    for nu in (0.1, 0.5):
        began = perf_counter()
        svm = OneClassSVM(nu=nu, gamma="scale").fit((fitted - mean) / scale)
        svm.decision_function((others - mean) / scale)
        alone.append(perf_counter() - began)
    return "\n".join(
        [
            f"simulated: {n_clips} x {WIDTH} fitted, {len(others)} scored, {workers} processes",
            f"grid of {len(cells)} cells: {grid_s:.1f} s (asked: below {ASKED_S} s)",
            f"one plain fit and scoring at nu .1 and .5: {alone[0]:.1f} and {alone[1]:.1f} s, "
            f"so about {len(cells) * sum(alone) / 2:.0f} s for as many",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2370)
    parser.add_argument("--workers", type=int, default=WORKERS)
    arguments = parser.parse_args()
    print(report(arguments.clips, arguments.workers))
