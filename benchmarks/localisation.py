"""Where do the detectors point? `python -m benchmarks.localisation` prints a Markdown table.

The trained detectors that come with the project score the anomalous test clips of the simulated bench (size small,
seed 0); their maps are compared with the cells where each simulated fault is audible.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from asd_core.artifacts.store import find_artifacts, open_artifact
from asd_core.audio.reading import read_waveform
from asd_core.data.simulated.bench import write_bench
from asd_core.data.simulated.record import load_mask, read_simulated
from asd_core.detectors.contract import Detector
from asd_core.evaluation.localisation import LocalisationSummary, localise_all
from asd_core.evaluation.uncertainty import Interval, interval_text
from asd_core.types import AnomalyMap, BoolArray

NAME = "simulated-small"
HEADER = """Simulated data (bench small, seed 0), not recordings. AUC by chance: 0.5. Brackets: 95 % intervals.
Near: within 2 frames (64 ms). A map over time only (the one-class SVM's) is judged by the frame, not the band.

| detector | fault | n (left out) | pixel AUC | time AUC | hit rate | by chance | near hit rate | by chance |
|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """Write the bench where it is missing, rate each detector, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("build") / NAME)
    parser.add_argument("--detectors", type=Path, default=Path("artifacts"), help="folder of data sets")
    arguments = parser.parse_args()
    root = write_bench(arguments.data, size="small", seed=0)
    print(HEADER)
    for folder in find_artifacts(arguments.detectors):
        if folder.parents[1].name != NAME:
            continue
        artifact = open_artifact(folder)
        summaries = localise_all(rated_clips(artifact.detector(), root))
        for kind, summary in summaries.items():
            print(table_row(artifact.title, kind, summary), flush=True)


def rated_clips(detector: Detector, root: Path) -> Iterator[tuple[str, AnomalyMap, BoolArray]]:
    """Kind, map and mask of each anomalous clip."""
    record = read_simulated(root)
    assert record is not None
    for path, fault in record.faults.items():
        yield fault.kind, detector.anomaly_map(read_waveform(root / path)), load_mask(root, path)


def table_row(title: str, kind: str, summary: LocalisationSummary) -> str:
    """Return one row of the table."""
    cells = [
        title,
        kind,
        f"{summary.n_clips} ({summary.n_empty})",
        written(summary.pixel_auc),
        written(summary.time_auc),
        written(summary.hit_rate),
        share(summary.chance_of_hit),
        written(summary.near_hit_rate),
        share(summary.chance_of_near_hit),
    ]
    return f"| {' | '.join(cells)} |"


def written(interval: Interval | None) -> str:
    """Return the figure with its interval."""
    return interval_text(interval, missing="-")


def share(value: float | None) -> str:
    """Return a share with three digits."""
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
