"""Keys of cached values, and a cache for large ones.

Streamlit hashes large arrays from a sample, so no array is ever part of a key: `HASHES` says what represents the
objects that hold some. Large values (sounds, maps, pictures) are kept by `kept`, bounded in bytes per server.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import streamlit as st

from asd_core.artifacts.store import Artifact
from asd_core.data.data_set import DataSet
from asd_core.data.library import allowed_roots
from asd_core.features.cache import split_name
from asd_core.tasks.compare import Comparison, Method
from asd_core.types import Waveform
from pages.shared.held import Held

MAX_HELD_BYTES = 512 * 2**20
"""Bound on the sounds, maps and pictures kept in memory for all sessions together."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Tree:
    """A folder of clips with `tree_stamp`'s digest of it, which changes when a clip comes or goes."""

    root: Path
    stamp: str


@dataclass(frozen=True)
class ClipFile:
    """A recording, or a stretch of it in seconds, and the channel to read.

    `content` identifies the file's contents: a digest, or a time of change.
    """

    path: str
    content: str
    channel: int | None
    span: tuple[float, float] | None = None

    @classmethod
    def named(cls, root: Path, name: str, content: str, channel: int | None) -> ClipFile:
        """A clip by its name below a folder, as the index and stored scores have it.

        A link is followed where it ends inside an allowed folder; the reader refuses any other.
        """
        file, span = split_name(name)
        place = (root / file).resolve()
        is_allowed = any(place.is_relative_to(allowed) for allowed in allowed_roots())
        return cls(str(place if is_allowed else root / file), content, channel, span)


@dataclass(frozen=True, eq=False)
class StampedSet:
    """A data set with the stamp of the folder that it was indexed from."""

    data_set: DataSet
    stamp: str


def _digest(waveform: Waveform) -> str:
    if not waveform.digest:
        raise ValueError("only a sound with a digest can be kept")
    return waveform.digest


HASHES: dict[str | type[Any], Callable[[Any], Any]] = {
    Artifact: lambda artifact: (os.fsencode(artifact.folder), artifact.digest),
    Waveform: _digest,
    Method: lambda method: method.key,
    Comparison: lambda comparison: (tuple(method.key for method in comparison.methods), comparison.fingerprint),
    Tree: lambda tree: (os.fsencode(tree.root), tree.stamp),
    StampedSet: lambda stamped: (os.fsencode(stamped.data_set.index.root), stamped.stamp),
    type(Path()): os.fsencode,
}
"""What represents an object in a key, for Streamlit's `hash_funcs` and for `kept`; none reads a clip or an array."""


@st.cache_resource(max_entries=1, show_spinner=False)
def held() -> Held:
    """Return the large values that all sessions share."""
    return Held(MAX_HELD_BYTES)


def kept(spinner: str = "") -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Keep a function's results in `held`, keyed by its arguments: as `HASHES` represents them, else by their own hash.

    Results that come from an uploaded clip are dropped with its session: see `Held.drop`.
    """

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @wraps(function)
        def cached(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            values = (*args, *kwargs.values())

            def make() -> Result:
                with st.spinner(spinner) if spinner else nullcontext():
                    return function(*args, **kwargs)

            key = (function.__module__, function.__qualname__, *map(_key, values), *kwargs)
            return held().get(key, make, sounds=lambda value: _digests((*values, value)))

        return cached

    return decorate


def once(
    key: tuple[Hashable, ...],
    make: Callable[[], Result],
    *,
    sounds: Callable[[Result], Iterable[str]] = lambda _: (),
) -> Result:
    """Compute a slow value in one session and share it with all; the others wait, and say so. `sounds`: `Held.get`."""
    place = st.empty()

    def on_wait() -> None:
        place.caption(":material/hourglass_top: Another page is at it already; its result will be used here too.")

    try:
        return held().get(key, make, sounds=sounds, on_wait=on_wait)
    finally:
        place.empty()


def _key(value: Any) -> Hashable:
    stand_in = HASHES.get(type(value))
    key: Hashable = value if stand_in is None else stand_in(value)
    return key


def _digests(values: tuple[Any, ...]) -> set[str]:
    return {value.digest for value in values if isinstance(value, Waveform)}
