"""What neighbours do to a promise: `python -m benchmarks.neighbours [--seeds 10] [--splits 2]`.

Long **simulated** recordings of one machine, each cut into consecutive clips of 10 s. Detectors that fit in seconds,
preset quick, are fitted on 60 % of the normal recordings; a threshold promises 10 % false alarms; alarms are counted on
the other recordings. It rests on a random fifth of the clips, on whole recordings as given, or on what stands for them
where nobody says which clips belong together. Several seeds of the set, several splits of each.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from asd_core.data.data_set import ReadableClips, readable
from asd_core.data.folder_rules import FolderRules
from asd_core.data.indexing import index_clips
from asd_core.data.simulated.long_recordings import write_recordings
from asd_core.data.simulated.record import RECORDING_BY
from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.evaluation import metrics
from asd_core.tasks.neighbours import HeldOut, mean_and_spread, try_promise

ALPHA = 0.10
HELD_OUT: dict[HeldOut, str] = {
    "at_random": "a random fifth of the clips",
    "by_recording": "**cross-fitting, recordings given**",
    "untold": "cross-fitting, recordings not given",
}


@dataclass(frozen=True)
class Row:
    """One detector on one split of one seed of the set; rates in [0, 1]."""

    detector: str
    held_out: HeldOut
    seed: int
    split: int
    auc: float
    false_alarms: float
    found: float


def recordings_of(root: Path, *, seed: int) -> ReadableClips:
    """Read the clips of one seed of the set, each with its recording."""
    folder = write_recordings(root / f"recordings-{seed}", seed=seed)
    return readable(index_clips(folder, rules=FolderRules(recording_by=RECORDING_BY)).clips, channel=None)


def judged(known: ReadableClips, detector: str, held_out: HeldOut, *, seed: int, split: int) -> Row:
    """Try one promise."""
    trial = try_promise(known, held_out, detector=detector, split=split)
    is_fault = trial.test.is_anomalous
    auc = metrics.per_id(is_fault, trial.test.anomaly_scores, ["00"] * len(is_fault))["00"].auc
    return Row(detector, held_out, seed, split, float(auc or 0), trial.false_alarms, trial.found)


def table(rows: Sequence[Row]) -> str:
    """Means over seeds and splits, with the 10 % to 90 % spread of the false alarms seen."""
    groups: dict[tuple[str, HeldOut], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.detector, row.held_out].append(row)
    lines = [
        "| simulated recordings: detector | threshold from | AUC | promised | seen on new recordings (spread) | faults "
        "found |",
        "|---|---|---|---|---|---|",
    ]
    for (detector, held_out), members in groups.items():
        seen, low, high = mean_and_spread([row.false_alarms for row in members])
        auc, found = (np.mean([getattr(row, name) for row in members]) for name in ("auc", "found"))
        lines.append(
            f"| {detector} | {HELD_OUT[held_out]} | {auc:.3f} | {ALPHA:.0%} | {seen:.0%} "
            f"({low:.0%} to {high:.0%}) | {found:.0%} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table, and write every row as JSON where asked."""
    fast = [name for name in DETECTOR_NAMES if detector_class(name).fits_in_seconds]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detectors", nargs="+", default=fast)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--build", type=Path, default=Path("build/neighbours"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[Row] = []
    for seed in range(arguments.seeds):
        known = recordings_of(arguments.build, seed=seed)
        for detector in arguments.detectors:
            for held_out in HELD_OUT:
                splits = range(arguments.splits)
                rows += [judged(known, detector, held_out, seed=seed, split=split) for split in splits]
        print(f"seed {seed}", file=sys.stderr, flush=True)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    rows.sort(
        key=lambda row: (fast.index(row.detector) if row.detector in fast else 9, list(HELD_OUT).index(row.held_out))
    )
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
