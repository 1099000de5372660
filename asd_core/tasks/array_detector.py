"""A detector over arrays under scikit-learn's contract: one row of numbers per clip, from any encoder.

The back ends are those of the detectors on embeddings, with the same arithmetic. Only this module imports scikit-learn
when it is imported, so nothing else in the package imports this module.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_consistent_length, check_random_state, gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data

from asd_core.data.recordings import FOLDS, Recordings, find_recordings
from asd_core.detectors.contract import State
from asd_core.detectors.mahalanobis import fit_gaussian, mahalanobis_scores
from asd_core.detectors.nearest_neighbours import check_neighbours, fit_references, neighbour_scores
from asd_core.detectors.one_class_svm import bound_of_scores, check_one_class, fit_one_class, row_scores
from asd_core.errors import InputError, RowsError, SettingError, ThresholdError, UsageError
from asd_core.evaluation.thresholds import DEFAULT_RULE, Threshold, check_rule, default_threshold, n_needed
from asd_core.features.prints import SoundPrint
from asd_core.system.threads import one_blas_thread
from asd_core.tasks.calibrate import MIN_TRAINING_CLIPS, deal_folds
from asd_core.types import FloatArray, IntArray

BACK_ENDS = ("mahalanobis", "ocsvm", "knn")
MIN_FOLDS = 2
_BATCH = 256
"""Rows scored at once: their distances to 10,000 references take 20 MB."""


@dataclass(frozen=True)
class _BackEnd:
    """How rows are learned from, how others are scored (higher is stranger), and what scores are proportional to."""

    fit: Callable[[FloatArray], State]
    anomaly_scores: Callable[[FloatArray, State], FloatArray]
    score_unit: Callable[[State], float]


@dataclass(frozen=True)
class _Row:
    """What is known of a row when recordings are grouped: the one it is named for, else its place."""

    relative: str
    recording: str | None
    machine_id: str = ""

    @property
    def shown(self) -> str:
        return self.relative


class ArrayDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Learns from rows of normal clips, and says which others are anomalous; scikit-learn's names and signs.

    All rows given to `fit` are taken to be normal. The threshold comes from scores of rows by fits that have not seen
    them (folds of whole recordings), never from training scores, which are too low: a fitted row is its own nearest
    neighbour. So it is a false-alarm rate for new recordings that is chosen (`alpha`), not a share of the fitted rows
    (scikit-learn's `contamination`), and `fit_predict`, which judges the fitted rows, calls too few of them anomalous;
    their honest scores are `cross_fitted_scores_`.

    Columns are taken to be of one kind, as an embedding's: none counts as varying less than a tenth of their average
    deviation. Put scikit-learn's `StandardScaler` before columns in different units.

    Parameters
    ----------
    back_end
        `mahalanobis`: squared Mahalanobis distance, Ledoit-Wolf covariance; `ocsvm`: one-class SVM with an RBF kernel;
        `knn`: mean distance to the nearest fitted rows. Rows are standardised first.
    alpha
        False-alarm rate that the threshold promises for new recordings, in (0, 1): split-conformal.
    folds
        Into how many parts the recordings are dealt, each left out once.
    nu, gamma
        Of `ocsvm`, see `asd_core.detectors.one_class_svm.OneClassSvm`.
    k, max_references
        Of `knn`, see `asd_core.detectors.nearest_neighbours.NearestNeighbours`.
    random_state
        Seed of the folds, and of the draw where rows are too many for a back end. None draws a new one at each fit.

    Attributes
    ----------
    offset_
        `decision_function` is `score_samples` minus this.
    threshold_
        The same threshold as the rest of the package has it, on the negative of `score_samples`, with its promise.
        `promised_fpr` is None and `provisional` True where rows were too few (9 are needed at `alpha` 0.1), and a
        `UserWarning` says so.
    cross_fitted_scores_
        Shape (n_clips,): `score_samples` of each fitted row by a fit without its recording, on the scale of all.
    state_
        What was learned: arrays by name.
    n_features_in_, feature_names_in_
        Width of the rows, and the names of columns where there were any.
    """

    offset_: float
    threshold_: Threshold
    cross_fitted_scores_: FloatArray
    state_: State

    def __init__(
        self,
        back_end: str = "mahalanobis",
        *,
        alpha: float = 0.1,
        folds: int = FOLDS,
        nu: float = 0.1,
        gamma: str | float = "scale",
        k: int = 1,
        max_references: int = 10_000,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.back_end = back_end
        self.alpha = alpha
        self.folds = folds
        self.nu = nu
        self.gamma = gamma
        self.k = k
        self.max_references = max_references
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: object = None, *, groups: Sequence[object] | None = None) -> Self:  # noqa: ARG002 - scikit-learn passes y
        """Learn from rows of normal clips, and calibrate the threshold; an earlier fit is forgotten.

        Parameters
        ----------
        X
            Shape (n_clips, n_features), finite, at least 3 rows.
        y
            Not used.
        groups
            The recording of each row, which is left out as a whole. None: runs of neighbouring rows (a fifth, at most
            20) stand for recordings, since neighbours are often cut from one. Equal rows stay together.

        Raises
        ------
        ValueError
            Rows that scikit-learn refuses; RowsError: rows that nothing can be learned from; SettingError: a setting
            that is out of range.
        """
        with suppress(AttributeError):
            del self.offset_  # a fit that fails leaves nothing to score with
        rows = validate_data(self, X, dtype=np.float64, ensure_min_samples=MIN_TRAINING_CLIPS)
        check_consistent_length(rows, groups)
        with _value_errors(), one_blas_thread():
            seed = self._seed()
            back_end = self._checked_back_end(seed)
            recordings, folds = _dealt(rows, groups, n_folds=self.folds, seed=seed)
            self.state_ = back_end.fit(rows)
            scores = _cross_fitted(back_end, rows, folds, score_unit=back_end.score_unit(self.state_))
            self.threshold_ = default_threshold(scores, alpha=self.alpha, keeps_promises=recordings.keeps_promises)
        self._anomaly_scores = back_end.anomaly_scores  # with the k of this fit, whatever `set_params` says later
        self.cross_fitted_scores_ = -scores
        # The package calls a score at the threshold anomalous, scikit-learn a decision of 0 normal: one float apart.
        self.offset_ = float(np.nextafter(-self.threshold_.for_ids([""])[0], np.inf))
        _warn_without_promise(self.threshold_, self.alpha)
        return self

    def score_samples(self, X: npt.ArrayLike) -> FloatArray:
        """How normal each row is, shape (n_clips,): the negative anomaly score, so lower is stranger; no unit."""
        check_is_fitted(self, "offset_")
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        with one_blas_thread():
            return -_in_batches(self._anomaly_scores, rows, self.state_)

    def decision_function(self, X: npt.ArrayLike) -> FloatArray:
        """`score_samples` minus `offset_`, shape (n_clips,): below 0 is anomalous."""
        scores = self.score_samples(X)
        return scores - self.offset_

    def predict(self, X: npt.ArrayLike) -> IntArray:
        """Return 1 for a normal row and -1 for an anomalous one, shape (n_clips,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _checked_back_end(self, seed: int) -> _BackEnd:
        """Check all settings, and return the back end that they describe."""
        if self.back_end not in BACK_ENDS:
            raise UsageError(f"back_end must be one of {', '.join(BACK_ENDS)}; got {self.back_end!r}")
        if self.folds < MIN_FOLDS:
            raise UsageError(f"folds must be {MIN_FOLDS} or more, got {self.folds}")
        check_rule(DEFAULT_RULE, self.alpha)
        check_one_class(nu=self.nu, gamma=self.gamma)
        check_neighbours(k=self.k, max_references=self.max_references)
        return {
            "mahalanobis": _BackEnd(fit_gaussian, mahalanobis_scores, _no_unit),
            "ocsvm": _BackEnd(
                partial(fit_one_class, nu=self.nu, gamma=self.gamma, seed=seed), row_scores, bound_of_scores
            ),
            "knn": _BackEnd(
                partial(fit_references, k=self.k, max_references=self.max_references, seed=seed),
                partial(neighbour_scores, k=self.k),
                _no_unit,
            ),
        }[self.back_end]


@contextmanager
def _value_errors() -> Iterator[None]:
    """Raise the package's errors as the ValueErrors that scikit-learn's callers expect."""
    try:
        yield
    except UsageError as error:
        raise SettingError(str(error)) from error
    except (InputError, ThresholdError) as error:
        raise RowsError(str(error)) from error


def _no_unit(state: State) -> float:  # noqa: ARG001 - such scores compare between fits as they are
    return 1.0


def _dealt(
    rows: FloatArray, groups: Sequence[object] | None, *, n_folds: int, seed: int
) -> tuple[Recordings, IntArray]:
    """Group rows as the package groups clips; equal rows count as equal sounds."""
    digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in rows]
    names = [None] * len(rows) if groups is None else [str(group) for group in groups]
    clips = [_Row(str(place), name) for place, name in enumerate(names)]
    return deal_folds(
        clips, find_recordings(clips, [_print(digest) for digest in digests]), digests, n_folds=n_folds, seed=seed
    )


def _print(digest: str) -> SoundPrint:
    """A print that is equal to that of an equal row, and like no other."""
    nothing = np.zeros(0)
    return SoundPrint(digest, nothing, np.nan, nothing, nothing)


def _cross_fitted(back_end: _BackEnd, rows: FloatArray, folds: IntArray, *, score_unit: float) -> FloatArray:
    """Anomaly score of each row by a fit without its fold, in `score_unit`, shape (n_rows,)."""
    scores = np.empty(len(rows))
    for fold in np.unique(folds):
        is_own = folds == fold
        state = back_end.fit(rows[~is_own])
        own = _in_batches(back_end.anomaly_scores, rows[is_own], state)
        scores[is_own] = own * (score_unit / back_end.score_unit(state))
    return scores


def _in_batches(
    anomaly_scores: Callable[[FloatArray, State], FloatArray], rows: FloatArray, state: State
) -> FloatArray:
    return np.concatenate([anomaly_scores(rows[part], state) for part in gen_batches(len(rows), _BATCH)])


def _warn_without_promise(threshold: Threshold, alpha: float) -> None:
    if threshold.provisional:
        text = (
            f"provisional: the threshold is the highest of {threshold.n_calibration} scores and promises nothing; "
            f"{n_needed(DEFAULT_RULE, alpha)} rows are needed for one that does"
        )
    elif threshold.promised_fpr is None:
        text = "no_promise: all rows are of one recording, so nothing is promised for new ones"
    else:
        return
    warnings.warn(text, UserWarning, stacklevel=3)
