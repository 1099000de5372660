"""Test clips to try, their labels hidden until the reader asks: in an order that gives nothing away."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from asd_core.artifacts.store import Artifact
from asd_core.evaluation.scores import ScoredClip
from asd_core.formats import display_name
from asd_core.types import Waveform
from pages.shared.choices import choose
from pages.shared.context import Chosen
from pages.shared.data_sets import clips_root
from pages.shared.plain_text import plain
from pages.shared.sources import clip_title, label_and_kind, load_scored, short_name

KEY = "example"
_REVEALED = "revealed"
NAME_LETTERS = 12
"""Of a clip's digest: names in the URL that tell no label."""


def hidden_example(
    chosen: Chosen, artifacts: Mapping[str, Artifact], place: DeltaGenerator
) -> tuple[Waveform | None, str]:
    """Let the reader take one of the test clips without its label, shown in `place` when asked for; sound and title."""
    first = next(iter(artifacts.values()))
    scored = by_hidden_name(first.scores.of("test").clips)
    if clips_root(chosen) is None or not scored:
        st.info("The clips of this data set are not known here: upload one.", icon=":material/info:")
        return None, ""
    names = list(scored)
    _follow_old_link(scored)
    titles = {name: hidden_title(number, scored[name], n=len(names)) for number, name in enumerate(names, start=1)}
    with st.container(horizontal=True, vertical_alignment="center"):
        name = choose(
            "Example",
            titles,
            key=KEY,
            label_visibility="collapsed",
        )
        st.button("Next", key="example_next", icon=":material/skip_next:", on_click=_take, args=(_after(names, name),))
        st.button("Random", key="example_random", icon=":material/casino:", on_click=_take_any, args=(names, name))
        st.button(
            "Reveal",
            key="example_reveal",
            icon=":material/visibility:",
            on_click=_reveal,
            args=(name,),
            help="Test clips that no detector was trained on, in random order: judge first, then reveal the label.",
        )
    clip = scored[name]
    sound = load_scored(chosen, clip, first.channel)
    if st.session_state.get(_REVEALED) != name:
        return sound, titles[name]
    place.markdown(f"**{titles[name]}**: {plain(revealed_text(clip))}")
    return sound, clip_title(clip)


def by_hidden_name(clips: Sequence[ScoredClip]) -> dict[str, ScoredClip]:
    """Return the clips by the beginning of their digests, in that order: it has nothing to do with their labels."""
    return {clip.digest[:NAME_LETTERS]: clip for clip in sorted(clips, key=lambda clip: clip.digest)}


def hidden_title(number: int, clip: ScoredClip, *, n: int) -> str:
    """Call a clip by its number: its name and folder would tell its label."""
    return f"Example {number} of {n} · id {display_name(clip.machine_id)}"


def revealed_text(clip: ScoredClip) -> str:
    """Say what a clip really is, and what its owner calls it."""
    what = "its label is not known" if clip.label == "unlabelled" else f"it is {label_and_kind(clip)}"
    return f"{what}; its name is {short_name(clip)}."


def _after(names: Sequence[str], name: str) -> str:
    return names[(names.index(name) + 1) % len(names)]


def _take(name: str) -> None:
    st.session_state[KEY] = name


def _take_any(names: Sequence[str], name: str) -> None:
    _take(secrets.choice([other for other in names if other != name] or [name]))


def _reveal(name: str) -> None:
    st.session_state[_REVEALED] = name


def _follow_old_link(scored: Mapping[str, ScoredClip]) -> None:
    """Open the clip that a link from before labels were hidden names by its path."""
    path = st.query_params.get("clip")
    if KEY in st.session_state or KEY in st.query_params or path is None:
        return
    named = next((name for name, clip in scored.items() if clip.path == path), None)
    if named is not None:
        _take(named)
