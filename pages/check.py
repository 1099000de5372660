"""Check a clip: upload or pick one; every detector's verdict, and where it hears something strange."""

from __future__ import annotations

import streamlit as st

from asd_core.audio import decode_waveform
from pages.shared.cache import artifacts, heard
from pages.shared.frame import keep, no_detectors, open_page
from pages.shared.listening import listening_panels, unfamiliar, verdict_card
from pages.shared.sources import example_clip, shown_name

SOURCES = ("Example clip", "Upload", "Microphone")

with open_page("pages/check.py") as chosen:
    st.markdown(
        "Pick a clip. Each detector gives its verdict and shows where in time and frequency it hears something strange."
    )
    if not chosen.detectors:
        no_detectors()
    good, _ = artifacts(chosen)
    keep("source", SOURCES)
    source = st.segmented_control(
        "Where the clip comes from", SOURCES, key="source", persist_state="session", required=True
    )
    if source != SOURCES[0] and any(artifact.simulated for artifact in good.values()):
        st.caption(
            ":material/science: These detectors learned from simulated sound: on a recording of your own they tell how "
            "far it is from the simulation. Train them on your machine's normal sound to judge your machine."
        )
    waveform, title = None, ""
    if source == "Upload":
        upload = st.file_uploader(
            "A recording: WAV or FLAC, 0.5 s to 10 min, at most 32 MB", type=["wav", "flac"], key="upload"
        )
        if upload is not None:
            title = shown_name(upload.name)
            waveform = decode_waveform(upload.getvalue(), name=upload.name)
    elif source == "Microphone":
        recording = st.audio_input("Record a clip", sample_rate=16_000, key="recording")
        st.caption("For trying out: browsers may filter and level what the microphone hears.")
        if recording is not None:
            title, waveform = "Recording", decode_waveform(recording.getvalue(), name="recording")
    else:
        waveform, title = example_clip(chosen, good)
    if waveform is None:
        st.stop()
    for warning in (*waveform.warnings, *unfamiliar(good, waveform)):
        st.warning(warning, icon=":material/info:")
    results = {name: heard(artifact, waveform) for name, artifact in good.items()}
    for column, (name, result) in zip(st.columns(len(results)), results.items(), strict=True):
        with column:
            verdict_card(good[name], result)
    listening_panels(waveform, good, results, title=title, key="player")
