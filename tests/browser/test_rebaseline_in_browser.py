"""A re-baseline in headless Chromium, on a telephone: ticked, seen, made active, undone."""

from __future__ import annotations

import pytest
import watched
from settling import settle
from sounds import PROJECT
from watched import said

from asd_core.artifacts.store import open_artifact
from asd_core.data.library import add_folder
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.notes import FAULT, NORMAL, note
from asd_core.monitoring.table import watches_dir

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WAIT_MS = 120_000


@pytest.fixture(scope="module")
def watch(serve, tmp_path_factory):
    """A server with a watch of a machine that changed, its new clips marked normal."""
    home = tmp_path_factory.mktemp("rebaseline_in_browser")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(home / "data"))
        patch.setenv("ASD_DATA_ROOTS", str(home))
        patch.setenv("ASD_ARTIFACTS_DIR", str(home / "out"))
        data = watched.made_data(home / "pump", n_normal=30)
        model = watched.trained(data, home / "out")
        add_folder("pump", data)
        table = watches_dir() / "watch.csv"
        kinds = ["normal"] * 4 + ["new"] * 14 + ["new"] * 14 + ["fault"] * 4
        rows = watched.watched(home / "in", table, model, kinds, gap_after=17)
        note(Beside(table), *(said(rows, NORMAL, "new") | said(rows, FAULT, "fault")).values())
        yield serve(PROJECT / "app.py", "--logger.level", "error"), model


def test_a_rebaseline_is_made_and_undone_on_a_telephone(watch, open_page):
    url, model = watch
    before = open_artifact(model).version
    page = open_page(f"{url}/monitor?monitor=live&watch_part=rebaseline", width=400, height=800)
    page.set_default_timeout(WAIT_MS)
    page.get_by_text("28 clips wait here").wait_for()
    assert not page.get_by_role("checkbox", checked=True).count()
    page.get_by_role("button", name="Tick all").click()
    page.get_by_text("Faults found, clips marked faults").wait_for()
    settle(page)
    width = page.evaluate(
        "[document.documentElement, ...document.querySelectorAll('[data-testid=stMain]')].map(e => e.scrollWidth)"
    )
    assert max(width) <= 400
    active = page.get_by_role("button", name="Make it active with 28 clips")
    assert active.is_disabled()
    page.get_by_text("I have heard all of these clips").click()
    settle(page)
    active.click()
    page.get_by_text("Re-baseline r001 is active").wait_for()
    assert open_artifact(model).manifest.parent == before
    page.get_by_role("button", name="Undo this re-baseline").click()
    page.get_by_text("28 clips wait here").wait_for()
    assert open_artifact(model).version == before
