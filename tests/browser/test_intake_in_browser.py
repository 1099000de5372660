"""A ZIP becomes a machine, and the machine is deleted again, in headless Chromium; a row of the table opens its set."""

from __future__ import annotations

import re
import zipfile

import pytest
from settling import settle
from sounds import PROJECT, hum

from asd_core.audio.reading import encode_wav
from asd_core.data.quotas import Quota, Upload
from asd_core.data.uploads import store_uploads

pytestmark = pytest.mark.browser
WAIT_MS = 120_000


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("installation")


@pytest.fixture(scope="module")
def url(serve, home):
    """A server with an installation of its own and one data set of uploads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(home / "data"))
        patch.setenv("ASD_ARTIFACTS_DIR", str(home / "artifacts"))
        store_uploads("pump", [Upload(f"n{i}.wav", wav(i)) for i in range(3)], used=Quota())
        yield serve(PROJECT / "app.py", "--server.runOnSave", "false")


def wav(seed: int) -> bytes:
    return encode_wav(hum(seed, seconds=0.6).samples)


def test_a_zip_becomes_a_machine_of_its_own_and_is_deleted_with_all_of_it(url, home, open_page, tmp_path):
    with zipfile.ZipFile(tmp_path / "Mill.zip", "w") as archive:
        for name, content in (("normal/a.wav", wav(10)), ("worn/b.wav", wav(11)), ("normal/c.wav", wav(12))):
            archive.writestr(f"Mill/{name}", content)
        archive.writestr("__MACOSX/Mill/._a.wav", b"x")
    page = open_page(f"{url}/data?set=pump/pump&data_view=upload")
    page.get_by_text("A new machine", exact=True).click(timeout=WAIT_MS)
    page.get_by_role("textbox", name=re.compile("^Name of the machine")).fill("mill")
    page.locator("input[type=file]").set_input_files(str(tmp_path / "Mill.zip"))
    page.get_by_text("Mill.zip").first.wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("Store$")).click()
    page.get_by_text("3 clips stored: 2 normal, 1 anomalous (worn).").wait_for(timeout=WAIT_MS)
    page.get_by_text("1 passed over in the archive").wait_for(timeout=WAIT_MS)
    page.get_by_text("Data set mill: no detector has been trained on it yet.").wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("Review data set$")).click()
    page.get_by_role("heading", name="Review data set: mill").wait_for(timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("Delete …")).click()
    page.get_by_text(re.compile("^Delete all of it for good")).click(timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("Delete my machine")).click(timeout=WAIT_MS)
    page.get_by_role("heading", name="Review data set: mill").wait_for(state="detached", timeout=WAIT_MS)
    assert not (home / "data" / "uploads" / "mill").exists()
    assert "mill" not in (home / "data" / "library.json").read_text()


def test_a_row_of_the_table_opens_its_data_set_on_all_pages(url, open_page):
    page = open_page(f"{url}/data?set=pump/pump&data_view=sets", height=900)
    page.get_by_role("heading", name="Review data set: pump").wait_for(timeout=WAIT_MS)
    settle(page)
    table = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert table["y"] + table["height"] < 900
    page.mouse.click(table["x"] + 16, table["y"] + 35 * 2.5)  # the second row: simulated-recordings
    page.get_by_role("heading", name=re.compile("Review data set: simulated-recordings")).wait_for(timeout=WAIT_MS)
    assert "set=simulated-recordings%2Fslider" in page.url
