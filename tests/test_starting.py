"""Watches started and stopped from the dashboard: processes of their own, few, and none that answers to nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from sounds import PROJECT, hum

from asd_core.audio.reading import encode_wav
from asd_core.errors import BusyError, DataSetError, UsageError
from asd_core.monitoring import starting
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.starting import (
    RECORD,
    WatchSettings,
    is_alive,
    last_settings,
    start_again,
    start_watch,
    stop_watch,
)
from asd_core.monitoring.status import read_status, write_status
from asd_core.monitoring.table import Tail, open_table, watches_dir
from asd_core.system.processes import process_start

SVM = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"
FAKE = """
import os, signal, sys, time
from pathlib import Path
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.status import WatchStatus, write_status
from asd_core.monitoring.table import open_table
from asd_core.system.clock import utc_now
from asd_core.system.processes import process_start
path = Path(next(part for part in sys.argv if part.startswith("--csv="))[6:])
if "--machine=broken" in sys.argv:
    sys.exit("error: no threshold,\\nso no alarm")
going = [True]
signal.signal(signal.SIGTERM, lambda *_: going.clear())
print("listening")
with open_table(path) as table:
    list(table.rows())
    while going:
        texts = dict.fromkeys(("folder", "model", "machine", "title", "rule", "settle_from", "notices"), "")
        write_status(Beside(path).status, WatchStatus(at=utc_now("milliseconds"), pid=os.getpid(), settle_s=2.0,
            process_start=process_start(os.getpid()), state="listening", started_at=utc_now("milliseconds"), **texts))
        time.sleep(0.02)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that the dashboard may read; what it starts is a small stand-in for a watch, and ended afterwards."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_DATA_ROOTS", str(tmp_path / "incoming"))
    command = WatchSettings.command
    monkeypatch.setattr(
        WatchSettings, "command", lambda own, table: [sys.executable, "-c", FAKE, *command(own, table)[4:]]
    )
    place = tmp_path / "incoming" / "pump"
    place.mkdir(parents=True)
    yield place
    for table in watches_dir().glob("*.csv"):
        stop_watch(table)


def settings(folder, **other) -> WatchSettings:
    return WatchSettings(str(folder), str(SVM), **other)


def test_the_command_names_everything_and_no_value_can_be_taken_for_an_option(tmp_path):
    given = WatchSettings(
        "/in", "/m", machine="--poll=0", alarm="2/3", segment_s=10.0, every_s=2.5, page="http://hark:8501"
    )
    assert given.command(tmp_path / "t.csv")[1:] == [
        *("-m", "asd_core", "watch", "/in", "--model=/m", f"--csv={tmp_path / 't.csv'}", "--alarm=2/3"),
        *("--machine=--poll=0", "--page=http://hark:8501", "--every=2.5", "--segment=10.0"),
    ]
    assert WatchSettings("/in", "/m", alarm=RECORD).command(tmp_path)[7:] == ["--record"]
    assert len(WatchSettings("/in", "/m").command(tmp_path)) == 8


def test_a_watch_is_started_once_leads_a_session_of_its_own_and_ends_when_asked(folder):
    table = start_watch(settings(folder, machine=" pump\n3 "))
    status = read_status(Beside(table).status)
    assert is_alive(table)
    assert os.getsid(status.pid) == status.pid != os.getsid(0)
    assert Beside(table).log.read_text() == "listening\n"
    assert last_settings(table) == WatchSettings(str(folder), str(SVM), "pump 3")
    with pytest.raises(BusyError, match="listens to this folder already"):
        start_watch(settings(folder))
    stop_watch(table)
    assert not is_alive(table)
    deadline = time.monotonic() + 5
    while process_start(status.pid) == status.process_start and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process_start(status.pid) != status.process_start  # no zombie either
    stop_watch(table)  # there is nothing to stop


def test_a_watch_can_be_started_again_as_it_was(folder):
    table = start_watch(settings(folder, machine="pump 3", alarm="2/3"))
    stop_watch(table)
    start_again(table)
    assert is_alive(table)
    assert last_settings(table).alarm == "2/3"
    before = read_status(Beside(table).status).pid
    other = SVM.with_name("vggish_knn")
    start_again(table, model=other)  # it goes on in the same table
    assert read_status(Beside(table).status).pid != before
    assert last_settings(table).model == str(other)
    with pytest.raises(UsageError, match="was not started from the dashboard"):
        start_again(watches_dir() / "another.csv")


def test_what_a_watch_says_as_it_ends_at_once_is_told(folder):
    with pytest.raises(UsageError, match=r"^the watch did not start: so no alarm$"):
        start_watch(settings(folder, machine="broken"))
    assert list(watches_dir().glob("*.csv")) == []


def test_only_allowed_folders_are_watched_and_names_have_a_length(folder, tmp_path):
    for other in (tmp_path, tmp_path / "nowhere", "relative", tmp_path / "data"):
        with pytest.raises(DataSetError, match="must be named in full and lie below"):
            start_watch(settings(other))
    (folder.parent / "link").symlink_to(tmp_path)
    with pytest.raises(DataSetError, match="must be named in full and lie below"):
        start_watch(settings(folder.parent / "link"))
    with pytest.raises(UsageError, match="at most 80 characters"):
        start_watch(settings(folder, machine="x" * 81))
    assert not watches_dir().exists()


def test_there_are_so_many_watches_and_no_more(folder, monkeypatch):
    monkeypatch.setattr(starting, "MAX_WATCHES", 1)
    table = start_watch(settings(folder))
    (folder.parent / "fan").mkdir()
    with pytest.raises(BusyError, match="1 watches are running, the most at a time"):
        start_watch(settings(folder.parent / "fan"))
    stop_watch(table)
    assert is_alive(start_watch(settings(folder.parent / "fan")))


def test_another_process_that_has_the_number_of_a_watch_is_not_signalled(folder):
    table = start_watch(settings(folder))
    status = Beside(table).status
    pid = json.loads(status.read_text())["pid"]
    stop_watch(table)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        content = {**json.loads(status.read_text()), "pid": bystander.pid}
        status.write_text(json.dumps(content))
        with open_table(table), pytest.raises(UsageError, match="cannot be reached from here"):
            stop_watch(table)
        assert bystander.poll() is None
        assert pid != bystander.pid
    finally:
        bystander.kill()
        bystander.wait()


def test_a_watch_that_a_script_has_started_is_asked_alone(folder, monkeypatch, tmp_path):
    table = watches_dir() / "by-a-script.csv"
    table.parent.mkdir(parents=True)
    watch = subprocess.Popen(
        [sys.executable, "-c", FAKE, f"--csv={table}"], cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}
    )
    try:
        deadline = time.monotonic() + 10
        while read_status(Beside(table).status) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        stop_watch(table)  # its group is that of these tests, which go on
        assert watch.wait(timeout=5) == 0
    finally:
        watch.kill()


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 1}', '{"schema": 2, "folder": "a", "model": "b"}', "{" * 99])
def test_damaged_settings_are_no_settings(tmp_path, content):
    table = tmp_path / "t.csv"
    Beside(table).folder.mkdir()
    (Beside(table).folder / "request.json").write_text(content)
    assert last_settings(table) is None


def test_on_windows_the_heartbeat_tells_whether_a_watch_lives(folder, monkeypatch):
    table = start_watch(settings(folder))
    stop_watch(table)
    write_status(Beside(table).status, replace(read_status(Beside(table).status), state="listening"))
    with monkeypatch.context() as windows:
        windows.setattr(starting.os, "name", "nt")
        assert is_alive(table)  # its last heartbeat is some milliseconds old
        windows.setattr(starting, "age_s", lambda _: starting.SILENT_S)
        assert not is_alive(table)


@pytest.mark.slow
def test_a_real_watch_is_started_hears_a_clip_and_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    folder = tmp_path / "data" / "incoming"
    folder.mkdir(parents=True)
    table = start_watch(settings(folder, machine="pump 3", alarm="1/1"))
    try:
        (folder / "a.wav").write_bytes(encode_wav(hum(1).samples))
        tail, deadline = Tail(table), time.monotonic() + 30
        while not tail.update() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert [row.event for row in tail.rows] == ["raised"]
        status = read_status(Beside(table).status)
        assert (status.machine, status.folder) == ("pump 3", str(folder))
    finally:
        stop_watch(table)
    assert read_status(Beside(table).status).state == "ended"
