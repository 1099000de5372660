"""Which test files take long, and in which order several processes begin them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

LONG_FILES = (
    "test_jobs.py",
    "test_watch.py",
    "test_rebaseline.py",
    "test_page_compare.py",
    "test_batch.py",
    "test_pipeline.py",
    "test_encoders.py",
    "test_recurrent.py",
    "test_pages.py",
    "test_sessions.py",
    "test_cli.py",
    "test_reproduce.py",
)
"""Begun first where several processes share the files, so that no long one is left for the end."""


def place_of(name: str) -> int:
    """Place of a file in the order: the long ones, then the others."""
    return LONG_FILES.index(name) if name in LONG_FILES else len(LONG_FILES)


def slowest(durations: Iterable[tuple[str, float]]) -> list[str]:
    """A title with the seconds of all files, then a line per file, the slowest first.

    Parameters
    ----------
    durations
        Name of a test with its file, as pytest gives it, and seconds of one of its phases.
    """
    seconds: Counter[str] = Counter()
    for test, took in durations:
        seconds[test.partition("::")[0]] += took  # type: ignore[assignment]
    total = f"the slowest of {len(seconds)} files; {sum(seconds.values()):.0f} s in all processes together"
    return [total, *(f"{took:7.1f} s  {name}" for name, took in seconds.most_common())]
