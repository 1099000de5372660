"""A list of sounds to listen to, one press each; a sound is read and fetched only once its row is pressed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from asd_core.errors import AsdError, InputError
from asd_core.reports.plots import ANOMALOUS_COLOUR, NORMAL_COLOUR
from asd_core.types import Waveform
from pages.shared.choices import ON
from pages.shared.components import register
from pages.shared.plain_text import error_text, shown_text
from pages.shared.sound_address import sound_address

Tone = Literal["normal", "anomalous", "neutral"]
PLAY_ON = "play_on"
"""The URL's name of the choice that the next row follows by itself; one choice for the lists of all pages."""
MOST_ROWS = 500
MOST_WANTED = 4
NOT_HERE = "The sound of this clip is not here"
_COLOURS: Mapping[Tone, str] = {"normal": NORMAL_COLOUR, "anomalous": ANOMALOUS_COLOUR, "neutral": "transparent"}


@dataclass(frozen=True, kw_only=True)
class ListedSound:
    """One row of the list.

    Parameters
    ----------
    id
        Names the row; unique in its list.
    title
        What it is, without its truth: `id 00 · 0042`.
    sound
        Reads the sound; called only after the row was pressed. None, or an `AsdError`, is told in words.
    note
        Small print at the right, such as its score.
    truth, tone
        Its label, or what was said of it, before the title, and its mark; hidden where the list hides the truth.
    """

    id: str
    title: str
    sound: Callable[[], Waveform | None]
    note: str = ""
    truth: str = ""
    tone: Tone = "neutral"


@dataclass(frozen=True)
class Told:
    """A row that the page itself plays, such as a point of a figure that was pressed.

    Parameters
    ----------
    count
        The row is played as this number changes; 0: none yet. Nothing is played as the list is first drawn.
    """

    id: str = ""
    count: int = 0


NOT_TOLD = Told()
_mount = register("asd_play_list", "play_list", styles=("stage.css", "keys.css"))


def _nothing() -> None:
    """Streamlit wants a callback for everything that a component tells."""


def play_list(
    sounds: Sequence[ListedSound],
    *,
    key: str,
    label: str = "Clips",
    plays_on_label: str = "Play on",
    hides_truth: bool = False,
    height_px: int = 300,
    on_pick: Callable[[str], None] | None = None,
    told: Told = NOT_TOLD,
) -> str | None:
    """Draw the list; return the row that was pressed last, which only a list with `on_pick` knows.

    Whether the next row follows by itself is one choice for the whole session, and the URL names it.

    Parameters
    ----------
    sounds
        At most `MOST_ROWS`; none draws nothing.
    label
        What the list holds, for those who do not see it.
    hides_truth
        Whether truth and tone are hidden until whoever presents reveals them; the list then follows their keys.
    height_px
        The most that the rows take; more of them scroll.
    on_pick
        Called with the id of a row that was pressed, and the page runs again; without it, only the list does.
    told
        A row that the page has the list play.

    Raises
    ------
    InputError
        Too many rows, or two of one id.
    """
    if not sounds:
        return None
    if len(sounds) > MOST_ROWS or len({sound.id for sound in sounds}) < len(sounds):
        raise InputError(f"a list takes up to {MOST_ROWS} sounds with different ids, got {len(sounds)}")
    look = {
        "list": label,
        "plays_on_label": plays_on_label,
        "hides": hides_truth,
        "height": height_px,
        "picks": on_pick is not None,
        "rows": [_row(sound) for sound in sounds],
        "told": {"id": told.id, "count": told.count},
    }
    if on_pick is None:
        _by_itself(sounds, key, look, told)
        return None

    def picked() -> None:
        on_pick(str(st.session_state[key].picked))

    pressed = _draw(sounds, key, look, told, picked)
    return pressed if pressed in {sound.id for sound in sounds} else None


@st.fragment
def _by_itself(sounds: Sequence[ListedSound], key: str, look: Mapping[str, Any], told: Told) -> None:
    _draw(sounds, key, look, told, _nothing)


def _draw(
    sounds: Sequence[ListedSound], key: str, look: Mapping[str, Any], told: Told, picked: Callable[[], None]
) -> str | None:
    def plays_on() -> None:
        st.session_state[PLAY_ON] = bool(st.session_state[key].plays_on)

    state = st.session_state.get(key)
    wanted = _wanted(None if state is None else state.get("wanted"))
    if told.count and told.id not in wanted:  # the browser is about to ask for it
        wanted.append(told.id)
    addresses, problems = answers(sounds, wanted)
    heard = _mount(
        key=key,
        data={**look, "plays_on": _plays_on(), "addresses": addresses, "problems": problems},
        on_wanted_change=_nothing,
        on_picked_change=picked,
        on_plays_on_change=plays_on,
    )
    return None if heard.picked is None else str(heard.picked)


def answers(sounds: Sequence[ListedSound], wanted: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Read the sounds that the browser asks for; return their addresses, and what is wrong with the others, by id."""
    addresses: dict[str, str] = {}
    problems: dict[str, str] = {}
    rows = {sound.id: sound for sound in sounds}
    for name in wanted:
        if name not in rows:
            continue
        try:
            waveform = rows[name].sound()
        except AsdError as error:
            problems[name] = error_text(error)
            continue
        if waveform is None:
            problems[name] = NOT_HERE
        else:
            addresses[name] = sound_address(waveform)
    return addresses, problems


def _row(sound: ListedSound) -> dict[str, str]:
    return {
        "id": sound.id,
        "title": shown_text(sound.title),
        "note": shown_text(sound.note),
        "truth": shown_text(sound.truth),
        "tone": sound.tone,
        "colour": _COLOURS[sound.tone],
    }


def _wanted(told: object) -> list[str]:
    """What the browser asks for, as far as it is a list of names."""
    return [str(name) for name in told][-MOST_WANTED:] if isinstance(told, list) else []


def _plays_on() -> bool:
    """Whether the next row follows by itself: the session's choice, at first the URL's; it is written to the URL."""
    is_on = bool(st.session_state.get(PLAY_ON, st.query_params.get(PLAY_ON) == ON))
    st.session_state[PLAY_ON] = is_on
    if is_on:
        st.query_params[PLAY_ON] = ON
    else:
        st.query_params.pop(PLAY_ON, None)
    return is_on
