"""Computations that take seconds: step by step, with a bar that says how long it takes, and a button that stops it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from pages.shared.keys import held

_STOPPED = "stopped"


@dataclass(frozen=True)
class Step:
    """One value, and how it is computed.

    Parameters
    ----------
    key
        Identifies the value; it is kept for all sessions.
    sounds
        Digests of the clips that it is made from.
    """

    key: tuple[Hashable, ...]
    make: Callable[[], Any]
    sounds: tuple[str, ...]


@dataclass
class Stepwise:
    """The bar and the button over some steps; a press of the button starts the page anew, without computing more.

    It must not be drawn in a fragment: a button there waits until the computation has ended.

    Parameters
    ----------
    work
        Identifies the computation: a stop holds for it alone.
    n
        Number of steps that are not known yet.
    """

    work: str
    n: int
    n_done: int = 0
    _began: float = field(default_factory=time.monotonic)
    _place: Any = None

    def take(self, steps: Sequence[Step]) -> list[Any | None]:
        """Compute values, or take them from where they are kept; None for those that a stop has left out."""
        return [self._value(step) for step in steps]

    @property
    def is_stopped(self) -> bool:
        """Whether the reader has stopped this computation."""
        return bool(st.session_state.get(_STOPPED) == self.work)

    def draw(self) -> None:
        """Draw the bar with its button, or, after a stop, a button that goes on."""
        if self.n == 0:
            return
        self._place = st.empty()
        with self._place.container(horizontal=True, vertical_alignment="center"):
            if self.is_stopped:
                st.caption(f"Stopped: {self.n} steps are left.")
                st.button("Continue", key="step_continue", icon=":material/play_arrow:", on_click=_set, args=("",))
                return
            self._bar = st.progress(0.0, _bar_text(0, self.n, 0.0))
            st.button("Stop", key="step_stop", icon=":material/stop:", on_click=_set, args=(self.work,))

    def end(self) -> None:
        """Take the bar away; what a stop has left stays offered."""
        if self._place is not None and not self.is_stopped:
            self._place.empty()

    def _value(self, step: Step) -> Any | None:
        kept = held().find(step.key)
        if kept is not None or self.is_stopped:
            return kept
        value = held().get(step.key, step.make, sounds=lambda _: step.sounds)
        self.n_done += 1
        done = min(1.0, self.n_done / max(1, self.n))
        self._bar.progress(done, _bar_text(self.n_done, self.n, time.monotonic() - self._began))
        return value


def stepwise(work: Hashable, steps: Sequence[Step]) -> Stepwise:
    """Draw the bar over those of the steps that are not known yet."""
    found = Stepwise(ascii(work), sum(held().find(step.key) is None for step in steps))
    found.draw()
    return found


def _set(work: str) -> None:
    st.session_state[_STOPPED] = work


def _bar_text(n_done: int, n: int, seconds: float) -> str:
    """Say how far it is and how long the rest takes, once one step has shown it."""
    if n_done == 0:
        return f"Listening {n} times …"
    left_s = seconds / n_done * (n - n_done)
    return f"{n_done} of {n}, about {max(1, round(left_s))} s left" if n_done < n else f"{n} of {n}"
