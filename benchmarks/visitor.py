"""A browser's half of Streamlit's protocol without a browser: what a page's run costs and what it sends.

A run's time goes from the request to the end of the script, over loopback: the server's work and its messages, nothing
of drawing.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from benchmarks.embedded import PROJECT

START_S, TIMEOUT_S = 60.0, 300.0
_XSRF = "_streamlit_xsrf"
_FINISHED = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)


@dataclass
class Run:
    """What one run of a page, or of a fragment of it, cost and sent.

    Parameters
    ----------
    seconds, first_s
        Until the script ended; until the first element came.
    n_bytes
        Of all messages.
    elements
        What was drawn, in order, as (fragment, element).
    """

    seconds: float = 0.0
    first_s: float = 0.0
    n_bytes: int = 0
    elements: list[tuple[str, Any]] = field(default_factory=list)

    def element(self, kind: str, *, key: str = "") -> tuple[str, Any]:
        """Fragment and content of the first element of a kind whose id holds a text."""
        for fragment, element in self.elements:
            if element.WhichOneof("type") == kind and key in getattr(getattr(element, kind), "id", ""):
                return fragment, getattr(element, kind)
        raise LookupError(f"no {kind} {key!r} among {sorted({each.WhichOneof('type') for _, each in self.elements})}")

    def largest(self) -> list[tuple[str, int]]:
        """Kinds of element by their bytes, the largest first."""
        found = [(element.WhichOneof("type"), element.ByteSize()) for _, element in self.elements]
        return sorted(found, key=lambda pair: -pair[1])


class Visitor:
    """One visitor of one page, who keeps large messages as a browser does: they are not sent again."""

    def __init__(self, stream: ClientConnection, query: str, page: str) -> None:
        self._stream, self._query, self._page = stream, query, page
        self._widgets: dict[str, Any] = {}
        self._kept: set[str] = set()

    def run(self, *, fragment: str = "", once: tuple[str, object] | None = None) -> Run:
        """Run the page, or one fragment of it, with the widgets as they are.

        Parameters
        ----------
        once
            A component's id and the trigger that it sends in this run alone.
        """
        asked = BackMsg()
        asked.rerun_script.query_string, asked.rerun_script.fragment_id = self._query, fragment
        asked.rerun_script.page_name = self._page
        asked.rerun_script.cached_message_hashes.extend(sorted(self._kept))
        states = asked.rerun_script.widget_states.widgets
        states.extend(self._widgets.values())
        if once is not None:
            states.add(id=once[0], json_trigger_value=json.dumps(once[1]))
        began = time.perf_counter()
        self._stream.send(asked.SerializeToString())
        return self._received(began)

    def set(self, widget_id: str, **value: Any) -> None:
        """Give a widget a value, such as `string_value="x"`, from the next run on."""
        state = BackMsg().rerun_script.widget_states.widgets.add(id=widget_id)
        for name, content in value.items():
            setattr(state, name, content)
        self._widgets[widget_id] = state

    def _received(self, began: float) -> Run:
        run = Run()
        while True:
            raw = self._stream.recv(timeout=TIMEOUT_S)
            if isinstance(raw, str):
                continue
            message = ForwardMsg()
            message.ParseFromString(raw)
            run.n_bytes += len(raw)
            if message.metadata.cacheable:
                self._kept.add(message.hash)
            kind = message.WhichOneof("type")
            if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                run.first_s = run.first_s or time.perf_counter() - began
                run.elements.append((message.delta.fragment_id, message.delta.new_element))
            elif kind == "script_finished" and message.script_finished in _FINISHED:
                run.seconds = time.perf_counter() - began
                return run


@contextmanager
def visit(url: str, page: str = "", query: str = "") -> Iterator[Visitor]:
    """Connect as a browser does, with the server's token against forged requests."""
    with urllib.request.urlopen(f"{url}/_stcore/health") as answer:  # noqa: S310 - our own server
        xsrf = SimpleCookie(answer.headers["Set-Cookie"])[_XSRF].value
    with connect(
        url.replace("http", "ws", 1) + "/_stcore/stream",
        subprotocols=["streamlit", xsrf],  # type: ignore[list-item]
        additional_headers={"Cookie": f"{_XSRF}={xsrf}"},
        max_size=None,
        open_timeout=TIMEOUT_S,
    ) as stream:
        yield Visitor(stream, query, page)


@contextmanager
def dashboard(environment: Mapping[str, str], script: Path = Path("app.py")) -> Iterator[tuple[str, int]]:
    """Run the real dashboard, or another script, on a free port of the loopback; yields its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless", "true"]
    server = subprocess.Popen(
        [*command, "--server.port", str(port), "--browser.gatherUsageStats", "false"],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_up(url, server)
        yield url, server.pid
    finally:
        server.terminate()
        server.wait()


def _wait_until_up(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):  # noqa: S310 - our own server
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise SystemExit(f"the dashboard did not start at {url}")


def processor_s(pid: int) -> float:
    """Processor time of a process so far, in steps of 10 ms."""
    with open(f"/proc/{pid}/stat") as status:  # noqa: PTH123 - no file of ours
        fields = status.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Memory that a process holds right now, in MB."""
    with open(f"/proc/{pid}/status") as status:  # noqa: PTH123 - no file of ours
        line = next(line for line in status if line.startswith("VmRSS:"))
    return float(line.split()[1]) / 1024
