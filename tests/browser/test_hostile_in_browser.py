"""Hostile names in a real browser: no script of theirs runs, no element of theirs appears, no other host is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from hostile import HOST, SLASHED, hostile_home
from servers import free_port, start_server, stop_server, wait_until_healthy
from sounds import PROJECT, hum

from asd_core.artifacts.store import find_artifacts, open_artifact
from asd_core.audio.reading import encode_wav
from asd_core.data import library
from asd_core.system.files import csv_text

pytestmark = pytest.mark.browser
WAIT_MS = 120_000
PATHS = (
    "",
    "data?data_view=sets&data_set=rail",
    "data?data_view=storage",
    "explore?view=clips",
    "explore?view=contents",
    "train?set=rail/rail",
    "train?train_view=runs",
    "train?train_view=versions",
    "threshold?view=ids",
    "check",
    "monitor?monitor=live",
    "monitor?monitor=replay",
    "compare?view=failures",
    "learn?lesson=vggish_ocsvm",
)
METHOD = (
    f"<a href='http:\\\\{HOST}\\x' target=_blank>c<b>d<img src=x onerror=window.hit=1><script>window.hit=1<script>"
    "{{7*7}} %{x} $x^2$ [l](javascript:window.hit=1)"
)
"""A file's name as browsers send it, so without slashes."""
STRANGERS = """() => {
  const own = (address) => !address || /^(data:|blob:|#|\\/|\\.)/.test(address)
    || new URL(address, location).origin === location.origin || address.startsWith("https://docs.streamlit.io");
  const found = [];
  const look = (root) => root.querySelectorAll("*").forEach((each) => {
    const address = each.getAttribute("src") ?? each.getAttribute("href") ?? each.getAttribute("xlink:href");
    if (!own(address) || address === "x" || [...each.attributes].some((it) => it.name.startsWith("on")))
      found.push(each.outerHTML.slice(0, 200));
    if (each.shadowRoot) look(each.shadowRoot);
  });
  look(document.body);
  if (window.hit !== undefined) found.push("a script ran");
  return found;
}"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def url(place) -> Iterator[str]:
    """A server whose only data set and detector bear hostile names."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(place / "data"))
        patch.setenv("ASD_ARTIFACTS_DIR", str(place / "artifacts"))
        patch.setenv(library.ROOTS_VARIABLE, str(place / "recordings"))
        hostile_home(place)
        server = start_server(PROJECT / "app.py", url, place / "log.txt", ())
    try:
        wait_until_healthy(url, server, place / "log.txt")
        yield url
    finally:
        stop_server(server)


@pytest.fixture
def watched(open_page):
    """Return a function that opens a page and one that says what it did that it should not."""

    def open_(address: str):
        page, strange = open_page("about:blank"), []
        page.set_default_timeout(WAIT_MS)
        page.on("dialog", lambda dialog: (strange.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda asked: strange.append(asked.url) if is_elsewhere(asked.url) else None)
        page.goto(address)
        return page, strange

    return open_


def is_elsewhere(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1"


def settle(page) -> None:
    page.get_by_role("heading", level=1).wait_for(timeout=WAIT_MS)
    page.get_by_test_id("stStatusWidget").wait_for(state="detached", timeout=WAIT_MS)
    page.wait_for_timeout(300)  # charts draw their labels after the page is done


@pytest.mark.slow
def test_no_page_runs_shows_or_fetches_anything_of_theirs(url, watched):
    for path in PATHS:
        page, strange = watched(f"{url}/{path}{'&' if '?' in path else '?'}set={quote('rail/rail', safe='')}")
        settle(page)
        assert page.evaluate(STRANGERS) == [], path
        assert strange == [], path
        assert page.get_by_test_id("stException").count() == 0, path
        page.close()


def csv_of_scores(artifacts: Path) -> bytes:
    """Scores of another method for the test clips of the only detector."""
    (folder,) = (each for each in find_artifacts(artifacts) if each.parts[-3:-1] == ("rail", "rail"))
    rows = [["path", "anomaly_score"]]
    rows += [[clip.path, repr(clip.anomaly_score)] for clip in open_artifact(folder).scores.clips]
    return csv_text(rows).encode("utf-8", "replace")


@pytest.mark.slow
def test_a_method_that_is_imported_under_such_a_name_is_only_text_in_every_view(url, place, watched):
    page, strange = watched(f"{url}/compare?set=rail%2Frail")
    settle(page)
    page.get_by_text("Compare with another method's scores").click()
    file = {"name": f"{METHOD}.csv", "mimeType": "text/csv", "buffer": csv_of_scores(place / "artifacts")}
    page.locator("input[type=file]").set_input_files([file])
    page.get_by_text("test clips, ").first.wait_for(timeout=WAIT_MS)
    for view in ("Figures", "Disagreements", "Score against score", "Failures", "Map of the clips", "Localisation"):
        page.get_by_role("radio", name=view, exact=True).click()
        settle(page)
        assert page.evaluate(STRANGERS) == [], view
        assert strange == [], view
        assert page.get_by_test_id("stException").count() == 0, view


@pytest.mark.slow
def test_reasons_marks_and_names_that_are_typed_in_are_only_text(url, watched):
    words = SLASHED["html"] + SLASHED["image"]
    page, strange = watched(f"{url}/threshold?set=rail%2Frail&rule=manual")
    settle(page)
    page.get_by_text("Save this threshold with the detector").click()
    page.get_by_label("Reason, kept with the new version").fill(words)
    page.get_by_role("button", name="Save threshold").click()
    page.get_by_text("Saved as version").wait_for(timeout=WAIT_MS)
    page.goto(f"{url}/train?train_view=versions&set=rail%2Frail")
    settle(page)
    assert page.evaluate(STRANGERS) == []
    page.goto(f"{url}/check?source=Upload&set=rail%2Frail")
    clip = {"name": f"{METHOD}.wav", "mimeType": "audio/wav", "buffer": encode_wav(hum(7, seconds=2.0).samples)}
    page.locator("input[type=file]").set_input_files([clip])
    page.get_by_text("This verdict is wrong").click()
    page.get_by_role("button", name="Keep the clip with this label").click()
    page.get_by_text("Marked as normal").wait_for(timeout=WAIT_MS)
    assert page.evaluate(STRANGERS) == []
    page.goto(f"{url}/data?data_view=folder")
    settle(page)
    page.get_by_role("textbox", name="Folder, in full").fill(words)
    page.get_by_role("textbox", name="Name (optional)").fill(words)
    page.get_by_role("button", name="Add this folder").click()
    page.get_by_text("This could not be done").wait_for(timeout=WAIT_MS)
    assert page.evaluate(STRANGERS) == []
    assert strange == []
    assert page.get_by_test_id("stException").count() == 0


def test_uploads_with_such_names_are_only_text(url, watched):
    clip = encode_wav(hum(7, seconds=2.0).samples)
    page, strange = watched(f"{url}/check?source=Upload")
    names = [name.encode("utf-8", "replace").decode().replace("\0", "") + ".wav" for name in SLASHED.values()]
    files = [{"name": name, "mimeType": "audio/wav", "buffer": clip} for name in names]
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_text("12 clips scored, 0 refused").wait_for(timeout=WAIT_MS)
    settle(page)
    assert page.evaluate(STRANGERS) == []
    assert strange == []
    assert page.get_by_test_id("stException").count() == 0
