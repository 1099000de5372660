"""How far a figure could be off: bootstrap and Wilson intervals.

All resampling is within a class (normal, anomalous), for the mean over ids within id and class: the numbers of clips
are part of the design, not of chance. Intervals are percentile intervals; where all draws are equal there is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from asd_core.errors import InputError, UndefinedMetricError
from asd_core.evaluation import metrics
from asd_core.evaluation.checks import checked_both_classes
from asd_core.formats import area_text
from asd_core.types import BoolArray, FloatArray

N_DRAWS = 2000
"""Default number of bootstrap resamples."""
MIN_NORMALS_FOR_PAUC = 50
"""With fewer normal clips, a single one near the top moves the pAUC too far."""
_CLIPS_AT_ONCE = 250_000
"""Drawn clips held in memory together: a few MB, which stay in the processor's cache."""


@dataclass(frozen=True)
class Interval:
    """A figure with its confidence interval.

    Parameters
    ----------
    low, high
        The ends, `low` <= `high`; both None where the interval is not defined, and then `reason` says why.
    estimate
        The figure itself; a percentile interval need not contain it.
    reliable
        False where the interval should not be relied on, or is not defined; then `reason` says why.
    reason
        Why it is not reliable, or not defined.
    """

    low: float | None
    high: float | None
    estimate: float
    reliable: bool = True
    reason: str | None = None

    @classmethod
    def undefined(cls, estimate: float, reason: str) -> Interval:
        """Build a figure whose interval is not defined."""
        return cls(None, None, estimate, reliable=False, reason=reason)

    @property
    def limits(self) -> tuple[float, float] | None:
        """Both ends; None where the interval is not defined."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def estimate_of(interval: Interval | None) -> float | None:
    """Return the figure itself; None where there is none."""
    return None if interval is None else interval.estimate


def limits_json(interval: Interval | None) -> list[float] | None:
    """Return an interval's ends as a list; None where the figure or its interval is not defined."""
    return None if interval is None or interval.limits is None else list(interval.limits)


def interval_text(interval: Interval | None, *, missing: str = "not defined") -> str:
    """Write a figure with its interval, `0.941 [0.920, 0.958]`; `missing` where the figure cannot be had."""
    if interval is None:
        return missing
    text = area_text(interval.estimate, interval.limits)
    return text if interval.limits is not None else f"{text}, {undefined_text(interval)}"


def difference_text(interval: Interval | None) -> str:
    """Write a difference with its sign and its interval, `+0.021 [-0.004, +0.046]`."""
    if interval is None:
        return "not defined"
    text = f"{interval.estimate:+.3f}"
    if interval.limits is None:
        return f"{text}, {undefined_text(interval)}"
    return f"{text} [{interval.limits[0]:+.3f}, {interval.limits[1]:+.3f}]"


def undefined_text(interval: Interval) -> str:
    """Say that a figure has no interval, and why: `interval not defined (no spread among 3 + 3 clips)`."""
    return f"interval not defined ({interval.reason})"


def no_spread(*n_clips: int) -> str:
    """Say why an interval is not defined, with the number of clips: of one kind, or of normal and anomalous ones.

    Where every resample gives the same figure, its percentiles are that figure twice. Read as an interval they would
    claim certainty, from three clips as from three hundred.
    """
    return f"no spread among {' + '.join(map(str, n_clips))} clips"


def check_confidence(confidence: float) -> None:
    """Refuse a confidence out of its range.

    Raises
    ------
    InputError
        Not strictly between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie strictly between 0 and 1, got {confidence}")


def _check_draws(n_draws: int) -> None:
    if n_draws < 1:
        raise InputError(f"there must be at least one draw, got {n_draws}")


def percentile_interval(
    draws: FloatArray, *, estimate: float, confidence: float, n_clips: Sequence[int], reason: str | None = None
) -> Interval:
    """Return the percentile interval of resampled figures, shape (n_draws,); not defined where they have no spread.

    Parameters
    ----------
    n_clips
        How many clips were resampled: of one kind, or normal and anomalous ones.
    reason
        Why the interval should not be relied on, where it is known already.
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, (tail, 1 - tail)).tolist()
    if low == high:
        return Interval.undefined(estimate, no_spread(*n_clips))
    return Interval(low, high, estimate, reliable=reason is None, reason=reason)


def _chunks(n_draws: int, n_clips: int) -> Iterator[int]:
    size = max(1, _CLIPS_AT_ONCE // n_clips)
    for start in range(0, n_draws, size):
        yield min(size, n_draws - start)


def _picks(n_clips: int, n_draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return drawn positions with replacement, shape (n_draws, n_clips)."""
    return rng.integers(0, n_clips, size=(n_draws, n_clips))


def _counts(picks: npt.NDArray[np.int64], step: npt.NDArray[np.int64], n_steps: int) -> npt.NDArray[np.int64]:
    """Return how often each distinct score was drawn, shape (n_draws, n_steps)."""
    n_draws = len(picks)
    flat = step[picks] + n_steps * np.arange(n_draws)[:, None]
    return np.bincount(flat.ravel(), minlength=n_draws * n_steps).reshape(n_draws, n_steps)


def _steps(scores: FloatArray) -> tuple[npt.NDArray[np.int64], int]:
    """Return for each clip the number of its distinct score, from the highest, and how many there are."""
    distinct, inverse = np.unique(-scores, return_inverse=True)
    return inverse, len(distinct)


def _auc_draws(normal: npt.NDArray[np.int64], anomalous: npt.NDArray[np.int64]) -> FloatArray:
    """Return the AUC of each draw from its counts by distinct score, shape (n_draws,)."""
    twice_above = 2 * anomalous.cumsum(axis=1) - anomalous
    whole = 2 * normal[0].sum() * anomalous[0].sum()
    return np.asarray(np.einsum("ij,ij->i", normal, twice_above) / whole)


def _roc_start(
    normal: npt.NDArray[np.int64], anomalous: npt.NDArray[np.int64], max_fpr: float
) -> tuple[FloatArray, FloatArray]:
    """Return FPR and TPR of each draw up to the first step at which all draws are past `max_fpr`."""
    false_positives = normal.cumsum(axis=1)
    n_normal = int(false_positives[0, -1])
    n_steps = 1 + int((false_positives / n_normal <= max_fpr).sum(axis=1).max())
    true_positives = anomalous[:, :n_steps].cumsum(axis=1)
    corner = ((0, 0), (1, 0))
    fpr = np.pad(false_positives[:, :n_steps] / n_normal, corner)
    return fpr, np.pad(true_positives / anomalous[0].sum(), corner)


def _pauc_draws(fpr: FloatArray, tpr: FloatArray, max_fpr: float) -> FloatArray:
    """Return the standardised pAUC of each draw, shape (n_draws,)."""
    width = np.diff(np.minimum(fpr, max_fpr), axis=1)
    run, rise = np.diff(fpr, axis=1), np.diff(tpr, axis=1)
    # The part of each segment left of max_fpr; a vertical one has no width and adds nothing.
    part = np.divide(width, run, out=np.zeros_like(run), where=run > 0)
    area = (width * (tpr[:, :-1] + part * rise / 2)).sum(axis=1)
    return np.asarray(metrics.mcclish(area, max_fpr=max_fpr))


def _tpr_draws(fpr: FloatArray, tpr: FloatArray, max_fpr: float) -> FloatArray:
    """Return the largest TPR at an FPR of at most `max_fpr`, shape (n_draws,)."""
    last = (fpr <= max_fpr).sum(axis=1) - 1
    return np.asarray(tpr[np.arange(len(tpr)), last])


@dataclass(frozen=True, eq=False)
class _Draws:
    auc: FloatArray
    pauc: FloatArray
    tpr: FloatArray


def _stratum_draws(
    labels: BoolArray, scores: FloatArray, *, n_draws: int, max_fpr: float, rng: np.random.Generator
) -> _Draws:
    """Return AUC, pAUC and TPR of resampled clips, resampled within class."""
    step, n_steps = _steps(scores)
    normal_step, anomalous_step = step[~labels], step[labels]
    aucs, paucs, tprs = [], [], []
    for n_now in _chunks(n_draws, len(labels)):
        normal = _counts(_picks(len(normal_step), n_now, rng), normal_step, n_steps)
        anomalous = _counts(_picks(len(anomalous_step), n_now, rng), anomalous_step, n_steps)
        fpr, tpr = _roc_start(normal, anomalous, max_fpr)
        aucs.append(_auc_draws(normal, anomalous))
        paucs.append(_pauc_draws(fpr, tpr, max_fpr))
        tprs.append(_tpr_draws(fpr, tpr, max_fpr))
    return _Draws(np.concatenate(aucs), np.concatenate(paucs), np.concatenate(tprs))


def tpr_at_fpr(is_anomalous: npt.ArrayLike, anomaly_scores: npt.ArrayLike, *, max_fpr: float) -> float:
    """Return the largest TPR that a threshold reaches at an FPR of at most `max_fpr`, no interpolation.

    Raises
    ------
    InputError, UndefinedMetricError
        See `metrics.roc_curve`.
    """
    roc = metrics.roc_curve(is_anomalous, anomaly_scores)
    return float(roc.tpr[roc.fpr <= max_fpr][-1])


def _few_normals(n_normal: int) -> str | None:
    if n_normal < MIN_NORMALS_FOR_PAUC:
        return f"a pAUC from {n_normal} normal clips is not reliable; {MIN_NORMALS_FOR_PAUC} are needed"
    return None


def bootstrap(
    is_anomalous: npt.ArrayLike,
    anomaly_scores: npt.ArrayLike,
    *,
    machine_ids: Sequence[str] | None = None,
    n_draws: int = N_DRAWS,
    seed: int = 0,
    confidence: float = 0.95,
    max_fpr: float = metrics.PAUC_MAX_FPR,
) -> dict[str, Interval]:
    """Return stratified percentile-bootstrap intervals (Efron and Tibshirani 1993, chapter 13).

    Parameters
    ----------
    is_anomalous, anomaly_scores
        Shape (n,) each.
    machine_ids
        One for each clip.
    n_draws
        Number of resamples, from 1.
    seed
        Of the resampling.
    confidence
        In (0, 1).
    max_fpr
        In (0, 1]: the range of the pAUC, and the false-alarm rate of `tpr_at_fpr`.

    Returns
    -------
    dict of str to Interval
        `auc_pooled`, `pauc_pooled`, `tpr_at_fpr`, resampled within class; with machine ids also `auc_mean` and
        `pauc_mean`, resampled within id and class (absent where no id has both classes). A pAUC from fewer than 50
        normal clips (in an id, for the mean) is not `reliable`; an interval without any spread is not defined.

    Raises
    ------
    InputError, UndefinedMetricError
        See `metrics.pauc`; also a confidence or number of draws out of range, or not one id for each clip.
    """
    check_confidence(confidence)
    _check_draws(n_draws)
    labels, scores = checked_both_classes(is_anomalous, anomaly_scores)
    estimates = {
        "auc_pooled": metrics.auc(labels, scores),
        "pauc_pooled": metrics.pauc(labels, scores, max_fpr=max_fpr),
        "tpr_at_fpr": tpr_at_fpr(labels, scores, max_fpr=max_fpr),
    }
    rng = np.random.default_rng(seed)
    drawn = _stratum_draws(labels, scores, n_draws=n_draws, max_fpr=max_fpr, rng=rng)
    draws = {"auc_pooled": drawn.auc, "pauc_pooled": drawn.pauc, "tpr_at_fpr": drawn.tpr}
    n_clips = dict.fromkeys(draws, (int((~labels).sum()), int(labels.sum())))
    fewest_normals = {"pauc_pooled": int((~labels).sum())}
    if machine_ids is not None:
        figures = metrics.per_id(labels, scores, machine_ids, max_fpr=max_fpr)
        mean = metrics.mean_over_ids(figures)
        if mean.auc_mean is not None and mean.pauc_mean is not None:
            estimates |= {"auc_mean": mean.auc_mean, "pauc_mean": mean.pauc_mean}
            fewest_normals["pauc_mean"] = min(figures[name].n_normal for name in mean.ids_included)
            clips = metrics.clips_by_id(machine_ids, n_clips=len(labels))
            each = [
                _stratum_draws(labels[clips[i]], scores[clips[i]], n_draws=n_draws, max_fpr=max_fpr, rng=rng)
                for i in mean.ids_included
            ]
            draws["auc_mean"] = np.mean([one.auc for one in each], axis=0)
            draws["pauc_mean"] = np.mean([one.pauc for one in each], axis=0)
            included = [figures[name] for name in mean.ids_included]
            counts = sum(each.n_normal for each in included), sum(each.n_anomalous for each in included)
            n_clips |= {"auc_mean": counts, "pauc_mean": counts}
    return _intervals(draws, estimates, n_clips, fewest_normals, confidence)


def _intervals(
    draws: Mapping[str, FloatArray],
    estimates: Mapping[str, float],
    n_clips: Mapping[str, tuple[int, int]],
    fewest_normals: Mapping[str, int],
    confidence: float,
) -> dict[str, Interval]:
    reasons = {name: _few_normals(count) for name, count in fewest_normals.items()}
    return {
        name: percentile_interval(
            values, estimate=estimates[name], confidence=confidence, n_clips=n_clips[name], reason=reasons.get(name)
        )
        for name, values in draws.items()
    }


def paired_bootstrap(
    is_anomalous: npt.ArrayLike,
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    *,
    machine_ids: Sequence[str] | None = None,
    n_draws: int = N_DRAWS,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Return the interval of AUC(a) - AUC(b), both on the same resampled clips (within class).

    Parameters
    ----------
    is_anomalous, scores_a, scores_b
        Shape (n,) each, clips in one order.
    machine_ids
        One for each clip: then it is the difference of the AUCs averaged over the ids that have both classes, and
        clips are resampled within id and class, as for the `auc_mean` of `bootstrap`. None pools all clips.
    n_draws, seed, confidence
        See `bootstrap`.

    Raises
    ------
    InputError, UndefinedMetricError
        See `bootstrap`; also ids of which none has both classes.
    """
    check_confidence(confidence)
    _check_draws(n_draws)
    labels, first = checked_both_classes(is_anomalous, scores_a)
    _, second = checked_both_classes(labels, scores_b)
    strata = [np.arange(len(labels))] if machine_ids is None else metrics.clips_of_both_classes(labels, machine_ids)
    rng = np.random.default_rng(seed)
    each = [_paired_draws(labels[own], first[own], second[own], n_draws=n_draws, rng=rng) for own in strata]
    gaps = [metrics.auc(labels[own], first[own]) - metrics.auc(labels[own], second[own]) for own in strata]
    included = labels[np.concatenate(strata)]
    return percentile_interval(
        np.mean(each, axis=0),
        estimate=float(np.mean(gaps)),
        confidence=confidence,
        n_clips=(int((~included).sum()), int(included.sum())),
    )


def _paired_draws(
    labels: BoolArray, first: FloatArray, second: FloatArray, *, n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """Return AUC(first) - AUC(second) of resampled clips, the same for both, shape (n_draws,)."""
    n_normal, n_anomalous = int((~labels).sum()), int(labels.sum())
    differences = []
    for n_now in _chunks(n_draws, len(labels)):
        normal, anomalous = _picks(n_normal, n_now, rng), _picks(n_anomalous, n_now, rng)
        drawn = []
        for scores in (first, second):
            step, n_steps = _steps(scores)
            drawn.append(_auc_draws(_counts(normal, step[~labels], n_steps), _counts(anomalous, step[labels], n_steps)))
        differences.append(drawn[0] - drawn[1])
    return np.concatenate(differences)


def wilson(k: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval (1927) for a share of k in n.

    With z the normal quantile: (k + z^2/2 -+ z sqrt(k (n - k) / n + z^2/4)) / (n + z^2).

    Raises
    ------
    UndefinedMetricError
        n is 0.
    InputError
        Counts that are not 0 <= k <= n, or a confidence out of (0, 1).
    """
    check_confidence(confidence)
    if not 0 <= k <= n:
        raise InputError(f"a share needs 0 <= k <= n, got k = {k} and n = {n}")
    if n == 0:
        raise UndefinedMetricError("not defined: a share of no clips")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = k + z * z / 2
    reach = z * math.sqrt(k * (n - k) / n + z * z / 4)
    low = 0.0 if k == 0 else (centre - reach) / (n + z * z)
    high = 1.0 if k == n else (centre + reach) / (n + z * z)
    return Interval(low, high, k / n)


def f1_interval(
    confusion: metrics.Confusion, *, n_draws: int = N_DRAWS, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Return a bootstrap interval for F1 of the anomalous class, from the four counts, at a fixed threshold.

    Resampling clips within class is the same as drawing TP ~ Bin(n_anomalous, TPR) and FP ~ Bin(n_normal, FPR). The
    choice of the threshold adds uncertainty that is not in here.

    Raises
    ------
    UndefinedMetricError
        No anomalous clips.
    InputError
        A confidence or number of draws out of range.
    """
    check_confidence(confidence)
    _check_draws(n_draws)
    n_anomalous, n_normal = confusion.n_anomalous, confusion.n_normal
    estimate = confusion.per_class()["anomalous"].f1
    if not n_anomalous or estimate is None:
        raise UndefinedMetricError("not defined: F1 of the anomalous class without anomalous clips")
    rng = np.random.default_rng(seed)
    hits = rng.binomial(n_anomalous, confusion.tp / n_anomalous, n_draws)
    alarms = rng.binomial(n_normal, confusion.fpr or 0.0, n_draws)
    return percentile_interval(
        2 * hits / (n_anomalous + hits + alarms),
        estimate=estimate,
        confidence=confidence,
        n_clips=(n_normal, n_anomalous),
    )
