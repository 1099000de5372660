"""A detector's scores of labelled test clips, and variants of them on the same clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asd_core.artifacts.manifest import ManifestData
from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.data.clips import Clip
from asd_core.data.data_set import DataSet, FileClips, open_data_set, readable
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.data.label_differences import label_differences
from asd_core.detectors.contract import POOLINGS, Detector
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.errors import DataSetError, UsageError
from asd_core.evaluation import label_rules, thresholds
from asd_core.evaluation.ensemble import combine
from asd_core.evaluation.imported import rescore
from asd_core.evaluation.normalisation import fit_id_scales, normalise_ids
from asd_core.evaluation.scores import Scores
from asd_core.evaluation.thresholds import RULES, Threshold, check_rule
from asd_core.tasks.calibrate import scored


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


def check_options(
    *, rule: str | None = None, rule_value: float | None = None, pooling: str | None = None, seed: int = 0
) -> None:
    """Check options before any clip is scored.

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


def assess(
    model: Path,
    data: Path,
    *,
    machine: str | None = None,
    ids: Sequence[str] | None = None,
    rules: FolderRules = NO_RULES,
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
    options = {"ids": ids, "seed": detector.seed, "rules": rules}
    data_set = open_for(artifact, data, machine=machine, **options)
    found = readable(data_set.index.select(split="test"), channel=artifact.channel, min_samples=detector.min_samples)
    labelled = [row for row, clip in enumerate(found.clips) if clip.label != "unlabelled"]
    kept = [row for row in labelled if not artifact.was_trained_on(found.digests[row])]
    if not kept:
        raise DataSetError(
            f"{data_set.index.root} has no labelled test clips that the detector was not trained on; put recordings "
            "that it has not heard into test/normal, and those of faults into test/faulty"
        )
    clips = FileClips(tuple(found.clips[row] for row in kept), artifact.channel)
    scores = scored(detector, clips, "test", [found.digests[row] for row in kept])
    warnings = [*label_differences(clips.clips, channel=artifact.channel), *found.warnings]
    if data_set.index.machine != artifact.manifest.data.machine:
        warnings.append(f"other_machine: trained on {artifact.manifest.data.machine}")
    warnings += _segment_warnings(artifact.manifest.data, rules)
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


def _segment_warnings(trained_on: ManifestData, rules: FolderRules) -> list[str]:
    """Warn of recordings cut in another way than for the training: their clips are not known by digest then."""
    asked, had = ((each.segment_s, each.hop_s or each.segment_s) for each in (rules, trained_on))
    if rules.segment_s is None or trained_on.segment_s is None or asked == had:
        return []
    return [
        f"other_segments: trained on clips of {trained_on.segment_s:g} s, tested on {rules.segment_s:g} s: recordings "
        "that were trained on may be among the test clips; test on others, or on clips of the same length "
        "(leave out --segment)"
    ]


def open_for(artifact: Artifact, data: Path, *, machine: str | None = None, **options: Any) -> DataSet:
    """Open a data set for a detector: its own machine, where the folder holds several and none is given.

    `seed` is the training's: own recordings have no test split, and the seed says which clips were left for testing.
    So do `rules`; what they leave open is as in the training.

    Raises
    ------
    DataSetError
        See `asd_core.data.data_set.open_data_set`.
    """
    trained_on = artifact.manifest.data.machine
    options["rules"] = options.get("rules", NO_RULES).completed_by(artifact.manifest.data.rules)
    try:
        return open_data_set(data, machine=machine, **options)
    except DataSetError:
        if machine is not None or not (data / trained_on).is_dir():
            raise
        return open_data_set(data, machine=trained_on, **options)


def repooled(assessment: Assessment, pooling: str) -> Assessment:
    """Pool a network's errors over time in another way: same weights, test and held-out clips scored again.

    The saved threshold no longer applies.

    A network that was cross-fitted has heard all of its clips: nothing is left for a threshold without labels.

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
    if artifact.manifest.calibration.how == "cross_fit":
        return _repooled(assessment, detector, pooling, heldout=Scores(()))
    paths = {clip.path for clip in assessment.heldout.clips}
    again = (clip for clip in assessment.data_set.index.clips if clip.relative in paths)
    found = readable(again, channel=artifact.channel, min_samples=detector.min_samples)
    if missing := {clip.digest for clip in assessment.heldout.clips} - set(found.digests):
        raise DataSetError(
            f"another pooling needs the detector's {len(paths)} held-out clips again, and {len(missing)} of them are "
            f"not in {root}: evaluate on the data set it was trained on, with all its ids"
        )
    heldout = scored(detector, FileClips(found.clips, artifact.channel), "heldout", found.digests)
    return _repooled(
        assessment, detector, pooling, heldout=replace(heldout, keeps_promises=assessment.heldout.keeps_promises)
    )


def _repooled(assessment: Assessment, detector: Detector, pooling: str, *, heldout: Scores) -> Assessment:
    digests = [clip.digest for clip in assessment.scores.clips]
    return replace(
        assessment,
        title=f"{assessment.title}, pooled by {pooling}",
        scores=scored(detector, FileClips(assessment.clips, assessment.artifact.channel), "test", digests),
        heldout=heldout,
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
    return replace(scores, clips=tuple(clips))


def with_imported(assessment: Assessment, imported: Mapping[str, float], *, title: str) -> Assessment:
    """Put imported scores in place of the detector's, on the same clips.

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
        return label_rules.from_labelled_scores(rule, scores.is_anomalous, scores.anomaly_scores, rule_value=rule_value)
    return thresholds.from_normal_scores(
        rule,
        heldout.anomaly_scores,
        rule_value=rule_value,
        machine_ids=heldout.machine_ids,
        keeps_promises=heldout.keeps_promises,
    )
