"""How good a detector is on labelled clips: figures with intervals, and what other scores of the same clips give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asd_core.artifacts.manifest import CalibrationSummary, promise_of
from asd_core.data.data_set import LabelRow, fingerprint, label_rows
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.data.folders import Skipped
from asd_core.evaluation.comparison import Difference, difference
from asd_core.evaluation.summary import Summary, summarise
from asd_core.evaluation.thresholds import DEFAULT_RULE
from asd_core.evaluation.uncertainty import N_DRAWS
from asd_core.system import typed_json
from asd_core.system.packages import installed_versions
from asd_core.tasks.assess import (
    Assessment,
    assess,
    check_different,
    check_options,
    normalised_by_id,
    repooled,
    threshold_by_rule,
    with_imported,
    with_others,
)

CALIBRATION_KEYS = ("how", "folds", "n_recordings", "recordings_from")


@dataclass(frozen=True)
class MadeFrom:
    """Everything that an evaluation depends on; no time of day.

    Parameters
    ----------
    version
        The detector's.
    test_fingerprint, training_fingerprint
        One digest for the test clips, and one for the clips it was trained on.
    ids
        Machine ids of the test clips, sorted.
    rule, rule_value
        As requested; None for the saved threshold.
    versions
        Python's and the packages'.
    """

    version: str
    test_fingerprint: str
    training_fingerprint: str
    split: str
    ids: tuple[str, ...]
    rule: str | None
    rule_value: float | None
    seed: int
    n_draws: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Compared:
    """Other scores of the same clips, summed up beside a detector's.

    Parameters
    ----------
    difference
        AUC of the detector minus theirs; None where a class is missing.
    members
        Title and version of each member of an ensemble, and whether it was trained on simulated sound; empty for
        imported scores, of whose training nothing is known.
    """

    title: str
    summary: Summary
    difference: Difference | None
    members: tuple[Mapping[str, str | bool], ...] = ()

    @property
    def simulated(self) -> bool:
        """Whether any member of an ensemble was trained on simulated sound."""
        return any(member["simulated"] for member in self.members)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`; `members` and `simulated` are there for an ensemble."""
        gap = None if self.difference is None else self.difference.to_json()
        found = {"title": self.title, **self.summary.to_json(), "difference": gap}
        return found | ({"simulated": self.simulated, "members": list(map(dict, self.members))} if self.members else {})


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Parameters
    ----------
    model
        The folder as given.
    encoder
        Id of the encoder; None for a detector without one.
    simulated, data_simulated
        Whether the detector was trained on simulated sound, and whether the test clips are simulated.
    threshold_per_id, normalised_per_id
        Whether each clip was decided by its own id's threshold, and whether ids were brought to one scale.
    repooled
        The pooling in place of the network's own; None where it is its own.
    n_excluded
        Labelled test clips left out because the detector was fitted or calibrated on them.
    refused
        Of each clip that could not be read, see `AudioError.entry`.
    labels, skipped
        How the labels of the test clips were understood; files that were passed over, by kind.
    warnings
        `code: text` lines on the clips and on the figures.
    calibration
        What the detector's thresholds from normal scores rest on.
    imported, ensemble
        Where requested: imported scores, and the ensemble with further detectors.
    """

    model: Path
    version: str
    detector: str
    title: str
    encoder: str | None
    simulated: bool
    data_simulated: bool
    threshold_per_id: bool
    normalised_per_id: bool
    repooled: str | None
    n_excluded: int
    refused: tuple[Mapping[str, str], ...]
    warnings: tuple[str, ...]
    summary: Summary
    calibration: CalibrationSummary
    made_from: MadeFrom
    imported: Compared | None = None
    ensemble: Compared | None = None
    labels: tuple[LabelRow, ...] = ()
    skipped: Skipped = field(default_factory=Skipped)

    @property
    def promise(self) -> str:
        """What the threshold in force promises, on which condition, and what that rests on: one line for people."""
        return promise_of(self.summary.threshold, self.calibration)

    def to_json(self) -> dict[str, Any]:
        """Return the keys of the `evaluate` command as plain values for `json.dumps`.

        Values of `calibration` are null where an earlier version calibrated the detector.
        """
        others = {"imported": self.imported, "ensemble": self.ensemble}
        return {
            "schema": 1,
            "command": "evaluate",
            "warnings": list(self.warnings),
            "model": str(self.model),
            "version": self.version,
            "detector": self.detector,
            "title": self.title,
            "encoder": self.encoder,
            "simulated": self.simulated,
            "data_simulated": self.data_simulated,
            "threshold_per_id": self.threshold_per_id,
            "normalised_per_id": self.normalised_per_id,
            "repooled": self.repooled,
            "n_excluded": self.n_excluded,
            "refused": list(map(dict, self.refused)),
            "labels": [typed_json.to_json(row) for row in self.labels],
            "skipped": self.skipped.to_json(),
            **{key: value for key, value in self.summary.to_json().items() if key != "warnings"},
            "calibration": {key: getattr(self.calibration, key) for key in CALIBRATION_KEYS},
            "made_from": typed_json.to_json(self.made_from),
            **{key: each.to_json() for key, each in others.items() if each is not None},
        }


def evaluate(
    model: Path,
    data: Path,
    *,
    machine: str | None = None,
    ids: Sequence[str] | None = None,
    rules: FolderRules = NO_RULES,
    rule: str | None = None,
    rule_value: float | None = None,
    per_id: bool = False,
    normalise: bool = False,
    imported: Mapping[str, float] | None = None,
    imported_name: str = "imported",
    others: Sequence[Path] = (),
    pooling: str | None = None,
    seed: int = 0,
) -> Evaluation:
    """Score a data set's labelled test clips and sum up.

    Clips that the detector was fitted or calibrated on are left out and counted.

    Parameters
    ----------
    rule, rule_value
        In place of the saved threshold; see `asd_core.evaluation.thresholds.RULES`.
    per_id
        Decide each clip by its own id's threshold.
    normalise
        Bring ids to one scale by their held-out normal scores.
    imported
        Path to imported score: summed up beside the detector, with the paired difference.
    others
        Further detectors: their ensemble with this one is summed up beside it, with the paired difference.
    pooling
        Pool a network's errors over time in this way instead of its own; see `repooled`.
    seed
        Of every resampling.

    Returns
    -------
    Evaluation
        Typed figures; `to_json` gives the keys of the `evaluate` command. The result names everything it
        was made from and no time of day: the same evaluation gives the same bytes.

    Raises
    ------
    DataSetError, ArtifactError
        See `assess`, `repooled` and `with_others`.
    UsageError, ThresholdError
        An unknown rule, or one that cannot work on these scores.
    """
    check_options(rule=rule, rule_value=rule_value, pooling=pooling, seed=seed)
    check_different([model, *others])
    options: dict[str, Any] = {"machine": machine, "ids": ids, "rules": rules}
    raw = assess(model, data, **options)
    if pooling is not None:
        raw = repooled(raw, pooling)
    assessment = normalised_by_id(raw) if normalise else raw
    summary = summarise_assessment(assessment, rule=rule, rule_value=rule_value, per_id=per_id, seed=seed)
    found = Evaluation(
        model=model,
        version=raw.artifact.version,
        detector=raw.artifact.detector_name,
        title=assessment.title,
        encoder=raw.artifact.encoder_id,
        simulated=raw.artifact.simulated,
        data_simulated=raw.data_set.simulated is not None,
        threshold_per_id=per_id,
        normalised_per_id=normalise,
        repooled=pooling,
        n_excluded=assessment.n_excluded,
        refused=assessment.refused,
        labels=label_rows(raw.data_set.index.select(split="test"), {}),
        skipped=raw.data_set.index.skipped,
        warnings=(*assessment.warnings, *summary.ranking.warnings),
        summary=summary,
        calibration=raw.artifact.manifest.calibration,
        made_from=made_from(assessment, rule=rule, rule_value=rule_value, seed=seed),
    )
    if imported is not None:
        other = with_imported(raw, imported, title=imported_name)
        found = replace(found, imported=_compared(assessment, other, rule=rule, rule_value=rule_value, seed=seed))
    if others:
        further = [assess(path, data, **options) for path in others]
        joint = _compared(assessment, with_others(raw, further), rule=rule, rule_value=rule_value, seed=seed)
        members = tuple(map(_member, (raw, *further)))
        found = replace(found, ensemble=replace(joint, members=members))
    return found


def _member(each: Assessment) -> dict[str, str | bool]:
    return {"title": each.title, "version": each.artifact.version, "simulated": each.artifact.simulated}


def _compared(
    ours: Assessment, other: Assessment, *, rule: str | None, rule_value: float | None, seed: int
) -> Compared:
    summary = summarise_assessment(other, rule=rule, rule_value=rule_value, seed=seed)
    return Compared(other.title, summary, difference(ours.scores, other.scores, seed=seed))


def made_from(assessment: Assessment, *, rule: str | None, rule_value: float | None, seed: int) -> MadeFrom:
    """Name everything that an evaluation depends on."""
    return MadeFrom(
        version=assessment.artifact.version,
        test_fingerprint=fingerprint([clip.digest for clip in assessment.scores.clips]),
        training_fingerprint=assessment.artifact.manifest.data.fingerprint,
        split="test",
        ids=tuple(sorted(set(assessment.scores.machine_ids))),
        rule=rule,
        rule_value=rule_value,
        seed=seed,
        n_draws=N_DRAWS,
        versions=installed_versions(),
    )


def summarise_assessment(
    assessment: Assessment,
    *,
    rule: str | None = None,
    rule_value: float | None = None,
    per_id: bool = False,
    seed: int = 0,
) -> Summary:
    """Sum up an assessment by its saved threshold or by a rule; see `asd_core.evaluation.summary.summarise`."""
    if rule is None and assessment.saved_threshold is not None:
        threshold = assessment.saved_threshold
    else:
        threshold = threshold_by_rule(
            rule or DEFAULT_RULE, assessment.scores, assessment.heldout, rule_value=rule_value
        )
    return summarise(assessment.scores, threshold, per_id=per_id, seed=seed)
