"""What the course report prints, and the tables and figures that set it beside our own results.

The report gives an AUC, a threshold and a table of precision, recall and F1 for its LSTM (Table 1) and its GRU (Table
2); for VGGish with a one-class SVM it prints no AUC. Its text numbers three figures without data we could redraw, so
ours show what its text argues with: the ROC curves, a normal beside an anomalous clip, and the scores with thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from asd_core.audio.reading import read_waveform
from asd_core.evaluation.metrics import roc_curve
from asd_core.features.log_mel import log_mel
from asd_core.formats import area_text, score_text, seconds_text, share_text
from asd_core.reports.html import render
from asd_core.reports.plots import DETECTOR_COLOURS, SPECTROGRAM_DB, heatmap_png
from asd_core.reports.svg import Curve, histogram_svg, image_svg, roc_svg, stacked_svg
from asd_core.system.files import replace_file
from asd_core.tasks.evaluate import Assessment

TEMPLATE = Path(__file__).with_name("templates") / "reproduction.html.j2"
REPORT_TRAINING_CLIPS = 2370
REPORT_FITTED_CLIPS = 1895
"""Of the 2,370, after 20 % of each id are held out."""


@dataclass(frozen=True)
class Published:
    """What the report prints of a method; None where it prints nothing."""

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


def write_figures(assessments: Sequence[Assessment], methods: Sequence[Mapping[str, Any]], out: Path) -> dict[str, str]:
    """Write the three figures as SVG files that stand alone.

    Returns
    -------
    dict
        File names to captions, in order.
    """
    note = SIMULATED_NOTE if assessments[0].data_set.simulated is not None else "DCASE 2020 Task 2 recordings."
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


def _scores(assessments: Sequence[Assessment], methods: Sequence[Mapping[str, Any]]) -> dict[str, Markup]:
    pictures = {}
    for each, row in zip(assessments, methods, strict=True):
        labels, values = each.scores.is_anomalous, each.scores.anomaly_scores
        thresholds = {
            "uses test labels": row["with_test_labels"]["threshold"]["value"],
            "held-out normal clips": row["without_test_labels"]["threshold"]["value"],
        }
        pictures[each.title] = histogram_svg(values[~labels], values[labels], thresholds=thresholds, width=640)
    return pictures


def section(result: Mapping[str, Any], out: Path) -> Markup:
    """HTML on a reproduction: the report's figures beside ours, the figures, what was left open."""
    figures = [
        {"caption": caption, "svg": Markup((out / name).read_text(encoding="utf-8"))}  # noqa: S704 - written above
        for name, caption in result["figures"].items()
    ]
    return Markup(  # noqa: S704 - the template escapes
        render(
            TEMPLATE,
            result=result,
            methods=[_method(row) for row in result["methods"]],
            figures=figures,
            left_open=LEFT_OPEN,
            note=SIMULATED_NOTE,
        )
    )


def _method(row: Mapping[str, Any]) -> dict[str, Any]:
    report = row["report"]
    rows = []
    for words, found in (("chosen on test labels, as in the report", "with_test_labels"), ("", "without_test_labels")):
        decided = row[found]
        rule = decided["threshold"]["rule"]
        rows.append([words or f"from held-out normal clips ({rule})", *_figures(decided)])
    theirs = None
    if report["normal"] is not None:
        numbers = [f"{value:.2f}" for value in (*report["normal"], *report["anomalous"])]
        theirs = ["the report, on real clips", score_text(report["threshold"]), *numbers]
    return {
        "title": row["method"],
        "table": report["table"],
        "rows": [*([theirs] if theirs else []), *rows],
        "auc_report": report_area(report),
        "auc_pooled": area_text(row["auc_pooled"], row.get("auc_pooled_ci")),
        "auc_mean": area_text(row["auc_mean"], row.get("auc_mean_ci")),
        "per_id": ", ".join(f"{name} {area_text(each['auc'])}" for name, each in row["per_id"].items()),
        "time": training_time_text(row),
    }


def _figures(decided: Mapping[str, Any]) -> list[str]:
    per_class = decided["per_class"] or {}
    shares = [
        "" if not per_class or per_class[label][key] is None else f"{per_class[label][key]:.2f}"
        for label in ("normal", "anomalous")
        for key in ("precision", "recall", "f1")
    ]
    return [score_text(decided["threshold"]["value"]), *shares]


def report_area(report: Mapping[str, Any]) -> str:
    """Write the report's pooled AUC, or that it prints none."""
    return "prints none" if report["auc_pooled"] is None else f"{report['auc_pooled']:.4f}"


def training_time_text(row: Mapping[str, Any]) -> str:
    """Write a training's time and, where it saw fewer clips than the report's, what all of them would take."""
    text = f"{seconds_text(row['training_seconds'])} on {row['n_fitted']} clips"
    if row["full_seconds_extrapolated"] is None:
        return text
    return f"{text}; extrapolated to {REPORT_FITTED_CLIPS}: {seconds_text(row['full_seconds_extrapolated'])}"


def extrapolated_seconds(seconds: float, *, n_fitted: int, preset: str) -> float | None:
    """Training time at the report's counts, in proportion to clips; None where nothing needs it.

    Preset quick draws a fixed number of windows, whatever the number of clips.
    """
    if preset != "paper" or n_fitted >= REPORT_FITTED_CLIPS:
        return None
    return round(seconds * REPORT_FITTED_CLIPS / n_fitted, 1)


def as_text(result: Mapping[str, Any]) -> str:
    """Write the comparison for a terminal: one block a method, the report's figure before ours."""
    mark = " (simulated data; the report's figures are of real clips)" if result["simulated"] else ""
    lines = [f"ids {', '.join(result['ids'])}, preset {result['preset']}{mark}"]
    for row in result["methods"]:
        report = row["report"]
        lines += [
            "",
            f"{row['method']}: trained in {training_time_text(row)}",
            f"  AUC pooled   report {report_area(report)}, here {area_text(row['auc_pooled'], row['auc_pooled_ci'])}",
            f"  AUC mean     here {area_text(row['auc_mean'], row['auc_mean_ci'])}, per id "
            + ", ".join(f"{name} {area_text(each['auc'])}" for name, each in row["per_id"].items()),
        ]
        lines += _threshold_lines("nearest to (0, 1), uses test labels", row["with_test_labels"], report)
        lines += _threshold_lines("conformal", row["without_test_labels"], None)
    lines += ["", *(f"not run: {entry['method']}: {entry['reason']}" for entry in result["not_run"])]
    lines += [f"left open by the report: {what}; taken here: {taken}" for what, taken in LEFT_OPEN.items()]
    return "\n".join([*lines, f"report and figures: {result['report']}"])


def _threshold_lines(title: str, found: Mapping[str, Any], report: Mapping[str, Any] | None) -> list[str]:
    theirs = f"report {score_text(report['threshold'])}, here " if report is not None else ""
    lines = [f"  threshold {title}: {theirs}{score_text(found['threshold']['value'])}"]
    for label, each in (found["per_class"] or {}).items():
        ours = "/".join(share_text(each[key]) for key in ("precision", "recall", "f1"))
        published = report[label] if report is not None else None
        table = f"{report['table']}: " if published and report is not None else ""
        beside = f"{table}report {'/'.join(f'{value:.2f}' for value in published)}, here " if published else ""
        lines.append(f"    {label} P/R/F1: {beside}{ours}")
    return lines
