"""How optimistic thresholds chosen on test labels are: `python -m benchmarks.optimism`.

For each detector that comes with the project (simulated data) and each rule that uses labels: the figures on the clips
it was chosen on, beside the figures on the other half after choosing on one half, over many seeded splits. With few
test clips the gap is wider: `--clips 20` draws that many of each class.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from asd_core.artifacts.store import Artifact, find_artifacts, open_artifact
from asd_core.evaluation.label_rules import optimism
from asd_core.evaluation.thresholds import RULES
from benchmarks.embedded import NAME, PROJECT


def rows(artifact: Artifact, *, n_clips: int, n_splits: int) -> list[str]:
    """Return one Markdown row per rule."""
    scores = artifact.scores.of("test")
    labels, values = scores.is_anomalous, scores.anomaly_scores
    rng = np.random.default_rng(0)
    kept = np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:n_clips] for label in (False, True)])
    lines = []
    for rule, spec in RULES.items():
        if spec.uses_test_labels:
            found = optimism(rule, labels[kept], values[kept], n_splits=n_splits)
            naive, honest = found.naive, found.honest
            lines.append(
                f"| {artifact.title} | {rule} | {naive.f1:.3f} | {honest.f1:.3f} | {naive.f1 - honest.f1:+.3f} "
                f"| {naive.fpr:.1%} | {honest.fpr:.1%} | {naive.tpr:.1%} | {honest.tpr:.1%} |"
            )
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10**6, help="test clips of each class to keep; default all")
    parser.add_argument("--splits", type=int, default=500)
    arguments = parser.parse_args()
    lines = [
        "| detector (simulated data) | rule | F1 naive | F1 honest | optimism | FPR naive | FPR honest | TPR naive "
        "| TPR honest |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for folder in find_artifacts(PROJECT / "artifacts"):
        if folder.parents[1].name == NAME:
            lines += rows(open_artifact(folder), n_clips=arguments.clips, n_splits=arguments.splits)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
