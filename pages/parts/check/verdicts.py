"""The figures behind each verdict, the facts of the recording, and how it differs from the training clips."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.audio.kinds import is_lossy
from asd_core.formats import level_text, score_text, seconds_text, times_text
from asd_core.types import Waveform
from pages.shared.cache import Heard
from pages.shared.cards import (
    DETECTOR_MARKS,
    calibration_marks,
    in_columns,
    promise_text,
    simulated_badge,
    threshold_origin,
)
from pages.shared.plain_text import plain, warning_text
from pages.shared.verdicts import verdict_badge, verdict_word


def verdict_cards(artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard]) -> None:
    """Show all detectors' verdicts on one clip, three per row."""
    for column, name in in_columns(list(heard)):
        with column:
            _verdict_card(artifacts[name], heard[name])


def _verdict_card(artifact: Artifact, heard: Heard) -> None:
    """Show one detector's verdict on one clip: word, score against threshold, and rank among normal clips."""
    threshold, calibration = artifact.threshold.value, artifact.manifest.calibration
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{DETECTOR_MARKS[artifact.detector_name]} {plain(artifact.title)}**")
        with st.container(horizontal=True, gap="small"):
            badge = verdict_badge(verdict_word(heard.anomaly_score, threshold))
            st.markdown(badge + simulated_badge(artifact.simulated), width="content")
            calibration_marks(artifact.threshold, calibration)
        if threshold is None:
            st.caption(f"No threshold: {plain(str(artifact.threshold.reason))}")
        st.markdown(
            f"Score **{score_text(heard.anomaly_score)}**, threshold {score_text(threshold)}{_times(artifact, heard)}"
        )
        if threshold is not None:
            st.caption(f"Threshold {plain(threshold_origin(artifact.threshold, calibration))}.")
        st.caption(_among_normal(artifact, heard))
        if threshold is not None:
            promise = promise_text(artifact.threshold, calibration, short=True)
            st.caption(promise, help=promise_text(artifact.threshold, calibration))
        for warning in heard.warnings:
            st.caption(f":material/info: {plain(warning_text(warning))}")


def details(artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard], waveform: Waveform, *, title: str) -> None:
    """Show the figures behind each verdict, and what is known of the recording."""
    verdict_cards(artifacts, heard)
    st.subheader("The recording")
    st.table(file_facts(waveform, title), alt="Facts of the recording")
    for warning in dict.fromkeys(waveform.warnings):
        st.caption(f":material/info: {plain(warning_text(warning))}")


def file_facts(waveform: Waveform, title: str) -> dict[str, str]:
    """Return what is known of a recording: name, length, rate, levels, digest."""
    samples = waveform.samples.astype(np.float64)
    return {
        "Name": plain(title),
        "Length": seconds_text(waveform.duration_s),
        "Heard at": f"{waveform.sr / 1000:g} kHz, one channel",
        "Peak": level_text(float(np.abs(samples).max(initial=0.0))),
        "Level (RMS)": level_text(float(np.sqrt(np.mean(np.square(samples)))) if samples.size else 0.0),
        "SHA-256": waveform.digest[:16],
    }


def sound_notes(artifacts: Mapping[str, Artifact], waveform: Waveform) -> None:
    """Say what is odd about a recording; what coding left out is a word beside it, no alarm."""
    for warning in odd_about(artifacts, waveform):
        if is_lossy([warning]):
            st.caption(f":material/graphic_eq: {plain(warning_text(warning))}")
        else:
            st.warning(plain(warning_text(warning)), icon=":material/info:")


def odd_about(artifacts: Mapping[str, Artifact], waveform: Waveform) -> list[str]:
    """List what is odd about a recording, each remark once."""
    reading = [text for artifact in artifacts.values() for text in artifact.reading_warnings(waveform)]
    return list(dict.fromkeys([*(reading if artifacts else waveform.warnings), *unfamiliar(artifacts, waveform)]))


def unfamiliar(artifacts: Mapping[str, Artifact], waveform: Waveform) -> list[str]:
    """List how the recording is unlike anything in training, each remark once."""
    remarks = [remark for artifact in artifacts.values() for remark in artifact.unfamiliar(waveform)]
    return list(dict.fromkeys(remark.replace("unfamiliar: ", "Unlike anything in training: ", 1) for remark in remarks))


def _times(artifact: Artifact, heard: Heard) -> str:
    """Say how many times the threshold a mean error is; empty for decision values, which may be negative."""
    threshold = artifact.threshold.value
    if threshold is None or threshold <= 0 or artifact.encoder_id is not None:
        return ""
    return f" (**{times_text(heard.anomaly_score / threshold)}** times the threshold)"


def _among_normal(artifact: Artifact, heard: Heard) -> str:
    normal = artifact.scores.of("heldout").anomaly_scores
    n = len(normal)
    if not n:
        return "No normal clips were held out to compare with."
    n_below = int((normal < heard.anomaly_score).sum())
    return f"Higher than {n_below} of {artifact.manifest.calibration.clips_text(n)}."
