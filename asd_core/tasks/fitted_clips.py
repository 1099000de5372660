"""The clips that a detector was fitted on, scored by the detector itself: what no threshold should be taken from."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from asd_core.artifacts.store import DIGEST_PREFIX, Artifact
from asd_core.data.data_set import DataSet, FileClips, ReadableClips, readable
from asd_core.detectors.contract import Detector
from asd_core.errors import DataSetError
from asd_core.evaluation.mistakes import spread_out
from asd_core.types import FloatArray

MOST_SCORED = 200
"""Fitted clips that are scored; of more, some that are evenly spread over them."""


def ignore_count(n_done: int, n_all: int) -> None:
    """Do nothing with a progress event."""


@dataclass(frozen=True, eq=False)
class FittedScores:
    """Scores of fitted clips by the detector that was fitted on them.

    Parameters
    ----------
    anomaly_scores
        Shape (n_scored,).
    n_fitted
        Clips that the detector was fitted on.
    """

    anomaly_scores: FloatArray
    n_fitted: int


def normal_clips(
    digests: Collection[str], data_set: DataSet, *, channel: int | None, min_samples: int
) -> ReadableClips:
    """Find clips among the normal ones of a data set by their contents, in the order of its index.

    Parameters
    ----------
    digests
        The first `DIGEST_PREFIX` digits of each clip's SHA-256, as manifests keep them.

    Raises
    ------
    DataSetError
        None of them is there.
    """
    normal = [clip for clip in data_set.index.clips if clip.label == "normal"]
    found = readable(normal, channel=channel, min_samples=min_samples)
    rows = [row for row, digest in enumerate(found.digests) if digest[:DIGEST_PREFIX] in digests]
    if not rows:
        raise DataSetError(
            f"none of the {len(digests)} clips that the detector was trained on is in {data_set.index.root}: choose "
            "the data set that it was trained on"
        )
    return found.only(rows)


def score_fitted(
    artifact: Artifact,
    detector: Detector,
    data_set: DataSet,
    *,
    at_most: int = MOST_SCORED,
    on_progress: Callable[[int, int], None] = ignore_count,
) -> FittedScores:
    """Score clips that a detector was fitted on; of many, some that are evenly spread over them.

    Parameters
    ----------
    detector
        The artifact's, loaded.
    data_set
        Of the artifact's machine; clips are recognised by their contents.
    on_progress
        Called with (clips scored, clips to score).

    Raises
    ------
    DataSetError
        None of the fitted clips is in the data set.
    """
    fitted = artifact.manifest.data.fitted_digests
    found = normal_clips(set(fitted), data_set, channel=artifact.channel, min_samples=detector.min_samples)
    clips = FileClips(tuple(found.clips[row] for row in spread_out(len(found.clips), at_most)), artifact.channel)
    scores = []
    for n_done, waveform in enumerate(clips, start=1):
        scores.append(detector.anomaly_score(waveform))
        on_progress(n_done, len(clips))
    return FittedScores(np.array(scores, dtype=np.float64), len(fitted))
