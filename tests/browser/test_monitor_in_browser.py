"""The Monitor page in headless Chromium: points that are heard, walls, telephones, and a watch from start to stop."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from settling import settle
from sounds import PROJECT, hum

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.notes import read_notes
from asd_core.monitoring.rows import WatchRow, escaped
from asd_core.monitoring.starting import is_alive, stop_watch
from asd_core.monitoring.table import list_tables, open_table, watches_dir

pytestmark = pytest.mark.browser
WAIT_MS = 90_000
HOSTILE = "<img src=x onerror=alert(1)>"
PLAYED = """() => {
    const found = [];
    const walk = (root) => {
        for (const each of root.querySelectorAll("*")) {
            if (each.shadowRoot) walk(each.shadowRoot);
            if (each.tagName === "AUDIO" && each.currentSrc && !each.paused) found.push(each.currentSrc);
        }
    };
    walk(document);
    return found;
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("monitor")


@pytest.fixture(scope="module")
def url(serve, home):
    """A server with the detectors that come with the project, that may read one folder besides its own."""
    shutil.copytree(PROJECT / "artifacts" / "simulated-small", home / "artifacts" / "simulated-small")
    (home / "incoming").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(home / "data"))
        patch.setenv("ASD_DATA_ROOTS", str(home / "incoming"))
        patch.setenv("ASD_ARTIFACTS_DIR", str(home / "artifacts"))
        yield serve(PROJECT / "app.py", "--logger.level", "error")
        for table in list_tables():
            stop_watch(table)


@pytest.fixture(scope="module")
def table(url, home) -> Path:
    """A table of eight clips, the last three of an alarm; their files are there, one has a hostile name."""
    folder = home / "incoming" / "pump"
    folder.mkdir(exist_ok=True)
    path = watches_dir() / "pump.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    model = str(open_artifact(home / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm").folder)
    with open_table(path) as written:
        list(written.rows())
        for number in range(8):
            is_faulty = number >= 5
            file = folder / f"{number}{HOSTILE if number == 1 else ''}.wav"
            file.write_bytes(encode_wav(hum(number, seconds=4.0, knocks=9 if is_faulty else 0).samples))
            at = datetime.now(UTC) - timedelta(seconds=30 * (8 - number))
            written.append(
                WatchRow(
                    at.isoformat(timespec="milliseconds"),
                    escaped(str(file)),
                    model,
                    "ok",
                    "",
                    3.0 if is_faulty else 1.0 + number / 10,
                    2.0,
                    "anomalous" if is_faulty else "normal",
                    alarm=number == 7,
                    event="raised" if number == 7 else "",
                    simulated=True,
                )
            )
    return path


def sideways(page) -> int:
    return page.evaluate(
        "() => { const m = document.querySelector('[data-testid=stMain]'); return m.scrollWidth - m.clientWidth }"
    )


@pytest.mark.slow  # on a busy machine the browser asks for the sound before once more, which is gone by then
def test_any_point_is_heard_by_a_press_and_the_link_names_its_clip(url, table, open_page):
    page = open_page(f"{url}/monitor?monitor=live&watch={table.name}", height=1300)
    figure = page.get_by_test_id("stVegaLiteChart").locator("canvas, svg.marks").first
    figure.wait_for(timeout=WAIT_MS)
    settle(page)
    box = figure.bounding_box()
    heard = []
    for share in (0.75, 0.2):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        page.get_by_text("The clip that was picked").wait_for(timeout=WAIT_MS)
        page.wait_for_function(
            f"(before) => {{ const now = ({PLAYED})(); return now.length === 1 && !before.includes(now[0]) }}",
            arg=heard,
            timeout=WAIT_MS,
        )
        heard += page.evaluate(PLAYED)
        assert "clip=" in page.url
    assert len(set(heard)) == 2
    again = open_page(page.url, height=1300)
    again.get_by_text("The clip that was picked").wait_for(timeout=WAIT_MS)
    assert again.evaluate(PLAYED) == []  # a link starts no sound


def test_on_the_wall_nothing_scrolls_and_the_state_is_large(url, table, open_page):
    page = open_page(f"{url}/monitor?monitor=live&present=on", width=1920, height=1080)
    tile = page.locator(".watches.wall .tile")
    tile.first.wait_for(timeout=WAIT_MS)
    settle(page)
    word = tile.first.locator(".word")
    assert float(word.evaluate("(each) => parseFloat(getComputedStyle(each).fontSize)")) >= 60
    box = tile.first.bounding_box()
    assert box["y"] + box["height"] <= 1080
    main = page.evaluate(
        "() => { const m = document.querySelector('[data-testid=stMain]'); return m.scrollHeight - m.clientHeight }"
    )
    assert main <= 0
    assert tile.first.evaluate("(each) => each.scrollHeight - each.clientHeight") <= 1


@pytest.mark.parametrize(
    "part", ["scores", pytest.param("alarms", marks=pytest.mark.slow), pytest.param("settings", marks=pytest.mark.slow)]
)
def test_a_telephone_needs_no_sideways_scroll(url, table, open_page, part):
    page = open_page(f"{url}/monitor?monitor=live&watch={table.name}&watch_part={part}", width=400, height=900)
    page.get_by_role("heading", level=2).first.wait_for(timeout=WAIT_MS)
    settle(page)
    assert sideways(page) <= 0


@pytest.mark.slow
def test_the_demo_is_heard_while_it_runs_and_stops_with_its_switch(url, open_page):
    page = open_page(f"{url}/monitor?monitor=replay&replay_speed=0.5&replay_sound=on", height=1300)
    page.get_by_role("button", name="Play demo").click(timeout=WAIT_MS)
    page.wait_for_function(f"() => ({PLAYED})().length === 1", timeout=WAIT_MS)
    first = page.evaluate(PLAYED)
    page.wait_for_function(
        f"(first) => {{ const now = ({PLAYED})(); return now.length === 1 && now[0] !== first }}",
        arg=first[0],
        timeout=WAIT_MS,
    )


@pytest.mark.slow
def test_a_watch_is_started_hears_a_fault_is_answered_and_stopped(url, home, open_page):
    folder = home / "incoming" / "hall"
    folder.mkdir(exist_ok=True)
    page = open_page(f"{url}/monitor?monitor=live", height=1300)
    settle(page)
    if page.get_by_text("Watch another folder").count():
        page.get_by_text("Watch another folder").click()
    page.get_by_label("Folder, in full").fill(str(folder))
    page.get_by_label("Name of the machine").fill("pump 3")
    page.get_by_role("button", name="Start watching").click()
    page.get_by_role("heading", name="pump 3: no clip yet").wait_for(timeout=WAIT_MS)
    path = next(each for each in list_tables() if each.name.startswith("hall-"))
    assert is_alive(path)
    for number in range(4):
        whole = folder / f".{number}.tmp"
        whole.write_bytes(encode_wav(hum(number, seconds=4.0, knocks=9).samples))
        whole.rename(folder / f"{number}.wav")
    page.get_by_role("heading", name="pump 3: ALARM for").wait_for(timeout=WAIT_MS)
    page.get_by_text("Alarms", exact=True).click()
    page.get_by_role("button", name="Acknowledge").click(timeout=WAIT_MS)
    page.get_by_text("acknowledged").first.wait_for(timeout=WAIT_MS)
    page.get_by_label("Note (optional)").fill("the test rig")
    page.get_by_role("button", name="This was a fault").click()
    page.get_by_text("marked as a fault").wait_for(timeout=WAIT_MS)
    notes = read_notes(Beside(path))
    assert {note.said for note in notes.values()} == {"fault"}
    assert {note.text for note in notes.values()} == {"the test rig"}
    assert len(notes) >= 4  # the alarm and its clips
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("heading", name="pump 3: no watch is running").wait_for(timeout=WAIT_MS)
    assert not is_alive(path)
    page.get_by_role("button", name="Start again").click()
    page.get_by_role("heading", name="pump 3: ALARM for").wait_for(timeout=WAIT_MS)
    assert is_alive(path)
