"""Several detectors on the same test clips, joined by digest; imported scores and ensembles beside them.

All scores are stored ones, but those of a network whose errors are pooled in another way: that hears the clips again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from asd_core.artifacts.store import Artifact
from asd_core.data.data_set import fingerprint
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.errors import DataSetError
from asd_core.evaluation.ensemble import combine
from asd_core.evaluation.imported import rescore
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.types import BoolArray, FloatArray, Waveform

POOLING_TITLES: Mapping[str, str] = {
    "mean": "mean (the report)",
    "relative": "relative errors",
    "mahalanobis": "error spectrum",
    "combined": "relative errors and error spectrum",
}


@dataclass(frozen=True, eq=False)
class Method:
    """Scores of one data set's clips: a trained detector's, imported ones, or an ensemble's.

    Parameters
    ----------
    key
        Tells versions apart: the version's folder, or the digest of an imported file.
    title
        For people; text, never Markdown.
    scores, heldout
        Of the labelled test clips, and of held-out normal clips (may be empty for imported scores).
    artifact
        The trained detector; None for imported scores and for an ensemble.
    is_ensemble
        Whether the scores are joint ones of other methods.
    repooled
        The trained network whose errors are pooled in another way than its own; `artifact` is None then.
    """

    key: str
    title: str
    scores: Scores
    heldout: Scores
    artifact: Artifact | None = None
    is_ensemble: bool = False
    repooled: Artifact | None = None

    @property
    def trained(self) -> Artifact | None:
        """The trained detector behind the scores, whichever way it pools; None for imported scores and ensembles."""
        return self.repooled if self.artifact is None else self.artifact

    @classmethod
    def of(cls, artifact: Artifact) -> Method:
        """Take a trained detector's stored scores."""
        test, heldout = artifact.scores.of("test").labelled(), artifact.scores.of("heldout")
        return cls(str(artifact.folder), artifact.title, test, heldout, artifact)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods on the clips that all of them scored.

    Parameters
    ----------
    methods
        With `scores` of the common clips only, in one order.
    n_own
        Test clips that each method has.
    n_contradicting
        Clips left out because the methods' data sets label them differently.
    """

    methods: tuple[Method, ...]
    n_own: tuple[int, ...]
    n_contradicting: int

    @property
    def clips(self) -> tuple[ScoredClip, ...]:
        """The common clips; scores in them are the first method's."""
        return self.methods[0].scores.clips if self.methods else ()

    @cached_property
    def labels(self) -> BoolArray:
        """Shape (n_clips,)."""
        return np.array([clip.label == "anomalous" for clip in self.clips], dtype=np.bool_)

    @cached_property
    def anomaly_scores(self) -> FloatArray:
        """Shape (n_methods, n_clips)."""
        return np.array([method.scores.anomaly_scores for method in self.methods]).reshape(len(self.methods), -1)

    @cached_property
    def fingerprint(self) -> str:
        """One digest for the common clips."""
        return fingerprint([clip.digest for clip in self.clips])

    def of(self, rows: Sequence[int]) -> Comparison:
        """Only some of the common clips, by position."""
        methods = (
            replace(method, scores=Scores(tuple(method.scores.clips[row] for row in rows))) for method in self.methods
        )
        return replace(self, methods=tuple(methods))

    @property
    def has_both_classes(self) -> bool:
        """Whether a ROC exists."""
        return bool(self.labels.any() and not self.labels.all())


def join(methods: Sequence[Method]) -> Comparison:
    """Keep the clips that all methods scored and label alike, in the first method's order; equal clips count once."""
    if not methods:
        return Comparison((), (), 0)
    by_digest = [{clip.digest: clip for clip in reversed(method.scores.clips)} for method in methods]
    common = [digest for digest in _in_order(methods[0]) if all(digest in found for found in by_digest)]
    kept = [digest for digest in common if len({found[digest].label for found in by_digest}) == 1]
    joined = (
        replace(method, scores=Scores(tuple(found[digest] for digest in kept)))
        for method, found in zip(methods, by_digest, strict=True)
    )
    return Comparison(tuple(joined), tuple(len(found) for found in by_digest), len(common) - len(kept))


def _in_order(method: Method) -> list[str]:
    return list(dict.fromkeys(clip.digest for clip in method.scores.clips))


def imported_method(
    comparison: Comparison, imported: Mapping[str, float], *, machine: str, title: str, key: str
) -> Method:
    """Make a method of imported scores (path -> score) for the clips of a comparison.

    Raises
    ------
    DataSetError
        No clips to compare on, or some without a score.
    """
    if not comparison.clips:
        raise DataSetError("there are no common test clips to compare scores on")
    first = comparison.methods[0]
    scores = rescore(first.scores, imported, machine=machine)
    return Method(key, title, scores, rescore(first.heldout, imported, machine=machine, required=False))


def other_poolings(detector: NetworkDetector) -> tuple[str, ...]:
    """Poolings to show beside a network's own: the report's mean; beside that, `combined` where its state allows."""
    if detector.pooling != "mean":
        return ("mean",)
    return () if detector.normal_errors is None else ("combined",)


def pooled_title(title: str, pooling: str) -> str:
    """Name a network with its pooling: `GRU autoencoder, mean (the report)`."""
    return f"{title}, {POOLING_TITLES.get(pooling, pooling)}"


def with_other_poolings(
    method: Method, detector: NetworkDetector, sounds: Callable[[ScoredClip], Waveform]
) -> tuple[Method, ...]:
    """Return a network's scores under its other poolings, from one pass over its test and held-out clips.

    A network that was cross-fitted has heard all of its clips: nothing is left for a threshold without labels.

    Parameters
    ----------
    method
        The network's own; see `Method.of`.
    sounds
        Reads a clip.
    """
    poolings = other_poolings(detector)
    is_cross_fitted = method.artifact is not None and method.artifact.manifest.calibration.how == "cross_fit"
    kept = replace(method.heldout, clips=()) if is_cross_fitted else method.heldout
    parts = [_by_pooling(part, detector, poolings, sounds) for part in (method.scores, kept)]
    return tuple(
        replace(
            method,
            key=f"{method.key}:{pooling}",
            title=pooled_title(method.title, pooling),
            scores=replace(method.scores, clips=tuple(parts[0][pooling])),
            heldout=replace(kept, clips=tuple(parts[1][pooling])),
            artifact=None,
            repooled=method.artifact,
        )
        for pooling in poolings
    )


def _by_pooling(
    scores: Scores, detector: NetworkDetector, poolings: Sequence[str], sounds: Callable[[ScoredClip], Waveform]
) -> dict[str, list[ScoredClip]]:
    found: dict[str, list[ScoredClip]] = {pooling: [] for pooling in poolings}
    for clip in scores.clips:
        values = detector.scores_by_pooling(sounds(clip))
        for pooling, clips in found.items():
            clips.append(replace(clip, anomaly_score=values[pooling]))
    return found


def with_ensemble(comparison: Comparison) -> Comparison:
    """Add the ensemble of the trained detectors as one more method; imported scores are left out of it.

    Raises
    ------
    UsageError, ThresholdError
        See `asd_core.evaluation.ensemble.combine`.
    """
    members = [method for method in comparison.methods if method.artifact is not None]
    joint = combine(members)
    key = fingerprint([method.key for method in members])
    method = Method(key, joint.title, joint.scores, joint.heldout, is_ensemble=True)
    return replace(
        comparison, methods=(*comparison.methods, method), n_own=(*comparison.n_own, len(joint.scores.clips))
    )
