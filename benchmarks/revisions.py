"""An earlier revision beside this one, in turn and in one run: `python -m benchmarks.revisions REVISION`.

Whole commands that score one clip afresh (seconds and memory), and a clip through each network in a process that has
scored before (ms). Each side runs its own code on its own data folder with the same Python and packages.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from asd_core.data.simulated.bench import write_bench
from asd_core.detectors import DETECTOR_NAMES
from benchmarks.embedded import NAME, PROJECT
from benchmarks.rows import launched

NETWORKS = ("lstm_predictor", "gru_autoencoder", "dcase_autoencoder")
WARM = """
import sys, time
from pathlib import Path
from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import read_waveform
detector = open_artifact(Path(sys.argv[1])).detector()
frames = detector.scaled_frames(read_waveform(sys.argv[2]))
times = []
for _ in range(25):
    began = time.perf_counter()
    detector._step_errors(frames)
    times.append(time.perf_counter() - began)
print(min(times))
"""


def earlier(revision: str) -> Path:
    """The files of a revision in a folder of its own, made anew."""
    folder = PROJECT / "build" / "revisions" / revision
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", revision], cwd=PROJECT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", os.fspath(folder)], input=archive, check=True)
    return folder


def warm_s(project: Path, name: str, clip: Path) -> float:
    """Least time of a clip's windows through a network, from scaled frames, on one thread."""
    model = project / "artifacts" / NAME / "slider" / name
    env = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}
    command = [sys.executable, "-c", WARM, os.fspath(model), os.fspath(clip)]
    return float(subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=True).stdout)


def fresh(project: Path, name: str, clip: Path) -> tuple[float, float]:
    """Seconds and MB of a command that scores one clip."""
    model = project / "artifacts" / NAME / "slider" / name
    environment = {"ASD_DATA_DIR": os.fspath(project / "build" / "revision-data")}
    return launched("asd_core", "score", clip, "--model", model, environment=environment, project=project)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="any name of a commit that git knows")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    clip = sorted((write_bench(PROJECT / "build" / NAME, size="small", seed=0) / "slider" / "test").glob("*.wav"))[0]
    sides = (earlier(arguments.revision), PROJECT)
    print("| | earlier | now | earlier / now |\n|---|---|---|---|")
    for name in DETECTOR_NAMES:
        for side in sides:
            fresh(side, name, clip)  # compiles, builds and keeps what each side keeps
        turns = [[fresh(side, name, clip) for side in sides] for _ in range(arguments.repeats)]
        line(f"fresh score, {name}, s", [[each[0] for each in turn] for turn in turns])
        line(f"fresh score, {name}, MB", [[each[1] for each in turn] for turn in turns])
    for name in NETWORKS:
        turns = [[1000 * warm_s(side, name, clip) for side in sides] for _ in range(arguments.repeats)]
        line(f"a 10-s clip, {name}, ms", turns)


def line(what: str, turns: list[list[float]]) -> None:
    """Print medians of both sides, and the median of the ratios of pairs."""
    before, now = (statistics.median(side) for side in zip(*turns, strict=True))
    ratio = statistics.median(first / second for first, second in turns)
    print(f"| {what} | {before:.3g} | {now:.3g} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
