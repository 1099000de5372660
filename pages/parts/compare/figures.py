"""The compare page's statistics: ROC curves with bands, tables of everything, and differences with their p-values."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from asd_core.artifacts.manifest import PROMISE_CONDITION, promise_of
from asd_core.artifacts.store import Artifact
from asd_core.evaluation.comparison import Band, Difference, difference, difference_words, holm, roc_band
from asd_core.evaluation.metrics import Confusion, confusion_at, roc_curve
from asd_core.evaluation.thresholds import RULES, Threshold
from asd_core.evaluation.uncertainty import Interval, difference_text, estimate_of, f1_interval, interval_text, wilson
from asd_core.formats import MISSING, PLAIN, CsvStyle, area_text, rate_text, score_text, seconds_text, share_text
from asd_core.reports.plots import RocCurve, roc_overlay
from asd_core.system.files import csv_text
from asd_core.tasks.compare import Comparison, Method
from asd_core.types import SR, Waveform
from pages.parts.compare.methods import JUDGED_HASHES, Judged, OnCommonClips, ranked
from pages.parts.compare.references import (
    AREAS,
    BY_ID,
    OVER_SEEDS,
    bench_seeds_note,
    known_best,
    published_view,
    trivial_note,
    trivial_row,
)
from pages.shared.bench_seeds import over_bench_seeds
from pages.shared.cache import detector
from pages.shared.choices import turn_on
from pages.shared.context import Chosen
from pages.shared.downloads import csv_download
from pages.shared.keys import HASHES
from pages.shared.plain_text import plain
from pages.shared.rules import LABEL_MARK

RANKS, RANKS_BY_ID = "How well it ranks", "AUC of each machine id"
TIMED_S, TIMED_RUNS = 10.0, 5
TIMED = f"{TIMED_S:g} s clip, on this machine"
_DECISIONS = [
    "Threshold",
    "Threshold chosen by",
    "Promise",
    "False-alarm rate",
    "Detection rate",
    "F1 of the anomalous class",
]
_COSTS = ["Trained in", "Size on disk", TIMED, "Encoder"]


def statistics(chosen: Chosen, judged: Judged) -> None:
    """Show every figure in tables, with what it is to be held against."""
    if not judged.comparison.has_both_classes:
        st.info("Curves and AUCs need normal and anomalous test clips; here is one class only.", icon=":material/info:")
    st.subheader("Side by side")
    _table(chosen, judged)
    st.subheader("Differences")
    _differences(judged)
    published_view(chosen, judged)


def curves(judged: Judged) -> None:
    """Draw the ROC of every detector with its operating point, and bands on request."""
    place = st.container()
    shaded = turn_on(
        "95 % bands",
        key="bands",
        help="Where the curve would lie if other clips of the same kinds had been recorded: pointwise, by 2,000 "
        "bootstrap draws of the clips within normal and anomalous.",
    )
    figure, alt = _overlay(judged, shaded)
    with place:
        st.plotly_chart(figure, width="stretch", key="curves", config={"displaylogo": False}, alt=alt)
    st.caption(
        "Marks: the operating points of the chosen rule. Grey: the range of the partial AUC (pAUC). Dotted: chance."
    )
    if shaded and (without := _without_band(judged)):
        st.caption(f"No band, since there is no spread among its draws: {plain(', '.join(without))}.")


def _without_band(judged: Judged) -> list[str]:
    """Titles of the detectors whose AUC has no interval: they separate the clips without a fault, or not at all."""
    found = [
        ranked(OnCommonClips(method, judged.comparison.fingerprint)).auc_pooled for method in judged.comparison.methods
    ]
    pairs = zip(judged.titles, found, strict=True)
    return [title for title, auc in pairs if auc is not None and auc.limits is None]


@st.cache_resource(max_entries=64, show_spinner="Drawing …", hash_funcs=JUDGED_HASHES)
def _overlay(judged: Judged, shaded: bool) -> tuple[Any, str]:
    labels, curves = judged.comparison.labels, []
    for row, method in enumerate(judged.comparison.methods):
        values, look = judged.comparison.anomaly_scores[row], judged.looks[row]
        curve = roc_curve(labels, values)
        on_clips = OnCommonClips(method, judged.comparison.fingerprint)
        auc = ranked(on_clips).auc_pooled
        band = _band(on_clips) if shaded and auc is not None and auc.limits is not None else None
        curves.append(
            RocCurve(
                html.escape(f"{judged.titles[row]}, AUC {area_text(estimate_of(auc))}"),
                curve.fpr,
                curve.tpr,
                look.colour,
                look.dash,
                _point(judged, row),
                None if band is None else (band.fpr, band.low, band.high),
                look.symbol,
            )
        )
    figure = roc_overlay(curves, height_px=440).update_yaxes(constrain="domain")
    return figure, "ROC curves on common clips: " + "; ".join(html.unescape(curve.label) for curve in curves)


def _point(judged: Judged, row: int) -> tuple[float, float] | None:
    confusion = confusion_of(judged, row)
    return None if confusion is None else (confusion.fpr or 0.0, confusion.tpr or 0.0)


def confusion_of(judged: Judged, row: int) -> Confusion | None:
    """Count what a detector's threshold decides; None where it has none."""
    value = judged.thresholds[row].value
    scores = judged.comparison.anomaly_scores[row]
    return None if value is None else confusion_at(judged.comparison.labels, scores, value)


@st.cache_resource(max_entries=64, show_spinner="Computing bands …", hash_funcs=JUDGED_HASHES)
def _band(on_clips: OnCommonClips) -> Band:
    scores = on_clips.method.scores
    return roc_band(scores.is_anomalous, scores.anomaly_scores)


def _table(chosen: Chosen, judged: Judged) -> None:
    seconds, comparison = _measured(), judged.comparison
    rows = [_row(judged, row, seconds) for row in range(len(judged.titles))]
    best = known_best(chosen, comparison)
    trivial = [trivial_row(best)] if comparison.has_both_classes else []
    for heading, labels in _headings(rows).items():
        _figures_table(heading, labels, rows + trivial if heading in (RANKS, RANKS_BY_ID) else rows)
        if heading == RANKS and trivial:
            trivial_note(comparison, best)
            bench_seeds_note(labels)
    st.caption(f"Promises are for {PROMISE_CONDITION}, on average.")
    left, right = st.columns([1, 1])
    with left:
        csv_download(
            lambda style: table_csv(rows + [row for row in trivial if row["plain"]], style), file_name="comparison.csv"
        )
    unmeasured = [m.artifact for m in judged.comparison.methods if m.artifact and m.key not in seconds]
    if unmeasured and right.button("Measure the time per clip on this machine", icon=":material/timer:"):
        _measure(unmeasured)
        st.rerun()


def optimistic_note(judged: Judged) -> None:
    """Say so where the thresholds were chosen on the labels that judge them."""
    if any(threshold.uses_test_labels for threshold in judged.thresholds):
        st.caption(
            ":material/visibility: The thresholds were chosen on the labels of the clips that judge them: F1, "
            "false-alarm rate and detection rate are optimistic."
        )


def _figures_table(heading: str, labels: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    st.markdown(f"**{heading}**")
    table = {plain(label): [plain(row["shown"].get(label, MISSING)) for row in rows] for label in labels}
    titles = [row["title"] for row in rows]
    st.table(pd.DataFrame(table, index=list(map(plain, titles))), alt=f"{heading}: " + ", ".join(titles))


def _headings(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Return which figures go in which table: few enough for a narrow screen."""
    by_id = list(dict.fromkeys(label for row in rows for label in row["shown"] if label.startswith(BY_ID)))
    over_seeds = [OVER_SEEDS] if any(OVER_SEEDS in row["shown"] for row in rows) else []
    headings = {RANKS: [*AREAS.values(), *over_seeds], RANKS_BY_ID: by_id}
    headings |= {"What its verdicts cost": _DECISIONS, "What it takes": _COSTS}
    return {heading: labels for heading, labels in headings.items() if labels}


def _row(judged: Judged, row: int, seconds: dict[str, float]) -> dict[str, Any]:
    """One detector's figures, as shown and as plain values for the CSV."""
    method = judged.comparison.methods[row]
    found = ranked(OnCommonClips(method, judged.comparison.fingerprint))
    shown: dict[str, str] = {}
    plain: dict[str, str | float | int | None] = {"method": judged.titles[row]}
    for name, label in AREAS.items():
        interval = found.areas[name]
        shown[label] = interval_text(interval)
        plain |= _plain(name, interval)
    for machine_id, figures in found.per_id.items():
        shown[f"{BY_ID}{machine_id}"] = area_text(figures.auc)
        plain[f"auc_id_{machine_id}"] = figures.auc
    if method.artifact is not None and (over_seeds := over_bench_seeds(method.artifact)) is not None:
        shown[OVER_SEEDS] = over_seeds
    _add_decisions(judged, row, shown, plain)
    _add_costs(method, seconds.get(method.key), shown, plain)
    plain["simulated"] = _trained_on_simulated(judged, method)
    return {"title": judged.titles[row], "shown": shown, "plain": plain}


def _trained_on_simulated(judged: Judged, method: Method) -> bool | None:
    """Whether a detector, or any detector of an ensemble, was trained on simulated sound; None for imported scores."""
    if method.is_ensemble:
        return any(each.artifact.simulated for each in judged.comparison.methods if each.artifact is not None)
    return None if method.trained is None else method.trained.simulated


def _add_decisions(judged: Judged, row: int, shown: dict[str, str], plain: dict[str, Any]) -> None:
    threshold, confusion = judged.thresholds[row], confusion_of(judged, row)
    mark = LABEL_MARK if threshold.uses_test_labels else ""
    shown["Threshold"] = f"none: {threshold.reason}" if confusion is None else score_text(threshold.value)
    shown["Threshold chosen by"] = f"{mark}{RULES[threshold.rule].title.split(':')[0]}"
    shown["Promise"] = _promise(judged.comparison.methods[row], threshold)
    plain |= {"rule": threshold.rule, "uses_test_labels": threshold.uses_test_labels, "threshold": threshold.value}
    f1 = None if confusion is None or not confusion.n_anomalous else f1_interval(confusion)
    shown["F1 of the anomalous class"] = interval_text(f1, missing=MISSING)
    plain |= _plain("f1", f1)
    for label, name, counts in (
        ("False-alarm rate", "false_alarms", confusion and (confusion.fp, confusion.n_normal)),
        ("Detection rate", "found", confusion and (confusion.tp, confusion.n_anomalous)),
    ):
        shown[label] = _rate_text(*counts) if counts else MISSING
        plain |= {name: counts[0] if counts else None, f"{name}_of": counts[1] if counts else None}


def _promise(method: Method, threshold: Threshold) -> str:
    """Say what a threshold promises; of imported scores and of an ensemble it is not known what that rests on."""
    if method.trained is not None:
        return promise_of(threshold, method.trained.manifest.calibration, short=True)
    if threshold.promised_fpr is None:
        return "no promise"
    return f"at most {share_text(threshold.promised_fpr)} of normal clips give a false alarm"


def _add_costs(method: Method, seconds: float | None, shown: dict[str, str], plain: dict[str, Any]) -> None:
    artifact = method.artifact
    trained = None if artifact is None else artifact.manifest.training.seconds
    size = None if artifact is None else _bytes_on_disk(artifact)
    shown["Trained in"] = MISSING if trained is None else seconds_text(trained)
    shown["Size on disk"] = MISSING if size is None else f"{size / 1e6:.1f} MB"
    shown[TIMED] = MISSING if artifact is None else _time_text(seconds)
    shown["Encoder"] = _encoder_text(method)
    plain |= {
        "trained_s": trained,
        "bytes_on_disk": size,
        "seconds_per_clip_on_this_machine": seconds,
        "encoder": None if artifact is None else artifact.encoder_title,
    }


def _time_text(seconds: float | None) -> str:
    return "not measured yet" if seconds is None else f"{1000 * seconds:.0f} ms"


def _encoder_text(method: Method) -> str:
    if method.repooled is not None:
        return "the same network"
    if method.artifact is None:
        return "mean of the detectors' z-scores" if method.is_ensemble else "imported scores"
    return method.artifact.encoder_title or "none: works on log-mel frames"


@st.cache_data(max_entries=128, show_spinner=False, hash_funcs=HASHES)
def _bytes_on_disk(artifact: Artifact) -> int:
    return sum(path.stat().st_size for path in artifact.folder.iterdir())


def _rate_text(part: int, whole: int) -> str:
    if not whole:
        return rate_text(part, whole)
    low, high = wilson(part, whole).limits or (0.0, 1.0)
    return f"{rate_text(part, whole)} [{100 * low:.1f}, {100 * high:.1f}]"


def _plain(name: str, interval: Interval | None) -> dict[str, float | None]:
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return {name: None if interval is None else interval.estimate, f"{name}_low": low, f"{name}_high": high}


def table_csv(rows: list[dict[str, Any]], style: CsvStyle = PLAIN) -> str:
    """Write rows of `plain` values as CSV."""
    columns = list(dict.fromkeys(name for row in rows for name in row["plain"]))
    cells = ([row["plain"].get(name) for name in columns] for row in rows)
    return style.mark + csv_text([columns, *cells], style=style)


@st.cache_resource(show_spinner=False)
def _measured() -> dict[str, float]:
    """Seconds per clip by version, as measured since the server started."""
    return {}


def _measure(artifacts: list[Artifact]) -> None:
    samples = np.random.default_rng(0).normal(0, 0.05, int(TIMED_S * SR)).astype(np.float32)
    clip = Waveform(samples, digest="noise to measure the time with")
    with st.spinner("Measuring …", show_time=True):
        for artifact in artifacts:
            trained = detector(artifact)
            trained.anomaly_score(clip)
            times = []
            for _ in range(TIMED_RUNS):
                start = time.perf_counter()
                trained.anomaly_score(clip)
                times.append(time.perf_counter() - start)
            _measured()[str(artifact.folder)] = float(np.median(times))


def _differences(judged: Judged) -> None:
    pairs = list(combinations(range(len(judged.titles)), 2))
    if not pairs or not judged.comparison.has_both_classes:
        st.caption("A difference needs two detectors, and normal and anomalous clips.")
        return
    found = all_differences(judged.comparison)
    adjusted = holm([p_value(each) for each in found])
    rows = [_pair(judged, pair, each, p) for pair, each, p in zip(pairs, found, adjusted, strict=True)]
    table = pd.DataFrame(rows)
    st.table(table, hide_index=True, alt="Paired differences of AUCs, mean over ids and pooled")
    st.caption(
        "Both detectors heard the same clips, so that what is hard for both cancels out: paired bootstrap interval "
        "(2,000 draws within id and class), DeLong's test of each id joined over ids, and its p-value adjusted for the "
        "number of pairs (Holm). In words: by the mean over ids, the figure that ranks the detectors. Pooled: all ids "
        "together, p not adjusted."
    )


def _pair(judged: Judged, pair: tuple[int, int], found: Difference | None, adjusted: float | None) -> dict[str, str]:
    first, second = (judged.titles[row] for row in pair)
    mean, pooled = (None, None) if found is None else (found.auc_mean, found.auc_pooled)
    return {
        "Pair": plain(f"{first} − {second}"),
        "In words": plain(difference_words(first, second, estimate_of(mean) or 0.0, adjusted)),
        "AUC difference, mean over ids": difference_text(mean),
        "p (DeLong)": p_text(p_value(found)),
        "p, Holm": p_text(adjusted),
        "AUC difference, pooled": difference_text(pooled),
        "p, pooled": p_text(None if found is None else found.p_pooled),
    }


def p_value(found: Difference | None) -> float | None:
    """Return the p-value of the difference of the means over ids."""
    return None if found is None else found.p_value


@st.cache_resource(max_entries=32, show_spinner="Comparing pairs …", hash_funcs=HASHES)
def all_differences(comparison: Comparison) -> list[Difference | None]:
    """Return each pair's difference, first minus second, in the order of `itertools.combinations`."""
    return [difference(a.scores, b.scores) for a, b in combinations(comparison.methods, 2)]


def p_text(p: float | None) -> str:
    """Write a p-value with three decimals, `< 0.001` below that."""
    if p is None:
        return "not defined"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
