"""What the pages' sessions share of sounds and maps: bounded by bytes, computed once, and gone when asked."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest

from pages.shared import held
from pages.shared.held import ENTRY_BYTES, Held, held_bytes

KB = 1000


def in_threads(n_threads, work):
    """What `work(number)` gave in each thread, all started together; errors come back as values."""
    start, found = threading.Barrier(n_threads), [None] * n_threads

    def run(number):
        start.wait()
        try:
            found[number] = work(number)
        except (ValueError, SystemExit) as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return found


def test_the_bound_is_on_bytes_and_the_least_recently_used_goes_first():
    kept = Held(10 * KB)
    for number in range(3):
        kept.get(number, lambda: np.zeros(2500, np.uint8))
    assert kept.get(0, lambda: "made again").nbytes == 2500
    kept.get(3, lambda: np.zeros(2500, np.uint8))
    assert kept.n_bytes == 3 * (2500 + ENTRY_BYTES) <= kept.max_bytes
    assert [kept.find(number) is None for number in range(4)] == [False, True, False, False]


def test_a_value_beyond_the_bound_is_given_and_not_kept():
    kept = Held(10 * KB)
    kept.get("small", lambda: np.zeros(KB, np.uint8))
    assert len(kept.get("large", lambda: bytes(11 * KB))) == 11 * KB
    assert kept.find("large") is None
    assert kept.find("small") is not None


def test_many_small_values_are_bounded_too():
    kept = Held(10 * KB)
    for number in range(1000):
        kept.get(number, lambda: 0.5)
    assert len(kept) == 10 * KB // ENTRY_BYTES


@dataclass(frozen=True, eq=False)
class Map:
    values: np.ndarray
    notes: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (np.zeros((10, 100)), 8000),
        (np.zeros(1000)[:1], 8000),
        (np.lib.stride_tricks.sliding_window_view(np.zeros(1000), 500), 8000),
        (np.frombuffer(bytes(3000), np.uint8)[:5], 3000),
        (Map(np.zeros(1000), ("a" * 100,)), 8100),
        ({"a": [np.zeros(1000, np.float32)]}, 4001),
    ],
    ids=["array", "view", "windows", "bytes behind an array", "dataclass", "nested"],
)
def test_a_values_bytes_are_those_it_keeps_alive(value, content):
    assert content < held_bytes(value) <= content + 5 * ENTRY_BYTES


def test_what_was_made_of_a_clip_is_dropped_with_it_and_nothing_else():
    kept = Held(10 * KB)
    kept.get("sound", lambda: "samples", sounds=lambda _: ["a"])
    kept.get("map", lambda: "map", sounds=lambda _: ["a", "b"])
    kept.get("other", lambda: "map", sounds=lambda _: ["c"])
    kept.drop({"a", "never seen"})
    assert [kept.find(key) for key in ("sound", "map", "other")] == [None, None, "map"]
    assert kept.n_bytes == held_bytes("map")


def test_threads_that_ask_for_one_value_wait_for_one_computation():
    kept, n_made = Held(10 * KB), []

    def make():
        n_made.append(1)
        time.sleep(0.3)
        return object()

    found = in_threads(6, lambda _: kept.get("key", make))
    assert len(n_made) == 1
    assert len({id(value) for value in found}) == 1


def test_threads_that_wait_for_a_value_too_large_to_keep_get_it_all_the_same():
    kept, n_made = Held(KB), []

    def make():
        n_made.append(1)
        time.sleep(0.3)
        return bytes(2 * KB)

    assert [len(value) for value in in_threads(4, lambda _: kept.get("key", make))] == [2 * KB] * 4
    assert len(n_made) == 1


def test_different_values_are_computed_at_the_same_time():
    kept, together = Held(10 * KB), threading.Barrier(2, timeout=10)
    assert in_threads(2, lambda number: kept.get(number, lambda: together.wait() >= 0)) == [True, True]


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit("the page was left")], ids=["error", "interrupt"])
def test_when_a_computation_ends_without_a_value_the_next_thread_takes_over(error):
    kept, n_made = Held(10 * KB), []

    def make():
        n_made.append(1)
        time.sleep(0.2)
        if len(n_made) == 1:
            raise error
        return "value"

    found = in_threads(4, lambda _: kept.get("key", make))
    assert sorted(map(str, found)) == sorted([str(error), "value", "value", "value"])
    assert len(n_made) == 2


def test_one_that_waits_is_told_so_and_may_leave(monkeypatch):
    monkeypatch.setattr(held, "LOOK_S", 0.01)
    kept, begun, may_end = Held(10 * KB), threading.Event(), threading.Event()

    def make():
        begun.set()
        assert may_end.wait(10)
        return "value"

    def leave():
        raise KeyboardInterrupt

    first = threading.Thread(target=kept.get, args=("key", make))
    first.start()
    assert begun.wait(10)
    with pytest.raises(KeyboardInterrupt):
        kept.get("key", make, on_wait=leave)
    may_end.set()
    first.join(10)
    assert kept.find("key") == "value"
