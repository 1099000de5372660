"""The course report's experiment repeated: its three detectors on ids 00, 02 and 04, its figures beside ours.

The report set most thresholds on labelled test clips, each detector's by a rule of its own, and pooled its AUCs over
ids. All is done here as it did it, and beside it what it leaves open: AUC per id, and a threshold with a promise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

from asd_core.artifacts.manifest import build_detector
from asd_core.artifacts.store import find_artifacts, open_artifact
from asd_core.data.data_set import DataSet, fingerprint, open_data_set, readable
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.detectors import detector_class
from asd_core.detectors.contract import Progress
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.detectors.presets import unlike_paper
from asd_core.errors import DataSetError, EncoderUnavailableError, ThresholdError
from asd_core.evaluation.summary import Summary, summarise
from asd_core.evaluation.thresholds import Threshold
from asd_core.reports.course_report import Method, Reproduction, extrapolated_seconds, write_figures
from asd_core.reports.course_tables import section
from asd_core.reports.html import report_on
from asd_core.reports.published import LABELLED_RULES, OTHER_RULES, PUBLISHED, REPORT_IDS, ReportRule
from asd_core.system.devices import chosen_device
from asd_core.system.files import replace_file
from asd_core.tasks.assess import Assessment, assess
from asd_core.tasks.evaluate import summarise_assessment
from asd_core.tasks.train import TrainingRequest, train

NOT_ASKED = "preset quick takes log-mel statistics; the report's encoder runs with --preset paper"


def reproduce(
    data: Path,
    out: Path,
    *,
    machine: str | None = None,
    rules: FolderRules = NO_RULES,
    preset: str = "quick",
    resume: bool = False,
    seed: int = 0,
    device: str = "auto",
    on_progress: Callable[[str, Progress], None] = lambda _name, _progress: None,
) -> Reproduction:
    """Train the three detectors, judge them as the report did and as it should be done, and write one HTML report.

    With `resume`, detectors of these clips that `out` already holds are not trained again, and a killed training
    continues from its last finished epoch. VGGish is listed as not run where it is out of reach or the preset does not
    request it; log-mel statistics take its place under their own name.

    Returns
    -------
    Reproduction
        Typed figures; `to_json` gives the keys of the `reproduce` command, which are also in `out/reproduction.json`.

    Raises
    ------
    UsageError
        The networks are to train on a device that is not there.
    DataSetError
        None of the report's ids, or not both normal and anomalous test clips of them.
    """
    began = monotonic()
    if device != "auto":
        chosen_device(device)  # refused now, not after the first detector
    data_set = open_data_set(data, machine=machine, seed=max(seed, 0), rules=rules)
    ids, warnings = _report_ids(data_set)
    methods: list[Method] = []
    not_run: list[dict[str, str]] = []
    assessments: list[Assessment] = []
    for name in PUBLISHED:
        request = TrainingRequest(
            name,
            data,
            machine=machine,
            rules=rules,
            ids=ids,
            preset=preset,
            settings={"device": device} if issubclass(detector_class(name), NetworkDetector) else None,
            seed=seed,
            resume=resume,
            out=out / "detectors",
        )
        model, missing = _trained(request, on_progress)
        not_run += missing
        assessments.append(assess(model, data, machine=machine, ids=ids, rules=rules))
        methods.append(_method(assessments[-1], seed=seed))
    result = Reproduction(
        preset=preset,
        ids=ids,
        data_simulated=data_set.simulated is not None,
        n_train=_n_training_clips(assessments[0]),
        methods=tuple(methods),
        not_run=tuple(not_run),
        seconds=round(monotonic() - began, 1),
        report=out / "report.html",
        figures=write_figures(assessments, methods, out),
        warnings=tuple(warnings),
    )
    report_on(assessments, result.report, seed=seed, preface=section(result, out))
    replace_file(out / "reproduction.json", json.dumps(result.to_json(), allow_nan=False, indent=1).encode() + b"\n")
    return result


def _n_training_clips(assessment: Assessment) -> int:
    data = assessment.artifact.manifest.data
    return len(data.fitted_digests) + len(data.heldout_digests)


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
    """Train one detector, or take the one a former run left; also say why VGGish was not run, where it was not."""

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
        request.data,
        machine=request.machine,
        ids=request.ids,
        seed=request.seed,
        rules=request.rules,
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


def _method(assessment: Assessment, *, seed: int) -> Method:
    name, manifest = assessment.artifact.detector_name, assessment.artifact.manifest
    training, n_fitted = manifest.training, len(manifest.data.fitted_digests)
    labelled = LABELLED_RULES[name]
    return Method(
        title=assessment.title,
        detector=name,
        version=assessment.artifact.version,
        simulated=assessment.artifact.simulated,
        n_fitted=n_fitted,
        n_heldout=manifest.calibration.n,
        training_seconds=training.seconds,
        full_seconds_extrapolated=extrapolated_seconds(training.seconds, n_fitted=n_fitted, preset=manifest.preset),
        heldout_loss=training.heldout_loss,
        report=PUBLISHED[name],
        with_test_labels=summarise_assessment(
            assessment, rule=labelled.rule, rule_value=labelled.rule_value, seed=seed
        ),
        without_test_labels=summarise_assessment(assessment, seed=seed),
        other_rules={each.title: _by_rule(assessment, each, seed=seed) for each in OTHER_RULES[name]},
        unlike_report=unlike_paper(build_detector(manifest)),
        mean_spectrum_loss=training.mean_spectrum_loss,
    )


def _by_rule(assessment: Assessment, asked: ReportRule, *, seed: int) -> Summary:
    """Judge by one of the report's rules; without a threshold where it cannot work on these held-out clips."""
    try:
        return summarise_assessment(assessment, rule=asked.rule, rule_value=asked.rule_value, seed=seed)
    except ThresholdError as error:
        none = Threshold(None, asked.rule, False, None, len(assessment.heldout.clips), reason=str(error))
        return summarise(assessment.scores, none, seed=seed)
