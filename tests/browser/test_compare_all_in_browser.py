"""Compare's views of all clips in headless Chromium: the picture's numbers, who beats whom, lasso, failures, lists."""

from __future__ import annotations

import re

import pytest
from settling import settle
from sounds import PROJECT

from asd_core.artifacts.store import open_artifact
from asd_core.evaluation.metrics import confusion_at
from asd_core.evaluation.summary import ranking
from asd_core.evaluation.uncertainty import wilson
from asd_core.formats import area_text
from asd_core.reports.plots import DETECTOR_SHORT_NAMES

pytestmark = pytest.mark.browser
WAIT_MS = 120_000
DETECTORS = ("vggish_ocsvm", "lstm_predictor", "gru_autoencoder")
SOUNDING = """() => {
  const audios = (root) => [...root.querySelectorAll("*")].flatMap((each) =>
    [...(each instanceof HTMLAudioElement ? [each] : []), ...(each.shadowRoot ? audios(each.shadowRoot) : [])]);
  return audios(document).filter((audio) => !audio.paused && audio.currentTime > 0).length;
}"""


@pytest.fixture(scope="module")
def url(serve):
    return f"{serve(PROJECT / 'app.py')}/compare"


def expected() -> list[dict[str, str]]:
    """Every number of the picture as the package computes it, best detector first."""
    found = []
    for name in DETECTORS:
        artifact = open_artifact(PROJECT / "artifacts" / "simulated-small" / "slider" / name)
        scores = artifact.scores.of("test").labelled()
        auc = ranking(scores).auc_mean
        counts = confusion_at(scores.is_anomalous, scores.anomaly_scores, artifact.threshold.value)
        row = {"name": DETECTOR_SHORT_NAMES[name], "auc": area_text(auc.estimate, auc.limits), "at": auc.estimate}
        for key, k, n in (("false-alarms", counts.fp, counts.n_normal), ("detection", counts.tp, counts.n_anomalous)):
            low, high = wilson(k, n).limits
            row[key] = f"{100 * k / n:.1f} % ({k}/{n})"
            row[f"{key}-range"] = f"[{100 * low:.1f}, {100 * high:.1f}]"
        found.append(row)
    return sorted(found, key=lambda row: -row["at"])


def spaced(text: str) -> str:
    """An SVG's text, whose parts are set apart by their places and not by spaces."""
    return re.sub(r"(?<=[\d%])\s*(?=[\[(])", " ", text)


@pytest.mark.parametrize("width", [1280, pytest.param(400, marks=pytest.mark.slow)])
def test_every_number_of_the_picture_is_the_packages(url, open_page, width):
    page = open_page(f"{url}?view=figures", width=width)
    rows = page.locator(".ranking .row")
    rows.first.wait_for(timeout=WAIT_MS)
    settle(page)
    wanted = expected()
    assert rows.count() == len(wanted)
    for n, row in enumerate(wanted):
        shown = rows.nth(n)
        assert shown.locator(".rank").text_content() == f"{n + 1}"
        assert shown.get_attribute("data-detector") == row["name"]
        for name in ("auc", "false-alarms", "detection"):
            assert spaced(shown.locator(f".figure.{name}").text_content()) == row[name]
        for name in ("false-alarms-range", "detection-range"):
            assert shown.locator(f".{name}").text_content() == row[name]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_sign_is_pressed_by_key_and_told_in_numbers(url, open_page):
    page = open_page(f"{url}?view=figures")
    sign = page.locator(".ranking .cell").first
    sign.wait_for(timeout=WAIT_MS)
    settle(page)
    sign.focus()
    page.keyboard.press("Enter")
    said = page.locator(".ranking .pair").inner_text()
    assert said == sign.get_attribute("aria-label")
    assert re.search(r"mean AUC [+-]0\.\d{3} \[.*\], p . ?0\.\d{3} \(Holm\)", said)
    assert page.evaluate("document.activeElement.shadowRoot.activeElement.getAttribute('aria-pressed')") == "true"
    page.keyboard.press("Enter")
    assert page.locator(".ranking .pair").inner_text() == ""


def test_the_picture_lies_on_the_first_screen_and_the_statistics_wait_for_a_click(url, open_page):
    page = open_page(f"{url}?view=figures", height=900)
    page.locator(".ranking .row").first.wait_for(timeout=WAIT_MS)
    settle(page)
    box = page.locator(".ranking").bounding_box()
    assert box["y"] + box["height"] <= 900
    assert page.get_by_test_id("stTable").count() == 0
    page.get_by_text("Statistics in full").click()
    page.get_by_test_id("stTable").first.wait_for(timeout=WAIT_MS)
    page.wait_for_url(re.compile("statistics=on"))


def lasso(page) -> None:
    """Draw around the middle of the plane."""
    box = page.locator(".plane .chart svg").bounding_box()
    corners = [(0.35, 0.2), (0.75, 0.2), (0.75, 0.7), (0.35, 0.7), (0.36, 0.21)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def test_a_lasso_lists_its_clips_to_listen_to_and_a_link_draws_it_again(url, open_page):
    page = open_page(f"{url}?view=scatter", height=1400)
    page.locator(".plane .mark").first.wait_for(timeout=WAIT_MS)
    settle(page)
    lasso(page)
    line = page.get_by_text(re.compile(r"\d+ clips in the lasso"))
    line.wait_for(timeout=WAIT_MS)
    page.locator(".play-list .rows button").first.click()
    page.wait_for_function(f"({SOUNDING})() === 1", timeout=WAIT_MS)
    settle(page)
    again = open_page(page.url, height=1400)
    again.get_by_text(line.inner_text()).wait_for(timeout=WAIT_MS)
    assert again.locator(".plane .lasso").get_attribute("d")
    again.get_by_role("button", name="Clear the lasso").click()
    again.get_by_test_id("stSelectbox").filter(has_text="Clip (press a mark, or choose)").wait_for(timeout=WAIT_MS)
    assert "lasso" not in again.url


def test_a_pressed_cell_of_failures_lists_that_many_clips(url, open_page):
    page = open_page(f"{url}?view=failures", height=1400)
    cell = page.get_by_role("button", name="False alarms, by machine id, id 02, GRU: 18 of 50")
    cell.wait_for(timeout=WAIT_MS)
    settle(page)
    cell.click()
    page.get_by_text("GRU calls 18 of 50 normal clips of id 02 anomalous.").wait_for(timeout=WAIT_MS)
    settle(page)
    assert page.locator(".play-list .rows button").count() == 18
    assert cell.get_attribute("aria-pressed") == "true"
    assert "failure=false_id" in page.url


@pytest.mark.slow
@pytest.mark.parametrize("view", ["figures", "differ", "scatter", "failures", "map"])
def test_no_view_scrolls_sideways_on_a_dark_phone(url, open_page, view):
    page = open_page(f"{url}?view={view}", width=400, color_scheme="dark")
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
