"""The threshold page in Chromium: a link to a point set by hand, and a matrix whose errors are orange."""

from __future__ import annotations

import re

import pytest
from settling import settle
from sounds import PROJECT

pytestmark = pytest.mark.browser
WAIT_MS = 120_000


@pytest.fixture(scope="module")
def url(serve):
    return f"{serve(PROJECT / 'app.py')}/threshold"


def cell(page, name: str) -> str:
    return page.locator(f"[data-cell={name}] strong").inner_text()


def test_a_dragged_point_is_named_by_the_url_and_the_link_opens_it(url, open_page):
    page = open_page(f"{url}?detector=lstm_predictor")
    page.locator("[data-handle=d0]").wait_for(timeout=WAIT_MS)
    settle(page)
    box = page.locator(".cockpit .roc").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.15 * box["height"])
    page.wait_for_function("/rule=manual/.test(location.search) && /value=/.test(location.search)", timeout=WAIT_MS)
    settle(page)
    shown = [cell(page, name) for name in ("tn", "fp", "fn", "tp")]
    again = open_page(page.url)
    again.get_by_text(re.compile("Set by hand")).first.wait_for(timeout=WAIT_MS)
    settle(again)
    assert [cell(again, name) for name in ("tn", "fp", "fn", "tp")] == shown


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_errors_are_orange_and_dashed_and_right_decisions_blue(url, open_page, theme):
    page = open_page(url, color_scheme=theme)
    page.locator("[data-handle=d0]").wait_for(timeout=WAIT_MS)
    settle(page)
    borders = {
        name: page.locator(f"[data-cell={name}]").evaluate(
            "cell => [getComputedStyle(cell).borderTopColor, getComputedStyle(cell).borderTopStyle]"
        )
        for name in ("tn", "fp", "fn", "tp")
    }
    blue, orange = ["rgb(0, 114, 178)", "solid"], ["rgb(213, 94, 0)", "dashed"]
    assert borders == {"tn": blue, "fp": orange, "fn": orange, "tp": blue}
    words = [page.locator(f"[data-cell={name}] small").inner_text().split("% ")[1] for name in borders]
    assert words == ["right", "false alarms", "missed", "right"]
