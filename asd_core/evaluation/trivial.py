"""How well trivial numbers of clips, see `asd_core.features.trivial`, tell anomalous clips from normal ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from asd_core.data.clips import Clip
from asd_core.evaluation.metrics import mean_over_ids, per_id
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
