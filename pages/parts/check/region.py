"""Where a clip is strange: the player with every map, and a region of it heard beside the nearest normal clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.audio.reading import encode_wav
from asd_core.evaluation.scores import ScoredClip
from asd_core.features.excerpt import excerpt, made_audible, nearest, sound_vector
from asd_core.features.log_mel import mel_band_centres_hz
from asd_core.types import FloatArray, Waveform
from pages.shared.cache import Heard
from pages.shared.components.player import OtherClip, Region, Selection, asks_for_other, drawn_region
from pages.shared.context import Chosen
from pages.shared.frame import fragment
from pages.shared.keys import HASHES
from pages.shared.listening import band_edges_hz, frequency_text, listening_panels, player_clip
from pages.shared.sources import load_scored, short_name

MIN_COMPARED_S = 1.0
EDGES_HZ = band_edges_hz(mel_band_centres_hz())
PLAYER = "player"
STATE = "region"
PARAMETER = "region"


def where_it_is_strange(
    chosen: Chosen, waveform: Waveform, artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard], *, title: str
) -> None:
    """Draw player and maps; a region drawn on them, or set by numbers, is heard by itself."""
    fragment(lambda: _listen(chosen, waveform, artifacts, heard, title))()


def _listen(
    chosen: Chosen, waveform: Waveform, artifacts: Mapping[str, Artifact], heard: Mapping[str, Heard], title: str
) -> None:
    clip = player_clip(waveform, artifacts)
    region = _spot(waveform).region
    wants_other = region is not None or asks_for_other(PLAYER, clip)
    selection = Selection(
        region,
        _other(chosen, artifacts, waveform) if wants_other else None,
        compares=_can_compare(chosen, artifacts, waveform),
        on_change=lambda: _take(drawn_region(PLAYER, clip, duration_s=waveform.duration_s), waveform),
    )
    listening_panels(waveform, artifacts, heard, title=title, key=PLAYER, selection=selection)
    with st.expander("Listen to a region", icon=":material/crop:"):
        _sliders(waveform)
        if region is not None:
            _region_download(waveform, region)
    _link(region)


def _sliders(waveform: Waveform) -> None:
    """Set the region by numbers; the sliders start anew at each region that is drawn."""
    st.caption("Set the region by numbers instead of drawing it; the whole range of both means no region.")
    spot, whole_s = _spot(waveform), _whole_s(waveform)
    region = spot.region
    time_key, band_key = (f"region_{side}:{waveform.digest[:16]}:{spot.turn}" for side in ("time", "band"))

    def take() -> None:
        (start_s, end_s), (low_hz, high_hz) = st.session_state[time_key], st.session_state[band_key]
        set_to = _checked(Region(start_s, end_s, float(low_hz), float(high_hz)), waveform)
        st.session_state[STATE] = Spot(waveform.digest, set_to, spot.turn)

    seconds = (0.0, whole_s) if region is None else (region.start_s, min(region.end_s, whole_s))
    band = (EDGES_HZ[0], EDGES_HZ[-1]) if region is None else (_edge(region.low_hz), _edge(region.high_hz))
    left, right = st.columns(2)
    left.slider("Time (s)", 0.0, whole_s, seconds, step=0.01, key=time_key, on_change=take)
    right.select_slider(
        "Band",
        EDGES_HZ,
        band,
        key=band_key,
        format_func=lambda hz: frequency_text(float(hz)),
        on_change=take,
    )


@dataclass(frozen=True)
class Spot:
    """The region of a clip, and how often one was drawn: what is drawn gives the sliders new places."""

    digest: str
    region: Region | None
    turn: int = 0


def _spot(waveform: Waveform) -> Spot:
    """Return what is known of this clip's region: at a session's start, the one that the URL names."""
    found: Spot | None = st.session_state.get(STATE)
    if found is None:
        named = region_named(st.query_params.get(PARAMETER, ""))
        found = Spot(waveform.digest, None if named is None else _checked(named, waveform))
    elif found.digest != waveform.digest:
        found = Spot(waveform.digest, None, found.turn + 1)
    st.session_state[STATE] = found
    return found


def _take(region: Region | None, waveform: Waveform) -> None:
    """Take over a region that was drawn."""
    checked = None if region is None else _checked(region, waveform)
    st.session_state[STATE] = Spot(waveform.digest, checked, _spot(waveform).turn + 1)


def _whole_s(waveform: Waveform) -> float:
    return math.floor(waveform.duration_s * 100) / 100


def _checked(region: Region, waveform: Waveform) -> Region | None:
    """Bring a region inside the clip; None where it is empty, or the whole of it."""
    end_s, high_hz = min(region.end_s, waveform.duration_s), min(region.high_hz, float(EDGES_HZ[-1]))
    if region.start_s >= min(end_s, _whole_s(waveform)) or region.low_hz >= high_hz:
        return None
    is_all_time = region.start_s <= 0 and end_s >= _whole_s(waveform)
    if is_all_time and region.low_hz <= 0 and high_hz >= EDGES_HZ[-1]:
        return None
    return Region(region.start_s, end_s, region.low_hz, high_hz)


def _edge(hz: float) -> int:
    return min(EDGES_HZ, key=lambda edge: abs(edge - hz))


def region_text(region: Region) -> str:
    """Write a region for the URL: `8.90-9.60s,4190-5620Hz`."""
    return f"{region.start_s:.2f}-{region.end_s:.2f}s,{region.low_hz:.0f}-{region.high_hz:.0f}Hz"


def region_named(text: str) -> Region | None:
    """Read what `region_text` wrote; None for any other text."""
    sides = text.replace("s,", "-").removesuffix("Hz").split("-")
    if len(sides) != 4 or not all(side.replace(".", "", 1).isdecimal() and side.isascii() for side in sides):
        return None
    start_s, end_s, low_hz, high_hz = map(float, sides)
    return Region(start_s, end_s, low_hz, high_hz) if start_s < end_s and low_hz < high_hz else None


def _link(region: Region | None) -> None:
    """Write the region to the URL, so that a link opens the view as it is."""
    if region is None:
        st.query_params.pop(PARAMETER, None)
    elif st.query_params.get(PARAMETER) != region_text(region):
        st.query_params[PARAMETER] = region_text(region)


def _region_download(waveform: Waveform, region: Region) -> None:
    def wav() -> bytes:
        part = excerpt(
            waveform, start_s=region.start_s, end_s=region.end_s, low_hz=region.low_hz, high_hz=region.high_hz
        )
        return encode_wav(*made_audible([part]))

    st.download_button(
        "Download the region (WAV)",
        wav,
        file_name="region.wav",
        mime="audio/wav",
        on_click="ignore",
        icon=":material/download:",
    )


def _other(chosen: Chosen, artifacts: Mapping[str, Artifact], waveform: Waveform) -> OtherClip | None:
    """Return the most similar held-out normal clip, to compare with."""
    found = _neighbour(chosen, artifacts, waveform)
    if found is None:
        return None
    return OtherClip(f"nearest normal clip, {short_name(found[0]).removesuffix('.wav')}", encode_wav(found[1].samples))


def _can_compare(chosen: Chosen, artifacts: Mapping[str, Artifact], waveform: Waveform) -> bool:
    """Whether the clip is long enough, and the sound of the held-out normal clips is at hand."""
    artifact = next(iter(artifacts.values()))
    clips = artifact.scores.of("heldout").clips
    is_long = waveform.duration_s >= MIN_COMPARED_S
    return bool(clips) and is_long and load_scored(chosen, clips[0], artifact.channel) is not None


def _neighbour(
    chosen: Chosen, artifacts: Mapping[str, Artifact], waveform: Waveform
) -> tuple[ScoredClip, Waveform] | None:
    """Return the held-out normal clip that sounds most similar; None where the data set's clips are not available."""
    if not _can_compare(chosen, artifacts, waveform):
        return None
    artifact = next(iter(artifacts.values()))
    clips = artifact.scores.of("heldout").clips
    scored = clips[nearest(sound_vector(waveform), _vectors(artifact, chosen))]
    sound = load_scored(chosen, scored, artifact.channel)
    return None if sound is None else (scored, sound)


@st.cache_resource(max_entries=8, show_spinner="Looking for the nearest normal clip …", hash_funcs=HASHES)
def _vectors(artifact: Artifact, _chosen: Chosen) -> FloatArray:
    clips = artifact.scores.of("heldout").clips
    sounds = (load_scored(_chosen, scored, artifact.channel) for scored in clips)
    return np.stack([sound_vector(sound) for sound in sounds if sound is not None])
