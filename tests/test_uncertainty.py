"""Intervals against plain loops, brute force and published values."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from asd_core.errors import InputError, UndefinedMetricError
from asd_core.evaluation import metrics, uncertainty
from asd_core.evaluation.delong import delong, delong_over_ids

QUICK = settings(max_examples=60, deadline=None)


def simulated(n_normal, n_anomalous, *, shift=1.0, seed=0, decimals=6):
    labels = np.arange(n_normal + n_anomalous) >= n_normal
    return labels, np.round(np.random.default_rng(seed).normal(size=len(labels)) + shift * labels, decimals)


def loop_draws(labels, scores, figure, n_draws, rng):
    """Resample within class, one draw after the other; draws as the code under test draws."""
    normal, anomalous = scores[~labels], scores[labels]
    picks = [rng.integers(0, len(own), size=(n_draws, len(own))) for own in (normal, anomalous)]
    known = np.repeat([False, True], [len(normal), len(anomalous)])
    return np.array([figure(known, np.concatenate((normal[a], anomalous[b]))) for a, b in zip(*picks, strict=True)])


@pytest.mark.parametrize("decimals", [6, 0])
@pytest.mark.parametrize("max_fpr", [0.1, 0.29, 1.0])
def test_bootstrap_equals_a_plain_loop(decimals, max_fpr):
    labels, scores = simulated(30, 25, decimals=decimals)
    found = uncertainty.bootstrap(labels, scores, n_draws=100, seed=7, max_fpr=max_fpr, confidence=0.9)
    plain = {
        "auc_pooled": metrics.auc,
        "pauc_pooled": lambda known, values: metrics.pauc(known, values, max_fpr=max_fpr),
        "tpr_at_fpr": lambda known, values: uncertainty.tpr_at_fpr(known, values, max_fpr=max_fpr),
    }
    assert found.keys() == plain.keys()
    for name, figure in plain.items():
        draws = loop_draws(labels, scores, figure, 100, np.random.default_rng(7))
        limits = found[name].limits or (found[name].estimate,) * 2  # every TPR at an FPR of at most 1 is 1
        np.testing.assert_allclose(limits, np.quantile(draws, (0.05, 0.95)), atol=1e-12)
        assert found[name].estimate == pytest.approx(figure(labels, scores))


def test_the_mean_over_ids_is_resampled_within_id_and_class():
    labels, scores = simulated(40, 36)
    ids = np.array(["00", "02"] * 38)
    found = uncertainty.bootstrap(labels, scores, machine_ids=ids, n_draws=60, seed=1)
    rng = np.random.default_rng(1)
    loop_draws(labels, scores, metrics.auc, 60, rng)
    each = [loop_draws(labels[ids == i], scores[ids == i], metrics.auc, 60, rng) for i in ("00", "02")]
    low, high = np.quantile(np.mean(each, axis=0), (0.025, 0.975))
    assert (found["auc_mean"].low, found["auc_mean"].high) == pytest.approx((low, high), abs=1e-12)
    per_id = metrics.per_id(labels, scores, ids)
    assert found["auc_mean"].estimate == metrics.mean_over_ids(per_id).auc_mean


def test_ids_with_one_class_are_left_out_of_the_interval_too():
    labels, scores = simulated(60, 60)
    ids = ["00"] * 60 + ["02"] * 60
    assert "auc_mean" not in uncertainty.bootstrap(labels, scores, machine_ids=ids, n_draws=10)
    labels[0] = True
    found = uncertainty.bootstrap(labels, scores, machine_ids=ids, n_draws=10)
    assert found["auc_mean"].estimate == metrics.auc(labels[:60], scores[:60])


def test_bootstrap_and_delong_agree_over_many_chunks():
    labels, scores = simulated(300, 801)
    boot = uncertainty.bootstrap(labels, scores)["auc_pooled"]
    exact = delong(labels, scores).auc
    assert (boot.low, boot.high) == pytest.approx((exact.low, exact.high), abs=0.003)


def test_bootstrap_of_three_detectors_is_quick():
    labels, _ = simulated(300, 801)
    started = time.process_time()
    for seed in range(3):
        uncertainty.bootstrap(labels, simulated(300, 801, seed=seed)[1], machine_ids=["00", "02", "04"] * 367)
    assert time.process_time() - started < 3  # about 0.2 s on an idle core


def test_a_seed_fixes_the_interval():
    labels, scores = simulated(30, 30)
    first, again, other = (uncertainty.bootstrap(labels, scores, n_draws=50, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize(("n_normal", "reliable"), [(49, False), (50, True)])
def test_a_pauc_from_few_normal_clips_is_not_reliable(n_normal, reliable):
    labels, scores = simulated(n_normal, 30)
    found = uncertainty.bootstrap(labels, scores, machine_ids=["00"] * len(labels), n_draws=50)
    assert (found["pauc_pooled"].reliable, found["pauc_mean"].reliable) == (reliable, reliable)
    assert found["auc_pooled"].reliable
    if not reliable:
        assert "49 normal clips" in found["pauc_pooled"].reason


def test_an_interval_without_spread_is_not_defined():
    found = uncertainty.bootstrap([False] * 3 + [True] * 4, np.arange(7.0), machine_ids=["00"] * 7, n_draws=20)
    for name, interval in found.items():
        assert (interval.low, interval.high, interval.limits, interval.reliable) == (None, None, None, False), name
        assert interval.estimate == 1
        assert interval.reason == "no spread among 3 + 4 clips"
    assert uncertainty.limits_json(found["auc_pooled"]) is None
    text = uncertainty.interval_text(found["auc_mean"])
    assert text == "1.000, interval not defined (no spread among 3 + 4 clips)"


def test_the_mean_over_ids_without_spread_counts_the_clips_of_its_ids_alone():
    labels = [False, False, True, True, True, False]
    found = uncertainty.bootstrap(labels, np.arange(6.0), machine_ids=["00"] * 5 + ["02"], n_draws=20)
    assert found["auc_mean"].reason == "no spread among 2 + 3 clips"
    assert found["auc_pooled"].limits is not None


def test_a_share_has_an_interval_at_none_and_at_all():
    assert uncertainty.wilson(0, 3).limits == pytest.approx((0.0, 0.5615), abs=5e-5)
    assert uncertainty.wilson(3, 3).limits == pytest.approx((0.4385, 1.0), abs=5e-5)


def test_f1_without_a_mistake_has_no_interval():
    found = uncertainty.f1_interval(metrics.Confusion(tn=5, fp=0, fn=0, tp=4), n_draws=50)
    assert (found.estimate, found.limits, found.reason) == (1.0, None, "no spread among 5 + 4 clips")


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_equals_newcombe_1998_table_1(k, n, low, high):
    interval = uncertainty.wilson(k, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)
    mirrored = uncertainty.wilson(n - k, n)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((interval.low, interval.high))


def test_wilson_refuses_what_is_no_share():
    with pytest.raises(UndefinedMetricError, match="no clips"):
        uncertainty.wilson(0, 0)
    with pytest.raises(InputError, match="k = 3"):
        uncertainty.wilson(3, 2)


def brute_delong(labels, *detectors):
    """Return AUCs and their covariance from the full table of pairs (DeLong et al. 1988, equations 3 to 6)."""
    tables = []
    for scores in detectors:
        anomalous, normal = scores[labels][:, None], scores[~labels][None, :]
        tables.append((anomalous > normal) + 0.5 * (anomalous == normal))
    over_normals = np.array([table.mean(axis=1) for table in tables])
    over_anomalous = np.array([table.mean(axis=0) for table in tables])
    covariance = np.cov(over_normals) / labels.sum() + np.cov(over_anomalous) / (~labels).sum()
    return np.array([table.mean() for table in tables]), np.atleast_2d(covariance)


@QUICK
@given(st.integers(2, 25), st.integers(2, 25), st.integers(0, 1000), st.integers(0, 3))
def test_delong_equals_brute_force(n_normal, n_anomalous, seed, decimals):
    labels, first = simulated(n_normal, n_anomalous, seed=seed, decimals=decimals)
    _, second = simulated(n_normal, n_anomalous, seed=seed + 1, shift=0.3, decimals=decimals)
    aucs, covariance = brute_delong(labels, first, second)
    found = delong(labels, first, second)
    assert (found.auc.estimate, found.auc_b.estimate) == pytest.approx(aucs, abs=1e-12)
    assert (found.variance, found.variance_b) == pytest.approx(np.diag(covariance), abs=1e-12)
    gap = np.array([1, -1])
    assert found.difference_variance == pytest.approx(gap @ covariance @ gap, abs=1e-12)
    if found.difference_variance > 1e-9:
        z = (aucs[0] - aucs[1]) / np.sqrt(found.difference_variance)
        assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), abs=1e-9)


def test_delong_of_one_detector_has_the_normal_interval():
    labels, scores = simulated(60, 40)
    found = delong(labels, scores, confidence=0.9)
    reach = stats.norm.ppf(0.95) * np.sqrt(found.variance)
    assert (found.auc.low, found.auc.high) == pytest.approx((found.auc.estimate - reach, found.auc.estimate + reach))
    assert (found.auc_b, found.difference, found.p_value) == (None, None, None)


def test_delong_without_spread_has_named_states():
    labels, scores = simulated(20, 20)
    same = delong(labels, scores, 2 * scores + 1)
    assert (same.p_value, same.difference.estimate, same.difference.limits) == (1.0, 0.0, None)
    rising = np.arange(40.0)
    opposite = delong(labels, rising, -rising)
    assert (opposite.p_value, opposite.difference.estimate) == (None, 1.0)
    assert "no spread" in opposite.difference.reason
    with pytest.raises(UndefinedMetricError, match="at least two"):
        delong([False, True, True], [1.0, 2.0, 3.0])


def test_the_paired_bootstrap_uses_the_same_clips_for_both():
    labels, first = simulated(150, 150)
    second = first + np.random.default_rng(9).normal(scale=0.3, size=300)
    found = uncertainty.paired_bootstrap(labels, first, second)
    exact = delong(labels, first, second).difference
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.004)
    assert found.estimate == pytest.approx(exact.estimate)
    same = uncertainty.paired_bootstrap(labels, first, first, n_draws=20)
    assert (same.estimate, same.limits, same.reason) == (0.0, None, "no spread among 150 + 150 clips")


def two_ids(seed=5):
    """Labels, two detectors' scores and ids; the second id's scores lie higher, and a third has one class only."""
    labels = np.array([*[False, True] * 60, False, False])
    rng = np.random.default_rng(seed)
    ids = np.array([*["00"] * 70, *["02"] * 50, "04", "04"])
    first = rng.normal(size=122) + labels + 3 * (ids == "02")
    return labels, first, first + rng.normal(size=122), ids


def test_the_paired_bootstrap_of_the_mean_resamples_within_id_and_class():
    labels, first, second, ids = two_ids()
    found = uncertainty.paired_bootstrap(labels, first, second, machine_ids=ids, n_draws=80, seed=2)
    rng = np.random.default_rng(2)
    each, gaps = [], []
    for name in ("00", "02"):
        own, known = ids == name, labels[ids == name]
        picks = [rng.integers(0, n, size=(80, n)) for n in ((~known).sum(), known.sum())]
        drawn = []
        for scores in (first[own], second[own]):
            pairs = zip(*picks, strict=True)
            aucs = [
                metrics.auc(np.sort(known), np.concatenate((scores[~known][a], scores[known][b]))) for a, b in pairs
            ]
            drawn.append(np.array(aucs))
        each.append(drawn[0] - drawn[1])
        gaps.append(metrics.auc(known, first[own]) - metrics.auc(known, second[own]))
    assert found.limits == pytest.approx(np.quantile(np.mean(each, axis=0), (0.025, 0.975)), abs=1e-12)
    assert found.estimate == pytest.approx(np.mean(gaps))
    with pytest.raises(UndefinedMetricError, match="no id has"):
        uncertainty.paired_bootstrap([False, True], [1.0, 2.0], [2.0, 1.0], machine_ids=["00", "02"])


def test_delong_over_ids_joins_independent_differences():
    labels, first, second, ids = two_ids()
    found = delong_over_ids(labels, first, second, ids)
    gaps, variances = [], []
    for name in ("00", "02"):
        aucs, covariance = brute_delong(labels[ids == name], first[ids == name], second[ids == name])
        gaps.append(aucs[0] - aucs[1])
        variances.append(np.array([1, -1]) @ covariance @ np.array([1, -1]))
    assert found.difference.estimate == pytest.approx(np.mean(gaps), abs=1e-12)
    assert found.variance == pytest.approx(sum(variances) / 4, abs=1e-12)
    z = np.mean(gaps) / np.sqrt(sum(variances) / 4)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), abs=1e-12)
    boot = uncertainty.paired_bootstrap(labels, first, second, machine_ids=ids)
    assert found.difference.limits == pytest.approx(boot.limits, abs=0.01)
    pooled = delong(labels[ids == "00"], first[ids == "00"], second[ids == "00"])
    single = delong_over_ids(labels[ids == "00"], first[ids == "00"], second[ids == "00"], ids[ids == "00"])
    assert single.p_value == pytest.approx(pooled.p_value)


def test_delong_over_ids_keeps_its_promise_where_detectors_rank_alike():
    rng = np.random.default_rng(0)
    labels, ids = np.array([False, True] * 60), np.repeat(["00", "02", "04"], 40)
    level = np.repeat([0.0, 2.0, 4.0], 40)
    p_values = []
    for _ in range(400):
        machine = rng.normal(size=120) + labels + level
        scores = (machine + rng.normal(scale=0.7, size=120) for _ in range(2))
        p_values.append(delong_over_ids(labels, *scores, ids).p_value)
    assert 0.03 < np.mean(np.array(p_values) < 0.05) < 0.08


def test_delong_over_ids_needs_two_clips_of_each_class_in_each_id():
    labels = [False, False, True, True, False, True]
    with pytest.raises(UndefinedMetricError, match="at least two"):
        delong_over_ids(labels, np.arange(6.0), np.arange(6.0), ["00"] * 4 + ["02"] * 2)


def test_the_f1_interval_equals_resampled_clips():
    labels, scores = simulated(120, 40, shift=3.0)
    confusion = metrics.confusion_at(labels, scores, 0.5)
    found = uncertainty.f1_interval(confusion, n_draws=4000)

    def f1(known, values):
        return metrics.confusion_at(known, values, 0.5).per_class()["anomalous"].f1

    draws = loop_draws(labels, scores, f1, 1000, np.random.default_rng(0))
    assert (found.low, found.high) == pytest.approx(np.quantile(draws, (0.025, 0.975)), abs=0.015)
    assert found.estimate == confusion.per_class()["anomalous"].f1
    with pytest.raises(UndefinedMetricError, match="without anomalous"):
        uncertainty.f1_interval(metrics.Confusion(5, 1, 0, 0))


@pytest.mark.parametrize("interval", [uncertainty.bootstrap, delong])
def test_intervals_refuse_what_figures_refuse(interval):
    with pytest.raises(UndefinedMetricError, match="none is anomalous"):
        interval([False, False], [1.0, 2.0])
    with pytest.raises(InputError, match="finite"):
        interval([False, True], [1.0, np.nan])
    with pytest.raises(InputError, match="confidence"):
        interval([False, True], [1.0, 2.0], confidence=1.0)


def test_there_is_at_least_one_draw():
    with pytest.raises(InputError, match="draw"):
        uncertainty.bootstrap([False, True], [1.0, 2.0], n_draws=0)
