"""A day of listening, shortened: `python -m benchmarks.watch_run` writes the watch test's table (simulated clips).

Clips arrive one by one while `watch` runs: healthy ones, faulty ones, healthy ones again, then the same 20 dB louder.
One file is written in two halves with a pause between them; the watch is killed (SIGKILL) in each of the first three
stretches and started again. At the end every clip must have one row.
"""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile as sf

from asd_core.data.simulated.bench import write_bench
from benchmarks.embedded import NAME, PROJECT

MODEL = PROJECT / "artifacts" / NAME / "slider" / "vggish_ocsvm"
N_EACH, PAUSE_S, HALF_S, WAIT_S, LOUDER_DB = 12, 0.4, 2.0, 120.0, 20
STRETCHES = ("normal", "anomaly", "normal again", "louder")


def start(folder: Path, table: Path) -> subprocess.Popen[str]:
    """Start a watch and wait until it says so."""
    command = [sys.executable, "-m", "asd_core", "watch", folder, "--model", MODEL, "--csv", table, "--poll", "0.2"]
    watching = subprocess.Popen(
        list(map(os.fspath, command)), cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if watching.stdout is None or not watching.stdout.readline().startswith("watching"):
        raise SystemExit("the watch did not start")
    return watching


def arrivals(bench: Path) -> list[tuple[str, Path, float]]:
    """Stretch, sound and gain of every clip, in the order in which they come."""
    normal, faulty = (sorted(bench.glob(f"slider/test/{word}_*.wav")) for word in ("normal", "anomaly"))
    parts = (normal[:N_EACH], faulty[-N_EACH:], normal[N_EACH : 2 * N_EACH], normal[:N_EACH])
    gains = (1.0, 1.0, 1.0, 10 ** (LOUDER_DB / 20))
    return [
        (stretch, clip, gain) for stretch, clips, gain in zip(STRETCHES, parts, gains, strict=True) for clip in clips
    ]


def write_clip(target: Path, source: Path, gain: float, *, in_halves: bool) -> None:
    """Write a clip under its own name as a recorder does, optionally with a pause in the middle."""
    samples, sr = sf.read(source, dtype="float32")
    staged = target.with_name(f".{target.name}")
    sf.write(staged, np.clip(gain * samples, -1, 1), sr, subtype="PCM_16", format="WAV")
    content = staged.read_bytes()
    staged.unlink()
    with target.open("wb") as stream:
        stream.write(content[: len(content) // 2] if in_halves else content)
        stream.flush()
        if in_halves:
            time.sleep(HALF_S)
            stream.write(content[len(content) // 2 :])


def read_rows(table: Path) -> list[dict[str, str]]:
    """Rows of the table so far; none if there is no table yet."""
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def wait_for(table: Path, n_rows: int) -> None:
    """Wait until that many clips are judged."""
    deadline = time.monotonic() + WAIT_S
    while len(read_rows(table)) < n_rows:
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(read_rows(table))} of {n_rows} clips were judged within {WAIT_S:g} s")
        time.sleep(0.1)


def listen(inside: Path) -> tuple[list[dict[str, str]], int]:
    """Let all clips arrive; returns the rows, and how often the watch was killed."""
    folder, table = inside / "incoming", inside / "rows.csv"
    folder.mkdir()
    clips = arrivals(write_bench(PROJECT / "build" / NAME, size="small", seed=0))
    watching, kills = start(folder, table), 0
    try:
        for number, (stretch, source, gain) in enumerate(clips):
            name = f"{number:03d} {stretch}.wav"
            write_clip(folder / name, source, gain, in_halves=number == N_EACH // 2)
            time.sleep(PAUSE_S)
            if number % N_EACH == N_EACH // 2 and stretch != STRETCHES[-1]:
                watching.send_signal(signal.SIGKILL)
                watching.wait()
                watching, kills = start(folder, table), kills + 1
        wait_for(table, len(clips))
    finally:
        watching.terminate()
        watching.wait()
    return read_rows(table), kills


def report(rows: Sequence[dict[str, str]], kills: int) -> str:
    """Write the table, one line per stretch."""
    lines = ["| stretch | clips | anomalous | events | drift at its end |", "|---|---|---|---|---|"]
    for stretch in STRETCHES:
        own = [row for row in rows if Path(row["path"]).stem.split(" ", 1)[1] == stretch]
        events = ", ".join(f"{row['event']} at {Path(row['path']).stem[:3]}" for row in own if row["event"])
        n_anomalous = sum(row["verdict"] == "anomalous" for row in own)
        lines.append(f"| {stretch} | {len(own)} | {n_anomalous} | {events or 'none'} | {own[-1]['drift'] or 'none'} |")
    often = Counter(Counter(row["path"] for row in rows).values())
    status = Counter(row["status"] for row in rows)
    lines += ["", f"{kills} kills; rows per clip: {dict(often)}; status: {dict(status)}."]
    return "\n".join(lines)


def main() -> None:
    """Run it and print the table."""
    (PROJECT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PROJECT / "build") as folder:
        rows, kills = listen(Path(folder))
    sys.stdout.write(report(rows, kills) + "\n")


if __name__ == "__main__":
    main()
