"""How a mistake on purpose is shown: marks for the plots, a table of wrong and right, what is computed on a press."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import pandas as pd
import streamlit as st

from asd_core.data.library import find_machine
from asd_core.data.table import KnownSet
from asd_core.evaluation.uncertainty import wilson
from asd_core.formats import MISSING, rate_text
from pages.shared.context import Chosen
from pages.shared.expected_time import rough_time
from pages.shared.keys import held, once

INTERVALS = "Brackets: 95 % intervals (Wilson)."
AT_ONCE_S = 5.0
"""What takes longer, or needs clips to be generated first, waits for a press."""
GENERATION_S = 25.0
NO_BREAK = "\N{NO-BREAK SPACE}"
_INTERVAL = re.compile(r"\[[^\]]*\]")

Value = TypeVar("Value")


def rate_cell(part: int, whole: int) -> str:
    """Write a share with its counts and its 95 % interval in percent: `12.0 % (18/150) [7.7, 18.2]`."""
    if not whole:
        return MISSING
    limits = wilson(part, whole)
    return f"{rate_text(part, whole)} [{100 * (limits.low or 0.0):.1f}, {100 * (limits.high or 0.0):.1f}]"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Draw a small table of finished texts; the first column names the rows, and no interval is broken in two."""
    whole = [[_INTERVAL.sub(lambda found: found[0].replace(" ", NO_BREAK), cell) for cell in row] for row in rows]
    frame = pd.DataFrame(whole, columns=list(columns))
    st.table(frame, border="horizontal", hide_index=True)


def done_wrong(text: str) -> None:
    """Say what is done wrong."""
    st.markdown(f"**What is done wrong.** {text}")


def price(text: str, *, costs: bool = True) -> None:
    """Say what the mistake costs here, or that it costs nothing."""
    st.markdown(f"**{'The price' if costs else 'Here it costs nothing'}.** {text}")


def clips_here(chosen: Chosen) -> tuple[KnownSet, str] | None:
    """Return the data set of the detectors and its machine's name; None, said on the page, where it is not here."""
    found = find_machine(chosen.data_set, chosen.machine)
    if found is None or not (found[0].embedded or found[0].folder.is_dir()):
        st.info("This needs the clips that the detector was trained on, and they are not here.", icon=":material/info:")
        return None
    return found


def computed(
    key: tuple[Hashable, ...],
    make: Callable[[], Value],
    *,
    label: str,
    seconds: float,
    known: KnownSet,
    sounds: Callable[[Value], Iterable[str]] = lambda _: (),
) -> Value | None:
    """Return a value, computed once for all sessions; what takes more than some seconds waits for a press.

    Parameters
    ----------
    label
        Of the button, which says the time too.
    seconds
        About how long it takes once the clips are here.
    known
        The data set of the clips.
    sounds
        See `Held.get`.
    """
    place = st.empty()
    if not known.folder.is_dir():
        seconds += GENERATION_S
    if held().find(key) is None and seconds > AT_ONCE_S:
        name = f"compute:{':'.join(map(str, key))}"
        if not place.button(f"{label} (about {rough_time(seconds)})", key=name, icon=":material/play_arrow:"):
            return None
        place.empty()
    return once(key, make, sounds=sounds)
