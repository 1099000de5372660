"""The form for a new training."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal

import streamlit as st

from asd_core.cli.doctor import checks
from asd_core.data.clips import n_channels_of
from asd_core.data.data_set import OWN_SUFFIX, DataSet
from asd_core.data.library import add_alias, checked_name, find_machine
from asd_core.data.table import EMBEDDED_NAME, KnownSet
from asd_core.detectors import detector_class
from asd_core.detectors.presets import unlike_paper_text
from asd_core.errors import UsageError
from asd_core.formats import display_name
from asd_core.jobs import queue as jobs
from asd_core.jobs.estimates import estimate
from asd_core.system.places import artifacts_dir
from asd_core.tasks.train import TrainingRequest
from pages.parts.train.fields import (
    ask,
    ask_folds,
    changed_settings,
    default_folds,
    detector_titles,
    effort,
    outlook,
    time_sentence,
)
from pages.shared.choices import choose, go, switch
from pages.shared.context import PROJECT, Chosen
from pages.shared.data_sets import indexed, tree_stamp
from pages.shared.frame import first_screen
from pages.shared.keys import HASHES, StampedSet

PROBED = 10
"""Recordings whose headers are read to find the number of channels."""
PRESETS = {"quick": "Quick", "paper": "Paper: the report's values"}


def new_training(chosen: Chosen, *, is_first: bool) -> None:
    """Ask for detector, preset and hyper-parameters; check them; put the training in the queue.

    Parameters
    ----------
    is_first
        Whether the form is what the page shows first.
    """
    known, machine = training_data(chosen)
    data_set = indexed(known, machine)
    n_clips = len(data_set.index.select(split="train", label="normal"))
    if not n_clips:
        st.info("This data set has no normal training clips: add some first.", icon=":material/info:")
        go("pages/data.py", "Add recordings", icon=":material/folder_open:", data_view="sets", data_set=known.name)
        return
    with first_screen() if is_first else nullcontext():
        detector, preset = _choose_detector()
        st.markdown(time_sentence(estimate(detector, preset, n_clips=n_clips)))
        st.caption(outlook(detector, n_clips))
        with st.form(f"train:{known.name}:{machine!a}:{detector}:{preset}", border=False):
            sent = st.form_submit_button("Start training", icon=":material/play_arrow:", type="primary")
            with st.expander("What is learned, and its name", icon=":material/library_music:"):
                ids, name = _what(data_set, known, machine)
                channel = _ask_channel(data_set, tree_stamp(data_set.index.root))
            with st.expander("Hyper-parameters", icon=":material/tune:"):
                texts = ask(detector, preset)
                folds = ask_folds(detector)
    _about(detector, preset)
    if data_set.simulated is not None:
        st.caption(":material/science: Simulated data: figures of this detector will be called simulated.")
    if sent:
        _submit(known, machine, ids, name, detector, preset, texts, folds, channel)


def training_data(chosen: Chosen) -> tuple[KnownSet, str]:
    """Return the data set and machine of the context; the page ends where its recordings are not here."""
    found = find_machine(chosen.data_set, chosen.name or chosen.machine)
    if found is None:
        st.info(
            "The recordings of this data set are not known here. Choose another data set in the sidebar, or add one:",
            icon=":material/info:",
        )
        go("pages/data.py", "Add recordings", icon=":material/folder_open:")
        st.stop()
    if not found[0].embedded and not found[0].folder.is_dir():
        st.warning("The folder of this data set is gone.", icon=":material/warning:")
        st.stop()
    return found


def _choose_detector() -> tuple[str, str]:
    left, right = st.columns(2)
    detector = choose(
        "Detector",
        detector_titles(),
        key="train_detector",
        place=left,
        help="What is trained. The networks predict or rebuild the spectrogram; the others measure how far a clip lies "
        "from the training clips.",
    )
    preset = switch(
        "Preset",
        PRESETS,
        key="train_preset",
        place=right,
        help="Where the hyper-parameters start from. Quick counts updates of the weights, so that small data sets are "
        "learned as well as large ones: minutes for a network. Paper: the report's epochs, hours on its data.",
    )
    if preset == "paper" and detector.startswith("vggish"):
        _vggish_note()
    return detector, preset


def _about(detector: str, preset: str) -> None:
    """Tell, for those who ask, what the detector does, how much the preset trains, and how the presets differ."""
    with st.expander("What this detector does, and what the preset sets", icon=":material/info:"):
        st.text(" ".join((detector_class(detector).__doc__ or "").split("Parameters\n")[0].split()))
        if text := effort(detector, preset):
            st.caption(text)
        if preset == "quick":
            st.caption(f"Where quick differs from paper: {unlike_paper_text(detector_class(detector))}.")
        if detector == "vggish_ocsvm":
            st.caption(
                "Nu and gamma decide how tight the boundary is. The view 'Tune the SVM' of this page, or the command "
                "`python -m asd_core sweep`, tries a grid of both."
            )


def _vggish_note() -> None:
    found = next((check for check in checks() if check.name == "VGGish"), None)
    if found is not None and not found.ok:
        st.warning(
            "This preset takes the VGGish encoder, whose weights are not here yet; without a connection the training "
            "will fail and say so. The encoder log-mel statistics needs no weights.",
            icon=":material/cloud_off:",
        )


def _what(data_set: DataSet, known: KnownSet, machine: str) -> tuple[list[str], str]:
    left, right = st.columns(2)
    ids = left.multiselect(
        "Machine ids",
        data_set.index.machine_ids,
        default=data_set.index.machine_ids,
        key=f"train_ids:{known.name}:{machine!a}",
        format_func=display_name,
        help="Which machines' normal clips are learned together; all unless you leave some out.",
    )
    if known.name == EMBEDDED_NAME:
        right.text_input(
            "Save as",
            EMBEDDED_NAME + OWN_SUFFIX,
            disabled=True,
            key="train_name_embedded",
            help="The detectors that come with the project stay as they are; yours are kept beside them.",
        )
        return ids, ""
    if known.embedded:
        return ids, ""
    name = right.text_input(
        "Save as (optional)",
        key=f"train_name:{known.name}",
        placeholder=known.name,
        max_chars=60,
        help="Name of the data set in the sidebar's list. Empty: the data set's own.",
    )
    return ids, name.strip()


def _ask_channel(data_set: DataSet, stamp: str) -> int | Literal["mean"] | None:
    """Ask which channel is learned, where recordings have several; None leaves it to the data set."""
    n_channels = _n_channels(StampedSet(data_set, stamp))
    if n_channels < 2:
        return None
    usual: int | Literal["mean"] = "mean" if data_set.index.channel is None else data_set.index.channel
    options: list[int | Literal["mean"]] = list(dict.fromkeys((usual, "mean", *range(n_channels))))
    chosen = st.selectbox(
        "Channel to learn",
        options,
        key=f"train_channel:{stamp}",
        format_func=lambda each: "the mean of all" if each == "mean" else f"channel {each}",
        help=f"The recordings have {n_channels} channels; 0 is the first. Where one microphone is nearer to the "
        "machine than the others, learn it alone. Clips are then checked by the same channel.",
    )
    return None if chosen == usual else chosen


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def _n_channels(stamped: StampedSet) -> int:
    """Most channels among the first recordings, by their headers."""
    paths = list(dict.fromkeys(clip.path for clip in stamped.data_set.index.clips))
    return max(map(n_channels_of, paths[:PROBED]), default=0)


def _submit(
    known: KnownSet,
    machine: str,
    ids: list[str],
    name: str,
    detector: str,
    preset: str,
    texts: dict[str, str],
    folds: int,
    channel: int | Literal["mean"] | None,
) -> None:
    if not ids:
        raise UsageError("choose at least one machine id")
    settings = changed_settings(detector, preset, texts)
    filed = checked_name(name) if name else known.name
    if filed != known.name:
        add_alias(filed, known.name)
    every = indexed(known, machine).index.machine_ids
    job = jobs.submit(
        TrainingRequest(
            detector=detector,
            data=known.folder,
            machine=machine if len(known.machines) > 1 or known.machines[machine] else None,
            ids=None if tuple(ids) == every else tuple(ids),
            name=filed,
            preset=preset,
            seed=settings.pop("seed", 0),
            settings=settings or None,
            out=artifacts_dir(PROJECT),
            rules=known.rules,
            channel=channel,
            folds=None if folds == default_folds(detector) else folds,
        )
    )
    st.session_state["next_run"] = job.name
    st.rerun()
