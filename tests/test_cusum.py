"""CUSUM of p-values: the sum, its bounds, and how often it would be wrong on independent clips."""

from __future__ import annotations

import math

import numpy as np
import pytest

from asd_core.errors import UsageError
from asd_core.monitoring.cusum import CusumRule, CusumTally, least_clips_between
from asd_core.monitoring.tallies import Counted


def counted(p_value: float | None, key: str = "") -> Counted:
    return Counted(key, "m", "", None, p_value)


def sums(rule: CusumRule, p_values) -> list[float]:
    tally, found = CusumTally(rule), []
    for p_value in p_values:
        tally.count(counted(p_value))
        found.append(tally.s)
    return found


def test_the_sum_adds_minus_ln_p_less_k_and_stays_between_0_and_h():
    p = math.exp(-3.0)
    assert sums(CusumRule(5.0, 1.5), [1.0, p, p, 0.5, 1.0, p, p, p, p]) == pytest.approx(
        [0.0, 1.5, 3.0, 1.5 + math.log(2), math.log(2), 1.5 + math.log(2), 3 + math.log(2), 5.0, 5.0]
    )


def test_it_is_raised_at_h_and_cleared_at_half_of_it_however_long_the_fault_was():
    tally = CusumTally(CusumRule(4.0, 2.0))
    for _ in range(1000):
        tally.count(counted(math.exp(-6.0)))
    assert tally.stands(stood=False)
    assert tally.evidence == "CUSUM at 4.0 of 4"
    tally.count(counted(math.exp(-0.5)))
    assert tally.stands(stood=True)
    assert not tally.stands(stood=False)
    tally.count(counted(math.exp(-1.5)))
    assert tally.s == 2.0
    assert not tally.stands(stood=True)


def test_a_clip_without_a_p_value_changes_nothing():
    tally = CusumTally(CusumRule(4.0))
    tally.count(counted(0.01))
    before = tally.s
    assert not tally.count(counted(None))
    assert tally.s == before


@pytest.mark.parametrize("seed", range(20))
def test_a_clip_taken_back_leaves_the_sum_of_the_others(seed):
    rng = np.random.default_rng(seed)
    p_values = rng.uniform(0.001, 0.6, size=30)
    rule, out = CusumRule(6.0, 1.5), int(rng.integers(30))
    tally = CusumTally(rule)
    for number, p_value in enumerate(p_values):
        tally.count(counted(p_value, str(number)))
    tally.take_back(str(out))
    tally.take_back("unknown")
    assert tally.s == pytest.approx(sums(rule, np.delete(p_values, out))[-1])


def test_clips_between_false_alarms_are_what_independent_p_values_show():
    rule, rng = CusumRule(4.0, 1.5), np.random.default_rng(0)
    c = math.log(least_clips_between(rule)) / rule.h
    assert math.exp(-c * rule.k) / (1 - c) == pytest.approx(1.0)
    s, n_raised, n = np.zeros(400), 0, 600
    for _ in range(n):
        s = np.maximum(0.0, s - np.log(rng.uniform(size=400)) - rule.k)
        n_raised += int((s >= rule.h).sum())
        s[s >= rule.h] = 0.0
    assert least_clips_between(rule) <= 400 * n / n_raised <= 20 * least_clips_between(rule)


def test_the_figures_of_the_docstring_are_right():
    doc = CusumRule.__doc__
    assert f"in at least {least_clips_between(CusumRule(10.0)):.0f} clips" in doc
    assert round(least_clips_between(CusumRule(20.0)), -3) == 115_000


def test_the_text_names_h_k_and_where_it_is_cleared():
    text = CusumRule(12.0, 1.75).text
    assert "- 1.75 over the clips" in text
    assert "reaches 12, and cleared when it is back at 6" in text


@pytest.mark.parametrize(("h", "k"), [(0.0, 1.5), (-1.0, 1.5), (math.nan, 1.5), (10.0, 1.0), (10.0, math.nan)])
def test_numbers_out_of_range_are_refused(h, k):
    with pytest.raises(UsageError, match="h above 0 and k above 1"):
        CusumRule(h, k)


def test_held_out_clips_must_be_enough_for_the_sum_ever_to_grow():
    CusumRule(10.0, 1.5).check_reference(4)  # ln 5 > 1.5
    with pytest.raises(UsageError, match=r"k = 1.5 needs at least 5 held-out normal clips, the detector has 3"):
        CusumRule(10.0, 1.5).check_reference(3)
