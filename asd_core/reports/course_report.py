"""What the course report prints, and the tables and figures that set it beside our own results.

The report gives an AUC, a threshold and a table of precision, recall and F1 for its LSTM (Table 1) and its GRU (Table
2); for VGGish with a one-class SVM it prints no AUC. Its text numbers three figures without data we could redraw, so
ours show what its text argues with: the ROC curves, a normal beside an anomalous clip, and the scores with thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from asd_core.audio.reading import read_waveform
from asd_core.evaluation.metrics import ClassFigures, roc_curve
from asd_core.evaluation.summary import Ranking, Summary
from asd_core.evaluation.uncertainty import interval_text
from asd_core.features.log_mel import log_mel
from asd_core.formats import TRAINED_ON_SIMULATED, area_text, score_text, seconds_text, share_text
from asd_core.reports.html import named, render
from asd_core.reports.plots import DETECTOR_COLOURS, SPECTROGRAM_DB, heatmap_png
from asd_core.reports.svg import Curve, histogram_svg, image_svg, roc_svg, stacked_svg
from asd_core.system import typed_json
from asd_core.system.files import replace_file
from asd_core.tasks.assess import Assessment

TEMPLATE = Path(__file__).with_name("templates") / "reproduction.html.j2"
REPORT_TRAINING_CLIPS = 2370
REPORT_FITTED_CLIPS = 1895
"""Of the 2,370, after 20 % of each id are held out."""


@dataclass(frozen=True)
class Published:
    """What the report prints about a detector; None where it prints nothing."""

    table: str | None
    auc_pooled: float | None
    threshold: float | None
    point: tuple[float, float] | None
    normal: tuple[float, float, float] | None
    anomalous: tuple[float, float, float] | None


PUBLISHED: Mapping[str, Published] = {
    "vggish_ocsvm": Published(None, None, None, None, None, None),
    "lstm_predictor": Published("Table 1", 0.9406, 0.001688, None, (0.76, 0.90, 0.82), (0.96, 0.89, 0.92)),
    "gru_autoencoder": Published("Table 2", 0.892, 0.000511, (0.123, 0.80), (0.62, 0.87, 0.72), (0.94, 0.80, 0.87)),
}
"""Table, AUC, threshold, its point (rate of false alarms, rate of hits), and precision, recall, F1 of both classes."""

LEFT_OPEN: Mapping[str, str] = {
    "FFT size, mel scale and power of the log-mel frames": "n_fft 1024, Slaney mel, power 2",
    "scaling of the frames (thresholds near 0.001 imply about [0, 1])": "min-max, limits of the fitted clips",
    "which normal clips are held out": "20 % of each id's training clips (10 % from 1,000 on), by seed",
    "nu and gamma of the one-class SVM": "nu 0.1, gamma 1 / (number of features x variance)",
    "weights of VGGish, and patches to vector": "the public TF-Hub model; 10 patches x 128, laid end to end",
    "direction of the GRU's decoder and what feeds it": "forward, the latent vector at every step",
    "seed and threads": "seed 0 unless asked otherwise, one thread",
}
"""What the report does not say, and what is taken here."""
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
        Judged at a threshold chosen on the test labels, as in the report, and at one from held-out normal clips.
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
            "report": typed_json.to_json(self.report),
            **{key: figures[key] for key in _SHARED},
            "with_test_labels": _decisions_json(self.with_test_labels),
            "without_test_labels": _decisions_json(self.without_test_labels),
            "version": self.version,
        }


_SHARED = ("n_normal", "n_anomalous", "auc_pooled", "auc_pooled_ci", "auc_mean", "auc_mean_ci", "pauc_mean", "per_id")


def _decisions_json(summary: Summary) -> dict[str, Any]:
    told = None if summary.optimism is None else asdict(summary.optimism)
    return {**summary.decisions.to_json(), "optimism": told}


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
    for each, dash in zip(assessments, ("", "7 4", "2 3"), strict=False):
        roc = roc_curve(each.scores.is_anomalous, each.scores.anomaly_scores)
        name = each.artifact.detector_name
        point = PUBLISHED[name].point
        points = () if point is None else (point,)
        curves.append(Curve(each.title, roc.fpr, roc.tpr, DETECTOR_COLOURS[name], dash, points))
    return {"": roc_svg(curves)}


def _spectra(assessments: Sequence[Assessment]) -> dict[str, Markup]:
    first = assessments[0]
    low, high = SPECTROGRAM_DB
    pictures = {}
    for label in ("normal", "anomalous"):
        clip = next(clip for clip in first.clips if clip.label == label)
        frames = log_mel(read_waveform(clip.path, channel=first.artifact.channel).samples)
        png = heatmap_png(frames, low=low, high=high)
        heading = f"{label}{f' ({clip.kind})' if clip.kind else ''}: {clip.relative}; {low:g} to {high:g} dB, 128 bands"
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


def section(result: Reproduction, out: Path) -> Markup:
    """HTML on a reproduction: the report's figures beside ours, the figures, what was left open."""
    figures = [
        {"caption": caption, "svg": Markup((out / name).read_text(encoding="utf-8"))}  # noqa: S704 - written above
        for name, caption in result.figures.items()
    ]
    return Markup(  # noqa: S704 - the template escapes
        render(
            TEMPLATE,
            result=result,
            methods=[_method(each) for each in result.methods],
            figures=figures,
            left_open=LEFT_OPEN,
            n_train_reported=REPORT_TRAINING_CLIPS,
            note=SIMULATED_NOTE,
        )
    )


def _method(method: Method) -> dict[str, Any]:
    report, ranking, honest = method.report, method.ranking, method.without_test_labels
    rows = [
        ["chosen on test labels, as in the report", *_figures(method.with_test_labels)],
        [f"from held-out normal clips ({honest.threshold.rule})", *_figures(honest)],
    ]
    if report.normal is not None and report.anomalous is not None:
        numbers = [f"{value:.2f}" for value in (*report.normal, *report.anomalous)]
        rows.insert(0, ["the report, on real clips", score_text(report.threshold), *numbers])
    return {
        "title": named(method.title, simulated=method.simulated),
        "table": report.table,
        "rows": rows,
        "auc_report": report_area(report),
        "auc_pooled": interval_text(ranking.auc_pooled),
        "auc_mean": interval_text(ranking.auc_mean),
        "per_id": _per_id_text(ranking),
        "time": training_time_text(method),
    }


def _per_id_text(ranking: Ranking) -> str:
    return ", ".join(f"{name} {area_text(each.auc)}" for name, each in ranking.per_id.items())


def _figures(summary: Summary) -> list[str]:
    per_class = summary.decisions.per_class
    classes = [per_class[label] for label in ("normal", "anomalous") if label in per_class]
    figures = [figure for each in classes for figure in precision_recall_f1(each)]
    shares = ["" if value is None else f"{value:.2f}" for value in figures]
    return [score_text(summary.threshold.value), *(shares or [""] * 6)]


def precision_recall_f1(figures: ClassFigures) -> tuple[float | None, float | None, float | None]:
    """Return a class's figures in the order of the report's tables."""
    return figures.precision, figures.recall, figures.f1


def report_area(report: Published) -> str:
    """Write the report's pooled AUC, or that it prints none."""
    return "prints none" if report.auc_pooled is None else f"{report.auc_pooled:.4f}"


def training_time_text(method: Method) -> str:
    """Write a training's time and, where it saw fewer clips than the report's, what all of them would take."""
    text = f"{seconds_text(method.training_seconds)} on {method.n_fitted} clips"
    if method.full_seconds_extrapolated is None:
        return text
    return f"{text}; extrapolated to {REPORT_FITTED_CLIPS}: {seconds_text(method.full_seconds_extrapolated)}"


def extrapolated_seconds(seconds: float, *, n_fitted: int, preset: str) -> float | None:
    """Training time at the report's counts, in proportion to clips; None where nothing needs it.

    Preset quick draws a fixed number of windows, whatever the number of clips.
    """
    if preset != "paper" or n_fitted >= REPORT_FITTED_CLIPS:
        return None
    return round(seconds * REPORT_FITTED_CLIPS / n_fitted, 1)


def as_text(result: Reproduction) -> str:
    """Write the comparison for a terminal: one block per method, the report's figure before ours."""
    mark = " (simulated data; the report's figures are of real clips)" if result.data_simulated else ""
    lines = [f"ids {', '.join(result.ids)}, preset {result.preset}{mark}"]
    for method in result.methods:
        report, ranking = method.report, method.ranking
        lines += [
            "",
            f"{named(method.title, simulated=method.simulated)}: trained in {training_time_text(method)}",
            f"  AUC pooled   report {report_area(report)}, here {interval_text(ranking.auc_pooled)}",
            f"  AUC mean     here {interval_text(ranking.auc_mean)}, per id {_per_id_text(ranking)}",
        ]
        lines += _threshold_lines("nearest to (0, 1), uses test labels", method.with_test_labels, report)
        lines += _threshold_lines("conformal", method.without_test_labels, None)
    lines += ["", *(f"not run: {entry['method']}: {entry['reason']}" for entry in result.not_run)]
    lines += [f"left open by the report: {what}; taken here: {taken}" for what, taken in LEFT_OPEN.items()]
    return "\n".join([*lines, f"report and figures: {result.report}"])


def _threshold_lines(title: str, found: Summary, report: Published | None) -> list[str]:
    theirs = f"report {score_text(report.threshold)}, here " if report is not None else ""
    lines = [f"  threshold {title}: {theirs}{score_text(found.threshold.value)}"]
    published = {} if report is None else {"normal": report.normal, "anomalous": report.anomalous}
    for label, each in found.decisions.per_class.items():
        ours = "/".join(map(share_text, precision_recall_f1(each)))
        lines.append(f"    {label} P/R/F1: {_beside(report, published.get(label))}{ours}")
    return lines


def _beside(report: Published | None, published: tuple[float, float, float] | None) -> str:
    if report is None or published is None:
        return ""
    return f"{report.table}: report {'/'.join(f'{value:.2f}' for value in published)}, here "
