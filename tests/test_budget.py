"""The alarm budget: what is promised from so few recordings, and that it is kept."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from printed import after, before
from sounds import PROJECT

from asd_core.artifacts.manifest import PROMISE_CONDITION
from asd_core.artifacts.store import open_artifact
from asd_core.errors import UsageError
from asd_core.evaluation.daily import DAY_S
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.monitoring.alarms import parse_rule
from asd_core.monitoring.budget import (
    Budget,
    BudgetRule,
    Reference,
    Rhythm,
    StretchTally,
    budget_rule,
    chance,
    choose_rule,
    duration_text,
    false_alarms,
    learn_rhythm,
    reference_of,
)
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.tallies import MAX_WINDOW, Counted, conformal_p_value

EVERY_10 = Rhythm(10.0, "as asked")
KNN = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_knn"


def reference(n_recordings: int, length: int = 12) -> Reference:
    return Reference(np.arange(float(n_recordings)), n_recordings, length, n_recordings * length)


# The promise


@pytest.mark.parametrize(("n_recordings", "m"), [(3, 1), (3, 2), (5, 2), (15, 1)])
def test_m_new_medians_are_above_all_held_out_ones_as_often_as_is_promised(n_recordings, m):
    rng, n = np.random.default_rng(0), 40_000
    heldout, new = rng.normal(size=(n, n_recordings)), rng.normal(size=(n, m))
    seen = (new.min(axis=1) > heldout.max(axis=1)).mean()
    stretch_s = 120.0
    promised = false_alarms(n_recordings, m, length=12, rhythm=EVERY_10, period_s=stretch_s)
    assert seen == pytest.approx(promised, abs=4 * math.sqrt(promised / n))


@pytest.mark.parametrize("text", ["1/day", "1/week", "1/month", "3/year"])
@pytest.mark.parametrize("n_recordings", [5, 15, 40])
def test_the_quickest_rule_that_keeps_the_budget_is_chosen(text, n_recordings):
    budget = Budget.parse(text)
    rule = choose_rule(budget, reference(n_recordings), EVERY_10)
    m, most = (rule.k + 1) // 2, (rule.n + 1) // 2
    n_ends = budget.period_s / 120.0
    assert (rule.k, rule.n) == (2 * m - 1, 2 * most - 1)
    assert n_ends * chance(n_recordings, m, most) <= budget.n < n_ends * chance(n_recordings, m - 1, most)
    assert rule.level == n_recordings - 1.0
    assert rule.n * rule.length <= MAX_WINDOW


def test_a_rule_that_bears_a_miss_is_chosen_where_that_is_quicker():
    rule = choose_rule(Budget(1, "week"), reference(15), EVERY_10)
    assert (rule.k, rule.n) == (11, 13)  # nine in a row would do, too, but a fault that misses one in ten waits longer
    assert 5040 * chance(15, 5, 5) <= 1


def test_where_one_may_be_missed_odd_and_even_stretches_are_counted():
    assert chance(5, 2, 4) == pytest.approx(21 / 126 + 6 / 56)
    assert chance(5, 4, 4) == pytest.approx(1 / 126)


@pytest.mark.parametrize(("n_recordings", "m", "most"), [(3, 2, 3), (5, 2, 4), (4, 1, 1), (2, 3, 3)])
def test_the_chance_is_at_least_what_stretches_that_reach_into_their_neighbours_show(n_recordings, m, most):
    rng, n = np.random.default_rng(1), 40_000
    blocks = rng.normal(size=(n, 2 * most))
    highest = rng.normal(size=(n, n_recordings)).max(axis=1, keepdims=True)
    whole = (blocks[:, : 2 * most - 1] > highest).sum(axis=1) >= 2 * m - 1
    assert whole.mean() <= chance(n_recordings, m, most)
    every_second = (blocks[:, :most] > highest).sum(axis=1) >= m
    exact = math.comb(n_recordings + most - m, n_recordings) / math.comb(n_recordings + most, n_recordings)
    assert every_second.mean() == pytest.approx(exact, abs=4 * math.sqrt(exact / n))


def seen_in_a_week(*, rho: float, every_s: float, n_weeks: int, seed: int) -> np.ndarray:
    """False alarms of the real tally in each simulated week, by new held-out recordings each time."""
    rng, found = np.random.default_rng(seed), []
    length, n_recordings = 6, 8
    known = Reference(np.zeros(n_recordings), n_recordings, length, n_recordings * length)
    rule = choose_rule(Budget(1, "week"), known, Rhythm(every_s, "as asked"))
    n_clips = round(7 * DAY_S / every_s)
    for _ in range(n_weeks):
        heldout = math.sqrt(rho) * rng.normal(size=(n_recordings, 1)) + math.sqrt(1 - rho) * rng.normal(
            size=(n_recordings, length)
        )
        which = (np.arange(n_clips) + rng.integers(length)) // length
        scores = math.sqrt(rho) * rng.normal(size=n_clips)[which] + math.sqrt(1 - rho) * rng.normal(size=n_clips)
        tally, alarm, n_raised = StretchTally(replace(rule, level=float(np.median(heldout, axis=1).max()))), False, 0
        for score in scores:
            tally.count(Counted("", "m", "", float(score), None))
            stood, alarm = alarm, tally.stands(stood=alarm)
            n_raised += alarm and not stood
        found.append(n_raised)
    return np.array(found)


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_dependent_clips_keep_the_budget_of_a_week(rho):
    seen = seen_in_a_week(rho=rho, every_s=900.0, n_weeks=80, seed=1)
    assert seen.mean() <= 1.0


@pytest.mark.slow
def test_dependent_clips_keep_the_budget_of_a_week_with_many_clips():
    seen = seen_in_a_week(rho=0.9, every_s=240.0, n_weeks=100, seed=2)
    assert seen.mean() + 2 * seen.std() / math.sqrt(len(seen)) <= 1.0


@pytest.mark.parametrize("name", ["3/5", "cusum:4", "budget"])
def test_the_months_of_the_benchmark_are_played_by_the_same_rules(name, monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT))
    from benchmarks import alarm_budget as played

    rng, known = np.random.default_rng(3), np.sort(np.random.default_rng(4).normal(size=60))
    scores = rng.normal(size=(4, 600)) + np.repeat(rng.normal(size=(4, 60)), 10, axis=1)
    p_values = np.array([played.p_values(known, each) for each in scores])
    rule = parse_rule(name) if name != "budget" else replace(RULE, level=0.8)
    clips = 4 if name == "budget" else 1
    if name == "3/5":
        quick = played.k_of_n(rule, scores >= 1.0)
    elif name == "budget":
        quick = played.stretches(rule, scores, np.full(4, 0.8))
    else:
        quick = played.cusum(rule, p_values)
    for number in range(4):
        tally, alarm, found = rule.tally(), False, []
        for score, p_value in zip(scores[number], p_values[number], strict=True):
            assert p_value == pytest.approx(conformal_p_value(score, known))
            tally.count(Counted("", "m", "anomalous" if score >= 1.0 else "normal", float(score), float(p_value)))
            alarm = tally.stands(stood=alarm)
            found.append(alarm)
        assert found[clips - 1 :: clips] == quick[number].tolist()
    assert quick.any()
    assert not quick.all()


# The rule


def tally_of(rule: BudgetRule, scores, *, model: str = "m") -> StretchTally:
    tally = StretchTally(rule)
    for number, score in enumerate(scores):
        tally.count(Counted(str(number), model, "", float(score), None))
    return tally


RULE = BudgetRule(Budget(1, "week"), EVERY_10, 3, 3, 4, 10.0, 9)


def test_so_many_of_the_last_stretches_raise_the_alarm_whichever_they_are():
    rule = replace(RULE, k=3, n=5)
    for strange in ([0, 1, 2], [0, 2, 4], [0, 3, 4]):
        tally = tally_of(rule, np.repeat([11.0 if each in strange else 0.0 for each in range(5)], 4))
        assert tally.evidence.startswith("3 of the last 5 stretches")
        assert tally.stands(stood=False)
    early = tally_of(rule, np.repeat([11.0, 0.0, 11.0, 0.0, 0.0, 11.0], 4))
    assert not early.stands(stood=False)


def test_only_whole_stretches_whose_median_is_above_the_level_are_strange():
    strange, even, normal = [11.0, 11.0, 0.0, 11.0], [10.0] * 4, [99.0, 99.0, 0.0, -99.0]
    assert (tally_of(RULE, strange).evidence)[:1] == "1"
    assert (tally_of(RULE, even).evidence)[:1] == "0"
    assert (tally_of(RULE, [*normal, *strange, *strange]).evidence)[:1] == "3"  # median of normal: 49.5
    assert (tally_of(RULE, strange[:3]).evidence)[:1] == "0"


def test_the_alarm_changes_only_where_a_stretch_ends():
    on = tally_of(RULE, [11.0] * 12)
    assert on.stands(stood=False)
    assert not tally_of(RULE, [11.0] * 11).stands(stood=False)
    for _ in range(3):
        on.count(Counted("", "m", "", 0.0, None))
        assert on.stands(stood=True)
        assert not on.stands(stood=False)
    on.count(Counted("", "m", "", 0.0, None))
    assert on.stands(stood=True)  # two of three are more than the one that clears
    for _ in range(4):
        on.count(Counted("", "m", "", 0.0, None))
    assert not on.stands(stood=True)


def test_scores_of_another_version_are_not_compared():
    tally = tally_of(RULE, [11.0] * 11)
    tally.count(Counted("", "another", "", 11.0, None))
    assert not tally.stands(stood=False)
    assert tally.n == 1


def test_a_clip_taken_back_moves_the_ends_of_stretches():
    tally = tally_of(RULE, [11.0] * 13)
    tally.take_back("12")
    tally.take_back("never heard")
    assert tally.n == 12
    assert tally.stands(stood=False)
    assert not tally.count(Counted("", "m", "", None, None))


# Words


def test_the_text_gives_the_figures_of_the_rule_the_promise_and_its_condition():
    rule = choose_rule(Budget(1, "week"), reference(15), EVERY_10)
    text = rule.text
    assert (before(text, "of the last"), after(text, "of the last")) == (str(rule.k), str(rule.n))
    assert before(text, "clips, each") == "12"
    assert after(text, "cleared by") == str(rule.most_when_clear)
    assert "at most 1 false alarm a week on average" in text
    assert PROMISE_CONDITION in text
    assert "lasts no longer than 2 minutes (12 clips) and a clip comes every 10 s (as asked)" in text
    assert "rests on 15 recordings" in text
    assert text.endswith(f"is told within {duration_text(rule.n_clips * 10)}")


def test_a_fault_is_told_within_the_time_that_the_rule_names():
    rule = choose_rule(Budget(1, "week"), reference(15), EVERY_10)
    for phase in range(rule.length):
        tally, n = tally_of(rule, [0.0] * phase), 0
        while not tally.stands(stood=False):
            tally.count(Counted("", "m", "", 99.0, None))
            n += 1
        assert n <= rule.n_clips
    assert rule.n_clips - n < rule.length


@pytest.mark.parametrize(
    ("seconds", "text"), [(30, "30 s"), (120, "2 minutes"), (5400, "90 minutes"), (7200, "2 hours"), (119, "119 s")]
)
def test_times_are_written_in_words(seconds, text):
    assert duration_text(seconds) == text


def test_too_few_recordings_are_told_what_they_can_promise_and_how_many_it_takes():
    with pytest.raises(UsageError) as caught:
        choose_rule(Budget(1, "month"), reference(1, 45), EVERY_10)
    text = str(caught.value)
    assert "with 45 held-out clips of 1 recording of each machine id and a clip every 10 s" in text
    m = 11  # 21 stretches of 45 clips are within 1,000
    per_day = DAY_S / 450 / (1 + m)
    assert after(text, "the least that can be promised is about") == f"{per_day:.0f}"
    needed = int(after(text, "at most 1 false alarm a month takes") or 0)
    month = Budget(1, "month").period_s
    assert false_alarms(needed, m, length=45, rhythm=EVERY_10, period_s=month) <= 1
    assert false_alarms(needed - 1, m, length=45, rhythm=EVERY_10, period_s=month) > 1
    assert f"({needed * 45} clips)" in text


# What the held-out clips are


def artifact(paths: list[str], scores, *, n_recordings: int, how: str = "cross_fit", ids=None, keeps=True, n_fitted=0):
    clips = tuple(
        ScoredClip(path, (ids or ["00"] * len(paths))[i], "heldout", "normal", "", "0", float(scores[i]))
        for i, path in enumerate(paths)
    )
    found = Scores(clips, keeps)
    data = SimpleNamespace(fitted_digests=("0",) * n_fitted)
    calibration = SimpleNamespace(how=how, n_recordings=n_recordings)
    return SimpleNamespace(manifest=SimpleNamespace(calibration=calibration, data=data), scores=found)


@pytest.mark.parametrize(
    "paths",
    [
        ["a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav", "b/3.wav", "b/4.wav"],
        ["x/a.wav#t=0,1", "x/a.wav#t=1,2", "x/b.wav#t=0,1", "x/b.wav#t=1,2", "x/b.wav#t=2,3", "x/b.wav#t=3,4"],
        ["a_1.wav", "a_2.wav", "b_1.wav", "b_2.wav", "b_3.wav", "b_4.wav"],
    ],
)
def test_recordings_are_told_by_folder_file_or_name_where_these_are_as_many(paths):
    found = reference_of(artifact(paths, [1, 3, 10, 20, 30, 40], n_recordings=2))
    assert sorted(found.medians) == [2.0, 25.0]
    assert (found.n_least, found.length, found.n_clips) == (2, 5, 6)


def test_runs_in_name_order_stand_for_recordings_that_are_not_known():
    paths = [f"clip_{i}.wav" for i in range(24)]
    found = reference_of(artifact(paths[::-1], np.arange(24.0)[::-1], n_recordings=3))
    assert sorted(found.medians) == [3.5, 11.5, 19.5]
    assert found.length == 8


def test_held_out_clips_are_runs_as_long_as_the_recordings_of_all_clips():
    paths = [f"clip_{i}.wav" for i in range(12)]
    found = reference_of(artifact(paths, np.arange(12.0), n_recordings=10, how="held_out", n_fitted=48))
    assert (found.n_least, found.length) == (2, 6)


def test_the_promise_rests_on_the_machine_id_with_the_fewest_recordings():
    paths, ids = [f"{i}/{j}.wav" for i in range(4) for j in range(5)], ["00"] * 15 + ["02"] * 5
    found = reference_of(artifact(paths, np.arange(20.0), n_recordings=4, ids=ids))
    assert (len(found.medians), found.n_least) == (4, 1)


def test_clips_of_one_recording_promise_nothing():
    for known in (artifact(["a.wav"], [1.0], n_recordings=1, keeps=False), artifact([], [], n_recordings=0)):
        with pytest.raises(UsageError, match="several recordings that were held out"):
            reference_of(known)


def test_the_embedded_detector_gives_a_rule_of_its_own_held_out_clips():
    rule = budget_rule(Budget(1, "day"), open_artifact(KNN), rhythm=EVERY_10)
    assert (rule.length, rule.n_recordings, rule.k, rule.n) == (12, 5, 21, 23)
    with pytest.raises(UsageError, match="--every"):
        budget_rule(Budget(1, "day"), open_artifact(KNN), rhythm=None)


# The rhythm


def row(recorded: str) -> WatchRow:
    return WatchRow("2026-01-31T12:00:00+00:00", "a", "m", "ok", "", 1.0, 0.5, "normal", recorded=recorded)


def test_the_rhythm_is_that_of_the_tables_recordings_first(tmp_path):
    rows = [row(f"2026-01-31T12:{minute:02d}:30") for minute in (*range(12), 45)] + [row("")]
    assert learn_rhythm(rows, tmp_path) == Rhythm(60.0, "learned from the table")


def test_else_of_the_folders_files(tmp_path):
    for number in range(12):
        path = Path(tmp_path / f"{number}.wav")
        path.touch()
        os.utime(path, (1e9 + 20 * number,) * 2)
    (tmp_path / "now.txt").touch()
    assert learn_rhythm([row("2026-01-31T12:00:00")] * 50, tmp_path) == Rhythm(20.0, "learned from the folder")
    (tmp_path / "0.wav").unlink()
    (tmp_path / "1.wav").unlink()
    assert learn_rhythm([], tmp_path) is None


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, 1e9])
def test_a_rhythm_that_makes_no_sense_is_refused(seconds):
    with pytest.raises(UsageError, match="clips come every"):
        Rhythm(seconds, "as asked")
