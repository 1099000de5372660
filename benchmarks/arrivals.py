"""When a file has arrived: `python -m benchmarks.arrivals RECORDERS.py DATA` plays recorders before a real watch.

`RECORDERS.py KIND FOLDER SOUND SECOND` plays one kind for three rounds; DATA is a machine's folder in a layout that
`train` takes, of which a detector is trained on the spot. All kinds record at once, each before a watch of its own with
the system's knowledge of open files and before one without (as on a network share). Printed are two tables: clips
expected, rows, judged early, whole, refused, anomalous (of normal clips), alarms, and the median of the seconds from a
file's last change to its row; and what looking after 100,000 files costs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from asd_core.audio.stretches import extent
from asd_core.monitoring.alarms import AlarmRule
from asd_core.monitoring.arriving.arrivals import ArrivalSettings
from asd_core.monitoring.arriving.lookout import Lookout
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.table import Tail
from asd_core.monitoring.watch import WatchReport, WatchRequest, watch
from asd_core.tasks.train import TrainingRequest, train

KINDS = ("blocks", "flush", "empty", "reserve", "stall", "reuse")
EXPECTED = {kind: 9 if kind == "reuse" else 3 for kind in KINDS}
DETECTOR = "vggish_knn"
N_FILES, N_FOLDERS, N_LOOKS = 100_000, 100, 5
END_S = 60.0
"""So long after its recorder a watch ends, so that what would be doubled shows."""


@dataclass
class Played:
    """A recorder before a watch, and what came of it."""

    kind: str
    trusts_system: bool
    folder: Path
    report: WatchReport | None = None

    @property
    def table(self) -> Path:
        """The watch's table."""
        return self.folder.with_suffix(".csv")

    def watch(self, model: Path, stop: threading.Event) -> None:
        """Watch until told to stop."""
        request = WatchRequest(
            self.folder,
            model,
            self.table,
            rule=AlarmRule(2, 3),
            arrivals=ArrivalSettings(trusts_system=self.trusts_system),
            kept_bytes=0,
        )
        self.report = watch(request, stop=stop)

    def line(self, full_s: float) -> str:
        """A line of the table."""
        rows: list[WatchRow] = list(Tail(self.table, n_rows=1000).update())
        n_whole = sum(row.traits is not None and abs(row.traits.duration_s - full_s) < 1e-6 for row in rows)
        waited = [datetime.fromisoformat(row.time).timestamp() - (row.changed_ns or 0) / 1e9 for row in rows]
        settle_s = self.report.settle_s if self.report else float("nan")
        cells = (
            *(self.kind, "yes" if self.trusts_system else "no", EXPECTED[self.kind], len(rows)),
            *(sum(bool(row.replaces) for row in rows), n_whole, sum(row.status == "refused" for row in rows)),
            *(sum(row.verdict == "anomalous" for row in rows), sum(row.event == "raised" for row in rows)),
            *(f"{statistics.median(waited):.1f}" if waited else "-", f"{settle_s:.1f}"),
        )
        return "| " + " | ".join(map(str, cells)) + " |"


def play_all(recorders: Path, data: Path) -> list[str]:
    """Play all kinds before all watches at once; returns the lines of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        os.environ["ASD_DATA_DIR"] = str(place / "data")
        model = train(TrainingRequest(DETECTOR, data, out=place / "out")).model
        normal = sorted(data.glob("test/normal_*.wav"))
        first, second = normal[0], normal[1]
        runs = [Played(kind, trusts, place / f"{kind}-{trusts}") for kind in KINDS for trusts in (True, False)]
        stop = threading.Event()
        watches = [threading.Thread(target=run.watch, args=(model, stop)) for run in runs]
        for run, thread in zip(runs, watches, strict=True):
            run.folder.mkdir()
            thread.start()
        time.sleep(5)
        playing = [subprocess.Popen([sys.executable, recorders, run.kind, run.folder, first, second]) for run in runs]
        for each in playing:
            each.wait()
        time.sleep(END_S)
        stop.set()
        for thread in watches:
            thread.join()
        return [run.line(extent(first).n_frames / extent(first).sr) for run in runs]


def look_after_many() -> list[str]:
    """Cost of a look at many files of which one changed, by notices and by looking through them."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for number in range(N_FOLDERS):
            (root / f"{number:03d}").mkdir()
            for clip in range(N_FILES // N_FOLDERS):
                (root / f"{number:03d}" / f"recording_2026-01-31_{clip:06d}.wav").touch()
        changed = root / "050" / "recording_2026-01-31_000500.wav"
        return [_looks(root, changed, trusts_system=trusts) for trusts in (True, False)]


def _looks(root: Path, changed: Path, *, trusts_system: bool) -> str:
    takes, listings, busy = [], [], []
    with Lookout(str(root), trusts_system=trusts_system) as lookout:
        lookout.take()
        for _ in range(N_LOOKS):
            changed.write_bytes(os.urandom(8))
            found, deadline = 0, time.monotonic() + 30
            while not found and time.monotonic() < deadline:
                time.sleep(0.5)
                began = time.perf_counter()
                found = len(lookout.take())
                takes.append(time.perf_counter() - began)
            listings.append(lookout.took_s)
        kind = lookout.kind
    quiet = Lookout(str(root), trusts_system=False)
    quiet.take()
    for _ in range(N_LOOKS):
        began = time.process_time()
        quiet.take()
        busy.append(time.process_time() - began)
    cells = (kind, f"{1000 * max(takes):.1f} ms", f"{statistics.median(listings):.2f} s", f"{min(busy):.2f} s")
    return "| " + " | ".join(cells) + " |"


def main(recorders: str, data: str) -> None:
    """Print both tables."""
    print("| kind | system | clips | rows | early | whole | refused | anomalous | alarms | waited s | settle s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|", *play_all(Path(recorders), Path(data)), sep="\n")
    print(f"\n| {N_FILES:,} files | longest look of the judging thread | a listing | its processor time |")
    print("|---|---|---|---|", *look_after_many(), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
