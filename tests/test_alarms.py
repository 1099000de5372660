"""What may be asked for as an alarm, and a judge that counts each clip once, over restarts and takings back."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from asd_core.errors import UsageError
from asd_core.features.familiarity import ClipTraits
from asd_core.monitoring.alarms import AlarmRule, Judge, check_can_judge, parse_rule, settle_rule
from asd_core.monitoring.budget import Budget, BudgetRule, Rhythm
from asd_core.monitoring.cusum import CusumRule
from asd_core.monitoring.tallies import conformal_p_value
from asd_core.tasks.score import ScoreRow

REFERENCE = np.arange(1.0, 20.0)
BUDGET = BudgetRule(Budget(1, "week"), Rhythm(10.0, "as asked"), 3, 3, 2, 15.0, 12)
RULES = [AlarmRule(3, 5), CusumRule(6.0, 1.2), BUDGET]


def now(number: int) -> str:
    return f"2026-01-31T12:00:{number // 1000:02d}.{number % 1000:03d}+00:00"


def clip(score: float | None, *, threshold: float | None = 15.0, path: str = "a.wav", model: str = "m") -> ScoreRow:
    if score is None:
        return ScoreRow.refused(path, model, "", "empty: no sound", False)
    verdict = "" if threshold is None else "anomalous" if score >= threshold else "normal"
    return ScoreRow(path, model, "", "ok", "", score, threshold, verdict, False)


# What is asked for


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3/5", AlarmRule(3, 5)),
        (" 4/4 ", AlarmRule(4, 4)),
        ("cusum:10", CusumRule(10.0, 1.5)),
        ("cusum:12.5,2.25", CusumRule(12.5, 2.25)),
        ("budget:1/week", Budget(1, "week")),
        ("budget:12/month", Budget(12, "month")),
    ],
)
def test_an_alarm_is_read_from_its_text(text, expected):
    assert parse_rule(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "3",
            "6/5",
            "cusum",
            "cusum:",
            "cusum:0",
            "cusum:10,1",
            "cusum:10,",
            "cusum:nan",
            "cusum:1e3",
            "cusum:-1",
        ),
        *("cusum:10001", "budget:", "budget:0/week", "budget:1/fortnight", "budget:1", "budget:1.5/day", "sum:3"),
        *("budget:1001/day",),
    ],
)
def test_an_alarm_that_makes_no_sense_is_refused_with_what_it_must_be(text):
    with pytest.raises(UsageError, match=r"alarm|budget"):
        parse_rule(text)


def test_each_rule_gives_its_kind_and_numbers_as_json():
    assert AlarmRule(3, 5).to_json() == {"kind": "k_of_n", "k": 3, "n": 5}
    assert CusumRule(10.0).to_json() == {"kind": "cusum", "h": 10.0, "k": 1.5}
    assert {name: BUDGET.to_json()[name] for name in ("kind", "budget", "k", "n", "length", "level", "every_s")} == {
        **{"kind": "budget", "budget": "1/week", "k": 3, "n": 3, "length": 2, "level": 15.0, "every_s": 10.0},
    }


# p-values


@pytest.mark.parametrize(("score", "p_value"), [(0.5, 1.0), (1.0, 1.0), (1.5, 0.95), (19.0, 0.1), (19.5, 0.05)])
def test_a_p_value_is_the_share_of_held_out_scores_and_itself_that_are_at_least_as_high(score, p_value):
    assert conformal_p_value(score, REFERENCE) == pytest.approx(p_value)
    row = Judge(reference=REFERENCE[::-1]).judge(clip(score), None, now=now(0))
    assert row.p_value == pytest.approx(p_value)


def test_without_held_out_scores_and_for_refused_clips_there_is_no_p_value():
    assert Judge().judge(clip(3.0), None, now=now(0)).p_value is None
    assert Judge(reference=np.zeros(0)).judge(clip(3.0), None, now=now(0)).p_value is None
    assert Judge(reference=REFERENCE).judge(clip(None), None, now=now(0)).p_value is None


# Clips that were judged early, and pauses


def test_a_clip_that_was_judged_early_counts_once():
    judge = Judge(AlarmRule(2, 5))
    early = judge.judge(clip(99.0), None, now=now(0))
    judge.judge(clip(99.0), None, now=now(1), replaces=early.key)
    assert (judge.alarm, judge.evidence) == (False, "1 of the last 5 clips anomalous")


@pytest.mark.parametrize(("rule", "n"), [(AlarmRule(3, 5), 3), (CusumRule(4.0, 1.2), 3), (BUDGET, 6)])
def test_an_alarm_that_a_half_written_clip_raised_is_cleared_by_the_whole_one(rule, n):
    judge = Judge(rule, reference=REFERENCE)
    rows = [judge.judge(clip(99.0), None, now=now(i)) for i in range(n)]
    assert rows[-1].event == "raised"
    whole = judge.judge(clip(-200.0), None, now=now(n), replaces=rows[-1].key)
    assert (whole.alarm, whole.event) == (False, "cleared")
    stays = Judge(rule, reference=REFERENCE)
    rows = [stays.judge(clip(99.0), None, now=now(i)) for i in range(n)]
    again = stays.judge(clip(99.0), None, now=now(n), replaces=rows[-1].key)
    assert (again.alarm, again.event) == (True, "")


def test_an_early_clip_does_not_count_for_drift_either():
    traits = ClipTraits(-30.0, -20.0, 6000.0, -35.0, 10.0, 500.0)
    heard = []
    known = SimpleNamespace(drift=lambda recent: heard.append([each.level_dbfs for each in recent]) or ())
    judge = Judge(familiarity=known, n_drift=2)
    judge.judge(clip(1.0), traits, now=now(0))
    early = judge.judge(clip(1.0), replace(traits, level_dbfs=-90.0), now=now(1))
    judge.judge(clip(1.0), replace(traits, level_dbfs=-31.0), now=now(2), replaces=early.key)
    assert heard[-1] == [-30.0, -31.0]


def test_paused_clips_count_for_no_alarm_but_are_judged():
    judge = Judge(AlarmRule(1, 1), reference=REFERENCE)
    row = judge.judge(clip(99.0), None, now=now(0), paused=True)
    assert (row.verdict, row.p_value, row.alarm, row.event, row.paused) == ("anomalous", 0.05, False, "", True)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(8))
def test_a_judge_that_is_restarted_anywhere_goes_on_as_if_nothing_had_happened(rule, seed):
    draw = random.Random(seed)
    through, rows = Judge(rule, reference=REFERENCE), []
    restarted = Judge(rule, reference=REFERENCE)
    for number in range(120):
        mean = 18.0 if 40 < number < 80 else 9.0
        score = None if draw.random() < 0.1 else draw.gauss(mean, 5.0)
        replaces = draw.choice(rows[-4:]).key if rows and draw.random() < 0.2 else ""
        options = {"now": now(number), "replaces": replaces, "paused": draw.random() < 0.1}
        row = through.judge(clip(score, path=f"{number % 7}.wav"), None, **options)
        assert restarted.judge(clip(score, path=f"{number % 7}.wav"), None, **options) == row
        assert restarted.evidence == through.evidence
        rows.append(row)
        if draw.random() < 0.3:
            restarted = Judge(rule, reference=REFERENCE)
            for known in rows:
                restarted.recall(known)
    assert any(row.event for row in rows)


def test_rows_of_an_earlier_release_have_their_p_values_computed():
    judge = Judge(CusumRule(4.0, 1.2), reference=REFERENCE)
    rows = [Judge(reference=None).judge(clip(99.0), None, now=now(i)) for i in range(2)]
    for row in rows:
        judge.recall(row)
    assert judge.judge(clip(99.0), None, now=now(2)).event == "raised"


# Whether an alarm can be raised at all


def artifact(n_heldout: int, value: float | None, reason: str | None = None) -> SimpleNamespace:
    scores = SimpleNamespace(of=lambda _: SimpleNamespace(clips=range(n_heldout)))
    return SimpleNamespace(threshold=SimpleNamespace(value=value, reason=reason), scores=scores)


def test_without_a_threshold_it_is_said_what_to_do():
    with pytest.raises(UsageError, match=r"no threshold \(too few\).*Threshold page.*cusum:20.*--record") as caught:
        check_can_judge(artifact(9, None, "too few"), record=False, rule=AlarmRule())
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError) as caught:
        check_can_judge(artifact(0, None), record=False)
    assert "cusum" not in str(caught.value)


def test_a_recorder_of_scores_needs_nothing_and_cusum_needs_held_out_scores_only():
    check_can_judge(artifact(0, None), record=True)
    check_can_judge(artifact(0, 1.0), record=False)
    check_can_judge(artifact(4, None), record=False, rule=CusumRule(10.0))
    check_can_judge(artifact(0, None), record=False, rule=Budget(1, "day"))  # refused where it is settled
    with pytest.raises(UsageError, match="at least 5 held-out normal clips, the detector has 3"):
        check_can_judge(artifact(3, None), record=False, rule=CusumRule(10.0))


def test_what_is_no_budget_is_settled_already():
    assert settle_rule(AlarmRule(2, 3), artifact(0, 1.0)) == AlarmRule(2, 3)
