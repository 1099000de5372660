"""Commands that judge detectors and set their thresholds: evaluate, report, threshold."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asd_core.cli.options import (
    MODEL,
    add_data,
    add_rule,
    add_vggish,
    check_place,
    command,
    data_options,
    rule_options,
)
from asd_core.cli.outcome import Outcome, figure, refusals, show_skipped, show_warnings, simulated_mark

if TYPE_CHECKING:
    from asd_core.evaluation.summary import Summary
    from asd_core.evaluation.uncertainty import Interval
    from asd_core.tasks.evaluate import Compared, Evaluation


def add(commands: Any) -> None:
    """Add the commands of this module."""
    text = "score labelled test clips and sum up: AUC, threshold, confusion matrix"
    _add_evaluate(command(commands, "evaluate", _evaluate, text))
    parser = command(commands, "report", _report, "write one self-contained HTML file on detectors and a data set")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help=MODEL)
    add_data(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.html")
    add_rule(parser)
    add_vggish(parser)
    text = "save another threshold with a detector, as a new version with the same arrays"
    parser = command(commands, "threshold", _threshold, text)
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    parser.add_argument("--rule", required=True, help="threshold rule")
    parser.add_argument("--value", type=float, metavar="X", help="of the rule: alpha, k, a rate, a threshold")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; kept with the version")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    add_data(parser)
    add_rule(parser)
    parser.add_argument("--per-id", action="store_true", help="judge each clip by its own id's threshold")
    parser.add_argument("--normalise-ids", action="store_true", help="bring ids to one scale by held-out normal clips")
    text = "another detector's scores (path, score) to compare"
    parser.add_argument("--scores", type=Path, metavar="FILE.csv", help=text)
    text = "a network's errors pooled by mean, std, max or gwrp; no retraining"
    parser.add_argument("--pooling", metavar="P", help=text)
    text = "also the ensemble with this detector: mean of z-scores by held-out normal clips; may be repeated"
    parser.add_argument("--with", dest="others", type=Path, action="append", default=[], metavar="MODEL", help=text)
    add_vggish(parser)


def _evaluate(arguments: argparse.Namespace) -> Outcome:
    from asd_core.evaluation.imported import read_scores
    from asd_core.tasks.evaluate import evaluate

    report = evaluate(
        arguments.model,
        arguments.data,
        **data_options(arguments),
        **rule_options(arguments),
        per_id=arguments.per_id,
        normalise=arguments.normalise_ids,
        imported=None if arguments.scores is None else read_scores(arguments.scores),
        imported_name="" if arguments.scores is None else arguments.scores.stem,
        others=arguments.others,
        pooling=arguments.pooling,
    )
    _print_evaluation(report)
    return Outcome(report.to_json(), refusals(report.refused))


def _print_evaluation(report: Evaluation) -> None:
    print(f"{report.title}{simulated_mark(detector=report.simulated, data=report.data_simulated)}")
    _print_summary(report.summary, left_out=report.n_excluded)
    print(f"  promise: {report.promise}")
    for key, mark in (("imported", " (imported scores)"), ("ensemble", "")):
        if (other := getattr(report, key)) is not None:
            _print_other(report, other, key, mark)
    show_skipped(report.skipped)
    show_warnings(report.warnings)


def _print_other(report: Evaluation, other: Compared, key: str, mark: str) -> None:
    print(f"{other.title}{mark}{simulated_mark(detector=other.simulated, data=report.data_simulated)}")
    for member in other.members:
        mark = simulated_mark(detector=bool(member["simulated"]))
        print(f"  of {member['title']}, {member['version']}{mark}")
    _print_summary(other.summary, left_out=report.n_excluded)
    if (gap := other.difference) is not None:
        pair = f"of {report.title} minus {key}"
        _print_difference(f"AUC, mean over ids, {pair}", gap.auc_mean, gap.p_value)
        _print_difference(f"AUC, all ids pooled, {pair}", gap.auc_pooled, gap.p_pooled)


def _print_difference(name: str, gap: Interval | None, p_value: float | None) -> None:
    from asd_core.evaluation.uncertainty import difference_text

    print(f"  {name}: {difference_text(gap)}, DeLong p {figure(p_value, '.2g')}")


def _print_summary(summary: Summary, *, left_out: int) -> None:
    ranking = summary.ranking
    counts = f"{ranking.n_normal} normal and {ranking.n_anomalous} anomalous test clips"
    print(f"  {counts}, {left_out} left out (trained on)")
    print(f"  AUC, all ids pooled: {_figure(ranking.auc_pooled)}")
    print(f"  AUC, mean over ids: {_figure(ranking.auc_mean)}")
    print(f"  pAUC, mean over ids: {_figure(ranking.pauc_mean)}")
    for machine_id, each in ranking.per_id.items():
        counts = f"{each.n_normal} normal, {each.n_anomalous} anomalous"
        print(f"  id {machine_id}: AUC {figure(each.auc)}, pAUC {figure(each.pauc)} ({counts})")
    _print_decisions(summary)


def _figure(found: Interval | None) -> str:
    from asd_core.evaluation.uncertainty import interval_text

    return interval_text(found)


def _print_decisions(summary: Summary) -> None:
    threshold, decisions = summary.threshold, summary.decisions
    labels = ", chosen on test labels" if threshold.uses_test_labels else ""
    print(
        f"  threshold {figure(threshold.value, '.4g')} by {threshold.rule}{labels}: false-alarm rate promised "
        f"{figure(threshold.promised_fpr)}, observed {_figure(decisions.observed_fpr)}"
    )
    if (found := summary.optimism) is not None:
        print(f"  optimistic: F1 {found.naive.f1:.3f} on the clips it was chosen on, {found.honest.f1:.3f} on others")
    if (counts := decisions.confusion) is not None:
        print(f"  tn {counts.tn}, fp {counts.fp}, fn {counts.fn}, tp {counts.tp}")
    for name, each in decisions.per_class.items():
        values = f"precision {figure(each.precision, '.2f')}, recall {figure(each.recall, '.2f')}"
        print(f"  {name}: {values}, f1 {figure(each.f1, '.2f')}, {each.support} clips")


def _report(arguments: argparse.Namespace) -> Outcome:
    from asd_core.reports.html import write_report

    check_place(arguments.out)
    options = data_options(arguments) | rule_options(arguments)
    result = write_report(arguments.models, arguments.data, arguments.out, **options)
    if mark := simulated_mark(detector=result.simulated, data=result.data_simulated):
        print(f"report on {', '.join(result.titles)}{mark}", file=sys.stderr)
    print(result.out)
    return Outcome(result.to_json())


def _threshold(arguments: argparse.Namespace) -> Outcome:
    from asd_core.artifacts.manifest import promise_of
    from asd_core.tasks.set_threshold import set_threshold

    saved = set_threshold(arguments.model, arguments.rule, rule_value=arguments.value, reason=arguments.reason)
    threshold, calibration = saved.manifest.threshold, saved.manifest.calibration
    warnings = []
    if threshold.uses_test_labels:
        warnings.append("test_labels: chosen on labelled test clips; figures on the same clips are optimistic")
    show_warnings(warnings)
    print(f"threshold {figure(threshold.value, '.6g')}: {promise_of(threshold, calibration)}")
    print(saved.folder.parent)
    report = {
        "schema": 1,
        "command": "threshold",
        "warnings": warnings,
        "model": str(saved.folder.parent),
        "version": saved.version,
        "parent": saved.manifest.parent,
        "reason": arguments.reason,
        "simulated": saved.simulated,
        "threshold": threshold.to_json(),
        "calibration": calibration.to_json(),
    }
    return Outcome(report)
