"""What one number of a clip tells of its label: `python -m benchmarks.trivial [--seeds 0 1 2 3]`.

A benchmark on which a trivial number does as well as a trained detector says little about detectors. Each number is
taken from the samples of a clip alone, without training; its direction, whether more or less of it means a fault, is
chosen on the labels once for all benches, which favours it. The table gives the AUC, mean over ids, on the test clips
of the simulated bench of every seed, and on real recordings of a lathe (one-second cuts) where `../shared/data` is
there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from asd_core.audio.reading import read_waveform
from asd_core.data.clips import Clip
from asd_core.data.indexing import index_clips
from asd_core.data.simulated.bench import BenchSize, write_bench
from asd_core.evaluation.trivial import directed, mean_aucs
from asd_core.features.trivial import numbers
from asd_core.reports.bench_seeds import spread_text
from asd_core.types import FloatArray
from benchmarks.real_sets import REAL, lathe_clips


def table_of(clips: Sequence[Clip]) -> dict[str, FloatArray]:
    """Each number of all clips, shape (n_clips,)."""
    rows = [numbers(read_waveform(clip.path).samples) for clip in clips]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def bench_clips(seed: int, folder: Path, *, size: str | BenchSize = "small") -> Sequence[Clip]:
    """Test clips of the simulated bench of a seed."""
    return index_clips(write_bench(folder / f"bench-{seed}", size=size, seed=seed)).select(split="test")


def print_table(title: str, sets: Sequence[Callable[[], Sequence[Clip]]]) -> None:
    """Measure sets of clips and print a row per number."""
    aucs = [mean_aucs(clips, table_of(clips)) for clips in (make() for make in sets)]
    print(f"\n| number | AUC, {title} |\n|---|---|")
    for name, values in directed(aucs).items():
        print(f"| {name} | {spread_text(values) if len(values) > 1 else f'{values[0]:.3f}'} |")


def main() -> None:
    """Print a table for the simulated benches, and one for the lathe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--build", type=Path, default=Path("build") / "trivial")
    arguments = parser.parse_args()
    benches = [lambda seed=seed: bench_clips(seed, arguments.build) for seed in arguments.seeds]
    print_table("simulated slide rail, mean over ids, over bench seeds", benches)
    if REAL.is_dir():
        print_table("lathe, real", [lathe_clips])


if __name__ == "__main__":
    main()
