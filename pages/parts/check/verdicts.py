"""The detectors that listen to a clip, their verdicts, and how the clip differs from the training clips."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.audio.kinds import is_lossy
from asd_core.evaluation.operating import share_below
from asd_core.formats import score_text, times_text
from asd_core.types import Waveform
from pages.shared.cache import Heard
from pages.shared.cards import DETECTOR_MARKS, calibration_marks, in_columns, promise_text, simulated_badge
from pages.shared.choices import keep
from pages.shared.plain_text import plain, warning_text
from pages.shared.verdicts import verdict_badge, verdict_word

FIRST_LISTENERS = 3


def listeners(artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """Let the reader choose which detectors listen: the first three by default, and always at least one."""
    if len(artifacts) <= FIRST_LISTENERS:
        return dict(artifacts)
    if "listeners" not in st.session_state:
        st.session_state["listeners"] = list(artifacts)[:FIRST_LISTENERS]
    keep("listeners")
    names = st.pills(
        "Who listens",
        list(artifacts),
        selection_mode="multi",
        key="listeners",
        format_func=lambda name: f"{DETECTOR_MARKS[name]} {plain(artifacts[name].title)}",
        persist_state="session",
    )
    chosen = [name for name in artifacts if name in (names or ())]
    return {name: artifacts[name] for name in chosen or list(artifacts)[:FIRST_LISTENERS]}


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
        st.caption(_among_normal(artifact, heard))
        if threshold is not None:
            promise = promise_text(artifact.threshold, calibration, short=True)
            st.caption(promise, help=promise_text(artifact.threshold, calibration))
        for warning in heard.warnings:
            st.caption(f":material/info: {plain(warning_text(warning))}")


def sound_notes(artifacts: Mapping[str, Artifact], waveform: Waveform) -> None:
    """Say what is odd about a recording; what coding left out is a word beside it, no alarm."""
    reading = [text for artifact in artifacts.values() for text in artifact.reading_warnings(waveform)]
    for warning in dict.fromkeys([*(reading if artifacts else waveform.warnings), *unfamiliar(artifacts, waveform)]):
        if is_lossy([warning]):
            st.caption(f":material/graphic_eq: {plain(warning_text(warning))}")
        else:
            st.warning(plain(warning_text(warning)), icon=":material/info:")


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
    below = share_below(normal, heard.anomaly_score)
    if below is None:
        return "No normal clips were held out to compare with."
    return f"Stranger than {100 * below:.0f} % of {artifact.manifest.calibration.clips_text(len(normal))}."
