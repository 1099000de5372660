"""How much nu and gamma matter: a grid of one-class SVMs on squared distances that are computed once.

Each cell is the detector `vggish_ocsvm` with these settings: the same blocks, standardising and RBF kernel, here given
to scikit-learn as a matrix. Nothing is chosen: picking the cell with the best AUC would be a choice on test labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_core.data.clips import Clip, prints_of
from asd_core.data.data_set import DataSet, FileClips, open_data_set, readable
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.data.recordings import assign_folds, find_recordings
from asd_core.detectors.on_embeddings import seeded_rows, squared_distances, standard_scale
from asd_core.detectors.one_class_svm import OneClassSvm, kernel_gamma
from asd_core.errors import DataSetError, UsageError
from asd_core.evaluation import metrics
from asd_core.evaluation.thresholds import DEFAULT_RULE, from_normal_scores, is_anomalous
from asd_core.features.encoders import load_encoder
from asd_core.system.threads import one_blas_thread
from asd_core.types import FloatArray

NUS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5)
GAMMAS: tuple[str | float, ...] = ("scale", 1e-5, 1e-4, 3e-4, 3e-3, 1e-2)
MAX_BLOCKS = 6_000
"""Above this a seeded subsample is fitted: its distances take 8 bytes per pair, 288 MB here and in each worker."""
WORKERS = 2


def ignore_count(n_done: int, n_all: int) -> None:
    """Do nothing with a progress event."""


@dataclass(frozen=True)
class SweepClips:
    """The clips of a sweep, divided as `train` divides them, and what was left out."""

    fitted: tuple[Clip, ...]
    heldout: tuple[Clip, ...]
    test: tuple[Clip, ...]
    n_excluded: int
    refused: tuple[dict[str, str], ...]


@dataclass(frozen=True, eq=False)
class FittedCell:
    """One SVM of the grid: how many fitted blocks support it, and its scores (higher is stranger) of other blocks."""

    n_support: int
    anomaly_scores: FloatArray


def sweep(
    data: Path,
    *,
    machine: str | None = None,
    ids: Sequence[str] | None = None,
    rules: FolderRules = NO_RULES,
    encoder: str = "logmel_stats",
    nus: Sequence[float] = NUS,
    gammas: Sequence[str | float] = GAMMAS,
    seed: int = 0,
    workers: int = WORKERS,
    on_progress: Callable[[int, int], None] = ignore_count,
) -> dict[str, Any]:
    """Fit a one-class SVM for each nu and gamma and report what each does to held-out and test clips.

    Parameters
    ----------
    workers
        Processes; each takes one gamma at a time.
    on_progress
        Called with (clips embedded, clips in all).

    Returns
    -------
    dict
        JSON values. A cell's `heldout_outside` is the share of held-out normal clips outside the SVM's own boundary,
        to be compared with nu; `heldout_fpr` is the false-alarm rate of each half of them at the conformal threshold
        of the other half; `test` says that it uses test labels.

    Raises
    ------
    UsageError
        A setting is out of range, or the grid is empty.
    DataSetError, InputError
        As for `train`.
    """
    began = monotonic()
    detector = _checked(nus, gammas, encoder=encoder, seed=seed)
    data_set = open_data_set(data, machine=machine, ids=ids, seed=seed, rules=rules)
    clips = _part(data_set, seed=seed)
    everything = (*clips.fitted, *clips.heldout, *clips.test)
    embedded = []
    for waveform in FileClips(everything, data_set.index.channel):
        embedded.append(detector.embed(waveform))
        on_progress(len(embedded), len(everything))
    n_fitted, n_heldout = len(clips.fitted), len(clips.heldout)
    rows = np.concatenate(embedded[:n_fitted])
    fitted = seeded_rows(rows, at_most=MAX_BLOCKS, seed=seed)
    others = embedded[n_fitted:]
    widths, cells = fit_grid(
        fitted,
        np.concatenate(others),
        nus=nus,
        gammas=gammas,
        workers=workers,
        least_std=load_encoder(encoder).least_std,
    )
    reports = []
    for (nu, gamma), cell in cells.items():
        scores = clip_means(cell.anomaly_scores, [len(blocks) for blocks in others])
        head = {"nu": nu, "gamma": gamma, "gamma_value": widths[gamma]}
        support = {"n_support": cell.n_support, "support_share": cell.n_support / len(fitted)}
        reports.append(head | support | _figures(scores[:n_heldout], scores[n_heldout:], clips.test))
    warning = f"subsample: {len(fitted)} of {len(rows)} blocks fitted" if len(fitted) < len(rows) else None
    return {
        "schema": 1,
        "command": "sweep",
        "warnings": [warning] if warning else [],
        "detector": detector.name,
        "title": detector.title,
        "encoder": encoder,
        "machine": data_set.index.machine,
        "simulated": data_set.simulated is not None,
        "data_simulated": data_set.simulated is not None,
        "n_train": n_fitted,
        "n_heldout": n_heldout,
        "n_test": len(clips.test),
        "n_excluded": clips.n_excluded,
        "seconds": round(monotonic() - began, 3),
        "cells": reports,
        "refused": list(clips.refused),
    }


def fit_grid(
    fitted: FloatArray,
    others: FloatArray,
    *,
    nus: Sequence[float],
    gammas: Sequence[str | float],
    workers: int = WORKERS,
    least_std: Callable[[FloatArray], FloatArray] = np.zeros_like,
) -> tuple[dict[str | float, float], dict[tuple[float, str | float], FittedCell]]:
    """Fit a one-class SVM for each nu and gamma.

    Parameters
    ----------
    fitted, others
        Blocks before standardising, shape (n_fitted, width) and (n_others, width).
    least_std
        As for `standard_scale`.

    Returns
    -------
    tuple
        Each gamma as a number, and the cells by (nu, gamma).
    """
    from sklearn.utils.parallel import Parallel, delayed

    mean, scale = standard_scale(fitted, least_std=least_std)
    scaled = (fitted - mean) / scale
    widths = {gamma: kernel_gamma(gamma, scaled) for gamma in gammas}
    with one_blas_thread():
        among, apart = squared_distances(scaled, scaled), squared_distances((others - mean) / scale, scaled)
    columns = Parallel(n_jobs=min(workers, len(widths)))(
        delayed(_fit_column)(among, apart, width, tuple(nus)) for width in widths.values()
    )
    by_gamma = dict(zip(widths, columns, strict=True))
    return widths, {(nu, gamma): by_gamma[gamma][row] for row, nu in enumerate(nus) for gamma in widths}


@one_blas_thread()
def _fit_column(among: FloatArray, apart: FloatArray, width: float, nus: Sequence[float]) -> list[FittedCell]:
    """Fit the cells of one gamma on its kernel; `among` (n_fitted, n_fitted) and `apart` are squared distances."""
    from sklearn.svm import OneClassSVM

    kernel, other_kernel = np.exp(-width * among), np.exp(-width * apart)
    cells = []
    for nu in nus:
        svm = OneClassSVM(kernel="precomputed", nu=nu).fit(kernel)
        scores = -(other_kernel[:, svm.support_] @ svm.dual_coef_[0] + svm.intercept_)
        cells.append(FittedCell(len(svm.support_), scores))
    return cells


def clip_means(block_scores: FloatArray, n_blocks: Sequence[int]) -> FloatArray:
    """Mean over each clip's blocks, shape (n_clips,)."""
    starts = np.cumsum([0, *n_blocks])[:-1]
    means: FloatArray = np.add.reduceat(block_scores, starts) / np.asarray(n_blocks)
    return means


def _checked(nus: Sequence[float], gammas: Sequence[str | float], *, encoder: str, seed: int) -> OneClassSvm:
    if not nus or not gammas:
        raise UsageError("a sweep needs at least one nu and one gamma")
    if seed < 0:
        raise UsageError(f"seed must be 0 or more, got {seed}")
    for nu in nus:
        OneClassSvm(nu=nu)
    for gamma in gammas:
        OneClassSvm(gamma=gamma)
    return OneClassSvm(encoder=encoder, seed=seed)


def _part(data_set: DataSet, *, seed: int) -> SweepClips:
    normal = readable(data_set.index.select(split="train", label="normal"), channel=data_set.index.channel)
    if not normal.clips:
        raise DataSetError(
            f"{data_set.index.root} has no readable normal training clips; the command index lists what it holds"
        )
    recordings = find_recordings(normal.clips, prints_of(normal.clips, channel=data_set.index.channel))
    folds = assign_folds(normal.clips, recordings, seed=seed)
    is_heldout = (folds == 0) & (folds.max() > 0)  # with one fold only, all are fitted
    fitted, heldout = np.flatnonzero(~is_heldout), np.flatnonzero(is_heldout)
    labelled = [clip for clip in data_set.index.select(split="test") if clip.label != "unlabelled"]
    test = readable(labelled, channel=data_set.index.channel)
    known = set(normal.digests)
    fresh = tuple(clip for clip, digest in zip(test.clips, test.digests, strict=True) if digest not in known)
    if not len(heldout) and not fresh:
        raise DataSetError(
            f"{data_set.index.root} has neither held-out nor labelled test clips to compare settings on; add normal "
            "recordings, or put labelled ones into test/normal and test/faulty"
        )
    return SweepClips(
        fitted=tuple(normal.clips[row] for row in fitted),
        heldout=tuple(normal.clips[row] for row in heldout),
        test=fresh,
        n_excluded=len(test.clips) - len(fresh),
        refused=normal.refused + test.refused,
    )


def _figures(heldout_scores: FloatArray, test_scores: FloatArray, test: Sequence[Clip]) -> dict[str, Any]:
    threshold = from_normal_scores(DEFAULT_RULE, heldout_scores)
    labels = np.array([clip.label == "anomalous" for clip in test], dtype=np.bool_)
    return {
        "heldout_outside": _share(is_anomalous(heldout_scores, 0.0)),
        "heldout_fpr": crossed_fpr(heldout_scores),
        "threshold": threshold.value,
        "test": {
            "uses_test_labels": True,
            "auc_mean": metrics.mean_over_ids(
                metrics.per_id(labels, test_scores, [c.machine_id for c in test])
            ).auc_mean,
            "auc_pooled": metrics.per_id(labels, test_scores, ["all"] * len(test))["all"].auc if len(test) else None,
            "observed_fpr": None
            if threshold.value is None
            else _share(is_anomalous(test_scores[~labels], threshold.value)),
        },
    }


def crossed_fpr(normal_scores: FloatArray) -> float | None:
    """False-alarm rate when each half of the scores is judged by the other half's conformal threshold.

    Scores go to the two halves in turn. None where a half is too small for a threshold.
    """
    halves = normal_scores[0::2], normal_scores[1::2]
    alarms = []
    for own, other in (halves, halves[::-1]):
        threshold = from_normal_scores(DEFAULT_RULE, other).value
        if threshold is None:
            return None
        alarms.append(is_anomalous(own, threshold))
    return _share(np.concatenate(alarms))


def _share(claims: npt.NDArray[np.bool_]) -> float | None:
    return float(claims.mean()) if claims.size else None
