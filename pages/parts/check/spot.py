"""Listening to a region of a clip beside the same region of the nearest normal clip; marking a verdict as wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.audio.reading import encode_wav
from asd_core.data.library import add_folder
from asd_core.data.marked import LABELS, mark, marked_dir, marked_label
from asd_core.evaluation.scores import ScoredClip
from asd_core.features.excerpt import excerpt, made_audible, nearest, sound_vector
from asd_core.features.log_mel import mel_band_centres_hz
from asd_core.types import SR, FloatArray, Waveform
from pages.shared.cache import Heard
from pages.shared.components.player import last_spot
from pages.shared.frame import Chosen
from pages.shared.keys import HASHES
from pages.shared.listening import player_clip
from pages.shared.plain_text import plain
from pages.shared.sources import clip_title, load_scored

MIN_COMPARED_S = 1.0
HALF_WIDTH_S = 0.5
BAND_RATIO = 1.5
EDGES_HZ = (0, 100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 4000, 5000, 6000, 7000, 8000)


def spot_controls(
    chosen: Chosen, waveform: Waveform, artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard], *, key: str
) -> None:
    """Let the user choose a time span and a band (a double click on a map sets both), and play it from both clips."""
    st.subheader("Hear a spot")
    st.caption("Double-click a bright place in a map above, or set the stretch and the band here.")
    seconds, hz = _place(waveform, artifacts, heard, key)
    identity = f"{waveform.digest[:16]}:{seconds:.2f}:{hz}"
    left, right = st.columns(2)
    whole_s = round(waveform.duration_s, 2)
    around = max(0.0, round(seconds - HALF_WIDTH_S, 2)), min(whole_s, round(seconds + HALF_WIDTH_S, 2))
    start_s, end_s = left.slider(
        "Stretch (s)",
        0.0,
        whole_s,
        around,
        step=0.05,
        key=f"stretch:{identity}",
    )
    low_hz, high_hz = right.select_slider("Band (Hz)", EDGES_HZ, value=_band(hz), key=f"band:{identity}")
    if start_s >= end_s or low_hz >= high_hz:
        st.info("The stretch or the band is empty: widen it.", icon=":material/info:")
        return
    limits = {"start_s": start_s, "end_s": min(end_s, waveform.duration_s), "low_hz": low_hz, "high_hz": high_hz}
    neighbour = _neighbour(chosen, artifacts, waveform)
    parts = [excerpt(waveform, **limits)]
    if neighbour is not None and neighbour[1].duration_s >= limits["end_s"]:
        parts.append(excerpt(neighbour[1], **limits))
    titles = ["This clip", f"Nearest normal clip: {plain(clip_title(neighbour[0]))}" if neighbour else ""]
    for column, title, part in zip(st.columns(2), titles, made_audible(parts), strict=False):
        column.caption(title)
        column.audio(encode_wav(part), format="audio/wav")
    st.caption("Both are raised by the same gain, so that they compare.")


def _place(
    waveform: Waveform, artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard], key: str
) -> tuple[float, float | None]:
    """Return where to listen: the spot last double-clicked, else the peak of the first map that has frequencies."""
    spot = last_spot(key, player_clip(waveform, artifacts))
    if spot is not None:
        bands = mel_band_centres_hz()
        return spot.seconds, float(bands[min(len(bands) - 1, int(spot.height * len(bands)))])
    for each in heard.values():
        values = each.anomaly_map.values
        if values.shape[1] > 1:
            step, band = np.unravel_index(values.argmax(), values.shape)
            return float(each.anomaly_map.times_s[step]), float(each.anomaly_map.bands_hz[band])
    return waveform.duration_s / 2, None


def _band(hz: float | None) -> tuple[int, int]:
    if hz is None:
        return EDGES_HZ[0], EDGES_HZ[-1]
    low = max(edge for edge in EDGES_HZ[:-1] if edge <= max(0.0, hz / BAND_RATIO))
    return low, min(edge for edge in EDGES_HZ[1:] if edge >= min(float(SR // 2), hz * BAND_RATIO) and edge > low)


def _neighbour(
    chosen: Chosen, artifacts: Mapping[str, Artifact], waveform: Waveform
) -> tuple[ScoredClip, Waveform] | None:
    """Return the held-out normal clip that sounds most similar; None where the data set's clips are not available."""
    artifact = next(iter(artifacts.values()))
    clips = artifact.scores.of("heldout").clips
    if not clips or waveform.duration_s < MIN_COMPARED_S or load_scored(chosen, clips[0], artifact.channel) is None:
        return None
    scored = clips[nearest(sound_vector(waveform), _vectors(artifact, chosen))]
    sound = load_scored(chosen, scored, artifact.channel)
    return None if sound is None else (scored, sound)


@st.cache_resource(max_entries=8, show_spinner="Looking for the nearest normal clip …", hash_funcs=HASHES)
def _vectors(artifact: Artifact, _chosen: Chosen) -> FloatArray:
    clips = artifact.scores.of("heldout").clips
    sounds = (load_scored(_chosen, scored, artifact.channel) for scored in clips)
    return np.stack([sound_vector(sound) for sound in sounds if sound is not None])


def mark_controls(waveform: Waveform, title: str) -> None:
    """Let the listener say what the clip really is; it is kept as training data."""
    known = marked_label(waveform.digest)
    with st.popover("This verdict is wrong", icon=":material/flag:"):
        label = st.radio("The clip really is", LABELS, key=f"mark:{waveform.digest[:16]}", horizontal=True)
        if st.button("Keep the clip with this label", key="mark_save"):
            kept = mark(waveform, label, shown_name=title)
            known = label
            if kept.parent.name == LABELS[0]:  # a data set needs normal clips to train on
                add_folder("marked", marked_dir())
        st.caption("It is kept in the data folder; with normal clips in it, the data set 'marked' can be trained on.")
    if known:
        st.caption(f":material/flag: Marked as {known}.")
