"""Methods are joined on the same clips; bands, disagreements and failures are what a plain loop counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asd_core.errors import DataSetError, InputError, UndefinedMetricError
from asd_core.evaluation import comparison
from asd_core.evaluation.delong import delong, delong_over_ids
from asd_core.evaluation.metrics import auc
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.summary import ranking
from asd_core.evaluation.thresholds import Threshold
from asd_core.evaluation.uncertainty import tpr_at_fpr
from asd_core.formats import spreadsheet_cell
from asd_core.reports import plots
from asd_core.tasks import compare


def scored(number: int, label: str, anomaly_score: float, *, split: str = "test", kind: str = "") -> ScoredClip:
    machine_id = f"{number % 2:02d}"
    return ScoredClip(f"{split}/{number}.wav", machine_id, split, label, kind, f"digest {number}", anomaly_score)


def method(title: str, clips: list[ScoredClip], heldout: tuple[ScoredClip, ...] = ()) -> compare.Method:
    return compare.Method(title, title, Scores(tuple(clips)), Scores(heldout))


def threshold(value: float | None) -> Threshold:
    return Threshold(value, "conformal", False, 0.1, 20)


@pytest.fixture
def pair() -> compare.Comparison:
    labels = ["normal", "normal", "anomalous", "anomalous"]
    first = [scored(n, label, s) for n, (label, s) in enumerate(zip(labels, [0.1, 0.6, 0.7, 0.2], strict=True))]
    second = [scored(n, label, s) for n, (label, s) in enumerate(zip(labels, [1.0, 2.0, 8.0, 9.0], strict=True))]
    return compare.join([method("a", first), method("b", second)])


def test_clips_are_joined_by_digest_in_the_first_methods_order():
    first = [scored(n, "normal", n / 10) for n in (3, 1, 2)]
    second = [replace(scored(n, "normal", 10.0 + n), path=f"elsewhere/{n}.wav") for n in (1, 2, 3, 4)]
    joined = compare.join([method("a", first), method("b", second)])
    assert [clip.digest for clip in joined.clips] == ["digest 3", "digest 1", "digest 2"]
    assert joined.anomaly_scores.tolist() == [[0.3, 0.1, 0.2], [13.0, 11.0, 12.0]]
    assert joined.n_own == (3, 4)


def test_a_clip_that_stands_twice_counts_once():
    twice = [scored(1, "normal", 0.5), replace(scored(1, "normal", 0.5), path="test/copy.wav")]
    joined = compare.join([method("a", twice), method("b", twice)])
    assert [clip.path for clip in joined.clips] == ["test/1.wav"]


def test_clips_with_contradicting_labels_are_left_out_and_counted():
    first = [scored(1, "normal", 0.1), scored(2, "anomalous", 0.2)]
    second = [scored(1, "anomalous", 0.1), scored(2, "anomalous", 0.2)]
    joined = compare.join([method("a", first), method("b", second)])
    assert [clip.digest for clip in joined.clips] == ["digest 2"]
    assert joined.n_contradicting == 1


def test_methods_without_common_clips_have_none_and_nothing_breaks():
    joined = compare.join([method("a", [scored(1, "normal", 0.1)]), method("b", [scored(2, "normal", 0.1)])])
    assert joined.clips == ()
    assert joined.anomaly_scores.shape == (2, 0)
    assert not joined.has_both_classes
    assert compare.join([]).clips == ()


def test_imported_scores_become_a_method_with_heldout_scores(pair):
    first = replace(pair.methods[0], heldout=Scores((scored(9, "normal", 0.4, split="heldout"),)))
    joined = replace(pair, methods=(first, pair.methods[1]))
    found = {f"slider/test/{n}.wav": float(n) for n in range(4)} | {"heldout/9.wav": 7.0}
    imported = compare.imported_method(joined, found, machine="slider", title="theirs", key="k")
    assert imported.scores.anomaly_scores.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert imported.heldout.anomaly_scores.tolist() == [7.0]


def test_imported_scores_that_lack_a_clip_are_refused(pair):
    with pytest.raises(DataSetError, match="1 clips have no imported score"):
        compare.imported_method(pair, {f"test/{n}.wav": 1.0 for n in range(3)}, machine="m", title="t", key="k")


def test_disagreements_are_where_verdicts_differ(pair):
    alarms = comparison.alarms(pair.anomaly_scores, [threshold(0.6), threshold(8.0)])
    assert alarms.tolist() == [[False, True, True, False], [False, False, True, True]]
    assert comparison.disagreements(alarms).tolist() == [1, 3]
    assert comparison.disagreements(alarms, raised_by=0).tolist() == [1]
    assert comparison.disagreements(alarms, raised_by=1).tolist() == [3]


def test_a_method_without_a_threshold_raises_no_alarm(pair):
    assert not comparison.alarms(pair.anomaly_scores, [threshold(None), threshold(0.0)])[0].any()


def test_quadrants_count_normal_and_anomalous_clips(pair):
    alarms = comparison.alarms(pair.anomaly_scores, [threshold(0.6), threshold(8.0)])
    counts = comparison.quadrants(alarms[0], alarms[1], pair.labels)
    assert counts == comparison.Quadrants(both=(0, 1), only_first=(1, 0), only_second=(0, 1), neither=(1, 0))


def test_failures_count_misses_and_false_alarms_by_group(pair):
    alarms = comparison.alarms(pair.anomaly_scores, [threshold(0.6), threshold(8.0)])
    found = comparison.misses(pair.clips, alarms[0], lambda clip: clip.machine_id)
    assert found == [comparison.Failures("00", 0, 1), comparison.Failures("01", 1, 1)]
    found = comparison.false_alarms(pair.clips, alarms[0], lambda clip: f"all{clip.kind}")
    assert found == [comparison.Failures("all", 1, 2)]


@pytest.mark.parametrize("ties", [False, True])
def test_the_band_equals_a_plain_loop_over_resampled_curves(ties):
    rng = np.random.default_rng(3)
    labels = np.arange(37) % 3 == 0
    scores = rng.normal(size=37) + labels
    scores = np.round(scores) if ties else scores
    band = comparison.roc_band(labels, scores, n_grid=11, n_draws=40, seed=5)
    rng = np.random.default_rng(5)
    normal, anomalous = scores[~labels], scores[labels]
    normal_picks = rng.integers(0, len(normal), size=(40, len(normal)))
    anomalous_picks = rng.integers(0, len(anomalous), size=(40, len(anomalous)))
    known = np.r_[np.zeros(len(normal)), np.ones(len(anomalous))] > 0
    curves = [
        [tpr_at_fpr(known, np.r_[normal[a], anomalous[b]], max_fpr=fpr) for fpr in band.fpr]
        for a, b in zip(normal_picks, anomalous_picks, strict=True)
    ]
    low, high = np.quantile(curves, (0.025, 0.975), axis=0)
    np.testing.assert_allclose(band.low, low)
    np.testing.assert_allclose(band.high, high)


def test_the_band_does_not_depend_on_how_draws_are_grouped(monkeypatch):
    labels = np.arange(30) % 2 == 0
    scores = np.random.default_rng(0).normal(size=30) + labels
    whole = comparison.roc_band(labels, scores, n_draws=400, seed=1)
    monkeypatch.setattr(comparison, "_BAND_CELLS", 5000)
    parts = comparison.roc_band(labels, scores, n_draws=400, seed=1)
    assert np.abs(whole.low - parts.low).max() < 0.15
    assert (whole.low <= whole.high).all()
    assert whole.high[-1] == whole.low[-1] == 1.0


def test_the_band_refuses_one_class_and_a_grid_of_one():
    with pytest.raises(UndefinedMetricError, match="none is anomalous"):
        comparison.roc_band([False, False], [1.0, 2.0])
    with pytest.raises(InputError, match="at least 2 rates"):
        comparison.roc_band([False, True], [1.0, 2.0], n_grid=1)


def test_ranking_of_one_class_says_why_there_is_none():
    ranked = ranking(Scores((scored(0, "normal", 1.0), scored(2, "normal", 2.0))))
    assert set(ranked.areas.values()) == {None}
    assert "none is anomalous" in str(ranked.reason)
    assert {name: each.auc for name, each in ranked.per_id.items()} == {"00": None}


def test_ranking_gives_intervals_around_its_figures(pair):
    ranked = ranking(pair.methods[1].scores)
    assert ranked.auc_pooled.estimate == 1.0
    assert {name: each.auc for name, each in ranked.per_id.items()} == {"00": 1.0, "01": 1.0}


def test_a_difference_is_of_the_means_over_ids_and_pooled_as_an_addition():
    names, known = ["00", "02"], [False, True]
    rng = np.random.default_rng(1)
    rows = [(i, label, rng.normal() + label + 4 * (i == "02")) for i in names for label in known for _ in range(12)]

    def scores_of(noise: float) -> Scores:
        return Scores(
            tuple(
                ScoredClip(f"{n}.wav", i, "test", "anomalous" if label else "normal", "", str(n), s + noise * (n % 5))
                for n, (i, label, s) in enumerate(rows)
            )
        )

    ours, other = scores_of(0.0), scores_of(0.5)
    found = comparison.difference(ours, other)
    labels, ids = ours.is_anomalous, np.array(ours.machine_ids)
    a, b = ours.anomaly_scores, other.anomaly_scores
    gaps = [auc(labels[ids == i], a[ids == i]) - auc(labels[ids == i], b[ids == i]) for i in names]
    assert found.auc_mean.estimate == pytest.approx(np.mean(gaps))
    assert found.auc_pooled.estimate == pytest.approx(auc(labels, a) - auc(labels, b))
    assert found.auc_mean.estimate != pytest.approx(found.auc_pooled.estimate, abs=1e-3)
    assert found.p_value == delong_over_ids(labels, a, b, ids).p_value
    assert found.p_pooled == delong(labels, a, b).p_value
    assert found.to_json()["p_delong_mean"] == found.p_value
    assert found.to_json()["p_delong"] == found.p_pooled


def test_ids_of_one_class_each_leave_only_the_pooled_difference():
    def scores_of(sign: int) -> Scores:
        clips = [("normal", "00", 1.0), ("normal", "00", 2.0), ("anomalous", "02", 3.0), ("anomalous", "02", 1.5)]
        return Scores(
            tuple(ScoredClip(f"{n}", i, "test", label, "", f"{n}", sign * s) for n, (label, i, s) in enumerate(clips))
        )

    found = comparison.difference(scores_of(1), scores_of(-1))
    assert (found.auc_mean, found.p_value) == (None, None)
    assert found.auc_pooled.estimate == pytest.approx(0.5)
    assert found.to_json()["auc_mean_ci"] is None


def test_holm_adjusts_for_the_number_of_pairs_and_keeps_the_order():
    assert comparison.holm([0.04, 0.01, None, 0.03]) == pytest.approx([0.06, 0.03, None, 0.06])
    assert comparison.holm([0.9, 0.8]) == [1.0, 1.0]
    assert comparison.holm([]) == []


def test_a_difference_is_put_in_plain_words():
    assert [comparison.outcome(gap, p) for gap, p in ((0.02, 0.01), (-0.02, 0.01), (0.02, 0.05), (0.02, None))] == [
        "better",
        "worse",
        "even",
        "even",
    ]
    assert comparison.difference_words("a", "b", 0.02, 0.2) == "the difference may be chance"
    assert comparison.difference_words("a", "b", 0.02, None) == "the difference may be chance"
    assert comparison.difference_words("a", "b", -0.02, 0.01) == "b ranks better; hardly chance"


def test_titles_that_occur_twice_are_numbered():
    assert comparison.distinct_titles(["a", "b", "a"]) == ("a", "b", "a (2)")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_that_a_spreadsheet_would_run_is_quoted(start):
    assert spreadsheet_cell(f"{start}cmd") == f"'{start}cmd"


def test_numbers_and_gaps_stay_as_they_are():
    assert [spreadsheet_cell(value) for value in (-1.5, None, 3, "plain", True, False)] == [
        "-1.5",
        "",
        "3",
        "plain",
        "true",
        "false",
    ]


def test_a_band_is_drawn_behind_its_curve():
    rates = np.linspace(0, 1, 5)
    curve = plots.RocCurve("a", rates, rates, "#009E73", band=(rates, rates / 2, rates))
    names = [trace.name for trace in plots.roc_overlay([curve]).data]
    assert names == ["chance", "a: band", "a"]
