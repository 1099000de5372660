"""Commands that make, list and fetch clips: simulate, index, download."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asd_core.cli.options import add_data, command, data_options
from asd_core.cli.outcome import (
    DONE,
    USAGE,
    Interrupted,
    Outcome,
    label_lines,
    refusals,
    show_clips,
    show_progress,
    show_skipped,
    show_warnings,
    simulated_mark,
)
from asd_core.formats import counted, display_name

if TYPE_CHECKING:
    from asd_core.data.dcase2020.download import DownloadReport
    from asd_core.data.dcase2020.published import CountRow
    from asd_core.data.dcase2020.steps import Step

MAX_DOUBLES = 4
"""Names of one group of equal sounds that are printed; the JSON has all."""


def add(commands: Any) -> None:
    """Add the commands of this module."""
    parser = command(commands, "simulate", _simulate, "write a simulated slide rail as a DCASE data set")
    parser.add_argument("dir", type=Path, metavar="DIR")
    sizes = ("small", "calibration", "report", "report-quarter", "recordings")
    help_text = "number of clips; recordings: 13 + 6 long recordings, each cut into consecutive clips"
    parser.add_argument("--size", default="small", choices=sizes, help=help_text)
    parser.add_argument("--seed", type=int, default=0)
    text = "list what a data set holds: counts, kinds, duplicates, refused clips"
    add_data(command(commands, "index", _index, text), positional=True, ids=False)
    text = "fetch, verify and unpack DCASE 2020 Task 2 data (CC BY-NC-SA 4.0; about 1 GB per machine)"
    parser = command(commands, "download", _download, text)
    names = "slider (default), fan, pump, valve, ToyCar or ToyConveyor"
    parser.add_argument("machines", nargs="*", metavar="MACHINE", help=names)
    parser.add_argument("--part", default="dev", choices=("dev", "additional", "eval"))
    parser.add_argument("--to", type=Path, metavar="DIR", help="folder of machine folders; default in the data folder")


def _simulate(arguments: argparse.Namespace) -> Outcome:
    from asd_core.data.simulated.bench import write_bench
    from asd_core.data.simulated.long_recordings import write_recordings
    from asd_core.data.simulated.record import read_simulated

    options = {"seed": arguments.seed, "on_progress": show_clips("simulated")}
    if arguments.size == "recordings":
        root = write_recordings(arguments.dir, **options)
    else:
        root = write_bench(arguments.dir, size=arguments.size, **options)
    record = read_simulated(root)
    print(root)
    return Outcome({} if record is None else dict(record.recipe))


def _index(arguments: argparse.Namespace) -> Outcome:
    from asd_core.data.data_set import describe_index, open_data_set

    report = describe_index(open_data_set(arguments.data, **data_options(arguments)))
    shown = report.to_json()
    mark = simulated_mark(data=report.simulated)
    print(f"{report.machine}: {counted(report.n_clips, 'clip')}, layout {report.layout}{mark}")
    for line in label_lines(report.labels):
        print(f"  {line}")
    for machine_id, splits in report.counts.items():
        for split, labels in splits.items():
            if sum(labels.values()):
                print(f"  id {machine_id} {split}: " + ", ".join(f"{n} {label}" for label, n in labels.items() if n))
    if report.domains:
        print("  domains: " + ", ".join(f"{n} {name}" for name, n in report.domains.items()))
    if report.expected:
        _print_expected(report.machine, report.expected)
    print(f"  recordings: {report.recordings.text}")
    for paths in report.duplicates:
        first = paths[:MAX_DOUBLES]
        more = f" and {len(paths) - MAX_DOUBLES} more" if len(paths) > MAX_DOUBLES else ""
        print("  (nearly) the same sound: " + ", ".join(map(display_name, first)) + more)
    show_skipped(report.skipped)
    show_warnings(report.warnings)
    return Outcome(shown, refusals(report.refused))


def _print_expected(machine: str, rows: Sequence[CountRow]) -> None:
    n_expected, n_found = sum(row.expected for row in rows), sum(row.found for row in rows)
    print(f"  expected / found, as DCASE 2020 Task 2 publishes {machine}: {n_expected} / {n_found}")
    for row in rows:
        mark = "" if row.found == row.expected else " (differs)"
        print(f"    id {row.machine_id} {row.split} {row.label}: {row.expected} / {row.found}{mark}")


def _download(arguments: argparse.Namespace) -> Outcome:
    from asd_core.data.dcase2020.download import download

    try:
        report = download(
            arguments.machines or ["slider"], part=arguments.part, to=arguments.to, on_progress=_Announcer()
        )
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command goes on from what has been fetched") from None
    _print_download(report)
    counts = {machine: [row.to_json() for row in rows] for machine, rows in report.counts.items()}
    return Outcome(
        {
            "schema": 1,
            "command": "download",
            "warnings": list(report.warnings),
            "folder": os.fspath(report.folder),
            "files": [vars(file) for file in report.files],
            "counts": counts,
        },
        USAGE if any(file.status == "kept" for file in report.files) else DONE,
    )


class _Announcer:
    """Writes how large each file is before its first byte, then how much of it is done."""

    def __init__(self) -> None:
        self._begun: set[tuple[str, str]] = set()

    def __call__(self, step: Step) -> None:
        size = f"{step.total / 1e6:.1f} MB" if step.stage == "download" else f"{step.total} clips"
        if (step.stage, step.name) not in self._begun:
            self._begun.add((step.stage, step.name))
            print(f"{step.stage} {step.name}: {size}", file=sys.stderr, flush=True)
        share = step.done / max(step.total, 1)
        show_progress(f"{step.stage} {step.name}: {share:6.1%} of {size}", last=step.done == step.total)


def _print_download(report: DownloadReport) -> None:
    for file in report.files:
        print(f"{file.name}: {file.status}")
    for machine, rows in report.counts.items():
        for row in rows:
            mark = "" if row.found == row.expected else " (differs)"
            print(f"  {machine} id {row.machine_id} {row.split} {row.label}: {row.found} of {row.expected}{mark}")
    show_warnings(report.warnings)
    print(report.folder)
