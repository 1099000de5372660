"""From a network's errors to one score: what was tried on real sound. `python -m benchmarks.poolings [--halves 0]`.

Each network is trained, preset quick, in several scales of its frames, on the lathe's other half of the recordings (see
`benchmarks.halves`), one fold of whole recordings held out; its errors are kept, and pooled in all ways below. The
statistics of normal clips come from the fitted clips, or from these and the held-out ones, each of which is then
scored by statistics without its recording. Needs real recordings, see `benchmarks.real_sets`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from asd_core.data.clips import Clip
from asd_core.data.data_set import FileClips, readable
from asd_core.detectors import detector_class
from asd_core.detectors.covariance import whitening_of
from asd_core.evaluation import metrics
from asd_core.evaluation.thresholds import default_threshold, is_anomalous
from asd_core.features.cache import read_clip
from asd_core.tasks.calibrate import plan_calibration
from asd_core.types import FloatArray, IntArray
from benchmarks.real_sets import REAL, SETS

LEAST_SHARE = 0.01
"""Least spread or mean of a band, as a share of the bands' average."""
SCALES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "dcase_autoencoder": {"min-max": {"scaling": "min_max"}, "raw decibels": {"scaling": "none"}},
    "lstm_predictor": {
        "min-max": {"conditioning": "none"},
        "standardised bands, folded back": {"conditioning": "bands"},
        "standardised bands, errors too": {"conditioning": "equal_bands"},
    },
    "gru_autoencoder": {
        "min-max": {"conditioning": "none"},
        "standardised bands, folded back": {"conditioning": "bands"},
        "standardised bands, errors too": {"conditioning": "equal_bands"},
    },
}


@dataclass(frozen=True, eq=False)
class Errors:
    """A trained network's errors on one half of a set.

    Parameters
    ----------
    spectra
        Shape (n_clips, n_mels): each clip's error per band, mean over time.
    steps_std
        Shape (n_clips,): standard deviation over time of the mean error.
    fitted, heldout, test
        Rows of the clips.
    recordings
        One per clip.
    is_fault
        Shape (n_clips,).
    """

    spectra: FloatArray
    steps_std: FloatArray
    fitted: IntArray
    heldout: IntArray
    test: IntArray
    recordings: Any
    is_fault: Any

    def write(self, path: Path) -> None:
        """Keep it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def read(cls, path: Path) -> Errors:
        """Read what `write` kept."""
        with np.load(path) as kept:
            return cls(**kept)


def errors_of(name: str, settings: Mapping[str, Any], train: Sequence[Clip], test: Sequence[Clip], seed: int) -> Errors:
    """Train a network with one fold of recordings held out, and take its errors on all clips."""
    detector = detector_class(name).from_preset("quick", seed=seed, **{**settings, "pooling": "mean"})
    normal = readable(train, channel=None)
    plan = plan_calibration(normal, detector=detector, channel=None)
    clips = (*normal.clips, *test)
    fitted, heldout = (np.array(rows, dtype=np.int64) for rows in (plan.fitted, plan.never_fitted))
    parts = [FileClips(tuple(clips[row] for row in rows)) for rows in (fitted, heldout)]
    detector.fit(parts[0], heldout=parts[1])
    maps = [detector.anomaly_map(read_clip(clip.path)).values for clip in clips]
    return Errors(
        spectra=np.stack([each.mean(axis=0) for each in maps]),
        steps_std=np.array([each.mean(axis=1).std() for each in maps]),
        fitted=fitted,
        heldout=heldout,
        test=np.arange(len(normal.clips), len(clips)),
        recordings=np.array([str(clip.recording) for clip in clips]),
        is_fault=np.array([clip.label == "anomalous" for clip in clips]),
    )


def floored(values: FloatArray) -> FloatArray:
    """Values per band, none below a share of their mean."""
    return np.maximum(values, LEAST_SHARE * values.mean())


def z_values(rows: FloatArray, normal: IntArray) -> FloatArray:
    """Rows (n_clips, width) in standard deviations of the normal ones about their mean."""
    return (rows - rows[normal].mean(axis=0)) / floored(rows[normal].std(axis=0))


def distances(rows: FloatArray, normal: IntArray) -> FloatArray:
    """Mahalanobis distance of each row over the root of the width, shape (n_clips,), as `NormalErrors.distance`."""
    z = z_values(rows, normal)
    return np.sqrt(np.square(z @ whitening_of(z[normal]).T).mean(axis=1))


def nearest(rows: FloatArray, normal: IntArray) -> FloatArray:
    """Distance of each row to its nearest other normal one, standardised, shape (n_clips,)."""
    z = z_values(rows, normal)
    squares = np.square(z).sum(axis=1)
    found = squares[:, None] + squares[normal] - 2 * z @ z[normal].T
    found[normal, np.arange(len(normal))] = np.inf
    return np.sqrt(np.maximum(found.min(axis=1), 0))


def relative(spectra: FloatArray, normal: IntArray) -> FloatArray:
    """Each band's error in units of its mean over normal clips, shape (n_clips, n_mels)."""
    return spectra / floored(spectra[normal].mean(axis=0))


POOLED: Mapping[str, Callable[[FloatArray, IntArray], FloatArray]] = {
    "mean (the report)": lambda spectra, _: spectra.mean(axis=1),
    "root mean square of z-values": lambda spectra, normal: np.sqrt(np.square(z_values(spectra, normal)).mean(axis=1)),
    "mean of z-values": lambda spectra, normal: z_values(spectra, normal).mean(axis=1),
    "Mahalanobis distance of the error spectrum": distances,
    "Mahalanobis distance of log errors": lambda spectra, normal: distances(np.log(spectra + 1e-12), normal),
    "nearest neighbour of error spectra": nearest,
    "nearest neighbour of log errors": lambda spectra, normal: nearest(np.log(spectra + 1e-12), normal),
    "relative: error by normal error, mean over bands": lambda spectra, normal: relative(spectra, normal).mean(axis=1),
    "mean log of the relative error": lambda spectra, normal: np.log(relative(spectra, normal) + 1e-12).mean(axis=1),
    "root of relative times Mahalanobis": lambda spectra, normal: np.sqrt(
        relative(spectra, normal).mean(axis=1) * distances(spectra, normal)
    ),
}


def scores(errors: Errors, pool: Callable[[FloatArray, IntArray], FloatArray], *, also_heldout: bool) -> FloatArray:
    """Scores of all clips, shape (n_clips,); no held-out clip is scored by statistics of its own recording."""
    if not also_heldout:
        return pool(errors.spectra, errors.fitted)
    found = pool(errors.spectra, np.r_[errors.fitted, errors.heldout])
    for recording in np.unique(errors.recordings[errors.heldout]):
        is_own = errors.recordings[errors.heldout] == recording
        others = pool(errors.spectra, np.r_[errors.fitted, errors.heldout[~is_own]])
        found[errors.heldout[is_own]] = others[errors.heldout[is_own]]
    return found


def figures(errors: Errors, anomaly_scores: FloatArray) -> tuple[float, float, float]:
    """AUC, pAUC, and false alarms of a threshold that promises 10 % by the held-out clips."""
    values, is_fault = anomaly_scores[errors.test], errors.is_fault[errors.test]
    threshold = default_threshold(anomaly_scores[errors.heldout]).value
    alarms = is_anomalous(values[~is_fault], np.inf if threshold is None else threshold)
    return metrics.auc(is_fault, values), metrics.pauc(is_fault, values), float(alarms.mean())


def cell(found: Sequence[tuple[float, float, float]]) -> str:
    """Means over seeds: AUC / pAUC, false alarms."""
    auc, pauc, seen = np.mean(found, axis=0)
    return f"{auc:.3f} / {pauc:.3f}, {seen:.0%}"


def rows(by_seed: Sequence[Errors]) -> dict[str, list[str]]:
    """Cells of each pooling: statistics of the fitted clips, then of these and the held-out ones."""
    found = {
        name: [
            cell([figures(errors, scores(errors, pool, also_heldout=also)) for errors in by_seed])
            for also in (False, True)
        ]
        for name, pool in POOLED.items()
    }
    over_time = cell([figures(errors, errors.steps_std) for errors in by_seed])
    return {**found, "standard deviation over time": [over_time, over_time]}


def main() -> int:
    """Train what is missing, print a table for each network and scale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default="lathe, 1 s", choices=list(SETS))
    parser.add_argument("--detectors", nargs="+", default=list(SCALES), choices=list(SCALES))
    parser.add_argument("--halves", nargs="+", type=int, default=[0, 1], choices=(0, 1))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--build", type=Path, default=Path("build/poolings"))
    arguments = parser.parse_args()
    if not REAL.is_dir():
        print(f"skipped: {REAL} is not there")
        return 0
    judged = SETS[arguments.set](arguments.build)
    for name in arguments.detectors:
        for scale, settings in SCALES[name].items():
            print(
                f"\n| {name}, {scale} | half | fitted clips: AUC / pAUC, seen | with held-out ones |\n|---|---|---|---|"
            )
            for half in arguments.halves:
                part, by_seed = judged.part(half), []
                for seed in arguments.seeds:
                    kept = arguments.build / f"{arguments.set}-{name}-{scale}-{half}-{seed}.npz"
                    if not kept.exists():
                        errors_of(name, settings, part.train, part.test, seed).write(kept)
                    by_seed.append(Errors.read(kept))
                for title, cells in rows(by_seed).items():
                    print(f"| {title} | {half} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
