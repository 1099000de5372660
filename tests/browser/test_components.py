"""The synced player, alone in a small app, in a real browser."""

from __future__ import annotations

import re

import pytest

from asd_core.errors import InputError
from pages.shared.components import player

pytestmark = pytest.mark.browser

PLAYER_APP = """
import io
import numpy as np
import soundfile
import streamlit as st
from asd_core.reports.plots import DETECTOR_COLOURS, frequency_ticks, heatmap_png, palette_stops
from pages.shared.components.player import ColourScale, Panel, Trace, synced_player

st.set_page_config(layout="wide")
st.session_state["runs"] = st.session_state.get("runs", 0) + 1
st.button("Rerun")
clip = st.radio("Clip", ["one", "two"], horizontal=True)
maps = st.checkbox("Maps", value=True)
rng = np.random.default_rng(len(clip))
time = np.arange(160000) / 16000
knocks = np.exp(-40 * ((time - 0.7) % 2.5)) * np.sin(2 * np.pi * 900 * time)
sound = 0.02 * rng.normal(size=time.size) + 0.3 * knocks + (0.05 if clip == "two" else 0)
wav = io.BytesIO()
soundfile.write(wav, sound, 16000, format="WAV", subtype="PCM_16")
stft = np.abs(np.lib.stride_tricks.sliding_window_view(np.pad(sound, 256), 512)[::512] @ np.exp(
    -2j * np.pi * np.outer(np.arange(512), np.arange(128)) / 512))
db = 20 * np.log10(stft + 1e-6)
bands = np.arange(128) * 31.25
panels = [Panel(
    "Log-mel spectrogram", heatmap_png(db, low=db.max() - 60, high=db.max()), "Spectrogram with four knocks", 170,
    frequency_ticks(bands), scale=ColourScale(palette_stops(), "-60 dB", "0 dB re max"))]
error = np.maximum(0, stft - np.median(stft)) ** 0.5
if maps:
    high = error.max()
    panels += [
        Panel("LSTM next-frame predictor", heatmap_png(error[10:], low=0, high=high, palette="magma"), "LSTM map", 72,
              frequency_ticks(bands, ticks_hz=(500, 1000, 2000)), DETECTOR_COLOURS["lstm_predictor"],
              "score 0.00212, anomalous", (0.32, 10.0)),
        Panel("VGGish + one-class SVM", heatmap_png(error[:310].reshape(10, -1).max(1)[:, None], low=0, high=high,
              palette="magma"), "VGGish strip", 24, (), DETECTOR_COLOURS["vggish_ocsvm"], "score 0.13", (0, 9.6)),
    ]
    level = error.mean(1) * 1e-3
    panels.append(Trace("LSTM score over time", np.arange(len(level)) * 0.032, level, "LSTM score", "#CC79A7",
                        threshold=float(np.quantile(level, 0.95))))
cursor = synced_player(clip=clip, title=f"section 00, {clip}.wav", wav=wav.getvalue(), duration_s=10.0,
                       panels=panels, key="player")
st.text(f"runs={st.session_state['runs']} cursor={cursor}")
"""


@pytest.fixture(scope="module")
def apps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("playground")
    (folder / "player.py").write_text(PLAYER_APP, encoding="utf-8")
    return folder


@pytest.fixture
def open_player(apps, serve, open_page):
    def open_(**options):
        page = open_page(serve(apps / "player.py"), **options)
        page.locator(".lane").wait_for()
        wait_until(page, "audio => audio.readyState >= 2")
        return page

    return open_


def status(page) -> dict[str, str]:
    """What the app says after its latest run: runs, index, released, cursor."""
    return dict(part.split("=") for part in page.get_by_text("runs=").inner_text().split())


def wait_for_status(page, text: str) -> None:
    page.get_by_text(re.compile(rf"\b{re.escape(text)}(\s|$)")).wait_for()


def wait_until(page, claim: str) -> None:
    """Wait until a claim about the player's audio element holds."""
    for _ in range(100):
        if page.locator("audio").evaluate(claim):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {claim}")


def audio_time(page) -> float:
    return page.locator("audio").evaluate("audio => audio.currentTime")


def test_player_refuses_a_clip_without_length_and_a_line_without_times():
    clip = {"clip": "a", "title": "a.wav", "wav": b"", "key": "player"}
    with pytest.raises(InputError, match=r"a\.wav.*longer than 0 s"):
        player.synced_player(**clip, duration_s=0.0, panels=[])
    with pytest.raises(InputError, match="equally long"):
        player.synced_player(**clip, duration_s=1.0, panels=[player.Trace("LSTM", [0.1], [], "", "red")])


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_narrow_page_does_not_scroll_sideways(apps, serve, open_page, theme):
    page = open_page(serve(apps / "player.py", "--theme.base", theme), width=400)
    page.locator(".lane").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.locator(".player").evaluate("part => part.scrollWidth <= part.clientWidth + 1")


def test_click_seeks_on_every_panel(open_player):
    page = open_player()
    lane = page.locator(".lane").bounding_box()
    for share, height in ((0.25, 0.1), (0.8, 0.9)):
        page.mouse.click(lane["x"] + share * lane["width"], lane["y"] + height * lane["height"])
        assert audio_time(page) == pytest.approx(10 * share, abs=0.03)
    head = page.locator(".lane .head").bounding_box()
    assert head["x"] + head["width"] / 2 == pytest.approx(lane["x"] + 0.8 * lane["width"], abs=2)
    assert page.locator(".time").inner_text().startswith("8.0")


def test_space_and_arrows_work_and_the_pause_tells_python(open_player):
    page = open_player()
    page.locator(".lane").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert audio_time(page) == pytest.approx(1.0, abs=0.01)
    page.keyboard.press("Space")
    wait_until(page, "audio => !audio.paused && audio.currentTime > 1.2")
    assert page.get_by_role("button", name="Pause").is_visible()
    assert status(page) == {"runs": "1", "cursor": "None"}
    page.keyboard.press("Space")
    wait_until(page, "audio => audio.paused")
    wait_for_status(page, "runs=2")
    assert float(status(page)["cursor"]) == pytest.approx(audio_time(page), abs=0.01)


def test_playback_survives_a_rerun_and_a_change_of_panels(open_player):
    page = open_player()
    assert page.locator(".panel").count() == 5
    page.get_by_role("button", name="Play").click()
    wait_until(page, "audio => audio.currentTime > 0.2")
    page.get_by_role("button", name="Rerun").click()
    wait_for_status(page, "runs=2")
    page.get_by_text("Maps", exact=True).click()
    wait_for_status(page, "runs=3")
    page.locator(".panel").nth(1).wait_for()
    assert page.locator(".panel").count() == 2
    before = audio_time(page)
    wait_until(page, f"audio => !audio.paused && audio.currentTime > {before} + 0.2")


def test_cursor_of_another_clip_is_not_returned(open_player):
    page = open_player()
    page.locator(".lane").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    wait_for_status(page, "runs=2")
    assert status(page)["cursor"] != "None"
    page.get_by_text("two", exact=True).click()
    page.get_by_text("section 00, two.wav").wait_for()
    wait_for_status(page, "cursor=None")
    assert audio_time(page) == 0


def test_everything_in_the_player_has_a_name(open_player):
    page = open_player()
    names = page.locator(".view img, .view svg").evaluate_all(
        "nodes => nodes.map(node => node.alt || node.getAttribute('aria-label'))"
    )
    assert names[1:] == ["Spectrogram with four knocks", "LSTM map", "VGGish strip", "LSTM score"]
    assert names[0].startswith("Waveform of section 00, one.wav, peak")
    assert page.get_by_role("slider", name="Playback position: section 00, one.wav").is_visible()


def test_components_ask_no_other_host(apps, serve, open_page):
    url = serve(apps / "player.py")
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.locator(".lane").wait_for()
    wait_until(page, "audio => audio.readyState >= 2")
    assert [one for one in asked if not one.startswith((url, "data:", "blob:"))] == []
