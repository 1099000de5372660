"""Learn: each method taken apart on one clip, a blind test, and a glossary."""

from __future__ import annotations

import streamlit as st

from pages.parts.learn.glossary import glossary
from pages.parts.learn.networks import gru_lesson, lstm_lesson
from pages.parts.learn.quiz import quiz
from pages.parts.learn.svm import svm_lesson
from pages.shared.cache import artifacts
from pages.shared.cards import DETECTOR_MARKS, list_broken, simulated_note
from pages.shared.data_sets import clips_root
from pages.shared.frame import keep, link, no_detectors, open_page, plain
from pages.shared.sources import example_clip

LESSONS = {"lstm_predictor": lstm_lesson, "gru_autoencoder": gru_lesson, "vggish_ocsvm": svm_lesson}
QUIZ = "quiz"

with open_page("pages/learn.py") as chosen:
    st.markdown("How does a machine listen? Each method step by step on a clip of your choice, with its real numbers.")
    if not chosen.detectors:
        no_detectors()
    good, broken = artifacts(chosen)
    list_broken(broken)
    simulated_note(good.values())
    lessons = [name for name in LESSONS if name in good]
    titles = {name: f"{DETECTOR_MARKS[name]} {plain(good[name].title)}" for name in lessons} | {QUIZ: "Blind test"}
    with st.container():  # keeps what follows in its place, whether clips are generated first or not
        root = clips_root(chosen)
    if root is None or not lessons:
        with st.container(border=True):
            st.markdown("#### :material/folder_off: Nothing to take apart here")
            st.markdown("The lessons need clips of the data set and a detector that has one. Choose another data set.")
        glossary()
        st.stop()
    keep("lesson", titles)
    lesson = st.segmented_control(
        "Lesson", list(titles), key="lesson", format_func=titles.__getitem__, persist_state="session", required=True
    )
    link("lesson")
    if lesson == QUIZ:
        quiz(chosen, good)
    else:
        waveform, title = example_clip(chosen, good)
        if waveform is not None:
            LESSONS[lesson](good[lesson], waveform, title, root)
    st.divider()
    glossary()
