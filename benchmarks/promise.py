"""Which thresholds keep their promise: `python -m benchmarks.promise`.

Simulated: 200 normal clips per run are drawn from a heavy-tailed distribution in 64 dimensions, a one-class SVM is
fitted, a rule gives a threshold that promises 10 % false alarms, and 2,000 fresh normal clips give the real rate.
Thresholds from held-out clips are compared with thresholds from the training clips' own scores.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from sklearn.svm import OneClassSVM

from asd_core.evaluation.thresholds import from_normal_scores, is_anomalous
from asd_core.types import FloatArray

RULES = {"conformal": 0.10, "quantile": 0.90, "gamma": 0.90}
N_CLIPS, N_FRESH, N_DIMENSIONS, PROMISED = 200, 2000, 64, 0.10
HELDOUT_SHARE = 0.2


def draw(n_clips: int, rng: np.random.Generator) -> FloatArray:
    """Normal clips: Student's t with 6 degrees of freedom, shape (n_clips, 64)."""
    return rng.standard_t(6, size=(n_clips, N_DIMENSIONS))


def one_run(seed: int) -> dict[tuple[str, str], float]:
    """Return the observed false-alarm rate by (rule, source of the scores)."""
    rng = np.random.default_rng(seed)
    clips, fresh = draw(N_CLIPS, rng), draw(N_FRESH, rng)
    n_fitted = round(N_CLIPS * (1 - HELDOUT_SHARE))
    svm = OneClassSVM(nu=0.1).fit(clips[:n_fitted])
    sources = {"held-out clips": -svm.decision_function(clips[n_fitted:])}
    sources["training clips"] = -svm.decision_function(clips[:n_fitted])
    fresh_scores = -svm.decision_function(fresh)
    observed = {}
    for source, scores in sources.items():
        for rule, value in RULES.items():
            threshold = from_normal_scores(rule, scores, rule_value=value)
            observed[rule, source] = float(is_anomalous(fresh_scores, threshold.value or 0.0).mean())
    return observed


def table(n_runs: int) -> str:
    """Run and write the Markdown table."""
    runs = [one_run(seed) for seed in range(n_runs)]
    lines = [
        f"Promised {PROMISED:.0%} false alarms, {N_CLIPS} normal clips per run, {n_runs} simulated runs.",
        "",
        "| rule | scores from | observed, mean | 5th to 95th percentile of runs | off by |",
        "|---|---|---|---|---|",
    ]
    for rule, source in runs[0]:
        rates = np.array([run[rule, source] for run in runs])
        low, high = np.quantile(rates, [0.05, 0.95])
        off = rates.mean() - PROMISED
        lines.append(f"| {rule} | {source} | {rates.mean():.1%} | {low:.1%} to {high:.1%} | {100 * off:+.1f} points |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    sys.stdout.write(table(parser.parse_args().runs) + "\n")
