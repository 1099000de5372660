"""The frame in Chromium: deep links to a fresh server, a menu that stays, and what is on the first screen."""

from __future__ import annotations

import re

import pytest
from settling import settle
from sounds import PROJECT

from pages.shared.frame import PAGES, PRODUCT

pytestmark = pytest.mark.browser
WAIT_MS = 60_000
FIRST_SCREEN = 900


@pytest.fixture(scope="module")
def url(serve):
    return serve(PROJECT / "app.py")


def said(page):
    return page.get_by_text(re.compile("^Listening with "))


def test_a_fresh_server_is_first_asked_for_a_page_with_a_choice(serve, open_page):
    fresh = serve(PROJECT / "app.py", "--server.maxUploadSize", "31")
    page = open_page(f"{fresh}/threshold?set=simulated-small/slider&detectors=vggish_knn&detectors=lstm_predictor")
    page.get_by_role("heading", name="Threshold", level=1).wait_for(timeout=WAIT_MS)
    said(page).wait_for(timeout=WAIT_MS)
    assert "2 of 6 detectors" in said(page).inner_text()
    menu = page.get_by_test_id("stSidebarNav")
    links = menu.get_by_role("link").all_inner_texts()
    assert [text.splitlines()[-1] for text in links] == [link.title for link in PAGES]  # the first is an icon's name
    assert menu.get_by_role("link", name="Threshold").get_attribute("aria-current") == "page"
    assert page.get_by_text("Page not found").count() == 0
    assert page.title() == f"Threshold · {PRODUCT}"


def test_the_sidebar_stays_while_pages_change(url, open_page):
    page = open_page(f"{url}/data")
    settle(page)
    page.evaluate(
        """() => {
            const menu = document.querySelector("[data-testid=stSidebarNav]");
            menu.dataset.seen = "before";
            window.gone = 0;
            new MutationObserver(() => { if (!menu.isConnected) window.gone += 1; })
                .observe(document.body, {childList: true, subtree: true});
        }"""
    )
    for title in ("Train", "Explore", "Overview"):
        page.get_by_test_id("stSidebarNav").get_by_role("link", name=title).click()
        page.get_by_role("heading", name=title, level=1).wait_for(timeout=WAIT_MS)
        assert page.get_by_test_id("stSidebarNav").get_attribute("data-seen") == "before"
    assert page.evaluate("() => window.gone") == 0


@pytest.mark.parametrize("link", PAGES, ids=[link.address or "overview" for link in PAGES])
def test_what_a_page_is_about_is_on_the_first_screen(url, open_page, link):
    page = open_page(f"{url}/{link.address}", height=FIRST_SCREEN)
    settle(page)
    box = page.locator(".st-key-first-screen").bounding_box()
    assert box["height"] > 30
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= FIRST_SCREEN
