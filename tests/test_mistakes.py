"""Mistakes with thresholds, computed beside the right way: small cases by hand, and the project's own detectors."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sounds import PROJECT

from asd_core.artifacts.store import open_artifact
from asd_core.data.library import make_embedded, open_known
from asd_core.data.table import read_library
from asd_core.detectors.nearest_neighbours import fit_references, neighbour_scores
from asd_core.errors import DataSetError, ThresholdError, UndefinedMetricError, UsageError
from asd_core.evaluation.metrics import Confusion, auc
from asd_core.evaluation.mistakes import Judged, by_id, conformal_value, redrawn, spread_out
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.thresholds import just_above
from asd_core.tasks.fitted_clips import normal_clips, score_fitted
from asd_core.tasks.pollution import BackEnd, Vectors, pollute, vectors_of

SLIDER = PROJECT / "artifacts" / "simulated-small" / "slider"


def clips(*scored: tuple[str, str, float], split: str = "test") -> Scores:
    """Build scores of (id, label, score)."""
    return Scores(
        tuple(ScoredClip(f"{at}", i, split, label, "", f"{at}", s) for at, (i, label, s) in enumerate(scored))
    )


@pytest.fixture(scope="module")
def slider():
    known = read_library().find("simulated-small")
    make_embedded(known)
    return open_known(known, "slider")


@pytest.fixture(scope="module")
def vectors(slider):
    artifact = open_artifact(SLIDER / "vggish_knn")
    return vectors_of(artifact, artifact.detector(), slider)


def test_a_threshold_judges_test_clips():
    judged = Judged.at(2.0, clips(("00", "normal", 1.0), ("00", "normal", 2.0), ("00", "anomalous", 3.0)))
    assert judged.confusion == Confusion(tn=1, fp=1, fn=0, tp=1)


def test_the_conformal_threshold_of_nineteen_scores_lies_above_the_second_highest():
    assert conformal_value(np.arange(19.0)) == just_above(17.0)


def test_scores_that_are_all_equal_still_have_a_conformal_threshold():
    assert conformal_value(np.zeros(20)) == just_above(0.0)


def test_too_few_scores_have_no_conformal_threshold():
    with pytest.raises(ThresholdError, match="at least 9 held-out normal clips, got 8"):
        conformal_value(np.arange(8.0))


def test_a_rule_chosen_on_few_clips_announces_what_new_clips_do_not_keep():
    rng = np.random.default_rng(3)
    labels = np.arange(400) % 2 == 1
    found = redrawn("best_f1", labels, rng.normal(size=400) + labels, per_class=5)
    assert (found.n_normal, found.n_anomalous) == (5, 5)
    assert found.announced.shape == found.new.shape == (200, 3)
    assert found.announced[:, 2].mean() > found.new[:, 2].mean() + 0.1


def test_clips_that_are_perfectly_apart_are_judged_alike_by_all_others():
    labels = np.array([False] * 6 + [True] * 6)
    found = redrawn("youden", labels, np.where(labels, 2.0, 1.0), n_draws=7)
    assert (found.n_normal, found.n_anomalous) == (3, 3)
    assert found.announced.tolist() == found.new.tolist() == [[0.0, 1.0, 1.0]] * 7


def test_a_draw_judges_each_clip_once_by_the_others():
    labels, scores = [False, False, True, True], [0.0, 2.0, 1.0, 3.0]
    found = redrawn("closest_topleft", labels, scores, n_draws=50)
    # Chosen on (0, 1): threshold 1, judged by 2 and 3. (0, 3): 3, by 2 and 1. (2, 1): above 2, by 0 and 3. (2, 3): 3.
    assert {tuple(row) for row in found.new[:, :2].tolist()} == {(1.0, 1.0), (0.0, 0.0), (0.0, 1.0)}


@pytest.mark.parametrize("per_class", [0, 2])
def test_all_clips_cannot_be_chosen_on(per_class):
    with pytest.raises(UsageError if per_class == 0 else UndefinedMetricError, match=r"at least one|cannot be divided"):
        redrawn("youden", [False, False, True, True], [0.0, 1.0, 2.0, 3.0], per_class=per_class)


def test_each_id_is_judged_by_the_threshold_of_all_and_by_its_own():
    low, high = [("low", "normal", float(at)) for at in range(12)], [("high", "normal", 100.0 + at) for at in range(12)]
    heldout = clips(*low, *high, split="heldout")
    test = clips(("low", "normal", 11.0), ("low", "anomalous", 50.0), ("high", "normal", 111.0), ("new", "normal", 0.0))
    found = {each.machine_id: each for each in by_id(heldout, test)}
    # All 24: above the second highest, 110. Of twelve: above the highest, 11 and 111.
    assert {name: each.pooled.threshold for name, each in found.items()} == dict.fromkeys(found, just_above(110.0))
    assert found["low"].pooled.confusion == Confusion(tn=1, fp=0, fn=1, tp=0)
    assert found["low"].own == Judged(just_above(11.0), Confusion(tn=1, fp=0, fn=0, tp=1))
    assert found["high"].pooled.confusion.fp == 1
    assert found["high"].own == Judged(just_above(111.0), Confusion(tn=1, fp=0, fn=0, tp=0))
    assert (found["new"].n_heldout, found["new"].own) == (0, None)


def test_an_id_with_eleven_held_out_clips_has_no_threshold_of_its_own():
    heldout = clips(*[("a", "normal", float(at)) for at in range(11)], split="heldout")
    assert by_id(heldout, clips(("a", "normal", 0.0)))[0].own is None


def test_positions_are_spread_evenly():
    assert spread_out(3, 5).tolist() == [0, 1, 2]
    assert spread_out(10, 4).tolist() == [0, 2, 5, 7]
    with pytest.raises(UsageError, match="at_most"):
        spread_out(10, 0)


def test_every_clip_that_nearest_neighbours_were_fitted_on_is_its_own_neighbour(slider):
    artifact = open_artifact(SLIDER / "vggish_knn")
    heard = []
    found = score_fitted(artifact, artifact.detector(), slider, at_most=5, on_progress=lambda *n: heard.append(n))
    assert found.anomaly_scores.tolist() == [0.0] * 5
    assert found.n_fitted == 180
    assert heard == [(at, 5) for at in range(1, 6)]


def test_clips_that_were_not_fitted_are_no_training_clips(slider):
    with pytest.raises(DataSetError, match="none of the 1 clips"):
        normal_clips({"0" * 16}, slider, channel=None, min_samples=1)


def test_without_faulty_clips_the_detector_is_the_one_that_was_trained(vectors):
    artifact = open_artifact(SLIDER / "vggish_knn")
    assert vectors.clean.threshold == artifact.threshold.value
    np.testing.assert_array_equal(vectors.clean.anomaly_scores, artifact.scores.of("test").anomaly_scores)
    assert len(vectors.digests) == 180 + 300


def test_a_clip_that_is_learned_scores_nothing_and_its_kind_is_found_less_often(vectors):
    rows = vectors.polluting("belt", 3)
    assert vectors.refit(rows.tolist()).anomaly_scores[rows].tolist() == [0.0] * 3
    found = pollute(vectors, "belt", 3)
    assert [clip.kind for clip in found.polluting] == ["belt"] * 3
    assert (found.clean.found, found.polluted.found) == ((18, 45), (3, 45))
    assert found.clean.false_alarms == found.polluted.false_alarms == (6, 150)
    assert found.clean.others_found == found.polluted.others_found == (92, 102)


def made_up() -> Vectors:
    """Twenty normal clips in five folds; ten normal test clips, and six of each of two kinds of fault, far away."""
    rng = np.random.default_rng(5)
    kinds = [""] * 10 + ["belt"] * 6 + ["rail"] * 6
    centres = [np.zeros(3)] * 10 + [np.array([20.0, 0.0, 0.0])] * 6 + [np.array([0.0, 3.0, 0.0])] * 6
    scored = [
        ScoredClip(f"{at}", "00", "test", "anomalous" if kind else "normal", kind, f"{at}", 0.0)
        for at, kind in enumerate(kinds)
    ]
    return Vectors(
        BackEnd(lambda _: np.zeros((1, 3)), partial(fit_references, k=1, max_references=99, seed=0), nearest),
        tuple(rng.normal(size=(2, 3)) for _ in range(20)),
        np.arange(20) % 5,
        5,
        tuple(centre + rng.normal(size=(2, 3)) for centre in centres),
        tuple(scored),
        (),
        20,
        22,
    )


nearest = partial(neighbour_scores, k=1)


def test_faulty_clips_take_part_in_the_calibration_too():
    vectors = made_up()
    rows = vectors.polluting("belt", 5).tolist()
    learned = [*vectors.normal, *(vectors.test[row] for row in rows)]
    folds = [*vectors.folds.tolist(), 0, 1, 2, 3, 4]
    scores = []
    for fold in range(5):
        state = vectors.back_end.fit(np.concatenate([x for x, own in zip(learned, folds, strict=True) if own != fold]))
        scores += [nearest(x, state).mean() for x, own in zip(learned, folds, strict=True) if own == fold]
    assert vectors.refit(rows).threshold == conformal_value(scores)


def test_learned_clips_are_left_out_of_both_tests():
    vectors = made_up()
    found = pollute(vectors, "rail", 2)
    rows = vectors.polluting("rail", 2)
    kept = [row for row in range(22) if row not in rows]
    for outcome, refit in ((found.clean, vectors.clean), (found.polluted, vectors.refit(rows.tolist()))):
        alarms = refit.anomaly_scores >= refit.threshold
        assert outcome.threshold == refit.threshold
        assert outcome.false_alarms == (alarms[:10].sum(), 10)
        assert outcome.others_found == (alarms[10:16].sum(), 6)
        assert outcome.found == (sum(alarms[row] for row in kept if row >= 16), 4)
        assert outcome.auc.estimate == auc(vectors.labels[kept], refit.anomaly_scores[kept])
    assert found.auc_change.estimate == pytest.approx(found.polluted.auc.estimate - found.clean.auc.estimate)
    assert found.auc_change.estimate < 0


def test_folds_that_are_never_scored_are_always_fitted():
    vectors = replace(made_up(), folds=np.where(np.arange(20) < 10, 0, 1), n_folds=1)
    state = vectors.back_end.fit(np.concatenate(vectors.normal[10:]))
    assert vectors.clean.threshold == conformal_value([nearest(own, state).mean() for own in vectors.normal[:10]])
    np.testing.assert_array_equal(vectors.clean.anomaly_scores, [nearest(own, state).mean() for own in vectors.test])


def test_more_faulty_clips_are_those_of_fewer_and_others():
    vectors = made_up()
    assert vectors.polluting("rail", 5)[:2].tolist() == vectors.polluting("rail", 2).tolist()
    assert vectors.of_kind("rail")[vectors.polluting("rail", 5)].all()
    with pytest.raises(UsageError, match="leave one to be found, got 6"):
        vectors.polluting("rail", 6)


def test_the_kind_that_is_found_least_often_comes_first(vectors):
    assert vectors.kinds[0] == "belt"
    assert set(vectors.kinds) >= {"belt", "grease", "rail"}


def test_the_mahalanobis_distance_can_be_fitted_again_and_networks_cannot(slider):
    artifact = open_artifact(SLIDER / "vggish_mahalanobis")
    found = vectors_of(artifact, artifact.detector(), slider, at_most=30)
    assert (len(found.normal), len(found.test)) == (30, 30)
    assert (found.n_normal_all, found.n_test_all) == (180, 300)
    assert np.isfinite(found.clean.anomaly_scores).all()
    with pytest.raises(UsageError, match="lstm_predictor cannot be fitted again"):
        BackEnd.of(open_artifact(SLIDER / "lstm_predictor").detector())


def test_clips_of_another_data_set_are_refused(slider):
    artifact = open_artifact(SLIDER / "vggish_knn")
    empty = replace(slider, index=replace(slider.index, clips=()))
    with pytest.raises(DataSetError, match="choose the data set that it was trained on"):
        vectors_of(artifact, artifact.detector(), empty)
