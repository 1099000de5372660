"""Where do the detectors point? `python -m benchmarks.localisation` prints a Markdown table.

The trained detectors that come with the project score the anomalous test clips of the simulated bench (size small,
seed 0); their maps are compared with the cells where each simulated fault is audible. With `--occlusion DETECTOR` that
detector (by its id, such as vggish_ocsvm) is asked band by band instead: is its largest fall in a band of the fault?
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from asd_core.artifacts.store import find_artifacts, open_artifact
from asd_core.audio.reading import read_waveform
from asd_core.data.simulated.bench import write_bench
from asd_core.data.simulated.record import load_mask, read_simulated
from asd_core.detectors.contract import Detector
from asd_core.detectors.occlusion import BandOcclusion, band_occlusion
from asd_core.evaluation.localisation import LocalisationSummary, localise_all
from asd_core.evaluation.uncertainty import Interval, interval_text
from asd_core.features.log_mel import mel_band_centres_hz
from asd_core.types import AnomalyMap, BoolArray

NAME = "simulated-small"
HEADER = """Simulated data (bench small, seed 0), not recordings. AUC by chance: 0.5. Brackets: 95 % intervals.
Near: within 2 frames (64 ms). A map over time only is judged by the frame, not the band.

| detector | fault | n (left out) | pixel AUC | time AUC | hit rate | by chance | near hit rate | by chance |
|---|---|---|---|---|---|---|---|---|"""
OCCLUSION_HEADER = """Simulated data (bench small, seed 0), not recordings. A band is one of the fault where the share
of its cells in the fault's mask is larger than the mean share of the clip's 16 bands. By chance: share of such bands.

| detector | fault | n | largest fall in a band of the fault | by chance |
|---|---|---|---|---|"""


def main() -> None:
    """Write the bench where it is missing, rate each detector, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("build") / NAME)
    parser.add_argument("--detectors", type=Path, default=Path("artifacts"), help="folder of data sets")
    parser.add_argument("--occlusion", metavar="DETECTOR", help="ask this detector band by band instead")
    arguments = parser.parse_args()
    root = write_bench(arguments.data, size="small", seed=0)
    print(OCCLUSION_HEADER if arguments.occlusion else HEADER)
    for folder in find_artifacts(arguments.detectors):
        if folder.parents[1].name != NAME or arguments.occlusion not in (None, folder.name):
            continue
        artifact = open_artifact(folder)
        rows = occlusion_rows if arguments.occlusion else map_rows
        print(*rows(artifact.title, artifact.detector(), root), sep="\n", flush=True)


def map_rows(title: str, detector: Detector, root: Path) -> list[str]:
    """A row per kind of fault: how well the maps point at it."""
    return [table_row(title, kind, summary) for kind, summary in localise_all(rated_clips(detector, root)).items()]


def rated_clips(detector: Detector, root: Path) -> Iterator[tuple[str, AnomalyMap, BoolArray]]:
    """Kind, map and mask of each anomalous clip."""
    record = read_simulated(root)
    assert record is not None
    for path, fault in record.faults.items():
        yield fault.kind, detector.anomaly_map(read_waveform(root / path)), load_mask(root, path)


def occlusion_rows(title: str, detector: Detector, root: Path) -> list[str]:
    """A row per kind of fault: how often the largest fall lies in a band of the fault."""
    record = read_simulated(root)
    assert record is not None
    found: dict[str, list[tuple[bool, float]]] = {}
    for path, fault in record.faults.items():
        occlusion = band_occlusion(detector, read_waveform(root / path))
        found.setdefault(fault.kind, []).append(points_at_the_fault(occlusion, load_mask(root, path)))
    rows = []
    for kind, clips in sorted(found.items()):
        n_hits, chance = sum(hit for hit, _ in clips), np.mean([by_chance for _, by_chance in clips])
        rows.append(f"| {title} | {kind} | {len(clips)} | {n_hits} | {chance:.2f} |")
    return rows


def points_at_the_fault(occlusion: BandOcclusion, mask: BoolArray) -> tuple[bool, float]:
    """Whether the largest fall lies in a band of the fault, and the share of bands that are: the chance of a hit.

    Parameters
    ----------
    mask
        Shape (n_frames, 128). A band is one of the fault where its mask share exceeds the mean share over the bands.
    """
    band_of_mel = np.searchsorted(occlusion.edges_hz, mel_band_centres_hz()) - 1
    shares = np.array([mask[:, band_of_mel == band].mean() for band in range(len(occlusion.falls))])
    of_the_fault = shares > shares.mean()
    return bool(of_the_fault[occlusion.falls.argmax()]), float(of_the_fault.mean())


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
