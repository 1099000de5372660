"""Take the README's pictures of the real dashboard: `make screenshots` (needs Debian's chromium)."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Page, sync_playwright

PROJECT = Path(__file__).resolve().parents[1]
PICTURES = PROJECT / "docs" / "images"
CHROMIUM = "/usr/bin/chromium"
ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
WAIT_MS = 180_000
PAGES = {
    "overview": "",
    "data": "data",
    "explore": "explore",
    "train": "train",
    "threshold": "threshold?detector=lstm_predictor",
    "check": "check",
    "what_if": "check?view=what_if&what_snr=10",
    "my_machine": "my_machine",
    "monitor": "monitor?detector=vggish_ocsvm",
    "compare": "compare",
    "learn": "learn",
}
FRAMES, FRAME_MS = 14, 180
CLIP: FloatRect = {"x": 340, "y": 210, "width": 900, "height": 660}
"""What the moving picture shows of the page: the ROC and its figures."""


def main() -> None:
    """Start the dashboard, open each page, write one PNG per page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    # A neutral place: the Data page shows where clips lie.
    environment = {**os.environ, "ASD_DATA_DIR": str(Path(tempfile.gettempdir()) / "machine-sounds")}
    server = subprocess.Popen([*command, "--server.port", url.rpartition(":")[2]], cwd=PROJECT, env=environment)
    try:
        wait_until_up(url)
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            page = chromium.new_page(viewport={"width": 1280, "height": 960})
            for name, path in PAGES.items():
                picture(page, f"{url}/{path}", PICTURES / f"{name}.png", STEPS.get(name))
            moving_picture(page, f"{url}/{PAGES['threshold']}", PICTURES / "threshold.gif")
            chromium.close()
    finally:
        server.terminate()
        server.wait()


def wait_until_up(url: str) -> None:
    """Wait at most a minute for the server's health page."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):  # noqa: S310 - our own server
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit(f"the dashboard at {url} did not start")


def picture(page: Page, url: str, path: Path, step: Callable[[Page], None] | None = None) -> None:
    """Wait until the page is at rest, do what brings it to life, then take its picture."""
    page.goto(url)
    stand_still(page)
    if step is not None:
        step(page)
        stand_still(page)
    Image.open(io.BytesIO(page.screenshot(timeout=WAIT_MS))).convert("RGB").save(path, optimize=True)
    sys.stdout.write(f"{path.relative_to(PROJECT)}\n")


def stand_still(page: Page) -> None:
    """Wait for the heading, the end of the script, and a moment for charts."""
    page.get_by_role("heading", level=1).wait_for(timeout=WAIT_MS)
    page.get_by_test_id("stStatusWidget").wait_for(state="detached", timeout=WAIT_MS)
    page.wait_for_timeout(2500)


def replay(page: Page) -> None:
    """Run the monitor's replay at its fastest until the machine is repaired."""
    page.get_by_role("combobox", name="Clips per second").click()
    page.get_by_role("option", name="5", exact=True).click()
    stand_still(page)
    page.get_by_role("button", name="Play demo").click()
    page.get_by_text("the last alarm was cleared").wait_for(timeout=WAIT_MS)


def demonstration(page: Page) -> None:
    """Play both clips to their end, when all that the detector hears is lit up."""
    page.get_by_role("button", name="Play both clips").click(timeout=WAIT_MS)
    page.locator(".hero.told").wait_for(timeout=WAIT_MS)


def strange_example(page: Page) -> None:
    """Take examples in turn until all detectors call one anomalous."""
    while not page.get_by_role("heading", name="3 of 3 detectors: anomalous").count():
        page.get_by_role("button", name="Next").click()
        stand_still(page)


def what_if(page: Page) -> None:
    """Bring the changed clip into sight."""
    page.get_by_test_id("stAudio").first.evaluate("player => player.scrollIntoView({block: 'center'})")


STEPS: dict[str, Callable[[Page], None]] = {
    "overview": demonstration,
    "monitor": replay,
    "what_if": what_if,
    "check": strange_example,
}


def moving_picture(page: Page, url: str, path: Path) -> None:
    """Drag the operating point along the ROC and write the frames as an animated GIF."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(url)
    handle = page.locator("[data-handle=d0]")
    handle.wait_for(timeout=WAIT_MS)
    page.wait_for_timeout(2500)
    box = handle.bounding_box()
    if box is None:
        raise SystemExit("the ROC has no operating point to drag")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    frames = []
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(FRAMES):
        page.mouse.move(x + 9 * step, y - 8 * step)
        shot = Image.open(io.BytesIO(page.screenshot(clip=CLIP)))
        frames.append(shot.convert("P", palette=Image.Palette.ADAPTIVE, colors=64))
    page.mouse.up()
    frames[0].save(path, save_all=True, append_images=frames[1:] + frames[-2:0:-1], duration=FRAME_MS, loop=0)
    sys.stdout.write(f"{path.relative_to(PROJECT)}\n")


if __name__ == "__main__":
    main()
