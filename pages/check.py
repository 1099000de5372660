"""Check a clip: upload or pick one; every active detector's verdict, and where it hears something strange."""

from __future__ import annotations

import streamlit as st

from pages.parts.check.answer import answer
from pages.parts.check.bands import bands_that_matter, strange_bands
from pages.parts.check.batch import chosen_upload
from pages.parts.check.examples import hidden_example
from pages.parts.check.marking import mark_controls
from pages.parts.check.region import where_it_is_strange
from pages.parts.check.report import report_download
from pages.parts.check.uploads import admitted, sent_files
from pages.parts.check.verdicts import details, sound_notes
from pages.parts.check.what_if import open_linked_change, what_if
from pages.shared.cache import heard
from pages.shared.cards import old_note, simulated_note, simulated_warning, usable_detectors
from pages.shared.choices import switch
from pages.shared.frame import first_screen, no_detectors, open_page
from pages.shared.sources import of_one_channel

SOURCES = ("Example", "Upload", "Microphone")
VIEWS = {"where": "Where", "frequencies": "Frequencies", "what_if": "What if", "details": "Details"}

with open_page("pages/check.py") as chosen:
    if not chosen.detectors:
        no_detectors()
    good = of_one_channel(usable_detectors(chosen))
    channel = next((artifact.channel for artifact in good.values()), None)
    waveform, title = None, ""
    row, revealed = st.container(horizontal=True, vertical_alignment="center"), st.empty()
    with row:
        source = switch("Clip", SOURCES, key="source", width="content", label_visibility="collapsed")
        if source == "Example":
            waveform, title = hidden_example(chosen, good, revealed)
    if source == "Upload":
        waveform, title = chosen_upload(admitted(sent_files(), channel=channel), good)
    elif source == "Microphone":
        recording = st.audio_input("Record a clip", sample_rate=16_000, key="recording")
        st.caption("For trying out: browsers may filter and level what the microphone hears.")
        waveform, title = chosen_upload(admitted([recording] if recording else [], channel=channel), good)
    if waveform is None:
        st.stop()
    results = {name: heard(artifact, waveform) for name, artifact in good.items()}
    is_recording = source != "Example"
    if is_recording:
        simulated_warning(good.values())
    with first_screen():
        answer(good, results, waveform, is_recording=is_recording)
    sound_notes(good, waveform)
    with st.container(horizontal=True, vertical_alignment="center"):
        open_linked_change("what_if")
        view = switch("Show", VIEWS, key="view", width="content", label_visibility="collapsed")
        report_download(good, results, waveform, title=title)
        mark_controls(waveform, title)
    if view == "where":
        where_it_is_strange(chosen, waveform, good, results, title=title)
    elif view == "frequencies":
        strange_bands(good, results)
        bands_that_matter(waveform, good)
    elif view == "what_if":
        what_if(chosen, waveform, good, results)
    else:
        details(good, results, waveform, title=title)
    old_note(good)
    if not is_recording:
        simulated_note(good.values())
