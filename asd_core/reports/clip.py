"""A report on one clip as a single HTML file: its sound, its pictures, and what each detector makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from asd_core.artifacts.manifest import promise_of
from asd_core.artifacts.store import Artifact
from asd_core.audio.reading import encode_wav
from asd_core.evaluation.common_scale import on_common_scale
from asd_core.evaluation.operating import verdict
from asd_core.features.log_mel import log_mel
from asd_core.formats import TRAINED_ON_SIMULATED, score_text, seconds_text
from asd_core.reports.html import data_uri, named, render
from asd_core.reports.plots import (
    ANOMALOUS_COLOUR,
    DETECTOR_COLOURS,
    MAP_LABELS,
    NORMAL_COLOUR,
    SPECTROGRAM_DB,
    heatmap_png,
    map_limit,
)
from asd_core.types import AnomalyMap, Waveform

TEMPLATE = Path(__file__).with_name("templates") / "clip.html.j2"
CANNOT_JUDGE = "cannot judge"


@dataclass(frozen=True, eq=False)
class Judged:
    """What one detector makes of the clip.

    Parameters
    ----------
    anomaly_map
        From the same pass as the score.
    remarks
        What its verdict must be read with, in words.
    """

    artifact: Artifact
    anomaly_score: float
    anomaly_map: AnomalyMap
    remarks: Sequence[str] = ()


def clip_report(
    waveform: Waveform,
    judged: Sequence[Judged],
    *,
    title: str,
    summary: str,
    notes: Sequence[str] = (),
    now: datetime | None = None,
) -> str:
    """Write the report; it needs no other file and runs no script.

    Parameters
    ----------
    title
        What the clip is called.
    summary
        The verdicts in one sentence.
    notes
        What is odd about the recording.
    now
        Date of the report; the present by default.
    """
    low, high = SPECTROGRAM_DB
    return render(
        TEMPLATE,
        title=title,
        summary=summary,
        notes=list(notes),
        colours={"normal": NORMAL_COLOUR, "anomalous": ANOMALOUS_COLOUR},
        simulated=[each.artifact.title for each in judged if each.artifact.simulated],
        trained_on_simulated=TRAINED_ON_SIMULATED,
        made_at=(now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        duration=seconds_text(waveform.duration_s),
        digest=waveform.digest,
        audio=data_uri("audio/wav", encode_wav(waveform.samples)),
        spectrogram=data_uri("image/png", heatmap_png(log_mel(waveform.samples), low=low, high=high)),
        range=f"{low:g} to {high:g} dB",
        detectors=[_detector(each, waveform.duration_s) for each in judged],
    )


def _detector(judged: Judged, duration_s: float) -> dict[str, object]:
    artifact, manifest = judged.artifact, judged.artifact.manifest
    threshold, normal = artifact.threshold, artifact.scores.of("heldout").anomaly_scores
    word = verdict(judged.anomaly_score, threshold.value) or CANNOT_JUDGE
    return {
        "name": named(artifact.title, simulated=artifact.simulated),
        "colour": DETECTOR_COLOURS[artifact.detector_name],
        "word": word,
        "score": score_text(judged.anomaly_score),
        "threshold": score_text(threshold.value),
        "place": _place_text(judged),
        "rank": f"{int(np.sum(normal < judged.anomaly_score))} of {len(normal)}" if len(normal) else "none held out",
        "promise": promise_of(threshold, manifest.calibration),
        "rule": threshold.rule,
        "version": artifact.version,
        "trained": f"{manifest.created_at[:10]}, preset {manifest.preset}, {len(manifest.data.fitted_digests)} clips",
        "remarks": list(judged.remarks),
        **_picture(judged, duration_s),
    }


def _place_text(judged: Judged) -> str:
    threshold = judged.artifact.threshold.value
    if threshold is None:
        return "–"
    normal = judged.artifact.scores.of("heldout").anomaly_scores
    return f"{float(on_common_scale(judged.anomaly_score, threshold=threshold, normal_scores=normal)):.2f}"


def _picture(judged: Judged, duration_s: float) -> dict[str, str]:
    """The map as a picture, with its scale and its place below the spectrogram; empty for a map over time only."""
    found = judged.anomaly_map
    if found.values.shape[1] == 1:
        return {"png": "", "scale": "", "place_css": ""}
    high = map_limit(found.values, judged.artifact.threshold.value, unit=found.unit)
    png = heatmap_png(found.values, low=0.0, high=high, palette="magma")
    return {
        "png": data_uri("image/png", png),
        "scale": f"{MAP_LABELS[found.unit]}, 0 to {score_text(high)}",
        "place_css": _place_css(found, duration_s),
    }


def _place_css(found: AnomalyMap, duration_s: float) -> str:
    """Put a map below the stretch that it covers: a network says nothing of the clip's first frames."""
    steps = found.times_s
    half_step = float(steps[1] - steps[0]) / 2 if len(steps) > 1 else duration_s / 2
    start_s, end_s = max(0.0, float(steps[0]) - half_step), min(duration_s, float(steps[-1]) + half_step)
    return f"margin-left: {100 * start_s / duration_s:.2f}%; width: {100 * (end_s - start_s) / duration_s:.2f}%"
