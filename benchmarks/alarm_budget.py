"""What an alarm budget promises, and what is seen on simulated months: `python -m benchmarks.alarm_budget`.

Simulated: scores of normal clips are drawn from a Gaussian model; the rules know ranks only, so that its marginal
distribution does not matter. Clips of one stretch share a part of it (`rho` of the variance), like clips of one
recording; stretches begin anywhere, also in the middle of one that a rule looks at. Each month has its own held-out
recordings, from which the threshold, the p-values and the rule of a budget are taken: a promise is one on average over
both. In the middle of a copy of it a fault begins, which raises all scores; delays are from there.

`--real 10`: what the rules do on the lathe's real recordings in `../shared/data`, in the order of recording, by
10 splits.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, pairwise

import numpy as np

from asd_core.data.data_set import readable
from asd_core.data.recordings import natural_key
from asd_core.errors import UsageError
from asd_core.evaluation.thresholds import default_threshold
from asd_core.monitoring.alarms import AlarmRule
from asd_core.monitoring.budget import MIN_STRETCH, Budget, BudgetRule, Reference, Rhythm, choose_rule
from asd_core.monitoring.cusum import CusumRule
from asd_core.monitoring.tallies import Counted, Rule, conformal_p_value
from asd_core.tasks.neighbours import Trial, try_promise
from asd_core.types import BoolArray, FloatArray
from benchmarks.real_sets import lathe_clips

DAY_S = 86_400.0
MONTH_S = 365.25 / 12 * DAY_S
CHUNK = 20
"""Months at a time."""
FAULT_WAIT_S = 2 * DAY_S
"""How long a fault is waited for."""
ODD = 7
"""Clips of a stretch before the fault begins: it begins where no stretch does."""


@dataclass(frozen=True)
class World:
    """What normal sound is like.

    Parameters
    ----------
    rho
        Share of the variance that clips of a stretch have in common; 0: independent clips.
    length, stream_length
        Clips of a held-out recording, and of what lasts in the stream.
    """

    name: str
    rho: float
    length: int = 12
    stream_length: int = 12

    def normal(self, n_clips: int, n_months: int, rng: np.random.Generator, *, length: int) -> FloatArray:
        """Scores of shape (n_months, n_clips), stretches beginning anywhere."""
        n_stretches = n_clips // length + 2
        shared = rng.standard_normal((n_months, n_stretches))
        offsets = rng.integers(0, length, size=(n_months, 1))
        which = (np.arange(n_clips)[None, :] + offsets) // length
        own = rng.standard_normal((n_months, n_clips))
        scores: FloatArray = np.sqrt(self.rho) * np.take_along_axis(shared, which, axis=1) + np.sqrt(1 - self.rho) * own
        return scores

    def heldout(self, n_recordings: int, n_months: int, rng: np.random.Generator) -> FloatArray:
        """Scores of shape (n_months, n_recordings, length)."""
        shape = (n_months, n_recordings)
        shared, own = rng.standard_normal((*shape, 1)), rng.standard_normal((*shape, self.length))
        scores: FloatArray = np.sqrt(self.rho) * shared + np.sqrt(1 - self.rho) * own
        return scores


WORLDS = (
    World("independent clips", 0.0),
    World("stretches of 12, rho .5", 0.5),
    World("stretches of 12, rho .9", 0.9),
    World("condition broken: stretches of 60, rho .5", 0.5, stream_length=60),
)


def hysteresis(is_up: BoolArray, is_down: BoolArray) -> BoolArray:
    """Whether an alarm is on after each step, shape as given (n, steps): on from up, until down."""
    steps = np.arange(is_up.shape[1])[None, :]
    last = np.maximum.accumulate(np.where(is_up | is_down, steps, -1), axis=1)
    return np.where(last >= 0, np.take_along_axis(is_up, np.maximum(last, 0), axis=1), False)


def k_of_n(rule: AlarmRule, is_anomalous: BoolArray) -> BoolArray:
    """The alarm after each clip."""
    counts = np.cumsum(is_anomalous, axis=1, dtype=np.int32)
    counts[:, rule.n :] -= counts[:, : -rule.n].copy()
    return hysteresis(counts >= rule.k, counts <= rule.most_when_clear)


def cusum(rule: CusumRule, p_values: FloatArray) -> BoolArray:
    """The alarm after each clip."""
    steps = (-np.log(p_values) - rule.k).T.copy()
    sums, s = np.empty_like(steps), np.zeros(steps.shape[1])
    for row, step in enumerate(steps):
        s = np.minimum(rule.h, np.maximum(0.0, s + step))
        sums[row] = s
    return hysteresis((sums >= rule.h).T, (sums <= rule.h / 2).T)


def stretches(rule: BudgetRule, scores: FloatArray, levels: FloatArray) -> BoolArray:
    """The alarm after each stretch, shape (n_months, n_stretches)."""
    n_months, n_clips = scores.shape
    n = n_clips // rule.length
    medians = np.median(scores[:, : n * rule.length].reshape(n_months, n, rule.length), axis=2)
    counts = np.cumsum(medians > levels[:, None], axis=1, dtype=np.int32)
    counts[:, rule.n :] -= counts[:, : -rule.n].copy()
    return hysteresis(counts >= rule.k, counts <= rule.most_when_clear)


def n_raised(alarm: BoolArray) -> FloatArray:
    """Alarms raised in each month."""
    before = np.concatenate([np.zeros((len(alarm), 1), bool), alarm[:, :-1]], axis=1)
    return (alarm & ~before).sum(axis=1).astype(float)


def delays(alarm: BoolArray, onset: int, *, clips: int = 1) -> FloatArray:
    """Clips from the onset to the first step with the alarm on; infinite where there is none."""
    after = alarm[:, onset // clips :]
    found: FloatArray = np.where(after.any(axis=1), (after.argmax(axis=1) + 1.0) * clips - onset % clips, np.inf)
    return found


@dataclass(frozen=True)
class Seen:
    """What was seen of a rule: alarms raised a month, share of the time with the alarm on, delays in clips."""

    raised: FloatArray
    on: FloatArray
    delays: FloatArray


def simulate(
    world: World, *, every_s: float, n_recordings: int, n_months: int, shift: float, seed: int
) -> dict[str, Seen]:
    """What all rules do in a number of months."""
    parts: dict[str, list[Seen]] = {}
    n_clips, n_fault = round(MONTH_S / every_s), round(FAULT_WAIT_S / every_s) + ODD
    for begin in range(0, n_months, CHUNK):
        rng = np.random.default_rng([seed, begin])
        n = min(CHUNK, n_months - begin)
        heldout = world.heldout(n_recordings, n, rng)
        normal = world.normal(n_clips, n, rng, length=world.stream_length)
        faulty = world.normal(2 * n_fault, n, rng, length=world.stream_length)
        faulty[:, n_fault:] += shift
        for name, rule in rules(world, heldout, every_s):
            parts.setdefault(name, []).append(seen_of(rule, heldout, normal, faulty, n_fault))
    return {
        name: Seen(*(np.concatenate([getattr(each, what) for each in found]) for what in ("raised", "on", "delays")))
        for name, found in parts.items()
    }


def rules(world: World, heldout: FloatArray, every_s: float) -> Iterator[tuple[str, Rule]]:
    """All rules; that of a budget is the same for all months, but for its level."""
    yield "3/5", AlarmRule(3, 5)
    for h in (10.0, 20.0):
        yield f"cusum:{h:g}", CusumRule(h)
    reference = Reference(np.zeros(heldout.shape[1]), heldout.shape[1], max(MIN_STRETCH, world.length), heldout[0].size)
    for text in ("1/day", "1/week", "1/month"):
        try:
            yield f"budget:{text}", choose_rule(Budget.parse(text), reference, Rhythm(every_s, "as asked"))
        except UsageError:
            continue


def seen_of(rule: Rule, heldout: FloatArray, normal: FloatArray, faulty: FloatArray, onset: int) -> Seen:
    """What a rule does on months without a fault, and from the onset of one on."""
    clips = rule.length if isinstance(rule, BudgetRule) else 1
    alarm, late = alarms(rule, heldout, normal), alarms(rule, heldout, faulty)
    late[:, : onset // clips] = False
    return Seen(n_raised(alarm), alarm.mean(axis=1), delays(late, onset, clips=clips))


def alarms(rule: Rule, heldout: FloatArray, scores: FloatArray) -> BoolArray:
    """The alarm of a rule after each clip, or stretch."""
    flat = heldout.reshape(len(heldout), -1)
    if isinstance(rule, AlarmRule):
        limits = np.array([default_threshold(own).value for own in flat], dtype=float)
        return k_of_n(rule, scores >= limits[:, None])
    if isinstance(rule, BudgetRule):
        return stretches(rule, scores, np.median(heldout, axis=2).max(axis=1))
    if isinstance(rule, CusumRule):
        return cusum(rule, np.array([p_values(own, each) for own, each in zip(flat, scores, strict=True)]))
    raise TypeError(rule)


def p_values(reference: FloatArray, scores: FloatArray) -> FloatArray:
    """`conformal_p_value` of many scores."""
    n, ordered = len(reference), np.sort(reference)
    found: FloatArray = (1.0 + n - np.searchsorted(ordered, scores, side="left")) / (n + 1)
    return found


PROMISED = {"budget:1/day": 365.25 / 12, "budget:1/week": 365.25 / 12 / 7, "budget:1/month": 1.0}


def table(worlds: Sequence[World], *, every: Sequence[float], n_recordings: int, n_months: int, shift: float) -> str:
    """Markdown of all worlds and rhythms."""
    lines = [
        f"{n_months} simulated months per line, {n_recordings} held-out recordings of 12 clips; a fault raises scores "
        f"by {shift:g} standard deviations of a clip. Figures are means; delays medians and 90 % quantiles.",
        "",
        "| normal sound | clip every | rule | promised a month | seen a month (± standard error) | alarm on, share of "
        "the time | delay, clips | delay, minutes | found within 2 days |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for world in worlds:
        for every_s in every:
            found = simulate(
                world, every_s=every_s, n_recordings=n_recordings, n_months=n_months, shift=shift, seed=2026
            )
            for name, seen in found.items():
                promised = f"{PROMISED[name]:.1f}" if name in PROMISED else "-"
                error = seen.raised.std() / np.sqrt(n_months)
                caught = np.isfinite(seen.delays)
                half, most = np.quantile(seen.delays, [0.5, 0.9], method="lower")
                lines.append(
                    f"| {world.name} | {every_s:g} s | {name} | {promised} | {seen.raised.mean():.3g} ± {error:.2g} | "
                    f"{seen.on.mean():.2%} | {half:.0f} / {most:.0f} | {half * every_s / 60:.1f} / "
                    f"{most * every_s / 60:.1f} | {caught.mean():.0%} |"
                )
            print(f"{world.name}, {every_s:g} s", file=sys.stderr, flush=True)
    return "\n".join(lines)


@dataclass
class Heard:
    """What a rule did on real streams.

    Parameters
    ----------
    n_normal, n_on, n_raised
        Normal clips, those after which the alarm was on, and alarms raised; over all splits.
    delays
        Clips from the beginning of a fault, one per split; infinite where it was not told.
    """

    n_normal: int
    n_on: int
    n_raised: int
    delays: list[float]


MOST_FAULTY = 2000
"""Faulty clips are played again and again until they are told, at most so many."""


def on_lathe(detector: str, n_splits: int, *, every_s: float = 1.0) -> dict[str, Heard]:
    """Play the lathe's recordings in their order to each rule, split by split, with the rules' own tallies."""
    known, found = readable(lathe_clips(), channel=None), dict[str, Heard]()
    for split in range(n_splits):
        trial = try_promise(known, "by_recording", detector=detector, split=split)
        order = sorted(range(len(trial.test.clips)), key=lambda row: natural_key(trial.test.clips[row].path))
        normal = [row for row in order if trial.test.clips[row].label == "normal"]
        faulty = [row for row in order if trial.test.clips[row].label != "normal"]
        for name, rule in lathe_rules(trial, every_s):
            heard = found.setdefault(name, Heard(0, 0, 0, []))
            alarms_on = list(played(rule, trial, normal))
            heard.n_normal += len(normal)
            heard.n_on += sum(alarms_on)
            heard.n_raised += sum(on and not before for before, on in pairwise([False, *alarms_on]))
            told = (number for number, on in enumerate(played(rule, trial, cycle(faulty)), start=1) if on)
            heard.delays.append(next(told, math.inf))
        print(f"{detector}, split {split}", file=sys.stderr, flush=True)
    return found


def lathe_rules(trial: Trial, every_s: float) -> Iterator[tuple[str, Rule]]:
    """All rules; those of budgets from the held-out recordings."""
    yield from (("3/5", AlarmRule(3, 5)), ("cusum:10", CusumRule(10.0)), ("cusum:20", CusumRule(20.0)))
    labels, scores = np.array(trial.calibration_recordings), trial.calibration.anomaly_scores
    medians = np.array([np.median(scores[labels == label]) for label in np.unique(labels)])
    length = max(MIN_STRETCH, round(len(scores) / len(medians)))
    known = Reference(medians, len(medians), length, len(scores))
    for text in ("100/day", "1/day", "1/week"):
        yield f"budget:{text}", choose_rule(Budget.parse(text), known, Rhythm(every_s, "as asked"))


def played(rule: Rule, trial: Trial, rows: Iterable[int]) -> Iterator[bool]:
    """Whether the alarm is on after each of some test clips."""
    tally, alarm = rule.tally(), False
    reference = np.sort(trial.calibration.anomaly_scores)
    for row in islice(rows, MOST_FAULTY):
        score = trial.test.clips[row].anomaly_score
        verdict = "anomalous" if score >= trial.threshold else "normal"
        tally.count(Counted("", "", verdict, score, conformal_p_value(score, reference)))
        alarm = tally.stands(stood=alarm)
        yield alarm


def lathe_table(n_splits: int) -> str:
    """Markdown of what the rules do on the lathe."""
    lines = [
        f"Real cuts of a lathe, 1 s each, {n_splits} splits by recording; all splits' normal streams together, faulty "
        f"cuts repeated until they are told (at most {MOST_FAULTY}).",
        "",
        "| detector | rule | normal clips | alarms raised | per 1,000 | promised per 1,000 | alarm on | "
        "delay, clips: median / most | told |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for detector in ("vggish_knn", "vggish_mahalanobis"):
        for name, heard in on_lathe(detector, n_splits).items():
            budget = Budget.parse(name.partition(":")[2]) if name.startswith("budget") else None
            promised = "-" if budget is None else f"{1000 * budget.n / budget.period_s:.2g}"
            half = np.quantile(heard.delays, 0.5, method="lower")
            lines.append(
                f"| {detector} | {name} | {heard.n_normal:,} | {heard.n_raised} | "
                f"{1000 * heard.n_raised / heard.n_normal:.2g} | {promised} | {heard.n_on / heard.n_normal:.1%} | "
                f"{half:.0f} / {max(heard.delays):.0f} | {np.isfinite(heard.delays).mean():.0%} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, default=200)
    parser.add_argument("--recordings", type=int, default=15)
    parser.add_argument("--shift", type=float, default=3.0)
    parser.add_argument("--every", type=float, nargs="+", default=[10.0, 60.0])
    parser.add_argument("--real", type=int, default=0, metavar="SPLITS")
    arguments = parser.parse_args()
    sys.stdout.write(
        lathe_table(arguments.real) + "\n"
        if arguments.real
        else table(
            WORLDS,
            every=arguments.every,
            n_recordings=arguments.recordings,
            n_months=arguments.months,
            shift=arguments.shift,
        )
        + "\n"
    )
