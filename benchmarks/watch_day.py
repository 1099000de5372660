"""A day of watching, shortened: `python -m benchmarks.watch_day` plays 24 hours at high speed and counts what is lost.

Recorders write while `watch` runs as a process of its own: one writes a clip every ten seconds of the played day and
renames it when it is whole; one overwrites a ring of files in place. In that day the machine breaks and is repaired
several times, the recorders are silent for an hour, their clock is set back by an hour and forward again, the watch is
killed (SIGKILL) twenty times, the disk of its table is full for a while, and the service that is told answers with
errors for a while. Every clip must then have one row, and every alarm must have been told. Sounds are simulated hums.

`python -m benchmarks.watch_day --memory` measures the watch's memory at 10,000 and at 100,000 judged clips instead.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from asd_core.audio.reading import encode_wav
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rows import WatchRow, unescaped
from asd_core.monitoring.status import read_status
from asd_core.monitoring.table import read_rows
from asd_core.monitoring.telling.events import BACK, CLEARED, DEAF, RAISED, read_events
from asd_core.tasks.train import TrainingRequest, train
from benchmarks.embedded import PROJECT

DAY = datetime(2026, 3, 2, 0, 0, 0)
EVERY_S, RING_EVERY_S, N_RING = 10.0, 60.0, 60
SPEED, N_KILLS, WAIT_S = 120.0, 20, 180.0
BROKEN_H = ((3.0, 3.5), (9.0, 9.4), (15.0, 15.6), (21.0, 21.3))
SILENT_H, SET_BACK_H, DISK_FULL_H, SINK_DOWN_H = (11.0, 12.0), (6.0, 7.0), (13.0, 13.5), (17.0, 18.5)
DISK_BYTES = 320 * 2**20
DEAF_AFTER_MIN = 10 / 60
BATCH = 500
"""Clips that wait at a time while memory is measured."""


def hum(rng: np.random.Generator, *, is_broken: bool) -> bytes:
    """One second of a simulated hum as WAV; a broken machine knocks."""
    at = np.arange(16_000) / 16_000
    sound = 0.1 * np.sin(2 * np.pi * 120 * at + rng.uniform(0, 6)) + 0.02 * rng.standard_normal(16_000)
    if is_broken:
        for start in rng.integers(0, 15_000, 6):
            sound[start : start + 400] += 0.6 * np.exp(-np.arange(400) / 60) * np.sin(np.arange(400))
    return encode_wav(sound.astype(np.float32))


@dataclass(eq=False)
class Sink(http.server.ThreadingHTTPServer):
    """A service that is told: notes the events that it was sent, and fails when asked to."""

    received: list[str] = field(default_factory=list)
    is_down: bool = False

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hears)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address in Apprise's form."""
        return f"json://127.0.0.1:{self.server_address[1]}/"


class _Hears(http.server.BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.server.is_down:
            self.server.received.append(content.decode("utf-8", "replace"))
        self.send_response(500 if self.server.is_down else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@dataclass
class Day:
    """The played day: where things are, and what was written."""

    root: Path
    speed: float
    started: float = 0.0
    written: list[tuple[str, int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def hour(self) -> float:
        """Hour of the played day."""
        return (time.monotonic() - self.started) * self.speed / 3600

    def is_in(self, span: tuple[float, float]) -> bool:
        """Whether the played day is between two hours."""
        return span[0] <= self.hour < span[1]

    def until(self, hour: float) -> None:
        """Wait for an hour of the played day."""
        while self.hour < hour and not self.ended.wait(0.01):
            pass


def note_written(day: Day, path: Path) -> None:
    """Note a clip that is whole."""
    status = path.stat()
    day.written.append((os.fspath(path), status.st_size, status.st_mtime_ns))


def record(day: Day, folder: Path) -> None:
    """Write a clip every ten seconds of the played day, under a hidden name first; names have the recorder's clock."""
    rng, number = np.random.default_rng(0), 0
    while day.hour < 24:
        day.until(number * EVERY_S / 3600)
        if not day.is_in(SILENT_H):
            clock = DAY + timedelta(seconds=number * EVERY_S) - timedelta(hours=1) * day.is_in(SET_BACK_H)
            path = folder / f"mic_{clock:%Y-%m-%d_%H-%M-%S}_{number:05d}.wav"
            staged = path.with_name(f".{path.name}")
            staged.write_bytes(hum(rng, is_broken=any(map(day.is_in, BROKEN_H))))
            staged.rename(path)
            note_written(day, path)
        number += 1


def overwrite(day: Day, folder: Path) -> None:
    """Overwrite a ring of files in place, one each minute of the played day."""
    rng, number = np.random.default_rng(1), 0
    while day.hour < 24:
        day.until(number * RING_EVERY_S / 3600)
        if not day.is_in(SILENT_H):
            path = folder / f"ring{number % N_RING:02d}.wav"
            path.write_bytes(hum(rng, is_broken=any(map(day.is_in, BROKEN_H))))
            note_written(day, path)
        number += 1


def fill(day: Day, disk: Path) -> None:
    """Fill the disk of the table for a while."""
    day.until(DISK_FULL_H[0])
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        block = b"\0" * 65536
        try:
            while True:
                stream.write(block)
        except OSError:
            block = b""
    for size in (4096, 1):
        with ballast.open("ab", buffering=0) as stream:
            try:
                while True:
                    stream.write(b"\0" * size)
            except OSError:
                continue
    day.notes.append(f"disk full at hour {day.hour:.1f}: {shutil.disk_usage(disk).free} bytes free")
    day.until(DISK_FULL_H[1])
    ballast.unlink()


def fail(day: Day, sink: Sink) -> None:
    """Let the service that is told fail for a while."""
    day.until(SINK_DOWN_H[0])
    sink.is_down = True
    day.until(SINK_DOWN_H[1])
    sink.is_down = False


def start(folder: Path, model: Path, table: Path, sink: Sink, log: Path) -> subprocess.Popen[bytes]:
    """Start a watch as a process of its own."""
    command = [sys.executable, "-m", "asd_core", "watch", folder, "--model", model, "--csv", table, "--poll", "0.2"]
    command += ["--deaf-after", str(DEAF_AFTER_MIN), "--keep", "10", "--machine", "played day"]
    with log.open("ab") as stream:
        return subprocess.Popen(
            list(map(os.fspath, command)),
            cwd=PROJECT,
            stdout=stream,
            stderr=stream,
            env={**os.environ, "ASD_NOTIFY": sink.url},
        )


def kill_and_restart(day: Day, begin: Any) -> subprocess.Popen[bytes]:
    """Kill the watch at random moments of the day, and start it again at once; also where it ended by itself."""
    kills = sorted(np.random.default_rng(2).uniform(0.5, 23.5, N_KILLS).tolist())
    watching = begin()
    while day.hour < 24:
        if kills and day.hour >= kills[0]:
            kills.pop(0)
            watching.send_signal(signal.SIGKILL)
            watching.wait()
            watching = begin()
        elif watching.poll() is not None:
            day.notes.append(f"the watch ended by itself at hour {day.hour:.1f} with {watching.returncode}")
            watching = begin()
        time.sleep(0.05)
    return watching


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A small disk of its own, which can be filled without harm; needs root on Linux."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def trained(root: Path) -> Path:
    """A detector of the healthy hum."""
    rng, data = np.random.default_rng(9), root / "healthy"
    for number in range(90):
        (data / "normal").mkdir(parents=True, exist_ok=True)
        (data / "normal" / f"{number:03d}.wav").write_bytes(hum(rng, is_broken=False))
    return train(TrainingRequest("vggish_knn", data, out=root / "out")).model


def key_of(row: WatchRow) -> tuple[str, int, int]:
    """Path, size and time of change of the file that a row is about."""
    return unescaped(row.path), row.n_bytes or 0, row.changed_ns or 0


def told_ids(sink: Sink) -> list[str]:
    """Ids of the events that the service was sent, in the order in which they came."""
    return [event["id"] for text in sink.received for event in json.loads(text)["events"]]


def play(speed: float) -> str:
    """Play the day; returns the report."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model, folder, sink = trained(root), root / "incoming", Sink()
        (folder / "ring").mkdir(parents=True)
        with small_disk(root / "disk") as disk:
            table, log = disk / "rows.csv", root / "watch.log"
            day = Day(root, speed, started=time.monotonic())
            parts = ((record, folder), (overwrite, folder / "ring"), (fill, disk), (fail, sink))
            threads = [threading.Thread(target=part, args=(day, what), daemon=True) for part, what in parts]
            for thread in threads:
                thread.start()
            watching = kill_and_restart(day, lambda: start(folder, model, table, sink, log))
            for thread in threads:
                thread.join()
            finish(day, watching, table)
            return report(day, table, sink)


def finish(day: Day, watching: subprocess.Popen[bytes], table: Path) -> None:
    """Let the watch judge and tell what is left, then end it."""
    deadline, n_before = time.monotonic() + WAIT_S, -1
    while time.monotonic() < deadline:
        n_rows, status = len(read_rows(table)[0]), read_status(Beside(table).status)
        if status is not None and n_rows == n_before and not status.n_waiting:
            day.notes.append(f"sinks at the end: {status.sinks}; settled after {status.settle_s:g} s")
            break
        n_before = n_rows
        time.sleep(5.0)
    else:
        day.notes.append(f"not all was judged within {WAIT_S:g} s of the day's end")
    watching.send_signal(signal.SIGTERM)
    watching.wait(timeout=60)


def report(day: Day, table: Path, sink: Sink) -> str:
    """Count what was lost or doubled."""
    rows, events = read_rows(table)[0], read_events(Beside(table).events)
    judged, written = Counter(map(key_of, rows)), Counter(day.written)
    told, alarms = told_ids(sink), [row for row in rows if row.event]
    firsts, logged = list(dict.fromkeys(told)), [event.id for event in events]
    lost = written - judged
    of_rows = {event.key: event.id for event in events if event.kind in (RAISED, CLEARED)}
    kinds = Counter(event.kind for event in events)
    states = Counter(f"{event.state} {event.kind}" for event in events if event.kind in (DEAF, BACK))
    broken = sum(row.event == RAISED for row in rows)
    lines = [
        "| of a simulated day at high speed | |",
        "|---|---|",
        f"| clips written, rows | {len(day.written)}, {len(rows)} |",
        f"| clips without a row | {sum(lost.values())}, of the ring {sum('/ring/' in path for path, *_ in lost)} |",
        f"| rows doubled or of no clip | {sum((judged - written).values())} |",
        f"| judged before they were whole | {sum(bool(row.replaces) for row in rows)} |",
        f"| refused | {sum(row.status == 'refused' for row in rows)} |",
        f"| alarms raised ({len(BROKEN_H)} breakdowns), cleared | {broken}, {len(alarms) - broken} |",
        f"| alarms' events missing from the log | {sum(row.key not in of_rows for row in alarms)} |",
        f"| events in the log, never told | {len(set(logged) - set(told))} of {len(logged)} |",
        f"| told in another order | {firsts != [each for each in logged if each in told]} |",
        f"| told again | {len(told) - len(firsts)} |",
        f"| events by kind | {dict(kinds)} |",
        f"| states | {dict(states)} |",
    ]
    return "\n".join([*lines, "", *day.notes])


def memory(n_clips: tuple[int, ...]) -> str:
    """Resident memory of a watch after so many judged clips."""
    lines = ["| clips judged | resident memory in MB | seconds |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model, folder, rng = trained(root), root / "incoming", np.random.default_rng(3)
        folder.mkdir()
        sounds = [hum(rng, is_broken=False) for _ in range(50)]
        table, done, started = root / "rows.csv", 0, time.monotonic()
        command = [sys.executable, "-m", "asd_core", "watch", folder, "--model", model, "--csv", table, "--keep", "20"]
        watching = subprocess.Popen(list(map(os.fspath, command)), cwd=PROJECT, stdout=subprocess.DEVNULL)
        try:
            for n in n_clips:
                for end in [*range(done + BATCH, n, BATCH), n]:
                    for number in range(done, end):
                        staged = folder / f".{number:06d}.wav"
                        staged.write_bytes(sounds[number % len(sounds)])
                        staged.rename(folder / f"{number:06d}.wav")
                    done = end
                    while (status := read_status(Beside(table).status)) is None or status.n_judged < end:
                        time.sleep(0.1)
                lines.append(f"| {n} | {_resident_mb(watching.pid):.0f} | {time.monotonic() - started:.0f} |")
        finally:
            watching.terminate()
            watching.wait()
    return "\n".join(lines)


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def main() -> None:
    """Play the day, or measure the memory, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speed", type=float, default=SPEED)
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    sys.stdout.write((memory((1000, 10_000, 30_000, 100_000)) if arguments.memory else play(arguments.speed)) + "\n")


if __name__ == "__main__":
    main()
