"""The estimator over arrays: scikit-learn's contract, the detectors' arithmetic, and an honest threshold."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sounds import PROJECT, hum

from asd_core import ArrayDetector
from asd_core.detectors.mahalanobis import Mahalanobis
from asd_core.detectors.nearest_neighbours import NearestNeighbours
from asd_core.detectors.one_class_svm import OneClassSvm
from asd_core.errors import AsdError, InputError, UsageError
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.tasks.array_detector import BACK_ENDS

KNN_REASON = "a fitted row is its own nearest neighbour at distance 0, so `predict` on fitted rows calls all normal"
EXPECTED_FAILED = {"knn": {"check_outliers_train": KNN_REASON, "check_outliers_fit_predict": KNN_REASON}}
"""Docs/scikit_learn.md says the same."""


def normal_rows(n_rows, *, width=6, seed=0, shift=0.0):
    mixed = np.random.default_rng(99).normal(size=(width, width))
    return np.random.default_rng(seed).normal(size=(n_rows, width)) @ mixed + shift


@pytest.fixture(params=BACK_ENDS)
def back_end(request):
    return request.param


@pytest.fixture
def fitted(back_end):
    return ArrayDetector(back_end).fit(normal_rows(120))


@pytest.mark.filterwarnings("ignore:provisional")
@parametrize_with_checks(
    [ArrayDetector(name) for name in BACK_ENDS],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED.get(estimator.back_end, {}),
    xfail_strict=True,
)
def test_it_keeps_scikit_learns_contract(estimator, check):
    if check.func.__name__ == "check_array_api_input":
        pytest.skip("arrays of other libraries are not taken; scikit-learn skips it without SCIPY_ARRAY_API")
    check(estimator)


def test_the_documentation_lists_the_checks_that_fail():
    text = (PROJECT / "docs" / "scikit_learn.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| `(check_\w+)` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted((name, check) for name, checks in EXPECTED_FAILED.items() for check in checks)


@pytest.mark.parametrize(
    ("detector", "array_detector"),
    [
        (Mahalanobis(), ArrayDetector("mahalanobis")),
        (OneClassSvm(nu=0.2, gamma=0.001), ArrayDetector("ocsvm", nu=0.2, gamma=0.001)),
        (NearestNeighbours(k=2, max_references=25), ArrayDetector("knn", k=2, max_references=25)),
    ],
)
def test_rows_score_as_the_detectors_on_embeddings_score_them(detector, array_detector, monkeypatch):
    monkeypatch.setattr(type(detector._encoder), "least_std", staticmethod(np.zeros_like))
    clips = [hum(seed, seconds=9.7) for seed in range(4)]
    strange = hum(90, seconds=9.7, knocks=3)
    detector.fit(clips)
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        array_detector.fit(np.concatenate([detector.embed(clip) for clip in clips]))
    by_row = -array_detector.score_samples(detector.embed(strange))
    assert detector.anomaly_score(strange) == pytest.approx(by_row.mean(), rel=1e-12)


def test_strange_rows_get_minus_one_and_lower_scores(fitted):
    strange = normal_rows(40, seed=1, shift=25.0)
    unseen = normal_rows(400)[120:]
    assert (fitted.predict(strange) == -1).all()
    assert (fitted.predict(unseen) == 1).mean() > 0.8
    assert fitted.score_samples(strange).max() < np.median(fitted.score_samples(unseen))


def test_a_decision_is_the_packages_own_at_the_threshold_and_one_float_beside_it(fitted, monkeypatch):
    at = fitted.threshold_.value
    scores = np.array([at, np.nextafter(at, -np.inf), np.nextafter(at, np.inf), at - 1e-9])
    monkeypatch.setattr(fitted, "_anomaly_scores", lambda *_: scores)
    predicted = fitted.predict(normal_rows(4))
    np.testing.assert_array_equal(predicted == -1, is_anomalous(scores, at))
    np.testing.assert_array_equal(predicted, [-1, 1, -1, 1])
    np.testing.assert_array_equal(predicted == -1, fitted.decision_function(normal_rows(4)) < 0)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_promised_false_alarm_rate_is_kept_on_unseen_rows_on_average(back_end, alpha):
    rates = []
    for seed in range(12):
        rows = normal_rows(560, seed=seed)
        rates.append((ArrayDetector(back_end, alpha=alpha).fit(rows[:60]).predict(rows[60:]) == -1).mean())
    assert alpha / 4 < np.mean(rates) < 1.3 * alpha
    assert ArrayDetector(back_end, alpha=alpha).fit(rows[:60]).threshold_.promised_fpr == alpha


def test_the_threshold_is_no_quantile_of_training_scores():
    rows = normal_rows(120)
    detector = ArrayDetector("knn").fit(rows)
    assert (detector.score_samples(rows) == 0).all()
    assert (detector.fit_predict(rows) == 1).all()
    assert (detector.cross_fitted_scores_ < 0).all()
    assert 8 <= (detector.cross_fitted_scores_ < detector.offset_).sum() <= 12


def test_cross_fitted_scores_are_by_fits_without_the_rows_recording():
    rows, groups = normal_rows(60), np.repeat(["a", "b", "c"], 20)
    detector = ArrayDetector("knn").fit(rows, groups=groups)
    for name in "abc":
        rest = ArrayDetector("knn").fit(rows[groups != name], groups=groups[groups != name])
        np.testing.assert_allclose(
            detector.cross_fitted_scores_[groups == name], rest.score_samples(rows[groups == name]), rtol=1e-12
        )


def test_scores_of_smaller_fits_are_brought_to_the_scale_of_the_whole_one():
    rows = normal_rows(100)
    rows[50] = 1e6  # its score is the bound, which grows with the number of fitted rows
    detector = ArrayDetector("ocsvm", folds=2).fit(rows)
    assert detector.cross_fitted_scores_[50] == pytest.approx(detector.state_["intercept"][0], rel=1e-9)


def test_equal_rows_are_left_out_together():
    rows = np.repeat(normal_rows(40), 3, axis=0)
    assert (ArrayDetector("knn").fit(rows[np.random.default_rng(0).permutation(120)]).cross_fitted_scores_ < 0).all()


def test_neighbouring_rows_are_left_out_together():
    drifting = np.cumsum(np.random.default_rng(0).normal(size=(200, 6)), axis=0)
    shuffled = drifting[np.random.default_rng(1).permutation(200)]
    in_order, at_random = (ArrayDetector("knn").fit(rows).threshold_.value for rows in (drifting, shuffled))
    assert in_order > 1.5 * at_random


def test_rows_of_one_recording_promise_nothing():
    with pytest.warns(UserWarning, match="no_promise: all rows are of one recording"):
        detector = ArrayDetector().fit(normal_rows(60), groups=["one"] * 60)
    assert detector.threshold_.promised_fpr is None
    assert not detector.threshold_.provisional


@pytest.mark.parametrize(("alpha", "n_needed"), [(0.1, 9), (0.05, 19)])
def test_too_few_rows_give_a_provisional_threshold_and_say_so(alpha, n_needed):
    detector = ArrayDetector("knn", alpha=alpha)
    with pytest.warns(UserWarning, match=f"provisional: .*highest of {n_needed - 1} .*; {n_needed} rows are needed"):
        detector.fit(normal_rows(n_needed - 1))
    assert detector.threshold_.provisional
    assert detector.threshold_.promised_fpr is None
    assert detector.offset_ == detector.cross_fitted_scores_.min()
    assert not detector.fit(normal_rows(n_needed)).threshold_.provisional


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"back_end": "forest"}, "back_end must be one of"),
        ({"alpha": 0.0}, "strictly between 0 and 1"),
        ({"alpha": float("nan")}, "finite"),
        ({"folds": 1}, "folds must be 2 or more"),
        ({"nu": 1.0}, "nu must be"),
        ({"gamma": -1.0}, "gamma must be"),
        ({"k": 0}, "k must be"),
        ({"k": 5, "max_references": 4}, "max_references must be"),
    ],
)
def test_settings_out_of_range_are_refused_by_fit_as_value_errors(settings, message):
    for expected in (UsageError, ValueError):
        with pytest.raises(expected, match=message):
            ArrayDetector(**settings).fit(normal_rows(20))


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (np.ones((20, 3)), {}, "never change"),
        (normal_rows(20), {"back_end": "knn", "k": 18}, "k = 18"),
    ],
)
def test_rows_that_teach_nothing_are_refused_as_value_errors(rows, settings, message):
    for expected in (InputError, ValueError):
        with pytest.raises(expected, match=message):
            ArrayDetector(**settings).fit(rows)


def test_groups_of_another_number_are_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ArrayDetector().fit(normal_rows(20), groups=["a"] * 19)


def test_a_failed_refit_leaves_nothing_to_score_with(fitted):
    with pytest.raises(AsdError):
        fitted.fit(np.ones((20, 6)))
    with pytest.raises(ValueError, match="not fitted"):
        fitted.predict(normal_rows(3))


def test_columns_in_other_units_need_a_standard_scaler(back_end):
    rows, units = normal_rows(200), np.array([1e4, 1, 1, 1, 1, 1e-3])
    strange = rows.copy()
    strange[:, 5] += 30 * rows[:, 5].std()
    piped = make_pipeline(StandardScaler(), ArrayDetector(back_end)).fit(rows * units)
    assert (piped.predict(strange * units) == -1).all()
    assert (ArrayDetector(back_end).fit(rows * units).predict(strange * units) == -1).mean() < 0.3


def test_settings_changed_after_a_fit_count_from_the_next(back_end):
    rows, others = normal_rows(60), normal_rows(10, seed=2)
    detector = ArrayDetector(back_end, k=2).fit(rows)
    before = detector.score_samples(others)
    np.testing.assert_array_equal(detector.set_params(k=5, nu=0.5).score_samples(others), before)
    if back_end != "mahalanobis":
        assert not np.array_equal(detector.fit(rows).score_samples(others), before)


def test_the_seed_decides_the_folds():
    rows = normal_rows(150)
    scores = [ArrayDetector(random_state=seed).fit(rows).cross_fitted_scores_ for seed in (0, 0, 1)]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    drawn = np.random.RandomState(3)
    first, second = (ArrayDetector(random_state=drawn).fit(rows).cross_fitted_scores_ for _ in range(2))
    assert not np.array_equal(first, second)


def test_many_rows_score_as_few(fitted):
    rows = normal_rows(2500, seed=5)
    np.testing.assert_allclose(fitted.score_samples(rows)[250:260], fitted.score_samples(rows[250:260]), rtol=1e-9)


def test_it_comes_back_from_a_pickle_and_a_clone_is_unfitted(fitted):
    rows = normal_rows(10, seed=3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(rows), fitted.predict(rows))  # noqa: S301 - our own
    assert not hasattr(clone(fitted), "offset_")


def test_nothing_else_in_the_package_imports_it_with_scikit_learn():
    script = (
        "import sys, asd_core\n"
        "for name in asd_core.__all__:\n"
        "    if name != 'ArrayDetector':\n"
        "        getattr(asd_core, name)\n"
        "assert 'sklearn' not in sys.modules\n"
        "assert asd_core.ArrayDetector.__name__ == 'ArrayDetector' and 'sklearn' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True, timeout=120)
    users = [
        path for path in (PROJECT / "asd_core").rglob("*.py")
        if re.search(r"import.*array_detector|from.*array_detector", path.read_text(encoding="utf-8"))
    ]  # fmt: skip
    assert users == []
