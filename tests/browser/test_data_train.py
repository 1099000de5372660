"""Data and training in headless Chromium: uploads, a whole training with its live curve, a reload, a stop."""

from __future__ import annotations

import re

import pytest
from sounds import PROJECT, hum

from asd_core.audio.reading import encode_wav
from asd_core.data.quotas import Quota, Upload
from asd_core.data.uploads import store_uploads
from asd_core.jobs import queue as jobs
from asd_core.jobs.listing import list_jobs

pytestmark = pytest.mark.browser
WAIT_MS = 120_000
VIEWS = (
    *(
        f"/data?data_view={view}"
        for view in ("sets&set=pump/pump", "upload", "tidy&set=pump/pump", "folder", "simulate", "download", "storage")
    ),
    *(f"/train?train_view={view}&set=pump/pump" for view in ("new", "runs", "versions", "sweep")),
)


@pytest.fixture(scope="module")
def url(serve, tmp_path_factory):
    """A server with an installation of its own and a small data set of uploads."""
    home = tmp_path_factory.mktemp("installation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(home / "data"))
        patch.setenv("ASD_ARTIFACTS_DIR", str(home / "artifacts"))
        clips = [Upload(f"n{i}.wav", encode_wav(hum(i, seconds=1.0).samples)) for i in range(34)]
        store_uploads("pump", clips, used=Quota())
        faults = [Upload(f"a{i}.wav", encode_wav(hum(i, seconds=1.0, knocks=3).samples)) for i in range(4)]
        store_uploads("pump", faults, used=Quota(), kind="knock")
        yield serve(PROJECT / "app.py", "--server.runOnSave", "false")
        for job in list_jobs():
            if job.is_active:
                jobs.cancel(job)


def train(page, *, epochs: int):
    """Fill in a tiny training and start it."""
    page.get_by_role("button", name=re.compile("Start training")).wait_for(timeout=WAIT_MS)
    page.get_by_text("Hyper-parameters").click()
    for label, value in (("Epochs", epochs), ("Hidden units", 8), ("Layers", 1), ("Windows per epoch", 64)):
        field = page.get_by_role("spinbutton", name=re.compile(f"^{label}"))
        field.fill(str(value))
        field.press("Tab")
    page.get_by_role("button", name=re.compile("Start training")).click()
    page.get_by_text("Training now").wait_for(timeout=WAIT_MS)


@pytest.mark.slow
def test_clips_are_uploaded_listed_and_lead_to_training(url, open_page, tmp_path):
    files = []
    for number in range(3):
        path = tmp_path / f"<b>{number}.wav"
        path.write_bytes(encode_wav(hum(50 + number, seconds=1.0).samples))
        files.append(str(path))
    page = open_page(f"{url}/data?data_view=upload")
    page.get_by_role("textbox", name=re.compile("^Name of the machine")).fill("fan")
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_text("<b>0.wav").first.wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("Store$")).click()
    page.get_by_text("3 clips stored: 3 normal.").wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("Review data set$")).click()
    page.get_by_text("No duplicates, no refused clips, nothing passed over.").wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("Train$")).click()
    page.get_by_role("heading", name="Train").wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("Start training")).wait_for(timeout=WAIT_MS)
    assert "set=fan" in page.url


@pytest.mark.slow
def test_a_training_shows_its_curve_survives_a_reload_and_ends_with_a_result(url, open_page):
    page = open_page(f"{url}/train?set=pump/pump&train_detector=lstm_predictor", height=1400)
    train(page, epochs=1500)
    page.get_by_test_id("stPlotlyChart").first.wait_for(timeout=WAIT_MS)
    page.get_by_text(re.compile(r"Epoch \d+ of 1500")).wait_for(timeout=WAIT_MS)
    page.reload()
    page.get_by_text("Training now").wait_for(timeout=WAIT_MS)
    first = int(re.findall(r"Epoch (\d+) of", page.get_by_text(re.compile(r"Epoch \d+ of 1500")).inner_text())[0])
    page.wait_for_function(
        "first => { const m = document.body.innerText.match(/Epoch (\\d+) of 1500/); return !m || +m[1] > first; }",
        arg=first,
        timeout=WAIT_MS,
    )
    page.get_by_text("Training now").wait_for(state="detached", timeout=WAIT_MS)
    page.get_by_text("Earlier trainings").click()
    page.get_by_text("AUC, mean over ids").first.wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("See it on the ROC")).first.click()
    page.get_by_role("heading", name="Threshold").wait_for(timeout=WAIT_MS)
    page.get_by_text("LSTM next-frame predictor").first.wait_for(timeout=WAIT_MS)


@pytest.mark.slow
def test_a_training_is_stopped_by_its_button(url, open_page):
    page = open_page(f"{url}/train?set=pump/pump&train_detector=lstm_predictor", height=1400)
    train(page, epochs=100_000)
    page.get_by_text(re.compile(r"Epoch \d+ of 100000")).wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("Stop$")).click()
    page.get_by_text("Training now").wait_for(state="detached", timeout=WAIT_MS)
    page.get_by_text("Earlier trainings").click()
    page.get_by_text("It was stopped:").wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("Resume from the last epoch")).wait_for(timeout=WAIT_MS)


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1920])
def test_no_view_needs_a_horizontal_scroll(url, open_page, width):
    for path in VIEWS:
        page = open_page(url + path, width=width)
        page.get_by_role("heading", level=1).wait_for(timeout=WAIT_MS)
        page.get_by_test_id("stStatusWidget").wait_for(state="detached", timeout=WAIT_MS)
        main = "document.querySelector('[data-testid=stMain]')"
        assert page.evaluate(f"{main}.scrollWidth <= {main}.clientWidth"), path
        page.close()
