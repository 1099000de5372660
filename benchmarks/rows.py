"""A measured figure, and whole processes to measure."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.embedded import PROJECT

COMMAND = "make bench"
LAUNCH = """
import resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(code, time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


@dataclass(frozen=True)
class Row:
    """One measured figure and its requirement."""

    name: str
    value: float
    asked: float | None
    better: str
    unit: str
    spread: list[float]
    command: str = COMMAND

    @property
    def met(self) -> str:
        """Whether the requirement is met, in words."""
        if self.asked is None:
            return ""
        good = self.value <= self.asked if self.better == "lower" else self.value >= self.asked
        return "yes" if good else "**no**"


def median_row(name: str, values: Sequence[float], *, unit: str, asked: float | None, better: str = "lower") -> Row:
    """Make a row of the median, with the smallest and the largest value."""
    return Row(name, statistics.median(values), asked, better, unit, [min(values), max(values)])


def launched(
    module: str, *arguments: str | Path, environment: Mapping[str, str] | None = None, project: Path = PROJECT
) -> tuple[float, float]:
    """Wall seconds of `python -m module`, and the peak memory in MB of the largest of its processes.

    Compiled modules are kept, as they are for users. A small launcher is in between: a child's peak would otherwise
    start at the memory of this process.
    """
    command = [sys.executable, "-c", LAUNCH, sys.executable, "-m", module, *map(os.fspath, arguments)]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})}
    printed = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=True).stdout.split()
    if printed[0] != "0":
        raise SystemExit(f"{module} {arguments[:3]} ended with {printed[0]}")
    return float(printed[1]), float(printed[2])
