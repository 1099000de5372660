"""Wrong on purpose: five common mistakes with thresholds, each made beside the right way, with its price."""

from __future__ import annotations

from typing import Any

import streamlit as st

from asd_core.artifacts.store import Artifact
from pages.parts.threshold.mistakes_of_fits import from_training_clips, neighbours_on_both_sides, polluted
from pages.parts.threshold.mistakes_of_scores import on_test_labels, pooled_ids
from pages.shared.cache import KeptScores
from pages.shared.cards import simulated_badge
from pages.shared.choices import choose
from pages.shared.components.cockpit import Mark
from pages.shared.context import Chosen

KEY, NONE = "mistake", "none"
TITLES = {
    NONE: "Off",
    "training": "Threshold from training clips",
    "labels": "Threshold on test labels",
    "pooled": "One threshold for all machine ids",
    "polluted": "A faulty clip among the training clips",
    "neighbours": "Neighbours on both sides of a split",
}

OWN_CHOICES = {"labels": ("mistake_rule",), "polluted": ("mistake_kind", "mistake_clips")}
"""Mistake -> what the URL says of it besides its name."""


def mistake_choice(place: Any = st) -> str:
    """Let the reader make a mistake on purpose; return its name, or `none`, of which the URL says nothing.

    Parameters
    ----------
    place
        Where the list is drawn, such as a column.
    """
    name = choose(
        "Wrong on purpose",
        TITLES,
        key=KEY,
        place=place,
        in_url=False,
        help="Makes a common mistake beside the right way and shows its price in numbers. It changes no detector and "
        "no saved threshold.",
    )
    if name == NONE:
        st.query_params.pop(KEY, None)
    elif st.query_params.get(KEY) != name:
        st.query_params[KEY] = name
    for parameter in {each for own in OWN_CHOICES.values() for each in own} - {*OWN_CHOICES.get(name, ())}:
        st.query_params.pop(parameter, None)
    return name


def mistake_band(name: str) -> None:
    """Mark the page while a mistake is on; nothing where none is."""
    if name != NONE:
        st.warning(
            f"**Wrong on purpose: {TITLES[name][:1].lower()}{TITLES[name][1:]}.** Do not copy this.",
            icon=":material/warning:",
        )


def show_mistake(name: str, chosen: Chosen, artifact: Artifact, scores: KeptScores) -> tuple[Mark, ...]:
    """Show a mistake: what is done wrong, wrong and right side by side, the price; nothing for `none`.

    Parameters
    ----------
    name
        As `mistake_choice` returns it.
    artifact, scores
        The chosen detector and its labelled test clips.

    Returns
    -------
    tuple
        Thresholds to mark on the detector's own plots; none for mistakes that change the detector or its data.
    """
    if name == NONE:
        return ()
    with st.container(border=True, key="wrong_on_purpose"):
        heard = name != "neighbours" and artifact.simulated
        badge = ":orange-badge[:material/warning: Wrong on purpose]"
        st.markdown(f"{badge} **{TITLES[name]}**{simulated_badge(heard)}")
        if name == "training":
            return from_training_clips(chosen, artifact, scores)
        if name == "labels":
            return on_test_labels(artifact, scores)
        if name == "pooled":
            return pooled_ids(artifact, scores)
        (polluted if name == "polluted" else neighbours_on_both_sides)(chosen, artifact)
    return ()
