"""For the wall, in Chromium: presentation and its keys, links to exactly what is shown, pictures, and the lecture."""

from __future__ import annotations

import re
import time
from io import BytesIO
from xml.etree import ElementTree

import pytest
from PIL import Image
from settling import settle
from sounds import PROJECT

pytestmark = pytest.mark.browser
WAIT_MS = 90_000
PRESENTED = "document.documentElement.dataset.presented"
LECTURE = PROJECT / "docs" / "lecture.md"
LINK = re.compile(r"\]\((/(?:threshold|compare)\?[^)\s]+)\)")
READ = "() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')"
SVG = "{http://www.w3.org/2000/svg}"

FIGURES_APP = """
import altair as alt
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
import numpy as np
from pages.shared.components.cockpit import Areas, CockpitDetector, Listeners, Now, Sound, cockpit
from pages.shared.saving import figure_buttons, saved_figure

NAME = "<b>evil</b>&\\u202e\\x00.html"
WORDS = {"file": "hark-a-../../b", "caption": "A figure.\\nData set: " + NAME}
told = CockpitDetector.of(
    title=NAME, short=NAME, colour="#009E73", anomaly_scores=np.array([0.1, 0.2, 0.3, 0.4]),
    is_anomalous=np.array([False, True, False, True]), machine_ids=["a"] * 4, shown_ids={"a": NAME},
    areas=Areas("0.75", "0.75", {"a": "0.75"}), edges=np.linspace(0, 0.5, 41),
)
deaf = Listeners(print, print, print, print, lambda place: Sound("", ""))
cockpit([told], Now((0.25,)), deaf, key="cockpit box")
figure_buttons("cockpit box", part=".roc", **WORDS)
st.plotly_chart(go.Figure(go.Scatter(x=[0, 1], y=[0, 1])).update_layout(xaxis_title=NAME), key="plotly")
figure_buttons("plotly", **WORDS)
with saved_figure("vega", **WORDS):
    st.altair_chart(alt.Chart(pd.DataFrame({"x": [0, 1], "score": [0, 1]})).mark_point().encode(x="x", y="score"))
"""


@pytest.fixture(scope="module")
def url(serve):
    return serve(PROJECT / "app.py")


@pytest.fixture(scope="module")
def figures(serve, tmp_path_factory):
    app = tmp_path_factory.mktemp("figures") / "app.py"
    app.write_text(f"import sys\nsys.path.insert(0, {str(PROJECT)!r})\n{FIGURES_APP}", encoding="utf-8")
    return serve(app)


def read(page) -> None:
    """Wait until a page shows all it has to show."""
    page.wait_for_function(READ, timeout=WAIT_MS)
    settle(page)
    page.wait_for_function(READ, timeout=WAIT_MS)


def heard(page) -> None:
    page.evaluate(
        "() => { window.acts = []; document.addEventListener('asd-presented', (e) => window.acts.push(e.detail.act)); }"
    )


def test_a_presentation_hides_what_an_audience_does_not_read_and_escape_brings_it_back(url, open_page):
    page = open_page(f"{url}/threshold", height=900)
    read(page)
    size = "() => parseFloat(getComputedStyle(document.documentElement).fontSize)"
    menu, bar = page.get_by_test_id("stSidebar"), page.locator("header.stAppHeader")
    simulated = page.get_by_text("Simulated data: generated sound").first
    assert page.evaluate(size) == 16
    page.get_by_role("button", name="Present", exact=True).click()
    page.wait_for_url(re.compile("present=on"), timeout=WAIT_MS)
    assert not menu.is_visible()
    assert not bar.is_visible()
    assert not page.get_by_text("Listening with").first.is_visible()
    assert simulated.is_visible()
    assert page.evaluate(size) == pytest.approx(19.2)
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.wait_for_function("() => parseFloat(getComputedStyle(document.documentElement).fontSize) > 22")
    assert page.evaluate(size) == pytest.approx(22.4)
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.search.includes('present')", timeout=WAIT_MS)
    assert menu.is_visible()
    assert page.evaluate(size) == 16


def test_the_keys_of_a_presenter_and_of_a_clicker_reach_every_component_and_none_that_are_typed(url, open_page):
    page = open_page(f"{url}/compare?present=on", height=900)
    page.wait_for_function(f"() => {PRESENTED} === 'on'", timeout=WAIT_MS)
    read(page)
    heard(page)
    page.locator("body").press("n")
    for key in ("PageDown", "p", "r", "ArrowRight", "x"):
        page.keyboard.press(key)
    assert page.evaluate("window.acts") == ["next", "next", "play", "reveal", "next"]
    page.get_by_role("combobox").first.focus()
    page.keyboard.press("n")
    page.keyboard.press("Escape")
    assert page.evaluate("window.acts.length") == 5
    assert page.evaluate(PRESENTED) == "on"


def test_the_keys_are_said_at_first_fade_and_come_back_with_a_question_mark(url, open_page):
    page = open_page(f"{url}/threshold?present=on", height=900)
    page.wait_for_function(f"() => {PRESENTED} === 'on'", timeout=WAIT_MS)
    keys = page.locator(".keys", has_text="reveal")
    keys.and_(page.locator(".shown")).wait_for(timeout=WAIT_MS)
    keys.wait_for(state="hidden", timeout=WAIT_MS)
    page.locator("body").press("?")
    keys.and_(page.locator(".shown")).wait_for(timeout=WAIT_MS)


def test_a_presented_threshold_is_typed_and_tells_no_truth_until_it_is_revealed(url, open_page):
    page = open_page(f"{url}/threshold?detector=lstm_predictor&mistake=labels&present=on", height=900)
    read(page)
    truth = [
        page.locator("[data-out=false-alarm-rate]"),
        page.get_by_text("Observed false-alarm rate"),
        page.locator(".st-key-wrong_on_purpose table"),
        page.get_by_text("The price."),
    ]
    field = page.locator(".cockpit .threshold input")
    for typed, stands in (("1,05", "1.050"), ("a word", "1.050"), ("", "1.050")):
        field.fill(typed)
        field.press("Enter")
        read(page)
        assert field.input_value() == stands
    assert "value=1.05" in page.url
    assert not any(each.is_visible() for each in truth)
    page.keyboard.press("r")
    for each in truth:
        each.wait_for(timeout=WAIT_MS)
    note = page.get_by_text("Simulated data: generated sound").bounding_box()
    assert note["y"] + note["height"] < 60
    field.fill("1.2")
    field.press("Enter")
    read(page)
    assert not any(each.is_visible() for each in truth)


def shown(page) -> dict[str, object]:
    """What a page shows: its texts, what is chosen, and the numbers in its fields, within shadow roots as well."""
    return page.evaluate(
        """() => {
            const found = {texts: [], chosen: [], values: []};
            const walk = (root) => {
                for (const each of root.querySelectorAll("*")) {
                    if (each.closest?.(".stSidebar, .page-bar, .wall")) continue;
                    if (each.shadowRoot) walk(each.shadowRoot);
                    if (/^(true|mixed)$/.test(each.getAttribute("aria-pressed") || each.getAttribute("aria-checked")))
                        found.chosen.push(each.textContent.trim());
                    if (each.matches("input")) found.values.push(each.type === "checkbox" ? each.checked : each.value);
                    if (each.matches("[data-out], [data-cell], .stMarkdown p"))
                        found.texts.push(each.textContent.trim());
                }
            };
            walk(document);
            return found;
        }"""
    )


def standing(page) -> dict[str, object]:
    """What a page shows once its components have drawn and nothing has changed for two seconds."""
    last: dict[str, object] = {}
    for _ in range(WAIT_MS // 2000):
        found = shown(page)
        if found == last and sum(map(bool, found["texts"])) > len(found["texts"]) / 2:
            return found
        last = found
        page.wait_for_timeout(2000)
    return last


def assert_alike(page, expected: dict[str, object]) -> None:
    """Wait until a page shows what is expected of it."""
    for _ in range(WAIT_MS // 1000):
        if shown(page) == expected:
            return
        page.wait_for_timeout(1000)
    assert shown(page) == expected


def copied(page) -> str:
    page.get_by_role("button", name="Copy link", exact=True).click()
    page.get_by_text("Link copied", exact=True).wait_for(timeout=WAIT_MS)
    return page.evaluate("() => navigator.clipboard.readText()")


READS_CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}
EVERYTHING = {
    "threshold": "detector=lstm_predictor&second=gru_autoencoder&rule=manual&value=1.05&second_value=1.2&prior=2.0"
    "&every=60.0&cost=12.0&costs=on&ids=curves&panel=pr&view=ids&list=miss",
    "compare": "show=all&view=differ&verdicts=conformal&ensemble=on&raised_by=1&differ_label=anomalous",
}


@pytest.mark.parametrize("path", ["compare", pytest.param("threshold", marks=pytest.mark.slow)])
def test_a_copied_link_shows_exactly_what_was_shown(url, open_page, path):
    first = open_page(f"{url}/{path}?set=simulated-small/slider&{EVERYTHING[path]}", **READS_CLIPBOARD)
    read(first)
    expected = standing(first)
    assert len(expected["texts"]) > 3
    link = copied(first)
    for part in EVERYTHING[path].split("&"):
        assert part in link
    second = open_page(link, **READS_CLIPBOARD)
    read(second)
    assert_alike(second, expected)


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (0, "Detection rate (TPR)"),
        pytest.param(1, "0.2", marks=pytest.mark.slow),
        pytest.param(2, "score", marks=pytest.mark.slow),
    ],
)
def test_a_figure_is_kept_as_svg_that_stands_alone_and_as_a_sharp_png(figures, open_page, place, says):
    page = open_page(figures)
    for part in (".main-svg", ".st-key-figure-vega .marks"):
        page.locator(part).first.wait_for(timeout=WAIT_MS)
    buttons = {kind: page.get_by_role("button", name=kind, exact=True).nth(place) for kind in ("SVG", "PNG")}
    kept = {}
    for kind, button in buttons.items():
        button.wait_for(timeout=WAIT_MS)
        with page.expect_download(timeout=WAIT_MS) as download:
            button.click()
        assert download.value.suggested_filename == f"hark-a-b.{kind.lower()}"
        kept[kind] = download.value.path().read_bytes()
    picture = ElementTree.fromstring(kept["SVG"])  # noqa: S314
    texts = [" ".join("".join(each.itertext()).split()) for each in picture.iter(f"{SVG}text")]
    assert says in texts
    assert texts[-2:] == ["A figure.", "Data set: <b>evil</b>&.html"]
    assert b"<script" not in kept["SVG"]
    assert b"http" not in re.sub(rb'xmlns(:\w+)?="http[^"]*"', b"", kept["SVG"])
    size = (int(picture.get("width")), int(picture.get("height")))
    with Image.open(BytesIO(kept["PNG"])) as image:
        assert image.size == (2 * size[0], 2 * size[1])
        assert len(image.convert("RGB").resize((64, 64)).getcolors(64 * 64)) > 10


def lecture() -> list[str]:
    return LINK.findall(LECTURE.read_text(encoding="utf-8"))


def test_the_lecture_has_ten_links_each_on_the_wall():
    assert len(lecture()) >= 10
    assert all("present=on" in link for link in lecture())


@pytest.mark.slow
def test_the_lecture_is_walked_through_by_its_links_alone(url, open_page, record_property):
    seconds = []
    for link in lecture():
        start = time.monotonic()
        page = open_page(f"{url}{link}", height=1080, width=1920)
        page.wait_for_function(f"() => {PRESENTED} === 'on'", timeout=WAIT_MS)
        read(page)
        seconds.append(round(time.monotonic() - start, 1))
        assert page.get_by_test_id("stException").count() == 0, link
        assert page.get_by_text("This could not be done").count() == 0, link
        for name, value in re.findall(r"[?&](\w+)=([^&]+)", link):
            assert f"{name}={value.replace('/', '%2F')}" in page.url, (link, page.url)
        page.close()
    record_property("seconds", seconds)
    assert max(seconds) < 60
