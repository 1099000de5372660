"""What is heard, in headless Chromium: one sound at a time whatever plays it, keys, and a list that plays on."""

from __future__ import annotations

import pytest
from settling import settle
from sounds import PROJECT

pytestmark = pytest.mark.browser
WAIT_MS = 30_000

APP = """
import numpy as np
import streamlit as st
from asd_core.audio.reading import encode_wav
from asd_core.reports.plots import heatmap_png
from asd_core.types import Waveform
from pages.shared.components.lanes import Lane, lanes_player
from pages.shared.components.native_sound import one_sound_at_a_time
from pages.shared.components.play_list import ListedSound, play_list
from pages.shared.components.player import ColourScale, synced_player

st.set_page_config(layout="wide")
one_sound_at_a_time()
st.session_state["runs"] = st.session_state.get("runs", 0) + 1

def tone(hz, seconds=20.0):
    samples = (0.2 * np.sin(2 * np.pi * hz * np.arange(int(seconds * 16000)) / 16000)).astype(np.float32)
    samples.flags.writeable = False
    return Waveform(samples, 16000, f"{hz:064d}")

def missing():
    return None

st.button("Rerun")
hz = st.slider("Pitch", 200, 900, 300, 100)
rows = [
    ListedSound(id=str(n), title=f"clip {n}", sound=lambda n=n: tone(hz + n, 1.0 if n < 2 else 20.0), note="score",
                truth="anomalous (rail)" if n % 2 else "normal", tone="anomalous" if n % 2 else "normal")
    for n in range(30)
]
play_list([*rows, ListedSound(id="gone", title="clip gone", sound=missing)], key="list", height_px=200)
st.audio(encode_wav(tone(500).samples))
st.audio(encode_wav(tone(600).samples))
wav = encode_wav(tone(700).samples)
synced_player(clip="one", title="one.wav", wav=wav, duration_s=20.0, panels=[], key="player")
picture = heatmap_png(np.zeros((10, 8)), low=0, high=1)
lane = Lane("left", "A", wav, 20.0, picture, "nothing", (), (0, 20), "#000000")
lanes_player([lane, lane], scale=ColourScale(("#000", "#fff"), "0", "1"), peak=1.0, height_px=60, key="lanes")
st.text_input("Type here")
st.text(f"runs={st.session_state['runs']}")
"""

SOUNDING = """() => {
    const found = [];
    const look = (root) => {
        for (const element of root.querySelectorAll("*")) {
            if (element instanceof HTMLMediaElement && !element.paused) found.push(element);
            if (element.shadowRoot) look(element.shadowRoot);
        }
    };
    look(document);
    if (window.loose && !window.loose.paused) found.push(window.loose);
    const name = (media) => media.getRootNode().querySelector?.("section")?.className.split(" ")[0] ?? "native";
    return found.map((media) => (media.isConnected ? name(media) : "loose"));
}"""
SILENCE = SOUNDING.replace("return found.map", "found.forEach((media) => media.pause()); return found.map")
LIST_AUDIO = """() => [...document.querySelectorAll("*")]
    .map((element) => element.shadowRoot?.querySelector(".play-list audio")).find(Boolean)"""
PLAYERS = {
    "play-list": lambda page: page.locator(".play-list .play").click(),
    "player": lambda page: page.locator(".player .play").click(),
    "lanes": lambda page: page.locator(".lanes .play").click(),
    "native": lambda page: page.get_by_test_id("stAudio").first.evaluate("audio => audio.play()"),
    "native 2": lambda page: page.get_by_test_id("stAudio").last.evaluate("audio => audio.play()"),
    "loose": lambda page: page.evaluate(  # as that of the microphone, which is in no document
        """() => {
            window.loose ??= new Audio(document.querySelector("[data-testid=stAudio]").src);
            window.loose.play().catch(() => {}); // it gives way before it has begun
        }"""
    ),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory, serve):
    path = tmp_path_factory.mktemp("heard") / "heard.py"
    path.write_text(APP, encoding="utf-8")
    return serve(path)


@pytest.fixture
def heard(app, open_page):
    page = open_page(app, height=1400)
    for name in (".play-list", ".player", ".lanes"):
        page.locator(name).wait_for(timeout=WAIT_MS)
    page.get_by_test_id("stAudio").last.wait_for()
    page.wait_for_function("() => document[Symbol.for('asd-native-sound')]")
    page.locator(".play-list .rows button").nth(5).click()  # a long one
    sounds(page, ["play-list"])
    page.keyboard.press(" ")
    sounds(page, [])
    return page


def sounds(page, names: list[str]) -> None:
    """Wait until these and no others sound."""
    wanted = [name.split()[0] for name in names]
    page.wait_for_function(
        f"names => {{ const now = ({SOUNDING})(); return now.join() === names.join(); }}", arg=wanted
    )


def current(page) -> str:
    return page.locator(".play-list [aria-current=true] .row-title").inner_text()


def runs(page) -> str:
    return page.get_by_text("runs=").inner_text()


def test_whatever_starts_is_heard_alone(heard):
    for name, start in PLAYERS.items():
        for other, start_other in PLAYERS.items():
            if other == name:
                continue
            start(heard)
            sounds(heard, [name])
            start_other(heard)
            sounds(heard, [other])
            heard.evaluate(SILENCE)
            sounds(heard, [])


def test_a_region_that_is_looped_gives_way_and_is_given_way_to(heard):
    heard.locator(".player .lane").scroll_into_view_if_needed()
    box = heard.locator(".player .lane").bounding_box()
    heard.mouse.move(box["x"] + 100, box["y"] + 60)
    heard.mouse.down()
    heard.mouse.move(box["x"] + 300, box["y"] + 70, steps=5)
    heard.mouse.up()
    heard.locator(".player .play[aria-label=Pause]").wait_for()
    PLAYERS["native"](heard)
    heard.locator(".player .play[aria-label=Play]").wait_for()
    sounds(heard, ["native"])
    heard.locator(".player .play").click()
    heard.locator(".player .play[aria-label=Pause]").wait_for()
    sounds(heard, [])


def test_a_sound_is_fetched_once_its_row_is_pressed_and_the_page_does_not_run(app, open_page):
    page = open_page(app, height=1400)
    page.locator(".play-list .rows button").nth(15).wait_for(timeout=WAIT_MS)
    page.get_by_test_id("stAudio").last.wait_for()
    native = page.get_by_test_id("stAudio").evaluate_all("found => found.map((audio) => audio.src)")
    fetched = []
    page.on("request", lambda request: fetched.append(request.url) if "/media/" in request.url else None)
    before = runs(page)
    page.locator(".play-list .rows button").nth(15).click()  # no other test has filled the browser's cache with it
    page.wait_for_function(f"() => ({LIST_AUDIO})().currentTime > 0.1")
    assert set(fetched) - set(native) == {page.evaluate(f"() => ({LIST_AUDIO})().src")}
    assert runs(page) == before
    page.keyboard.press("ArrowDown")
    page.wait_for_function(f"() => ({SOUNDING})().length === 1")
    assert current(page) == "clip 16"


def test_a_sound_plays_on_while_the_page_runs_and_becomes_another_at_the_same_place(heard):
    heard.locator(".play-list .rows button").nth(6).click()
    sounds(heard, ["play-list"])
    seek(heard, 7.0)
    source = heard.evaluate(f"() => ({LIST_AUDIO})().src")
    heard.get_by_role("button", name="Rerun").click()
    heard.get_by_text("runs=2").wait_for()
    sounds(heard, ["play-list"])
    assert heard.evaluate(f"() => ({LIST_AUDIO})().src") == source
    assert heard.request.get(source).ok
    heard.get_by_role("slider", name="Pitch").focus()
    heard.keyboard.press("ArrowRight")
    heard.wait_for_function(f"old => ({LIST_AUDIO})().src !== old && !({LIST_AUDIO})().paused", arg=source)
    assert heard.evaluate(f"() => ({LIST_AUDIO})().currentTime") >= 6.5


def seek(page, seconds: float) -> None:
    page.locator(".play-list audio").evaluate("(audio, seconds) => { audio.currentTime = seconds; }", seconds)


def test_a_list_plays_on_by_itself_and_the_link_says_so(heard):
    heard.locator(".play-list .on").click()
    heard.wait_for_url("**/?play_on=on")
    heard.locator(".play-list .rows button").first.click()
    heard.locator(".play-list .rows li:nth-child(3) [aria-current=true]").wait_for()  # two of a second each
    sounds(heard, ["play-list"])
    assert current(heard) == "clip 2"


def test_one_goes_back_and_forth_between_two_sounds_at_the_same_place(heard):
    heard.locator(".play-list .rows button").nth(7).click()
    sounds(heard, ["play-list"])
    seek(heard, 9.0)
    heard.keyboard.press("b")
    sounds(heard, ["play-list"])
    assert current(heard) == "clip 5"
    heard.wait_for_function(f"() => ({LIST_AUDIO})().currentTime > 8.9")
    heard.keyboard.press("b")
    heard.locator(".play-list .rows li:nth-child(8) [aria-current=true]").wait_for()


def test_a_sound_that_cannot_be_fetched_says_so(heard):
    heard.locator(".play-list .rows button", has_text="clip gone").click()
    heard.get_by_text("The sound of this clip is not here").wait_for()
    heard.route("**/media/*", lambda route: route.fulfill(content_type="audio/wav", body="no sound"))
    heard.locator(".play-list .rows button").nth(9).click()
    heard.get_by_text("This sound could not be fetched").wait_for()


@pytest.mark.parametrize("box", [".play-list", ".player", ".lanes"])
def test_the_keys_of_a_player_are_listed_and_work_under_the_pointer_never_in_a_field(heard, box):
    player = heard.locator(box)
    heard.get_by_text("runs=").click()  # the focus is nowhere
    player.locator(".time").scroll_into_view_if_needed()
    player.hover(position={"x": 5, "y": 5})
    heard.keyboard.press("?")
    player.locator(".key-list").wait_for()
    assert "play, pause" in player.locator(".key-list").inner_text()
    heard.keyboard.press("Escape")
    player.locator(".key-list").wait_for(state="hidden")
    heard.keyboard.press(" ")
    sounds(heard, [box.removeprefix(".")])
    heard.keyboard.press(" ")
    sounds(heard, [])
    field = heard.get_by_label("Type here")
    field.focus()
    player.hover(position={"x": 5, "y": 5})
    heard.keyboard.type("a b?")
    assert field.input_value() == "a b?"
    sounds(heard, [])
    assert not player.locator(".key-list").is_visible()


def test_in_lanes_a_letter_chooses_the_sound_and_again_goes_back(heard):
    heard.locator(".lanes .lane").focus()
    heard.keyboard.press("b")
    assert heard.locator(".choices input").nth(1).is_checked()
    heard.keyboard.press("b")
    assert heard.locator(".choices input").nth(0).is_checked()
    heard.keyboard.press("2")
    assert heard.locator(".choices input").nth(1).is_checked()
    heard.keyboard.press("a")
    assert heard.locator(".choices input").nth(0).is_checked()


def test_a_list_has_no_serious_fault_and_fits_a_phone(app, open_page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(app, width=400)
    page.locator(".play-list").wait_for(timeout=WAIT_MS)
    page.locator(".play-list button.keys").click()
    page.locator(".play-list .key-list").wait_for()
    found = axe.run(page).response["violations"]
    faults = [
        node["html"]
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
        if any("asd_play_list" in str(part) or ".play-list" in str(part) for part in node["target"])
    ]
    assert faults == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture(scope="module")
def url(serve):
    return serve(PROJECT / "app.py")


def test_a_sound_stops_as_its_page_is_left(url, open_page):
    page = open_page(f"{url}/explore")
    page.locator(".lanes .play").wait_for(timeout=120_000)
    settle(page)
    page.locator(".lanes .play").click()
    sounds(page, ["lanes"])
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Learn").click()
    page.get_by_role("heading", name="Learn", level=1).wait_for(timeout=WAIT_MS)
    sounds(page, [])
