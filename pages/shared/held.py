"""Large values (sounds, maps, pictures) that all sessions share: computed once, and bounded in bytes."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np

ENTRY_BYTES = 512
"""Approximate cost of an entry, or of a value inside it, besides its content: small ones are not free either."""
PREFIX = 16
"""Digits of a clip's digest that name it."""
LOOK_S = 0.2
"""Seconds between two notices to a session that waits for another one's computation."""

Value = TypeVar("Value")


@dataclass(eq=False)
class _Making:
    """A value that some thread is computing; `value` is valid once `is_made`."""

    ended: threading.Event = field(default_factory=threading.Event)
    is_made: bool = False
    value: Any = None


@dataclass(frozen=True)
class _Entry:
    value: Any
    n_bytes: int
    sounds: frozenset[str]


class Held:
    """Values by key, bounded in bytes; the least recently used are dropped first.

    Parameters
    ----------
    max_bytes
        Bound on the sum of all values. A larger value is returned to all that wait for it, but not kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._making: dict[Hashable, _Making] = {}

    def __len__(self) -> int:
        """Count the values that are kept."""
        return len(self._entries)

    def get(
        self,
        key: Hashable,
        make: Callable[[], Value],
        *,
        sounds: Callable[[Value], Iterable[str]] = lambda _: (),
        on_wait: Callable[[], None] = lambda: None,
    ) -> Value:
        """Return a key's value: the kept one, the one that another thread is computing, or the result of `make`.

        If that thread ends without a value, by an error or an interrupted page, the next one that waits takes over.

        Parameters
        ----------
        sounds
            Digests of the clips that the value was made from, given the value; see `drop`.
        on_wait
            Called every `LOOK_S` seconds while another thread computes; what it raises ends the waiting.
        """
        while True:
            with self._lock:
                entry = self._entries.get(key)
                if entry is not None:
                    self._entries.move_to_end(key)
                    return cast(Value, entry.value)
                making = self._making.get(key)
                if making is None:
                    own = self._making[key] = _Making()
                    break
            while not making.ended.wait(LOOK_S):
                on_wait()
            if making.is_made:
                return cast(Value, making.value)
        return self._make(key, make, own, sounds)

    def find(self, key: Hashable) -> Any | None:
        """Return a key's value if it is kept, else None: nothing is computed or waited for."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry.value

    def drop(self, sounds: Iterable[str]) -> None:
        """Forget every value that was made from one of these clips, named by their digests."""
        gone = frozenset(sounds)
        self._drop(lambda entry: bool(entry.sounds & gone))

    def drop_starting(self, prefixes: Iterable[str]) -> None:
        """Forget every value that was made from one of these clips, named by the first 16 digits of their digests."""
        gone = frozenset(prefixes)
        self._drop(lambda entry: any(digest[:PREFIX] in gone for digest in entry.sounds))

    def _drop(self, is_gone: Callable[[_Entry], bool]) -> None:
        with self._lock:
            for key in [key for key, entry in self._entries.items() if is_gone(entry)]:
                self._remove(key)

    def _make(
        self, key: Hashable, make: Callable[[], Value], own: _Making, sounds: Callable[[Value], Iterable[str]]
    ) -> Value:
        try:
            value = make()
            entry = _Entry(value, held_bytes(value), frozenset(sounds(value)))
            own.value, own.is_made = value, True
            with self._lock:
                self._keep(key, entry)
            return value
        finally:  # however it ends, even by a rerun of the page, nobody may go on waiting for it
            with self._lock:
                del self._making[key]
            own.ended.set()

    def _keep(self, key: Hashable, entry: _Entry) -> None:
        if entry.n_bytes > self.max_bytes:
            return
        while self.n_bytes + entry.n_bytes > self.max_bytes:
            self._remove(next(iter(self._entries)))
        self._entries[key] = entry
        self.n_bytes += entry.n_bytes

    def _remove(self, key: Hashable) -> None:
        self.n_bytes -= self._entries.pop(key).n_bytes


def held_bytes(value: object) -> int:
    """Return approximately how many bytes a value holds in memory; a view of an array counts as the whole array."""
    if isinstance(value, np.ndarray):
        return ENTRY_BYTES + _whole(value)
    if isinstance(value, bytes | str):
        return ENTRY_BYTES + len(value)
    if isinstance(value, Mapping):
        return ENTRY_BYTES + sum(map(held_bytes, (*value.keys(), *value.values())))
    if isinstance(value, tuple | list | set | frozenset):
        return ENTRY_BYTES + sum(map(held_bytes, value))
    if dataclasses.is_dataclass(value):
        return ENTRY_BYTES + sum(map(held_bytes, getattr(value, "__dict__", {}).values()))
    return ENTRY_BYTES


def _whole(array: np.ndarray[Any, Any]) -> int:
    owner: Any = array
    while getattr(owner, "base", None) is not None:
        owner = owner.base
    return len(owner) if isinstance(owner, bytes | bytearray) else int(getattr(owner, "nbytes", array.nbytes))
