"""What can run in the background besides training: simulating or downloading a data set, a grid of nu and gamma.

A chore is requested, started, ended and listed like a training (`queue`). It runs beside a training, in a slot of its
own: a download waits for the network, not for the processor, and should not have to wait for a training of hours. One
chore runs at a time, and none waits in a queue.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from asd_core.data.data_set import slug
from asd_core.data.dcase2020 import steps
from asd_core.errors import UsageError
from asd_core.system.files import replace_file
from asd_core.system.places import data_dir

OnStep = Callable[[str, int, int], None]
"""Gets what is counted (clips, or bytes of a download), how many are done, and how many there are."""


@dataclass(frozen=True)
class Simulate:
    """A data set to simulate: its name, its size (a key of `bench.SIZES`) and seed."""

    kind: ClassVar[str] = "simulate"
    name: str
    size: str
    seed: int

    def perform(self, on_step: OnStep) -> list[str]:
        """Make the clips and add them to the data sets."""
        from asd_core.data.library import add_folder, new_bench_folder
        from asd_core.data.simulated.bench import write_bench

        root = new_bench_folder(self.name)
        write_bench(
            root,
            size=self.size,
            seed=self.seed,
            on_progress=lambda done, total: on_step("clips simulated", done, total),
        )
        add_folder(self.name, root, kind="simulated")
        return []


@dataclass(frozen=True)
class Download:
    """Machines of DCASE 2020 Task 2 to download: the data set's name, the machines, and the part of each."""

    kind: ClassVar[str] = "download"
    name: str
    machines: tuple[str, ...]
    part: str

    def perform(self, on_step: OnStep) -> list[str]:
        """Fetch and unpack the archives, add the clips to the data sets, and return warnings."""
        from asd_core.data.dcase2020.download import download
        from asd_core.data.library import add_folder

        def show(step: steps.Step) -> None:
            on_step(f"{step.stage} {step.name}", step.done, step.total)

        report = download(self.machines, part=self.part, on_progress=show)
        add_folder(self.name, report.folder, kind="downloaded")
        kept = [file.name for file in report.files if file.status == "kept"]
        return [*report.warnings, *(f"{name} is not the published file and was not unpacked" for name in kept)]


@dataclass(frozen=True)
class Sweep:
    """A grid of nu and gamma to try on a machine of a data set."""

    kind: ClassVar[str] = "sweep"
    name: str
    machine: str

    def perform(self, on_step: OnStep) -> list[str]:
        """Fit and score the grid, and keep the report where `sweep_path` says."""
        from asd_core.data.table import read_library
        from asd_core.tasks.nu_gamma import sweep

        known = read_library().find(self.name)
        if known is None:
            raise UsageError(f"no data set is called {self.name!r}")
        report = sweep(
            known.folder / known.machines[self.machine],
            rules=known.rules,
            workers=1,
            on_progress=lambda done, total: on_step("clips embedded", done, total),
        )
        path = sweep_path(self.name, self.machine)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(report, allow_nan=False).encode())
        return []


Chore = Simulate | Download | Sweep
CHORES: Mapping[str, type[Chore]] = {kind.kind: kind for kind in (Simulate, Download, Sweep)}


@dataclass(frozen=True)
class Step:
    """How far a chore is: what is counted, how many are done, and how many there are."""

    stage: str = ""
    done: int = 0
    total: int = 0


def sweep_path(name: str, machine: str) -> Path:
    """Where the report of a sweep over nu and gamma is kept."""
    return data_dir() / "sweeps" / f"{slug(name)}.{slug(machine)}.json"
