"""Per-id normalisation from held-out normal scores."""

from __future__ import annotations

import numpy as np
import pytest

from asd_core.errors import ThresholdError, UsageError
from asd_core.evaluation.metrics import auc, per_id
from asd_core.evaluation.normalisation import fit_id_scales, normalise_ids


def two_ids(rng, level):
    """Scores of two ids that differ in level; anomalies 2 std above normal in each."""
    ids = ["00"] * 200 + ["02"] * 200
    labels = np.tile(np.repeat([False, True], 100), 2)
    scores = rng.standard_normal(400) + 2 * labels + np.repeat([0, level], 200)
    return labels, scores, ids


def test_ids_of_different_level_pool_better_and_rank_the_same():
    rng = np.random.default_rng(0)
    labels, scores, ids = two_ids(rng, level=10)
    heldout = np.concatenate([rng.standard_normal(50), 10 + rng.standard_normal(50)])
    scales = fit_id_scales(heldout, ["00"] * 50 + ["02"] * 50)
    normalised = normalise_ids(scores, ids, scales)
    assert auc(labels, normalised) > auc(labels, scores) + 0.1
    before, after = per_id(labels, scores, ids), per_id(labels, normalised, ids)
    assert all(before[name].auc == pytest.approx(after[name].auc, abs=1e-12) for name in before)


def test_too_few_or_equal_scores_of_an_id_are_refused():
    with pytest.raises(ThresholdError, match="id 02 has 2"):
        fit_id_scales(range(14), ["00"] * 12 + ["02"] * 2)
    with pytest.raises(ThresholdError, match="equal ones"):
        fit_id_scales([1.0] * 12, ["00"] * 12)


def test_an_id_without_a_scale_is_refused():
    with pytest.raises(UsageError, match="id 04 has no held-out"):
        normalise_ids([1.0], ["04"], {"00": (0.0, 1.0)})


def test_an_ids_scores_are_brought_to_mean_0_and_deviation_1():
    heldout = [*[1.0, 2, 3, 4, 5] * 3, *[10, 10, 20, 20, 40] * 3]
    ids = ["00"] * 15 + ["02"] * 15
    scales = fit_id_scales(heldout, ids)
    assert scales["00"] == pytest.approx((3.0, 2.0**0.5))
    assert scales["02"] == pytest.approx((20.0, 120.0**0.5))
    assert normalise_ids([3.0 + 2**0.5, 20.0], ["00", "02"], scales) == pytest.approx([1.0, 0.0])


def test_twelve_scores_of_an_id_are_enough_and_eleven_are_not():
    assert list(fit_id_scales(range(12), ["00"] * 12)) == ["00"]
    with pytest.raises(ThresholdError, match="id 00 has 11"):
        fit_id_scales(range(11), ["00"] * 11)
