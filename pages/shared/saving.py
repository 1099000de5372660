"""Buttons that keep a figure as PNG or SVG, with its caption and its data set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from pages.shared.components import register
from pages.shared.context import Chosen

_mount = register("asd_figure", "figure")


@contextmanager
def saved_figure(key: str, *, file: str, caption: str) -> Iterator[None]:
    """Draw a figure with the two buttons under it, whatever kind it is of; the key is not that of the figure itself."""
    with st.container(key=f"figure-{key}"):
        yield
    figure_buttons(f"figure-{key}", file=file, caption=caption)


def figure_buttons(key: str, *, file: str, caption: str, part: str = "", label: str = "") -> None:
    """Draw the two buttons under an element that was drawn with this key.

    Parameters
    ----------
    key
        Of a Plotly chart, of a component or of a container; Streamlit does not pass on that of a Vega chart.
    file
        Name of the file without its ending; see `picture_file`.
    caption
        What is written under the picture: what it shows and of which data set, as plain text; see `picture_caption`.
    part
        Selector of the part that is kept, such as one picture of a component; all of it unless given.
    label
        What is written before the buttons, where there are several pairs of them.
    """
    name = f"st-key-{re.sub(r'[^a-zA-Z0-9_-]', '-', key.strip())}"
    message = {"name": name, "part": part, "label": label, "file": file, "caption": caption}
    _mount(key=f"save:{key}:{part}", data=message, width="content" if label else "stretch")


def picture_file(page: str, figure: str, chosen: Chosen) -> str:
    """Name a picture's file, such as `hark-threshold-roc-simulated-small-slider`; the browser mends what it must."""
    return f"hark-{page}-{figure}-{chosen.title}"


def picture_caption(text: str, chosen: Chosen, *, simulated: bool) -> str:
    """Return a caption with the data set on a line of its own, and whether it is simulated."""
    return f"{text}\nData set: {chosen.title}{' (simulated sound)' if simulated else ''}. Hark."
