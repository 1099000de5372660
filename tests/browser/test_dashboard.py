"""The real dashboard in headless Chromium: what AppTest cannot see."""

from __future__ import annotations

import re

import pytest
from settling import settle
from sounds import PROJECT

from asd_core.detectors import DETECTOR_NAMES

pytestmark = pytest.mark.browser
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def url(serve):
    return serve(PROJECT / "app.py")


def wait_for_text(page, text):
    page.get_by_text(re.compile(text)).first.wait_for(timeout=WAIT_MS)


def test_the_overview_shows_the_figures_of_each_active_detector_and_links_on(url, open_page):
    page = open_page(url)
    wait_for_text(page, "of 100 faults at")
    page.get_by_text("Show the figures").click()
    page.get_by_test_id("stMetric").nth(2).wait_for(timeout=WAIT_MS)
    assert page.get_by_test_id("stMetric").count() == 3
    page.get_by_test_id("stMain").get_by_role("link", name="Try it").click()
    page.get_by_role("heading", name="Check a clip").wait_for(timeout=WAIT_MS)


def test_an_uploaded_clip_shows_three_verdicts_and_plays(url, open_page, tmp_path):
    from asd_core.audio.reading import encode_wav
    from asd_core.data.simulated.bench import ClipKey, render_clip

    clip = tmp_path / "clip.wav"
    clip.write_bytes(encode_wav(render_clip(ClipKey("00", "test", "anomaly", 3), seed=9).samples))
    page = open_page(f"{url}/check?source=Upload")
    page.locator("input[type=file]").set_input_files(str(clip))
    page.get_by_role("button", name="Play").wait_for(timeout=WAIT_MS)
    assert page.locator(".gauges .word", has_text=re.compile("^(anomalous|normal)$")).count() == 3
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").wait_for(timeout=WAIT_MS)


@pytest.mark.real_data
def test_a_real_slider_clip_shows_three_verdicts(url, open_page, real_clips):
    page = open_page(f"{url}/check?source=Upload")
    page.locator("input[type=file]").set_input_files(str(real_clips / "slider/test/anomaly_id_00_00000096.wav"))
    wait_for_text(page, r"0\.00 / 10\.00 s")
    assert page.locator(".gauges .word", has_text=re.compile("^(anomalous|normal)$")).count() == 3


def test_dragging_the_point_moves_the_matrix_and_lists_the_clips_that_flip(url, open_page):
    page = open_page(f"{url}/threshold", height=1600)
    handle = page.locator("[data-handle=d0]")
    handle.wait_for(timeout=WAIT_MS)
    before = page.locator("[data-cell=fp]").inner_text()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] - 40, steps=8)
    assert page.locator("[data-cell=fp]").inner_text() != before
    page.mouse.up()
    wait_for_text(page, r"Changed class by the last move \([1-9]")
    wait_for_text(page, "Set by hand")
    page.locator(".rows button, .play-list button").first.wait_for(timeout=WAIT_MS)


def test_a_deep_link_opens_the_detector_and_rule_it_names(url, open_page):
    page = open_page(f"{url}/threshold?detector=lstm_predictor&rule=youden")
    wait_for_text(page, "chosen on the labels of the")
    handle = page.locator("[data-handle=d0]")
    handle.wait_for(timeout=WAIT_MS)
    assert handle.get_attribute("aria-label") == "Operating point: LSTM next-frame predictor"


@pytest.mark.parametrize("path", ["", "/check", "/threshold"])
def test_a_narrow_screen_needs_no_horizontal_scroll(url, open_page, path):
    page = open_page(url + path, width=400)
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("width", [1280, 400])
def test_all_detectors_of_the_threshold_page_are_in_sight(url, open_page, width):
    every = "&".join(f"detectors={name}" for name in DETECTOR_NAMES)
    page = open_page(f"{url}/threshold?{every}", width=width)
    buttons = page.get_by_test_id("stMain").get_by_test_id("stButtonGroup").first.locator("button")
    buttons.nth(5).wait_for(timeout=WAIT_MS)  # a skeleton stands there first
    settle(page)
    boxes = [button.bounding_box() for button in buttons.all()]
    assert len(boxes) == 6
    assert all(box["x"] + box["width"] <= width for box in boxes)
