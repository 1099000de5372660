"""The course report's experiment again: its three methods on ids 00, 02 and 04, its figures beside ours.

The report set its thresholds on labelled test clips and pooled its AUCs over ids. Both are done here as it did them,
and beside them what it leaves open: AUC per id, and a threshold from held-out normal clips.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from asd_core.artifacts.store import find_artifacts, open_artifact
from asd_core.data.data_set import DataSet, fingerprint, open_data_set, readable
from asd_core.detectors import detector_class
from asd_core.detectors.contract import Progress
from asd_core.errors import DataSetError, EncoderUnavailableError
from asd_core.reports.course_report import LEFT_OPEN, PUBLISHED, extrapolated_seconds, section, write_figures
from asd_core.reports.html import report_on
from asd_core.system.files import replace_file
from asd_core.tasks.evaluate import Assessment, assess, summarise_assessment
from asd_core.tasks.train import TrainingRequest, train

REPORT_IDS = ("00", "02", "04")
REPORT_RULE = "closest_topleft"
NOT_ASKED = "preset quick takes log-mel statistics; the report's encoder runs with --preset paper"


def reproduce(
    data: Path,
    out: Path,
    *,
    machine: str | None = None,
    normal: str | None = None,
    preset: str = "quick",
    resume: bool = False,
    seed: int = 0,
    on_progress: Callable[[str, Progress], None] = lambda _name, _progress: None,
) -> dict[str, Any]:
    """Train the three methods, judge them as the report did and as it should be done, and write one HTML report.

    With `resume`, methods that `out` already holds of these clips are not trained again, and a killed training goes on
    from its last finished epoch. VGGish is listed as not run where it is out of reach or the preset does not ask
    for it; log-mel statistics stand in under their own name.

    Returns
    -------
    dict
        Keys of the `reproduce` command; also in `out/reproduction.json`.

    Raises
    ------
    DataSetError
        None of the report's ids, or not both normal and anomalous test clips of them.
    """
    began = monotonic()
    data_set = open_data_set(data, machine=machine, normal=normal, seed=max(seed, 0))
    ids, warnings = _report_ids(data_set)
    rows: list[dict[str, Any]] = []
    not_run: list[dict[str, str]] = []
    assessments: list[Assessment] = []
    for name in PUBLISHED:
        request = TrainingRequest(
            name,
            data,
            machine=machine,
            normal=normal,
            ids=ids,
            preset=preset,
            seed=seed,
            resume=resume,
            out=out / "detectors",
        )
        model, missing = _trained(request, on_progress)
        not_run += missing
        assessments.append(assess(model, data, machine=machine, ids=ids, normal=normal))
        rows.append(_row(assessments[-1], seed=seed))
    result: dict[str, Any] = {
        "schema": 1,
        "command": "reproduce",
        "warnings": warnings,
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


def _report_ids(data_set: DataSet) -> tuple[tuple[str, ...], list[str]]:
    """Return which of the report's ids there are, and a warning on those that are not."""
    index = data_set.index
    ids = tuple(name for name in REPORT_IDS if name in index.machine_ids)
    wanted = ", ".join(REPORT_IDS)
    if not ids:
        raise DataSetError(f"the report's ids are {wanted}; {index.machine} has {', '.join(index.machine_ids)}")
    for label in ("normal", "anomalous"):
        if not index.select(split="test", label=label, ids=ids):
            raise DataSetError(f"{index.root} has no {label} test clips of id {', '.join(ids)}: nothing to judge by")
    absent = [name for name in REPORT_IDS if name not in ids]
    return ids, [f"missing_ids: the report's ids are {wanted}; {', '.join(absent)} are not there"] if absent else []


def _trained(
    request: TrainingRequest, on_progress: Callable[[str, Progress], None]
) -> tuple[Path, list[dict[str, str]]]:
    """Train one method, or take the one a former run left; also tell why VGGish was not run, where it was not."""

    def show(progress: Progress) -> None:
        on_progress(request.detector, progress)

    asked = detector_class(request.detector).from_preset(request.preset, seed=request.seed)
    encoder = getattr(asked, "encoder", None)
    try:
        model = _left_by_former_run(request, encoder) or train(request, on_progress=show).model
    except EncoderUnavailableError as error:
        fallback = replace(request, settings={"encoder": "logmel_stats"})
        model = _left_by_former_run(fallback, "logmel_stats") or train(fallback, on_progress=show).model
        return model, [_vggish_not_run(str(error))]
    return model, [_vggish_not_run(NOT_ASKED)] if encoder == "logmel_stats" else []


def _vggish_not_run(reason: str) -> dict[str, str]:
    return {"method": "VGGish + one-class SVM", "reason": reason}


def _left_by_former_run(request: TrainingRequest, encoder: str | None) -> Path | None:
    """Return a detector of a former run with the same settings and, clip for clip, the same training clips."""
    found = find_artifacts(request.out) if request.resume else []
    if not found:
        return None
    data_set = open_data_set(
        request.data, machine=request.machine, ids=request.ids, normal=request.normal, seed=request.seed
    )
    training_clips = data_set.index.select(split="train", label="normal")
    clips = fingerprint(readable(training_clips, channel=data_set.index.channel).digests)
    wanted = (request.detector, request.preset, request.seed, encoder, clips)
    for folder in found:
        manifest = open_artifact(folder).manifest
        settings = manifest.settings
        made = (manifest.detector, manifest.preset, settings.get("seed"), settings.get("encoder"))
        if (*made, manifest.data.fingerprint) == wanted:
            return folder
    return None


def _row(assessment: Assessment, *, seed: int) -> dict[str, Any]:
    name = assessment.artifact.detector_name
    by_labels = summarise_assessment(assessment, rule=REPORT_RULE, seed=seed)
    honest = summarise_assessment(assessment, seed=seed)
    manifest = assessment.artifact.manifest
    n_fitted = len(manifest.data.fitted_digests)
    return {
        "method": assessment.title,
        "detector": name,
        "simulated": assessment.data_set.simulated is not None,
        "n_fitted": n_fitted,
        "n_heldout": len(manifest.data.heldout_digests),
        "full_seconds_extrapolated": extrapolated_seconds(
            manifest.training.seconds, n_fitted=n_fitted, preset=manifest.preset
        ),
        "training_seconds": manifest.training.seconds,
        "heldout_loss": manifest.training.heldout_loss,
        "report": vars(PUBLISHED[name]),
        **{key: by_labels.get(key) for key in _SHARED},
        "with_test_labels": _at_threshold(by_labels),
        "without_test_labels": _at_threshold(honest),
        "version": assessment.artifact.version,
    }


_SHARED = ("n_normal", "n_anomalous", "auc_pooled", "auc_pooled_ci", "auc_mean", "auc_mean_ci", "pauc_mean", "per_id")


def _at_threshold(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {key: summary.get(key) for key in ("threshold", "confusion", "accuracy", "per_class", "optimism")}
