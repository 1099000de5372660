"""A reader's choices: they survive a change of page, and the URL names those that a link should restore."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import streamlit as st

from pages.shared.plain_text import shown_text

ON = "on"
Number = TypeVar("Number", int, float)


def keep(key: str, options: Iterable[str] | None = None) -> None:
    """Keep a keyed widget's value over a change of page; call it just before the widget is drawn.

    With `options`, a session's first visit takes the value that the URL names, and the first option replaces one that
    is missing or gone. `link` writes the URL. (Streamlit's own binding would put labels into it, not names.)
    """
    known = None if options is None else tuple(options)
    value = st.session_state.get(key)
    if known and value is None:
        value = _named_by_url(known, st.query_params.get(key))
    if known and value not in known:
        value = known[0]
    if value is not None:
        st.session_state[key] = value


def link(key: str) -> None:
    """Write a keyed widget's value to the URL, so that a link opens the page as it is."""
    value = st.session_state.get(key)
    if value is not None and st.query_params.get(key) != shown_text(value):
        st.query_params[key] = shown_text(value)


def _named_by_url(known: tuple[str, ...], text: str | None) -> str | None:
    """Return the option that `link` wrote as this text: a name that is not UTF-8 has another form in the URL."""
    return None if text is None else next((name for name in known if shown_text(name) == text), None)


def choose(
    label: str,
    options: Mapping[str, Any] | Iterable[str],
    *,
    key: str,
    place: Any = st,
    in_url: bool = True,
    **look: Any,
) -> str:
    """Let the reader choose one name from a list, at first the first one.

    Parameters
    ----------
    options
        Names; those of a mapping are shown by its values, unless `format_func` says otherwise.
    place
        Where the list is drawn, such as a column.
    in_url
        Whether the URL names the choice.
    look
        Further options of the widget.
    """
    return _choice(place.selectbox, label, options, key=key, in_url=in_url, look=look)


def switch(
    label: str,
    options: Mapping[str, Any] | Iterable[str],
    *,
    key: str,
    place: Any = st,
    in_url: bool = True,
    **look: Any,
) -> str:
    """Let the reader choose one of a few names that are all visible; otherwise as `choose`."""
    look = {"required": True, **look}
    return _choice(place.segmented_control, label, options, key=key, in_url=in_url, look=look)


def choose_many(
    label: str,
    options: Iterable[str],
    *,
    key: str,
    parameter: str,
    default: tuple[str, ...],
    place: Any = st,
    **look: Any,
) -> tuple[str, ...]:
    """Let the reader switch some of a few names on and off; return those that are on, in the order of the options.

    Parameters
    ----------
    parameter
        What the URL calls the choice; it names it only where it is not the default.
    default
        Names that are on at first, and where the reader switches all of them off.
    look
        Further options of the widget.
    """
    names = tuple(options)
    before = st.session_state.get(key)
    if before is None:
        before = [name for name in names if name in st.query_params.get_all(parameter)]
    st.session_state[key] = [name for name in names if name in before] or list(default)
    place.pills(label, names, selection_mode="multi", key=key, persist_state="session", **look)
    chosen = tuple(name for name in names if name in st.session_state[key])
    _link_many(parameter, () if chosen == default else chosen)
    return chosen


def turn_on(label: str, *, key: str, place: Any = st, **look: Any) -> bool:
    """Let the reader turn something on, which the URL then says.

    Parameters
    ----------
    look
        Further options of the widget.
    """
    st.session_state[key] = bool(st.session_state.get(key, st.query_params.get(key) == ON))
    is_on = bool(place.toggle(label, key=key, persist_state="session", **look))
    if is_on:
        st.query_params[key] = ON
    else:
        st.query_params.pop(key, None)
    return is_on


def choose_number(
    widget: Callable[..., Number],
    label: str,
    low: Number,
    high: Number,
    *,
    key: str,
    default: Number,
    parameter: str | None = None,
    **look: Any,
) -> Number:
    """Let the reader choose a number, which the URL names unless it is the default.

    Parameters
    ----------
    widget
        `st.slider`, `st.number_input`, or the same of a column.
    low, high, default
        All integers or all floats; a number outside of the first two is moved to the nearer one.
    parameter
        What the URL calls the number; its key unless given.
    look
        Further options of the widget, such as `step`.
    """
    parameter = parameter or key
    asked = st.session_state.get(key)
    if asked is None:
        asked = _number(st.query_params.get(parameter), default)
    st.session_state[key] = min(max(asked, low), high)
    chosen = widget(label, low, high, key=key, persist_state="session", **look)
    text = f"{chosen:.6g}"
    if chosen == default:
        st.query_params.pop(parameter, None)
    elif st.query_params.get(parameter) != text:
        st.query_params[parameter] = text
    return chosen


def _number(text: str | None, default: Number) -> Number:
    """Read a number of the URL; the default where it is none."""
    try:
        number = type(default)(float(text or "nan"))
    except (ValueError, OverflowError):
        return default
    return number if math.isfinite(number) else default


def _link_many(parameter: str, values: tuple[str, ...]) -> None:
    if not values:
        st.query_params.pop(parameter, None)
    elif tuple(st.query_params.get_all(parameter)) != values:
        st.query_params[parameter] = list(values)


def _choice(
    widget: Callable[..., str],
    label: str,
    options: Mapping[str, Any] | Iterable[str],
    *,
    key: str,
    in_url: bool,
    look: dict[str, Any],
) -> str:
    names = list(options)
    if isinstance(options, Mapping):
        look = {"format_func": options.__getitem__, **look}
    keep(key, names)
    chosen = widget(label, names, key=key, persist_state="session", **look)
    if in_url:
        link(key)
    return chosen


def pick_row(table: Any, *, n_rows: int, key: str, **look: Any) -> int:
    """Draw a table and return the row that the reader selected, at first the first one.

    Parameters
    ----------
    n_rows
        Number of rows, at least 1.
    look
        Further options of the table, such as its height.
    """
    event = st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [0]}},
        key=key,
        **look,
    )
    row = event.selection.rows[0] if event.selection.rows else 0
    return row if row < n_rows else 0


def go(page: str, label: str, *, icon: str | None = None, key: str | None = None, **state: Any) -> None:
    """Draw a button that opens another page with some of its choices made."""
    if st.button(label, key=key or f"go:{page}:{label}", icon=icon, on_click=st.session_state.update, args=(state,)):
        st.switch_page(page)
