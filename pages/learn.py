"""Learn: each detector taken apart on one clip, a blind test, and a glossary."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.types import Waveform
from pages.parts.learn.glossary import glossary
from pages.parts.learn.neighbours import neighbours_lesson
from pages.parts.learn.networks import gru_lesson, lstm_lesson
from pages.parts.learn.quiz import quiz
from pages.parts.learn.svm import svm_lesson
from pages.shared.cache import artifacts
from pages.shared.cards import DETECTOR_MARKS, list_broken, simulated_note
from pages.shared.choices import switch
from pages.shared.data_sets import clips_root
from pages.shared.frame import no_detectors, open_page
from pages.shared.plain_text import plain
from pages.shared.sources import example_clip

QUIZ, NEIGHBOURS = "quiz", "neighbours"

with open_page("pages/learn.py") as chosen:
    if not chosen.detectors:
        no_detectors()
    good, broken = artifacts(chosen)
    list_broken(broken)
    with st.container():  # keeps later elements in place, whether or not clips are generated first
        root = clips_root(chosen)
    lessons: dict[str, Callable[[Artifact, Waveform, str], None]] = {
        "lstm_predictor": lstm_lesson,
        "gru_autoencoder": gru_lesson,
        "vggish_ocsvm": partial(svm_lesson, root=root),
    }
    shown = [name for name in lessons if name in good]
    titles = {name: f"{DETECTOR_MARKS[name]} {plain(good[name].title)}" for name in shown} | {NEIGHBOURS: "Neighbours"}
    titles |= {QUIZ: "Blind test"}
    if root is None or not shown:
        with st.container(border=True):
            st.markdown("#### :material/folder_off: Nothing to take apart here")
            st.markdown("The lessons need clips of the data set and a detector that has one. Choose another data set.")
        glossary()
        st.stop()
    lesson = switch("Lesson", titles, key="lesson")
    if lesson == QUIZ:
        quiz(chosen, good)
    elif lesson == NEIGHBOURS:
        neighbours_lesson()
    else:
        waveform, title = example_clip(chosen, good)
        if waveform is not None:
            lessons[lesson](good[lesson], waveform, title)
    simulated_note(good.values())
    st.divider()
    glossary()
