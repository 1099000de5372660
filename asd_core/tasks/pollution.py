"""Faulty clips among those that a detector learns as normal: it is fitted again with them, and its threshold, too.

Only for detectors that learn from patch vectors in an instant: nearest neighbours and the Mahalanobis distance. The
vectors are computed once; a fit with other clips then takes a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from asd_core.artifacts.store import Artifact
from asd_core.data.data_set import DataSet, FileClips
from asd_core.detectors.contract import Detector, State
from asd_core.detectors.mahalanobis import Mahalanobis, fit_gaussian, mahalanobis_scores
from asd_core.detectors.nearest_neighbours import NearestNeighbours, fit_references, neighbour_scores
from asd_core.errors import DataSetError, UsageError
from asd_core.evaluation.mistakes import conformal_value, spread_out
from asd_core.evaluation.scores import ScoredClip
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.evaluation.uncertainty import Interval, bootstrap, paired_bootstrap
from asd_core.features.encoders import load_encoder
from asd_core.system.threads import one_blas_thread
from asd_core.tasks.calibrate import plan_calibration
from asd_core.tasks.fitted_clips import ignore_count, normal_clips
from asd_core.types import BoolArray, FloatArray, IntArray, Waveform

MOST_CLIPS = 400
"""Training clips, and test clips, that are taken; of more, some that are evenly spread over them."""
REFITTED = (NearestNeighbours.name, Mahalanobis.name)
"""Detectors that can be fitted again in an instant, the one whose mistake is easiest to see first."""


@dataclass(frozen=True)
class BackEnd:
    """A clip's patch vectors (n_patches, width), how many are learned from, and how they are scored, (n_patches,)."""

    embed: Callable[[Waveform], FloatArray]
    fit: Callable[[FloatArray], State]
    scores: Callable[[FloatArray, State], FloatArray]

    @classmethod
    def of(cls, detector: Detector) -> BackEnd:
        """Take that of a detector, with its settings.

        Raises
        ------
        UsageError
            It is none of `REFITTED`.
        """
        fit: Callable[[FloatArray], State]
        if isinstance(detector, NearestNeighbours):
            fit = partial(
                fit_references,
                k=detector.k,
                max_references=detector.max_references,
                seed=detector.seed,
                least_std=load_encoder(detector.encoder).least_std,
            )
            return cls(detector.embed, fit, partial(neighbour_scores, k=detector.k))
        if isinstance(detector, Mahalanobis):
            fit = partial(fit_gaussian, least_std=load_encoder(detector.encoder).least_std)
            return cls(detector.embed, fit, mahalanobis_scores)
        raise UsageError(f"{detector.name} cannot be fitted again in an instant; {', '.join(REFITTED)} can")


@dataclass(frozen=True)
class Refit:
    """What a detector has become after a fit.

    Parameters
    ----------
    threshold
        Split-conformal at 10 %, from scores of the clips it takes for normal by fits that have not heard them.
    anomaly_scores
        Of the test clips, shape (n_test,).
    """

    threshold: float
    anomaly_scores: FloatArray


@dataclass(frozen=True, eq=False)
class Vectors:
    """A detector's training and test clips as patch vectors, to fit it on some of them again and again.

    Parameters
    ----------
    normal, test
        Vectors of each clip, shape (n_patches, width).
    folds
        Shape (n_normal,): clips of one fold are scored by a fit without it.
    n_folds
        Folds that get scores, from 0 on: clips of others are always fitted.
    clips
        The test clips.
    digests
        SHA-256 of all of these clips.
    n_normal_all, n_test_all
        Clips that there are, more than are taken where they are many.
    """

    back_end: BackEnd
    normal: tuple[FloatArray, ...]
    folds: IntArray
    n_folds: int
    test: tuple[FloatArray, ...]
    clips: tuple[ScoredClip, ...]
    digests: tuple[str, ...]
    n_normal_all: int
    n_test_all: int

    @property
    def labels(self) -> BoolArray:
        """Whether each test clip is anomalous, shape (n_test,)."""
        return np.array([clip.label == "anomalous" for clip in self.clips], dtype=np.bool_)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of fault with two test clips and more, the one that is found least often first; empty text: unknown."""
        named = sorted({clip.kind for clip in self.clips if clip.label == "anomalous"})
        rates = {
            kind: is_anomalous(self.clean.anomaly_scores, self.clean.threshold)[self.of_kind(kind)] for kind in named
        }
        return tuple(sorted((kind for kind in named if len(rates[kind]) > 1), key=lambda kind: rates[kind].mean()))

    @cached_property
    def clean(self) -> Refit:
        """The detector as it is without any faulty clip."""
        return self.refit(())

    @one_blas_thread()
    def refit(self, polluting: Sequence[int]) -> Refit:
        """Fit and calibrate with some of the test clips taken for normal ones.

        They are dealt to the folds in turn, as if each were a recording of its own.

        Parameters
        ----------
        polluting
            Rows of `test`.
        """
        learned = (*self.normal, *(self.test[row] for row in polluting))
        folds = np.concatenate([self.folds, np.arange(len(polluting)) % (int(self.folds.max()) + 1)])
        state = self._fitted(learned, np.ones(len(learned), dtype=np.bool_) if self._crosses else folds != 0)
        calibration = np.empty(len(learned))
        for fold in range(self.n_folds):
            other = self._fitted(learned, folds != fold)
            for row in np.flatnonzero(folds == fold):
                calibration[row] = self._score(learned[row], other)
        held_out = calibration[folds < self.n_folds]
        return Refit(conformal_value(held_out), np.array([self._score(patches, state) for patches in self.test]))

    @property
    def _crosses(self) -> bool:
        """Whether every clip is fitted, since each fold is left out in turn."""
        return self.n_folds > int(self.folds.max())

    def _fitted(self, clips: Sequence[FloatArray], taken: BoolArray) -> State:
        return self.back_end.fit(np.concatenate([clips[row] for row in np.flatnonzero(taken).tolist()]))

    def _score(self, patches: FloatArray, state: State) -> float:
        return float(self.back_end.scores(patches, state).mean())

    def polluting(self, kind: str, n: int, *, seed: int = 0) -> npt.NDArray[np.int64]:
        """Draw `n` clips of a kind of fault; the first ones of a seed are the same for every `n`.

        Raises
        ------
        UsageError
            There are not more than `n`: none would be left to be found.
        """
        rows = np.flatnonzero(self.of_kind(kind))
        if not 1 <= n < len(rows):
            raise UsageError(f"from 1 to {len(rows) - 1} of these {len(rows)} clips leave one to be found, got {n}")
        return np.random.default_rng(seed).permutation(rows)[:n]

    def of_kind(self, kind: str) -> BoolArray:
        """Whether each test clip has this kind of fault, shape (n_test,)."""
        return np.array([clip.label == "anomalous" and clip.kind == kind for clip in self.clips], dtype=np.bool_)


@dataclass(frozen=True)
class Outcome:
    """What a detector decides on the test clips that it has not learned.

    Parameters
    ----------
    auc
        Of all of them, with its 95 % interval.
    false_alarms, found, others_found
        How many, and of how many: normal clips, clips with the kind of fault that was learned, with other faults.
    """

    threshold: float
    auc: Interval
    false_alarms: tuple[int, int]
    found: tuple[int, int]
    others_found: tuple[int, int]


@dataclass(frozen=True)
class Pollution:
    """A detector without and with some faulty clips among its training clips, which are left out of both tests.

    Parameters
    ----------
    auc_change
        AUC with them minus AUC without, with its paired 95 % interval.
    polluting
        The faulty clips.
    """

    clean: Outcome
    polluted: Outcome
    auc_change: Interval
    polluting: tuple[ScoredClip, ...]


def pollute(vectors: Vectors, kind: str, n: int, *, seed: int = 0) -> Pollution:
    """Fit a detector with `n` clips of a kind of fault among its training clips, and judge it beside the clean one.

    Raises
    ------
    UsageError
        See `Vectors.polluting`.
    UndefinedMetricError
        No normal test clips.
    """
    polluting = vectors.polluting(kind, n, seed=seed)
    polluted = vectors.refit(polluting.tolist())
    kept = np.ones(len(vectors.clips), dtype=np.bool_)
    kept[polluting] = False
    labels, own = vectors.labels[kept], vectors.of_kind(kind)[kept]

    def outcome(refit: Refit) -> Outcome:
        scores = refit.anomaly_scores[kept]
        alarms = is_anomalous(scores, refit.threshold)

        def counts(rows: BoolArray) -> tuple[int, int]:
            return int(alarms[rows].sum()), int(rows.sum())

        area = bootstrap(labels, scores)["auc_pooled"]
        return Outcome(refit.threshold, area, counts(~labels), counts(own), counts(labels & ~own))

    change = paired_bootstrap(labels, polluted.anomaly_scores[kept], vectors.clean.anomaly_scores[kept])
    clips = tuple(vectors.clips[row] for row in polluting.tolist())
    return Pollution(outcome(vectors.clean), outcome(polluted), change, clips)


def vectors_of(
    artifact: Artifact,
    detector: Detector,
    data_set: DataSet,
    *,
    at_most: int = MOST_CLIPS,
    on_progress: Callable[[int, int], None] = ignore_count,
) -> Vectors:
    """Compute the patch vectors of a detector's training and test clips.

    Parameters
    ----------
    artifact, detector
        One of `REFITTED`, and the same loaded.
    data_set
        Of its machine.
    at_most
        See `MOST_CLIPS`.
    on_progress
        Called with (clips read, clips to read).

    Raises
    ------
    UsageError
        Another detector.
    DataSetError
        Its clips are not in the data set.
    """
    back_end = BackEnd.of(detector)
    found = normal_clips(
        artifact.training_digests, data_set, channel=artifact.channel, min_samples=detector.min_samples
    )
    normal = found.only(spread_out(len(found.clips), at_most).tolist())
    by_path = {clip.relative: clip for clip in data_set.index.clips}
    tested = [clip for clip in artifact.scores.of("test").labelled().clips if clip.path in by_path]
    if not tested:
        raise DataSetError(f"none of the detector's test clips is in {data_set.index.root}")
    scored = tuple(tested[row] for row in spread_out(len(tested), at_most))
    plan = plan_calibration(normal, detector=detector, channel=artifact.channel)
    clips = FileClips((*normal.clips, *(by_path[clip.path] for clip in scored)), artifact.channel)
    vectors = []
    for n_done, waveform in enumerate(clips, start=1):
        vectors.append(back_end.embed(waveform))
        on_progress(n_done, len(clips))
    return Vectors(
        back_end,
        tuple(vectors[: len(normal.clips)]),
        plan.folds,
        plan.n_folds,
        tuple(vectors[len(normal.clips) :]),
        scored,
        (*normal.digests, *(clip.digest for clip in scored)),
        len(found.clips),
        len(tested),
    )
