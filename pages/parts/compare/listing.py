"""Clips of the comparison in a list to listen to, each with what the detectors say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from asd_core.evaluation.scores import ScoredClip
from asd_core.formats import display_name
from pages.parts.compare.methods import Judged, short_title
from pages.shared.choices import link, turn_on
from pages.shared.components.play_list import ListedSound, play_list
from pages.shared.context import Chosen
from pages.shared.paging import PAGE_ROWS, page_start
from pages.shared.presenting import presented
from pages.shared.sources import label_and_kind, load_scored, short_name

CLIP = "compared_clip"
"""Key and name in the URL of the clip that is looked at."""


def clip_list(
    chosen: Chosen,
    judged: Judged,
    rows: Sequence[int],
    *,
    key: str,
    label: str,
    play: Callable[[Chosen, Judged, ScoredClip], None],
) -> None:
    """List clips by their positions, a page at a time; on request, the pressed one with its verdicts and maps.

    Parameters
    ----------
    key
        Names the list on the page.
    label
        What is listed, for those who do not see it.
    play
        Shows one clip in full.
    """
    if not rows:
        return
    start = page_start(len(rows), key=f"{key}_page")
    clips = {judged.comparison.clips[row].digest: row for row in rows[start : start + PAGE_ROWS]}
    place = st.container()
    is_full = turn_on("Verdicts and maps of the clip that is pressed", key="clip_details")
    with place:
        play_list(
            [_sound(chosen, judged, row, number) for number, row in enumerate(clips.values(), start=start + 1)],
            key=f"{key}_list",
            label=label,
            hides_truth=presented(),
            on_pick=_picked if is_full else None,
        )
    if not is_full:
        return
    if st.session_state.setdefault(CLIP, st.query_params.get(CLIP)) not in clips:
        st.session_state[CLIP] = next(iter(clips))
    link(CLIP)
    play(chosen, judged, judged.comparison.clips[clips[st.session_state[CLIP]]])


def _picked(digest: str) -> None:
    st.session_state[CLIP] = digest


def _sound(chosen: Chosen, judged: Judged, row: int, number: int) -> ListedSound:
    clip = judged.comparison.clips[row]
    # A file's name says its label in most data sets, so that it goes with the truth.
    name = f"clip {number:,}" if presented() else short_name(clip).removesuffix(".wav")
    return ListedSound(
        id=clip.digest,
        title=f"id {display_name(clip.machine_id)} · {name}",
        sound=partial(load_scored, chosen, clip, channel_of(judged)),
        note=verdicts_text(judged, row),
        truth=label_and_kind(clip),
        tone="anomalous" if clip.label == "anomalous" else "normal",
    )


def channel_of(judged: Judged) -> int | None:
    """Return the channel that the first trained detector hears; None for the mean."""
    return next((each.artifact.channel for each in judged.comparison.methods if each.artifact is not None), None)


def verdicts_text(judged: Judged, row: int) -> str:
    """Say which detectors call a clip anomalous: `⚠ LSTM, GRU`."""
    raised = [short_title(judged, method) for method in judged.judging if judged.alarms[method, row]]
    return f"⚠ {', '.join(raised)}" if raised else "no alarm"
