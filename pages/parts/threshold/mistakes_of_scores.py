"""Mistakes that the kept scores are enough to show: a threshold on test labels, and one for all machine ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.evaluation.label_rules import from_labelled_scores
from asd_core.evaluation.metrics import Confusion, confusion_at
from asd_core.evaluation.mistakes import N_DRAWS, IdThresholds, Redrawn, by_id, redrawn
from asd_core.evaluation.thresholds import MIN_SCORES_PER_ID
from asd_core.evaluation.uncertainty import f1_interval, interval_text
from asd_core.formats import counted, score_text, share_text
from asd_core.types import FloatArray
from pages.parts.threshold.mistake_tables import INTERVALS, done_wrong, price, rate_cell, table
from pages.shared.cache import KeptScores, summary, tested
from pages.shared.choices import switch
from pages.shared.components.cockpit import Mark
from pages.shared.keys import HASHES
from pages.shared.plain_text import plain

LABEL_RULES = {"closest_topleft": "Nearest to top left", "youden": "Largest TPR \u2212 FPR", "best_f1": "Largest F1"}
FEW = 10
"""Labelled clips of each class, as a first test at a machine may have them."""
LITTLE = 0.005
"""Of F1: a smaller price is called none."""
MOST_IDS = 12
MANY_CLIPS, N_DRAWS_OF_MANY = 5_000, 40
"""Of many clips fewer draws are enough, and each takes longer."""


def on_test_labels(artifact: Artifact, scores: KeptScores) -> tuple[Mark, ...]:
    """Choose a threshold on the labels that judge it, beside choosing on some clips and judging by others."""
    done_wrong(
        "The threshold is chosen where it looks best on the labelled test clips, and the figures of the same clips "
        "are announced. Some of that look is chance, which new clips do not share."
    )
    if scores.curve is None or min(scores.curve.n_normal, scores.curve.n_anomalous) < 2:
        st.info("It needs two normal and two anomalous test clips at least.", icon=":material/info:")
        return ()
    rule = switch("Rule", LABEL_RULES, key="mistake_rule")
    threshold = from_labelled_scores(rule, scores.is_anomalous, scores.anomaly_scores).value or 0.0
    at_all = confusion_at(scores.is_anomalous, scores.anomaly_scores, threshold)
    half, few = _redrawn(artifact, rule, None), _few(artifact, scores, rule)
    rows = [_announced(at_all), _on_others("Right: chosen on half, judged by the other half", half.new)]
    if few is not None:
        clips = f"{few.n_normal} + {few.n_anomalous} clips"
        rows.append(_on_others(f"Wrong: chosen on {clips}, judged by the same", few.announced))
        rows.append(_on_others(f"Right: chosen on {clips}, judged by all others", few.new))
    table(("Threshold", "False-alarm rate", "Detection rate", "F1 of anomalous"), rows)
    st.caption(
        f"**Uses test labels.** First row: counts with 95 % intervals. Other rows: the mean of {len(half.new)} random "
        "draws, normal + anomalous clips, in brackets the middle 95 % of the draws."
    )
    _price_of_labels(at_all, half, few)
    return (Mark(threshold, "chosen on test labels", uses_test_labels=True),)


@st.cache_data(max_entries=64, show_spinner="Choosing thresholds on random clips \u2026", hash_funcs=HASHES)
def _redrawn(artifact: Artifact, rule: str, per_class: int | None) -> Redrawn:
    scores = tested(artifact)
    n_draws = N_DRAWS if len(scores.clips) <= MANY_CLIPS else N_DRAWS_OF_MANY
    return redrawn(rule, scores.is_anomalous, scores.anomaly_scores, per_class=per_class, n_draws=n_draws)


def _few(artifact: Artifact, scores: KeptScores, rule: str) -> Redrawn | None:
    """Return the draws of a few clips; None where there are hardly more."""
    curve = scores.curve
    return None if curve is None or min(curve.n_normal, curve.n_anomalous) < 2 * FEW else _redrawn(artifact, rule, FEW)


def _announced(confusion: Confusion) -> tuple[str, ...]:
    rates = rate_cell(confusion.fp, confusion.n_normal), rate_cell(confusion.tp, confusion.n_anomalous)
    return ("Wrong: chosen on all clips, judged by the same", *rates, interval_text(f1_interval(confusion)))


def _on_others(title: str, draws: FloatArray) -> tuple[str, ...]:
    """Write the mean of draws, shape (n_draws, 3), and where their middle 95 % lie."""
    means = draws.mean(axis=0)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    rates = [f"{share_text(means[at])} [{100 * low[at]:.1f}, {100 * high[at]:.1f}]" for at in (0, 1)]
    return (title, *rates, f"{means[2]:.3f} [{low[2]:.3f}, {high[2]:.3f}]")


def _price_of_labels(at_all: Confusion, half: Redrawn, few: Redrawn | None) -> None:
    announced, new = at_all.per_class()["anomalous"].f1 or 0.0, half.new.mean(axis=0)
    lost = announced - float(new[2])
    text = (
        f"Announced F1 {announced:.3f}; on clips that it was not chosen on {new[2]:.3f}, with {share_text(new[0])} "
        f"false alarms and {share_text(new[1])} of the faults found. That is what a new test would show."
    )
    if few is not None:
        first, then = few.announced.mean(axis=0)[2], few.new.mean(axis=0)[2]
        text += f" Chosen on {FEW} + {FEW} labelled clips only: announced {first:.3f}, then {then:.3f}."
    price(text, costs=lost > LITTLE)


def pooled_ids(artifact: Artifact, scores: KeptScores) -> tuple[Mark, ...]:
    """Use one threshold for all machine ids, beside one of each id's own held-out clips."""
    done_wrong(
        "Machines of one type differ in how high their normal scores lie. One threshold from the held-out clips of "
        "all of them is too low for some and too high for others; both rows of an id follow the same rule, "
        "conformal at 10 %."
    )
    found = by_id(artifact.scores.of("heldout"), scores)
    if len(found) < 2:
        st.info("Here is one machine id only: there is nothing to pool.", icon=":material/info:")
        return ()
    rows = [row for each in found[:MOST_IDS] for row in _rows_of_id(each)]
    table(("Id and threshold", "Threshold", "False-alarm rate", "Detection rate"), rows)
    more = f" The first {MOST_IDS} of {len(found)} ids." if len(found) > MOST_IDS else ""
    st.caption(f"{INTERVALS} Judged by labelled test clips; neither threshold uses their labels.{more}")
    _say_few(found)
    _price_of_pooling(found)
    _pooled_area(artifact)
    own = [Mark(each.own.threshold, f"id {each.machine_id} alone") for each in found if each.own is not None]
    return (Mark(found[0].pooled.threshold, "one for all ids"), *own)


def _rows_of_id(each: IdThresholds) -> list[tuple[str, ...]]:
    name = plain(each.machine_id)
    rows: list[tuple[str, ...]] = []
    for title, judged in ((f"id {name}: one for all", each.pooled), (f"id {name}: its own", each.own)):
        if judged is None:
            rows.append((title, f"too few ({each.n_heldout})", "as above", "as above"))
            continue
        confusion = judged.confusion
        rates = rate_cell(confusion.fp, confusion.n_normal), rate_cell(confusion.tp, confusion.n_anomalous)
        rows.append((title, score_text(judged.threshold), *rates))
    return rows


def _say_few(found: Sequence[IdThresholds]) -> None:
    fewest = min(each.n_heldout for each in found)
    clips = counted(fewest, "held-out clip")
    if fewest < MIN_SCORES_PER_ID:
        st.markdown(
            f":material/info: An id with fewer than {MIN_SCORES_PER_ID} held-out clips (here down to {fewest}) gets no "
            "threshold of its own: it would be too unsteady to keep its promise. It keeps the one for all ids."
        )
    elif fewest < 3 * MIN_SCORES_PER_ID:
        st.markdown(
            f":material/info: With {clips} an id's own threshold is unsteady: the promise holds on average over many "
            "such thresholds, and a single one may lie well beside it."
        )


def _price_of_pooling(found: Sequence[IdThresholds]) -> None:
    pooled = [each.pooled.confusion.fpr for each in found]
    own = [(each.own or each.pooled).confusion.fpr for each in found]
    (low, high), (own_low, own_high) = ((min(rates), max(rates)) for rates in (_known(pooled), _known(own)))
    costs = high - low > own_high - own_low
    price(
        f"The rule aims at 10 % false alarms. By one threshold for all ids there are {_range(low, high)}; by "
        f"thresholds of their own {_range(own_low, own_high)}{'.' if costs else ', no closer together.'}",
        costs=costs,
    )


def _range(low: float, high: float) -> str:
    low_text, high_text = share_text(low), share_text(high)
    return f"{low_text} for each id" if low_text == high_text else f"{low_text} to {high_text}, depending on the id"


def _known(rates: Sequence[float | None]) -> list[float]:
    return [rate for rate in rates if rate is not None] or [0.0]


def _pooled_area(artifact: Artifact) -> None:
    ranking = summary(artifact).ranking
    if ranking.auc_mean is None or ranking.auc_pooled is None:
        return
    gap = ranking.auc_mean.estimate - ranking.auc_pooled.estimate
    moved = f"{abs(gap):.3f} {'lower' if gap > 0 else 'higher'}" if abs(gap) >= LITTLE / 10 else "no different"
    st.markdown(
        f"Pooling moves the AUC, too: within each id, then averaged, it is {interval_text(ranking.auc_mean)}; over all "
        f"clips together {interval_text(ranking.auc_pooled)}, {moved}, though no machine's own order of clips differs."
    )
