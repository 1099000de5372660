"""The cockpit on the real page in Chromium: numbers as the package has them, drags, undo, ids, two detectors, sound."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from settling import settle
from sounds import PROJECT

from asd_core.artifacts.store import open_artifact
from asd_core.evaluation.delong import delong
from asd_core.evaluation.label_rules import from_labelled_scores
from asd_core.evaluation.metrics import confusion_at
from asd_core.evaluation.operating import flips
from asd_core.evaluation.summary import ranking
from asd_core.formats import area_text, rate_text

pytestmark = pytest.mark.browser
WAIT_MS = 120_000
EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"
CELLS = ("tn", "fp", "fn", "tp")


def scores_of(name: str):
    return open_artifact(EMBEDDED / name).scores.of("test").labelled()


LSTM = scores_of("lstm_predictor")
SAVED = open_artifact(EMBEDDED / "lstm_predictor").threshold.value


@pytest.fixture(scope="module")
def url(serve):
    return f"{serve(PROJECT / 'app.py')}/threshold?detector=lstm_predictor"


@pytest.fixture
def opened(url, open_page):
    def open_(query: str = "", **options):
        page = open_page(f"{url}{query}", **{"height": 900, **options})
        page.locator("[data-handle=d0]").wait_for(timeout=WAIT_MS)
        settle(page)
        return page

    return open_


def cells(page) -> tuple[int, ...]:
    return tuple(int(page.locator(f"[data-cell={name}] strong").inner_text().replace(",", "")) for name in CELLS)


def counts(threshold, scores=LSTM) -> tuple[int, ...]:
    found = confusion_at(scores.is_anomalous, scores.anomaly_scores, threshold)
    return found.tn, found.fp, found.fn, found.tp


def out(page, name: str) -> str:
    return page.locator(f".cockpit [data-out={name}]").inner_text()


def threshold(page) -> str:
    return page.locator(".cockpit .threshold input").input_value()


def link(page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def wait_for_link(page, pattern: str) -> None:
    page.wait_for_function(f"/{pattern}/.test(decodeURIComponent(location.search))", timeout=WAIT_MS)
    settle(page)


def grab(page, name: str = "d0") -> tuple[float, float]:
    box = page.locator(f"[data-handle={name}] .knob").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    return x, y


def type_threshold(page, text: str) -> None:
    field = page.locator(".cockpit .threshold input")
    field.fill(text)
    field.press("Enter")


@pytest.mark.parametrize(
    "share", [pytest.param(0.2, marks=pytest.mark.slow), 0.5, pytest.param(0.83, marks=pytest.mark.slow)]
)
def test_every_number_is_the_packages(opened, share):
    value = float(np.quantile(LSTM.anomaly_scores, share))
    page = opened(f"&rule=manual&value={value!r}&ids=curves")
    found = confusion_at(LSTM.is_anomalous, LSTM.anomaly_scores, value)
    assert cells(page) == (found.tn, found.fp, found.fn, found.tp)
    assert out(page, "false-alarm-rate") == rate_text(found.fp, found.n_normal)
    assert out(page, "detection-rate") == rate_text(found.tp, found.n_anomalous)
    assert out(page, "accuracy") == rate_text(found.tn + found.tp, len(LSTM.clips))
    for name, each in found.per_class().items():
        assert out(page, f"{name}-f1") == f"{each.f1:.3f}"
        assert out(page, f"{name}-precision").startswith(f"{100 * each.precision:.1f} % (")
        assert out(page, f"{name}-recall").startswith(f"{100 * each.recall:.1f} % (")
    legend = page.locator(".cockpit .legend").inner_text().replace("\n", " ")
    areas = ranking(LSTM)
    for interval in (areas.auc_pooled, areas.auc_mean):
        assert f"AUC {area_text(interval.estimate, interval.limits)}" in legend
    for name in ("00", "02", "04"):
        own = np.array(LSTM.machine_ids) == name
        auc = delong(LSTM.is_anomalous[own], LSTM.anomaly_scores[own]).auc
        assert f"id {name} AUC {area_text(auc.estimate, auc.limits)}" in legend


@pytest.mark.slow
def test_what_rare_faults_make_of_the_rates_is_right(opened):
    page = opened("&prior=1&every=60")
    found = confusion_at(
        LSTM.is_anomalous, LSTM.anomaly_scores, open_artifact(EMBEDDED / "lstm_predictor").threshold.value
    )
    real = 0.01 * found.tpr / (0.01 * found.tpr + 0.99 * found.fpr)
    assert out(page, "real") == f"of 100 alarms {round(100 * real)} are real"
    per_day = 1440 * (0.01 * found.tpr + 0.99 * found.fpr)
    assert out(page, "a-day") == f"about {float(f'{per_day:.2g}'):.0f} alarms a day"
    page.locator("[data-number=one_in]").fill("2")
    page.locator("[data-number=one_in]").press("Enter")
    real = found.tpr / (found.tpr + found.fpr)
    assert out(page, "real") == f"of 100 alarms {round(100 * real)} are real"
    wait_for_link(page, "prior=50")


def test_a_drag_moves_all_numbers_and_sends_nothing_until_it_is_let_go(opened):
    messages: list[object] = []

    def count(message):
        messages.append(message)

    page = opened()
    page.on("websocket", lambda socket: (socket.on("framesent", count), socket.on("framereceived", count)))
    page.reload()
    page.locator("[data-handle=d0]").wait_for(timeout=WAIT_MS)
    settle(page)
    before = cells(page)
    x, y = grab(page)
    page.wait_for_timeout(300)
    n_before = len(messages)
    seen = set()
    for step in range(1, 9):
        page.mouse.move(x + 14 * step, y - 10 * step)
        seen.add(cells(page))
    page.wait_for_timeout(300)
    assert len(messages) == n_before
    assert len(seen) > 3
    assert "value" not in link(page)
    page.mouse.up()
    wait_for_link(page, "rule=manual.*value=")
    assert len(messages) > n_before
    assert cells(page) == counts(float(link(page)["value"])) != before
    assert cells(page)[1] > before[1]


def test_the_line_among_the_scores_is_dragged_as_the_point_is(opened):
    page = opened()
    x, y = grab(page, "scores")
    page.mouse.move(x - 60, y, steps=4)
    moved = cells(page)
    assert page.locator("[data-handle=d0]").get_attribute("transform") != ""
    page.mouse.up()
    wait_for_link(page, "value=")
    assert cells(page) == moved == counts(float(link(page)["value"]))


def test_the_clips_that_changed_class_are_listed_and_one_press_plays_one(opened):
    page = opened()
    lower = float(np.sort(LSTM.anomaly_scores[LSTM.anomaly_scores < SAVED])[-5])
    type_threshold(page, repr(lower))
    wait_for_link(page, "value=")
    rows = flips(LSTM.anomaly_scores, SAVED, lower)
    shown = page.locator(".flips li:not([hidden]) button")
    assert shown.count() == len(rows) == 5
    for button, row in zip(shown.all(), rows, strict=True):
        words = button.inner_text()
        clip = LSTM.clips[row]
        assert "now anomalous" in words
        assert clip.label in words
        assert f"id {clip.machine_id}" in words
    assert "5 now anomalous" in out(page, "flips")
    audio = page.locator(".cockpit audio")
    assert audio.get_attribute("src") is None
    shown.nth(1).click()
    page.wait_for_function(
        """() => [...document.querySelectorAll("*")].some((each) => {
            const audio = each.shadowRoot?.querySelector(".cockpit audio");
            return audio && !audio.paused && audio.currentTime > 0;
        })""",
        timeout=WAIT_MS,
    )
    assert "/media/" in audio.get_attribute("src")
    assert audio.get_attribute("title").startswith(LSTM.clips[rows[1]].label)
    page.keyboard.press("Space")
    page.wait_for_timeout(200)
    assert audio.evaluate("audio => audio.paused")


@pytest.mark.slow
def test_moves_are_undone_and_redone(opened):
    page = opened()
    first = cells(page)
    values = sorted(LSTM.anomaly_scores)
    shown = []
    for value in (values[40], values[200]):
        type_threshold(page, repr(float(value)))
        settle(page)
        shown.append(cells(page))
    assert shown[0] != shown[1]
    page.get_by_role("button", name="Undo").click()
    settle(page)
    assert cells(page) == shown[0]
    page.locator("[data-handle=d0]").focus()
    page.keyboard.press("Control+z")
    settle(page)
    assert cells(page) == first
    page.keyboard.press("Control+Shift+Z")
    settle(page)
    assert cells(page) == shown[0]
    assert counts(float(link(page)["value"])) == shown[0]


def test_keys_move_the_point_along_the_curve_and_report_once_let_go(opened):
    page = opened()
    handle = page.locator("[data-handle=d0]")
    at = int(handle.get_attribute("aria-valuenow"))
    handle.focus()
    page.keyboard.down("ArrowRight")
    page.keyboard.down("ArrowRight")
    assert handle.get_attribute("aria-valuenow") == str(at + 2)
    assert "value" not in link(page)
    page.keyboard.up("ArrowRight")
    wait_for_link(page, "value=")
    page.keyboard.press("Home")
    settle(page)
    assert cells(page)[1] == cells(page)[3] == 0
    page.keyboard.press("End")
    settle(page)
    assert cells(page)[0] == cells(page)[2] == 0


def test_each_id_has_a_point_of_its_own_to_drag(opened):
    page = opened("&ids=thresholds&rule=manual&value=1.1")
    before = cells(page)
    x, y = grab(page, "id1")
    page.mouse.move(x + 70, y - 40, steps=4)
    page.mouse.up()
    wait_for_link(page, "per_id=")
    assert cells(page) != before
    own = {name: float(value) for name, value in re.findall(r'"(\d\d)":([-\d.e]+)', link(page)["per_id"])}
    assert own["00"] == own["04"] == 1.1 != own["02"]
    assert cells(page) == counts(np.array([own[name] for name in LSTM.machine_ids]))
    assert threshold(page) == "one per id"
    page.get_by_role("button", name="Ids together").click()
    settle(page)
    assert cells(page) == counts(1.1)


def test_a_second_detector_has_a_point_of_its_own(opened):
    gru = scores_of("gru_autoencoder")
    value = float(np.median(gru.anomaly_scores))
    page = opened(f"&second=gru_autoencoder&second_value={value!r}")
    assert page.locator("[data-handle=d1]").get_attribute("aria-label") == "Operating point: GRU autoencoder"
    first = cells(page)
    page.locator("[data-handle=d1]").focus()
    page.keyboard.press("ArrowRight")
    wait_for_link(page, "second_value=")
    moved = float(link(page)["second_value"])
    assert moved < value
    assert cells(page) == counts(moved, gru)
    assert page.locator(".cockpit .matrix .of").inner_text().startswith("GRU")
    page.locator("[data-handle=d0]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    settle(page)
    assert cells(page) == first


def test_a_point_that_is_pressed_beside_its_middle_comes_into_the_hand_where_it_is(opened):
    gru = scores_of("gru_autoencoder")
    value = float(np.quantile(gru.anomaly_scores, 0.8))  # far from the other point
    page = opened(f"&second=gru_autoencoder&second_value={value!r}")
    knob = page.locator("[data-handle=d1] .knob").bounding_box()
    page.mouse.click(knob["x"] + knob["width"] / 2 + 6, knob["y"] + knob["height"] / 2 - 6)
    settle(page)
    assert page.locator(".cockpit .matrix .of").inner_text().startswith("GRU")
    assert cells(page) == counts(value, gru)


@pytest.mark.slow
def test_costs_draw_a_line_of_equal_costs_the_hull_and_the_cheapest_point(opened):
    page = opened("&costs=on&prior=10&cost=5")
    assert page.locator(".cockpit .iso").get_attribute("d").startswith("M")
    assert page.locator(".cockpit .hull").get_attribute("d").count("L") >= 3
    page.locator(".legend button", has_text="cheapest").click()
    wait_for_link(page, "value=")
    best = from_labelled_scores("cost", LSTM.is_anomalous, LSTM.anomaly_scores, rule_value=5, prior=0.1)
    assert cells(page) == counts(best.value)


@pytest.mark.slow
def test_a_cell_of_the_matrix_opens_its_list(opened):
    page = opened()
    page.locator("[data-cell=fn]").click()
    wait_for_link(page, "list=miss")
    assert page.locator(".play-list li, .rows button").count() > 0


@pytest.mark.parametrize("width", [1280, 400])
def test_all_of_it_fits(opened, width):
    page = opened("&ids=thresholds&costs=on&second=gru_autoencoder", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 1280:
        box = page.locator(".cockpit .flips").bounding_box()
        assert box["y"] + box["height"] <= 900
