"""What the cache of features saves: the same command twice, each in a process, and the sound files that it opens."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.embedded import NAME, PROJECT
from benchmarks.rows import Row, median_row

DETECTOR = "vggish_ocsvm"
COUNT = """
import contextlib, io, os, sys
opened = set()
def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.fsdecode(arguments[0])
        if path.endswith(".wav"):
            opened.add(path)
sys.addaudithook(note)
from asd_core.cli import main
with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
    code = main(sys.argv[1:])
print(code, len(opened))
"""


def rows(data: Path, *, repeats: int = 3) -> list[Row]:
    """A second training and a second evaluation: sound files opened, and the time against the first."""
    model = PROJECT / "artifacts" / NAME / "slider" / DETECTOR
    found: list[Row] = []
    with tempfile.TemporaryDirectory(dir=PROJECT / "build") as folder:
        out = ("--out", str(Path(folder) / "out"))
        for word, command in (
            ("training", ["train", DETECTOR, "--data", str(data), "--preset", "quick", *out]),
            ("evaluation", ["evaluate", str(model), "--data", str(data)]),
        ):
            pairs, opened = [], []
            for turn in range(repeats):
                cache = Path(folder) / f"{word}-{turn}"
                (cold_s, n_cold), (warm_s, n_warm) = counted(command, cache), counted(command, cache)
                if n_cold == 0:
                    raise SystemExit(f"the first {word} opened no sound file: nothing is measured")
                pairs.append(cold_s / warm_s)
                opened.append(float(n_warm))
            name = f"feature cache, {DETECTOR}: second {word}"
            found += [
                median_row(f"{name}, sound files read", opened, unit="files", asked=0),
                median_row(f"{name}, first / second", pairs, unit="ratio", asked=None, better="higher"),
            ]
    return found


def counted(command: Sequence[str], data_folder: Path) -> tuple[float, int]:
    """Seconds of a command on a data folder, and the sound files that it opened."""
    env = {**os.environ, "ASD_DATA_DIR": str(data_folder)}
    env.pop("ASD_CACHE_MB", None)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *command], cwd=PROJECT, env=env, capture_output=True, text=True, check=True
    )
    took = time.perf_counter() - began
    code, n_opened = map(int, done.stdout.split()[-2:])
    if code != 0:
        raise SystemExit(f"{command[0]} ended with {code}: {done.stderr[-500:]}")
    return took, n_opened
