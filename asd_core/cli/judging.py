"""Commands that judge detectors on labelled clips: evaluate, report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

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
from asd_core.cli.outcome import Outcome, figure, interval, refusals, show_warnings, simulated_mark


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


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    add_data(parser)
    add_rule(parser)
    parser.add_argument("--per-id", action="store_true", help="judge each clip by its own id's threshold")
    parser.add_argument("--normalise-ids", action="store_true", help="bring ids to one scale by held-out normal clips")
    text = "another method's scores (path, score) to compare"
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
    return Outcome(report, refusals(report["refused"]))


def _print_evaluation(report: dict[str, Any]) -> None:
    print(f"{report['title']}{simulated_mark(report)}")
    _print_figures(report, left_out=report["n_excluded"])
    for key, mark in (("imported", " (imported scores)"), ("ensemble", "")):
        if key in report:
            _print_other(report, key, mark)
    show_warnings(report["warnings"])


def _print_other(report: dict[str, Any], key: str, mark: str) -> None:
    other, gap = report[key], report[key]["difference"]
    print(f"{other['title']}{mark}")
    for member in other.get("members", ()):
        print(f"  of {member['title']}, {member['version']}")
    _print_figures(other, left_out=report["n_excluded"])
    if gap is not None:
        print(
            f"  pooled AUC of {report['title']} minus {key}: {gap['auc_pooled']:+.3f}"
            f"{interval(gap['auc_pooled_ci'])}, DeLong p {figure(gap['p_delong'], '.2g')}"
        )


def _print_figures(report: dict[str, Any], *, left_out: int) -> None:
    counts = f"{report['n_normal']} normal and {report['n_anomalous']} anomalous test clips"
    print(f"  {counts}, {left_out} left out (trained on)")
    areas = {"auc_pooled": "AUC, all ids pooled", "auc_mean": "AUC, mean over ids", "pauc_mean": "pAUC, mean over ids"}
    for key, text in areas.items():
        print(f"  {text}: {figure(report[key])}{interval(report[key + '_ci'])}")
    for machine_id, each in report["per_id"].items():
        counts = f"{each['n_normal']} normal, {each['n_anomalous']} anomalous"
        print(f"  id {machine_id}: AUC {figure(each['auc'])}, pAUC {figure(each['pauc'])} ({counts})")
    _print_threshold(report)


def _print_threshold(report: dict[str, Any]) -> None:
    threshold = report["threshold"]
    labels = ", chosen on test labels" if threshold["uses_test_labels"] else ""
    print(
        f"  threshold {figure(threshold['value'], '.4g')} by {threshold['rule']}{labels}: false alarms promised "
        f"{figure(threshold['promised_fpr'])}, observed {figure(threshold['observed_fpr'])}"
        f"{interval(threshold.get('observed_fpr_ci'))}"
    )
    if report.get("optimism"):
        naive, honest = report["optimism"]["naive"], report["optimism"]["honest"]
        print(f"  optimistic: F1 {naive['f1']:.3f} on the clips it was chosen on, {honest['f1']:.3f} on others")
    if report["confusion"] is not None:
        print("  " + ", ".join(f"{name} {n}" for name, n in report["confusion"].items()))
        for name, each in report["per_class"].items():
            values = ", ".join(f"{key} {figure(each[key], '.2f')}" for key in ("precision", "recall", "f1"))
            print(f"  {name}: {values}, {each['support']} clips")


def _report(arguments: argparse.Namespace) -> Outcome:
    from asd_core.reports.html import write_report

    check_place(arguments.out)
    options = data_options(arguments) | rule_options(arguments)
    result = write_report(arguments.models, arguments.data, arguments.out, **options)
    print(result["out"])
    return Outcome(result)
