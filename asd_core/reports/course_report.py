"""The course report's experiment as repeated here, as values, and the figures that belong to it.

The report's text numbers three figures without data we could redraw, so ours show what its text argues with: the ROC
curves, a normal beside an anomalous clip, and the scores with thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from asd_core.detectors.presets import Differences
from asd_core.evaluation.metrics import ClassFigures, roc_curve
from asd_core.evaluation.summary import Ranking, Summary
from asd_core.features.cache import read_clip
from asd_core.features.log_mel import log_mel
from asd_core.formats import TRAINED_ON_SIMULATED
from asd_core.reports.plots import SPECTROGRAM_DB, heatmap_png
from asd_core.reports.published import (
    LABELLED_RULES,
    LEFT_OPEN,
    PUBLISHED,
    REPORT_ANOMALOUS_TEST_CLIPS,
    REPORT_FITTED_CLIPS,
    REPORT_NORMAL_TEST_CLIPS,
    Published,
    has_report_mix,
)
from asd_core.reports.svg import Curve, histogram_svg, image_svg, roc_svg, stacked_svg
from asd_core.system import typed_json
from asd_core.system.files import replace_file
from asd_core.tasks.assess import Assessment

SIMULATED_NOTE = "Simulated data: generated sound, not recordings. The report's own figures are of real clips."


@dataclass(frozen=True)
class Method:
    """One of the report's detectors as trained here.

    Parameters
    ----------
    simulated
        Whether it was trained on simulated sound.
    n_fitted, n_heldout
        Normal training clips that it was fitted on, and those held out.
    training_seconds, full_seconds_extrapolated
        Time of the training, and what all of the report's clips would take; see `extrapolated_seconds`.
    heldout_loss
        Of the held-out clips after the last epoch; None for the one-class SVM.
    report
        What the report prints about it.
    with_test_labels, without_test_labels
        Judged at a threshold chosen on the test labels by `LABELLED_RULES`, and at one from held-out normal clips.
    other_rules
        Judged at the report's further thresholds, see `OTHER_RULES`.
    unlike_report
        Settings in which it differs from the report's, its own value first.
    mean_spectrum_loss
        What the held-out loss would be if it always predicted the mean spectrum; None where it is not known.
    """

    title: str
    detector: str
    version: str
    simulated: bool
    n_fitted: int
    n_heldout: int
    training_seconds: float
    full_seconds_extrapolated: float | None
    heldout_loss: float | None
    report: Published
    with_test_labels: Summary
    without_test_labels: Summary
    other_rules: Mapping[str, Summary] = field(default_factory=dict)
    unlike_report: Differences = field(default_factory=dict)
    mean_spectrum_loss: float | None = None

    @property
    def decided(self) -> dict[str, Summary]:
        """What decided, in words, to the clips judged by it: the rule that looks at test labels comes first."""
        honest = self.without_test_labels
        return {
            LABELLED_RULES[self.detector].title: self.with_test_labels,
            **self.other_rules,
            f"{honest.threshold.rule} on held-out normal clips, not in the report": honest,
        }

    @property
    def has_report_mix(self) -> bool:
        """Whether the test clips have the report's class mix."""
        return has_report_mix(self.ranking.n_normal, self.ranking.n_anomalous)

    @property
    def ranking(self) -> Ranking:
        """How well it ranks, whatever the threshold."""
        return self.without_test_labels.ranking

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        figures = self.ranking.to_json()
        return {
            "method": self.title,
            "detector": self.detector,
            "simulated": self.simulated,
            "n_fitted": self.n_fitted,
            "n_heldout": self.n_heldout,
            "full_seconds_extrapolated": self.full_seconds_extrapolated,
            "training_seconds": self.training_seconds,
            "heldout_loss": self.heldout_loss,
            "mean_spectrum_loss": self.mean_spectrum_loss,
            "unlike_report": {name: list(pair) for name, pair in self.unlike_report.items()},
            "report": typed_json.to_json(self.report),
            **{key: figures[key] for key in _SHARED},
            "with_test_labels": _decisions_json(self.with_test_labels),
            "without_test_labels": _decisions_json(self.without_test_labels),
            "other_rules": {title: _decisions_json(found) for title, found in self.other_rules.items()},
            "has_report_mix": self.has_report_mix,
            "version": self.version,
        }


_SHARED = ("n_normal", "n_anomalous", "auc_pooled", "auc_pooled_ci", "auc_mean", "auc_mean_ci", "pauc_mean", "per_id")


def _decisions_json(summary: Summary) -> dict[str, Any]:
    told = None if summary.optimism is None else asdict(summary.optimism)
    at_mix = {name: asdict(each) for name, each in at_report_mix(summary).items()} or None
    return {**summary.decisions.to_json(), "per_class_at_report_mix": at_mix, "optimism": told}


def at_report_mix(summary: Summary) -> dict[str, ClassFigures]:
    """Precision, recall and F1 at the same rates among the report's test clips; empty without a threshold."""
    decided = summary.decisions.confusion
    if decided is None:
        return {}
    return decided.per_class_at_mix(n_normal=REPORT_NORMAL_TEST_CLIPS, n_anomalous=REPORT_ANOMALOUS_TEST_CLIPS)


@dataclass(frozen=True)
class Reproduction:
    """The report's experiment as repeated here.

    Parameters
    ----------
    data_simulated
        Whether the clips are simulated; `simulated` says it of the detectors.
    n_train
        Normal training clips, fitted and held out.
    not_run
        `method` and `reason` of what was not run.
    seconds
        Of everything.
    report
        The HTML report.
    figures
        File names beside it to captions.
    """

    preset: str
    ids: tuple[str, ...]
    data_simulated: bool
    n_train: int
    methods: tuple[Method, ...]
    not_run: tuple[Mapping[str, str], ...]
    seconds: float
    report: Path
    figures: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    @property
    def simulated(self) -> bool:
        """Whether any of the detectors was trained on simulated sound."""
        return any(method.simulated for method in self.methods)

    def to_json(self) -> dict[str, Any]:
        """Return the keys of the `reproduce` command as plain values for `json.dumps`."""
        return {
            "schema": 1,
            "command": "reproduce",
            "warnings": list(self.warnings),
            "simulated": self.simulated,
            "data_simulated": self.data_simulated,
            "preset": self.preset,
            "ids": list(self.ids),
            "n_train": self.n_train,
            "left_open": dict(LEFT_OPEN),
            "methods": [method.to_json() for method in self.methods],
            "not_run": list(map(dict, self.not_run)),
            "seconds": self.seconds,
            "report": str(self.report),
            "figures": dict(self.figures),
        }


def write_figures(assessments: Sequence[Assessment], methods: Sequence[Method], out: Path) -> dict[str, str]:
    """Write the three figures as self-contained SVG files.

    Returns
    -------
    dict
        File names to captions, in order.
    """
    note = SIMULATED_NOTE if assessments[0].data_set.simulated is not None else "DCASE 2020 Task 2 recordings."
    if any(each.artifact.simulated for each in assessments):
        note += f" Detectors: {TRAINED_ON_SIMULATED}."
    figures = {
        "figure-1-roc.svg": ("ROC, ids pooled; dots: the report's point where it prints one", _roc(assessments)),
        "figure-2-spectrograms.svg": ("Log-mel spectrograms of a normal and an anomalous clip", _spectra(assessments)),
        "figure-3-scores.svg": ("Scores of both classes, with both kinds of threshold", _scores(assessments, methods)),
    }
    for number, (name, (caption, pictures)) in enumerate(figures.items(), start=1):
        text = stacked_svg(f"Figure {number}. {caption}", pictures, note=note)
        replace_file(out / name, text.encode())
    return {name: caption for name, (caption, _) in figures.items()}


def _roc(assessments: Sequence[Assessment]) -> dict[str, Markup]:
    curves = []
    for each in assessments:
        roc = roc_curve(each.scores.is_anomalous, each.scores.anomaly_scores)
        name = each.artifact.detector_name
        point = PUBLISHED[name].point
        points = () if point is None else (point,)
        curves.append(Curve.of_detector(name, each.title, roc.fpr, roc.tpr, points=points))
    return {"": roc_svg(curves)}


def _spectra(assessments: Sequence[Assessment]) -> dict[str, Markup]:
    first = assessments[0]
    low, high = SPECTROGRAM_DB
    pictures = {}
    for label in ("normal", "anomalous"):
        clip = next(clip for clip in first.clips if clip.label == label)
        frames = log_mel(read_clip(clip.path, channel=first.artifact.channel, span=clip.span).samples)
        png = heatmap_png(frames, low=low, high=high)
        heading = f"{label}{f' ({clip.kind})' if clip.kind else ''}: {clip.shown}; {low:g} to {high:g} dB, 128 bands"
        pictures[heading] = image_svg(png, width=640, height=200, title=heading)
    return pictures


def _scores(assessments: Sequence[Assessment], methods: Sequence[Method]) -> dict[str, Markup]:
    pictures = {}
    for each, method in zip(assessments, methods, strict=True):
        labels, values = each.scores.is_anomalous, each.scores.anomaly_scores
        thresholds = {
            "uses test labels": method.with_test_labels.threshold.value,
            "held-out normal clips": method.without_test_labels.threshold.value,
        }
        pictures[each.title] = histogram_svg(values[~labels], values[labels], thresholds=thresholds, width=640)
    return pictures


def extrapolated_seconds(seconds: float, *, n_fitted: int, preset: str) -> float | None:
    """Training time at the report's counts, in proportion to clips; None where nothing needs it.

    Preset quick draws a fixed number of windows, whatever the number of clips.
    """
    if preset != "paper" or n_fitted >= REPORT_FITTED_CLIPS:
        return None
    return round(seconds * REPORT_FITTED_CLIPS / n_fitted, 1)
