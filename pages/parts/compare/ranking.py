"""The compare page's first view of all clips: who ranks better than whom, and what each threshold decides."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import streamlit as st

from asd_core.evaluation.comparison import difference_words, holm, outcome
from asd_core.evaluation.metrics import Confusion
from asd_core.evaluation.summary import Ranking
from asd_core.evaluation.trivial import BestNumber
from asd_core.evaluation.uncertainty import difference_text, estimate_of, wilson
from asd_core.formats import area_text, counted
from asd_core.reports.published import REAL_SLIDE_RAIL, REPORT_IDS, SLIDE_RAIL
from pages.parts.compare.figures import (
    all_differences,
    confusion_of,
    curves,
    optimistic_note,
    p_text,
    p_value,
    statistics,
)
from pages.parts.compare.kept_pictures import compare_picture
from pages.parts.compare.methods import JUDGED_HASHES, Judged, OnCommonClips, ranked, rule_title, short_title
from pages.parts.compare.references import is_simulated, known_best, trivial_offer
from pages.shared.cards import SHAPES
from pages.shared.choices import turn_on
from pages.shared.components.ranking import Against, RankedRow, Rate, Reference, ReferenceGroup, ranking_picture
from pages.shared.context import Chosen
from pages.shared.frame import first_screen

SIGNS = (
    "▲ ranks better than the detector of that column, ▼ worse; =: the difference may be chance (paired test of the "
    "mean AUC, p ≥ 0.05 after Holm). Press a sign for its numbers."
)


def ranking_view(chosen: Chosen, judged: Judged) -> None:
    """Show the detectors ranked in one picture, their curves, and on request all figures behind it."""
    best = known_best(chosen, judged.comparison) if judged.comparison.has_both_classes else None
    rows = _rows(judged)
    with first_screen():
        ranking_picture(
            rows,
            _references(chosen, judged, best),
            lead=_lead(judged, rows),
            legend=_legend(judged, best),
            key="ranking",
        )
    compare_picture(chosen, judged, key="ranking", figure="ranking", shows="Detectors by mean AUC, and who beats whom")
    optimistic_note(judged)
    trivial_offer(chosen, judged.comparison, best)
    if judged.comparison.has_both_classes:
        curves(judged)
        compare_picture(chosen, judged, key="curves", figure="roc", shows="ROC curves")
    if turn_on(
        "Statistics in full",
        key="statistics",
        help="Every figure with its interval, per machine id; paired differences with their p-values; what each "
        "detector costs; published figures of the real slide rail; all as CSV.",
    ):
        statistics(chosen, judged)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=JUDGED_HASHES)
def _rows(judged: Judged) -> tuple[RankedRow, ...]:
    """Return a row for each detector, by falling mean AUC; those without one come last, in their own order."""
    order = ranking_order([_ranking(judged, row) for row in range(len(judged.titles))])
    against = _against(judged)
    return tuple(_row(judged, row, [against.get((row, other)) for other in order]) for row in order)


def ranking_order(found: Sequence[Ranking]) -> list[int]:
    """Return the detectors' positions by falling mean AUC over ids."""
    areas = [estimate_of(each.auc_mean) for each in found]
    return sorted(range(len(areas)), key=lambda row: (areas[row] is None, -(areas[row] or 0.0)))


def _ranking(judged: Judged, row: int) -> Ranking:
    return ranked(OnCommonClips(judged.comparison.methods[row], judged.comparison.fingerprint))


def _row(judged: Judged, row: int, against: list[Against | None]) -> RankedRow:
    look, confusion = judged.looks[row], confusion_of(judged, row)
    return RankedRow(
        name=short_title(judged, row),
        title=judged.titles[row],
        shape=SHAPES.get(look.symbol, SHAPES["diamond"]),
        colour=look.colour,
        auc=_ranking(judged, row).auc_mean,
        false_alarms=_rate(confusion and (confusion.fp, confusion.n_normal)),
        detections=_rate(confusion and (confusion.tp, confusion.n_anomalous)),
        against=against,
    )


def _rate(counts: Confusion | tuple[int, int] | None) -> Rate | None:
    if not isinstance(counts, tuple) or not counts[1]:
        return None
    return Rate(*counts, wilson(*counts))


def _against(judged: Judged) -> dict[tuple[int, int], Against]:
    """Return how each detector ranks beside each other one, by both positions."""
    if not judged.comparison.has_both_classes:
        return {}
    pairs = list(combinations(range(len(judged.titles)), 2))
    found = all_differences(judged.comparison)
    adjusted = holm([p_value(each) for each in found])
    told: dict[tuple[int, int], Against] = {}
    for (first, second), each, p in zip(pairs, found, adjusted, strict=True):
        if each is None or each.auc_mean is None:
            continue
        names = short_title(judged, first), short_title(judged, second)
        gap = each.auc_mean.estimate
        words = (
            f"{names[0]} − {names[1]}: mean AUC {difference_text(each.auc_mean)}, p = {p_text(p)} (Holm): "
            f"{difference_words(*names, gap, p)}."
        ).replace("p = <", "p <")
        told[first, second] = Against(outcome(gap, p), words)
        told[second, first] = Against(outcome(-gap, p), words)
    return told


def _lead(judged: Judged, rows: Sequence[RankedRow]) -> list[str]:
    """Say in a sentence who ranks best and before whom; pieces, every second one to be set in bold."""
    sound = "simulated test clip" if is_simulated(judged.comparison) else "test clip"
    clips = counted(len(judged.comparison.clips), sound)
    first, *others = rows
    if first.auc is None:
        return [f"On {clips} of one class nothing can be ranked: only the rates are known."]
    area = area_text(first.auc.estimate)
    if not others:
        return [f"On {clips}, the mean AUC of ", first.name, f" is {area}."]
    beaten = [
        row.name for row, against in zip(rows, first.against, strict=True) if against and against.outcome == "better"
    ]
    unbeaten = [row for row in others if row.name not in beaten]
    together = [row.name for row in unbeaten if row.auc is not None and area_text(row.auc.estimate) == area]
    even = [row.name for row in unbeaten if row.name not in together]
    parts = [f"better than {_listed(beaten)}, hardly by chance"] if beaten else []
    parts += [f"{'their' if together else 'its'} lead over {_listed(even)} may be chance"] if even else []
    ranks = "rank best together" if together else "ranks best"
    told = f": {'; '.join(parts)}" if parts else ""
    return [f"On {clips}, ", _listed([first.name, *together]), f" {ranks} (mean AUC {area}){told}."]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _legend(judged: Judged, best: BestNumber | None) -> str:
    rule = rule_title(judged.rule)
    parts = [SIGNS] if len(judged.titles) > 1 and judged.comparison.has_both_classes else []
    parts += ["Dashed: the best trivial number."] if best is not None else []
    return " ".join([*parts, f"Rates: {rule[0].lower()}{rule[1:]}; counts, and 95 % intervals in brackets."])


def _references(chosen: Chosen, judged: Judged, best: BestNumber | None) -> list[ReferenceGroup]:
    groups = []
    if best is not None:
        number = Reference(f"{best.name}, uses test labels", best.auc_mean)
        groups.append(ReferenceGroup("Best trivial number", "no training", [number], draws_line=True))
    if chosen.machine == SLIDE_RAIL and judged.comparison.has_both_classes:
        groups.append(_published({name for row in range(len(judged.titles)) for name in _ranking(judged, row).per_id}))
    return groups


def _published(ids: set[str]) -> ReferenceGroup:
    """Return published mean AUCs over the same ids, else over those of the course report."""
    known = [each for each in REAL_SLIDE_RAIL if each.auc_mean is not None]
    same = [each for each in known if set(each.ids) == ids] or [each for each in known if each.ids == REPORT_IDS]
    references = [
        Reference(f"{each.system}{', uses test labels' if each.uses_test_labels else ''}", each.auc_mean or 0.0)
        for each in sorted(same, key=lambda each: -(each.auc_mean or 0.0))
    ]
    return ReferenceGroup("Published, real rail", f"{len(same[0].ids)} ids; not these clips", references)
