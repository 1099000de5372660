"""The judge: every detector on real recordings. `python -m benchmarks.real_sound [--sets ...] [--halves 0]`.

Detectors learn from the normal clips of one half of the recordings and are judged on all clips of the other
(`benchmarks.halves`): half 0 is for choosing settings, half 1 for reporting. Networks are judged under several poolings
of their errors, and with the first release's settings; ensembles are means of z-scores; peers (`benchmarks.peers`) run
where they are installed. The slide rail has too few faulty clips for an AUC: false alarms and ranks only. No default is
changed without this table.

Needs real recordings in `../shared/data` (its README says what they are); without them nothing is run. Trainings are
kept in `--build`, so that a run can be interrupted; `--fresh` trains anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asd_core.detectors import DETECTOR_NAMES
from asd_core.evaluation.thresholds import is_anomalous
from benchmarks.judged import (
    ALPHA,
    FIRST_RELEASE,
    Figures,
    Judged,
    Recipe,
    auc_interval,
    figures,
    judge,
    of_peer,
    together,
)
from benchmarks.peers import peers
from benchmarks.real_sets import REAL, SETS, SLIDER, Part, RealSet, slider_part

TITLES = {
    "vggish_ocsvm": "one-class SVM",
    "vggish_mahalanobis": "Mahalanobis",
    "vggish_knn": "nearest neighbours",
    "lstm_predictor": "LSTM",
    "gru_autoencoder": "GRU",
    "dcase_autoencoder": "DCASE autoencoder",
}
BEST_NETWORK = "dcase_autoencoder"
"""By pAUC on half 0; half 1 had been seen by then."""
ON_STATISTICS = ("vggish_ocsvm", "vggish_mahalanobis", "vggish_knn")
ENSEMBLES: Mapping[str, tuple[str, ...]] = {
    "nearest neighbours and best network": ("vggish_knn", BEST_NETWORK),
    "the three on log-mel statistics": ON_STATISTICS,
    "all six": DETECTOR_NAMES,
}
Runs = dict[str, list[Judged]]
"""By row of the table: a detector's trainings with different seeds."""


@dataclass(frozen=True)
class Plan:
    """What is judged."""

    detectors: tuple[str, ...]
    presets: tuple[str, ...]
    seeds: tuple[int, ...]
    before: bool
    with_peers: bool
    build: Path
    fresh: bool


def row_title(recipe: Recipe, pooling: str) -> str:
    """What a row is called."""
    title = TITLES[recipe.detector]
    if recipe.preset != "quick":
        title += f", preset {recipe.preset}"
    if recipe.before:
        return f"{title}, first release"
    return title if pooling == "its own" else f"{title}, pooled by {pooling}"


def recipes(plan: Plan) -> Iterator[Recipe]:
    """What is trained, detector by detector; what does not depend on the seed, once."""
    for name in plan.detectors:
        for seed in plan.seeds if Recipe(name).is_network else plan.seeds[:1]:
            yield from (Recipe(name, preset, seed) for preset in plan.presets)
            if plan.before and name in FIRST_RELEASE:
                yield Recipe(name, seed=seed, before=True)


def runs_on(part: Part, plan: Plan, *, folder: Path) -> Runs:
    """Judge all detectors, then ensembles of those that were, then peers."""
    found: Runs = {}
    by_seed: dict[tuple[str, int], Judged] = {}
    for recipe in recipes(plan):
        made = judge(recipe, part, folder=folder, fresh=plan.fresh)
        for pooling, judged in made.items():
            found.setdefault(row_title(recipe, pooling), []).append(judged)
        if recipe.preset == "quick" and not recipe.before:
            by_seed[recipe.detector, recipe.seed] = next(iter(made.values()))
        print(f"{folder.name}: {recipe}", file=sys.stderr, flush=True)
    for title, names in ENSEMBLES.items():
        for seed in plan.seeds:
            members = [by_seed.get((name, seed), by_seed.get((name, plan.seeds[0]))) for name in names]
            if all(members):
                found.setdefault(f"ensemble: {title}", []).append(together(title, [each for each in members if each]))
    for title, peer in (peers() if plan.with_peers else {}).items():
        result = peer.fit_score(part.train, part.test, seed=plan.seeds[0])
        found[title] = [of_peer(title, result, part.test)]
    return found


def cells(halves: Sequence[Sequence[Figures]], name: str, *, percent: bool = False) -> str:
    """A figure of each half, averaged over seeds."""
    means = [float(np.mean([getattr(each, name) for each in runs])) for runs in halves]
    return " / ".join(f"{mean:.0%}" if percent else f"{mean:.3f}" for mean in means)


HEAD = (
    "| real clips | detector | AUC | on half 1, 95 % | pAUC | promised | seen | faults found | of those at 10 % | "
    "training, s | ms per clip |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def line(data: str, title: str, halves: Mapping[int, list[Judged]], interval: tuple[float, float] | None) -> str:
    """A row of the table; half 0 before half 1."""
    found = [[figures(run) for run in runs] for runs in halves.values()]
    last = found[-1]
    possible = np.mean([each.found_at_promise for each in last])
    share = f"{np.mean([each.found for each in last]) / possible:.2f}" if possible else "not defined"
    runs = [run for each in halves.values() for run in each]
    promised = f"{ALPHA:.0%}" if all(run.promises for run in runs) else "none"
    limits = "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
    return (
        f"| {data} | {title} | {cells(found, 'auc')} | {limits} | {cells(found, 'pauc')} | {promised} | "
        f"{cells(found, 'seen', percent=True)} | {cells(found, 'found', percent=True)} | {share} | "
        f"{np.mean([run.seconds for run in runs]):.1f} | {np.median([run.ms_per_clip for run in runs]):.1f} |"
    )


def table(data: str, judged_set: RealSet, plan: Plan, halves: Sequence[int]) -> list[str]:
    """Rows of one set, printed as they are made."""
    by_half = {}
    for half in halves:
        folder = plan.build / f"{data.replace(', ', '-').replace(' ', '')}-half-{half}"
        by_half[half] = runs_on(judged_set.part(half), plan, folder=folder)
    recording_of = {clip.relative: str(clip.recording) for clip in judged_set.clips}
    lines = []
    for title in by_half[halves[0]]:
        runs = {half: by_half[half][title] for half in halves}
        interval = auc_interval(runs[1], recording_of) if 1 in runs else None
        lines.append(line(data, title, runs, interval))
    return lines


RANKS_HEAD = (
    "| slider id 00, real clips | false alarms, 10 % promised | faulty clips found | normal clips above each faulty "
    "one |\n|---|---|---|---|"
)


def ranks(title: str, judged: Judged) -> str:
    """A row without AUC, for too few faulty clips to have one."""
    scores, is_fault = judged.scores.anomaly_scores, judged.scores.is_anomalous
    alarms = is_anomalous(scores, judged.threshold)
    above = ", ".join(str(int((scores[~is_fault] >= score).sum())) for score in scores[is_fault])
    return (
        f"| {title} | {int(alarms[~is_fault].sum())} of {int((~is_fault).sum())} | "
        f"{int(alarms[is_fault].sum())} of {int(is_fault.sum())} | {above} |"
    )


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=[*SETS, "slider"], choices=[*SETS, "slider"])
    parser.add_argument("--detectors", nargs="+", default=list(DETECTOR_NAMES), choices=DETECTOR_NAMES)
    parser.add_argument("--presets", nargs="+", default=["quick"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--halves", nargs="+", type=int, default=[0, 1], choices=(0, 1))
    parser.add_argument("--no-before", action="store_true", help="without the first release's settings")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--build", type=Path, default=Path("build/real-sound"))
    parser.add_argument("--fresh", action="store_true", help="take nothing from an earlier run")
    arguments = parser.parse_args()
    if not REAL.is_dir():
        print(f"skipped: {REAL} is not there")
        return 0
    plan = Plan(
        detectors=tuple(arguments.detectors),
        presets=tuple(arguments.presets),
        seeds=tuple(arguments.seeds),
        before=not arguments.no_before,
        with_peers=not arguments.no_peers,
        build=arguments.build,
        fresh=arguments.fresh,
    )
    print(HEAD)
    for data in (each for each in arguments.sets if each in SETS):
        print("\n".join(table(data, SETS[data](plan.build), plan, sorted(arguments.halves))), flush=True)
    if "slider" in arguments.sets and SLIDER.is_dir():
        print(f"\n{RANKS_HEAD}")
        after = replace(plan, before=False)  # the first settings had more windows there than FIRST_RELEASE says
        for title, runs in runs_on(slider_part(), after, folder=plan.build / "slider").items():
            print(ranks(title, runs[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
