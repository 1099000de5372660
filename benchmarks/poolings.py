"""From a network's errors to one score: what was tried. `python -m benchmarks.poolings [--halves 0] [--benches 11 12]`.

Each network is trained, preset quick, in several scales of its frames, on the lathe's other half of the recordings (see
`benchmarks.halves`) or on simulated benches, one fold of whole recordings held out; its errors are kept, and pooled in
all ways below. The statistics of normal clips come from the fitted clips, or from these and the held-out ones, each of
which is then scored by statistics without its recording. Real recordings: see `benchmarks.real_sets`.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from asd_core.data.clips import Clip
from asd_core.data.data_set import FileClips, open_data_set, readable
from asd_core.data.simulated.bench import write_bench
from asd_core.detectors import detector_class
from asd_core.detectors.error_spectrum import NormalErrors
from asd_core.evaluation import metrics
from asd_core.evaluation.thresholds import default_threshold, is_anomalous
from asd_core.features.cache import read_clip
from asd_core.tasks.calibrate import plan_calibration
from asd_core.types import FloatArray, IntArray
from benchmarks.real_sets import REAL, Part, lathe

_RECURRENT: Mapping[str, Mapping[str, Any]] = {
    "standardised bands": {"conditioning": "equal_bands"},
    "standardised bands, errors as they were": {"conditioning": "bands"},
    "min-max": {"conditioning": "none"},
}
SCALES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "lstm_predictor": _RECURRENT,
    "gru_autoencoder": _RECURRENT,
    "dcase_autoencoder": {"min-max": {"scaling": "min_max"}, "raw decibels": {"scaling": "none"}},
}
"""Scales of the frames in training, that of preset quick first."""


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
    machine_ids
        One per clip; figures are means over ids.
    is_fault
        Shape (n_clips,).
    """

    spectra: FloatArray
    steps_std: FloatArray
    fitted: IntArray
    heldout: IntArray
    test: IntArray
    recordings: Any
    machine_ids: Any
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
        recordings=np.array([*plan.recordings.units, *[""] * len(test)]),
        machine_ids=np.array([clip.machine_id for clip in clips]),
        is_fault=np.array([clip.label == "anomalous" for clip in clips]),
    )


def normal_errors(rows: FloatArray, normal: IntArray) -> NormalErrors:
    """Statistics of the normal ones among rows (n_clips, n_mels), as a detector keeps them."""
    return NormalErrors.of(rows[normal][:, None])


def z_values(rows: FloatArray, normal: IntArray) -> FloatArray:
    """Rows (n_clips, n_mels) in standard deviations of the normal ones about their mean."""
    return normal_errors(rows, normal).strangeness(rows)


def distances(rows: FloatArray, normal: IntArray) -> FloatArray:
    """Mahalanobis distance of each row from the normal ones, shape (n_clips,)."""
    found = normal_errors(rows, normal)
    return np.array([found.distance(row) for row in rows])


def nearest(rows: FloatArray, normal: IntArray) -> FloatArray:
    """Distance of each row to its nearest other normal one, standardised, shape (n_clips,)."""
    z = z_values(rows, normal)
    squares = np.square(z).sum(axis=1)
    found = squares[:, None] + squares[normal] - 2 * z @ z[normal].T
    found[normal, np.arange(len(normal))] = np.inf
    return np.sqrt(np.maximum(found.min(axis=1), 0))


def relative(rows: FloatArray, normal: IntArray) -> FloatArray:
    """Each band's error as a multiple of what is normal, shape (n_clips, n_mels)."""
    return normal_errors(rows, normal).relative(rows)


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
    means = metrics.mean_over_ids(metrics.per_id(is_fault, values, errors.machine_ids[errors.test].tolist()))
    return float(means.auc_mean or 0), float(means.pauc_mean or 0), float(alarms.mean())


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


def bench_part(seed: int, folder: Path) -> Part:
    """Training and test clips of a small simulated bench."""
    index = open_data_set(write_bench(folder / f"bench-{seed}", seed=seed)).index
    return Part(tuple(index.select(split="train", label="normal")), tuple(index.select(split="test")))


def table(title: str, name: str, part: Part, scales: Sequence[str], seeds: Sequence[int], build: Path) -> None:
    """Train what is missing, print a row for each scale and pooling."""
    for scale in scales:
        by_seed = []
        for seed in seeds:
            kept = build / f"{title}-{name}-{scale}-{seed}.npz"
            if not kept.exists():
                errors_of(name, SCALES[name][scale], part.train, part.test, seed).write(kept)
            by_seed.append(Errors.read(kept))
        for pooling, cells in rows(by_seed).items():
            print(f"| {title} | {name}, {scale} | {pooling} | {' | '.join(cells)} |", flush=True)


def main() -> int:
    """Print the table of all parts, networks and scales."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halves", nargs="*", type=int, default=[0], choices=(0, 1), help="of the lathe")
    parser.add_argument("--benches", nargs="*", type=int, default=[], help="seeds of simulated benches")
    parser.add_argument("--detectors", nargs="+", default=list(SCALES), choices=list(SCALES))
    parser.add_argument("--only-presets", action="store_true", help="only the scale of each network's preset quick")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--build", type=Path, default=Path("build/poolings"))
    arguments = parser.parse_args()
    parts = {f"simulated bench {seed}": bench_part(seed, arguments.build) for seed in arguments.benches}
    if arguments.halves and not REAL.is_dir():
        print(f"skipped: {REAL} is not there")
    else:
        parts |= {f"lathe, half {half}": lathe(arguments.build).part(half) for half in arguments.halves}
    print("| clips | network | pooling | fitted clips: AUC / pAUC, seen | with held-out ones |\n|---|---|---|---|---|")
    for (title, part), name in itertools.product(parts.items(), arguments.detectors):
        scales = list(SCALES[name])[: 1 if arguments.only_presets else None]
        table(title, name, part, scales, arguments.seeds, arguments.build)
    return 0


if __name__ == "__main__":
    sys.exit(main())
