"""The overview's demonstration and Explore's player in headless Chromium: what plays, lights up, and is heard alone."""

from __future__ import annotations

import re

import pytest
from settling import settle
from sounds import PROJECT, hum

from asd_core.audio.reading import encode_wav
from asd_core.data.quotas import Quota, Upload
from asd_core.data.uploads import store_uploads

pytestmark = pytest.mark.browser
WAIT_MS = 90_000
SOUNDING = """() => {
    const find = (root) => [...root.querySelectorAll("*")].flatMap(
        (node) => [node, ...(node.shadowRoot ? find(node.shadowRoot) : [])]);
    return find(document).filter((node) => node.tagName === "AUDIO" && !node.paused).length;
}"""


@pytest.fixture(scope="module")
def url(serve):
    return serve(PROJECT / "app.py")


def played(page):
    """The overview with its demonstration, playing."""
    page.get_by_role("button", name="Play both clips").click(timeout=WAIT_MS)
    page.get_by_role("button", name="Pause").wait_for(timeout=WAIT_MS)


def hidden_share(page) -> float:
    """How much of the second map is still dark, in percent."""
    style = page.locator(".map img.bright").nth(1).get_attribute("style")
    return float(re.search(r"inset\(0(?:px)? ([\d.]+)%", style)[1])


def test_the_demonstration_is_on_the_first_screen_and_lights_up_as_it_plays(url, open_page):
    page = open_page(url, height=900)
    button = page.get_by_role("button", name="Play both clips")
    button.wait_for(timeout=WAIT_MS)
    settle(page)
    box = page.locator(".st-key-first-screen").bounding_box()
    assert box["y"] + box["height"] <= 900
    assert hidden_share(page) == 100
    lane = page.get_by_role("slider", name=re.compile("Playback position"))
    place = lane.bounding_box()
    page.mouse.click(place["x"] + 0.7 * place["width"], place["y"] + 40)
    played(page)
    page.get_by_text(re.compile(r"^1[5-9]\.\d / 20\.0 s$")).wait_for(timeout=WAIT_MS)
    assert 0 < hidden_share(page) < 60
    verdicts = page.locator(".verdicts span")
    assert "shown" in verdicts.nth(0).get_attribute("class")
    assert "shown" not in (verdicts.nth(1).get_attribute("class") or "")
    lane.press("End")
    page.locator(".hero.told").wait_for(timeout=WAIT_MS)
    assert hidden_share(page) == 0


def test_those_who_want_no_motion_see_everything_at_once(url, open_page):
    page = open_page(url, reduced_motion="reduce")
    page.locator(".hero.told").wait_for(timeout=WAIT_MS)
    assert hidden_share(page) == 0
    assert page.evaluate(SOUNDING) == 0


def test_one_sound_at_a_time_is_heard_and_the_place_is_kept(url, open_page):
    page = open_page(f"{url}/explore")
    lane = page.get_by_role("slider", name=re.compile("Playback position"))
    lane.wait_for(timeout=WAIT_MS)
    settle(page)
    box = lane.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    lane.press(" ")
    page.get_by_role("button", name="Pause").wait_for(timeout=WAIT_MS)
    page.keyboard.press("2")
    page.locator(".panel.sounds").filter(has_text="anomalous").wait_for(timeout=WAIT_MS)
    page.get_by_text(re.compile(r"^[5-9]\.\d\d / 10\.00 s$")).wait_for(timeout=WAIT_MS)
    assert page.evaluate(SOUNDING) == 1
    assert page.get_by_role("radio", name=re.compile("^2: B")).is_checked()


def test_a_player_gives_way_to_any_other_one(url, open_page):
    page = open_page(url)
    settle(page)
    played(page)
    page.evaluate("document.dispatchEvent(new CustomEvent('asd-sound-starts', {detail: null}))")
    page.get_by_role("button", name="Play both clips").wait_for(timeout=WAIT_MS)
    assert page.evaluate(SOUNDING) == 0


def test_uploaded_recordings_are_seen_with_small_pictures_and_heard(url, open_page):
    for name, seed, kind in (("well.wav", 1, None), ("ill.wav", 2, "squeal")):
        content = encode_wav(hum(seed, seconds=2.0).samples)
        store_uploads("compressor", [Upload(name, content)], used=Quota(), kind=kind)
    page = open_page(f"{url}/explore?set=compressor/compressor")
    page.get_by_text("2 of 2 clips").wait_for(timeout=WAIT_MS)
    page.locator(".panel").nth(1).wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(f"() => ({SOUNDING})() === 1", timeout=WAIT_MS)
