"""The five steps as a list: the state of each, one line on what is done, and the one that is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from asd_core.evaluation.thresholds import DEFAULT_RULE, n_needed
from asd_core.formats import counted
from asd_core.reports.plots import DETECTOR_SHORT_NAMES
from asd_core.tasks.calibrate import MIN_TRAINING_CLIPS
from pages.parts.my_machine.enough import enough_line
from pages.parts.my_machine.subject import Subject
from pages.parts.my_machine.training import is_due_again
from pages.parts.my_machine.ways import STEP_OF, open_step
from pages.shared.choices import keep, link
from pages.shared.frame import first_screen

State = Literal["done", "now", "later"]
TITLES = {
    "sound": "Sound",
    "enough": "Enough?",
    "train": "Train",
    "alarm": "How loud is an alarm?",
    "listen": "Listen",
}
ICONS: Mapping[State, str] = {
    "done": ":material/check_circle:",
    "now": ":material/radio_button_checked:",
    "later": ":material/radio_button_unchecked:",
}
STATE_WORDS: Mapping[State, str] = {"done": "done", "now": "now", "later": "later"}
_PLANS = {
    "sound": "record it while it runs well",
    "enough": "what so many clips are good for",
    "train": "the quick detectors take seconds",
    "alarm": "how many false alarms per day",
    "listen": "let them judge a new clip",
}


@dataclass(frozen=True)
class Step:
    """One line of the list."""

    name: str
    number: int
    state: State
    line: str


def steps_of(subject: Subject) -> list[Step]:
    """Work out what is done; the first step that is not is the one to do now."""
    done = {
        "sound": subject.n_training >= MIN_TRAINING_CLIPS,
        "enough": subject.n_training >= n_needed(DEFAULT_RULE),
        "train": bool(subject.detectors) and not is_due_again(subject),
        "alarm": is_chosen(subject),
        "listen": False,
    }
    now = next((name for name, is_done in done.items() if not is_done), "listen")
    states: dict[str, State] = {
        name: "done" if is_done else "now" if name == now else "later" for name, is_done in done.items()
    }
    lines = {**_PLANS, **_lines(subject)}
    return [Step(name, at, states[name], lines[name]) for at, name in enumerate(TITLES, start=1)]


def is_chosen(subject: Subject) -> bool:
    """Whether a threshold has been saved after the training, here or elsewhere, for each detector that listens."""
    heard = subject.active or subject.detectors
    return bool(heard) and all(artifact.manifest.parent is not None for artifact in heard.values())


def _lines(subject: Subject) -> dict[str, str]:
    """Sum up in one line what there is."""
    found = {}
    if subject.index is not None:
        faulty = f", {counted(subject.n_faulty, 'faulty one')}" if subject.n_faulty else ""
        found["sound"] = f"{counted(subject.n_training + subject.n_put_aside, 'normal clip')}{faulty}"
        found["enough"] = enough_line(subject.n_training)
    if subject.trainings:
        found["train"] = f"{len(subject.trainings)} in training"
    elif is_due_again(subject):
        found["train"] = "again: there are other clips than those that they were trained on"
    elif subject.detectors:
        found["train"] = ", ".join(DETECTOR_SHORT_NAMES[name] for name in subject.detectors)
    rates = {artifact.threshold.promised_fpr for artifact in subject.active.values()}
    if rates:
        known = [rate for rate in rates if rate is not None]
        found["alarm"] = f"false-alarm rate at most {100 * max(known):.3g} %" if known else "provisional"
    return found


def draw_steps(subject: Subject, bodies: Mapping[str, Callable[[Subject], None]]) -> None:
    """Draw the list, with the body of the step that is open below its line."""
    steps = steps_of(subject)
    opened = _opened(steps, subject)
    with first_screen(), st.container(gap=None):
        for step in steps:
            _line(step, is_open=step.name == opened)
    number = [step.name for step in steps].index(opened) + 1
    st.subheader(f"{number} · {TITLES[opened]}")
    bodies[opened](subject)


def _opened(steps: list[Step], subject: Subject) -> str:
    """Return the step that is open: what was clicked, or a link names; for another machine, the one to do now."""
    now = next((step.name for step in steps if step.state == "now"), "listen")
    before = st.session_state.get(STEP_OF)
    asked = st.session_state.get("step") or st.query_params.get("step")
    is_asked_for = before is None and asked in TITLES
    if before != subject.name and not is_asked_for:
        st.session_state["step"] = now
    st.session_state[STEP_OF] = subject.name
    keep("step", TITLES)
    link("step")
    return str(st.session_state["step"])


def _line(step: Step, *, is_open: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.button(
            f"{step.number} · {TITLES[step.name]}",
            key=f"step:{step.name}",
            icon=ICONS[step.state],
            type="primary" if is_open else "secondary" if step.state == "now" else "tertiary",
            on_click=open_step,
            args=(step.name,),
        )
        st.caption(f"{STATE_WORDS[step.state]} · {step.line}", width="content")
