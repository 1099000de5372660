"""PyOD's ways with sound beside ours, on the same real recordings: `python -m benchmarks.peers [--halves 0 1]`.

PyOD 3.6.7 offers two: `AudioAE`, an autoencoder on windows of 5 log-mel frames of 64 bands, standardised per number,
whose score is the mean error in that space; and `EmbeddingOD` on 74 numbers per clip (mean and standard deviation over
time of 20 MFCC, 12 chroma bands, spectral centroid, bandwidth, roll-off, zero crossings and level), standardised, with
any of its detectors. Everything is as PyOD sets it, its reading of files at 22,050 Hz included, which keeps sound up to
11 kHz where ours keeps 8; nothing is chosen for it but the seed. Its threshold is the 90 % quantile of the scores of
the training clips themselves (`contamination` .1).

Detectors learn from the normal clips of one half of the recordings and are judged on the other, see
`benchmarks.halves`. Needs the extra `bench`, and real recordings in `../shared/data/real`; without them nothing is run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any, Protocol

import numpy as np

from asd_core.artifacts.arrays import CheckpointFile
from asd_core.data.clips import Clip
from asd_core.data.data_set import FileClips, readable
from asd_core.detectors import detector_class
from asd_core.evaluation import metrics
from asd_core.evaluation.thresholds import default_threshold
from asd_core.features.cache import read_clip
from asd_core.system.threads import one_blas_thread, torch_threads
from asd_core.tasks.calibrate import fit_and_calibrate, forget, plan_calibration
from asd_core.types import SR, FloatArray
from benchmarks.real_sets import REAL, SETS, Part

ALPHA = 0.10
"""False alarms that every detector is asked for: PyOD's default `contamination`, and our default threshold's."""
OWN = {"vggish_knn": "nearest neighbours", "vggish_mahalanobis": "Mahalanobis distance"}


@dataclass(frozen=True)
class PeerResult:
    """What a detector made of clips; a score above the threshold is an alarm.

    Parameters
    ----------
    train_scores, test_scores
        Shape (n_clips,) each; higher is stranger.
    threshold
        The detector's own, for 10 % false alarms.
    fit_seconds, ms_per_clip
        Processor time of training with its threshold, and of scoring, both from files on.
    """

    train_scores: FloatArray
    test_scores: FloatArray
    threshold: float
    fit_seconds: float
    ms_per_clip: float


class Peer(Protocol):
    """A detector that learns from clips of normal sound alone and scores others."""

    def fit_score(self, train: Sequence[Clip], test: Sequence[Clip], *, seed: int) -> PeerResult:
        """Fit on `train`, clips of normal sound, then score both."""
        ...


@dataclass(frozen=True)
class PyodPeer:
    """A detector of PyOD.

    Parameters
    ----------
    make
        Builds it, unfitted, from a seed.
    at_16_khz
        Whether it is given our samples at 16 kHz instead of the paths of files, which it reads at 22,050 Hz.
    """

    make: Callable[[int], Any]
    at_16_khz: bool = False

    def fit_score(self, train: Sequence[Clip], test: Sequence[Clip], *, seed: int) -> PeerResult:
        """Fit and score as PyOD's documentation does: from the clips' files, by its own threshold."""
        with one_blas_thread(), torch_threads(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyOD and librosa, which are not ours to mend
            began = process_time()
            detector = self.make(seed)
            detector.fit(self._heard(train))
            fitted = process_time()
            scores = detector.decision_function(self._heard(test))
            scored = process_time()
        return PeerResult(
            train_scores=np.asarray(detector.decision_scores_, dtype=np.float64),
            test_scores=np.asarray(scores, dtype=np.float64),
            threshold=float(detector.threshold_),
            fit_seconds=fitted - began,
            ms_per_clip=1000 * (scored - fitted) / len(test),
        )

    def _heard(self, clips: Sequence[Clip]) -> list[Any]:
        """Paths of files, or samples and their rate: those of stretches always, which PyOD cannot read."""
        return [
            (read_clip(clip.path, span=clip.span).samples, SR) if self.at_16_khz or clip.span else str(clip.path)
            for clip in clips
        ]


@dataclass(frozen=True)
class OwnDetector:
    """One of this package's detectors, preset quick, its threshold cross-fitted by recording."""

    name: str

    def fit_score(self, train: Sequence[Clip], test: Sequence[Clip], *, seed: int) -> PeerResult:
        """Fit, calibrate and score as `train` and `score` do."""
        detector = detector_class(self.name).from_preset("quick", seed=seed)
        began = process_time()
        normal = readable(train, channel=None)
        plan = plan_calibration(normal, detector=detector, channel=None)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = CheckpointFile(Path(folder) / self.name)
            heldout = fit_and_calibrate(detector, normal, plan, channel=None, checkpoint=checkpoint).heldout
            forget(checkpoint, plan)
        threshold = default_threshold(heldout.anomaly_scores).value
        fitted = process_time()
        scores = detector.anomaly_scores(FileClips(tuple(test)))
        scored = process_time()
        return PeerResult(
            train_scores=heldout.anomaly_scores,
            test_scores=scores,
            threshold=np.inf if threshold is None else float(np.nextafter(threshold, -np.inf)),  # ties are alarms
            fit_seconds=fitted - began,
            ms_per_clip=1000 * (scored - fitted) / len(test),
        )


def peers(*, at_16_khz: bool = False) -> dict[str, Peer]:
    """PyOD's detectors by their names for people; none where PyOD is not installed."""
    if importlib.util.find_spec("pyod") is None:
        return {}
    os.environ.setdefault("MPLBACKEND", "agg")
    found: dict[str, Peer] = {"PyOD AudioAE": PyodPeer(_audio_ae, at_16_khz)}
    for name in ("GMM", "IForest", "KNN", "OCSVM", "LUNAR"):
        found[f"PyOD {name}, 74 numbers"] = PyodPeer(partial(_on_numbers, name), at_16_khz)
    return found


def _audio_ae(seed: int) -> Any:
    from pyod.models.audio_ae import AudioAE

    return AudioAE(random_state=seed)


def _on_numbers(name: str, seed: int) -> Any:
    from pyod.models.embedding import EmbeddingOD

    return EmbeddingOD.for_audio(detector=name, random_state=seed)


def own_detectors() -> dict[str, Peer]:
    """Our detectors on log-mel statistics, measured in the same way."""
    return {f"ours: {title}": OwnDetector(name) for name, title in OWN.items()}


@dataclass(frozen=True)
class Row:
    """One detector on one set; rates in [0, 1]."""

    data: str
    half: int
    detector: str
    auc: float
    pauc: float
    seen: float
    found: float
    fit_seconds: float
    ms_per_clip: float

    def line(self) -> str:
        """A row of the Markdown table."""
        return (
            f"| {self.data} | {self.half} | {self.detector} | {self.auc:.3f} | {self.pauc:.3f} | {ALPHA:.0%} | "
            f"{self.seen:.0%} | {self.found:.0%} | {self.fit_seconds:.1f} | {self.ms_per_clip:.1f} |"
        )


HEAD = (
    "| data | half | detector | AUC | pAUC | promised | seen | faults found | training, CPU s | CPU ms per clip |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def judged(data: str, half: int, name: str, test: Sequence[Clip], result: PeerResult) -> Row:
    """Figures of a detector's scores of the clips of a half."""
    is_fault = np.array([clip.label == "anomalous" for clip in test])
    ranking = metrics.per_id(is_fault, result.test_scores, ["00"] * len(test))["00"]
    alarms = result.test_scores > result.threshold
    return Row(
        data=data,
        half=half,
        detector=name,
        auc=float(ranking.auc or 0),
        pauc=float(ranking.pauc or 0),
        seen=float(alarms[~is_fault].mean()),
        found=float(alarms[is_fault].mean()),
        fit_seconds=result.fit_seconds,
        ms_per_clip=result.ms_per_clip,
    )


def measure(data: str, part: Part, detectors: Mapping[str, Peer], *, half: int, seed: int) -> list[Row]:
    """Train each detector on the other half's normal clips and judge it on all clips of the half; prints each row."""
    rows = []
    for name, detector in detectors.items():
        rows.append(judged(data, half, name, part.test, detector.fit_score(part.train, part.test, seed=seed)))
        print(rows[-1].line(), flush=True)
    return rows


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["lathe, 1 s", "lathe, 5 s"], choices=list(SETS))
    parser.add_argument("--halves", type=int, nargs="+", default=[1, 0], choices=[0, 1])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--build", type=Path, default=Path("build") / "peers")
    parser.add_argument("--at-16-khz", action="store_true", help="give PyOD the samples that ours are given")
    arguments = parser.parse_args()
    detectors = {**peers(at_16_khz=arguments.at_16_khz), **own_detectors()}
    if len(detectors) == len(OWN):
        print("skipped: PyOD is not installed (pip install -e .[bench])")
        return 0
    if not REAL.is_dir():
        print(f"skipped: {REAL} is not there")
        return 0
    print(HEAD)
    for half in arguments.halves:
        for data in arguments.sets:
            measure(data, SETS[data](arguments.build).part(half), detectors, half=half, seed=arguments.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
