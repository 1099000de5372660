"""The tables that set a repeated experiment beside the course report, for an HTML report and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from asd_core.detectors.presets import differences_text
from asd_core.evaluation.metrics import ClassFigures
from asd_core.evaluation.summary import Ranking, Summary
from asd_core.evaluation.uncertainty import interval_text
from asd_core.formats import MISSING, area_text, rate_text, score_text, seconds_text, share_text
from asd_core.reports.course_report import SIMULATED_NOTE, Method, Reproduction, at_report_mix
from asd_core.reports.html import named, render
from asd_core.reports.published import (
    LEFT_OPEN,
    REAL_NOTE,
    REAL_SLIDE_RAIL,
    REPORT_ANOMALOUS_TEST_CLIPS,
    REPORT_FITTED_CLIPS,
    REPORT_NORMAL_TEST_CLIPS,
    REPORT_TRAINING_CLIPS,
    Published,
    has_report_mix,
)

TEMPLATE = Path(__file__).with_name("templates") / "reproduction.html.j2"


def section(result: Reproduction, out: Path) -> Markup:
    """HTML on a reproduction: the report's figures beside ours, the figures, what was left open."""
    figures = [
        {"caption": caption, "svg": Markup((out / name).read_text(encoding="utf-8"))}  # noqa: S704 - written above
        for name, caption in result.figures.items()
    ]
    return Markup(  # noqa: S704 - the template escapes
        render(
            TEMPLATE,
            result=result,
            methods=[_method(each) for each in result.methods],
            figures=figures,
            left_open=LEFT_OPEN,
            class_mix=class_mix_text(result.methods[0].ranking),
            n_train_reported=REPORT_TRAINING_CLIPS,
            note=SIMULATED_NOTE,
            others=others_rows(),
            others_note=REAL_NOTE,
        )
    )


def others_rows() -> list[list[str]]:
    """Figures that others published for the real slide rail, one row of texts per system.

    Name, ids, AUC mean over ids, AUC pooled, pAUC mean, what differs, source.
    """
    return [
        [
            each.system,
            ", ".join(each.ids),
            *(
                MISSING if area is None else area_text(area)
                for area in (each.auc_mean, each.auc_pooled, each.pauc_mean)
            ),
            each.differs,
            each.source,
        ]
        for each in REAL_SLIDE_RAIL
    ]


def _method(method: Method) -> dict[str, Any]:
    report, ranking = method.report, method.ranking
    rows = [row for title, found in method.decided.items() for row in _rows(title, found, same=method.has_report_mix)]
    if report.normal is not None and report.anomalous is not None:
        rates = ["", ""] if report.point is None else [share_text(rate) for rate in report.point]
        numbers = [f"{value:.2f}" for value in (*report.normal, *report.anomalous)]
        rows.insert(0, [f"the report's {report.table}, real clips", score_text(report.threshold), *rates, *numbers])
    return {
        "title": named(method.title, simulated=method.simulated),
        "table": report.table,
        "rows": rows,
        "auc_report": report_area(report),
        "auc_pooled": interval_text(ranking.auc_pooled),
        "auc_mean": interval_text(ranking.auc_mean),
        "per_id": _per_id_text(ranking),
        "time": training_time_text(method),
        "notes": method_notes(method),
    }


def method_notes(method: Method) -> list[str]:
    """Say in which settings a detector differs from the report's, and what its held-out loss is worth."""
    unlike = differences_text(method.unlike_report)
    notes = [f"Unlike the report: {unlike}." if unlike else "Settings as in the report, where it gives them."]
    loss, mean_spectrum = method.heldout_loss, method.mean_spectrum_loss
    if loss is not None and mean_spectrum is not None:
        worth = "better" if loss < mean_spectrum else "no better"
        always = f"always predicting the mean spectrum would give {score_text(mean_spectrum)}"
        notes.append(f"Held-out loss {score_text(loss)}; {always}: the network does {worth}.")
    return notes


def class_mix_text(ranking: Ranking) -> str:
    """Say how many test clips of each class there are here and in the report, and what follows for the figures."""
    theirs = f"{REPORT_NORMAL_TEST_CLIPS} and {REPORT_ANOMALOUS_TEST_CLIPS}"
    counts = f"{ranking.n_normal} normal and {ranking.n_anomalous} anomalous test clips here, {theirs} in the report"
    if has_report_mix(ranking.n_normal, ranking.n_anomalous):
        return f"{counts}: the same class mix."
    return (
        f"{counts}: the class mix differs, and precision and F1 depend on it. "
        "What is marked 'at the report's mix' is computed from the same rates of false alarms and detections."
    )


def _per_id_text(ranking: Ranking) -> str:
    return ", ".join(f"{name} {area_text(each.auc)}" for name, each in ranking.per_id.items())


def _rows(title: str, summary: Summary, *, same: bool) -> list[list[str]]:
    """One row of a detector's table, and a second one at the report's class mix where ours is not the same."""
    value, decided = score_text(summary.threshold.value), summary.decisions.confusion
    if decided is None:
        return [[f"{title}: {summary.threshold.reason}", value, *[""] * 8]]
    rates = [rate_text(decided.fp, decided.n_normal), rate_text(decided.tp, decided.n_anomalous)]
    rows = [[title, value, *rates, *_shares(summary.decisions.per_class)]]
    return rows if same else [*rows, ["the same, at the report's mix", value, "", "", *_shares(at_report_mix(summary))]]


def _shares(per_class: Mapping[str, ClassFigures]) -> list[str]:
    classes = [per_class[label] for label in ("normal", "anomalous") if label in per_class]
    figures = [figure for each in classes for figure in precision_recall_f1(each)]
    return ["" if value is None else f"{value:.2f}" for value in figures] or [""] * 6


def precision_recall_f1(figures: ClassFigures) -> tuple[float | None, float | None, float | None]:
    """Return a class's figures in the order of the report's tables."""
    return figures.precision, figures.recall, figures.f1


def report_area(report: Published) -> str:
    """Write the report's pooled AUC, or that it prints none."""
    return "prints none" if report.auc_pooled is None else f"{report.auc_pooled:.4f}"


def training_time_text(method: Method) -> str:
    """Write a training's time and, where it saw fewer clips than the report's, what all of them would take."""
    text = f"{seconds_text(method.training_seconds)} on {method.n_fitted} clips"
    if method.full_seconds_extrapolated is None:
        return text
    return f"{text}; extrapolated to {REPORT_FITTED_CLIPS}: {seconds_text(method.full_seconds_extrapolated)}"


def as_text(result: Reproduction) -> str:
    """Write the comparison for a terminal: one block per detector, the report's figure before ours."""
    mark = " (simulated data; the report's figures are of real clips)" if result.data_simulated else ""
    lines = [f"ids {', '.join(result.ids)}, preset {result.preset}{mark}", class_mix_text(result.methods[0].ranking)]
    for method in result.methods:
        report, ranking = method.report, method.ranking
        lines += [
            "",
            f"{named(method.title, simulated=method.simulated)}: trained in {training_time_text(method)}",
            *(f"  {note}" for note in method_notes(method)),
            f"  AUC pooled   report {report_area(report)}, here {interval_text(ranking.auc_pooled)}",
            f"  AUC mean     here {interval_text(ranking.auc_mean)}, per id {_per_id_text(ranking)}",
        ]
        for title, found in method.decided.items():
            beside = report if found is method.with_test_labels else None
            lines += _threshold_lines(title, found, beside, same=method.has_report_mix)
    lines += ["", f"published by others: {REAL_NOTE}"]
    lines += [
        f"  {system} (ids {ids}): AUC mean {mean}, pooled {pooled}, pAUC {partial}; {differs} [{source}]"
        for system, ids, mean, pooled, partial, differs, source in others_rows()
    ]
    lines += ["", *(f"not run: {entry['method']}: {entry['reason']}" for entry in result.not_run)]
    lines += [f"left open by the report: {what}; taken here: {taken}" for what, taken in LEFT_OPEN.items()]
    return "\n".join([*lines, f"report and figures: {result.report}"])


def _threshold_lines(title: str, found: Summary, report: Published | None, *, same: bool) -> list[str]:
    theirs = "" if report is None or report.threshold is None else f"report {score_text(report.threshold)}, here "
    marked = f"{title}{' (uses test labels)' if found.threshold.uses_test_labels else ''}"
    lines = [f"  threshold, {marked}: {theirs}{score_text(found.threshold.value)}"]
    decided = found.decisions.confusion
    if decided is None:
        lines.append(f"    {found.threshold.reason}")
    else:
        alarms, hits = rate_text(decided.fp, decided.n_normal), rate_text(decided.tp, decided.n_anomalous)
        lines.append(
            f"    false alarms {_rate_beside(report, 0)}{alarms}, anomalous found {_rate_beside(report, 1)}{hits}"
        )
    published = {} if report is None else {"normal": report.normal, "anomalous": report.anomalous}
    at_mix = {} if same else at_report_mix(found)
    for label, each in found.decisions.per_class.items():
        ours = _slashed(each) + (f"; at the report's mix {_slashed(at_mix[label])}" if label in at_mix else "")
        lines.append(f"    {label} P/R/F1: {_beside(report, published.get(label))}{ours}")
    return lines


def _slashed(figures: ClassFigures) -> str:
    return "/".join(map(share_text, precision_recall_f1(figures)))


def _rate_beside(report: Published | None, place: int) -> str:
    return "" if report is None or report.point is None else f"report {share_text(report.point[place])}, here "


def _beside(report: Published | None, published: tuple[float, float, float] | None) -> str:
    if report is None or published is None:
        return ""
    return f"{report.table}: report {'/'.join(f'{value:.2f}' for value in published)}, here "
