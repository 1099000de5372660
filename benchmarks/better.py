"""Better at the report's own game, without test labels: `python -m benchmarks.better [--seeds 0,1,2] [DETECTOR ...]`.

Simulated data. For each seed (of the bench and of the training): one model for all four ids, and one for each id, of
every detector (preset quick). One map per clip is stored below `build/better`, so that poolings, per-id normalisation
and ensembles are compared on the same trainings, and tables can be made again without any (`--no-training`). A part is
trained again only when its settings have changed.

`--real DIR` does the same with real clips of a slider, a root of machine folders. Too few of them are labelled for an
AUC: it counts false alarms on normal clips that took no part, and how many of these score above each anomalous clip.

Nothing is chosen by test labels except in rows that say so.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from asd_core.artifacts.manifest import settings_json
from asd_core.data.clips import Clip, prints_of
from asd_core.data.data_set import FileClips, open_data_set
from asd_core.data.recordings import assign_folds, find_recordings
from asd_core.data.simulated.bench import BenchSize, IdCounts, write_bench
from asd_core.detectors import detector_class
from asd_core.detectors.contract import TIME_POOLINGS, Detector, pool
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.evaluation import metrics
from asd_core.evaluation.ensemble import combine
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.thresholds import from_normal_scores, is_anomalous
from asd_core.evaluation.uncertainty import Interval, bootstrap, interval_text
from asd_core.types import BoolArray, FloatArray

IDS = ("00", "02", "04", "06")
SIZE = BenchSize("better", {name: IdCounts(80, 60, 60) for name in IDS})
N_FITTED, N_FRAMES = 256, 313
"""Fitted clips of all ids together, and frames of each."""
DETECTORS = (
    "vggish_ocsvm",
    "vggish_mahalanobis",
    "vggish_knn",
    "dcase_autoencoder",
    "lstm_predictor",
    "gru_autoencoder",
)
TITLES = {
    "vggish_ocsvm": "SVM",
    "vggish_mahalanobis": "Mahalanobis",
    "vggish_knn": "nearest neighbours",
    "dcase_autoencoder": "DCASE autoencoder",
    "lstm_predictor": "LSTM",
    "gru_autoencoder": "GRU",
}
NETWORKS = ("dcase_autoencoder", "lstm_predictor", "gru_autoencoder")
POOLED = (*NETWORKS, "vggish_mahalanobis", "vggish_knn")
ENSEMBLES = {
    "the report's three": ("vggish_ocsvm", "lstm_predictor", "gru_autoencoder"),
    "the three on log-mel statistics": ("vggish_ocsvm", "vggish_mahalanobis", "vggish_knn"),
    "all six": DETECTORS,
}
"""Fixed before any was scored."""
SCOPES = {"shared": "one model", "per-id": "a model per id"}
FOLDER = Path("build") / "better"


@dataclass(frozen=True, eq=False)
class Part:
    """Result of one training (or one per id) on the held-out and the test clips.

    Parameters
    ----------
    steps
        The map's mean over bands, shape (n_clips, n_steps); no steps where the map does not pool to the score.
    own
        The detector's own score, shape (n_clips,).
    machine_ids, is_heldout, is_anomalous
        Shape (n_clips,) each.
    cpu_s
        Processor time of the training.
    settings
        Hyper-parameters as JSON text.
    """

    steps: FloatArray
    own: FloatArray
    machine_ids: Any
    is_heldout: BoolArray
    is_anomalous: BoolArray
    cpu_s: float
    settings: str

    @classmethod
    def read(cls, path: Path) -> Part | None:
        """Read a kept part, or None."""
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        return cls(**{**arrays, "cpu_s": float(arrays["cpu_s"]), "settings": str(arrays["settings"])})

    def write(self, path: Path) -> None:
        """Keep this part."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}")
        np.savez_compressed(partial, **vars(self))
        partial.rename(path)

    def scores(self, pooling: str) -> FloatArray:
        """Scores under a pooling, shape (n_clips,); the detector's own where there is nothing to pool."""
        if not self.steps.shape[1]:
            return self.own
        return np.array([pool(row, pooling=pooling) for row in self.steps], dtype=np.float64)


@dataclass(frozen=True)
class Clips:
    """The clips of one bench by what they are used for."""

    fitted: tuple[Clip, ...]
    heldout: tuple[Clip, ...]
    test: tuple[Clip, ...]

    def of(self, machine_id: str) -> Clips:
        """Those of one id."""
        own = (tuple(clip for clip in side if clip.machine_id == machine_id) for side in vars(self).values())
        return Clips(*own)


def bench_clips(seed: int) -> Clips:
    """Write the bench of a seed if it is missing; 20 % of each id's training clips are held out."""
    root = write_bench(Path("build") / f"better-bench-{seed}", size=SIZE, seed=seed)
    index = open_data_set(root, seed=seed).index
    normal = index.select(split="train", label="normal")
    fitted, heldout = held_out(normal, seed=seed)
    return Clips(
        tuple(normal[row] for row in fitted), tuple(normal[row] for row in heldout), index.select(split="test")
    )


def held_out(normal: Sequence[Clip], *, seed: int) -> tuple[list[int], list[int]]:
    """Rows of the normal clips to fit on, and of those that calibrate: one of five folds of recordings."""
    folds = assign_folds(normal, find_recordings(normal, prints_of(normal, channel=None)), seed=seed)
    return np.flatnonzero(folds != 0).tolist(), np.flatnonzero(folds == 0).tolist()


def unfitted(name: str, seed: int, scope: str = "shared") -> Detector:
    """A detector at preset quick; a network for one id trains for more epochs, so that it gets as many updates."""
    detector = detector_class(name).from_preset("quick", seed=seed)
    if scope == "shared" or not isinstance(detector, NetworkDetector):
        return detector
    n_all = N_FITTED * (N_FRAMES - detector._window_frames + 1)
    n_drawn = detector.windows_per_epoch or n_all
    ratio = min(n_drawn, n_all) / min(n_drawn, n_all // len(IDS))
    return detector_class(name).from_preset("quick", seed=seed, epochs=round(ratio * detector.epochs))


def part(name: str, scope: str, seed: int, *, may_train: bool = True) -> Part | None:
    """Return what an earlier run left, or train."""
    path = FOLDER / f"{name}-{scope}-{seed}.npz"
    settings = json.dumps(settings_json(unfitted(name, seed, scope)), sort_keys=True)
    kept = Part.read(path)
    if kept is not None and (kept.settings == settings or not may_train):
        return kept
    if not may_train:
        return None
    clips = bench_clips(seed)
    groups = [clips] if scope == "shared" else [clips.of(machine_id) for machine_id in IDS]
    trained = joined([trained_part(unfitted(name, seed, scope), group) for group in groups])
    trained.write(path)
    return trained


def trained_part(detector: Detector, clips: Clips) -> Part:
    """Train on the fitted clips and score the others."""
    began = time.process_time()
    detector.fit(FileClips(clips.fitted), heldout=FileClips(clips.heldout[:8]))
    cpu_s = time.process_time() - began
    heard = (*clips.heldout, *clips.test)
    own, steps = [], []
    pools = hasattr(detector, "pooling") or hasattr(detector, "_patch_scores")
    for clip in FileClips(heard):
        steps.append(detector.anomaly_map(clip).values.mean(axis=1) if pools else np.zeros(0))
        own.append(float(steps[-1].mean()) if pools else detector.anomaly_score(clip))
    return Part(
        np.array(steps),
        np.array(own),
        np.array([clip.machine_id for clip in heard]),
        np.arange(len(heard)) < len(clips.heldout),
        np.array([clip.label == "anomalous" for clip in heard]),
        cpu_s,
        json.dumps(settings_json(detector), sort_keys=True),
    )


def joined(parts: Sequence[Part]) -> Part:
    """Concatenate the ids' parts; processor times are added."""
    names = ("steps", "own", "machine_ids", "is_heldout", "is_anomalous")
    arrays = {name: np.concatenate([getattr(each, name) for each in parts]) for name in names}
    return replace(parts[0], **arrays, cpu_s=sum(each.cpu_s for each in parts))


@dataclass(frozen=True)
class Scored:
    """Scores of one detector or ensemble on one bench, as `asd_core.evaluation.ensemble` takes them."""

    title: str
    scores: Scores
    heldout: Scores


def scored(found: Part, title: str, pooling: str, *, one_scale: bool = False) -> Scored:
    """Name a part's clips by their rows; `one_scale` hides the ids, so that z-scores have one scale for all."""
    values, ids = found.scores(pooling).tolist(), found.machine_ids.tolist()
    order = np.lexsort((np.arange(len(ids)), found.machine_ids))  # one order for shared and for per-id models
    clips = [
        ScoredClip(
            str(number),
            "all" if one_scale else ids[row],
            "heldout" if found.is_heldout[row] else "test",
            "anomalous" if found.is_anomalous[row] else "normal",
            "",
            str(number),
            values[row],
        )
        for number, row in enumerate(order)
    ]
    everything = Scores(tuple(clips))
    return Scored(title, everything.of("test"), everything.of("heldout"))


def joint(members: Sequence[Scored], title: str) -> Scored:
    """Several detectors as one."""
    found = combine(members)
    return Scored(title, found.scores, found.heldout)


@dataclass(frozen=True)
class Row:
    """One detector or ensemble on the benches of several seeds."""

    title: str
    seeds: tuple[Scored, ...]

    def cells(self, ids: Sequence[tuple[str, ...]]) -> list[str]:
        """AUC mean over ids and pooled, pAUC mean, each mean over seeds, sd over seeds, bootstrap; false alarms."""
        labels = [each.scores.is_anomalous for each in self.seeds]
        values = [each.scores.anomaly_scores for each in self.seeds]
        whole = np.concatenate(labels), np.concatenate(values)
        by_id = [f"{seed} {name}" for seed, names in enumerate(ids) for name in names]
        by_seed = [str(seed) for seed, names in enumerate(ids) for _ in names]
        over_ids, pooled = bootstrap(*whole, machine_ids=by_id), bootstrap(*whole, machine_ids=by_seed)
        spread = {"auc_mean": [], "auc_pooled": [], "pauc_mean": []}
        for known, scores, names in zip(labels, values, ids, strict=True):
            figures = metrics.mean_over_ids(metrics.per_id(known, scores, names))
            spread["auc_mean"].append(figures.auc_mean)
            spread["pauc_mean"].append(figures.pauc_mean)
            spread["auc_pooled"].append(metrics.auc(known, scores))
        return [
            _cell(spread["auc_mean"], over_ids["auc_mean"]),
            _cell(spread["auc_pooled"], pooled["auc_mean"]),
            _cell(spread["pauc_mean"], over_ids["pauc_mean"]),
            f"{100 * float(np.mean([false_alarms(each) for each in self.seeds])):.0f} %",
        ]


def _cell(by_seed: Sequence[float], interval: Interval) -> str:
    sd = f" ± {np.std(by_seed, ddof=1):.3f}" if len(by_seed) > 1 else ""
    return f"{np.mean(by_seed):.3f}{sd}{interval_text(interval).removeprefix(f'{interval.estimate:.3f}')}"


def false_alarms(method: Scored) -> float:
    """Share of normal test clips at or above the split-conformal threshold (10 %) of the held-out clips."""
    threshold = from_normal_scores("conformal", method.heldout.anomaly_scores)
    normal = method.scores.anomaly_scores[~method.scores.is_anomalous]
    return float(np.mean(is_anomalous(normal, threshold.value))) if threshold.value is not None else float("nan")


@dataclass(frozen=True)
class Tables:
    """Rows from kept parts; a row that lacks a training of some seed is left out.

    Parameters
    ----------
    parts
        By detector, scope and seed.
    """

    parts: Mapping[tuple[str, str, int], Part]
    seeds: Sequence[int]

    def pooling(self) -> list[Row]:
        """One model for all ids under each pooling, and under all of them at once."""
        found = []
        for name in POOLED:
            for pooling in TIME_POOLINGS:
                found += self._row(f"{TITLES[name]}, {pooling}", self._one(name, pooling))
            four = self._several([(name, pooling) for pooling in TIME_POOLINGS])
            found += self._row(f"{TITLES[name]}, all four z-averaged", four)
        return found

    def ids(self) -> list[Row]:
        """One model for all ids or one for each, with and without per-id normalisation."""
        found = []
        for name, (scope, words) in itertools.product(DETECTORS, SCOPES.items()):
            title, plain = f"{TITLES[name]}, {words}", self._one(name, "mean", scope)
            found += self._row(title, plain)
            twice = self._several([(name, "mean")] * 2, scope=scope)  # an ensemble with itself: its own z-scores
            found += self._row(f"{title}, per-id z-scores", twice)
        return found

    def ensembles(self) -> list[Row]:
        """Means of z-scores of several detectors."""
        found = []
        for title, names in ENSEMBLES.items():
            found += self._row(title, self._several([(name, "mean") for name in names]))
            one_scale = self._several([(name, "mean") for name in names], one_scale=True)
            found += self._row(f"{title}, one z-scale for all ids", one_scale)
            for pooling in ("std", "gwrp"):
                pairs = [(name, pooling if name in NETWORKS else "mean") for name in names]
                if set(names) & set(NETWORKS):
                    found += self._row(f"{title}, networks pooled by {pooling}", self._several(pairs))
        return found

    def _row(self, title: str, make: Callable[[int], Scored]) -> list[Row]:
        try:
            return [Row(title, tuple(make(seed) for seed in self.seeds))]
        except KeyError:
            return []

    def _one(
        self, name: str, pooling: str, scope: str = "shared", *, one_scale: bool = False
    ) -> Callable[[int], Scored]:
        return lambda seed: scored(self.parts[name, scope, seed], name, pooling, one_scale=one_scale)

    def _several(
        self, pairs: Sequence[tuple[str, str]], *, scope: str = "shared", one_scale: bool = False
    ) -> Callable[[int], Scored]:
        return lambda seed: joint([self._one(*pair, scope, one_scale=one_scale)(seed) for pair in pairs], "")


def print_tables(parts: Mapping[tuple[str, str, int], Part], seeds: Sequence[int]) -> None:
    """Print what the kept parts allow."""
    ids = [scored(parts["vggish_knn", "shared", seed], "", "mean").scores.machine_ids for seed in seeds]
    tables = Tables(parts, seeds)
    for name, found in (
        ("pooling", tables.pooling()),
        ("ids", tables.ids()),
        ("ensembles", tables.ensembles()),
    ):
        sys.stdout.write(
            f"\n| {name} (simulated data, {len(seeds)} seeds) | AUC, mean over ids | AUC, pooled | pAUC, mean | "
            "false alarms at 10 % |\n|---|---|---|---|---|\n"
        )
        for row in found:
            sys.stdout.write(f"| {row.title} | {' | '.join(row.cells(ids))} |\n")
    sys.stdout.write("\n| detector (simulated data) | processor s, one model | a model per id |\n|---|---|---|\n")
    for name in DETECTORS:
        times = [[parts[key].cpu_s for key in parts if key[:2] == (name, scope)] for scope in SCOPES]
        cells = [f"{np.nanmean(each):.0f}" if np.isfinite(each).any() else "not run" for each in times]
        sys.stdout.write(f"| {TITLES[name]} | {' | '.join(cells)} |\n")


def real_clips(data: Path, seed: int) -> Clips:
    """Split real normal clips: 3/5 fitted, 1/5 for the threshold, 1/5 to judge it together with the test clips."""
    index = open_data_set(data, machine="slider", seed=seed).index
    normal = index.select(split="train", label="normal")
    order = np.random.default_rng(seed).permutation(len(normal))
    fifth = len(normal) // 5
    fresh, heldout, fitted = (
        tuple(normal[row] for row in sorted(each)) for each in np.split(order, [fifth, 2 * fifth])
    )
    return Clips(fitted, heldout, (*fresh, *index.select(split="test")))


def real_part(name: str, data: Path, seed: int, *, may_train: bool = True) -> Part | None:
    """Like `part`, on real clips."""
    path = FOLDER / f"{name}-real-{seed}.npz"
    kept = Part.read(path)
    if kept is None and may_train:
        kept = trained_part(unfitted(name, seed), real_clips(data, seed))
        kept.write(path)
    return kept


def print_real(parts: Mapping[str, Part]) -> None:
    """Print false alarms and ranks; no AUC, there are too few clips."""
    sys.stdout.write(
        "\n| detector (real clips, one id) | false alarms | anomalous clips found | normal clips above each "
        "anomalous one |\n|---|---|---|---|\n"
    )
    methods = {
        f"{TITLES[name]}, {pooling}": scored(found, name, pooling)
        for name, found in parts.items()
        for pooling in (TIME_POOLINGS if name in POOLED else ("mean",))
    }
    for title, names in ENSEMBLES.items():
        if set(names) <= set(parts):
            methods[title] = joint([scored(parts[name], name, "mean") for name in names], title)
    for title, method in methods.items():
        threshold = from_normal_scores("conformal", method.heldout.anomaly_scores).value
        values, labels = method.scores.anomaly_scores, method.scores.is_anomalous
        alarms = np.asarray(is_anomalous(values, threshold))
        above = ", ".join(str(int((values[~labels] >= value).sum())) for value in values[labels])
        sys.stdout.write(
            f"| {title} | {int(alarms[~labels].sum())} of {int((~labels).sum())} | {int(alarms[labels].sum())} of "
            f"{int(labels.sum())} | {above} |\n"
        )


def main() -> None:
    """Train what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detectors", nargs="*", default=list(DETECTORS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--scopes", default=",".join(SCOPES))
    parser.add_argument("--no-training", action="store_true", help="tables from what earlier runs left")
    parser.add_argument("--no-tables", action="store_true", help="train only")
    parser.add_argument("--real", type=Path, metavar="DIR", help="a folder of real recordings in the DCASE 2020 layout")
    arguments = parser.parse_args()
    may_train, seeds = not arguments.no_training, [int(text) for text in arguments.seeds.split(",")]
    if arguments.real is not None:
        real = {name: real_part(name, arguments.real, 0, may_train=may_train) for name in arguments.detectors}
        print_real({name: found for name, found in real.items() if found is not None})
        return
    parts: dict[tuple[str, str, int], Part] = {}
    for scope, seed, name in itertools.product(arguments.scopes.split(","), seeds, arguments.detectors):
        found = part(name, scope, seed, may_train=may_train)
        if found is not None:
            parts[name, scope, seed] = found
            sys.stderr.write(f"{name} {scope} seed {seed}: {found.cpu_s:.0f} s\n")
            sys.stderr.flush()
    if not arguments.no_tables:
        print_tables(parts, seeds)


if __name__ == "__main__":
    main()
