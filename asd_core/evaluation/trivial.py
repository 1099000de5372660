"""How well trivial numbers of clips, see `asd_core.features.trivial`, tell anomalous clips from normal ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asd_core.data.clips import Clip
from asd_core.evaluation.metrics import auc, mean_over_ids, per_id
from asd_core.evaluation.scores import ScoredClip
from asd_core.types import FloatArray


def mean_aucs(clips: Sequence[Clip | ScoredClip], table: Mapping[str, FloatArray]) -> dict[str, float]:
    """AUC of each number, mean over ids, where more of it means a fault."""
    labels, ids = [clip.label == "anomalous" for clip in clips], [clip.machine_id for clip in clips]
    found = {name: mean_over_ids(per_id(labels, values, ids)).auc_mean for name, values in table.items()}
    return {name: 0.5 if value is None else value for name, value in found.items()}


def directed(aucs: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """AUCs of each number in the better direction for all sets together, the best number first."""
    found = {}
    for name in aucs[0]:
        values = [each[name] for each in aucs]
        found[name] = values if np.mean(values) >= 0.5 else [1 - value for value in values]
    return dict(sorted(found.items(), key=lambda entry: -float(np.mean(entry[1]))))


@dataclass(frozen=True)
class BestNumber:
    """The trivial number that tells anomalous clips from normal ones best, itself chosen on their labels.

    Parameters
    ----------
    name
        As in `asd_core.features.trivial.numbers`.
    more_is_anomalous
        Its direction: whether more of it means a fault.
    n_numbers
        How many numbers it was chosen from.
    n_clips
        Labelled clips behind the figures.
    auc_mean, auc_pooled, pauc_mean
        As in `asd_core.evaluation.summary.Ranking`, in its direction.
    auc_per_id
        AUC of each machine id; None where an id has one class only.
    """

    name: str
    more_is_anomalous: bool
    n_numbers: int
    n_clips: int
    auc_mean: float
    auc_pooled: float
    pauc_mean: float
    auc_per_id: Mapping[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        return asdict(self)


def best_number(clips: Sequence[Clip | ScoredClip], table: Mapping[str, FloatArray]) -> BestNumber | None:
    """Choose the number with the highest AUC, mean over ids, in its better direction, on the labels of these clips.

    Parameters
    ----------
    table
        Each number of all clips, shape (n_clips,).

    Returns
    -------
    BestNumber or None
        None where no id has clips of both classes.
    """
    labels, ids = [clip.label == "anomalous" for clip in clips], [clip.machine_id for clip in clips]
    aucs = mean_aucs(clips, table)
    name = next(iter(directed([aucs])))
    more = aucs[name] >= 0.5
    values = table[name] if more else -table[name]
    figures = per_id(labels, values, ids)
    means = mean_over_ids(figures)
    if means.auc_mean is None or means.pauc_mean is None:
        return None
    by_id = {machine_id: each.auc for machine_id, each in figures.items()}
    return BestNumber(name, more, len(table), len(clips), means.auc_mean, auc(labels, values), means.pauc_mean, by_id)
