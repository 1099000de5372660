"""The compare page in headless Chromium: a clicked mark and a listed clip play, and narrow screens don't scroll."""

from __future__ import annotations

import re

import pytest
from settling import settle
from sounds import PROJECT

pytestmark = pytest.mark.browser
WAIT_MS = 120_000
SLOW_VIEWS = ("differ", "scatter", "failures", "map", "localisation")
VIEWS = ("figures", *(pytest.param(view, marks=pytest.mark.slow) for view in SLOW_VIEWS))


@pytest.fixture(scope="module")
def url(serve):
    return f"{serve(PROJECT / 'app.py')}/compare"


def plays(page) -> None:
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").wait_for(timeout=WAIT_MS)


def shown_clip(page) -> str:
    page.get_by_role("button", name="Play").wait_for(timeout=WAIT_MS)
    return page.locator(".player .title").inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("view", ["scatter", "map"])
def test_a_clicked_mark_rings_and_plays_its_clip(url, open_page, view):
    page = open_page(f"{url}?view={view}", height=2000)
    page.locator(".plane .hint", has_text="Press a mark").wait_for(timeout=WAIT_MS)
    before = shown_clip(page)
    settle(page)
    page.locator(".plane .mark").last.click(force=True)
    page.locator(".player .title", has_not_text=re.compile(f"^{re.escape(before)}$")).wait_for(timeout=WAIT_MS)
    assert shown_clip(page) != before
    assert page.locator(".plane .ring").count() == 1
    plays(page)


def test_a_clip_on_which_verdicts_differ_plays_and_another_can_be_chosen(url, open_page):
    page = open_page(f"{url}?view=differ&clip_details=on", height=1600)
    title = page.locator(".player .title")
    title.wait_for(timeout=WAIT_MS)
    before = title.inner_text()
    settle(page)
    page.locator(".play-list .rows button").nth(3).click()
    page.locator(".player .title", has_not_text=re.compile(f"^{re.escape(before)}$")).wait_for(timeout=WAIT_MS)


def test_a_deep_link_opens_view_and_rule(url, open_page):
    page = open_page(f"{url}?view=figures&verdicts=youden")
    page.get_by_text(re.compile("detection rate are optimistic")).wait_for(timeout=WAIT_MS)


@pytest.mark.slow
def test_an_uploaded_file_of_scores_becomes_another_curve(url, open_page, tmp_path):
    from asd_core.artifacts.store import open_artifact
    from asd_core.system.files import csv_text

    folder = PROJECT / "artifacts" / "simulated-small" / "slider" / "lstm_predictor"
    clips = open_artifact(folder).scores.clips
    file = tmp_path / "theirs.csv"
    file.write_text(csv_text([("path", "score"), *((clip.path, clip.anomaly_score) for clip in clips)]))
    page = open_page(url, height=1600)
    page.get_by_text("Compare with another method's scores").click()
    page.locator("input[type=file]").set_input_files(str(file))
    page.get_by_text(re.compile("^theirs, AUC 0\\.")).wait_for(timeout=WAIT_MS)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_a_narrow_screen_needs_no_horizontal_scroll(url, open_page, view, scheme):
    page = open_page(f"{url}?view={view}", width=400, color_scheme=scheme)
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
