"""What a drag of the threshold costs in the browser: `python -m benchmarks.cockpit`.

Each move is one pointer event on the real page in Chromium, a frame apart: its time is that of our script alone, from
the event to the last change of the page; a frame's is what lies between two frames of the screen meanwhile.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.embedded import PROJECT
from benchmarks.large_set import ONE_MACHINE, WHOLE_DEVELOPMENT_SET, large_set
from benchmarks.rows import Row
from benchmarks.visitor import dashboard

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
ASKED_SCRIPT_MS, ASKED_FRAME_MS, MOVES = 8.0, 20.0, 240
ALL = "&second=gru_autoencoder&ids=thresholds&costs=on"
QUERIES = {"one point": "", "a point per id, a second detector and costs": ALL}
DRAG = """async ({moves}) => {
    const roots = [...document.querySelectorAll("*")].map((each) => each.shadowRoot ?? each);
    const svg = roots.map((each) => each.querySelector(".cockpit .roc")).find((each) => each);
    const box = svg.getBoundingClientRect();
    const id = window.pressed;
    const [scripts, frames] = [[], []];
    let last = null;
    for (let i = 0; i < moves; i += 1) {
        const now = await new Promise(requestAnimationFrame);
        if (last !== null) frames.push(now - last);
        last = now;
        const share = 0.5 + 0.45 * Math.sin(i / 9);
        const [x, y] = [0.12 + 0.8 * share, 0.75 * (1 - share)];
        const at = {clientX: box.left + box.width * x, clientY: box.top + box.height * y};
        const began = performance.now();
        svg.dispatchEvent(new PointerEvent("pointermove", {...at, pointerId: id, bubbles: true, composed: true}));
        scripts.push(performance.now() - began);
    }
    return {scripts, frames};
}"""
PRESSED = "() => document.addEventListener('pointerdown', (event) => { window.pressed = event.pointerId; }, true)"


def main() -> None:
    """Print a table of the figures."""
    rows = cockpit_rows()
    print(*(f"{row.name}: {row.value:.1f} {row.unit} (asked {row.asked}) {row.met}" for row in rows), sep="\n")
    sys.exit(any("no" in row.met for row in rows))


def cockpit_rows() -> list[Row]:
    """Script and frame times of a drag at two sizes of a data set, and the messages meanwhile."""
    found: list[Row] = []
    for n_clips in (ONE_MACHINE, WHOLE_DEVELOPMENT_SET):
        with tempfile.TemporaryDirectory(dir=PROJECT / "build") as folder:
            environment = large_set(Path(folder), n_clips)
            with dashboard(environment) as (url, _):
                for words, query in QUERIES.items():
                    found += _dragged(f"{url}/threshold?detector=lstm_predictor{query}", f"{n_clips:,} clips, {words}")
    return found


def _dragged(url: str, name: str) -> list[Row]:
    from playwright.sync_api import sync_playwright

    messages: list[str | bytes] = []

    def note(message: str | bytes) -> None:
        messages.append(message)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("websocket", lambda socket: (socket.on("framesent", note), socket.on("framereceived", note)))
        page.goto(url)
        handle = page.locator("[data-handle=d0]")
        handle.wait_for(timeout=120_000)
        page.get_by_test_id("stStatusWidget").wait_for(state="detached", timeout=120_000)
        page.wait_for_timeout(1500)
        page.evaluate(PRESSED)
        box = handle.bounding_box() or {"x": 0, "y": 0, "width": 0, "height": 0}
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        before = len(messages)
        found = page.evaluate(DRAG, {"moves": MOVES})
        n_messages = len(messages) - before
        page.mouse.up()
        browser.close()
    return [
        _high(f"cockpit, {name}: script per move, 95th percentile", found["scripts"], ASKED_SCRIPT_MS),
        _high(f"cockpit, {name}: frame during a drag, 95th percentile", found["frames"], ASKED_FRAME_MS),
        Row(f"cockpit, {name}: messages during a drag", n_messages, 0, "lower", "messages", [n_messages, n_messages]),
    ]


def _high(name: str, values: list[float], asked: float) -> Row:
    high = statistics.quantiles(values, n=20)[-1]
    return Row(name, high, asked, "lower", "ms", [min(values), max(values)])


if __name__ == "__main__":
    main()
