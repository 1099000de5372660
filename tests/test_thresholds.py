"""Rules: what each promises, keeps, and refuses."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from asd_core.errors import ArtifactError, InputError, ThresholdError, UndefinedMetricError, UsageError
from asd_core.evaluation import label_rules, metrics, thresholds

QUICK = settings(max_examples=60, deadline=None)
LABELLED = [name for name, spec in thresholds.RULES.items() if spec.uses_test_labels]
FREE = [name for name in thresholds.RULES if name not in LABELLED]
NORMALS = np.random.default_rng(1).gamma(2.0, 1.5, 200)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(2)
    labels = np.arange(120) >= 50
    return labels, np.round(rng.normal(size=120) + 1.0 * labels, 1)


def test_the_rules_are_those_of_the_interface():
    names = "conformal quantile gamma mean_std zero closest_topleft youden best_f1 target_tpr target_fpr cost"
    assert list(thresholds.RULES) == [*names.split(), "highest", "manual"]
    assert FREE == ["conformal", "quantile", "gamma", "mean_std", "zero", "highest", "manual"]


def test_a_score_at_the_threshold_is_anomalous():
    assert thresholds.is_anomalous([1.0, 2.0, 3.0], 2.0).tolist() == [False, True, True]
    assert thresholds.is_anomalous(2.0, 2.0)
    with pytest.raises(InputError, match="NaN"):
        thresholds.is_anomalous([np.nan], 0.0)


@QUICK
@given(st.lists(st.integers(-6, 6), min_size=4, max_size=40), st.sampled_from([0.05, 0.1, 0.2, 1 / 3, 0.5]))
def test_conformal_keeps_its_promise_for_exchangeable_scores_ties_included(scores, alpha):
    """Each of m + 1 scores is the new one in turn: the share of alarms may not exceed alpha."""
    alarms = 0
    for i, new in enumerate(scores):
        threshold = thresholds.from_normal_scores("conformal", scores[:i] + scores[i + 1 :], rule_value=alpha)
        alarms += threshold.value is not None and bool(thresholds.is_anomalous(new, threshold.value))
    assert alarms <= alpha * len(scores) + 1e-9


def test_conformal_false_alarms_over_200_runs_are_the_promised_ones():
    rng = np.random.default_rng(3)
    rates = []
    for _ in range(200):
        threshold = thresholds.from_normal_scores("conformal", rng.gamma(2.0, size=200))
        rates.append(thresholds.is_anomalous(rng.gamma(2.0, size=500), threshold.value).mean())
    assert abs(np.mean(rates) - 0.10) < 0.02


def test_conformal_takes_the_score_just_above_the_kth_smallest():
    threshold = thresholds.from_normal_scores("conformal", np.arange(1.0, 20), rule_value=0.1)
    assert threshold.value == np.nextafter(18.0, np.inf)  # k = ceil(20 * 0.9) = 18
    assert (threshold.promised_fpr, threshold.n_calibration, threshold.rule_value) == (0.1, 19, 0.1)


@pytest.mark.parametrize(("alpha", "needed"), [(0.05, 19), (0.1, 9), (0.2, 4), (0.3, 3), (0.5, 1)])
def test_conformal_needs_enough_held_out_clips(alpha, needed):
    assert thresholds.n_needed("conformal", alpha) == needed == math.ceil(1 / alpha) - 1
    enough = thresholds.from_normal_scores("conformal", np.arange(needed + 1.0), rule_value=alpha)
    assert enough.value is not None
    few = thresholds.from_normal_scores("conformal", np.arange(float(needed - 1)), rule_value=alpha)
    assert few.value is None
    assert few.reason


def test_conformal_from_equal_scores_has_no_threshold_but_a_reason():
    threshold = thresholds.from_normal_scores("conformal", np.full(50, 0.25))
    assert threshold.value is None
    assert "all 50 normal scores are equal" in (threshold.reason or "")
    with pytest.raises(ThresholdError, match="there is no threshold: all 50"):
        threshold.for_ids(["00"])


@pytest.mark.parametrize("rule", ["quantile", "gamma", "mean_std"])
def test_equal_or_no_scores_are_refused_by_name(rule):
    with pytest.raises(ThresholdError, match="all 5 normal scores are equal"):
        thresholds.from_normal_scores(rule, [1.0] * 5)
    with pytest.raises(ThresholdError, match="no normal scores"):
        thresholds.from_normal_scores(rule, [])
    with pytest.raises(InputError, match="finite"):
        thresholds.from_normal_scores(rule, [1.0, np.nan])


def test_label_free_rules_follow_their_formulas():
    take = thresholds.from_normal_scores
    shape, location, scale = stats.gamma.fit(NORMALS)
    assert take("gamma", NORMALS).value == pytest.approx(
        stats.gamma.ppf(0.9, shape, loc=location, scale=scale), abs=1e-12
    )
    assert take("quantile", NORMALS).value == pytest.approx(np.quantile(NORMALS, 0.9), abs=1e-12)
    assert take("mean_std", NORMALS).value == pytest.approx(NORMALS.mean() + 3 * NORMALS.std(), abs=1e-12)
    assert take("zero", NORMALS).value == 0.0
    assert take("manual", [], rule_value=-0.2).value == -0.2


def test_a_quantile_on_a_score_lets_that_score_pass():
    scores = np.arange(11.0)
    threshold = thresholds.from_normal_scores("quantile", scores)
    assert thresholds.is_anomalous(scores, threshold.value).sum() == 1


def test_promises_are_those_of_the_rules():
    promised = {rule: thresholds.from_normal_scores(rule, NORMALS).promised_fpr for rule in FREE if rule != "manual"}
    assert promised == {
        "conformal": 0.1, "quantile": 0.1, "gamma": 0.1, "mean_std": None, "highest": None, "zero": None
    }  # fmt: skip
    assert thresholds.from_normal_scores("manual", [], rule_value=1.0).promised_fpr is None


def test_each_id_gets_its_own_threshold_where_all_have_enough():
    scores = np.arange(40.0)
    ids = ["00"] * 20 + ["02"] * 20
    threshold = thresholds.from_normal_scores("conformal", scores, machine_ids=ids)
    alone = thresholds.from_normal_scores("conformal", scores[:20])
    assert threshold.per_id is not None
    assert list(threshold.per_id) == ["00", "02"]
    assert threshold.per_id["00"] == alone.value
    np.testing.assert_array_equal(threshold.for_ids(["00", "09"]), [alone.value, threshold.value])
    lone = thresholds.from_normal_scores("conformal", scores, machine_ids=["00"] * 32 + ["02"] * 8)
    assert lone.value is not None
    assert lone.per_id is None
    few = thresholds.from_normal_scores("quantile", scores, machine_ids=["00"] * 32 + ["02"] * 8)
    assert few.per_id is None
    for n_few, is_enough in ((11, False), (12, True)):  # nine would do for the rule, and be too unsteady
        ids = ["00"] * (40 - n_few) + ["02"] * n_few
        assert (thresholds.from_normal_scores("conformal", scores, machine_ids=ids).per_id is not None) == is_enough
    with pytest.raises(InputError, match="one machine id for each"):
        thresholds.from_normal_scores("conformal", scores, machine_ids=["00"])


def test_nine_scores_give_a_threshold_with_a_promise_and_fewer_a_provisional_one_without():
    nine = thresholds.default_threshold(np.arange(9.0))
    assert (nine.rule, nine.promised_fpr, nine.provisional) == ("conformal", 0.1, False)
    assert nine.value == np.nextafter(8.0, np.inf)
    for n_scores in (1, 5, 8):
        few = thresholds.default_threshold(np.arange(float(n_scores)))
        assert (few.rule, few.promised_fpr, few.provisional, few.n_calibration) == ("highest", None, True, n_scores)
        assert few.value == np.nextafter(n_scores - 1, np.inf)
    with pytest.raises(ThresholdError, match="no normal scores"):
        thresholds.default_threshold([])
    with pytest.raises(InputError, match="all 9 held-out clips have the same score 2:"):
        thresholds.default_threshold([2.0] * 9)
    assert thresholds.default_threshold([2.0] * 4).value == np.nextafter(2.0, np.inf)  # few clips far from each other


def test_the_highest_of_many_scores_is_no_stopgap():
    assert thresholds.from_normal_scores("highest", np.arange(9.0)).provisional is False


def test_scores_of_one_recording_give_the_same_threshold_without_its_promise():
    scores = np.arange(20.0)
    with_promise = thresholds.default_threshold(scores)
    without = thresholds.default_threshold(scores, keeps_promises=False)
    assert (with_promise.value, with_promise.promised_fpr) == (without.value, 0.1)
    assert without.promised_fpr is None


def test_a_provisional_threshold_comes_back_from_json_and_anything_but_true_or_false_is_refused():
    stored = thresholds.default_threshold(np.arange(5.0)).to_json()
    assert thresholds.Threshold.from_json(stored).provisional is True
    assert thresholds.Threshold.from_json({**stored, "provisional": False}).provisional is False
    with pytest.raises(ArtifactError, match="provisional must be true or false"):
        thresholds.Threshold.from_json({**stored, "provisional": 1})


@pytest.mark.parametrize(
    ("rule", "value", "text"),
    [
        ("median", None, "rule must be one of"),
        ("manual", None, "needs a finite value"),
        ("manual", np.inf, "needs a finite value"),
        ("zero", 1.0, "takes no value"),
        ("conformal", 0.0, "strictly between"),
        ("quantile", 1.0, "strictly between"),
        ("youden", None, "needs labelled"),
    ],
)
def test_rules_and_values_that_do_not_go_together_are_refused(rule, value, text):
    with pytest.raises(UsageError, match=text):
        thresholds.from_normal_scores(rule, NORMALS, rule_value=value)


@pytest.mark.parametrize(
    ("rule", "value", "prior", "text"),
    [
        ("conformal", None, None, "uses no labels"),
        ("target_tpr", 1.5, None, "rate from 0 to 1"),
        ("cost", -1, None, "cost ratio"),
        ("cost", 2, 1.0, "prior"),
        ("youden", None, 0.5, "prior"),
    ],
)
def test_labelled_rules_refuse_values_out_of_range(clips, rule, value, prior, text):
    with pytest.raises(UsageError, match=text):
        label_rules.from_labelled_scores(rule, *clips, rule_value=value, prior=prior)


def merits(rule, confusion):
    """What each rule wants to be large; written out once more, in plain numbers."""
    fpr, tpr = confusion.fpr, confusion.tpr
    return {
        "closest_topleft": -math.hypot(fpr, 1 - tpr),
        "youden": tpr - fpr,
        "best_f1": confusion.per_class()["anomalous"].f1,
        "target_tpr": -fpr if tpr >= 0.9 else -2,
        "target_fpr": tpr if fpr <= 0.1 else -2,
        "cost": -(5 * 0.2 * (1 - tpr) + 0.8 * fpr),
    }[rule]


@pytest.mark.parametrize("rule", LABELLED)
@pytest.mark.parametrize("seed", range(12))
def test_no_other_threshold_is_better_by_the_rule(rule, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(60) >= 25
    scores = np.round(rng.normal(size=60) * (1 + 2 * labels) + labels, 1)
    extra = {"rule_value": 5.0, "prior": 0.2} if rule == "cost" else {}
    threshold = label_rules.from_labelled_scores(rule, labels, scores, **extra)
    chosen = merits(rule, metrics.confusion_at(labels, scores, threshold.value))
    every = [
        merits(rule, metrics.confusion_at(labels, scores, t)) for t in metrics.roc_curve(labels, scores).thresholds
    ]
    assert chosen == pytest.approx(max(every), abs=1e-12)
    assert threshold.uses_test_labels
    assert threshold.promised_fpr is None


def test_a_choice_of_no_alarm_is_a_finite_threshold():
    threshold = label_rules.from_labelled_scores("cost", [0, 0, 0, 1], [3.0, 2, 1, 0], rule_value=0.01)
    assert threshold.value == np.nextafter(3.0, np.inf)


@pytest.mark.parametrize("rule", LABELLED)
def test_labelled_rules_name_what_they_cannot_judge(rule):
    with pytest.raises(ThresholdError, match="all 4 scores are equal"):
        label_rules.from_labelled_scores(rule, [0, 1, 0, 1], [1.0] * 4)
    with pytest.raises(UndefinedMetricError, match="none is anomalous"):
        label_rules.from_labelled_scores(rule, [0, 0], [1.0, 2.0])


@QUICK
@given(st.lists(st.floats(-1e12, 1e12), min_size=3, max_size=60), st.sampled_from(FREE))
def test_a_threshold_survives_json(scores, rule):
    try:
        threshold = thresholds.from_normal_scores(
            rule, scores, rule_value=1.5 if rule == "manual" else None, machine_ids=["00"] * len(scores)
        )
    except ThresholdError:
        assume(False)
    text = json.dumps(threshold.to_json(), allow_nan=False)
    assert thresholds.Threshold.from_json(json.loads(text)) == threshold


@pytest.mark.parametrize(
    "harm",
    [
        {"rule": "best"},
        {"rule": None},
        {"value": "0.5"},
        {"value": math.nan},
        {"value": True},
        {"promised_fpr": math.inf},
        {"n_calibration": -1},
        {"n_calibration": None},
        {"per_id": [1]},
        {"per_id": {"00": None}},
    ],
)
def test_a_damaged_stored_threshold_is_refused(harm):
    stored = thresholds.from_normal_scores("conformal", NORMALS).to_json() | harm
    with pytest.raises(ArtifactError, match="stored threshold"):
        thresholds.Threshold.from_json(stored)


def loop_optimism(rule, labels, scores, n_splits, seed, **extra):
    """Halve, choose, judge the other half, one split after the other; draws as the code under test draws."""
    rng = np.random.default_rng(seed)
    falling = [np.sort(scores[labels == wanted])[::-1] for wanted in (False, True)]
    halves = []
    for own in falling:
        positions = rng.permuted(np.broadcast_to(np.arange(len(own)), (n_splits, len(own))), axis=1)
        halves.append(positions)
    figures = []
    for split in range(n_splits):
        chosen, other, cut = [], [], [len(own) // 2 for own in falling]
        for own, positions, n_half in zip(falling, halves, cut, strict=True):
            chosen.append(own[positions[split, :n_half]])
            other.append(own[positions[split, n_half:]])
        labelled = [np.repeat([False, True], [len(part[0]), len(part[1])]) for part in (chosen, other)]
        threshold = label_rules.from_labelled_scores(rule, labelled[0], np.concatenate(chosen), **extra)
        confusion = metrics.confusion_at(labelled[1], np.concatenate(other), threshold.value)
        figures.append((confusion.fpr, confusion.tpr, confusion.per_class()["anomalous"].f1, confusion.accuracy))
    return np.mean(figures, axis=0)


@pytest.mark.parametrize("rule", LABELLED)
def test_optimism_equals_a_plain_loop(clips, rule):
    labels, scores = clips
    found = label_rules.optimism(rule, labels, scores, n_splits=40, seed=4)
    honest = (found.honest.fpr, found.honest.tpr, found.honest.f1, found.honest.accuracy)
    np.testing.assert_allclose(honest, loop_optimism(rule, labels, scores, 40, 4), atol=1e-12)
    threshold = label_rules.from_labelled_scores(rule, labels, scores)
    naive = metrics.confusion_at(labels, scores, threshold.value)
    assert (found.naive.fpr, found.naive.tpr, found.naive.accuracy) == (naive.fpr, naive.tpr, naive.accuracy)


def test_a_split_that_wants_no_alarm_may_still_get_one_from_the_other_half(clips):
    labels, scores = clips
    found = label_rules.optimism("cost", labels, -scores, rule_value=0.05, n_splits=40)
    expected = loop_optimism("cost", labels, -scores, 40, 0, rule_value=0.05)
    assert (found.naive.fpr, found.naive.tpr) == (0.0, 0.0)
    assert found.honest.fpr > 0
    assert (found.honest.fpr, found.honest.tpr) == pytest.approx(expected[:2], abs=1e-12)


def test_best_f1_on_few_clips_is_optimistic():
    rng = np.random.default_rng(5)
    gaps = []
    for seed in range(40):
        labels = np.arange(40) >= 20
        found = label_rules.optimism("best_f1", labels, rng.normal(size=40) + labels, n_splits=20, seed=seed)
        gaps.append(found.naive.f1 - found.honest.f1)
    assert 0.03 < np.mean(gaps) < 0.2


def test_optimism_needs_two_clips_of_each_class_and_a_labelled_rule(clips):
    with pytest.raises(UndefinedMetricError, match="at least two"):
        label_rules.optimism("youden", [0, 0, 1], [1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match="uses no labels"):
        label_rules.optimism("conformal", *clips)
    with pytest.raises(UsageError, match="one split"):
        label_rules.optimism("youden", *clips, n_splits=0)
