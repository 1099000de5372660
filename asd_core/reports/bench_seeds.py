"""How much figures of the simulated rail depend on the bench's seed, as `python -m benchmarks.bench_seeds` left them.

The bench of another seed is another set of simulated machines, faults and noise. The figures lie beside this module, so
that the pages of an installed program can show them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from asd_core.evaluation.trivial import BestNumber
from asd_core.system import typed_json
from asd_core.system.files import parse_json

EMBEDDED_SEED = 0
"""The bench that comes with the project."""
RESULTS = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class OverSeeds:
    """A detector's figures on the test clips of each bench, in the order of the seeds; None where not defined."""

    detector: str
    title: str
    simulated: bool
    auc_mean: tuple[float | None, ...]
    auc_pooled: tuple[float | None, ...]
    pauc_mean: tuple[float | None, ...]


@dataclass(frozen=True)
class BenchSeeds:
    """What was measured on the benches of several seeds.

    Parameters
    ----------
    preset, training_seed
        Of every training.
    bench_seeds
        The benches.
    detectors
        Those that were measured.
    best_numbers
        The best trivial number of each bench, chosen on that bench's labels.
    """

    schema: int
    command: str
    warnings: tuple[str, ...]
    data_simulated: bool
    preset: str
    training_seed: int
    bench_seeds: tuple[int, ...]
    detectors: tuple[OverSeeds, ...]
    best_numbers: tuple[BestNumber, ...]

    @property
    def by_detector(self) -> Mapping[str, OverSeeds]:
        """The detectors' figures by their names in the registry."""
        return {each.detector: each for each in self.detectors}

    @property
    def embedded_best(self) -> BestNumber:
        """The best trivial number of the bench that comes with the project.

        Not told by digests: other processors render the last bit of some samples otherwise.
        """
        return self.best_numbers[self.bench_seeds.index(EMBEDDED_SEED)]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        return typed_json.to_json(self)


def read_bench_seeds(path: Path = RESULTS) -> BenchSeeds:
    """Read the figures that were kept; raises ValueError where a file is not as `BenchSeeds.to_json` writes it."""
    return typed_json.from_json(BenchSeeds, parse_json(path.read_text(encoding="utf-8")))


@cache
def kept_bench_seeds() -> BenchSeeds:
    """Return the figures that come with the package, read once."""
    return read_bench_seeds()


def spread_text(values: Sequence[float | None]) -> str:
    """Write the mean over seeds with the lowest and the highest: `0.962 (0.957 to 0.968)`."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return "not defined"
    return f"{np.mean(known):.3f} ({min(known):.3f} to {max(known):.3f})"
