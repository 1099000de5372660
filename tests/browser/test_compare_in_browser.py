"""The compare page in headless Chromium: one clip under all detectors, marks and lists that play, narrow screens."""

from __future__ import annotations

import re

import pytest
from settling import settle
from sounds import PROJECT

from asd_core.artifacts.store import open_artifact
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.formats import score_text

pytestmark = pytest.mark.browser
WAIT_MS = 120_000
SLOW_VIEWS = ("differ", "scatter", "failures", "map", "localisation")
VIEWS = ("figures", *(pytest.param(view, marks=pytest.mark.slow) for view in SLOW_VIEWS))


MACHINE = PROJECT / "artifacts" / "simulated-small" / "slider"
SHORT = {"vggish_ocsvm": "SVM", "lstm_predictor": "LSTM", "gru_autoencoder": "GRU"}
FIRST_SCREEN = 900


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
def test_an_uploaded_file_of_scores_becomes_another_gauge(url, open_page, tmp_path):
    from asd_core.system.files import csv_text

    clips = open_artifact(MACHINE / "lstm_predictor").scores.clips
    file = tmp_path / "theirs.csv"
    file.write_text(csv_text([("path", "score"), *((clip.path, clip.anomaly_score) for clip in clips)]))
    page = open_page(url, height=1600)
    page.get_by_text("Compare with another detector's scores").click()
    page.locator("input[type=file]").set_input_files(str(file))
    page.locator(".gauges .name", has_text="theirs").wait_for(timeout=WAIT_MS)


def opened_on_clip(page) -> None:
    shown_clip(page)
    settle(page)


def said(page) -> tuple[str, str, str]:
    """The truth, the sentence, and the player's title, as one look sees them."""
    found = page.locator(".gauges .headline")
    return found.locator(".truth").inner_text(), found.locator(".says").inner_text(), shown_clip(page)


def press(page, act: str) -> None:
    """What a key of a presentation does."""
    page.evaluate("act => document.dispatchEvent(new CustomEvent('asd-presented', {detail: {act}}))", act)


@pytest.mark.parametrize(
    "path", ["test/anomaly_id_00_00000000.wav", pytest.param("test/normal_id_04_00000007.wav", marks=pytest.mark.slow)]
)
def test_the_numbers_of_a_linked_clip_are_those_of_the_package(url, open_page, path):
    page = open_page(f"{url}?clip={path}&clip_scores=on")
    opened_on_clip(page)
    rows = page.locator(".gauges .row")
    n_wrong = 0
    for at, (name, short) in enumerate(SHORT.items()):
        artifact = open_artifact(MACHINE / name)
        clip = next(clip for clip in artifact.scores.clips if clip.path == path and clip.split == "test")
        alarm = bool(is_anomalous(clip.anomaly_score, artifact.threshold.value))
        is_right = alarm == (clip.label == "anomalous")
        n_wrong += not is_right
        row = rows.nth(at)
        assert row.locator(".name").inner_text() == short
        assert row.locator(".word").inner_text() == ("anomalous" if alarm else "normal")
        assert row.locator(".outcome").inner_text() == ("\u2713 right" if is_right else "\u2717 wrong")
        assert row.locator(".chip", has_text="score").inner_text() == f"score {score_text(clip.anomaly_score)}"
        assert (
            row.locator(".chip", has_text="threshold").inner_text()
            == f"threshold {score_text(artifact.threshold.value)}"
        )
    truth, sentence, title = said(page)
    assert truth.split()[0] == clip.label
    assert clip.label in title
    assert sentence.startswith(
        {0: "All three are right", 1: "Two of three", 2: "One of three"}.get(n_wrong, "All three")
    )


def test_one_clip_is_seen_whole_on_the_first_screen(url, open_page):
    page = open_page(url, height=FIRST_SCREEN)
    opened_on_clip(page)
    for part in (".gauges", ".player", ".player .panel >> nth=-1"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= FIRST_SCREEN, part
    assert page.locator(".player .panel").count() == 2 + len(SHORT)


def test_the_keys_of_a_presentation_step_on_reveal_and_play_and_the_player_stays_in_its_place(url, open_page):
    page = open_page(f"{url}?hidden=on", height=FIRST_SCREEN)
    opened_on_clip(page)
    first = said(page)
    assert first[0] == "truth hidden"
    assert not re.search(r"anomal|normal_", first[2])
    page.evaluate(
        """() => {
            const player = [...document.querySelectorAll("*")].map(e => e.shadowRoot?.querySelector(".player"))
                .find(Boolean);
            window.seen = {player, places: new Set()};
            const look = () => {
                window.seen.places.add(Math.round(player.getBoundingClientRect().y));
                requestAnimationFrame(look);
            };
            look();
        }"""
    )
    press(page, "reveal")
    page.locator(".gauges .outcome").first.wait_for(timeout=WAIT_MS)
    assert said(page)[0] in ("normal", *(f"anomalous ({kind})" for kind in ("belt", "grease", "rail")))
    press(page, "next")
    page.locator(".player .title", has_not_text=re.compile(r"normal_|anomaly_|" + re.escape(first[2]))).wait_for(
        timeout=WAIT_MS
    )
    settle(page)
    second = said(page)
    assert second[0] == "truth hidden"
    assert second[2] != first[2]
    press(page, "play")
    page.get_by_role("button", name="Pause").wait_for(timeout=WAIT_MS)
    assert page.evaluate("() => [window.seen.player.isConnected, window.seen.places.size]") == [True, 1]


def test_the_link_of_what_is_shown_opens_the_same_clip_filter_and_switches(url, open_page):
    page = open_page(f"{url}?among=missed:0&clip_scores=on&ensemble=on")
    opened_on_clip(page)
    before = said(page)
    page.get_by_role("button", name="Next", exact=True).click()
    page.locator(".player .title", has_not_text=before[2]).wait_for(timeout=WAIT_MS)
    settle(page)
    again = open_page(page.url)
    opened_on_clip(again)
    assert said(again) == said(page)
    assert again.locator(".gauges .row").all_inner_texts() == page.locator(".gauges .row").all_inner_texts()
    assert again.get_by_role("button", name=re.compile(r"of 300 clips$")).inner_text()
    assert again.locator(".gauges .name").last.inner_text() == "Ensemble"


@pytest.mark.parametrize("view", ["", *VIEWS])
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_a_narrow_screen_needs_no_horizontal_scroll(url, open_page, view, scheme):
    page = open_page(f"{url}?view={view}", width=400, color_scheme=scheme)
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
