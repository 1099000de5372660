"""Points of a ROC and the clips that flip between two thresholds."""

from __future__ import annotations

import numpy as np

from asd_core.evaluation.operating import cells, flips, share_below

SCORES = np.array([0.1, 0.4, 0.4, 0.7, 0.9])
LABELS = np.array([False, False, True, True, True])


def test_flips_are_the_clips_between_two_thresholds_loudest_first():
    assert flips(SCORES, 0.8, 0.4).tolist() == [3, 1, 2]
    assert flips(SCORES, 0.4, 0.8).tolist() == [3, 1, 2]
    assert flips(SCORES, 0.41, 0.69).tolist() == []


def test_each_clip_falls_in_its_cell():
    assert cells(LABELS, SCORES, 0.4).tolist() == ["true normal", "false alarm", *["true alarm"] * 3]
    assert cells(LABELS, SCORES, 0.8).tolist()[2:] == ["miss", "miss", "true alarm"]


def test_share_below_counts_strictly_smaller_scores():
    assert share_below(SCORES, 0.4) == 0.2
    assert share_below([], 0.4) is None
