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


def draw_more() -> None:
    import streamlit as st

    from pages.shared.choices import choose_many, choose_number, turn_on

    is_on = turn_on("Bands", key="bands")
    many = choose_many("Some", ["a", "b", "c"], key="many", parameter="some", default=("a",))
    share = choose_number(st.number_input, "Share", 0.01, 99.0, key="share", default=1.0)
    step = choose_number(st.slider, "Step", 1, 30, key="step", default=3, parameter="at")
    st.text(f"{is_on} {'+'.join(many)} {share} {step!r}")


@pytest.fixture
def more(monkeypatch):
    """Return a function that draws a toggle, some chips and two numbers, the URL asking for some."""
    monkeypatch.syspath_prepend(str(PROJECT))

    def open_(**query: object) -> AppTest:
        app = AppTest.from_function(draw_more)
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return open_


def asked(app: AppTest) -> dict[str, object]:
    return {name: app.query_params[name] for name in app.query_params}


def test_what_is_as_it_is_at_first_is_not_in_the_url(more):
    app = more()
    assert app.text[0].value == "False a 1.0 3"
    assert asked(app) == {}


def test_a_link_turns_on_and_names_chips_and_numbers(more):
    app = more(bands="on", some=["c", "b"], share="0.25", at="7")
    assert app.text[0].value == "True b+c 0.25 7"
    assert asked(app) == {"bands": "on", "some": ["b", "c"], "share": "0.25", "at": "7"}


def test_what_the_reader_changes_goes_into_the_url_and_back_out(more):
    app = more(bands="on", at="7")
    app.toggle(key="bands").set_value(False)
    app.slider(key="step").set_value(3)
    app.number_input(key="share").set_value(2.5).run()
    assert app.text[0].value == "False a 2.5 3"
    assert asked(app) == {"share": "2.5"}


@pytest.mark.parametrize("at", ["nonsense", "", "nan", "inf", "-inf", "1e400"])
def test_a_link_with_no_number_leaves_the_first_one(more, at):
    assert more(at=at, share=at).text[0].value == "False a 1.0 3"


def test_a_number_of_a_link_beyond_the_limits_is_moved_to_them(more):
    assert more(at="1000", share="-5").text[0].value == "False a 0.01 30"
