"""AUC, pAUC, curves and counts: laws, limits, and scikit-learn as a second opinion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from asd_core.errors import InputError, UndefinedMetricError
from asd_core.evaluation import metrics

QUICK = settings(max_examples=60, deadline=None)


@st.composite
def labelled_scores(draw, *, least_each=1):
    """Labels of both classes and whole-number scores with many ties."""
    n_normal = draw(st.integers(least_each, 20))
    n_anomalous = draw(st.integers(least_each, 20))
    n = n_normal + n_anomalous
    scores = draw(st.lists(st.integers(-15, 15), min_size=n, max_size=n))
    labels = draw(st.permutations([False] * n_normal + [True] * n_anomalous))
    return np.array(labels), np.array(scores, dtype=np.float64)


@QUICK
@given(labelled_scores(), st.sampled_from([lambda x: 3 * x + 7, lambda x: x**3, np.exp, np.arctan]))
def test_auc_and_pauc_do_not_change_under_an_increasing_transform(clips, transform):
    labels, scores = clips
    assert metrics.auc(labels, transform(scores)) == metrics.auc(labels, scores)
    assert metrics.pauc(labels, transform(scores)) == metrics.pauc(labels, scores)


@QUICK
@given(labelled_scores())
def test_a_sign_flip_turns_the_auc_round(clips):
    labels, scores = clips
    assert metrics.auc(labels, -scores) == pytest.approx(1 - metrics.auc(labels, scores), abs=1e-15)


@QUICK
@given(labelled_scores())
def test_every_roc_point_is_the_confusion_matrix_at_its_threshold(clips):
    labels, scores = clips
    roc = metrics.roc_curve(labels, scores)
    assert np.isinf(roc.thresholds[0])
    assert sorted(roc.thresholds[1:], reverse=True) == sorted(set(scores.tolist()), reverse=True)
    for fpr, tpr, threshold in zip(roc.fpr, roc.tpr, roc.thresholds, strict=True):
        confusion = metrics.confusion_at(labels, scores, threshold)
        assert (confusion.fpr, confusion.tpr) == (fpr, tpr)


@QUICK
@given(labelled_scores(), st.sampled_from([0.03, 0.1, 0.29, 0.5, 1.0]))
def test_auc_and_pauc_equal_scikit_learn(clips, max_fpr):
    labels, scores = clips
    assert metrics.auc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores), abs=1e-12)
    expected = reference.roc_auc_score(labels, scores, max_fpr=max_fpr)
    assert metrics.pauc(labels, scores, max_fpr=max_fpr) == pytest.approx(expected, abs=1e-12)


@QUICK
@given(labelled_scores())
def test_curves_equal_scikit_learn_with_all_points_kept(clips):
    labels, scores = clips
    roc = metrics.roc_curve(labels, scores)
    fpr, tpr, thresholds = reference.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(np.column_stack((roc.fpr, roc.tpr)), np.column_stack((fpr, tpr)), atol=1e-15)
    np.testing.assert_array_equal(roc.thresholds, thresholds)
    curve = metrics.precision_recall_curve(labels, scores)
    precision, recall, levels = reference.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(curve.precision[::-1], precision[:-1], atol=1e-15)
    np.testing.assert_allclose(curve.recall[::-1], recall[:-1], atol=1e-15)
    np.testing.assert_array_equal(curve.thresholds[::-1], levels)


@QUICK
@given(labelled_scores(), st.integers(-16, 16))
def test_per_class_figures_equal_scikit_learn_where_they_are_defined(clips, threshold):
    labels, scores = clips
    figures = metrics.confusion_at(labels, scores, threshold).per_class()
    theirs = reference.precision_recall_fscore_support(labels, scores >= threshold, zero_division=0)
    for i, name in enumerate(("normal", "anomalous")):
        ours = figures[name]
        assert [ours.precision or 0, ours.recall, ours.f1] == pytest.approx([theirs[k][i] for k in range(3)])
        assert ours.support == theirs[3][i]


def test_misses_and_false_alarms_of_the_det_curve_mirror_the_roc():
    labels, scores = np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.6, 0.4, 0.8, 0.9])
    det, roc = metrics.det_curve(labels, scores), metrics.roc_curve(labels, scores)
    np.testing.assert_allclose(det.fnr, 1 - roc.tpr)
    np.testing.assert_array_equal(det.fpr, roc.fpr)


@pytest.mark.parametrize(
    ("scores", "auc", "pauc"), [([1, 2, 3, 4], 1, 1), ([7] * 4, 0.5, 0.5), ([4, 3, 2, 1], 0, 9 / 19)]
)
def test_limits(scores, auc, pauc):
    labels = [False, False, True, True]
    assert metrics.auc(labels, scores) == auc
    assert metrics.pauc(labels, scores) == pytest.approx(pauc, abs=1e-15)


@pytest.mark.parametrize("figure", [metrics.auc, metrics.pauc, metrics.roc_curve, metrics.det_curve])
@pytest.mark.parametrize(
    ("labels", "scores", "reason"),
    [([], [], "no clips"), ([True], [1.0], "none is normal"), ([False] * 3, [1.0, 2, 3], "none is anomalous")],
)
def test_one_class_has_no_figure_but_a_reason(figure, labels, scores, reason):
    with pytest.raises(UndefinedMetricError, match=reason):
        figure(labels, scores)


@pytest.mark.parametrize(
    ("labels", "scores", "text"),
    [
        ([True, False], [1.0, np.nan], "finite, got nan at position 1"),
        ([True, False], [-np.inf, 1.0], "finite, got -inf at position 0"),
        ([True, False], [1.0], "one shape"),
        ([[True, False]], [[1.0, 2.0]], "shape"),
        ([2, 0], [1.0, 2.0], "True"),
        ([0.5, 1.0], [1.0, 2.0], "labels must be"),
        ([True, False], ["a", "b"], "numbers"),
    ],
)
def test_input_that_is_not_labelled_scores_is_refused(labels, scores, text):
    for figure in (metrics.auc, metrics.pauc, metrics.roc_curve):
        with pytest.raises(InputError, match=text):
            figure(labels, scores)


@pytest.mark.parametrize("max_fpr", [0, -0.1, 1.1, np.nan])
def test_a_pauc_needs_a_range(max_fpr):
    with pytest.raises(InputError, match="max_fpr"):
        metrics.pauc([True, False], [1.0, 0.0], max_fpr=max_fpr)


def test_figures_without_a_denominator_are_none():
    assert metrics.Confusion(0, 0, 0, 0).accuracy is None
    quiet = metrics.confusion_at([False, False], [0.0, 1.0], 5.0)
    assert (quiet.accuracy, quiet.fpr, quiet.tpr) == (1.0, 0.0, None)
    assert quiet.per_class()["anomalous"] == metrics.ClassFigures(None, None, None, 0)
    assert quiet.per_class()["normal"] == metrics.ClassFigures(1.0, 1.0, 1.0, 2)


def test_the_confusion_matrix_obeys_a_threshold_for_each_clip():
    confusion = metrics.confusion_at([True, False, True, False], [1, 1, 5, 5], [1.0, 2.0, 6.0, 5.0])
    assert confusion == metrics.Confusion(tn=1, fp=1, fn=1, tp=1)
    with pytest.raises(InputError, match="one threshold"):
        metrics.confusion_at([True, False], [1, 2], [1.0, 2.0, 3.0])


def test_ids_with_one_class_are_named_and_left_out_of_the_mean():
    labels = [False, True, False, True, False, False]
    figures = metrics.per_id(labels, [0, 1, 1, 0, 3, 4], ["00", "00", "02", "02", "04", "04"])
    assert figures["04"] == metrics.IdFigures(
        None, None, 2, 0, "not defined: all 2 clips are normal, none is anomalous"
    )
    mean = metrics.mean_over_ids(figures)
    assert (mean.auc_mean, mean.ids_included, mean.ids_excluded) == (0.5, ("00", "02"), ("04",))
    nothing = metrics.mean_over_ids({"04": figures["04"]})
    assert (nothing.auc_mean, nothing.pauc_mean, nothing.ids_excluded) == (None, None, ("04",))


def test_there_is_one_id_for_each_clip():
    with pytest.raises(InputError, match="machine id"):
        metrics.per_id([True, False], [1, 2], ["00"])
