"""A table with many runs: what a listing opens, and which old runs are removed when a new one is queued."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from asd_core.errors import UsageError
from asd_core.jobs import listing as job_listing
from asd_core.jobs import pruning
from asd_core.jobs import queue as jobs
from asd_core.jobs import run as job_run
from asd_core.jobs import table as job_table
from asd_core.jobs.chores import Simulate
from asd_core.jobs.listing import Jobs, active_jobs, list_chores, list_jobs
from asd_core.jobs.pruning import Limits, prune
from asd_core.jobs.queue import clear_dead_jobs, submit
from asd_core.jobs.table import Status, job_json, read_job, runs_dir
from asd_core.system.logs import configure, log_path
from asd_core.system.processes import process_start
from asd_core.tasks.train import TrainingRequest

NOW = datetime.now(UTC)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A request whose runs lie in a table of the test's own."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "places"))
    monkeypatch.delenv(pruning.RUNS_VARIABLE, raising=False)
    monkeypatch.delenv(pruning.DAYS_VARIABLE, raising=False)
    monkeypatch.setattr(job_run, "MIN_FREE_BYTES", 1)
    runs_dir().mkdir(parents=True)
    return TrainingRequest("lstm_predictor", tmp_path / "clips", out=tmp_path / "artifacts")


def make_run(request, *, days_old=1.0, state="failed", number=0, **status):
    """A run that was submitted some days ago and ended, unless it is active, 60 s later."""
    submitted = NOW - timedelta(days=days_old)
    began, ended = (f"{submitted + timedelta(seconds=s):%Y-%m-%dT%H:%M:%S.%f+00:00}" for s in (0, 60))
    folder = runs_dir() / f"{submitted:%Y%m%dT%H%M%S%fZ}-{number:08x}"
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps(job_json(request)))
    active = state in job_table.ACTIVE_STATES
    status = {
        "began_at": began,
        "ended_at": None if active else ended,
        "command": job_table.command_of(request),
    } | status
    (folder / "status.json").write_text(json.dumps(Status(state, **status).to_json()))
    return folder


def ours():
    return {"pid": os.getpid(), "started": process_start(os.getpid())}


@pytest.fixture
def fresh(monkeypatch):
    """Return a function after which this process knows of no run, as one that has just been started."""

    def forget():
        monkeypatch.setattr(job_listing, "_listing", job_listing._Listing())

    return forget


@pytest.fixture
def reads(monkeypatch):
    """Files of runs that are opened."""
    opened = []
    real = job_table._read_json
    monkeypatch.setattr(job_table, "_read_json", lambda path: opened.append(path) or real(path))
    return opened


def names_of(folders):
    return [folder.name for folder in folders]


# --- what a listing opens ---


def test_a_new_process_opens_the_runs_that_it_shows_and_those_that_are_active(asked, fresh, reads):
    ended = [make_run(asked, number=number) for number in range(300)]
    chore = make_run(Simulate("tiny", "small", 1), number=400)
    clear_dead_jobs()
    active = make_run(asked, days_old=0.5, state="running", **ours())
    fresh()
    reads.clear()
    assert [job.folder for job in active_jobs()] == [active]
    assert {path.parent for path in reads} == {active}
    reads.clear()
    every = list_jobs()
    assert len(every) == 301
    assert reads == []
    assert names_of(job.folder for job in every[:10]) == names_of([active, *ended[:-10:-1]])
    assert {path.parent for path in reads} == set(ended[:-10:-1])
    assert [job.folder for job in list_chores()] == [chore]
    (active / "status.json").write_text(json.dumps(Status("cancelled").to_json()))  # it was never a process of its own


def test_runs_that_have_ended_since_are_noted_and_those_that_are_gone_are_not(asked, fresh, reads):
    first, second = make_run(asked, number=1), make_run(asked, number=2)
    clear_dead_jobs()
    third = make_run(asked, number=3)
    shutil.rmtree(first)
    clear_dead_jobs()
    fresh()
    reads.clear()
    assert (active_jobs(), reads) == ([], [])
    assert list_jobs().names == (third.name, second.name)
    assert first.name not in (runs_dir() / ".ended").read_text()


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"\xff\x00" * 100,
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b" train\n", b" trail\n"),
        lambda text: text.replace(b" train\n", b"\n"),
        lambda text: b"7" + text,
        lambda text: text.split(b"\n", 1)[1],
    ],
)
def test_notes_that_are_damaged_cost_a_look_and_are_written_anew(asked, fresh, reads, damage):
    runs = [make_run(asked, number=number) for number in range(8)]
    waiting = make_run(asked, days_old=0.5, state="running", **ours())
    clear_dead_jobs()
    notes = runs_dir() / ".ended"
    good = notes.read_bytes()
    notes.write_bytes(damage(good))
    fresh()
    assert list_jobs().names == tuple(names_of([waiting, *reversed(runs)]))
    assert [job.folder for job in clear_dead_jobs()] == [waiting]
    assert notes.read_bytes() == good
    (waiting / "status.json").write_text(json.dumps(Status("cancelled").to_json()))


def test_notes_that_came_with_a_copy_of_the_table_are_not_believed(asked, tmp_path, fresh, monkeypatch):
    """A copy made while it ran may hold a run that goes on and notes that it has ended."""
    run = make_run(asked, state="running", **ours())
    shutil.copytree(runs_dir(), tmp_path / "copy" / "runs")
    (run / "status.json").write_text(json.dumps(Status("cancelled").to_json()))
    clear_dead_jobs()
    shutil.copy2(runs_dir() / ".ended", tmp_path / "copy" / "runs")
    assert run.name in (tmp_path / "copy" / "runs" / ".ended").read_text()
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "copy"))
    fresh()
    assert [job.name for job in active_jobs()] == [run.name]


def test_a_damaged_run_is_never_noted_as_ended(asked, fresh):
    run = make_run(asked, state="running", **ours())
    whole = (run / "status.json").read_bytes()
    (run / "status.json").write_bytes(b"{")
    clear_dead_jobs()
    (run / "status.json").write_bytes(whole)
    fresh()
    assert [job.folder for job in active_jobs()] == [run]
    (run / "status.json").write_text(json.dumps(Status("cancelled").to_json()))


def test_notes_that_cannot_be_written_harm_nothing(asked, monkeypatch):
    make_run(asked)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(job_listing, "replace_file", full)
    assert clear_dead_jobs() == []
    assert len(list_jobs()) == 1


def test_a_run_that_is_deleted_after_the_listing_is_left_out(asked):
    first, second = make_run(asked, number=1), make_run(asked, number=2)
    found = list_jobs()
    shutil.rmtree(first)
    assert [job.folder for job in found] == [second]
    assert found != [1, 2]
    with pytest.raises(UsageError, match="is no run folder"):
        found[1]


# --- which runs are removed ---


def kept_after(limits):
    prune(limits)
    return list(list_jobs().names)


def test_the_newest_runs_up_to_the_number_stay(asked):
    runs = [make_run(asked, days_old=days) for days in range(1, 8)]
    assert prune(Limits(runs=4, days=None)) == names_of([runs[6], runs[5], runs[4]])
    assert list_jobs().names == tuple(names_of(runs[:4]))


def test_runs_that_ended_before_the_age_go_whatever_their_number(asked):
    runs = [make_run(asked, days_old=days) for days in (1, 89.9, 90.1, 300)]
    assert kept_after(Limits(runs=None, days=90)) == names_of(runs[:2])


def test_the_age_counts_from_the_end_of_a_run(asked):
    ended_at = (NOW - timedelta(days=89)).isoformat()
    long = make_run(asked, days_old=95, ended_at=ended_at)
    assert kept_after(Limits(runs=None, days=90)) == [long.name]


def test_without_limits_nothing_goes(asked):
    runs = [make_run(asked, days_old=days) for days in (1, 5000)]
    assert kept_after(Limits(None, None)) == names_of(runs)


def made(asked, version, **made_by):
    """The version's folder and what the run that made it says."""
    model = asked.out / "set" / "fan" / asked.detector
    folder = model / version
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    return folder, {"state": "done", "model": str(model), "version": version} | made_by


def test_a_run_whose_version_exists_stays_until_that_is_deleted(asked):
    version, status = made(asked, "v0001-1a2b3c4d")
    gone = make_run(asked, days_old=400, number=1, **(status | {"version": "v0000-1a2b3c4d"}))
    maker = make_run(asked, days_old=400, number=2, **status)
    for limits in (Limits(runs=1, days=90), Limits(runs=None, days=90), Limits(runs=1, days=None)):
        newest = make_run(asked, number=3)
        assert kept_after(limits) == [newest.name, maker.name]
        shutil.rmtree(newest)
    assert not gone.exists()
    shutil.rmtree(version)
    assert kept_after(Limits(runs=None, days=90)) == []


def test_a_version_that_cannot_be_looked_at_keeps_its_run(asked, monkeypatch):
    version, status = made(asked, "v0001-1a2b3c4d")
    maker = make_run(asked, days_old=400, **status)
    real = Path.stat

    def stat(path, **options):
        if path == version:
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert kept_after(Limits()) == [maker.name]


def test_a_lost_run_that_published_before_it_died_stays_with_its_version(asked):
    version, _ = made(asked, "v0001-1a2b3c4d")
    lost = make_run(asked, days_old=400, state="lost", number=1)
    other = make_run(asked, days_old=399, state="lost", number=2)
    published = (NOW - timedelta(days=400) + timedelta(seconds=30)).timestamp()
    os.utime(version / "manifest.json", (published, published))
    assert kept_after(Limits()) == [lost.name]
    assert not other.exists()


def test_what_waits_or_runs_or_is_damaged_stays(asked):
    queued = make_run(asked, days_old=400, state="queued", number=1)
    running = make_run(asked, days_old=400, state="running", number=2, **ours())
    damaged = [make_run(asked, days_old=400, number=number) for number in (3, 4)]
    (damaged[0] / "job.json").write_bytes(b"{")
    (damaged[1] / "status.json").write_bytes(b"{")
    assert set(kept_after(Limits(runs=1, days=90))) == set(names_of([queued, running, *damaged]))
    (running / "status.json").write_text(json.dumps(Status("cancelled").to_json()))


@pytest.mark.parametrize("state", ["cancelled", "failed", "lost"])
def test_a_run_that_can_go_on_from_its_checkpoint_stays_within_its_age(asked, state):
    make_run(asked, number=1)
    cut_short = make_run(asked, days_old=80, state=state, number=2)
    checkpoint = asked.out / "set" / "fan" / asked.detector / ".checkpoint-0123"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    before = (NOW - timedelta(days=81)).timestamp()
    assert cut_short.name in kept_after(Limits(runs=1, days=90))
    assert cut_short.name in kept_after(Limits(runs=1, days=None))
    os.utime(checkpoint, (before, before))  # another run's, from before this one began
    assert cut_short.name not in kept_after(Limits(runs=1, days=90))


def test_a_run_that_can_go_on_goes_with_its_age(asked):
    cut_short = make_run(asked, days_old=91, state="cancelled")
    checkpoint = asked.out / "set" / "fan" / asked.detector / ".checkpoint-0123"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert cut_short.name not in kept_after(Limits(runs=1, days=90))


def test_records_of_old_chores_go_too(asked):
    make_run(Simulate("tiny", "small", 1), days_old=400, state="done")
    prune(Limits())
    assert list_chores() == []


def test_queueing_a_training_removes_old_runs_and_says_so_in_the_log(asked, monkeypatch):
    monkeypatch.setattr(jobs, "clear_dead_jobs", lambda: [])
    monkeypatch.setenv(pruning.RUNS_VARIABLE, "3")
    configure("dashboard")
    old = [make_run(asked, days_old=days) for days in (10, 20, 30, 40, 400)]
    assert [job.folder for job in list_jobs()] == old  # a listing removes nothing
    new = submit(asked)
    assert list_jobs().names == (new.name, old[0].name, old[1].name)
    logged = [json.loads(line) for line in log_path("dashboard").read_text().splitlines()]
    removed = [(line["job"], line["reason"]) for line in logged if line["event"] == "old run removed"]
    assert removed == [
        (old[4].name, "it ended more than 90 days ago"),
        (old[3].name, "there are 3 newer runs"),
        (old[2].name, "there are 3 newer runs"),
    ]


def test_the_limits_are_500_runs_and_90_days_unless_the_environment_says_otherwise(asked, monkeypatch):
    assert pruning.limits() == Limits(runs=500, days=90)
    monkeypatch.setenv(pruning.RUNS_VARIABLE, "20")
    monkeypatch.setenv(pruning.DAYS_VARIABLE, "0")
    assert pruning.limits() == Limits(runs=20, days=None)
    for wrong in ("-1", "many", "1.5", "٣", "1000000"):
        monkeypatch.setenv(pruning.DAYS_VARIABLE, wrong)
        with pytest.raises(UsageError, match="ASD_KEEP_RUNS_DAYS must be a whole number"):
            submit(asked)
    assert list_jobs() == []


# --- several at once, and cut short ---

SERVER = """
import sys
from asd_core.jobs.pruning import Limits, prune
input()
print(*prune(Limits(runs=10)))
"""


def start_pruning():
    command = [sys.executable, "-c", SERVER]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT)


def test_two_servers_that_remove_at_once_remove_each_run_once(asked):
    runs = [make_run(asked, days_old=1 + number / 100, number=number) for number in range(150)]
    servers = [start_pruning() for _ in range(2)]
    for server in servers:
        server.stdin.write("\n")
        server.stdin.flush()
    removed = [server.communicate(timeout=120)[0].split() for server in servers]
    assert [server.returncode for server in servers] == [0, 0]
    assert sorted([*removed[0], *removed[1]]) == sorted(names_of(runs[10:]))
    assert sorted(path.name for path in runs_dir().iterdir() if path.is_dir()) == sorted(names_of(runs[:10]))


def test_a_removal_that_is_killed_leaves_whole_runs_and_the_next_one_finishes_it(asked):
    runs = [make_run(asked, days_old=1 + number / 100, number=number) for number in range(150)]
    with start_pruning() as server:
        server.stdin.write("\n")
        server.stdin.flush()
        deadline = time.monotonic() + 60
        while len(os.listdir(runs_dir())) > 130 and time.monotonic() < deadline:  # noqa: PTH208 - many looks
            pass
        server.send_signal(signal.SIGKILL)
    assert all(not job.is_damaged for job in list_jobs())
    assert list_jobs().names[:10] == tuple(names_of(runs[:10]))
    prune(Limits(runs=10))
    assert sorted(path.name for path in runs_dir().iterdir() if path.is_dir()) == sorted(names_of(runs[:10]))


def test_runs_that_were_set_aside_by_a_process_that_died_are_removed(asked):
    run, staged = make_run(asked, number=1), runs_dir() / f".tmp-{make_run(asked, number=2).name}"
    run.rename(staged)
    (runs_dir() / ".tmp-somebody's").mkdir()
    prune(Limits())
    assert not staged.exists()
    assert (runs_dir() / ".tmp-somebody's").is_dir()


def test_what_cannot_be_removed_is_logged_and_out_of_the_table(asked, monkeypatch):
    configure("dashboard")
    make_run(asked, days_old=400)

    def refused(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pruning, "remove_tree", refused)
    assert len(prune(Limits())) == 1
    assert list_jobs() == []
    assert "old run could not be removed" in log_path("dashboard").read_text()


def test_a_run_that_goes_on_after_all_stays(asked, monkeypatch):
    """Its process was thought dead, and has written a sign of life since it was looked at."""
    run = make_run(asked, days_old=400, state="lost")
    seen = read_job(run)
    monkeypatch.setattr(Jobs, "__getitem__", lambda *_: seen)
    (run / "status.json").write_text(json.dumps(Status("running", **ours()).to_json()))
    assert prune(Limits()) == []
    assert run.is_dir()
    (run / "status.json").write_text(json.dumps(Status("cancelled").to_json()))


def test_the_table_is_free_between_the_parts_of_a_removal(asked, monkeypatch):
    monkeypatch.setattr(pruning, "BATCH", 2)
    for number in range(6):
        make_run(asked, days_old=400, number=number)
    free = []
    real = pruning.remove_tree

    def remove(folder):
        with job_table.table(wait_s=0.0):
            free.append(folder)
        real(folder)

    monkeypatch.setattr(pruning, "remove_tree", remove)
    assert len(prune(Limits())) == 6
    assert len(free) == 6


# --- pages ---


def page(path, **choices):
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    for key, value in choices.items():
        app.session_state[key] = value
    return app.switch_page(path).run()


def test_the_history_opens_and_sends_one_page_of_runs(asked, fresh, reads, tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    runs = [make_run(asked, days_old=1 + number / 1000, number=number) for number in range(60)]
    clear_dead_jobs()
    fresh()
    reads.clear()
    app = page("pages/train.py", train_view="runs")
    assert not app.exception
    assert len(app.dataframe[0].value) == 25
    assert {path.parent for path in reads} == set(runs[:25])
    assert app.selectbox(key="run").value == runs[0].name
    app.number_input(key="runs_page").set_value(3).run()
    assert len(app.dataframe[0].value) == 10
    assert app.selectbox(key="run").value == runs[50].name


def test_a_run_that_is_asked_for_is_shown_on_its_page(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    runs = [make_run(asked, days_old=1 + number / 1000, number=number) for number in range(60)]
    app = page("pages/train.py", train_view="runs", run=runs[55].name)
    assert not app.exception
    assert app.number_input(key="runs_page").value == 3
    assert app.selectbox(key="run").value == runs[55].name


def test_disk_space_lists_the_newest_runs_and_says_so(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(tmp_path / "artifacts"))
    for number in range(110):
        make_run(asked, days_old=1 + number / 1000, number=number)
    app = page("pages/data.py", data_view="storage")
    assert not app.exception
    table = next(each.value for each in app.dataframe if "What" in each.value)
    assert sum(table["What"] == "finished run") == 100
    assert any("among the 100 newest are listed" in each.value for each in app.caption)
