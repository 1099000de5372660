"""axe-core on every page: nothing serious or critical outside a short list of Streamlit's own."""

from __future__ import annotations

import pytest
from settling import settle
from sounds import PROJECT

from pages.shared.frame import PAGES

pytestmark = pytest.mark.browser
STREAMLITS_OWN = (
    ("color-contrast", "<span title="),
    ("list", '<ul data-testid="stSidebarNavItems"'),
    ("listitem", '<li class="st-emotion-cache-'),
)
"""Fault and how its element begins: the chips of a multiselect are white on the primary colour in either theme; the
menu's sections put other elements than entries between a list and its entries."""


FIRST_LOOKED_AT = ("pages/overview.py", "pages/threshold.py", "pages/check.py")


@pytest.fixture(scope="module")
def url(serve):
    return serve(PROJECT / "app.py")


def page_param(path: str):
    return path if path in FIRST_LOOKED_AT else pytest.param(path, marks=pytest.mark.slow)


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", [page_param(page.path) for page in PAGES])
def test_a_page_has_no_serious_fault(url, open_page, path, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    address = next(link.address for link in PAGES if link.path == path)
    page = open_page(f"{url}/{address}", color_scheme=theme)
    settle(page)
    found = axe.run(page).response["violations"]
    faults = [
        (fault["id"], node["html"][:160])
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
        if not any(fault["id"] == known and node["html"].startswith(start) for known, start in STREAMLITS_OWN)
    ]
    assert faults == []
