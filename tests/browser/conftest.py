"""Headless Chromium, and Streamlit servers for it to look at."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import free_port, start_server, stop_server, wait_until_healthy

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
KNOWN_404S = ("/_stcore/health", "/_stcore/host-config")


@pytest.fixture(scope="session")
def serve(tmp_path_factory) -> Iterator[Callable[..., str]]:
    """`serve(app_path, *options) -> url`: one server for each app and options, stopped when the tests end."""
    servers: dict[tuple[str, ...], tuple[str, subprocess.Popen[bytes]]] = {}

    def start(app_path: Path | str, *options: str) -> str:
        asked = (str(app_path), *options)
        if asked not in servers:
            url = f"http://127.0.0.1:{free_port()}"
            log = tmp_path_factory.mktemp("server") / "streamlit.log"
            server = start_server(Path(app_path), url, log, options)
            servers[asked] = (url, server)
            wait_until_healthy(url, server, log)
        return servers[asked][0]

    yield start
    for _, server in servers.values():
        stop_server(server)


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium under Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def context(browser):
    """A context whose cache holds Streamlit's scripts after the first page: three fifths of a page's cost."""
    shared = browser.new_context()
    yield shared
    shared.close()


@pytest.fixture
def open_page(browser, context):
    """`open_page(url, width=1280, **context options) -> page`; any console error fails the test at its end.

    Other options than sizes and colours get the page a context of its own. Two 404s of Streamlit's own first probe on a
    deep link are known and left out.
    """
    pages, complaints = [], []

    def note(message) -> None:
        known = any(path in message.location.get("url", "") for path in KNOWN_404S)
        if message.type == "error" and not known:
            complaints.append(message.text)

    def open_(url: str, *, width: int = 1280, height: int = 1000, color_scheme: str = "light", **options):
        own = browser.new_context(viewport={"width": width, "height": height}, **options) if options else context
        page = own.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=color_scheme)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.close()
        if page.context is not context:
            page.context.close()
    assert complaints == []


def pytest_collection_modifyitems(items):
    """A real browser on a busy machine has its moments: each of these tests gets one second chance, and says so."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))
