"""Who is told over kills: `python -m benchmarks.telling` kills a teller (SIGKILL) again and again, for each sink.

A child writes made-up events to a log and sends them by `json://` to a server in this process. It is killed at random
moments and started again, at the end it is left alone. Then each event of the log must have arrived, the first time in
the log's order, and twice only where a kill fell between sending and noting.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from asd_core.monitoring.beside import Beside
from asd_core.monitoring.telling.events import CLEARED, RAISED, EventLog, WatchEvent, event_id, read_events
from asd_core.monitoring.telling.outbox import Outbox, TellSettings

N_KILLS, SEED = 20, 19
EVENT_S, ANSWER_S = 0.02, 0.03
AT_LEAST_S, AT_MOST_S = 0.02, 0.6
START_S, END_S = 60.0, 300.0
READY = "ready"
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["asd_core.monitoring.telling.outbox", "apprise"])
KINDS = {
    "answers": "answers",
    "500": "answers 1 of 4 with an error",
    "late": "answers 1 of 8 too late",
    "away": "cannot be reached in 1 of 3 seconds",
}


@dataclass
class Receiver:
    """A webhook that notes the events that it takes; `kind` of `KINDS` says what else it does."""

    kind: str = "answers"
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(SEED))
    ids: list[str] = field(default_factory=list)
    repeated: list[bool] = field(default_factory=list)
    n_messages: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, body: bytes) -> tuple[int, float]:
        """Note a message; returns the status and the seconds after which it is answered."""
        with self.lock:
            chance, wait_s = float(self.rng.random()), ANSWER_S * float(self.rng.random())
            if (self.kind == "500" and chance < 0.25) or (self.kind == "away" and time.time() % 3 < 1):
                return 500, wait_s
            message = json.loads(body)
            self.n_messages += 1
            self.ids += [event["id"] for event in message["events"]]
            self.repeated += [message["repeated"]] * len(message["events"])
            return 200, 1.0 if self.kind == "late" and chance < 0.125 else wait_s


@contextmanager
def serving(receiver: Receiver) -> Iterator[str]:
    """Serve a receiver on the loopback; gives the URL of its sink."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, wait_s = receiver.take(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(wait_s)
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except ConnectionError:  # the sender was killed, or has given up
                return

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            return

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"json://127.0.0.1:{server.server_port}/?rto=0.5"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_and_tell(folder: Path, url: str, n_events: int, ready: Connection) -> None:
    """Write so many more events to the log and send them, as a watch does; then wait until all are sent."""
    beside = Beside(folder / "pump.csv")
    log, settings = EventLog(beside.events), TellSettings(urls=(url,), per_minute=10**6)
    known = len(log.open())
    with Outbox(beside, settings) as outbox:
        ready.send(READY)
        for number in range(known, known + n_events):
            kind = CLEARED if number % 2 else RAISED
            now = datetime.now(UTC).isoformat()
            log.append(WatchEvent(event_id("telling", str(number)), kind, now, "pump 3", f"made-up event {number}"))
            outbox.wake()
            time.sleep(EVENT_S)
        deadline = time.monotonic() + END_S
        while outbox.sinks[0].n_waiting and time.monotonic() < deadline:
            time.sleep(EVENT_S)
        if outbox.sinks[0].n_waiting:
            raise SystemExit(f"events still wait after {END_S:g} s")


def start(folder: Path, url: str, n_events: int) -> BaseProcess:
    """Start a process that writes and tells, and wait until it does."""
    ours, theirs = PROCESSES.Pipe(duplex=False)
    child = PROCESSES.Process(target=write_and_tell, args=(folder, url, n_events, theirs))
    child.start()
    theirs.close()
    if not ours.poll(START_S) or ours.recv() != READY:
        raise SystemExit("the child did not start")
    ours.close()
    return child


def in_flight(folder: Path) -> int:
    """Events that were being sent when the child was killed."""
    noted = json.loads(Beside(folder / "pump.csv").sent.read_bytes())
    return sum(len(sink["in_flight"]) for sink in noted["sinks"].values())


def measure(kind: str, folder: Path, *, n_kills: int = N_KILLS, seed: int = SEED) -> dict[str, int]:
    """Kill a teller of one kind of sink; returns the row of the table."""
    rng, receiver, n_in_flight = np.random.default_rng(seed), Receiver(kind), 0
    with serving(receiver) as url:
        for _ in range(n_kills):
            child = start(folder, url, 10**6)
            time.sleep(rng.uniform(AT_LEAST_S, AT_MOST_S))
            child.kill()
            child.join()
            n_in_flight += in_flight(folder)
        child = start(folder, url, 5)
        child.join(END_S + START_S)
        if child.exitcode != 0:
            raise SystemExit("the last child failed")
    (sink,) = json.loads(Beside(folder / "pump.csv").sent.read_bytes())["sinks"].values()
    return {"kills": n_kills, **row_of(receiver, folder), "in flight": n_in_flight, "counted": sink["n_doubled"]}


def row_of(receiver: Receiver, folder: Path) -> dict[str, int]:
    """Compare what arrived with the log."""
    expected = [event.id for event in read_events(Beside(folder / "pump.csv").events)]
    first = list(dict.fromkeys(receiver.ids))
    counts = Counter(receiver.ids)
    seen: set[str] = set()
    n_unmarked = 0
    for about, is_repeated in zip(receiver.ids, receiver.repeated, strict=True):
        n_unmarked += about in seen and not is_repeated
        seen.add(about)
    arrived = [each for each in expected if each in counts]
    return {
        "events": len(expected),
        "messages": receiver.n_messages,
        "missed": len(set(expected) - set(counts)),
        "out of order": sum(one != other for one, other in zip(first, arrived, strict=True)),
        "doubled": sum(n - 1 for n in counts.values()),
        "doubled unmarked": n_unmarked,
    }


def main() -> None:
    """Print a row per kind of sink; end with 1 where an event was missed, or came out of order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=N_KILLS)
    arguments = parser.parse_args()
    rows = []
    for kind, title in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            row = measure(kind, Path(folder), n_kills=arguments.kills)
        if not rows:
            print("| the sink | " + " | ".join(row) + " |\n|---|" + "---:|" * len(row))
        print(f"| {title} | " + " | ".join(f"{value:,}" for value in row.values()) + " |", flush=True)
        rows.append(row)
    if any(row["missed"] or row["out of order"] or row["doubled unmarked"] for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
