"""Do promises hold on real recordings? `python -m benchmarks.real_promise [--sets lathe drone] [--before] [--blind]`.

Every detector, preset quick, on splits by recording: 60 % of the recordings of normal sound train, all other clips are
the test. Reported are AUC, pAUC, false alarms promised and seen, the share of faults found, and the same relative to
what a threshold with exactly the promised rate on the test's normal clips would find: a huge threshold keeps a promise
that is not worth having.

Needs real recordings in `../shared/data/real` (its README says what they are); without them nothing is run. With
`--before`, thresholds are also calibrated on a random fifth of the clips, as the first release did.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np

from asd_core.artifacts.arrays import CheckpointFile
from asd_core.data.data_set import FileClips, ReadableClips, readable
from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.detectors.contract import Detector
from asd_core.evaluation import metrics
from asd_core.evaluation.thresholds import default_threshold, is_anomalous
from asd_core.tasks.calibrate import fit_and_calibrate, forget, plan_calibration
from asd_core.tasks.neighbours import fifth_at_random, split_recordings
from benchmarks.judged import found_at_promise
from benchmarks.real_sets import REAL, drone_clips, joined_clips, lathe_clips

N_SPLITS = 10
ALPHA = 0.10
ASKED_CROSS_FITTED, ASKED_NETWORKS, ASKED_FOUND = 0.12, 0.17, 0.9


@dataclass(frozen=True)
class Row:
    """One detector on one split of one set; rates in [0, 1]."""

    data: str
    detector: str
    calibrated: str
    split: int
    n_train: int
    n_recordings: int
    auc: float
    pauc: float
    seen: float
    found: float
    found_at_promise: float
    seconds: float


def judge(
    data: str, detector: Detector, known: ReadableClips, *, split: int, before: bool, folder: Path, blind: bool
) -> Row:
    """Train on one split and judge the threshold on clips of recordings that were not in training."""
    train, test = split_recordings(known.clips, seed=split)
    normal = known.only(train)
    if blind:  # recordings are not said: they must be found, or replaced by runs in name order
        normal = replace(normal, clips=tuple(replace(clip, recording=None) for clip in normal.clips))
    began = monotonic()
    told = plan_calibration(normal, detector=detector, channel=None)
    plan = fifth_at_random(len(train), seed=split) if before else told
    checkpoint = CheckpointFile(folder / f"checkpoint-{data}-{detector.name}-{split}")
    heldout = fit_and_calibrate(detector, normal, plan, channel=None, checkpoint=checkpoint).heldout
    forget(checkpoint, plan)
    seconds = monotonic() - began
    threshold = default_threshold(heldout.anomaly_scores)
    scores = detector.anomaly_scores(FileClips(tuple(known.clips[row] for row in test)))
    is_fault = np.array([known.clips[row].label == "anomalous" for row in test])
    ranking = metrics.per_id(is_fault, scores, ["00"] * len(test))["00"]
    alarms = is_anomalous(scores, threshold.value if threshold.value is not None else np.inf)
    how = "random fifth (first release)" if before else plan.how if not blind else f"{plan.how}, {plan.recordings.how}"
    return Row(
        data=data,
        detector=detector.name,
        calibrated=how,
        split=split,
        n_train=len(train),
        n_recordings=len({known.clips[row].recording for row in train}),
        auc=float(ranking.auc or 0),
        pauc=float(ranking.pauc or 0),
        seen=float(alarms[~is_fault].mean()),
        found=float(alarms[is_fault].mean()),
        found_at_promise=found_at_promise(scores, is_fault),
        seconds=seconds,
    )


def table(rows: Sequence[Row]) -> str:
    """Means over splits, with the 10 % to 90 % spread of the false alarms seen."""
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.data, row.detector, row.calibrated].append(row)
    lines = [
        "| data | detector | calibrated by | AUC | pAUC | promised | seen (spread) | found | of those at 10 % | s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (data, detector, calibrated), members in groups.items():
        seen = np.array([row.seen for row in members])
        low, high = np.quantile(seen, [0.1, 0.9])
        means = {name: np.mean([getattr(row, name) for row in members]) for name in ("auc", "pauc", "found", "seconds")}
        share = means["found"] / np.mean([row.found_at_promise for row in members])
        lines.append(
            f"| {data} | {detector} | {calibrated} | {means['auc']:.3f} | {means['pauc']:.3f} | {ALPHA:.0%} | "
            f"{seen.mean():.0%} ({low:.0%} to {high:.0%}) | {means['found']:.0%} | {share:.2f} | "
            f"{means['seconds']:.1f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table, and write every row as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["lathe", "lathe-5s", "drone"])
    parser.add_argument("--detectors", nargs="+", default=list(DETECTOR_NAMES))
    parser.add_argument("--splits", type=int, default=N_SPLITS)
    parser.add_argument("--before", action="store_true", help="also calibrate on a random fifth, as at first")
    parser.add_argument("--blind", action="store_true", help="also without being told the recordings")
    parser.add_argument("--build", type=Path, default=Path("build/real-sound"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not REAL.is_dir():
        print(f"skipped: {REAL} is not there")
        return 0
    makers = {
        "lathe": lathe_clips,
        "lathe-5s": lambda: joined_clips(lathe_clips(), arguments.build / "lathe-5s"),
        "drone": drone_clips,
    }
    rows: list[Row] = []
    for data in arguments.sets:
        known = readable(makers[data](), channel=None)
        for name in arguments.detectors:
            for before, blind in (
                [(False, False)] + [(False, True)] * arguments.blind + [(True, False)] * arguments.before
            ):
                for split in range(arguments.splits):
                    detector = detector_class(name).from_preset("quick", seed=split)
                    rows.append(
                        judge(data, detector, known, split=split, before=before, folder=arguments.build, blind=blind)
                    )
                print(table(rows[-arguments.splits :]).splitlines()[-1], file=sys.stderr, flush=True)
            if arguments.json is not None:
                arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
