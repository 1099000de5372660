"""One self-contained HTML file on detectors and a data set: figures, pictures, playable clips, and what made them.

No script, no outside request (a content security policy says so too), every text escaped by the template.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from asd_core.audio.reading import encode_wav, read_waveform
from asd_core.data.simulated.record import load_mask
from asd_core.detectors.contract import Detector
from asd_core.errors import UsageError
from asd_core.evaluation.localisation import LocalisationSummary, localise_all
from asd_core.evaluation.metrics import roc_curve
from asd_core.evaluation.operating import cells
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.evaluation.uncertainty import Interval
from asd_core.features.log_mel import log_mel
from asd_core.formats import MISSING, area_text, rate_text, score_text, seconds_text, share_text
from asd_core.reports.plots import (
    ANOMALOUS_COLOUR,
    DETECTOR_COLOURS,
    NORMAL_COLOUR,
    SPECTROGRAM_DB,
    heatmap_png,
    map_limit,
)
from asd_core.reports.svg import Curve, by_id_svg, histogram_svg, roc_svg
from asd_core.system.files import replace_text
from asd_core.tasks.evaluate import (
    Assessment,
    assess,
    check_different,
    check_options,
    difference,
    made_from,
    summarise_assessment,
)
from asd_core.types import AnomalyMap, BoolArray, Waveform

TEMPLATE = Path(__file__).with_name("templates") / "report.html.j2"
_AREAS = ("auc_mean", "auc_pooled", "pauc_mean")
_DASHES = ("", "7 4", "2 3", "8 3 2 3")


def write_report(
    models: Sequence[Path],
    data: Path,
    out: Path,
    *,
    machine: str | None = None,
    ids: Sequence[str] | None = None,
    normal: str | None = None,
    rule: str | None = None,
    rule_value: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Assess each model on the data, write the report to `out`, and return the figures in it.

    Raises
    ------
    UsageError
        No model, or models whose test clips differ.
    DataSetError, ArtifactError
        See `asd_core.tasks.evaluate.assess`.
    """
    if not models:
        raise UsageError("a report needs at least one model")
    check_options(rule=rule, rule_value=rule_value, seed=seed)
    check_different(models)
    assessments = [assess(model, data, machine=machine, ids=ids, normal=normal) for model in models]
    return report_on(assessments, out, rule=rule, rule_value=rule_value, seed=seed)


def report_on(
    assessments: Sequence[Assessment],
    out: Path,
    *,
    rule: str | None = None,
    rule_value: float | None = None,
    seed: int = 0,
    preface: Markup | None = None,
) -> dict[str, Any]:
    """Write the report on clips that are scored already, and return the figures in it.

    Parameters
    ----------
    preface
        HTML to stand before the first table.

    Raises
    ------
    UsageError
        Assessments of different test clips.
    """
    _check_same_clips(assessments)
    summaries = [summarise_assessment(each, rule=rule, rule_value=rule_value, seed=seed) for each in assessments]
    settings = [made_from(each, rule=rule, rule_value=rule_value, seed=seed) for each in assessments]
    page = _render(assessments, summaries, settings, seed=seed, preface=preface or Markup(""))
    replace_text(out, page)
    return {
        "schema": 1,
        "command": "report",
        "warnings": [],
        "out": str(out),
        "simulated": assessments[0].data_set.simulated is not None,
        "detectors": [{"title": each.title, **summary} for each, summary in zip(assessments, summaries, strict=True)],
    }


def _check_same_clips(assessments: Sequence[Assessment]) -> None:
    first = [clip.digest for clip in assessments[0].scores.clips]
    for other in assessments[1:]:
        if [clip.digest for clip in other.scores.clips] != first:
            raise UsageError(
                f"{other.artifact.folder} was trained on other clips, so that its test clips differ: "
                "one report compares detectors on the same clips"
            )


def render(template: Path, **values: Any) -> str:
    """Fill a template; whatever is not `Markup` is escaped, a missing value is an error."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template.read_text(encoding="utf-8")).render(**values)


def _render(
    assessments: Sequence[Assessment],
    summaries: Sequence[dict[str, Any]],
    made: Sequence[dict[str, Any]],
    *,
    seed: int,
    preface: Markup,
) -> str:
    first = assessments[0]
    detectors = [each.artifact.detector() for each in assessments]
    ids = sorted(set(first.scores.machine_ids))
    return render(
        TEMPLATE,
        preface=preface,
        title=f"Anomalous sound detection: {first.data_set.index.machine}, {first.data_set.name}",
        colours={"normal": NORMAL_COLOUR, "anomalous": ANOMALOUS_COLOUR},
        simulated=first.data_set.simulated is not None,
        machine=first.data_set.index.machine,
        data_set=first.data_set.name,
        n_normal=int((~first.scores.is_anomalous).sum()),
        n_anomalous=int(first.scores.is_anomalous.sum()),
        n_excluded=max(each.n_excluded for each in assessments),
        seed=seed,
        warnings=list(dict.fromkeys(line for summary in summaries for line in summary["warnings"])),
        ids=ids,
        roc=_roc(assessments, summaries),
        entries=[
            _entry(each, summary, detector)
            for each, summary, detector in zip(assessments, summaries, detectors, strict=True)
        ],
        pairs=_pairs(assessments, seed=seed),
        clips=_clips(assessments, summaries, detectors),
        settings=_settings(assessments, made),
    )


def _roc(assessments: Sequence[Assessment], summaries: Sequence[dict[str, Any]]) -> Any:
    labels = assessments[0].scores.is_anomalous
    if labels.all() or not labels.any():
        return "A ROC needs normal and anomalous clips."
    curves = []
    for row, (each, summary) in enumerate(zip(assessments, summaries, strict=True)):
        roc = roc_curve(labels, each.scores.anomaly_scores)
        label = f"{each.title}, {area_text(summary['auc_pooled'])}"
        colour = DETECTOR_COLOURS[each.artifact.detector_name]
        curves.append(Curve(label, roc.fpr, roc.tpr, colour, _DASHES[row % len(_DASHES)]))
    return roc_svg(curves)


def _entry(assessment: Assessment, summary: dict[str, Any], detector: Detector) -> dict[str, Any]:
    threshold, scores = summary["threshold"], assessment.scores
    manifest = assessment.artifact.manifest
    labels, values = scores.is_anomalous, scores.anomaly_scores
    n_fitted = len(manifest["data"]["fitted_digests"])
    return {
        "title": assessment.title,
        **{
            name: area_text(summary[name], summary.get(f"{name}_ci"))
            for name in ("auc_mean", "auc_pooled", "pauc_mean")
        },
        "per_id": {
            name: f"{area_text(each['auc'])} ({area_text(each['pauc'])})" for name, each in summary["per_id"].items()
        },
        "threshold": score_text(threshold["value"]),
        "rule": threshold["rule"],
        "uses_labels": threshold["uses_test_labels"],
        "promised": share_text(threshold["promised_fpr"]),
        "observed": _observed(summary),
        "optimism": _optimism(summary.get("optimism")),
        "confusion": _confusion(summary),
        "histogram": histogram_svg(values[~labels], values[labels], thresholds={"": threshold["value"]}),
        "by_id": by_id_svg(_by_id(scores), threshold=threshold["value"]),
        "localisation": _localisation(assessment, detector),
        "trained": (
            f"Trained {manifest['created_at'][:10]} with preset {manifest['preset']} on {n_fitted} normal clips in "
            f"{seconds_text(manifest['training']['seconds'])}; version {assessment.artifact.version}; "
            f"encoder {assessment.artifact.encoder_title or 'none'}."
        ),
    }


def _observed(summary: dict[str, Any]) -> str:
    confusion = summary["confusion"]
    if confusion is None:
        return MISSING
    limits = summary["threshold"].get("observed_fpr_ci")
    text = rate_text(confusion["fp"], confusion["fp"] + confusion["tn"])
    return text if limits is None else f"{text}, 95 % interval {share_text(limits[0])} to {share_text(limits[1])}"


def _optimism(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    naive, honest = found["naive"], found["honest"]
    return (
        f"Chosen on one half of the clips and judged on the other, over {found['n_splits']} splits: "
        f"F1 {honest['f1']:.3f} instead of {naive['f1']:.3f}, "
        f"false alarms {share_text(honest['fpr'])} instead of {share_text(naive['fpr'])}."
    )


def _confusion(summary: dict[str, Any]) -> list[list[str]]:
    if summary["confusion"] is None:
        return []
    counts, figures = summary["confusion"], summary["per_class"]
    rows = []
    for name, (left, right) in {"normal": ("tn", "fp"), "anomalous": ("fn", "tp")}.items():
        each = figures[name]
        shares = [share_text(each["precision"]), share_text(each["recall"])]
        rows.append([name, str(counts[left]), str(counts[right]), *shares, score_text(each["f1"])])
    return rows


def _by_id(scores: Scores) -> dict[str, Any]:
    labels, values = scores.is_anomalous, scores.anomaly_scores
    names = np.array(scores.machine_ids)
    return {
        name: (values[(names == name) & ~labels], values[(names == name) & labels])
        for name in sorted(set(scores.machine_ids))
    }


def _localisation(assessment: Assessment, detector: Detector) -> dict[str, Any] | None:
    """Rate the maps against the simulated faults' masks, by kind; None for recordings."""
    anomalous = [clip for clip in assessment.clips if clip.label == "anomalous"]
    if assessment.data_set.simulated is None or not anomalous:
        return None
    rows = [_localisation_row(kind, each) for kind, each in localise_all(_masked_maps(assessment, detector)).items()]
    return {"columns": ("clips", "pixel AUC", "time AUC", "pointing hits", "by chance"), "rows": rows}


def _masked_maps(assessment: Assessment, detector: Detector) -> Iterator[tuple[str, AnomalyMap, BoolArray]]:
    root = assessment.data_set.index.root.resolve()
    for clip in assessment.clips:
        if clip.label == "anomalous":
            waveform = read_waveform(clip.path, channel=assessment.artifact.channel)
            yield (
                clip.kind or "any",
                detector.anomaly_map(waveform),
                load_mask(root.parent, f"{root.name}/{clip.relative}"),
            )


def _localisation_row(kind: str, found: LocalisationSummary) -> list[str]:
    chance = share_text(found.chance_of_hit)
    return [
        kind,
        str(found.n_clips),
        _interval(found.pixel_auc),
        _interval(found.time_auc),
        _interval(found.hit_rate),
        chance,
    ]


def _interval(found: Interval | None) -> str:
    return "not defined" if found is None else area_text(found.estimate, (found.low, found.high))


def _pairs(assessments: Sequence[Assessment], *, seed: int) -> list[dict[str, str]]:
    rows = []
    for one, other in combinations(assessments, 2):
        found = difference(one.scores, other.scores, seed=seed)
        if found is not None:
            low, high = found["auc_pooled_ci"]
            p = found["p_delong"]
            rows.append(
                {
                    "names": f"{one.title} minus {other.title}",
                    "difference": f"{found['auc_pooled']:+.3f}",
                    "interval": f"{low:+.3f} to {high:+.3f}",
                    "p": MISSING if p is None else f"{p:.2g}",
                }
            )
    return rows


def _clips(
    assessments: Sequence[Assessment], summaries: Sequence[dict[str, Any]], detectors: Sequence[Detector]
) -> list[dict[str, Any]]:
    chosen = _clips_to_hear(assessments[0].scores, summaries[0]["threshold"]["value"])
    found = []
    for why, row in chosen.items():
        clip = assessments[0].scores.clips[row]
        waveform = read_waveform(assessments[0].clips[row].path, channel=assessments[0].artifact.channel)
        maps = [
            _map(each, summary, detector, waveform)
            for each, summary, detector in zip(assessments, summaries, detectors, strict=True)
        ]
        low, high = SPECTROGRAM_DB
        found.append(
            {
                "why": why,
                "name": _clip_name(clip),
                "audio": _data_uri("audio/wav", encode_wav(waveform.samples)),
                "range": f"{low:g} to {high:g} dB",
                "spectrogram": _data_uri("image/png", heatmap_png(log_mel(waveform.samples), low=low, high=high)),
                "maps": maps,
            }
        )
    return found


def _clips_to_hear(scores: Scores, threshold: float | None) -> dict[str, int]:
    """Pick by rule: the loudest false alarm, the strongest miss, the clearest true alarm, the most ordinary clip."""
    if threshold is None:
        return {"Highest score": int(scores.anomaly_scores.argmax())}
    names, values = cells(scores.is_anomalous, scores.anomaly_scores, threshold), scores.anomaly_scores
    picks = {
        "False alarm with the highest score": ("false alarm", -np.inf, np.argmax),
        "Miss with the lowest score": ("miss", np.inf, np.argmin),
        "True alarm with the highest score": ("true alarm", -np.inf, np.argmax),
        "Normal clip with the lowest score": ("true normal", np.inf, np.argmin),
    }
    return {
        why: int(pick(np.where(names == cell, values, empty)))
        for why, (cell, empty, pick) in picks.items()
        if (names == cell).any()
    }


def _map(assessment: Assessment, summary: dict[str, Any], detector: Detector, waveform: Waveform) -> dict[str, str]:
    score, heard = detector.anomaly_score_and_map(waveform)
    found, threshold = heard.values, summary["threshold"]["value"]
    png = ""
    if found.shape[1] > 1:
        png = _data_uri("image/png", heatmap_png(found, low=0.0, high=map_limit(found, threshold), palette="magma"))
    verdict = "no threshold" if threshold is None else _verdict(score, threshold)
    return {"title": assessment.title, "score": score_text(score), "verdict": verdict, "png": png}


def _verdict(score: float, threshold: float) -> str:
    return "anomalous" if is_anomalous(score, threshold) else "normal"


def _clip_name(clip: ScoredClip) -> str:
    return f"{clip.path}{f' ({clip.kind})' if clip.kind else ''}"


def _settings(assessments: Sequence[Assessment], made: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    rows = [(f"{each.title}: settings", _flat(each.artifact.manifest["settings"])) for each in assessments]
    for each, table in zip(assessments, made, strict=True):
        rows += [(f"{each.title}: {name}", _flat(value)) for name, value in table.items()]
    return rows


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
