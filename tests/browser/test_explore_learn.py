"""The explore and learn pages in headless Chromium: pictures that change, sound that plays, narrow screens."""

from __future__ import annotations

import re

import pytest
from settling import settle
from sounds import PROJECT

pytestmark = pytest.mark.browser
WAIT_MS = 90_000
ONE_CLIP = "clips=test/anomaly_id_00_00000003.wav"


@pytest.fixture(scope="module")
def url(serve):
    return serve(PROJECT / "app.py")


def spectrogram(page):
    picture = page.locator("img[alt^='Spectrogram of']").first
    picture.wait_for(timeout=WAIT_MS)
    return picture.get_attribute("src")


def wait_until_other(page, before):
    page.wait_for_function(
        """before => {
            const find = (root) => [...root.querySelectorAll("*")].flatMap(
                (node) => [node, ...(node.shadowRoot ? find(node.shadowRoot) : [])]);
            const img = find(document).find((node) => node.alt?.startsWith("Spectrogram of"));
            return img && img.src !== before;
        }""",
        arg=before,
        timeout=WAIT_MS,
    )


@pytest.mark.slow
def test_settings_change_the_spectrogram_and_the_url(url, open_page):
    page = open_page(f"{url}/explore?{ONE_CLIP}")
    before = spectrogram(page)
    page.get_by_text("Picture settings").click()
    page.get_by_role("radio", name="linear").or_(page.get_by_role("button", name="linear")).first.click()
    wait_until_other(page, before)
    page.get_by_text(re.compile("linear frequency axis")).first.wait_for(timeout=WAIT_MS)
    assert "scale=linear" in page.url
    again = spectrogram(page)
    window = page.get_by_test_id("stSlider").filter(has_text="Window (samples").get_by_role("slider")
    window.focus()
    window.press("ArrowRight")
    wait_until_other(page, again)
    page.get_by_text(re.compile("window 2048 samples")).first.wait_for(timeout=WAIT_MS)


def test_the_player_seeks_and_plays(url, open_page):
    page = open_page(f"{url}/explore?{ONE_CLIP}")
    spectrogram(page)
    lane = page.get_by_role("slider", name=re.compile("Playback position"))
    lane.scroll_into_view_if_needed()
    box = lane.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_text(re.compile(r"^[45]\.\d\d / 10\.00 s$")).wait_for(timeout=WAIT_MS)
    lane.press(" ")
    page.get_by_role("button", name="Pause").wait_for(timeout=WAIT_MS)
    page.get_by_text(re.compile(r"^[6-9]\.\d\d / 10\.00 s$")).wait_for(timeout=WAIT_MS)


@pytest.mark.slow
def test_one_clips_page_stays_below_one_megabyte(url, browser):
    page = browser.new_context(viewport={"width": 1280, "height": 1200}).new_page()
    received = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(f"{url}/explore?{ONE_CLIP}&scale=linear&window=4096&hop=64")
    spectrogram(page)
    page.get_by_test_id("stVegaLiteChart").wait_for(timeout=WAIT_MS)
    page.context.close()
    assert 300_000 < sum(received) < 1_000_000


def test_two_clips_are_drawn_on_one_time_axis_and_one_scale(url, open_page):
    page = open_page(f"{url}/explore")
    spectrogram(page)
    lanes = page.locator(".panel")
    assert lanes.count() == 2
    assert page.get_by_role("slider", name=re.compile("Playback position")).count() == 1
    upper, lower = (lanes.nth(at).locator("img").bounding_box() for at in range(2))
    assert (upper["x"], upper["width"]) == (lower["x"], lower["width"])
    assert upper["y"] + upper["height"] < lower["y"]
    scales = [lanes.nth(at).locator(".gutter").first.inner_text() for at in range(2)]
    assert scales[0] == scales[1] != ""


@pytest.mark.slow
@pytest.mark.parametrize("lesson", ["lstm_predictor", "gru_autoencoder"])
def test_the_slider_changes_the_picture_and_the_number(url, open_page, lesson):
    page = open_page(f"{url}/learn?lesson={lesson}", height=2400)
    chart = page.get_by_test_id("stVegaLiteChart").first
    chart.locator("canvas, svg").first.wait_for(timeout=WAIT_MS)
    settle(page)
    before = chart.screenshot()
    slider = (
        page.get_by_test_id("stSlider").filter(has_text=re.compile("Which (prediction|window)")).get_by_role("slider")
    )
    slider.focus()
    slider.press("Home")
    page.get_by_text(re.compile("^(Prediction|Window) 1 is")).wait_for(timeout=WAIT_MS)
    settle(page)
    assert chart.screenshot() != before


@pytest.mark.slow
def test_the_boundary_is_drawn_with_its_points(url, open_page):
    page = open_page(f"{url}/learn?lesson=vggish_ocsvm", height=2400)
    plane = page.get_by_test_id("stPlotlyChart").first
    plane.locator(".scatterlayer .point").first.wait_for(timeout=WAIT_MS)
    assert plane.locator(".scatterlayer .point").count() > 50


@pytest.mark.parametrize("width", [400, pytest.param(1920, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "path",
    [
        "/explore",
        "/learn?lesson=quiz",
        pytest.param("/explore?view=spectra", marks=pytest.mark.slow),
        pytest.param("/explore?view=contents", marks=pytest.mark.slow),
        pytest.param("/learn?lesson=lstm_predictor", marks=pytest.mark.slow),
        pytest.param("/learn?lesson=gru_autoencoder", marks=pytest.mark.slow),
        pytest.param("/learn?lesson=vggish_ocsvm", marks=pytest.mark.slow),
    ],
)
def test_no_width_needs_a_horizontal_scroll(url, open_page, path, width):
    page = open_page(url + path, width=width, color_scheme="dark")
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
