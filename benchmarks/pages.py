"""What the pages cost on a real server: first content, memory without a network, and a move of the threshold.

Times of a move go from the request to the end of the script over loopback: all that the page does and sends, none of
the browser's drawing.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from asd_core.data.simulated.bench import write_bench
from benchmarks.embedded import NAME, PROJECT
from benchmarks.large_set import DETECTORS, ONE_MACHINE, WHOLE_DEVELOPMENT_SET, large_set
from benchmarks.rows import Row, median_row
from benchmarks.visitor import Run, Visitor, dashboard, processor_s, resident_mb, visit

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
PAGES_WITHOUT_NETWORKS = ("", "data", "explore", "threshold", "compare")
MOVES = 12
ASKED_MS = {ONE_MACHINE: 50.0, WHOLE_DEVELOPMENT_SET: 80.0}
ASKED_KB = {ONE_MACHINE: 60.0, WHOLE_DEVELOPMENT_SET: None}
_TRIGGERS = "$$STREAMLIT_INTERNAL_KEY_{}__events"
"""Id under which Streamlit takes the triggers of a component."""


def dashboard_rows(*, repeats: int = 5) -> list[Row]:
    """From the start of a fresh server to the first content, and its memory after pages that load one network."""
    wire, title, figure, sound, empty, memory = [], [], [], [], [], []
    with tempfile.TemporaryDirectory(dir=PROJECT / "build") as folder:
        environment = {"ASD_DATA_DIR": folder, "ASD_ARTIFACTS_DIR": str(PROJECT / "artifacts")}
        write_bench(Path(folder) / "simulated-small", size="small", seed=0)
        bare = Path(folder) / "empty.py"
        bare.write_text('import streamlit as st\n\nst.title("Empty")\n', encoding="utf-8")
        for _ in range(repeats):
            began = time.perf_counter()
            with dashboard(environment) as (url, pid):
                up = time.perf_counter() - began
                for page in PAGES_WITHOUT_NETWORKS:
                    with visit(url, page) as visitor:
                        run = check(visitor.run())
                    if page == "":
                        wire.append(up + run.first_s)
                memory.append(resident_mb(pid))
            if CHROMIUM.exists():
                drawn = drawn_after_s(environment, TITLE, FIGURE, SOUND)
                for each, found in zip((title, figure, sound), drawn, strict=True):
                    each.append(found)
                empty += drawn_after_s(environment, TITLE, script=bare)
    start = "dashboard: start of the server to"
    shown = [
        median_row(f"{start} the page's title in Chromium", title, unit="s", asked=3),
        median_row(f"{start} the first detector's figure in Chromium", figure, unit="s", asked=4),
        median_row(f"{start} the demonstration's play button in Chromium", sound, unit="s", asked=None),
        median_row("this machine: the same to the title of an empty Streamlit page", empty, unit="s", asked=None),
    ]
    return [
        median_row(f"{start} first content on the wire", wire, unit="s", asked=3),
        *(shown if title else []),
        median_row("dashboard: memory after five pages, one network loaded", memory, unit="MB", asked=300),
    ]


TITLE, FIGURE, SOUND = "[data-testid=stHeading]", ".st-key-how-good p", ".hero .play"
"""What is waited for: the title, how good the first detector is, and the demonstration."""


def drawn_after_s(environment: dict[str, str], *selectors: str, script: Path = Path("app.py")) -> list[float]:
    """Seconds from the start of a server until Chromium, which already runs, shows each of these elements."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGS)
        page, found = browser.new_page(), []
        began = time.perf_counter()
        with dashboard(environment, script) as (url, _):
            page.goto(url, wait_until="commit")
            for selector in selectors:
                page.locator(selector).first.wait_for(timeout=120_000)
                found.append(time.perf_counter() - began)
        browser.close()
    return found


def check_rows(*, n_clips: int = 9) -> list[Row]:
    """What a clip that nobody has listened to costs the page Check: three detectors' verdicts and maps."""
    with tempfile.TemporaryDirectory(dir=PROJECT / "build") as folder:
        environment = {"ASD_DATA_DIR": folder, "ASD_ARTIFACTS_DIR": str(PROJECT / "artifacts")}
        bench = write_bench(Path(folder) / NAME, size="small", seed=0)
        clips = [path.relative_to(bench / "slider").as_posix() for path in sorted(bench.glob("slider/test/*.wav"))]
        chosen = clips[:: len(clips) // (n_clips + 2)][: n_clips + 2]
        runs, taken = [], []
        with dashboard(environment) as (url, pid):
            for clip in chosen:
                began = processor_s(pid)
                with visit(url, "check", urlencode({"clip": clip})) as visitor:
                    runs.append(check(visitor.run()))
                taken.append(processor_s(pid) - began)
    if len({tuple(run.largest()) for run in runs}) < n_clips:
        raise SystemExit("the page did not listen to another clip each time: nothing is measured")
    name = "check: three verdicts and maps of another 10-s clip"
    times, sent = [run.seconds for run in runs[2:]], [run.n_bytes / 1000 for run in runs[2:]]
    return [  # the first two load the detectors
        median_row(f"{name}: server time", times, unit="s", asked=0.35),
        median_row(f"{name}: processor time of the server", taken[2:], unit="s", asked=None),
        median_row(f"{name}: sent to the browser", sent, unit="kB", asked=None),
    ]


def threshold_rows() -> list[Row]:
    """What a move of the threshold costs the server, all detectors of a data set in turn, and what it sends."""
    found: list[Row] = []
    for n_clips, asked in ASKED_MS.items():
        with tempfile.TemporaryDirectory(dir=PROJECT / "build") as folder:
            environment = large_set(Path(folder), n_clips)
            runs, taken = [], []
            with dashboard(environment) as (url, pid):
                for name in DETECTORS:
                    some, processor = moves(url, pid, name)
                    runs += some
                    taken.append(1000 * processor / len(some))
        name = f"threshold move, {n_clips:,} clips x {len(DETECTORS)} detectors"
        times, sent = [1000 * run.seconds for run in runs], [run.n_bytes / 1000 for run in runs]
        found += [
            median_row(f"{name}: server time", times, unit="ms", asked=asked),
            median_row(f"{name}: processor time of the server", taken, unit="ms", asked=None),
            median_row(f"{name}: sent to the browser", sent, unit="kB", asked=ASKED_KB[n_clips]),
        ]
    return found


def moves(url: str, pid: int, detector: str) -> tuple[list[Run], float]:
    """Release the threshold at several places, as a browser does; also the server's processor seconds."""
    with visit(url, "threshold", f"detector={detector}") as visitor:
        first = check(visitor.run())
        fragment, component = first.element("bidi_component", key="cockpit:")
        visitor.set(component.id, json_value="{}")
        about = json.loads(component.json)
        edges = about["detectors"][0]["edges"]
        places = [edges[0] + (edges[-1] - edges[0]) * share / (2 * MOVES) for share in range(1, 2 * MOVES, 2)]
        for place in places[-1], places[0]:
            check(moved(visitor, fragment, component.id, about["about"], place))
        began = processor_s(pid)
        runs = [check(moved(visitor, fragment, component.id, about["about"], place)) for place in places[1:]]
        taken = processor_s(pid) - began
    said = json.loads(runs[-1].element("bidi_component", key=":says")[1].json)
    if said["thresholds"] != [places[-1]]:
        raise SystemExit(f"the threshold is {said['thresholds']} after a move to {places[-1]}: nothing is measured")
    return runs, taken


def moved(visitor: Visitor, fragment: str, component_id: str, about: str, threshold: float) -> Run:
    """Release the point at a threshold."""
    value = {"about": about, "hand": 0, "threshold": threshold, "per_id": None}
    return visitor.run(fragment=fragment, once=(_TRIGGERS.format(component_id), [{"event": "move", "value": value}]))


def check(run: Run) -> Run:
    """Stop if a page shows a fault: it would be fast for the wrong reason."""
    for _, element in run.elements:
        if element.WhichOneof("type") == "exception":
            raise SystemExit(f"a page shows a fault: {element.exception.message}")
    return run
