"""My machine in headless Chromium: from phone recordings to a first verdict, and the recorder with a made-up device."""

from __future__ import annotations

import io
import shutil
import time

import pytest
import soundfile
from compressed import CODINGS, encoded, noisy_hum
from conftest import CHROMIUM, CHROMIUM_ARGS
from settling import settle
from sounds import PROJECT

from asd_core.jobs import queue as jobs
from asd_core.jobs.listing import list_jobs

pytestmark = pytest.mark.browser
WAIT_MS = 150_000
MAX_CLICKS, MAX_S = 12, 180
MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
NO_MICROPHONE = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"
NOT_ALLOWED = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("machine")


@pytest.fixture(scope="module")
def url(serve, home):
    """A fresh server with nothing but the detectors that come with the project."""
    shutil.copytree(PROJECT / "artifacts" / "simulated-small", home / "artifacts" / "simulated-small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(home / "data"))
        patch.setenv("ASD_ARTIFACTS_DIR", str(home / "artifacts"))
        patch.delenv("ASD_CACHE_MB", raising=False)  # as for a user: each recording is decoded once
        yield serve(PROJECT / "app.py", "--logger.level", "error")
        for job in list_jobs():
            if job.is_active:
                jobs.cancel(job)


@pytest.fixture(scope="module")
def with_microphone(browser):
    """Chromium with a microphone that beeps once a second."""
    chromium = browser.browser_type.launch(executable_path=str(CHROMIUM), args=[*CHROMIUM_ARGS, *MICROPHONE])
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def phone_recordings(home):
    """Twelve normal recordings of 10 s as a phone makes them, and a thirteenth to judge."""
    folder = home / "phone"
    folder.mkdir()
    paths = [folder / f"Recording {n}.m4a" for n in range(1, 14)]
    for seed, path in enumerate(paths):
        path.write_bytes(encoded(noisy_hum(44_100, seconds=10.0, seed=seed), CODINGS["M4A"]))
    return paths


class Hand:
    """Clicks, and counts them; choosing files in the window that opens is one with the click that opened it."""

    def __init__(self, page):
        self.page, self.clicks = page, 0

    def click(self, place):
        place.click(timeout=WAIT_MS)
        self.clicks += 1

    def choose_files(self, paths):
        with self.page.expect_file_chooser(timeout=WAIT_MS) as chooser:
            self.click(self.page.get_by_test_id("stMain").get_by_role("button", name="Upload", exact=True).first)
        chooser.value.set_files(paths)


def test_twelve_phone_recordings_lead_to_a_first_verdict_in_twelve_clicks_and_three_minutes(
    url, open_page, phone_recordings
):
    *normal, new = phone_recordings
    began = time.monotonic()
    page = open_page(url, height=900)
    hand = Hand(page)
    hand.click(page.get_by_test_id("stSidebar").get_by_role("link", name="My machine"))
    hand.choose_files(normal)
    page.get_by_text("12 clips stored: 12 normal.").wait_for(timeout=WAIT_MS)
    hand.click(page.get_by_role("button", name="Next: train"))
    hand.click(page.get_by_role("button", name="Train the 3 quick detectors"))
    hand.click(page.get_by_role("button", name="Use 10 % for 3 detectors"))
    page.get_by_role("heading", name="5 · Listen").wait_for(timeout=WAIT_MS)
    hand.choose_files(new)
    page.get_by_role("heading", name="3 of 3 detectors: normal").wait_for(timeout=WAIT_MS)
    assert hand.clicks <= MAX_CLICKS
    assert time.monotonic() - began < MAX_S
    assert "my-machine-1" in page.url
    assert page.get_by_text("Listening with my-machine-1: 3 detectors, trained").is_visible()
    steps = page.locator(".st-key-first-screen").bounding_box()
    assert steps["y"] >= 0
    assert steps["y"] + steps["height"] <= 900


def test_clips_are_recorded_one_after_another_as_the_microphone_gives_them(url, home, with_microphone):
    context = with_microphone.new_context(permissions=["microphone"])
    page = context.new_page()
    page.goto(f"{url}/my_machine?sound_way=microphone")
    settle(page)
    page.get_by_role("textbox", name="A name for your machine").fill("recorded")
    page.get_by_role("textbox", name="A name for your machine").press("Enter")
    settle(page)
    page.get_by_role("button", name="Record clips of 10 s").click()
    page.wait_for_function(
        """() => {
            const host = [...document.querySelectorAll("*")].find((each) => each.shadowRoot?.querySelector(".meter"));
            return Number(host?.shadowRoot.querySelector(".meter").ariaValueNow ?? -60) > -50;
        }""",
        timeout=WAIT_MS,
    )
    page.get_by_text("1 clip stored: 1 normal.").wait_for(timeout=WAIT_MS)
    page.get_by_text("Clip 2 of 30").wait_for(timeout=WAIT_MS)  # it went on
    assert page.get_by_text("Clip 1 is too loud and cut off").is_visible()  # the beeps are as loud as can be
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("a clip that was not full is left out").wait_for(timeout=WAIT_MS)
    stored = list((home / "data" / "uploads" / "recorded" / "normal").iterdir())
    sound = soundfile.info(io.BytesIO(stored[0].read_bytes()))
    assert (len(stored), sound.format, sound.subtype, sound.channels) == (1, "WAV", "PCM_16", 1)
    assert sound.duration == pytest.approx(10.0)
    assert sound.samplerate >= 44_100
    context.close()


@pytest.mark.parametrize(
    ("script", "words"),
    [(NO_MICROPHONE, "browsers allow it only on https:// addresses"), (NOT_ALLOWED, "did not allow the microphone")],
)
def test_a_recorder_that_may_not_record_says_why_and_what_to_do(url, with_microphone, script, words):
    page = with_microphone.new_page()
    page.add_init_script(script)
    page.goto(f"{url}/my_machine?sound_way=microphone")
    settle(page)
    if script == NOT_ALLOWED:
        page.get_by_role("button", name="Record clips of 10 s").click()
    page.get_by_text(words).wait_for(timeout=WAIT_MS)
    assert page.get_by_role("button", name="Stop", exact=True).count() == 0
    page.close()
