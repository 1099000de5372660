"""Several methods as one: the mean of z-scores by held-out normal clips."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sounds import PROJECT

from asd_core.artifacts.store import open_artifact
from asd_core.errors import DataSetError, ThresholdError, UsageError
from asd_core.evaluation.ensemble import combine
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.tasks.compare import Method, join, with_ensemble

EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"
IDS = ("00", "02")


@dataclass(frozen=True)
class Named:
    """A member with made-up scores."""

    title: str
    scores: Scores
    heldout: Scores


def clips(split, values):
    """Clips named by their row, the first half of id 00."""
    ids = [IDS[2 * row // len(values)] for row in range(len(values))]
    label = "normal" if split == "heldout" else "unlabelled"
    return Scores(
        tuple(
            ScoredClip(f"{split}/{row}.wav", ids[row], split, label, "", f"{split}-{row}", float(value))
            for row, value in enumerate(values)
        )
    )


def member(title, seed, *, n_heldout=24, n_test=8, scale=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    heldout, test = rng.standard_normal(n_heldout), rng.standard_normal(n_test) + 1
    return Named(title, clips("test", shift + scale * test), clips("heldout", shift + scale * heldout))


def z_by_hand(each, *, per_id):
    """A member's z-scores of its test clips, clip by clip."""
    found = []
    for clip in each.scores.clips:
        own = [c.anomaly_score for c in each.heldout.clips if not per_id or c.machine_id == clip.machine_id]
        found.append((clip.anomaly_score - np.mean(own)) / np.std(own))
    return np.array(found)


def test_the_score_is_the_mean_of_z_scores_by_each_ids_heldout_clips():
    first, second = member("a", 0), member("b", 1, scale=50, shift=-7)
    joint = combine([first, second])
    assert joint.per_id
    by_hand = (z_by_hand(first, per_id=True) + z_by_hand(second, per_id=True)) / 2
    assert joint.scores.anomaly_scores == pytest.approx(by_hand, abs=1e-12)
    assert joint.heldout.anomaly_scores.mean() == pytest.approx(0, abs=1e-12)
    assert joint.title == "Ensemble of 2 (z-scores, no test labels)"


def test_one_scale_serves_all_ids_where_an_id_has_too_few_heldout_clips():
    first, second = member("a", 0), member("b", 1, n_heldout=22)
    joint = combine([first, second])
    assert not joint.per_id
    by_hand = (z_by_hand(first, per_id=False) + z_by_hand(second, per_id=False)) / 2
    assert joint.scores.anomaly_scores == pytest.approx(by_hand, abs=1e-12)


def test_one_scale_serves_all_ids_where_no_clip_of_an_id_was_held_out():
    first, second = member("a", 0), member("b", 1)
    second = replace(second, heldout=Scores(tuple(clip for clip in second.heldout.clips if clip.machine_id == "00")))
    joint = combine([first, second])
    assert not joint.per_id
    by_hand = (z_by_hand(first, per_id=False) + z_by_hand(second, per_id=False)) / 2
    assert joint.scores.anomaly_scores == pytest.approx(by_hand, abs=1e-12)


def test_shifting_or_scaling_a_members_scores_changes_nothing():
    plain = combine([member("a", 0), member("b", 1)])
    moved = combine([member("a", 0, scale=1e4, shift=3e5), member("b", 1, scale=1e-3)])
    assert moved.scores.anomaly_scores == pytest.approx(plain.scores.anomaly_scores, abs=1e-7)
    assert moved.heldout.anomaly_scores == pytest.approx(plain.heldout.anomaly_scores, abs=1e-7)


def test_the_order_of_a_members_clips_does_not_matter():
    first, second = member("a", 0), member("b", 1)
    turned = replace(second, scores=Scores(second.scores.clips[::-1]))
    assert combine([first, turned]).scores == combine([first, second]).scores


@pytest.mark.parametrize("heldout", [[2.0] * 20, []])
def test_a_member_without_spread_on_heldout_clips_is_refused_by_name(heldout):
    flat = replace(member("the flat one", 1), heldout=clips("heldout", heldout))
    with pytest.raises(ThresholdError, match=r"the flat one cannot join"):
        combine([member("a", 0), flat])


def test_test_clips_that_differ_are_refused_by_name_whoever_lacks_them():
    whole, part = member("whole", 0), member("part", 1)
    part = replace(part, scores=Scores(part.scores.clips[:-1]))
    for members in ([whole, part], [part, whole]):
        with pytest.raises(DataSetError, match=r"part has no score of test/7.wav"):
            combine(members)


def test_only_clips_that_all_held_out_give_the_threshold():
    first, second = member("a", 0), member("b", 1)
    second = replace(second, heldout=Scores(second.heldout.clips[2:]))
    assert [clip.digest for clip in combine([first, second]).heldout.clips] == [
        f"heldout-{row}" for row in range(2, 24)
    ]


def test_one_method_is_no_ensemble():
    with pytest.raises(UsageError, match="at least two"):
        combine([member("alone", 0)])


def test_labels_play_no_part():
    first, second = member("a", 0), member("b", 1)
    marked = [
        replace(each, scores=Scores(tuple(replace(clip, label="anomalous") for clip in each.scores.clips)))
        for each in (first, second)
    ]
    plain = combine([first, second]).scores.anomaly_scores
    assert combine(marked).scores.anomaly_scores.tolist() == plain.tolist()


def test_a_comparison_gets_the_ensemble_of_its_trained_detectors_only():
    trained = [Method.of(open_artifact(EMBEDDED / name)) for name in ("vggish_ocsvm", "lstm_predictor")]
    imported = replace(trained[0], key="x", title="theirs", artifact=None)
    comparison = with_ensemble(join([*trained, imported]))
    last = comparison.methods[-1]
    assert last.is_ensemble
    assert last.artifact is None
    assert last.title == "Ensemble of 2 (z-scores, no test labels)"
    assert last.scores.anomaly_scores.tolist() == combine(join(trained).methods).scores.anomaly_scores.tolist()
    assert len(comparison.n_own) == 4
