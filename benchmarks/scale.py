"""Scoring many clips: `python -m benchmarks.scale [--clips 2000]`, on simulated clips.

One worker against two, whole commands with the start of their processes; a folder of clips through all detectors, files
to CSV, against the plain way (librosa, one batch per clip, torch's own number of threads, features shared by the
networks); and memory with four times the clips. Needs a quiet machine: with other work on its cores, two workers gain
nothing.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

import librosa

from asd_core.artifacts.store import open_artifact
from asd_core.data.simulated.bench import write_bench
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.system.files import csv_text
from asd_core.types import Waveform
from benchmarks import reference
from benchmarks.embedded import NAME, PROJECT
from benchmarks.rows import Row, launched, median_row

MODELS = PROJECT / "artifacts" / NAME / "slider"
DETECTORS = sorted(path.name for path in MODELS.iterdir() if (path / "current").is_file())
MULTIPLY = """
import time
import numpy as np
matrix = np.ones((1024, 1024), np.float32)
matrix @ matrix
began = time.perf_counter()
for _ in range(200):
    matrix @ matrix
print(time.perf_counter() - began)
"""
ASKED_WORKERS, ASKED_PLAIN, ASKED_ALONE, DAY_S = 1.4, 2.5, 1.8, 86_400


def copies(n_clips: int, folder: Path) -> Path:
    """A folder of that many clips: those of the small bench under new names."""
    bench = write_bench(PROJECT / "build" / NAME, size="small", seed=0)
    folder.mkdir()
    for number, clip in enumerate(islice(cycle(sorted(bench.glob("slider/*/*.wav"))), n_clips)):
        (folder / f"{number:05d}.wav").write_bytes(clip.read_bytes())
    return folder


def score(clips: Path, detectors: list[str], *options: str | Path) -> tuple[float, float]:
    """Time our command without the cache of features, which would be warm from the second turn on."""
    models = [text for name in detectors for text in ("--model", MODELS / name)]
    return launched("asd_core", "score", clips, *models, *options, environment={"ASD_CACHE_MB": "0"})


def in_parts(clips: Path, detectors: list[str], workers: int, csv_file: Path | None = None) -> tuple[float, float]:
    """Time our command on local processes, into a folder of its own."""
    with tempfile.TemporaryDirectory(dir=clips.parent) as folder:
        joined = () if csv_file is None else ("--csv", csv_file)
        return score(clips, detectors, "--to", folder, "--workers", str(workers), *joined)


def plain_way(clips: Path, out: Path) -> None:
    """The obvious implementation: a loop over files, librosa, all windows of a clip in one batch."""
    detectors = [(name, open_artifact(MODELS / name).detector()) for name in DETECTORS]
    networks = {name: reference.network_of(each) for name, each in detectors if isinstance(each, NetworkDetector)}
    rows = [["path", "model", "anomaly_score"]]
    for clip in sorted(clips.iterdir()):
        samples, _ = librosa.load(clip, sr=16000)
        frames = reference.log_mel(clip)
        for name, detector in detectors:
            if isinstance(detector, NetworkDetector):
                scale, _ = detector._learned
                value = reference.score_by_batch(detector, networks[name], scale(frames))
            else:
                value = detector.anomaly_score(Waveform(samples))
            rows.append([str(clip), name, float(value)])
    out.write_text(csv_text(rows), encoding="utf-8")


def check_equal(ours: Path, theirs: Path) -> None:
    """Stop if the two sides did not give the same scores."""
    with ours.open(newline="") as first, theirs.open(newline="") as second:
        for a, b in zip(csv.DictReader(first), csv.DictReader(second), strict=True):
            x, y = float(a["anomaly_score"]), float(b["anomaly_score"])
            if Path(a["model"]).name != b["model"] or abs(x - y) > 1e-3 * max(abs(x), abs(y)):
                raise SystemExit(f"{a['path']}, {b['model']}: {x} here, {y} by the plain way")


def two_at_once(repeats: int) -> Row:
    """How much more two processes multiply together than one alone: the most that two workers can gain here."""
    command = [sys.executable, "-c", MULTIPLY]
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}

    def seconds(n_processes: int) -> float:
        started = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(n_processes)
        ]
        return max(float(process.communicate()[0]) for process in started)

    gains = [2 * seconds(1) / seconds(2) for _ in range(repeats)]
    return median_row(
        "this machine: products a second, two processes / one", gains, unit="ratio", asked=None, better="higher"
    )


def worker_rows(n_clips: int, detector: str, repeats: int, inside: Path) -> list[Row]:
    """One worker against two, and clips per day by two workers."""
    clips = copies(n_clips, inside / "many")
    pairs = [(in_parts(clips, [detector], 1)[0], in_parts(clips, [detector], 2)[0]) for _ in range(repeats)]
    name = f"{n_clips:,} clips, {detector}"
    return [
        two_at_once(repeats),
        ratio_row(f"{name}: 1 worker / 2 workers", pairs, ASKED_WORKERS),
        median_row(
            f"{name}: 2 workers, start included",
            [DAY_S * n_clips / fast for _, fast in pairs],
            unit="clips a day",
            asked=None,
            better="higher",
        ),
    ]


def ratio_row(name: str, pairs: list[tuple[float, float]], asked: float | None) -> Row:
    """Make a row of slow / fast."""
    return median_row(name, [slow / fast for slow, fast in pairs], unit="ratio", asked=asked, better="higher")


def folder_rows(n_clips: int, repeats: int, inside: Path) -> list[Row]:
    """All detectors over a folder against the plain way; then four times the clips."""
    clips, ours, theirs = copies(n_clips, inside / "folder"), inside / "ours.csv", inside / "theirs.csv"
    workers = os.cpu_count() or 1
    pairs, alone, peaks = [], [], []
    for _ in range(repeats):
        plain_s = launched("benchmarks.scale", "--plain-way", clips, theirs)[0]
        parts_s, peak = in_parts(clips, DETECTORS, workers, ours)
        pairs.append((plain_s, parts_s))
        check_equal(ours, theirs)
        alone.append((plain_s, score(clips, DETECTORS, "--csv", ours)[0]))
        peaks.append(peak)
    large_peak = in_parts(copies(4 * n_clips, inside / "large"), DETECTORS, workers)[1]
    name = f"{n_clips} clips, {len(DETECTORS)} detectors, files to CSV"
    return [
        ratio_row(f"{name}: plain way / {workers} workers", pairs, ASKED_PLAIN),
        ratio_row(f"{name}: plain way / one process", alone, ASKED_ALONE),
        median_row(f"{name}: memory of the largest process", peaks, unit="MB", asked=None),
        median_row(
            f"{name}: memory, 4 times the clips / once", [large_peak / p for p in peaks], unit="ratio", asked=1.1
        ),
    ]


def rows(measure: str, *, n_clips: int, repeats: int = 3, detector: str = "lstm_predictor") -> list[Row]:
    """Measure `workers` or `folder` in a temporary folder of the project's disk."""
    (PROJECT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scale-", dir=PROJECT / "build") as folder:
        if measure == "workers":
            return worker_rows(n_clips, detector, repeats, Path(folder))
        return folder_rows(n_clips, repeats, Path(folder))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2000, help="for one worker against two")
    parser.add_argument("--folder-clips", type=int, default=300, help="for the plain way, and a quarter for memory")
    parser.add_argument("--detector", default="lstm_predictor", choices=DETECTORS, help="for one worker against two")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain-way", type=Path, nargs=2, metavar=("CLIPS", "CSV"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain_way is not None:
        plain_way(*arguments.plain_way)
        return
    print(f"simulated clips; {os.cpu_count()} cores")
    found = rows("workers", n_clips=arguments.clips, repeats=arguments.repeats, detector=arguments.detector)
    found += rows("folder", n_clips=arguments.folder_clips, repeats=arguments.repeats)
    for row in found:
        print(f"{row.name}: {row.value:.4g} {row.unit} ({row.spread[0]:.4g} to {row.spread[1]:.4g})", flush=True)


if __name__ == "__main__":
    main()
