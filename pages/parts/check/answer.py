"""The answer on a clip: one sentence, and one gauge per detector on a common scale."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.evaluation.common_scale import on_common_scale
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.formats import TRAINED_ON_SIMULATED, counted
from asd_core.reports.plots import DETECTOR_COLOURS, DETECTOR_SHORT_NAMES
from asd_core.types import FloatArray, Waveform
from pages.shared.cache import Heard
from pages.shared.cards import OLD_MEANING, mark_address, promise_text
from pages.shared.components.gauges import Gauge, gauges
from pages.shared.listening import frequency_text, strangest_place
from pages.shared.plain_text import warning_text
from pages.shared.verdicts import NO_VERDICT, verdict_word

ONLY_SIMULATED = "compared with simulated sound, not with your machine"


def answer(
    artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard], waveform: Waveform, *, is_recording: bool
) -> None:
    """Say what the detectors make of a clip, and draw how far its scores are from their thresholds.

    Parameters
    ----------
    is_recording
        Whether the clip is the reader's own: detectors that learned from simulated sound say little about that.
    """
    known = f" ({ONLY_SIMULATED})" if is_recording and all(artifacts[name].simulated for name in heard) else ""
    st.markdown(f"## {_icon(artifacts, heard)} {answer_text(artifacts, heard)}{known}")
    gauges([_gauge(artifacts[name], each, waveform) for name, each in heard.items()], key="gauges")


def answer_text(artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard]) -> str:
    """Say in one sentence how many detectors call a clip anomalous, and where the clearest of them hears it most."""
    judging = [name for name in heard if artifacts[name].threshold.value is not None]
    if not judging:
        return "Cannot judge: no threshold is known yet"
    alarmed = _alarmed(artifacts, heard)
    n = counted(len(judging), "detector")
    silent = len(heard) - len(judging)
    rest = f"; {silent} cannot judge" if silent else ""
    if not alarmed:
        all_of = {1: "1 of 1 detector", 2: "Both detectors"}.get(len(judging), f"All {n}")
        return f"{all_of}: normal{rest}"
    split = "; they disagree" if len(alarmed) < len(judging) else ""
    return f"{len(alarmed)} of {n}: anomalous{_where(artifacts, heard, alarmed)}{split}{rest}"


def _alarmed(artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard]) -> list[str]:
    """Names of the detectors that call the clip anomalous."""
    thresholds = {name: artifacts[name].threshold.value for name in heard}
    return [
        name
        for name, threshold in thresholds.items()
        if threshold is not None and bool(is_anomalous(heard[name].anomaly_score, threshold))
    ]


def _where(artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard], alarmed: list[str]) -> str:
    """Name the strangest place in the map of the detector that is furthest above its threshold, where maps have bands.

    A map over time only points at hardly more than chance: see `pages.shared.listening.loudest_text`.
    """
    mapped = [name for name in alarmed if strangest_place(heard[name]) is not None]
    if not mapped:
        return ""
    clearest = max(mapped, key=lambda name: place_of(artifacts[name], heard[name].anomaly_score) or 0.0)
    place = strangest_place(heard[clearest])
    return "" if place is None else f", strongest near {frequency_text(place[1])} at {place[0]:.1f} s"


def _icon(artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard]) -> str:
    if all(artifacts[name].threshold.value is None for name in heard):
        return ":gray[:material/help:]"
    return ":orange[:material/warning:]" if _alarmed(artifacts, heard) else ":blue[:material/check_circle:]"


def place_of(artifact: Artifact, anomaly_score: float) -> float | None:
    """Place a score on the common scale; None where the detector has no threshold."""
    threshold = artifact.threshold.value
    if threshold is None:
        return None
    normal = artifact.scores.of("heldout").anomaly_scores
    return float(on_common_scale(anomaly_score, threshold=threshold, normal_scores=normal))


def _normal_places(artifact: Artifact) -> FloatArray:
    threshold, normal = artifact.threshold.value, artifact.scores.of("heldout").anomaly_scores
    if threshold is None:
        return np.empty(0)
    return on_common_scale(normal, threshold=threshold, normal_scores=normal)


def _short(name: str) -> str:
    return DETECTOR_SHORT_NAMES[name]


def _gauge(artifact: Artifact, heard: Heard, waveform: Waveform) -> Gauge:
    word = verdict_word(heard.anomaly_score, artifact.threshold.value, missing=NO_VERDICT)
    return Gauge(
        name=_short(artifact.detector_name),
        title=artifact.title,
        mark=mark_address(artifact.detector_name),
        colour=DETECTOR_COLOURS[artifact.detector_name],
        word=word,
        kind="none" if word == NO_VERDICT else word,
        place=place_of(artifact, heard.anomaly_score),
        normal=_normal_places(artifact),
        chips=chips(artifact, waveform),
    )


def chips(artifact: Artifact, waveform: Waveform) -> list[tuple[str, str]]:
    """Return what a verdict must be read with, each with its meaning; none of them changes it."""
    calibration = artifact.manifest.calibration
    found = []
    if remarks := artifact.unfamiliar(waveform):
        found.append(("unlike its training", " ".join(map(warning_text, remarks))))
    if artifact.threshold.provisional:
        found.append(("provisional", promise_text(artifact.threshold, calibration)))
    if artifact.threshold.value is None:
        found.append(("no threshold", str(artifact.threshold.reason)))
    if calibration.is_old:
        found.append(("calibrated the old way", OLD_MEANING))
    if artifact.simulated:
        found.append((TRAINED_ON_SIMULATED, "This detector never heard a real machine."))
    return found
