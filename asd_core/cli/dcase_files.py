"""Commands of the official files of DCASE 2020 Task 2: export-dcase, evaluate-dcase."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from asd_core.cli.options import MODEL, add_data, add_vggish, command, data_options
from asd_core.cli.outcome import Outcome, figure, refusals, show_warnings, simulated_mark


def add(commands: Any) -> None:
    """Add the commands of this module."""
    parser = command(commands, "export-dcase", _export, "write the official DCASE 2020 Task 2 score files")
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    add_data(parser, ids=False)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="an empty folder")
    add_vggish(parser)
    text = "score anomaly_score_*.csv files as the official DCASE 2020 Task 2 evaluator does"
    parser = command(commands, "evaluate-dcase", _evaluate, text)
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of anomaly_score_<machine>_id_<NN>.csv files")
    parser.add_argument("--truth", type=Path, required=True, metavar="FILE", help="the label list")


def _export(arguments: argparse.Namespace) -> Outcome:
    from asd_core.tasks.export import export_dcase

    report = export_dcase(arguments.model, arguments.data, arguments.out, **data_options(arguments))
    mark = simulated_mark(detector=report["simulated"], data=report["data_simulated"])
    print(f"scores of {report['title']}, {report['version']}{mark}", file=sys.stderr)
    for name in report["files"]:
        print(arguments.out / name)
    show_warnings(report["warnings"])
    return Outcome(report, refusals(report["refused"]))


def _evaluate(arguments: argparse.Namespace) -> Outcome:
    from asd_core.evaluation.dcase import evaluate_folder

    report = {"schema": 1, "command": "evaluate-dcase", **evaluate_folder(arguments.dir, arguments.truth)}
    for machine, figures in report["machines"].items():
        for machine_id, each in figures["per_id"].items():
            print(f"{machine} id {machine_id}: {_areas(each['auc'], each['pauc'])}")
        partial = " (partial)" if figures["partial"] else ""
        print(f"{machine} mean: {_areas(figures['auc_mean'], figures['pauc_mean'])}{partial}")
    show_warnings(report["warnings"])
    return Outcome(report)


def _areas(auc: float | None, pauc: float | None) -> str:
    return f"AUC {figure(auc, '.4f')}, pAUC {figure(pauc, '.4f')}"
