"""Choosing another threshold for a trained detector, and saving it as a new version."""

from __future__ import annotations

from pathlib import Path

from asd_core.artifacts.store import Artifact, open_artifact
from asd_core.artifacts.versions import save_threshold, writable_folder
from asd_core.errors import ThresholdError
from asd_core.tasks.assess import threshold_by_rule


def set_threshold(model: Path, rule: str, *, rule_value: float | None = None, reason: str = "") -> Artifact:
    """Save the threshold that a rule takes from the scores kept with a detector.

    Rules that use test labels take the stored scores of labelled test clips. A detector that came with the project
    stays as it is; the new version goes to the folder beside it.

    Raises
    ------
    UsageError
        An unknown rule, or a value out of its range.
    ThresholdError, UndefinedMetricError
        A rule that cannot work on these scores.
    StaleVersionError
        `model` is a version that is no longer current.
    """
    artifact = open_artifact(model)
    scores = artifact.scores
    threshold = threshold_by_rule(rule, scores.of("test").labelled(), scores.of("heldout"), rule_value=rule_value)
    if threshold.value is None:
        raise ThresholdError(f"no threshold: {threshold.reason}")
    return save_threshold(artifact, threshold, folder=writable_folder(artifact.folder.parent), reason=reason)
