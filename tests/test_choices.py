"""Choices on a page: what is shown, what the URL names, and what a URL may ask for."""

from __future__ import annotations

import pytest
from sounds import PROJECT
from streamlit.testing.v1 import AppTest


def draw(widget: str, in_url: bool) -> None:
    import streamlit as st

    from pages.shared import choices

    named = {"a": "First", "b": "Second", "c": "Third"}
    chosen = getattr(choices, widget)("Which", named, key="which", in_url=in_url)
    plain = getattr(choices, widget)("Plain", ["x", "y"], key="plain", in_url=in_url, format_func=str.upper)
    st.text(f"{chosen} {plain}")


@pytest.fixture
def page(monkeypatch):
    """Return a function that draws two choices, the URL asking for some."""
    monkeypatch.syspath_prepend(str(PROJECT))

    def open_(widget: str, *, in_url: bool = True, **query: str) -> AppTest:
        app = AppTest.from_function(draw, args=(widget, in_url))
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return open_


@pytest.mark.parametrize("widget", ["choose", "switch"])
def test_names_are_shown_by_their_titles_and_the_first_one_stands_at_first(page, widget):
    app = page(widget)
    kind = "selectbox" if widget == "choose" else "segmented_control"
    assert [each.options for each in app.get(kind)] == [["First", "Second", "Third"], ["X", "Y"]]
    assert app.text[0].value == "a x"


@pytest.mark.parametrize("widget", ["choose", "switch"])
def test_the_url_names_choices_and_is_asked_for_them_at_first(page, widget):
    app = page(widget, which="c", plain="nonsense")
    assert app.text[0].value == "c x"
    assert {name: app.query_params[name] for name in app.query_params} == {"which": "c", "plain": "x"}


def draw_odd() -> None:
    import streamlit as st

    from pages.shared.choices import choose

    st.text(ascii(choose("Which", ["plain", "odd \udcff"], key="which", format_func=ascii)))


def test_a_name_that_is_no_utf8_can_be_chosen_and_linked_to(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT))
    app = AppTest.from_function(draw_odd)
    app.session_state["which"] = "odd \udcff"
    app.run()
    assert not app.exception
    (link,) = [app.query_params[name] for name in app.query_params]
    other = AppTest.from_function(draw_odd)
    other.query_params["which"] = link
    assert other.run().text[0].value == ascii("odd \udcff")


@pytest.mark.parametrize("widget", ["choose", "switch"])
def test_a_choice_that_is_not_for_links_stays_out_of_the_url(page, widget):
    assert not page(widget, in_url=False).query_params
