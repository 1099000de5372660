"""One normal and one anomalous clip to show a detector with, chosen by a rule, and how a score builds up in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.types import AnomalyMap, FloatArray


@dataclass(frozen=True)
class Demonstration:
    """A normal clip, and an anomalous one that its detector found."""

    normal: ScoredClip
    anomalous: ScoredClip

    @property
    def clips(self) -> tuple[ScoredClip, ScoredClip]:
        """Both, in the order in which they are heard."""
        return self.normal, self.anomalous


def demonstration(scores: Scores, threshold: float) -> Demonstration | None:
    """Choose clips in the middle, neither the best nor the worst.

    The anomalous clip has the median score of those at or above the threshold; the normal one has the median score of
    the normal clips of the same machine id, or of all where that id has none. Of two in the middle the higher one.

    Returns
    -------
    Demonstration or None
        None where there is no normal clip or no anomalous one was found.
    """
    is_found = scores.is_anomalous & is_anomalous(scores.anomaly_scores, threshold)
    found = [scores.clips[row] for row in is_found.nonzero()[0]]
    normal = [clip for clip in scores.clips if clip.label == "normal"]
    if not found or not normal:
        return None
    anomalous = _in_the_middle(found)
    alike = [clip for clip in normal if clip.machine_id == anomalous.machine_id]
    return Demonstration(_in_the_middle(alike or normal), anomalous)


def _in_the_middle(clips: Sequence[ScoredClip]) -> ScoredClip:
    return sorted(clips, key=lambda clip: (clip.anomaly_score, clip.path))[len(clips) // 2]


def score_build_up(anomaly_map: AnomalyMap, anomaly_score: float) -> FloatArray:
    """Spread a clip's score over its map: each step adds its share, and the last value is the score.

    Shape (n_steps,). A step's share is its mean over the bands, in the map's sum; negative values count as 0. Where
    nothing is left, all steps add the same. It is a picture of where a score comes from, not the score of the beginning
    of the clip.
    """
    weights = anomaly_map.values.mean(axis=1).clip(min=0)
    if not weights.sum() > 0:
        weights = np.ones(len(weights))
    shares: FloatArray = anomaly_score * weights.cumsum() / weights.sum()
    return shares
