"""The course report's experiment again: its three methods on ids 00, 02 and 04, its figures beside ours.

The report set its thresholds on labelled test clips and pooled its AUCs over ids. Both are done here as it did them,
and beside them what it leaves open: AUC per id, and a threshold from held-out normal clips.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from asd_core.artifacts import find_artifacts, open_artifact
from asd_core.assess import Assessment, assess, summarise_assessment
from asd_core.course_report import LEFT_OPEN, PUBLISHED, extrapolated_seconds, section, write_figures
from asd_core.detector import Progress
from asd_core.errors import EncoderUnavailableError
from asd_core.files import replace_file
from asd_core.pipeline import TrainingRequest, open_data_set, train
from asd_core.report import report_on

REPORT_IDS = ("00", "02", "04")
REPORT_RULE = "closest_topleft"


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
    result: dict[str, Any] = {
        "schema": 1,
        "command": "reproduce",
        "warnings": [],
        "simulated": rows[0]["simulated"],
        "preset": preset,
        "ids": list(ids),
        "n_train": sum(row["n_fitted"] + row["n_heldout"] for row in rows[:1]),
        "left_open": dict(LEFT_OPEN),
        "methods": rows,
        "not_run": not_run,
        "seconds": round(monotonic() - began, 1),
        "report": str(out / "report.html"),
        "figures": write_figures(assessments, rows, out),
    }
    report_on(assessments, out / "report.html", seed=seed, preface=section(result, out))
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
    manifest = assessment.artifact.manifest
    n_fitted = len(manifest["data"]["fitted_digests"])
    return {
        "method": assessment.title,
        "detector": name,
        "simulated": assessment.data_set.simulated is not None,
        "n_fitted": n_fitted,
        "n_heldout": len(manifest["data"]["heldout_digests"]),
        "full_seconds_extrapolated": extrapolated_seconds(
            manifest["training"]["seconds"], n_fitted=n_fitted, preset=manifest["preset"]
        ),
        "training_seconds": manifest["training"]["seconds"],
        "heldout_loss": manifest["training"]["heldout_loss"],
        "report": vars(PUBLISHED[name]),
        **{key: by_labels.get(key) for key in _SHARED},
        "with_test_labels": _at_threshold(by_labels),
        "without_test_labels": _at_threshold(honest),
        "version": assessment.artifact.version,
    }


_SHARED = ("n_normal", "n_anomalous", "auc_pooled", "auc_pooled_ci", "auc_mean", "auc_mean_ci", "pauc_mean", "per_id")


def _at_threshold(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {key: summary.get(key) for key in ("threshold", "confusion", "accuracy", "per_class", "optimism")}
