"""A data folder that cannot be written to: every page opens, says what cannot be kept, and nothing is a fault."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest
from sounds import PROJECT, hum
from streamlit.testing.v1 import AppTest

from asd_core.audio.reading import encode_wav
from asd_core.data import library, table
from asd_core.data.marked import mark
from asd_core.data.quotas import Quota, Upload
from asd_core.data.survey import survey
from asd_core.data.uploads import store_uploads
from asd_core.jobs import queue as jobs
from asd_core.jobs import run as job_run
from asd_core.jobs import table as job_table
from asd_core.jobs.chores import Sweep
from asd_core.jobs.listing import list_jobs
from asd_core.monitoring.arriving.arrivals import ArrivalSettings
from asd_core.monitoring.table import is_running, list_tables
from asd_core.monitoring.watch import WatchRequest, watch
from asd_core.system.files import is_writable
from asd_core.tasks.train import TrainingRequest, train

VIEWS = {
    "pages/overview.py": ("", ("",)),
    "pages/data.py": ("data_view", ("sets", "upload", "folder", "simulate", "download", "storage")),
    "pages/explore.py": ("view", ("clips", "spectra", "contents")),
    "pages/train.py": ("train_view", ("new", "runs", "sweep", "versions")),
    "pages/threshold.py": ("view", ("table",)),
    "pages/check.py": ("view", ("where", "frequencies", "details")),
    "pages/monitor.py": ("monitor", ("live", "replay")),
    "pages/compare.py": ("view", ("figures", "map")),
    "pages/learn.py": ("lesson", ("vggish_ocsvm", "quiz")),
}
DATA_NOTE, DETECTORS_NOTE = "The data folder cannot be written to", "The folder of the detectors cannot be written to"
STATE = {"set": "rail/rail"}


def wav(seed, knocks=0):
    return encode_wav(hum(seed, seconds=2.0, knocks=knocks).samples)


def write_protected(folder: Path) -> list[list[str | Path]]:
    """Take the right to write away from whoever runs the tests; the commands that give it back."""
    if os.geteuid():
        subprocess.run(["chmod", "-R", "a-w", folder], check=True)
        return [["chmod", "-R", "u+w", folder]]
    commands = [["mount", "-o", "bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]]
    for command in commands:
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("root may write everywhere, and nothing can be mounted here")
    return [["umount", folder]]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An installation with everything in it, whose two folders are write-protected."""
    place = tmp_path_factory.mktemp("read-only")
    rail = place / "recordings" / "rail"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASD_DATA_DIR", str(place / "data"))
        patch.setenv("ASD_ARTIFACTS_DIR", str(place / "artifacts"))
        patch.setenv(library.ROOTS_VARIABLE, str(place / "recordings"))
        patch.setattr(job_run, "MIN_FREE_BYTES", 1)
        patch.syspath_prepend(str(PROJECT))
        for seed in range(24):
            path = rail / ("normal" if seed < 20 else "squeal") / f"{seed:02d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wav(seed, 0 if seed < 20 else 5))
        library.add_folder("rail", rail)
        store_uploads("up", [Upload(f"{seed}.wav", wav(100 + seed)) for seed in range(9)], used=Quota())
        request = TrainingRequest("vggish_ocsvm", rail, name="rail", out=place / "artifacts")
        model = train(request).model
        mark(hum(1), "normal")
        watch(WatchRequest(rail / "normal", model, once=True, poll_s=0.05, arrivals=ArrivalSettings(settle_s=0.0)))
        with pytest.MonkeyPatch.context() as idle:
            idle.setattr(jobs, "clear_dead_jobs", list)
            job = jobs.submit(request)
            job_table.write_status(job.folder, job_table.Status("failed", error="its disk was full"))
            chore = Sweep("rail", "rail")
            with job_table.table():
                folder = job_table.make_run(chore)
            job_table.write_status(folder, job_table.Status("done", command=chore.kind))
        undo = [*write_protected(place / "data"), *write_protected(place / "artifacts")]
        yield place
        for command in undo:
            subprocess.run(command, check=True)


def opened(path: str, **state: str) -> AppTest:
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    for key, value in {**STATE, **state}.items():
        app.session_state[key] = value
    return app.switch_page(path).run() if path != "pages/overview.py" else app.run()


def refusals(app: AppTest) -> list[str]:
    """What a page says could not be done; anything else that goes wrong fails the test."""
    assert not app.exception
    assert {each.value for each in app.error} <= {"This could not be done:"}
    return [each.value for each in app.text] if app.error else []


@pytest.mark.parametrize("path", VIEWS)
def test_every_page_opens_and_says_what_cannot_be_kept(home, path):
    key, values = VIEWS[path]
    app = opened(path, **({key: values[0]} if key else {}))
    for value in values:
        if key:
            app.session_state[key] = value
            app.run()
        assert not [text for text in refusals(app) if "Read-only" in text or "Permission" in text], value
        notes = [each.value for each in app.sidebar.warning]
        assert [note.split(":")[0] for note in notes] == [DATA_NOTE, DETECTORS_NOTE], value


def _pressed(button):
    def press(app):
        next(each for each in app.button if str(each.key).startswith(button) or each.label == button).click()

    return press


def _sent(app):
    app.text_input(key="upload_name").set_value("up")
    app.file_uploader(key="upload_files").set_value([("new.wav", wav(900), "audio/wav")])
    app.button[0].click()


def _deleted(app):
    app.checkbox(key="delete_machine:sure:up").check().run()
    app.button(key="delete_machine:up").click()


@pytest.mark.parametrize(
    ("path", "state", "act"),
    [
        ("pages/check.py", {}, _pressed("mark_save")),
        ("pages/data.py", {"data_view": "upload"}, _sent),
        ("pages/data.py", {"data_view": "simulate"}, _pressed("Simulate")),
        ("pages/data.py", {"data_view": "sets", "set": "up/up", "delete:up": True}, _deleted),
        ("pages/train.py", {"train_view": "new"}, _pressed("Start training")),
        ("pages/train.py", {"train_view": "sweep"}, _pressed("start_sweep")),
        ("pages/train.py", {"train_view": "runs"}, _pressed("again")),
        ("pages/train.py", {"train_view": "runs"}, _pressed("delete_run")),
        ("pages/threshold.py", {"rule": "manual"}, _pressed("save_threshold:")),
    ],
    ids=["mark", "upload", "simulate", "delete", "train", "sweep", "again", "delete run", "threshold"],
)
def test_what_cannot_be_kept_is_refused_with_the_place_and_the_cure(home, path, state, act):
    app = opened(path, **state)
    act(app)
    said = refusals(app.run())[-1]
    assert str(home) in said
    assert os.strerror(errno.EACCES if os.geteuid() else errno.EROFS) in said
    assert "ASD_DATA_DIR" in said


def test_looking_whether_something_runs_writes_nothing(home):
    (table,) = list_tables()
    assert not is_running(table)
    assert not jobs.chore_is_active()
    jobs.clear_dead_jobs()
    assert [job.state for job in list_jobs()] == ["failed"]


def test_a_report_on_clips_is_made_though_it_cannot_be_kept(home):
    known = table.read_library().find("up")
    assert survey(library.open_known(known, "up")).n_clips == 9


def test_a_folder_that_is_not_there_is_as_writable_as_the_one_above_it(home, tmp_path):
    assert is_writable(tmp_path / "not" / "there")
    assert not is_writable(home / "data" / "not" / "there")


def test_nothing_is_said_where_everything_can_be_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    assert not app.exception
    assert not app.sidebar.warning


def test_a_full_disk_is_refused_in_plain_words_and_any_other_error_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    script = """
import os, streamlit as st
from pages.shared.frame import fragment
def draw():
    raise OSError(st.session_state["number"], os.strerror(st.session_state["number"]), "place.wav")
fragment(draw)()
"""
    for number, said in ((errno.ENOSPC, "This could not be done:"), (errno.EIO, "this should not have happened")):
        app = AppTest.from_string(script, default_timeout=60)
        app.session_state["number"] = number
        app.run()
        assert [said in each.value for each in app.error] == [True]
        assert bool(app.exception) == (number == errno.EIO)
