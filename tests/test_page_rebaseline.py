"""The panel of a re-baseline as Streamlit runs it: clips ticked, figures before and after, made active, undone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import watched
from sounds import PROJECT
from streamlit.testing.v1 import AppTest
from watched import said

from asd_core.artifacts.store import open_artifact
from asd_core.data.folder_rules import FolderRules
from asd_core.data.library import add_folder
from asd_core.jobs import queue as jobs
from asd_core.jobs.queue import clear_dead_jobs
from asd_core.monitoring import starting
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.notes import FAULT, NORMAL, note
from asd_core.monitoring.rebaselining.quarantine import marked_clips, waiting
from asd_core.monitoring.rebaselining.versions import last_active, retraining_job
from asd_core.monitoring.starting import WatchSettings
from asd_core.monitoring.table import watches_dir
from asd_core.tasks.train import train
from pages.parts.monitor import rebaseline as panel_module

KINDS = ["normal"] * 8 + ["new"] * 14 + ["new"] * 14 + ["fault"] * 6
SCRIPT = """
from pathlib import Path
from pages.parts.monitor.rebaseline import rebaseline_panel
rebaseline_panel(Path({table!r}))
"""

MARKS = """
from pathlib import Path
from asd_core.monitoring.beside import Beside
from pages.parts.monitor.marks import clip_marks
clip_marks(Beside(Path({table!r})), {key!r}, None)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set, its detector and a watch of the machine, which changed."""
    root = tmp_path_factory.mktemp("page_rebaseline")
    data = watched.made_data(root / "pump", n_normal=40)
    model = watched.trained(data, root / "out")
    rows = watched.watched(root / "in", root / "watch.csv", model, KINDS, gap_after=21)
    return data, model, root / "watch.csv", rows


@pytest.fixture
def watch(made, monkeypatch, tmp_path):
    """The same, in data and detector folders of its own."""
    data, model, table, rows = made
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_DATA_ROOTS", str(data.parent))
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "out"))
    monkeypatch.syspath_prepend(str(PROJECT))
    shutil.copytree(model.parents[2], tmp_path / "out")
    watches_dir().mkdir(parents=True)
    own = watches_dir() / "watch.csv"
    text = table.read_text()
    own.write_text(text.replace(str(model.parents[2]), str(tmp_path / "out")))
    add_folder("pump", data, rules=FolderRules())
    return Beside(own), tmp_path / "out" / model.relative_to(model.parents[2]), rows


def panel(beside):
    return AppTest.from_string(SCRIPT.format(table=str(beside.table)), default_timeout=120).run()


def mark(watch, what, kind, first, last):
    beside, _, rows = watch
    chosen = [row for row in rows if kind in row.path][first:last]
    note(beside, *said(chosen, what, kind).values())


def text_of(page: AppTest) -> str:
    kinds = ("markdown", "caption", "text", "error", "warning", "info")
    return "\n".join(str(element.value) for name in kinds for element in page.get(name))


def figures(page: AppTest) -> dict[str, tuple[str, str]]:
    """Rows of the table of figures: before and after."""
    (table,) = [each.value for each in page.markdown if each.value.startswith("| | before")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {title: (before, after) for title, before, after in cells}


def ticks(page: AppTest) -> list[bool]:
    return [box.value for box in page.checkbox if box.key.startswith("rebaseline_tick")]


def test_without_clips_it_says_how_they_get_here(watch):
    page = panel(watch[0])
    assert not page.exception
    assert "No clips wait. Mark clips of the changed machine as normal" in text_of(page)


def test_a_first_time_user_walks_through_it_and_back(watch):
    beside, model, _ = watch
    mark(watch, NORMAL, "new", 0, 28)
    mark(watch, FAULT, "fault", 0, 6)
    page = panel(beside)
    assert not page.exception
    assert "28 clips wait here" in text_of(page)
    assert ticks(page) == [False] * 28  # all score above every clip that was held out
    assert "it scores above every held-out normal clip (expected of 1 in 41 normal clips)" in text_of(page)
    assert "Tick at least one clip above." in text_of(page)
    page.button(key="rebaseline_all").click().run()
    assert ticks(page) == [True] * 28
    shown = figures(page)
    before = open_artifact(model)
    assert shown["Threshold"][0] == f"{before.threshold.value:.4g}"
    assert shown["False alarms, clips marked normal"][0].startswith("100.0 % (28/28)")
    assert shown["**Faults found**, clips marked faults"] == ("100.0 % (6/6), 61.0 to 100.0 %",) * 2
    assert shown["Alarms this week"][0].startswith("1 (on for ")
    assert "clips of this week: anomalous now, normal afterwards" in page.expander[0].label
    assert open_artifact(model).version == before.version
    assert page.button(key="rebaseline_activate").disabled
    sure = next(box for box in page.checkbox if box.key.startswith("rebaseline_sure_of"))
    assert "something speaks against 28 of the clips" in sure.label
    sure.check().run()
    page.button(key="rebaseline_activate").click().run()
    assert not page.exception
    now = open_artifact(model)
    assert now.manifest.parent == before.version
    assert f"Version {now.version} followed {before.version}" in text_of(page)
    assert "No clips wait" in text_of(page)
    page.button(key="rebaseline_undo").click().run()
    assert open_artifact(model).version == before.version
    assert last_active(beside) is None
    assert "28 clips wait here" in text_of(page)


def test_the_watch_is_started_again_with_what_is_current(watch, monkeypatch):
    beside, model, _ = watch
    mark(watch, NORMAL, "new", 0, 14)
    page = panel(beside)
    page.button(key="rebaseline_all").click().run()
    next(box for box in page.checkbox if box.key.startswith("rebaseline_sure_of")).check().run()
    page.button(key="rebaseline_activate").click().run()
    before, now = (text.partition("-")[0] for text in ("v0001-", "v0002-"))
    said_of_it = next(each.value for each in page.warning if "last judged by" in each.value)
    assert before in said_of_it.partition("started again")[0]
    assert now in said_of_it.partition("started again")[2]
    assert f"--model {model} --csv {beside.table}" in page.code[0].value
    done = []
    monkeypatch.setattr(starting, "last_settings", lambda _: WatchSettings("in", "old"))
    monkeypatch.setattr(starting, "stop_watch", lambda table: done.append(("stop", table)))
    monkeypatch.setattr(starting, "start_watch", lambda settings, table: done.append((settings.model, table)))
    monkeypatch.setattr(panel_module, "last_settings", starting.last_settings)
    page.run()
    page.button(key="rebaseline_restart").click().run()
    assert not page.exception
    assert done == [("stop", beside.table), (str(model), beside.table)]


def test_a_mark_copies_the_clip_at_once(watch):
    beside, _, rows = watch
    marks = AppTest.from_string(MARKS.format(table=str(beside.table), key=rows[9].key), default_timeout=120).run()
    marks.button(key=f"normal:clip:watch.csv:{rows[9].key}").click().run()
    assert not marks.exception
    assert [clip.keys for clip in marked_clips(beside)] == [(rows[9].key,)]


def test_faults_called_normal_are_warned_of_and_asked_for_twice(watch):
    beside, _, rows = watch
    mark(watch, NORMAL, "new", 0, 12)
    mark(watch, NORMAL, "fault", 0, 3)
    mark(watch, FAULT, "fault", 3, 6)
    page = panel(beside)
    first = [box.label for box in page.checkbox if box.key.startswith("rebaseline_tick")][:3]
    assert all("fault.wav" in label for label in first)
    page.button(key="rebaseline_all").click().run()
    (error,) = [each.value.replace("\N{WORD JOINER}", "") for each in page.error]
    assert "found now would be missed: a fault may be among the clips marked normal" in error
    worst = max((row for row in rows if "fault" in row.path and row in rows[36:39]), key=lambda row: row.anomaly_score)
    assert Path(worst.path).stem in error
    found = figures(page)["**Faults found**, labelled test clips"]
    assert found[0] != found[1]
    assert page.button(key="rebaseline_activate").disabled
    sure = next(box for box in page.checkbox if box.key.startswith("rebaseline_sure_of"))
    assert "go on although fewer faults would be found and something speaks against 15 of the clips" in sure.label


def test_it_is_trained_again_in_the_background_and_compared(watch, monkeypatch):
    beside, model, _ = watch
    mark(watch, NORMAL, "new", 0, 28)
    mark(watch, FAULT, "fault", 0, 6)
    asked = []
    monkeypatch.setattr(jobs, "submit", asked.append)
    page = panel(beside)
    page.button(key="rebaseline_all").click().run()
    page.segmented_control(key="rebaseline_how").set_value("retrain").run()
    assert "It learns its 40 clips again, and these 28 beside them" in text_of(page)
    page.button(key="rebaseline_train").click().run()
    assert not page.exception
    (request,) = asked
    assert (request.detector, request.name, request.threads) == ("vggish_knn", "pump", 1)
    train(request)
    page.run()
    shown = figures(page)
    assert shown["**Faults found**, clips marked faults"][1].startswith("100.0 % (6/6)")
    assert int(shown["False alarms, clips marked normal"][1].partition("(")[2].partition("/")[0]) < 10
    before = open_artifact(model)
    next(box for box in page.checkbox if box.key.startswith("rebaseline_sure_of")).check().run()
    page.button(key="rebaseline_activate").click().run()
    assert not page.exception
    assert open_artifact(model).version != before.version
    assert len(open_artifact(model).manifest.data.fitted_digests) == 68
    assert "the detector was trained again with 28 clips" in text_of(page)
    page.button(key="rebaseline_undo").click().run()
    assert open_artifact(model).version == before.version


def test_other_ticks_ask_for_another_training(watch, monkeypatch):
    beside, _, _ = watch
    mark(watch, NORMAL, "new", 0, 14)
    monkeypatch.setattr(jobs, "submit", lambda request: train(request))
    page = panel(beside)
    page.button(key="rebaseline_all").click().run()
    page.segmented_control(key="rebaseline_how").set_value("retrain").run()
    page.button(key="rebaseline_train").click().run()
    assert figures(page)
    next(box for box in page.checkbox if box.key.startswith("rebaseline_tick")).uncheck().run()
    assert "You have ticked other clips since the last training." in text_of(page)
    assert page.button(key="rebaseline_train").label == "Train again with 13 clips"


@pytest.mark.slow
def test_a_training_in_a_process_of_its_own_is_followed(watch):
    beside, _, _ = watch
    mark(watch, NORMAL, "new", 0, 14)
    page = panel(beside)
    page.button(key="rebaseline_all").click().run()
    page.segmented_control(key="rebaseline_how").set_value("retrain").run()
    page.button(key="rebaseline_train").click().run()
    job = retraining_job(beside)
    assert job is not None
    assert job.is_active
    assert "It goes on when you leave this page." in text_of(page)
    while clear_dead_jobs():
        pass
    page.run()
    assert figures(page)


def test_names_of_clips_stay_text(watch):
    beside, _, _ = watch
    hostile = "<img src=x> **b** :red[x] new.wav"
    mark(watch, NORMAL, "new", 0, 1)
    panel(beside)
    (clip,) = waiting(marked_clips(beside))
    entry = next((beside.folder / "quarantine").glob("*.json"))
    entry.write_text(entry.read_text().replace(clip.name, hostile))
    page = panel(beside)
    assert not page.exception
    label = page.checkbox[0].label
    assert "\\<img src=x\\>" in label
    assert "\\*\\*b\\*\\*" in label
    assert ":red" not in label
