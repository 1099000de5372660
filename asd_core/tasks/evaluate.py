"""How good a detector is on labelled clips: scores, figures with intervals, and what another method's scores give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.data.clips import Clip
from asd_core.data.data_set import DataSet, FileClips, fingerprint, open_data_set, readable
from asd_core.detectors.contract import POOLINGS
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.errors import DataSetError, ThresholdError, UndefinedMetricError, UsageError
from asd_core.evaluation import metrics, thresholds, uncertainty
from asd_core.evaluation.ensemble import combine
from asd_core.evaluation.imported import rescore
from asd_core.evaluation.normalisation import fit_id_scales, normalise_ids
from asd_core.evaluation.scores import Scores
from asd_core.evaluation.thresholds import RULES, Threshold, check_rule
from asd_core.system.packages import package_versions
from asd_core.tasks.train import DEFAULT_RULE, scored
from asd_core.types import BoolArray, FloatArray

N_DRAWS = 2000
RELIABLE_NORMALS = 50


@dataclass(frozen=True)
class Assessment:
    """A detector's scores on labelled test clips that it was not trained on.

    Parameters
    ----------
    scores, heldout
        Of the test clips, and of the held-out normal clips that label-free thresholds come from.
    clips
        The test clips as files, in the order of `scores`.
    n_excluded
        Labelled test clips left out because the detector was fitted or calibrated on them.
    saved_threshold
        The detector's own, where its scale is that of `scores`; None otherwise.
    """

    title: str
    artifact: Artifact
    data_set: DataSet
    scores: Scores
    heldout: Scores
    clips: tuple[Clip, ...]
    n_excluded: int
    refused: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]
    saved_threshold: Threshold | None


def assess(
    model: Path,
    data: Path,
    *,
    machine: str | None = None,
    ids: Sequence[str] | None = None,
    normal: str | None = None,
) -> Assessment:
    """Score a data set's labelled test clips.

    Raises
    ------
    DataSetError
        No labelled test clips.
    ArtifactError
        A damaged detector.
    """
    artifact = open_artifact(model)
    detector = artifact.detector()
    data_set = open_for(artifact, data, machine=machine, ids=ids, normal=normal, seed=detector.seed)
    found = readable(data_set.index.select(split="test"), channel=artifact.channel, min_samples=detector.min_samples)
    labelled = [row for row, clip in enumerate(found.clips) if clip.label != "unlabelled"]
    kept = [row for row in labelled if not artifact.was_trained_on(found.digests[row])]
    if not kept:
        raise DataSetError(f"{data_set.index.root} has no labelled test clips that the detector was not trained on")
    clips = FileClips(tuple(found.clips[row] for row in kept), artifact.channel)
    scores = scored(detector, clips, "test", [found.digests[row] for row in kept])
    warnings = list(found.warnings)
    if data_set.index.machine != artifact.manifest.data.machine:
        warnings.append(f"other_machine: trained on {artifact.manifest.data.machine}")
    return Assessment(
        title=artifact.title,
        artifact=artifact,
        data_set=data_set,
        scores=scores,
        heldout=artifact.scores.of("heldout"),
        clips=clips.clips,
        n_excluded=len(labelled) - len(kept),
        refused=found.refused,
        warnings=tuple(warnings),
        saved_threshold=artifact.threshold,
    )


def open_for(artifact: Artifact, data: Path, *, machine: str | None = None, **options: Any) -> DataSet:
    """Open a data set for a detector: its own machine, where the folder holds several and none is named.

    `seed` is the training's: own recordings have no test split, and it tells which clips were left for testing.

    Raises
    ------
    DataSetError
        See `asd_core.data.data_set.open_data_set`.
    """
    trained_on = artifact.manifest.data.machine
    try:
        return open_data_set(data, machine=machine, **options)
    except DataSetError:
        if machine is not None or not (data / trained_on).is_dir():
            raise
        return open_data_set(data, machine=trained_on, **options)


def repooled(assessment: Assessment, pooling: str) -> Assessment:
    """Pool a network's errors over time in another way: the same weights, scores of test and held-out clips anew.

    The saved threshold no longer applies.

    Raises
    ------
    UsageError
        An unknown pooling, or a detector that is no network.
    DataSetError
        Held-out clips that are not in the data set: without them there is no threshold.
    """
    artifact, root = assessment.artifact, assessment.data_set.index.root
    detector = artifact.detector()
    if not isinstance(detector, NetworkDetector):
        raise UsageError(f"{artifact.title} has no pooling over time to change")
    check_options(pooling=pooling)
    detector.pooling = pooling
    paths = {clip.path for clip in assessment.heldout.clips}
    again = (clip for clip in assessment.data_set.index.clips if clip.relative in paths)
    found = readable(again, channel=artifact.channel, min_samples=detector.min_samples)
    if missing := {clip.digest for clip in assessment.heldout.clips} - set(found.digests):
        raise DataSetError(
            f"another pooling needs the detector's {len(paths)} held-out clips again, and {len(missing)} of them are "
            f"not in {root}: evaluate on the data set it was trained on, with all its ids"
        )
    digests = [clip.digest for clip in assessment.scores.clips]
    return replace(
        assessment,
        title=f"{assessment.title}, pooled by {pooling}",
        scores=scored(detector, FileClips(assessment.clips, artifact.channel), "test", digests),
        heldout=scored(detector, FileClips(found.clips, artifact.channel), "heldout", found.digests),
        saved_threshold=None,
    )


def normalised_by_id(assessment: Assessment) -> Assessment:
    """Bring the ids to one scale by their held-out normal scores; the saved threshold no longer applies.

    Raises
    ------
    ThresholdError, UsageError
        An id without enough held-out normal clips.
    """
    scales = fit_id_scales(assessment.heldout.anomaly_scores, assessment.heldout.machine_ids)
    return replace(
        assessment,
        title=f"{assessment.title}, per-id normalised",
        scores=_with_scores(assessment.scores, scales),
        heldout=_with_scores(assessment.heldout, scales),
        saved_threshold=None,
    )


def _with_scores(scores: Scores, scales: Mapping[str, tuple[float, float]]) -> Scores:
    values = normalise_ids(scores.anomaly_scores, scores.machine_ids, scales)
    clips = (replace(clip, anomaly_score=float(value)) for clip, value in zip(scores.clips, values, strict=True))
    return Scores(tuple(clips))


def with_imported(assessment: Assessment, imported: Mapping[str, float], *, title: str) -> Assessment:
    """Put another method's scores in place of the detector's, on the same clips.

    Held-out clips that the file scores too serve for label-free thresholds; without them there is none.

    Raises
    ------
    DataSetError
        A test clip without a score.
    """
    machine = assessment.data_set.index.machine
    return replace(
        assessment,
        title=title,
        scores=rescore(assessment.scores, imported, machine=machine),
        heldout=rescore(assessment.heldout, imported, machine=machine, required=False),
        saved_threshold=None,
    )


def with_others(assessment: Assessment, others: Sequence[Assessment]) -> Assessment:
    """Put the ensemble of several detectors in place of the first one; see `asd_core.evaluation.ensemble.combine`.

    Raises
    ------
    DataSetError, ThresholdError
        Test clips that not all were scored on, or a detector whose held-out scores have no spread.
    """
    joint = combine([assessment, *others])
    return replace(assessment, title=joint.title, scores=joint.scores, heldout=joint.heldout, saved_threshold=None)


def choose_threshold(
    artifact: Artifact, scores: Scores, *, rule: str | None = None, rule_value: float | None = None
) -> Threshold:
    """Return the detector's saved threshold, or the one a rule gives; see `threshold_by_rule`."""
    if rule is None:
        return artifact.threshold
    return threshold_by_rule(rule, scores, artifact.scores.of("heldout"), rule_value=rule_value)


def threshold_by_rule(rule: str, scores: Scores, heldout: Scores, *, rule_value: float | None = None) -> Threshold:
    """Return a rule's threshold: from held-out normal scores, or from labelled scores where the rule uses labels.

    Raises
    ------
    UsageError, ThresholdError, UndefinedMetricError
        Unknown rule, or one that cannot work on these scores.
    """
    check_rule(rule, rule_value)
    if RULES[rule].uses_test_labels:
        return thresholds.from_labelled_scores(rule, scores.is_anomalous, scores.anomaly_scores, rule_value=rule_value)
    return thresholds.from_normal_scores(
        rule, heldout.anomaly_scores, rule_value=rule_value, machine_ids=heldout.machine_ids
    )


def evaluate(
    model: Path,
    data: Path,
    *,
    machine: str | None = None,
    ids: Sequence[str] | None = None,
    normal: str | None = None,
    rule: str | None = None,
    rule_value: float | None = None,
    per_id: bool = False,
    normalise: bool = False,
    imported: Mapping[str, float] | None = None,
    imported_name: str = "imported",
    others: Sequence[Path] = (),
    pooling: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a data set's labelled test clips and sum up; keys of the `evaluate` command.

    Clips that the detector was fitted or calibrated on are left out and counted. The result names all it was made from
    and no time of day: the same evaluation gives the same bytes.

    Parameters
    ----------
    per_id
        Decide each clip by its own id's threshold.
    normalise
        Bring ids to one scale by their held-out normal scores.
    imported
        Path to score of another method: summed up beside the detector, with the paired difference.
    others
        Further detectors: their ensemble with this one is summed up beside it, with the paired difference.
    pooling
        Pool a network's errors over time in this way instead of its own; see `repooled`.

    Raises
    ------
    DataSetError, ArtifactError
        See `assess`, `repooled` and `with_others`.
    UsageError, ThresholdError
        An unknown rule, or one that cannot work on these scores.
    """
    check_options(rule=rule, rule_value=rule_value, pooling=pooling, seed=seed)
    check_different([model, *others])
    raw = assess(model, data, machine=machine, ids=ids, normal=normal)
    if pooling is not None:
        raw = repooled(raw, pooling)
    assessment = normalised_by_id(raw) if normalise else raw
    summary = summarise_assessment(assessment, rule=rule, rule_value=rule_value, per_id=per_id, seed=seed)
    report: dict[str, Any] = {
        "schema": 1,
        "command": "evaluate",
        "warnings": [*assessment.warnings, *summary.pop("warnings")],
        "model": str(model),
        "version": raw.artifact.version,
        "detector": raw.artifact.detector_name,
        "title": assessment.title,
        "encoder": raw.artifact.encoder_id,
        "simulated": raw.data_set.simulated is not None,
        "threshold_per_id": per_id,
        "normalised_per_id": normalise,
        "repooled": pooling,
        "n_excluded": assessment.n_excluded,
        "refused": list(assessment.refused),
        **summary,
        "made_from": made_from(assessment, rule=rule, rule_value=rule_value, seed=seed),
    }
    if imported is not None:
        other = with_imported(raw, imported, title=imported_name)
        report["imported"] = _compared(assessment, other, rule=rule, rule_value=rule_value, seed=seed)
    if others:
        further = [assess(path, data, machine=machine, ids=ids, normal=normal) for path in others]
        compared = _compared(assessment, with_others(raw, further), rule=rule, rule_value=rule_value, seed=seed)
        members = [{"title": each.title, "version": each.artifact.version} for each in (raw, *further)]
        report["ensemble"] = {**compared, "members": members}
    return report


def check_options(
    *, rule: str | None = None, rule_value: float | None = None, pooling: str | None = None, seed: int = 0
) -> None:
    """Refuse what no clip needs to be scored for.

    Raises
    ------
    UsageError
        An unknown rule or pooling, a value that the rule does not take, a negative seed.
    """
    if rule is not None:
        check_rule(rule, rule_value)
    elif rule_value is not None:
        raise UsageError(f"a rule's value ({rule_value}) goes with a rule: name one of {', '.join(RULES)}")
    if pooling is not None and pooling not in POOLINGS:
        raise UsageError(f"pooling must be one of {', '.join(POOLINGS)}; got {pooling!r}")
    if seed < 0:
        raise UsageError(f"seed must be 0 or more, got {seed}")


def check_different(models: Sequence[Path]) -> None:
    """Refuse one version under two names, or named twice: it would be compared or joined with itself.

    Raises
    ------
    UsageError
        The text names it.
    """
    folders = [open_artifact(model).folder.resolve() for model in models]
    if twice := [model for model, folder in zip(models, folders, strict=True) if folders.count(folder) > 1]:
        raise UsageError(f"{twice[-1]} is named twice: name different detectors")


def _compared(
    ours: Assessment, other: Assessment, *, rule: str | None, rule_value: float | None, seed: int
) -> dict[str, Any]:
    summary = summarise_assessment(other, rule=rule, rule_value=rule_value, seed=seed)
    return {"title": other.title, **summary, "difference": difference(ours.scores, other.scores, seed=seed)}


def difference(ours: Scores, other: Scores, *, seed: int = 0) -> dict[str, Any] | None:
    """Return AUC(ours) - AUC(other), pooled, with a paired bootstrap interval and DeLong's p; None for one class."""
    labels = ours.is_anomalous
    try:
        interval = uncertainty.paired_bootstrap(
            labels, ours.anomaly_scores, other.anomaly_scores, n_draws=N_DRAWS, seed=seed
        )
        test = uncertainty.delong(labels, ours.anomaly_scores, other.anomaly_scores)
    except UndefinedMetricError:
        return None
    return {"auc_pooled": interval.estimate, "auc_pooled_ci": [interval.low, interval.high], "p_delong": test.p_value}


def made_from(assessment: Assessment, *, rule: str | None, rule_value: float | None, seed: int) -> dict[str, Any]:
    """Name all that an evaluation depends on."""
    return {
        "version": assessment.artifact.version,
        "test_fingerprint": fingerprint([clip.digest for clip in assessment.scores.clips]),
        "training_fingerprint": assessment.artifact.manifest.data.fingerprint,
        "split": "test",
        "ids": sorted(set(assessment.scores.machine_ids)),
        "rule": rule,
        "rule_value": rule_value,
        "seed": seed,
        "n_draws": N_DRAWS,
        "versions": package_versions(),
    }


def summarise_assessment(
    assessment: Assessment,
    *,
    rule: str | None = None,
    rule_value: float | None = None,
    per_id: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Sum up an assessment by its saved threshold or by a rule; see `summarise_scores`."""
    if rule is None and assessment.saved_threshold is not None:
        threshold = assessment.saved_threshold
    else:
        threshold = threshold_by_rule(
            rule or DEFAULT_RULE, assessment.scores, assessment.heldout, rule_value=rule_value
        )
    return summarise_scores(assessment.scores, threshold, per_id=per_id, seed=seed)


def summarise(artifact: Artifact, scores: Scores, *, seed: int = 0) -> dict[str, Any]:
    """Sum up labelled scores by the detector's saved threshold; see `summarise_scores`."""
    return summarise_scores(scores, artifact.threshold, seed=seed)


def summarise_scores(scores: Scores, threshold: Threshold, *, per_id: bool = False, seed: int = 0) -> dict[str, Any]:
    """Sum up labelled scores: AUCs with intervals, per id, threshold, confusion matrix, per class; JSON values only.

    Parameters
    ----------
    per_id
        Decide each clip by its own id's threshold.

    Raises
    ------
    ThresholdError
        `per_id`, but the ids have no thresholds of their own.
    """
    if per_id and threshold.per_id is None:
        raise ThresholdError(
            f"rule {threshold.rule} gives no threshold for each id: some id has too few held-out clips"
        )
    labels, values, ids = scores.is_anomalous, scores.anomaly_scores, scores.machine_ids
    figures = metrics.per_id(labels, values, ids)
    mean = metrics.mean_over_ids(figures)
    warnings = [f"id {name}: {each.reason}" for name, each in figures.items() if each.reason]
    few = [name for name, each in figures.items() if 0 < each.n_normal < RELIABLE_NORMALS and each.n_anomalous]
    if few:
        warnings.append(f"pauc not reliable: fewer than {RELIABLE_NORMALS} normal clips of id {', '.join(few)}")
    pooled: float | None = None
    try:
        pooled = metrics.auc(labels, values)
    except UndefinedMetricError as error:
        warnings.append(f"auc_pooled: {error}")
    summary: dict[str, Any] = {
        **dict.fromkeys(("auc_pooled_ci", "auc_mean_ci", "pauc_mean_ci")),
        "n_normal": int((~labels).sum()),
        "n_anomalous": int(labels.sum()),
        "auc_pooled": pooled,
        "auc_mean": mean.auc_mean,
        "pauc_mean": mean.pauc_mean,
        "ids_excluded": list(mean.ids_excluded),
        "per_id": {name: _id_json(each) for name, each in figures.items()},
        "warnings": warnings,
    }
    if pooled is not None:
        summary |= _intervals_json(labels, values, ids, seed=seed)
    in_force = threshold.for_ids(ids) if per_id else threshold.value
    return (
        summary | decisions(labels, values, threshold, in_force) | _optimism_json(labels, values, threshold, seed=seed)
    )


def decisions(
    labels: BoolArray, values: FloatArray, threshold: Threshold, in_force: float | FloatArray | None
) -> dict[str, Any]:
    """Sum up what a threshold decides: threshold, confusion, accuracy and per-class figures as JSON values.

    Parameters
    ----------
    in_force
        The threshold's value, or one for each clip; None decides nothing.
    """
    stored = {**threshold.to_json(), "observed_fpr": None}
    if in_force is None:
        return {"threshold": stored, "confusion": None, "accuracy": None, "per_class": None}
    confusion = metrics.confusion_at(labels, values, in_force)
    stored["observed_fpr"] = confusion.fpr
    if confusion.fp + confusion.tn:
        limits = uncertainty.wilson(confusion.fp, confusion.fp + confusion.tn)
        stored["observed_fpr_ci"] = [limits.low, limits.high]
    per_class = {name: asdict(each) for name, each in confusion.per_class().items()}
    return {
        "threshold": stored,
        "confusion": asdict(confusion),
        "accuracy": confusion.accuracy,
        "per_class": per_class,
    }


def _optimism_json(labels: BoolArray, values: FloatArray, threshold: Threshold, *, seed: int) -> dict[str, Any]:
    """Tell, for a rule that used the labels, what it gives on clips it was not chosen on."""
    if not threshold.uses_test_labels:
        return {}
    try:
        found = thresholds.optimism(
            threshold.rule, labels, values, rule_value=threshold.rule_value, prior=threshold.prior, seed=seed
        )
    except UndefinedMetricError:
        return {"optimism": None}
    return {
        "optimism": {"naive": asdict(found.naive), "honest": asdict(found.honest), "n_splits": found.n_splits},
    }


def _id_json(figures: metrics.IdFigures) -> dict[str, Any]:
    return {
        "auc": figures.auc,
        "pauc": figures.pauc,
        "n_normal": figures.n_normal,
        "n_anomalous": figures.n_anomalous,
    }


def _intervals_json(labels: BoolArray, values: FloatArray, ids: Sequence[str], *, seed: int) -> dict[str, Any]:
    intervals = uncertainty.bootstrap(labels, values, machine_ids=ids, seed=seed, n_draws=N_DRAWS)
    names = ("auc_pooled", "auc_mean", "pauc_mean")
    return {f"{name}_ci": [intervals[name].low, intervals[name].high] for name in names if name in intervals}
