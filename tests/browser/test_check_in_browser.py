"""Check a clip in a real browser: its first screen, regions by mouse and by finger, zoom, A/B, a stop."""

from __future__ import annotations

import re

import pytest
from settling import settle
from sounds import PROJECT

pytestmark = pytest.mark.browser
WAIT_MS = 60_000
FIRST_MS = 180_000
"""The first page of a server simulates the clips."""
PLAYER_APP = """
import numpy as np
import streamlit as st
from asd_core.audio.reading import encode_wav
from asd_core.reports.plots import heatmap_png, palette_stops
from pages.shared.components.player import (
    ColourScale, OtherClip, Panel, Selection, Trace, asks_for_other, drawn_region, synced_player)

st.set_page_config(layout="wide")
time = np.arange(160000) / 16000
wav = encode_wav((0.2 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32))
other = encode_wav((0.1 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32))
levels = np.tile(np.linspace(-75, -5, 100)[:, None], (1, 4))  # rises by .7 dB each tenth of a second
panels = [
    Panel("Spectrogram", heatmap_png(levels, low=-75, high=-5), "A ramp", 200,
          scale=ColourScale(palette_stops(), "-75 dB", "-5 dB", (-75, -5), "dB"), edges_hz=(0, 1000, 2000, 4000, 8000)),
    Trace("Score", [0.5, 5, 9.5], [1, 2, 3], "A rising line", "#CC79A7"),
]
region = drawn_region("player", "one", duration_s=10.0)
asked = region is not None or asks_for_other("player", "one")
selection = Selection(region, OtherClip("the normal one", other) if asked else None, True)
synced_player(clip="one", title="one.wav", wav=wav, duration_s=10.0, panels=panels, key="player", selection=selection)
st.text(f"region={region}")
for line in range(40):
    st.text(line)
"""


@pytest.fixture(scope="module")
def player_url(serve, tmp_path_factory):
    app = tmp_path_factory.mktemp("player") / "app.py"
    app.write_text(PLAYER_APP, encoding="utf-8")
    return serve(app)


@pytest.fixture(scope="module")
def url(serve):
    return serve(PROJECT / "app.py")


@pytest.fixture
def open_player(player_url, open_page):
    def open_(**options):
        page = open_page(player_url, **options)
        page.locator(".lane").wait_for(timeout=WAIT_MS)
        page.get_by_text("region=None").wait_for(timeout=WAIT_MS)
        return page

    return open_


def spot(page, share: float, height: float, view: int = 1) -> tuple[float, float]:
    """A place of a panel on the screen; heights count from the bottom."""
    box = page.locator(".view").nth(view).bounding_box()
    return box["x"] + share * box["width"], box["y"] + (1 - height) * box["height"]


def draw(page, one: tuple[float, float], other: tuple[float, float], view: int = 1) -> None:
    page.mouse.move(*spot(page, *one, view))
    page.mouse.down()
    page.mouse.move(*spot(page, *other, view), steps=5)
    page.mouse.up()


def region_text(page) -> str:
    return page.locator(".region").inner_text()


def test_a_rectangle_is_a_region_that_sounds_looped_and_python_hears_of_it(open_player):
    page = open_player()
    draw(page, (0.2, 0.3), (0.4, 0.7))
    assert region_text(page).startswith("Region 2.00 to 4.00 s, 1.0 kHz to 4.0 kHz, raised by ")
    page.get_by_text("region=Region(start_s=2.0, end_s=4.0, low_hz=1000.0, high_hz=4000.0)").wait_for(timeout=WAIT_MS)
    assert page.get_by_role("button", name="Pause").is_visible()
    assert page.locator("audio").evaluate("audio => audio.paused")  # the region sounds, not the clip
    page.get_by_role("button", name="Pause").click()
    seconds = float(page.locator(".time").inner_text().split(" ")[0])
    assert 2.0 <= seconds <= 4.0
    page.locator(".lane").focus()
    page.keyboard.press("Escape")
    page.get_by_text("region=None").wait_for(timeout=WAIT_MS)
    assert region_text(page) == "Drag on a picture to hear a region."


def test_an_edge_of_a_region_is_dragged_and_a_line_gives_a_stretch_of_all_frequencies(open_player):
    page = open_player()
    draw(page, (0.2, 0.3), (0.4, 0.7))
    page.get_by_text("region=Region(start_s=2.0, end_s=4.0").wait_for(timeout=WAIT_MS)
    draw(page, (0.4, 0.5), (0.6, 0.5))
    page.get_by_text("region=Region(start_s=2.0, end_s=6.0, low_hz=1000.0, high_hz=4000.0)").wait_for(timeout=WAIT_MS)
    page.mouse.click(*spot(page, 0.9, 0.5))
    page.get_by_text("region=None").wait_for(timeout=WAIT_MS)
    draw(page, (0.1, 0.5), (0.3, 0.5), view=2)
    page.get_by_text("region=Region(start_s=1.0, end_s=3.0, low_hz=0.0, high_hz=8000.0)").wait_for(timeout=WAIT_MS)


def test_one_key_changes_between_the_clip_and_the_normal_one_on_one_playhead(open_player):
    page = open_player()
    lane, compare = page.locator(".lane"), page.locator(".compare")
    lane.focus()
    page.keyboard.press("b")
    page.get_by_role("button", name="Heard: the normal one").wait_for(timeout=WAIT_MS)
    assert compare.get_attribute("aria-pressed") == "true"
    page.keyboard.press("End")
    before = page.locator(".time").inner_text()
    page.keyboard.press("b")
    assert compare.inner_text() == "Heard: this clip"
    assert page.locator(".time").inner_text() == before


def test_time_frequency_and_level_are_told_under_the_cursor(open_player):
    page = open_player()
    page.mouse.move(*spot(page, 0.5025, 0.375))
    text = page.locator(".ghost span").inner_text()
    seconds, hz, level = text.split(" \N{MIDDLE DOT} ")
    assert float(seconds.removesuffix(" s")) == pytest.approx(5.02, abs=0.02)
    assert hz == "1.5 kHz"
    assert int(level.removesuffix(" dB").replace("\N{MINUS SIGN}", "-")) in (-40, -39)


def test_zoom_by_key_button_and_wheel(open_player):
    page = open_player()
    ticks = page.locator(".ticks")
    whole = ticks.inner_text()
    draw(page, (0.2, 0.3), (0.4, 0.7))
    page.locator(".lane").focus()
    page.keyboard.press("z")
    assert ticks.inner_text().split()[0] == "1.5"
    page.get_by_role("button", name="Whole clip").click()
    assert ticks.inner_text() == whole
    page.get_by_role("button", name="Zoom in").click()
    assert ticks.inner_text() != whole
    page.get_by_role("button", name="Whole clip").click()
    page.mouse.move(*spot(page, 0.5, 0.5))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    page.get_by_role("button", name="Whole clip").click()
    assert ticks.inner_text() == whole


def touch(page, points, *, hold_ms: int = 0) -> None:
    session = page.context.new_cdp_session(page)

    def send(kind, at) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in at]})

    send("touchStart", points[:1])
    page.wait_for_timeout(hold_ms)
    for point in points[1:]:
        send("touchMove", [point])
        page.wait_for_timeout(20)
    send("touchEnd", [])


def scrolled(page) -> float:
    return page.get_by_test_id("stMain").evaluate("main => main.scrollTop")


def test_a_finger_scrolls_the_page_upwards_and_draws_after_a_long_press_or_sideways(open_player):
    page = open_player(width=400, height=800, has_touch=True, is_mobile=True)
    page.wait_for_timeout(300)
    x, y = spot(page, 0.3, 0.3)
    touch(page, [(x, y - 12 * step) for step in range(12)])
    page.wait_for_timeout(300)
    assert scrolled(page) > 30
    assert region_text(page).startswith("Drag")
    page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, 0)")
    page.wait_for_timeout(300)
    x, y = spot(page, 0.3, 0.3)
    touch(page, [(x + 4 * step, y - 8 * step) for step in range(12)], hold_ms=600)
    page.get_by_text("region=Region(").wait_for(timeout=WAIT_MS)
    assert scrolled(page) == 0
    drawn = region_text(page)
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("region=None").wait_for(timeout=WAIT_MS)
    x, y = spot(page, 0.1, 0.6)
    touch(page, [(x + 8 * step, y + step) for step in range(12)])
    page.get_by_text("region=Region(").wait_for(timeout=WAIT_MS)
    assert region_text(page) != drawn


def test_the_answer_lies_on_the_first_screen_and_the_page_names_no_label(url, open_page):
    page = open_page(f"{url}/check", height=900)
    page.locator(".gauges .row").nth(2).wait_for(timeout=FIRST_MS)
    settle(page)
    box = page.locator(".st-key-first-screen").bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 900
    assert page.get_by_role("heading", name=re.compile("detectors: (normal|anomalous)")).count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_stop_keeps_what_has_been_computed_and_continue_goes_on(url, open_page):
    page = open_page(f"{url}/check?view=frequencies&detectors=gru_autoencoder&detectors=lstm_predictor")
    page.locator(".st-key-step_stop button").click(timeout=WAIT_MS)  # Streamlit has a button Stop of its own
    page.get_by_text(re.compile(r"Stopped: \d+ steps are left")).wait_for(timeout=WAIT_MS)
    page.locator(".st-key-step_continue button").click()
    page.get_by_test_id("stPlotlyChart").nth(1).wait_for(timeout=WAIT_MS)
    settle(page)
    assert page.get_by_role("button", name="Continue").count() == 0


def test_a_row_of_the_table_of_many_clips_opens_its_clip(url, open_page):
    from asd_core.audio.reading import encode_wav
    from asd_core.data.simulated.bench import ClipKey, render_clip

    page = open_page(f"{url}/check?source=Upload", height=1400)
    clips = [
        {"name": f"pump {n}.wav", "mimeType": "audio/wav", "buffer": encode_wav(render_clip(key, seed=9).samples)}
        for n, key in enumerate([ClipKey("00", "test", "normal", 1), ClipKey("00", "test", "anomaly", 3)])
    ]
    page.locator("input[type=file]").set_input_files(clips)
    page.get_by_text("2 clips scored, 0 refused").wait_for(timeout=WAIT_MS)
    page.locator(".player .title").wait_for(timeout=WAIT_MS)
    assert page.locator(".player .title").inner_text() == "pump 1.wav"  # the anomalous one is first
    settle(page)
    canvas = page.get_by_test_id("stDataFrame").locator("canvas").first.bounding_box()
    page.mouse.click(canvas["x"] + 20, canvas["y"] + 35 + 35 + 17)  # the box of the second row
    page.locator(".player .title", has_text="pump 0.wav").wait_for(timeout=WAIT_MS)
