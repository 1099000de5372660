"""One detector judged on one half of a set of real recordings: trained, calibrated, scored, kept, and its figures.

A training's scores are kept on disk by what they come from (settings, seed, clips), so that a long run can be
interrupted. The code is not part of that: `fresh` trains anew. Times are of the processor, one thread: wall-clock time
on a busy machine would say more of its other work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from asd_core.artifacts.arrays import CheckpointFile
from asd_core.audio.reading import read_waveform
from asd_core.data.clips import Clip
from asd_core.data.data_set import FileClips, ReadableClips, readable
from asd_core.detectors import detector_class
from asd_core.detectors.contract import Detector
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.evaluation import metrics
from asd_core.evaluation.ensemble import combine
from asd_core.evaluation.scores import ScoredClip, Scores, format_scores, parse_scores
from asd_core.evaluation.thresholds import default_threshold, is_anomalous
from asd_core.features.cache import read_clip
from asd_core.tasks.calibrate import fit_and_calibrate, forget, plan_calibration, scored
from asd_core.types import FloatArray
from benchmarks.real_sets import Part

ALPHA = 0.10
N_TIMED = 20
"""Test clips whose scoring is timed, one by one, from their files on."""
N_DRAWS = 2000
NETWORK_POOLINGS = ("combined", "relative", "mahalanobis", "mean")

FIRST_RELEASE: Mapping[str, Mapping[str, Any]] = {
    "lstm_predictor": {"epochs": 8, "learning_rate": 2e-3, "schedule": "cosine", "conditioning": "bands"},
    "gru_autoencoder": {"epochs": 8, "learning_rate": 2e-3, "schedule": "cosine", "conditioning": "bands"},
    "dcase_autoencoder": {"epochs": 16, "scaling": "none"},
}
"""The networks' first quick presets on sets that have fewer windows than an epoch took at most: each window once."""


@dataclass(frozen=True)
class Recipe:
    """How a detector is trained.

    Parameters
    ----------
    before
        With the settings of the first release's preset quick.
    """

    detector: str
    preset: str = "quick"
    seed: int = 0
    before: bool = False

    def build(self) -> Detector:
        """Build the unfitted detector; one with a choice of poolings learns the statistics that they need."""
        settings: dict[str, Any] = {"pooling": NETWORK_POOLINGS[0]} if self.is_network else {}
        if self.before:
            settings = {**FIRST_RELEASE[self.detector], "windows_per_epoch": 0, "pooling": "mean"}
        return detector_class(self.detector).from_preset(self.preset, seed=self.seed, **settings)

    @property
    def is_network(self) -> bool:
        """Whether it has a choice of poolings."""
        return issubclass(detector_class(self.detector), NetworkDetector)

    @property
    def poolings(self) -> tuple[str, ...]:
        """Ways from errors to one score that one training is judged by; the detector's own where it has no choice."""
        if not self.is_network:
            return ("its own",)
        return ("mean",) if self.before else NETWORK_POOLINGS


@dataclass(frozen=True)
class Judged:
    """A detector's scores on one part, with its threshold.

    Parameters
    ----------
    scores
        Of the test clips.
    heldout
        Of normal training clips, by a model without them; none where the threshold has another source.
    threshold
        Scores that reach it are alarms.
    promises
        Whether it promises 10 % false alarms: with fewer than nine held-out clips it is the highest of their scores.
    seconds, ms_per_clip
        Of training with its calibration; of reading and scoring one clip, the median. Of the processor.
    """

    title: str
    scores: Scores
    heldout: Scores
    threshold: float
    promises: bool
    seconds: float
    ms_per_clip: float

    def to_json(self) -> dict[str, Any]:
        """Keys as the fields, scores as CSV."""
        return {
            **{name: getattr(self, name) for name in ("title", "threshold", "promises", "seconds", "ms_per_clip")},
            **{name: format_scores(getattr(self, name).clips).decode() for name in ("scores", "heldout")},
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Judged:
        """Read what `to_json` gave."""
        scores = {name: parse_scores(kept[name].encode()) for name in ("scores", "heldout")}
        return cls(**{**kept, **scores})


@dataclass(frozen=True)
class Figures:
    """What is reported of a detector on one part; rates in [0, 1].

    Parameters
    ----------
    seen
        Share of the normal test clips that are alarms.
    found, found_at_promise
        Share of faulty clips above the threshold; above the one that exactly 10 % of the normal test clips reach.
    """

    auc: float
    pauc: float
    seen: float
    found: float
    found_at_promise: float


def judge(recipe: Recipe, part: Part, *, folder: Path, fresh: bool = False) -> dict[str, Judged]:
    """Train on a part and score it, by pooling; or take what an earlier run kept in the folder."""
    detector = recipe.build()
    kept = folder / f"{recipe.detector}-{recipe.preset}-{recipe_digest(detector, part)}.json"
    if kept.exists() and not fresh:
        return {pooling: Judged.from_json(each) for pooling, each in json.loads(kept.read_text()).items()}
    made = _trained(detector, recipe.poolings, part, folder)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({pooling: each.to_json() for pooling, each in made.items()}))
    return made


def recipe_digest(detector: Detector, part: Part) -> str:
    """What scores come from, in 16 characters: settings, seed, and the clips of both sides by path and recording."""
    clips = [[(clip.relative, clip.recording) for clip in each] for each in (part.train, part.test)]
    settings = {name: value for name, value in asdict(detector).items() if not name.startswith("_")}
    return hashlib.sha256(json.dumps([detector.name, settings, clips]).encode()).hexdigest()[:16]


def _trained(detector: Detector, poolings: Sequence[str], part: Part, folder: Path) -> dict[str, Judged]:
    normal, test = readable(part.train, channel=None), readable(part.test, channel=None)
    began = process_time()
    plan = plan_calibration(normal, detector=detector, channel=None)
    checkpoint = CheckpointFile(folder / f"checkpoint-{detector.name}")
    fit = fit_and_calibrate(detector, normal, plan, channel=None, checkpoint=checkpoint)
    forget(checkpoint, plan)
    seconds = process_time() - began
    ms = ms_per_clip(detector, test.clips)
    scores = {"its own": scored(detector, FileClips(test.clips), "test", test.digests)}
    heldout = {"its own": fit.heldout}
    if isinstance(detector, NetworkDetector):
        scores, heldout = by_pooling(detector, scores["its own"], test), by_pooling(detector, fit.heldout, normal)
    return {
        pooling: with_threshold(f"{detector.name}, {pooling}", scores[pooling], heldout[pooling], seconds, ms)
        for pooling in poolings
    }


def by_pooling(detector: NetworkDetector, own: Scores, clips: ReadableClips) -> dict[str, Scores]:
    """Scores under each pooling of clips whose scores under the detector's own are known; those stay as they are."""
    place = dict(zip(clips.digests, clips.clips, strict=True))
    heard = [detector.scores_by_pooling(read_clip(place[clip.digest].path)) for clip in own.clips]
    others = [pooling for pooling in heard[0] if pooling != detector.pooling]
    return {detector.pooling: own} | {
        pooling: Scores(
            tuple(replace(clip, anomaly_score=each[pooling]) for clip, each in zip(own.clips, heard, strict=True))
        )
        for pooling in others
    }


def with_threshold(title: str, scores: Scores, heldout: Scores, seconds: float, ms: float) -> Judged:
    """Take the default threshold from the held-out scores."""
    found = default_threshold(heldout.anomaly_scores)
    threshold = np.inf if found.value is None else found.value
    return Judged(title, scores, heldout, threshold, found.promised_fpr is not None, seconds, ms)


def ms_per_clip(detector: Detector, clips: Sequence[Clip]) -> float:
    """Median time of reading and scoring one clip, nothing taken from a cache, in ms."""
    times = []
    for clip in clips[:N_TIMED]:
        began = process_time()
        detector.anomaly_score(read_waveform(clip.path))
        times.append(1000 * (process_time() - began))
    return median(times)


def together(title: str, members: Sequence[Judged]) -> Judged:
    """Average the members' z-scores, as the product's ensemble does; its threshold rests on clips that all held out."""
    ensemble = combine(members)
    seconds, ms = (sum(getattr(each, name) for each in members) for name in ("seconds", "ms_per_clip"))
    return with_threshold(title, ensemble.scores, ensemble.heldout, seconds, ms)


def of_peer(title: str, result: Any, test: Sequence[Clip]) -> Judged:
    """Take over what a peer made of the test clips, a `PeerResult`; scores above its threshold are alarms."""
    clips = tuple(
        ScoredClip(clip.relative, clip.machine_id, "test", clip.label, "", clip.relative, float(score))
        for clip, score in zip(test, result.test_scores, strict=True)
    )
    threshold = float(np.nextafter(result.threshold, np.inf))
    return Judged(title, Scores(clips), Scores(()), threshold, True, result.fit_seconds, result.ms_per_clip)


def figures(judged: Judged) -> Figures:
    """AUC, pAUC and what the threshold does on the test clips."""
    scores, is_fault = judged.scores.anomaly_scores, judged.scores.is_anomalous
    alarms = is_anomalous(scores, judged.threshold)
    return Figures(
        auc=metrics.auc(is_fault, scores),
        pauc=metrics.pauc(is_fault, scores),
        seen=float(alarms[~is_fault].mean()),
        found=float(alarms[is_fault].mean()),
        found_at_promise=found_at_promise(scores, is_fault),
    )


def found_at_promise(scores: FloatArray, is_fault: np.ndarray) -> float:
    """Share of faults above the threshold that lets exactly 10 % of the test's normal clips through."""
    limit = float(np.quantile(scores[~is_fault], 1 - ALPHA, method="higher"))
    return float((scores[is_fault] >= limit).mean())


def auc_interval(
    runs: Sequence[Judged], recording_of: Mapping[str, str], *, seed: int = 0, n_draws: int = N_DRAWS
) -> tuple[float, float]:
    """95 % interval of the mean AUC of several trainings on the same test clips, whole recordings drawn anew.

    Clips of a recording are not independent, recordings are: normal and faulty ones are drawn with replacement, apart
    (percentile bootstrap of clusters).

    Parameters
    ----------
    recording_of
        The recording of each test clip, by its path.
    """
    clips = runs[0].scores.clips
    names = np.array([recording_of[clip.path] for clip in clips])
    is_fault = runs[0].scores.is_anomalous
    groups = [
        [np.flatnonzero((names == name) & (is_fault == own)) for name in np.unique(names[is_fault == own])]
        for own in (False, True)
    ]
    wins = np.mean([_wins(run.scores.anomaly_scores, *groups) for run in runs], axis=0)  # (n_normal, n_faulty)
    sizes = [np.array([len(rows) for rows in each]) for each in groups]
    rng = np.random.default_rng(seed)
    counts = [rng.multinomial(len(size), np.full(len(size), 1 / len(size)), n_draws) for size in sizes]
    aucs = np.einsum("di,ij,dj->d", counts[0], wins, counts[1]) / (counts[0] @ sizes[0]) / (counts[1] @ sizes[1])
    low, high = np.quantile(aucs, [0.025, 0.975])
    return float(low), float(high)


def _wins(scores: FloatArray, normal: Sequence[Any], faulty: Sequence[Any]) -> FloatArray:
    """Pairs of each normal and each faulty recording in which the faulty clip is the stranger one; ties count half."""
    pairs = [[scores[theirs][None] - scores[own][:, None] for theirs in faulty] for own in normal]
    return np.array([[float((gaps > 0).sum() + 0.5 * (gaps == 0).sum()) for gaps in row] for row in pairs])
