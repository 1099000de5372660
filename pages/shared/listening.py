"""A clip as people listen to it: player, spectrogram, and each detector's map on the same time axis."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.audio.reading import encode_wav
from asd_core.evaluation.operating import share_below
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.features.log_mel import log_mel, mel_band_centres_hz
from asd_core.formats import score_text, times_text
from asd_core.reports.plots import (
    DETECTOR_COLOURS,
    MAP_TIMES_THRESHOLD,
    SPECTROGRAM_DB,
    frequency_ticks,
    heatmap_png,
    map_limit,
    palette_stops,
)
from asd_core.types import Waveform
from pages.shared.cache import Heard
from pages.shared.cards import DETECTOR_MARKS
from pages.shared.components.player import ColourScale, Panel, Trace, synced_player
from pages.shared.frame import keep, plain

FRAME_S = 0.032
CARDS_IN_A_ROW = 3
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


def listening_panels(
    waveform: Waveform, artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard], *, title: str, key: str
) -> None:
    """Player with spectrogram and one map a detector."""
    panels: list[Panel | Trace] = [_spectrogram(waveform)]
    panels += [_map_panel(artifacts[name], each, waveform) for name, each in heard.items()]
    synced_player(
        clip=player_clip(waveform, artifacts),
        title=title,
        wav=encode_wav(waveform.samples),
        duration_s=waveform.duration_s,
        panels=panels,
        key=key,
    )


def player_clip(waveform: Waveform, artifacts: Mapping[str, Artifact]) -> str:
    """Name what the player shows: the clip and the versions that listened to it."""
    return waveform.digest + "".join(artifact.version for artifact in artifacts.values())


def _spectrogram(waveform: Waveform) -> Panel:
    low, high = SPECTROGRAM_DB
    return Panel(
        label="Log-mel spectrogram",
        png=heatmap_png(log_mel(waveform.samples), low=low, high=high),
        alt="Log-mel spectrogram: time to the right, frequency upwards, brighter is louder",
        y_ticks=frequency_ticks(mel_band_centres_hz()),
        height_px=190,
        scale=ColourScale(palette_stops("viridis"), f"{low:g} dB", f"{high:g} dB"),
    )


def _map_panel(artifact: Artifact, heard: Heard, waveform: Waveform) -> Panel | Trace:
    steps = heard.anomaly_map.times_s
    colour = DETECTOR_COLOURS[artifact.detector_name]
    if heard.anomaly_map.values.shape[1] == 1:
        return _trace(artifact, heard, colour)
    high = map_limit(heard.anomaly_map.values, artifact.threshold.value)
    half_step = (steps[1] - steps[0]) / 2 if len(steps) > 1 else FRAME_S / 2
    return Panel(
        label=f"{artifact.title}: error",
        png=heatmap_png(heard.anomaly_map.values, low=0.0, high=high, palette="magma"),
        alt=f"Anomaly map of {artifact.title}; {loudest_text(heard)}",
        y_ticks=frequency_ticks(heard.anomaly_map.bands_hz),
        height_px=130,
        colour=colour,
        note=loudest_text(heard),
        span_s=(max(0.0, float(steps[0] - half_step)), min(waveform.duration_s, float(steps[-1] + half_step))),
        scale=ColourScale(palette_stops("magma"), "0", _limit_text(artifact.threshold.value, high)),
    )


def _limit_text(threshold: float | None, high: float) -> str:
    return score_text(high) if threshold is None or threshold <= 0 else f"{MAP_TIMES_THRESHOLD:g} × threshold"


def _trace(artifact: Artifact, heard: Heard, colour: str) -> Trace:
    return Trace(
        label=f"{artifact.title}: how the score depends on each 0.96 s",
        times_s=heard.anomaly_map.times_s.tolist(),
        values=heard.anomaly_map.values[:, 0].tolist(),
        alt=f"How much the score of {artifact.title} falls without each patch; {loudest_text(heard)}",
        colour=colour,
        note=loudest_text(heard),
        height_px=90,
    )


def loudest_text(heard: Heard) -> str:
    """Say where the map is highest: `strangest at 3.20 s near 2.1 kHz`."""
    values = heard.anomaly_map.values
    step, band = np.unravel_index(values.argmax(), values.shape)
    at = f"strangest at {heard.anomaly_map.times_s[step]:.2f} s"
    if values.shape[1] == 1:
        return at
    hz = heard.anomaly_map.bands_hz[band]
    return f"{at} near {hz / 1000:.1f} kHz" if hz >= 1000 else f"{at} near {hz:.0f} Hz"


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
