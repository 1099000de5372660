"""One self-contained HTML file on detectors and a data set: figures, pictures, playable clips, and what made them.

No script, no outside request (a content security policy says so too), every text escaped by the template.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from asd_core.artifacts.manifest import TrainingRecord, promise_of
from asd_core.artifacts.store import Artifact
from asd_core.audio.reading import encode_wav
from asd_core.data.folder_rules import NO_RULES, FolderRules
from asd_core.data.simulated.record import load_mask
from asd_core.detectors.contract import Detector
from asd_core.errors import UsageError
from asd_core.evaluation.comparison import difference, holm
from asd_core.evaluation.label_rules import Optimism
from asd_core.evaluation.localisation import LocalisationSummary, localise_all
from asd_core.evaluation.metrics import roc_curve
from asd_core.evaluation.operating import telling_clips, verdict
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.summary import Decisions, Summary
from asd_core.evaluation.thresholds import Threshold
from asd_core.evaluation.uncertainty import difference_text, estimate_of, interval_text
from asd_core.features.cache import read_clip
from asd_core.features.log_mel import log_mel
from asd_core.formats import MISSING, TRAINED_ON_SIMULATED, area_text, rate_text, score_text, seconds_text, share_text
from asd_core.reports.plots import (
    ANOMALOUS_COLOUR,
    MAP_LABELS,
    NORMAL_COLOUR,
    SPECTROGRAM_DB,
    heatmap_png,
    map_limit,
)
from asd_core.reports.svg import Curve, by_id_svg, histogram_svg, roc_svg
from asd_core.system import typed_json
from asd_core.system.files import replace_text
from asd_core.tasks.assess import Assessment, assess, check_different, check_options
from asd_core.tasks.evaluate import MadeFrom, made_from, summarise_assessment
from asd_core.types import AnomalyMap, BoolArray, Waveform

TEMPLATE = Path(__file__).with_name("templates") / "report.html.j2"


@dataclass(frozen=True)
class Report:
    """A report that was written, and the figures in it.

    Parameters
    ----------
    data_simulated
        Whether the test clips are simulated.
    trained_on_simulated
        Whether each detector was trained on simulated sound, in the order of `titles`.
    summaries
        One for each detector, in the order of `titles`.
    """

    out: Path
    data_simulated: bool
    titles: tuple[str, ...]
    trained_on_simulated: tuple[bool, ...]
    summaries: tuple[Summary, ...]

    @property
    def simulated(self) -> bool:
        """Whether any of the detectors was trained on simulated sound."""
        return any(self.trained_on_simulated)

    def to_json(self) -> dict[str, Any]:
        """Return the keys of the `report` command as plain values for `json.dumps`."""
        detectors = zip(self.titles, self.trained_on_simulated, self.summaries, strict=True)
        return {
            "schema": 1,
            "command": "report",
            "warnings": [],
            "out": str(self.out),
            "simulated": self.simulated,
            "data_simulated": self.data_simulated,
            "detectors": [
                {"title": title, "simulated": simulated, **summary.to_json()} for title, simulated, summary in detectors
            ],
        }


@dataclass(frozen=True, eq=False)
class _Entry:
    """A detector with everything the report says about it."""

    assessment: Assessment
    summary: Summary
    made_from: MadeFrom
    detector: Detector


def write_report(
    models: Sequence[Path],
    data: Path,
    out: Path,
    *,
    machine: str | None = None,
    ids: Sequence[str] | None = None,
    rules: FolderRules = NO_RULES,
    rule: str | None = None,
    rule_value: float | None = None,
    seed: int = 0,
) -> Report:
    """Assess each model on the data, write the report to `out`, and return the figures in it.

    Raises
    ------
    UsageError
        No model, or models whose test clips differ.
    DataSetError, ArtifactError
        See `asd_core.tasks.assess.assess`.
    """
    if not models:
        raise UsageError("a report needs at least one model")
    check_options(rule=rule, rule_value=rule_value, seed=seed)
    check_different(models)
    options: dict[str, Any] = {"machine": machine, "ids": ids, "rules": rules}
    assessments = [assess(model, data, **options) for model in models]
    return report_on(assessments, out, rule=rule, rule_value=rule_value, seed=seed)


def report_on(
    assessments: Sequence[Assessment],
    out: Path,
    *,
    rule: str | None = None,
    rule_value: float | None = None,
    seed: int = 0,
    preface: Markup | None = None,
) -> Report:
    """Write the report on clips that are scored already, and return the figures in it.

    Parameters
    ----------
    preface
        HTML to put before the first table.

    Raises
    ------
    UsageError
        Assessments of different test clips.
    """
    _check_same_clips(assessments)
    entries = [
        _Entry(
            each,
            summarise_assessment(each, rule=rule, rule_value=rule_value, seed=seed),
            made_from(each, rule=rule, rule_value=rule_value, seed=seed),
            each.artifact.detector(),
        )
        for each in assessments
    ]
    page = _render(entries, seed=seed, preface=preface or Markup(""))
    replace_text(out, page)
    return Report(
        out,
        data_simulated=assessments[0].data_set.simulated is not None,
        titles=tuple(each.title for each in assessments),
        trained_on_simulated=tuple(each.artifact.simulated for each in assessments),
        summaries=tuple(each.summary for each in entries),
    )


def named(title: str, *, simulated: bool) -> str:
    """Name a detector, and say so where it was trained on simulated sound."""
    return f"{title} ({TRAINED_ON_SIMULATED})" if simulated else title


def _check_same_clips(assessments: Sequence[Assessment]) -> None:
    first = [clip.digest for clip in assessments[0].scores.clips]
    for other in assessments[1:]:
        if [clip.digest for clip in other.scores.clips] != first:
            raise UsageError(
                f"{other.artifact.folder} was trained on other clips, so that its test clips differ: "
                "one report compares detectors on the same clips"
            )


def render(template: Path, **values: Any) -> str:
    """Fill a template; everything but `Markup` is escaped, and a missing value is an error."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template.read_text(encoding="utf-8")).render(**values)


def _render(entries: Sequence[_Entry], *, seed: int, preface: Markup) -> str:
    first, ranking = entries[0].assessment, entries[0].summary.ranking
    assessments = [each.assessment for each in entries]
    return render(
        TEMPLATE,
        preface=preface,
        title=f"Anomalous sound detection: {first.data_set.index.machine}, {first.data_set.name}",
        colours={"normal": NORMAL_COLOUR, "anomalous": ANOMALOUS_COLOUR},
        data_simulated=first.data_set.simulated is not None,
        simulated=[each.title for each in assessments if each.artifact.simulated],
        machine=first.data_set.index.machine,
        data_set=first.data_set.name,
        n_normal=ranking.n_normal,
        n_anomalous=ranking.n_anomalous,
        n_excluded=max(each.n_excluded for each in assessments),
        seed=seed,
        warnings=list(dict.fromkeys(line for each in entries for line in each.summary.ranking.warnings)),
        ids=list(ranking.per_id),
        roc=_roc(entries),
        entries=list(map(_entry, entries)),
        pairs=_pairs(assessments, seed=seed),
        clips=_clips(entries),
        settings=_settings(entries),
    )


def _roc(entries: Sequence[_Entry]) -> Markup | str:
    labels = entries[0].assessment.scores.is_anomalous
    if labels.all() or not labels.any():
        return "A ROC needs normal and anomalous clips."
    curves = []
    for entry in entries:
        each = entry.assessment
        roc = roc_curve(labels, each.scores.anomaly_scores)
        label = f"{each.title}, {area_text(estimate_of(entry.summary.ranking.auc_pooled))}"
        curves.append(Curve.of_detector(each.artifact.detector_name, label, roc.fpr, roc.tpr))
    return roc_svg(curves)


def _entry(entry: _Entry) -> dict[str, Any]:
    assessment, summary = entry.assessment, entry.summary
    threshold, scores = summary.threshold, assessment.scores
    labels, values = scores.is_anomalous, scores.anomaly_scores
    return {
        "title": assessment.title,
        "name": named(assessment.title, simulated=assessment.artifact.simulated),
        **{name: interval_text(area) for name, area in summary.ranking.areas.items()},
        "per_id": {
            name: f"{area_text(each.auc)} ({area_text(each.pauc)})" for name, each in summary.ranking.per_id.items()
        },
        "threshold": score_text(threshold.value),
        "rule": threshold.rule,
        "uses_labels": threshold.uses_test_labels,
        "promised": share_text(threshold.promised_fpr),
        "calibrated": _calibrated(assessment.artifact, threshold),
        "observed": _observed(summary.decisions),
        "optimism": _optimism(summary.optimism),
        "confusion": _confusion(summary.decisions),
        "histogram": histogram_svg(values[~labels], values[labels], thresholds={"": threshold.value}),
        "by_id": by_id_svg(_by_id(scores), threshold=threshold.value),
        "localisation": _localisation(assessment, entry.detector),
        "trained": _trained(assessment.artifact),
    }


def _trained(artifact: Artifact) -> str:
    manifest = artifact.manifest
    kind = "simulated normal" if artifact.simulated else "normal"
    return (
        f"Trained {manifest.created_at[:10]} with preset {manifest.preset} on "
        f"{len(manifest.data.fitted_digests)} {kind} clips in {seconds_text(manifest.training.seconds)}; "
        f"version {artifact.version}; encoder {artifact.encoder_title or 'none'}.{_against_mean(manifest.training)}"
    )


def _against_mean(training: TrainingRecord) -> str:
    loss, of_mean = training.heldout_loss, training.mean_spectrum_loss
    if loss is None or of_mean is None:
        return ""
    level = f"held-out loss {score_text(loss)}; always predicting the mean spectrum would give {score_text(of_mean)}"
    better = training.beats_mean_spectrum
    return f" Its {level}{'' if better else ': the network is no better than that, and its scores mean little'}."


def _calibrated(artifact: Artifact, threshold: Threshold) -> str:
    """Say which scores the threshold comes from, and what it promises on which condition."""
    calibration = artifact.manifest.calibration
    origin = ""
    if not threshold.uses_test_labels and threshold.rule != "manual":
        origin = f"Calibrated on {calibration.clips_text(threshold.n_calibration)}. "
    return f"{origin}Promise: {promise_of(threshold, calibration)}."


def _observed(decisions: Decisions) -> str:
    confusion, observed = decisions.confusion, decisions.observed_fpr
    if confusion is None:
        return MISSING
    text = rate_text(confusion.fp, confusion.n_normal)
    if observed is None:
        return text
    return f"{text}, 95 % interval {share_text(observed.low)} to {share_text(observed.high)}"


def _optimism(found: Optimism | None) -> str:
    if found is None:
        return ""
    naive, honest = found.naive, found.honest
    return (
        f"Chosen on one half of the clips and judged on the other, over {found.n_splits} splits: "
        f"F1 {honest.f1:.3f} instead of {naive.f1:.3f}, "
        f"false-alarm rate {share_text(honest.fpr)} instead of {share_text(naive.fpr)}."
    )


def _confusion(decisions: Decisions) -> list[tuple[str, list[str], list[str]]]:
    """Return a row of each class: name, clips judged normal and anomalous, figures; none without a threshold."""
    counts = decisions.confusion
    if counts is None:
        return []
    judged = {"normal": (counts.tn, counts.fp), "anomalous": (counts.fn, counts.tp)}
    return [
        (name, [f"{n:,}" for n in judged[name]], [share_text(each.precision), share_text(each.recall), _f1(each.f1)])
        for name, each in decisions.per_class.items()
    ]


def _f1(value: float | None) -> str:
    return MISSING if value is None else area_text(value)


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
            waveform = read_clip(clip.path, channel=assessment.artifact.channel, span=clip.span)
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
        interval_text(found.pixel_auc),
        interval_text(found.time_auc),
        interval_text(found.hit_rate),
        chance,
    ]


def _pairs(assessments: Sequence[Assessment], *, seed: int) -> list[dict[str, str]]:
    """Compare each detector with each other one; p-values adjusted by Holm where there are several pairs."""
    tested = [
        (f"{one.title} minus {other.title}", found)
        for one, other in combinations(assessments, 2)
        if (found := difference(one.scores, other.scores, seed=seed)) is not None
    ]
    adjusted = holm([found.p_value for _, found in tested])
    return [
        {
            "names": names,
            "mean": difference_text(found.auc_mean),
            "p": _p_text(found.p_value),
            "p_holm": _p_text(p_holm),
            "pooled": difference_text(found.auc_pooled),
            "p_pooled": _p_text(found.p_pooled),
        }
        for (names, found), p_holm in zip(tested, adjusted, strict=True)
    ]


def _p_text(p_value: float | None) -> str:
    return MISSING if p_value is None else f"{p_value:.2g}"


def _clips(entries: Sequence[_Entry]) -> list[dict[str, Any]]:
    scores = entries[0].assessment.scores
    chosen = telling_clips(scores.is_anomalous, scores.anomaly_scores, entries[0].summary.threshold.value)
    return [{"why": why, **_clip(entries, row)} for why, row in chosen.items()]


def _clip(entries: Sequence[_Entry], row: int) -> dict[str, Any]:
    """A clip to hear, with its spectrogram and every detector's map of it."""
    first = entries[0].assessment
    clip = first.clips[row]
    waveform = read_clip(clip.path, channel=first.artifact.channel, span=clip.span)
    low, high = SPECTROGRAM_DB
    return {
        "name": _clip_name(first.scores.clips[row]),
        "audio": data_uri("audio/wav", encode_wav(waveform.samples)),
        "range": f"{low:g} to {high:g} dB",
        "spectrogram": data_uri("image/png", heatmap_png(log_mel(waveform.samples), low=low, high=high)),
        "maps": [_map(each, waveform) for each in entries],
    }


def _map(entry: _Entry, waveform: Waveform) -> dict[str, str]:
    score, heard = entry.detector.anomaly_score_and_map(waveform)
    found, threshold = heard.values, entry.summary.threshold.value
    png = scale = ""
    if found.shape[1] > 1:
        high = map_limit(found, threshold, unit=heard.unit)
        png = data_uri("image/png", heatmap_png(found, low=0.0, high=high, palette="magma"))
        scale = f"{MAP_LABELS[heard.unit]}, 0 to {score_text(high)}"
    judged = verdict(score, threshold) or "no threshold"
    assessment = entry.assessment
    name = named(assessment.title, simulated=assessment.artifact.simulated)
    return {"title": name, "score": score_text(score), "verdict": judged, "png": png, "scale": scale}


def _clip_name(clip: ScoredClip) -> str:
    return f"{clip.shown}{f' ({clip.kind})' if clip.kind else ''}"


def _settings(entries: Sequence[_Entry]) -> list[tuple[str, str]]:
    rows = [
        (f"{each.assessment.title}: settings", _flat(each.assessment.artifact.manifest.settings)) for each in entries
    ]
    for each in entries:
        table = typed_json.to_json(each.made_from)
        rows += [(f"{each.assessment.title}: {name}", _flat(value)) for name, value in table.items()]
    return rows


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def data_uri(kind: str, content: bytes) -> str:
    """Write a picture or a sound as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
