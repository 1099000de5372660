"""Better at the report's own game, without test labels: `python -m benchmarks.better [--seeds 0,1,2] [DETECTOR ...]`.

Simulated data. For each seed (of the bench and of the training): one model for all four ids, and one for each id, of
every detector (preset quick). One map a clip is stored below `build/better`, so that poolings, per-id normalisation and
ensembles are compared on the same trainings, and tables can be made again without any (`--no-training`). A part is
trained again only when its settings have changed.

Nothing is chosen by test labels, but for the rows marked so.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from asd_core.artifacts import settings_json
from asd_core.clips import Clip, split_heldout
from asd_core.datasets.bench import BenchSize, IdCounts, write_bench
from asd_core.detector import Detector, pool
from asd_core.detectors import detector_class
from asd_core.pipeline import FileClips, open_data_set
from asd_core.types import BoolArray, FloatArray

IDS = ("00", "02", "04", "06")
SIZE = BenchSize("better", {name: IdCounts(80, 60, 60) for name in IDS})
DETECTORS = (
    "vggish_ocsvm",
    "vggish_mahalanobis",
    "vggish_knn",
    "dcase_autoencoder",
    "lstm_predictor",
    "gru_autoencoder",
)
SCOPES = ("shared", "per-id")
FOLDER = Path("build") / "better"


@dataclass(frozen=True, eq=False)
class Part:
    """What one training (or one for each id) gave for the held-out and the test clips.

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
    """Write the bench of a seed where it is missing; 20 % of each id's training clips are held out."""
    root = write_bench(Path("build") / f"better-bench-{seed}", size=SIZE, seed=seed)
    index = open_data_set(root, seed=seed).index
    normal = index.select(split="train", label="normal")
    fitted, heldout = split_heldout(normal, [clip.relative for clip in normal], seed=seed)
    return Clips(
        tuple(normal[row] for row in fitted), tuple(normal[row] for row in heldout), index.select(split="test")
    )


def unfitted(name: str, scope: str, seed: int) -> Detector:
    """A detector at preset quick; a model of one id draws a quarter of the windows, so that all cost the same."""
    kind = detector_class(name)
    windows = kind.presets["quick"].get("windows_per_epoch", 0)
    fewer = {"windows_per_epoch": windows // len(IDS)} if windows and scope == "per-id" else {}
    return kind.from_preset("quick", seed=seed, **fewer)


def part(name: str, scope: str, seed: int, *, may_train: bool = True) -> Part | None:
    """Return what an earlier run left, or train."""
    path = FOLDER / f"{name}-{scope}-{seed}.npz"
    settings = json.dumps(settings_json(unfitted(name, scope, seed)), sort_keys=True)
    kept = Part.read(path)
    if kept is not None and (kept.settings == settings or not may_train):
        return kept
    if not may_train:
        return None
    clips = bench_clips(seed)
    groups = [clips] if scope == "shared" else [clips.of(machine_id) for machine_id in IDS]
    trained = joined([trained_part(unfitted(name, scope, seed), group) for group in groups])
    trained.write(path)
    return trained


def trained_part(detector: Detector, clips: Clips) -> Part:
    """Train on the fitted clips; listen to the others."""
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
    """Lay the ids' parts end to end; processor times add up."""
    names = ("steps", "own", "machine_ids", "is_heldout", "is_anomalous")
    arrays = {name: np.concatenate([getattr(each, name) for each in parts]) for name in names}
    return replace(parts[0], **arrays, cpu_s=sum(each.cpu_s for each in parts))


def main() -> None:
    """Train what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detectors", nargs="*", default=list(DETECTORS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--scopes", default=",".join(SCOPES))
    parser.add_argument("--no-training", action="store_true", help="tables from what earlier runs left")
    arguments = parser.parse_args()
    seeds = [int(text) for text in arguments.seeds.split(",")]
    for scope in arguments.scopes.split(","):
        for seed in seeds:
            for name in arguments.detectors:
                found = part(name, scope, seed, may_train=not arguments.no_training)
                cpu = "missing" if found is None else f"{found.cpu_s:.0f} s"
                sys.stderr.write(f"{name} {scope} seed {seed}: {cpu}\n")
                sys.stderr.flush()


if __name__ == "__main__":
    main()
