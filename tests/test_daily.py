"""False-alarm rates in daily words, and what a number of clips can promise."""

from __future__ import annotations

import numpy as np
import pytest

from asd_core.errors import InputError
from asd_core.evaluation.daily import (
    can_promise,
    false_alarms_per_day,
    false_alarms_text,
    lowest_promise,
)
from asd_core.evaluation.thresholds import from_normal_scores, is_anomalous


@pytest.mark.parametrize(
    ("rate", "every_s", "per_day"), [(0.10, 60, 144.0), (0.05, 3600, 1.2), (0.01, 10, 86.4), (0.0, 60, 0.0)]
)
def test_false_alarms_a_day_are_the_rate_times_the_clips_of_a_day(rate, every_s, per_day):
    assert false_alarms_per_day(rate, every_s=every_s) == pytest.approx(per_day)


@pytest.mark.parametrize(
    ("per_day", "text"),
    [
        (1728.0, "about 1,700 false alarms a day"),
        (144.0, "about 140 false alarms a day"),
        (14.6, "about 15 false alarms a day"),
        (2.88, "about 3 false alarms a day"),
        (1.5, "about 2 false alarms a day"),
        (1.2, "about 8 false alarms a week"),
        (0.1, "about 3 false alarms a month"),
        (0.02, "about 7 false alarms a year"),
        (0.001, "fewer than 2 false alarms a year"),
        (0.0, "fewer than 2 false alarms a year"),
    ],
)
def test_a_rate_is_said_in_the_shortest_period_with_a_few_alarms_and_no_finer_than_two_digits(per_day, text):
    assert false_alarms_text(per_day) == text


@pytest.mark.parametrize("n", [1, 4, 9, 12, 19, 30, 99])
def test_the_lowest_promise_of_n_clips_is_one_in_n_plus_one_and_the_rule_agrees(n):
    lowest = lowest_promise(n)
    assert lowest == pytest.approx(1 / (n + 1))
    assert can_promise(lowest, n)
    assert not can_promise(lowest * 0.99, n)
    scores = np.arange(n, dtype=np.float64)
    if n > 1:
        assert from_normal_scores("conformal", scores, rule_value=lowest).value is not None
        assert from_normal_scores("conformal", scores, rule_value=lowest * 0.99).value is None


def test_a_promised_rate_is_kept_on_average_by_clips_like_those_it_rests_on():
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(2000):
        heard, new = rng.standard_normal(12), rng.standard_normal(50)
        rates.append(is_anomalous(new, from_normal_scores("conformal", heard, rule_value=0.10).value).mean())
    assert np.mean(rates) <= 0.10


def test_of_some_rates_only_those_that_the_clips_can_promise_are_offered():
    assert [rate for rate in (0.01, 0.02, 0.05, 0.10, 0.20) if can_promise(rate, 12)] == [0.10, 0.20]
    assert all(can_promise(rate, 99) for rate in (0.01, 0.02, 0.05, 0.10, 0.20))
    assert not any(can_promise(rate, 3) for rate in (0.01, 0.20))


def test_what_is_no_rate_no_time_and_no_number_is_refused():
    with pytest.raises(InputError, match="between 0 and 1, got 5"):
        false_alarms_per_day(5, every_s=60)
    with pytest.raises(InputError, match="above 0 s, got 0"):
        false_alarms_per_day(0.1, every_s=0)
    with pytest.raises(InputError, match="0 or more, got -1"):
        lowest_promise(-1)
