"""The course report's experiment again: its three methods on ids 00, 02 and 04, its figures beside ours.

The report set its thresholds on labelled test clips and pooled its AUCs over ids. Both are done here as it did them,
and beside them what it leaves open: AUC per id, and a threshold from held-out normal clips.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from asd_core.artifacts import find_artifacts, open_artifact, replace_file
from asd_core.assess import Assessment, assess, summarise_assessment
from asd_core.detector import Progress
from asd_core.errors import EncoderUnavailableError
from asd_core.formats import area_text, score_text, seconds_text, share_text
from asd_core.pipeline import TrainingRequest, open_data_set, train
from asd_core.report import report_on

REPORT_IDS = ("00", "02", "04")
REPORT_RULE = "closest_topleft"
LEFT_OPEN = (
    "log-mel n_fft 1024, Slaney mel, power 2; min-max scaling to [0, 1] with limits of the fitted clips",
    "20 % of the normal training clips of each id held out (10 % from 1,000 clips on)",
    "one-class SVM: nu 0.1, gamma 1 / (n_features * variance)",
    "seed 0, one thread",
)
"""What the report does not say, and what is taken here."""


@dataclass(frozen=True)
class Published:
    """What the report prints of a method; None where it prints nothing."""

    auc_pooled: float | None
    threshold: float | None
    normal: tuple[float, float, float] | None
    anomalous: tuple[float, float, float] | None


PUBLISHED: Mapping[str, Published] = {
    "vggish_ocsvm": Published(None, None, None, None),
    "lstm_predictor": Published(0.9406, 0.001688, (0.76, 0.90, 0.82), (0.96, 0.89, 0.92)),
    "gru_autoencoder": Published(0.892, 0.000511, (0.62, 0.87, 0.72), (0.94, 0.80, 0.87)),
}
"""The report's AUC, threshold, and precision, recall, F1 of both classes."""


def reproduce(
    data: Path,
    out: Path,
    *,
    machine: str | None = None,
    preset: str = "quick",
    resume: bool = False,
    seed: int = 0,
    on_progress: Callable[[str, Progress], None] = lambda _name, _progress: None,
) -> dict[str, Any]:
    """Train the three methods, judge them as the report did and as it should be done, and write one HTML report.

    With `resume`, methods that `out` already holds are not trained again, and a killed training goes on from its last
    finished epoch. VGGish out of reach: listed as not run, and log-mel statistics stand in under their own name.

    Returns
    -------
    dict
        Keys of the `reproduce` command; also in `out/reproduction.json`.
    """
    began = monotonic()
    ids = tuple(name for name in REPORT_IDS if name in open_data_set(data, machine=machine).index.machine_ids)
    rows: list[dict[str, Any]] = []
    not_run: list[dict[str, str]] = []
    assessments: list[Assessment] = []
    for name in PUBLISHED:
        request = TrainingRequest(
            name, data, machine=machine, ids=ids, preset=preset, seed=seed, resume=resume, out=out / "detectors"
        )
        model, missing = _trained(request, on_progress)
        not_run += missing
        assessments.append(assess(model, data, machine=machine, ids=ids))
        rows.append(_row(assessments[-1], seed=seed))
    report_on(assessments, out / "report.html", seed=seed)
    result = {
        "schema": 1,
        "command": "reproduce",
        "warnings": [],
        "simulated": rows[0]["simulated"],
        "preset": preset,
        "ids": list(ids),
        "left_open": list(LEFT_OPEN),
        "methods": rows,
        "not_run": not_run,
        "seconds": round(monotonic() - began, 1),
        "report": str(out / "report.html"),
    }
    replace_file(out / "reproduction.json", json.dumps(result, allow_nan=False, indent=1).encode() + b"\n")
    return result


def _trained(
    request: TrainingRequest, on_progress: Callable[[str, Progress], None]
) -> tuple[Path, list[dict[str, str]]]:
    """Train one method, or take the one a former run left."""
    if request.resume and (found := _left_by_former_run(request)) is not None:
        return found, []
    try:
        result = train(request, on_progress=lambda progress: on_progress(request.detector, progress))
    except EncoderUnavailableError as error:
        fallback = TrainingRequest(**{**vars(request), "settings": {"encoder": "logmel_stats"}})
        result = train(fallback, on_progress=lambda progress: on_progress(request.detector, progress))
        return result.model, [{"method": "VGGish + one-class SVM", "reason": str(error)}]
    return result.model, []


def _left_by_former_run(request: TrainingRequest) -> Path | None:
    for folder in find_artifacts(request.out):
        manifest = open_artifact(folder).manifest
        same = (manifest["detector"], manifest["preset"], manifest["settings"].get("seed"))
        if same == (request.detector, request.preset, request.seed):
            return folder
    return None


def _row(assessment: Assessment, *, seed: int) -> dict[str, Any]:
    name = assessment.artifact.detector_name
    by_labels = summarise_assessment(assessment, rule=REPORT_RULE, seed=seed)
    honest = summarise_assessment(assessment, seed=seed)
    published = PUBLISHED[name]
    return {
        "method": assessment.title,
        "detector": name,
        "simulated": assessment.data_set.simulated is not None,
        "training_seconds": assessment.artifact.manifest["training"]["seconds"],
        "heldout_loss": assessment.artifact.manifest["training"]["heldout_loss"],
        "report": vars(published),
        **{key: by_labels.get(key) for key in _SHARED},
        "with_test_labels": _at_threshold(by_labels),
        "without_test_labels": _at_threshold(honest),
        "version": assessment.artifact.version,
    }


_SHARED = ("n_normal", "n_anomalous", "auc_pooled", "auc_pooled_ci", "auc_mean", "auc_mean_ci", "pauc_mean", "per_id")


def _at_threshold(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {key: summary.get(key) for key in ("threshold", "confusion", "accuracy", "per_class", "optimism")}


def as_text(result: Mapping[str, Any]) -> str:
    """Write the comparison for a terminal: one block a method, the report's figure before ours."""
    mark = " (simulated data; the report's figures are of real clips)" if result["simulated"] else ""
    lines = [f"ids {', '.join(result['ids'])}, preset {result['preset']}{mark}"]
    for row in result["methods"]:
        report = row["report"]
        lines += [
            "",
            f"{row['method']}: trained in {seconds_text(row['training_seconds'])}",
            f"  AUC pooled   report {_report_area(report)}, here {area_text(row['auc_pooled'], row['auc_pooled_ci'])}",
            f"  AUC mean     here {area_text(row['auc_mean'], row['auc_mean_ci'])}, per id "
            + ", ".join(f"{name} {area_text(each['auc'])}" for name, each in row["per_id"].items()),
        ]
        lines += _threshold_lines("nearest to (0, 1), uses test labels", row["with_test_labels"], report)
        lines += _threshold_lines("conformal", row["without_test_labels"], None)
    lines += ["", *(f"not run: {entry['method']}: {entry['reason']}" for entry in result["not_run"])]
    lines += [f"left open by the report, taken here: {text}" for text in result["left_open"]]
    return "\n".join(lines)


def _report_area(report: Mapping[str, Any]) -> str:
    return "prints none" if report["auc_pooled"] is None else f"{report['auc_pooled']:.4f}"


def _threshold_lines(title: str, found: Mapping[str, Any], report: Mapping[str, Any] | None) -> list[str]:
    theirs = f"report {score_text(report['threshold'])}, here " if report is not None else ""
    lines = [f"  threshold {title}: {theirs}{score_text(found['threshold']['value'])}"]
    for label, each in (found["per_class"] or {}).items():
        ours = "/".join(share_text(each[key]) for key in ("precision", "recall", "f1"))
        published = report[label] if report is not None else None
        beside = f"report {'/'.join(f'{value:.2f}' for value in published)}, here " if published else ""
        lines.append(f"    {label} P/R/F1: {beside}{ours}")
    return lines
