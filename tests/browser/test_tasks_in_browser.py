"""Core tasks in Chromium, each of which once broke: a person with an own machine, its recordings and its detectors."""

from __future__ import annotations

import re
import shutil
from urllib.parse import parse_qs, urlparse

import pytest
from settling import settle
from sounds import PROJECT, hum

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.data.quotas import Quota, Upload
from asd_core.data.table import uploads_dir
from asd_core.data.uploads import store_uploads
from asd_core.formats import score_text
from asd_core.system.places import artifacts_dir
from asd_core.tasks.train import TrainingRequest, train

pytestmark = pytest.mark.browser
WAIT_MS = 90_000
N_NORMAL, N_FAULTY = 14, 4
PUMP = "set=pump-hall/pump-hall"


def sound(seed: int, knocks: int = 0) -> bytes:
    return encode_wav(hum(seed, seconds=2.0, knocks=knocks).samples)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Own recordings with their owner's names: a machine with normal ones alone, and one with faults and a detector."""
    place = tmp_path_factory.mktemp("tasks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(place / "data"))
        patch.setenv("ASD_ARTIFACTS_DIR", str(place / "artifacts"))
        shutil.copytree(PROJECT / "artifacts" / "simulated-small", artifacts_dir(PROJECT) / "simulated-small")
        normal = [Upload(f"Tuesday shift {n}.wav", sound(n)) for n in range(N_NORMAL)]
        faulty = [Upload(f"Broken bearing {n}.wav", sound(100 + n, knocks=6)) for n in range(N_FAULTY)]
        store_uploads("well-pump", normal, used=Quota())
        store_uploads("pump-hall", normal, used=Quota())
        store_uploads("pump-hall", faulty, used=Quota(), kind="bearing")
        for name in ("well-pump", "pump-hall"):
            train(TrainingRequest("vggish_mahalanobis", uploads_dir() / name, name=name, out=artifacts_dir(PROJECT)))
        yield place


@pytest.fixture(scope="module")
def url(serve, home):
    return serve(PROJECT / "app.py", "--server.maxUploadSize", "33")


def said(page, text: str):
    page.get_by_text(re.compile(text)).first.wait_for(timeout=WAIT_MS)


def choose_files(page, *contents: tuple[str, bytes]) -> None:
    files = [{"name": name, "mimeType": "audio/wav", "buffer": content} for name, content in contents]
    page.locator("input[type=file]").first.set_input_files(files)


def test_normal_recordings_alone_give_a_threshold_and_a_verdict(url, open_page):
    page = open_page(f"{url}/check?set=well-pump/well-pump&source=Upload")
    choose_files(page, ("new.wav", sound(50)))
    said(page, "detector: (normal|anomalous)")
    assert page.get_by_text("Cannot judge").count() == 0


def test_own_recordings_are_explored_like_any_others(url, open_page):
    page = open_page(f"{url}/explore?{PUMP}")
    said(page, f"{N_NORMAL + N_FAULTY} of {N_NORMAL + N_FAULTY} clips")
    page.locator(".panel").nth(1).wait_for(timeout=WAIT_MS)


@pytest.mark.slow
def test_detectors_of_simulated_sound_warn_of_it_before_they_judge_a_recording(url, open_page):
    page = open_page(f"{url}/check?set=simulated-small/slider&source=Upload", height=900)
    choose_files(page, ("my lathe.wav", sound(51)))
    answer = page.locator(".st-key-first-screen")
    answer.wait_for(timeout=WAIT_MS)
    settle(page)
    assert answer.get_by_text("trained on simulated sound").count() == 3
    warning = page.get_by_role("alert").filter(has_text="Trained on simulated sound").bounding_box()
    assert warning["y"] + warning["height"] <= 900


@pytest.mark.slow
def test_after_a_training_the_application_listens_with_what_was_trained(url, open_page):
    page = open_page(f"{url}/train?{PUMP}&train_detector=vggish_knn")
    settle(page)
    assert page.get_by_text(re.compile("^Listening with pump-hall: 1 detector,")).count() == 1
    page.get_by_role("button", name=re.compile("Start training")).click()
    page.get_by_role("button", name=re.compile("Check a clip now")).click(timeout=WAIT_MS)
    page.get_by_role("heading", name="Check a clip", level=1).wait_for(timeout=WAIT_MS)
    said(page, "^Listening with pump-hall: 2 detectors, trained (just now|1 minute ago)")
    said(page, "of 2 detectors:|both detectors|2 detectors:")


def test_files_that_were_stored_are_checked_at_no_further_cost(url, open_page, home):
    """Sixty files: more than one session could once have on both pages together."""
    page = open_page(f"{url}/check?{PUMP}&source=Upload")
    choose_files(page, *((f"{n}.wav", sound(n % N_NORMAL)) for n in range(40)))
    said(page, "40 clips")
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Data").click()
    page.get_by_role("heading", name="Data", level=1).wait_for(timeout=WAIT_MS)
    page.get_by_text("Upload recordings", exact=True).click()
    choose_files(page, *((f"again {n}.wav", sound(n)) for n in range(N_NORMAL)), ("last.wav", sound(77)))
    page.get_by_role("button", name=re.compile("Store")).click(timeout=WAIT_MS)
    said(page, r"1 clip stored")
    assert page.get_by_text("could not be done").count() == 0


def test_the_threshold_says_where_it_comes_from_by_rule_and_by_hand(url, open_page):
    page = open_page(f"{url}/threshold?{PUMP}&detector=vggish_mahalanobis")
    rule = page.get_by_test_id("stSelectbox").filter(has_text="Where the threshold comes from").get_by_role("combobox")
    rule.wait_for(timeout=WAIT_MS)
    assert rule.input_value() == "The detector's current threshold"
    page = open_page(f"{url}/threshold?{PUMP}&detector=vggish_mahalanobis&rule=manual&value=123")
    said(page, "Set by hand")
    assert page.get_by_text(re.compile("from .* held-out normal clips")).count() == 0


def test_a_link_opens_the_very_point_that_a_teacher_looks_at(url, open_page, home):
    scores = open_artifact(artifacts_dir(PROJECT) / "simulated-small" / "slider" / "lstm_predictor").scores.of("test")
    value = sorted(scores.anomaly_scores)[120]
    linked = f"{url}/threshold?set=simulated-small/slider&detector=lstm_predictor&rule=manual&value={value}"
    page = open_page(linked, height=900)
    handle = page.locator("[data-handle=d0]")
    handle.wait_for(timeout=WAIT_MS)
    settle(page)
    assert score_text(value) in handle.get_attribute("aria-valuetext")
    asked = parse_qs(urlparse(page.url).query)
    assert asked["rule"] == ["manual"]
    assert float(asked["value"][0]) == pytest.approx(value, rel=1e-3)


def test_own_recordings_keep_their_owners_names(url, open_page):
    page = open_page(
        f"{url}/threshold?{PUMP}&detector=vggish_mahalanobis&rule=manual&value=-1000&list=true%20alarm", height=1800
    )
    said(page, r"id 00 · Broken bearing \d")
    page = open_page(f"{url}/explore?{PUMP}")
    said(page, r"(Tuesday shift|Broken bearing) \d")
    assert page.get_by_text(re.compile(r"[0-9a-f]{32}")).count() == 0
