"""What a rule did to find the threshold, in one plain sentence, and what it promises on how many recordings."""

from __future__ import annotations

import math

from asd_core.artifacts.manifest import CalibrationSummary, promise_of
from asd_core.artifacts.store import Artifact
from asd_core.evaluation.thresholds import ROUNDING, Threshold
from asd_core.formats import counted
from pages.shared.plain_text import plain
from pages.shared.rules import rule_title

OF_LABELS = {
    "closest_topleft": "The ROC point nearest to the top-left corner: no false alarm, every fault found",
    "youden": "The ROC point with the largest detection rate minus false-alarm rate (Youden index)",
    "best_f1": "The ROC point with the largest F1 of the anomalous class",
    "target_tpr": "The ROC point with the fewest false alarms that still finds {share} of the faults",
    "target_fpr": "The ROC point that finds most faults with at most {share} false alarms",
    "cost": "The ROC point of least expected cost, a miss costing {number} times a false alarm{prior}",
}
OF_NORMAL = {
    "conformal": "Just above the {rank} highest score of {clips}",
    "quantile": "Just above the score that {share} of {clips} do not exceed",
    "gamma": "A gamma distribution fitted to the scores of {clips}, at its {share} quantile",
    "mean_std": "The mean score of {clips} plus {number} standard deviations",
    "highest": "Just above the highest score of {clips}: one odd clip decides where it lies",
}


def rule_line(artifact: Artifact, origin: Threshold) -> str:
    """Say in Markdown how a threshold came about, what it promises, and on how many recordings and clips it rests.

    Parameters
    ----------
    artifact
        The detector whose scores it is for.
    origin
        The threshold, with its rule.
    """
    calibration = artifact.manifest.calibration
    if origin.rule == "manual":
        return "Set by hand: it promises nothing."
    if origin.rule == "zero":
        return "At 0, where the one-class SVM draws its own boundary, whatever new clips score: it promises nothing."
    if origin.uses_test_labels:
        clips = counted(origin.n_calibration, "test clip")
        return (
            f"{_filled(OF_LABELS[origin.rule], origin, calibration)}. **Uses test labels:** chosen on the labels of "
            f"the {clips} that judge it, so its figures are optimistic. It promises nothing."
        )
    if origin.value is None:
        return f"No threshold: {plain(origin.reason or 'the rule gave none')}."
    return f"{_filled(OF_NORMAL[origin.rule], origin, calibration)}. {_promise(origin, calibration)}"


def _filled(words: str, origin: Threshold, calibration: CalibrationSummary) -> str:
    value, n = origin.rule_value or 0.0, origin.n_calibration
    if origin.per_id is not None:
        return f"A threshold for each machine id, from its own clips by one rule: {rule_title(origin.rule)}"
    return words.format(
        rank=ordinal(max(1, math.floor((n + 1) * value + ROUNDING))),
        share=f"{100 * value:.4g} %",
        number=f"{value:.4g}",
        clips=calibration.clips_text(n),
        prior="" if origin.prior is None else f", if {100 * origin.prior:.3g} % of clips are anomalous",
    )


def _promise(origin: Threshold, calibration: CalibrationSummary) -> str:
    if origin.promised_fpr is None or origin.provisional:
        promise = promise_of(origin, calibration)
        said = "It promises nothing" if promise == "no promise" else f"{promise[:1].upper()}{promise[1:]}"
        return f"**{said}.** {_basis(origin, calibration)}."
    return f"**Promise:** {promise_of(origin, calibration)} ({counted(origin.n_calibration, 'clip')})."


def _basis(origin: Threshold, calibration: CalibrationSummary) -> str:
    return f"It rests on {calibration.basis} ({counted(origin.n_calibration, 'clip')})"


def ordinal(n: int) -> str:
    """Write a place from 1 on: `1st`, `2nd`, `3rd`, `11th`, `22nd`."""
    if n % 100 in (11, 12, 13):
        return f"{n}th"
    return f"{n}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th') }"
