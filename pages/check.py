"""Check a clip: upload or pick one; every detector's verdict, and where it hears something strange."""

from __future__ import annotations

import streamlit as st

from asd_core.data.uploads import CHECKING
from pages.parts.check.bands import band_controls, strange_bands
from pages.parts.check.batch import chosen_upload
from pages.parts.check.spot import mark_controls, spot_controls
from pages.parts.check.uploads import admitted
from pages.parts.check.verdicts import listeners, sound_notes, verdict_cards
from pages.parts.check.what_if import what_if_controls
from pages.shared.cache import heard
from pages.shared.cards import old_note, simulated_note, simulated_warning, usable_detectors
from pages.shared.choices import switch
from pages.shared.frame import no_detectors, open_page
from pages.shared.listening import listening_panels
from pages.shared.quota import formats_text, limits_text, upload_types
from pages.shared.sources import example_clip, of_one_channel

SOURCES = ("Example clip", "Upload", "Microphone")

with open_page("pages/check.py") as chosen:
    st.markdown(
        "Pick a clip. Each detector gives its verdict and shows where in time and frequency it hears something strange."
    )
    if not chosen.detectors:
        no_detectors()
    good = of_one_channel(usable_detectors(chosen))
    channel = next((artifact.channel for artifact in good.values()), None)
    source = switch("Where the clip comes from", SOURCES, key="source", in_url=False)
    if source == SOURCES[0]:
        simulated_note(good.values())
    else:
        simulated_warning(good.values())
    waveform, title = None, ""
    if source == "Upload":
        files = st.file_uploader(
            f"Recordings: {formats_text()}; 0.5 s to 10 min, {limits_text(CHECKING)}; "
            "longer or larger recordings: add their folder on the page Data",
            type=upload_types(),
            accept_multiple_files=True,
            key="upload",
        )
        waveform, title = chosen_upload(admitted(files, channel=channel), good)
    elif source == "Microphone":
        recording = st.audio_input("Record a clip", sample_rate=16_000, key="recording")
        st.caption("For trying out: browsers may filter and level what the microphone hears.")
        waveform, title = chosen_upload(admitted([recording] if recording else [], channel=channel), good)
    else:
        waveform, title = example_clip(chosen, good)
    if waveform is None:
        st.stop()
    sound_notes(good, waveform)
    listening = listeners(good)
    results = {name: heard(artifact, waveform) for name, artifact in listening.items()}
    verdict_cards(listening, results)
    old_note(listening)
    listening_panels(waveform, listening, results, title=title, key="player")
    mark_controls(waveform, title)
    spot_controls(chosen, waveform, listening, results, key="player")
    strange_bands(listening, results)
    band_controls(waveform, listening)
    what_if_controls(chosen, waveform, listening, results)
