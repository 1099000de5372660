"""Who listens to a clip, each detector's verdict on it, and how it is unlike the training clips."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.evaluation.operating import share_below
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.formats import score_text, times_text
from asd_core.types import Waveform
from pages.shared.cache import Heard
from pages.shared.cards import CARDS_IN_A_ROW, DETECTOR_MARKS
from pages.shared.frame import keep, plain

FIRST_LISTENERS = 3


def listeners(artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """Let the reader choose who listens; the first three do unless told otherwise, and never none."""
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
    """All detectors' verdicts on one clip, three in a row."""
    names = list(heard)
    for start in range(0, len(names), CARDS_IN_A_ROW):
        row = names[start : start + CARDS_IN_A_ROW]
        for column, name in zip(st.columns(min(len(names), CARDS_IN_A_ROW)), row, strict=False):
            with column:
                _verdict_card(artifacts[name], heard[name])


def _verdict_card(artifact: Artifact, heard: Heard) -> None:
    """One detector's verdict on one clip: word, score against threshold, and how normal clips score."""
    threshold = artifact.threshold.value
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{DETECTOR_MARKS[artifact.detector_name]} {plain(artifact.title)}**")
        if threshold is None:
            st.markdown(":gray-badge[:material/help: no verdict]")
            st.caption(f"No threshold: {plain(str(artifact.threshold.reason))}")
        elif is_anomalous(heard.anomaly_score, threshold):
            st.markdown(":orange-badge[:material/warning: anomalous]")
        else:
            st.markdown(":blue-badge[:material/check: normal]")
        st.markdown(
            f"Score **{score_text(heard.anomaly_score)}**, threshold {score_text(threshold)}{_times(artifact, heard)}"
        )
        st.caption(_among_normal(artifact, heard))
        for warning in heard.warnings:
            st.caption(f":material/info: {plain(warning)}")


def unfamiliar(artifacts: Mapping[str, Artifact], waveform: Waveform) -> list[str]:
    """Remarks on how the recording is unlike anything in training, each once."""
    remarks = [remark for artifact in artifacts.values() for remark in artifact.unfamiliar(waveform)]
    return list(dict.fromkeys(remark.replace("unfamiliar: ", "Unlike anything in training: ", 1) for remark in remarks))


def _times(artifact: Artifact, heard: Heard) -> str:
    """Mean errors compare as ratios to a threshold above 0; a decision value, which may be negative, doesn't."""
    threshold = artifact.threshold.value
    if threshold is None or threshold <= 0 or artifact.encoder_id is not None:
        return ""
    return f" (**{times_text(heard.anomaly_score / threshold)}** times the threshold)"


def _among_normal(artifact: Artifact, heard: Heard) -> str:
    normal = artifact.scores.of("heldout").anomaly_scores
    below = share_below(normal, heard.anomaly_score)
    if below is None:
        return "No normal clips were held out to compare with."
    return f"Stranger than {100 * below:.0f} % of {len(normal)} normal clips that were not trained on."
