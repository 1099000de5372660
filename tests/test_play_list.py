"""The list of sounds: what it sends, what it reads, and what it says of a sound that cannot be read."""

from __future__ import annotations

import json

import pytest
from sounds import hum
from streamlit.testing.v1 import AppTest

from asd_core.errors import AudioError, InputError
from pages.shared.components.play_list import MOST_ROWS, NOT_HERE, ListedSound, _wanted, answers, play_list

HOSTILE = "<img src=x onerror=alert(1)>\udcff"


def row(name: str, sound=lambda: hum(1)) -> ListedSound:
    return ListedSound(id=name, title=f"clip {name}", sound=sound)


def not_read():
    raise AssertionError("read before its row was pressed")


def refused():
    raise AudioError("too_short", "at least 0.1 s are needed", name="a.wav")


def test_only_the_sounds_that_are_asked_for_are_read():
    addresses, problems = answers([row("a", not_read), row("b"), row("c", not_read)], ["b", "gone"])
    assert addresses == {"b": ""}  # no server
    assert problems == {}


def test_what_is_wrong_with_a_sound_is_said_in_words():
    addresses, problems = answers([row("a", lambda: None), row("b", refused), row("c")], ["a", "b", "c"])
    assert list(addresses) == ["c"]
    assert problems["a"] == NOT_HERE
    assert "0.1 s are needed" in problems["b"]


def test_nonsense_from_the_browser_asks_for_nothing():
    assert _wanted(None) == _wanted("abc") == _wanted({"a": 1}) == []
    assert _wanted(["a", "b", "c", "d", "e"]) == ["b", "c", "d", "e"]


def test_a_list_refuses_two_rows_of_one_id_and_too_many():
    with pytest.raises(InputError, match="different ids"):
        play_list([row("a"), row("a")], key="list")
    with pytest.raises(InputError, match=f"up to {MOST_ROWS}"):
        play_list([row(str(i)) for i in range(MOST_ROWS + 1)], key="list")


def drawn(hostile: str) -> None:
    import streamlit as st

    from pages.shared.components.play_list import ListedSound, play_list

    def sound() -> None:
        raise AssertionError("read before its row was pressed")

    rows = [
        ListedSound(id="a", title=hostile, sound=sound, note="score 1", truth="anomalous (rail)", tone="anomalous"),
        ListedSound(id="b", title="clip b", sound=sound, tone="normal"),
    ]
    st.text(str(play_list(rows, key="list", label="Clips to hear", on_pick=st.session_state.update)))
    assert play_list([], key="none") is None


def message_of(app: AppTest) -> dict:
    (found,) = app.get("bidi_component")
    return json.loads(found.proto.json)


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(drawn, args=(HOSTILE,), default_timeout=30)


def test_a_list_sends_its_rows_and_no_sound(app):
    app.run()
    assert not app.exception
    message = message_of(app)
    first, second = message["rows"]
    assert first["title"] == HOSTILE.replace("\udcff", "\\udcff")
    assert (first["note"], first["truth"], first["tone"]) == ("score 1", "anomalous (rail)", "anomalous")
    assert first["colour"] != second["colour"]
    assert (message["list"], message["addresses"], message["problems"]) == ("Clips to hear", {}, {})
    assert app.text[0].value == "None"


@pytest.mark.parametrize("is_on", [True, False])
def test_whether_the_next_row_follows_is_in_the_link(app, is_on):
    if is_on:
        app.query_params["play_on"] = "on"
    app.run()
    assert message_of(app)["plays_on"] is is_on
    assert ("play_on" in app.query_params) is is_on


def test_the_session_remembers_whether_the_next_row_follows(app):
    app.session_state["play_on"] = True
    app.run()
    assert message_of(app)["plays_on"] is True
    assert app.query_params["play_on"] in ("on", ["on"])
