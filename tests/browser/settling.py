"""Waiting until a page stands still, which takes less than waiting for a fixed time."""

from __future__ import annotations

STILL = """() => {
    const main = document.querySelector("[data-testid=stMain]");
    const look = [document.body.innerHTML.length, main?.scrollHeight, main?.scrollWidth].join();
    const last = window.lastLook ??= {look, since: performance.now()};
    if (last.look !== look) Object.assign(last, {look, since: performance.now()});
    return performance.now() - last.since > 600;
}"""


def settle(page, *, timeout_ms: int = 90_000) -> None:
    """Wait for the heading, the end of the script, and 0.6 s without a change of the page."""
    page.get_by_role("heading", level=1).wait_for(timeout=timeout_ms)
    page.get_by_test_id("stStatusWidget").wait_for(state="detached", timeout=timeout_ms)
    page.evaluate("() => { delete window.lastLook; }")
    page.wait_for_function(STILL, polling=100, timeout=timeout_ms)
