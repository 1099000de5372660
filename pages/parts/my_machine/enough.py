"""Whether the recordings are enough: what their number buys, counted against what the thresholds need."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from asd_core.data.data_set import RecordingCount, find_dependence
from asd_core.data.recordings import FOLDS
from asd_core.detectors.contract import FEW_TRAINING_CLIPS
from asd_core.evaluation.daily import lowest_promise
from asd_core.evaluation.thresholds import DEFAULT_RULE, n_needed
from asd_core.formats import counted
from asd_core.tasks.calibrate import MIN_TRAINING_CLIPS
from pages.parts.my_machine.subject import Subject
from pages.parts.my_machine.ways import next_button, step_button
from pages.shared.data_sets import tree_stamp
from pages.shared.keys import HASHES, StampedSet

READ_AT_ONCE = 800
"""Up to this many clips are read to find their recordings; more would keep the reader waiting."""
RECORDINGS_HELP = (
    "A recording is one press of the record button, on one day. Clips that are cut from one recording sound alike: a "
    "threshold from them holds for that recording, not for tomorrow. Record at different times."
)


@dataclass(frozen=True)
class Goal:
    """A number worth reaching, and what it buys."""

    n: int
    words: str


def goals() -> tuple[Goal, ...]:
    """What numbers of normal clips buy, the least first."""
    return (
        Goal(MIN_TRAINING_CLIPS, "to train at all"),
        Goal(n_needed(DEFAULT_RULE), "for a first threshold"),
        Goal(FEW_TRAINING_CLIPS, "for a steady threshold"),
    )


def enough_line(n: int) -> str:
    """Say in one line which goal comes next: `12 of 30 clips for a steady threshold`."""
    ahead = next((goal for goal in goals() if n < goal.n), None)
    if ahead is None:
        return f"{counted(n, 'clip')}: enough for a steady threshold"
    return f"{n} of {ahead.n} clips {ahead.words}"


def enough_step(subject: Subject) -> None:
    """Show how far the clips have come towards each goal, and how many recordings they are of."""
    n = subject.n_training
    for goal in goals():
        _bar(n, goal.n, "clips", goal.words)
    _recordings(subject)
    if n >= n_needed(DEFAULT_RULE):
        st.caption(f"The lowest false-alarm rate that {n} clips can promise is {100 * lowest_promise(n):.2g} %.")
    if subject.n_put_aside:
        st.caption(
            f"Counted are the clips that detectors learn from. {counted(subject.n_put_aside, 'normal clip')} more are "
            "put aside to test with, beside the faulty ones."
        )
    with st.container(horizontal=True):
        if n >= MIN_TRAINING_CLIPS:
            next_button("train")
        step_button("sound", "Add more sound")


def _bar(n: int, wanted: int, noun: str, words: str) -> None:
    mark = ":material/check:" if n >= wanted else ":material/hourglass_empty:"
    st.progress(min(1.0, n / wanted), f"{mark} **{min(n, wanted)} of {wanted}** {noun} {words}")


def _recordings(subject: Subject) -> None:
    """Say how many recordings the clips are of, and how that is known."""
    if subject.data_set is None or not 0 < subject.n_training <= READ_AT_ONCE:
        return
    found = _counted(StampedSet(subject.data_set, tree_stamp(subject.data_set.index.root)))
    if found.how != "order":
        _bar(found.n, FOLDS, "recordings", f"for a promise that holds on other days ({_how_known(found)})")
        return
    st.markdown(
        f":material/help: **{FOLDS} recordings** make a promise that holds on other days. How many these are of is not "
        "known, so neighbours by name are kept together.",
        help=RECORDINGS_HELP,
    )


def _how_known(found: RecordingCount) -> str:
    return "found in the sound: some clips go on where others end" if found.how == "found" else "given by the folders"


@st.cache_data(max_entries=64, show_spinner="Looking for recordings …", hash_funcs=HASHES)
def _counted(stamped: StampedSet) -> RecordingCount:
    index = stamped.data_set.index
    return find_dependence(index.select(split="train", label="normal"), channel=index.channel).recordings
