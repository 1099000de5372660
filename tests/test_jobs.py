"""Background trainings: the table on disk, one at a time, and what survives a death."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile as sf
from sounds import PROJECT, hum

from asd_core.artifacts.store import open_artifact
from asd_core.cli import _parser as cli_parser
from asd_core.cli import main as cli_main
from asd_core.detectors.contract import Progress
from asd_core.errors import BusyError, UsageError
from asd_core.jobs import listing as job_listing
from asd_core.jobs import queue as jobs
from asd_core.jobs import run as job_run
from asd_core.jobs import table as job_table
from asd_core.jobs.chores import Download, Simulate, Sweep
from asd_core.jobs.listing import active_jobs, list_jobs
from asd_core.jobs.queue import cancel, clear_dead_jobs, delete, main, resubmit, submit
from asd_core.jobs.table import (
    Job,
    Status,
    expected_s,
    job_json,
    log_text,
    parse_request,
    progress,
    read_job,
    request_json,
    runs_dir,
)
from asd_core.system.logs import log_path
from asd_core.system.processes import process_start
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR

TINY = {"hidden": 8, "layers": 1, "epochs": 3, "batch_size": 32, "windows_per_epoch": 256}
LONG = {**TINY, "epochs": 100_000}
NAME = "20260131T120000000000Z-1a2b3c4d"
SERVER = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from asd_core.jobs.table import parse_request
from asd_core.jobs.queue import submit
print(submit(parse_request(json.loads(sys.argv[1]))).folder, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One simulated machine, `fan`, with training and test clips of 2 s."""
    root = tmp_path_factory.mktemp("sounds") / "hums"
    for split, label, count in (("train", "normal", 20), ("test", "normal", 3), ("test", "anomaly", 3)):
        folder = root / "fan" / split
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            clip = hum(len(label) * 1000 + number + 100 * (split == "test"), knocks=4 * (label == "anomaly"))
            sf.write(folder / f"{label}_id_00_{number:08d}.wav", clip.samples, SR, subtype="PCM_16")
    return root


@pytest.fixture
def asked(data, tmp_path, monkeypatch):
    """A request for a long training; whatever it starts is ended after the test."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "places"))
    monkeypatch.setattr(job_run, "MIN_FREE_BYTES", 1)
    yield TrainingRequest("lstm_predictor", data, settings=LONG, out=tmp_path / "artifacts")
    waiting = active_jobs()
    for job in sorted(waiting, key=lambda job: job.state):  # queued ones first: nothing starts anew
        with contextlib.suppress(UsageError):
            cancel(job)


def wait_for(claim, *, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not (found := claim()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def wait_until(job, *states, seconds=90.0):
    wait_for(lambda: read_job(job.folder).state in states, seconds=seconds)
    return read_job(job.folder)


def wait_for_epoch(job, *, at_least=1):
    wait_for(lambda: len(progress(job)) >= at_least or read_job(job.folder).state not in ("queued", "running"))
    assert len(progress(job)) >= at_least, log_text(job)
    return read_job(job.folder)


def is_gone(status):
    return process_start(status.pid) != status.started


def niceness(pid):
    return os.getpriority(os.PRIO_PROCESS, pid)


def members(pid):
    """Living processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group, *_ = path.read_bytes().rpartition(b")")[2].split()
            if int(group) == pid and state != b"Z":
                found.append(int(path.parent.name))
    return found


def make_run(request, name=NAME, **status):
    """A run folder as `submit` makes it, in a state of one's choice."""
    folder = runs_dir() / name
    folder.mkdir(parents=True)
    content = {"schema": 1, "command": "train", "warnings": [], "request": request_json(request)}
    (folder / "job.json").write_text(json.dumps(content))
    (folder / "status.json").write_text(json.dumps(Status(**{"state": "failed", **status}).to_json()))
    return folder


def nobody():
    """The number and start of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = process_start(process.pid)
    return {"pid": process.pid, "started": started}


# --- a whole life ---


def test_a_job_is_queued_then_trains_then_is_done_with_the_detector_that_train_gives(asked, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "clear_dead_jobs", lambda: None)
        job = submit(replace(asked, settings=TINY))
    assert (job.state, list_jobs(), progress(job)) == ("queued", [job], [])
    clear_dead_jobs()
    running = read_job(job.folder)
    assert running.state == "running"
    assert not is_gone(running.status)
    here = train(replace(asked, settings=TINY, out=tmp_path / "here"))
    done = wait_until(job, "done", "failed", "lost")
    assert (done.state, done.status.error) == ("done", None), log_text(done)
    assert [(event.epoch, event.epochs) for event in progress(done)] == [(1, 3), (2, 3), (3, 3)]
    assert all(event.loss > 0 and event.heldout_loss > 0 for event in progress(done))
    artifact = open_artifact(Path(done.status.model))
    assert artifact.version == done.status.version
    assert artifact.manifest.files == here.artifact.manifest.files
    assert artifact.detector().anomaly_score(hum(900, knocks=4)) > artifact.detector().anomaly_score(hum(901))
    assert any(text.startswith("few_clips") for text in done.status.warnings)
    assert done.status.began_at < done.status.ended_at
    wait_for(lambda: is_gone(done.status))


def test_the_training_process_gives_way_is_bounded_and_gives_signs_of_life(asked):
    job = wait_for_epoch(submit(asked))
    status = job.status
    assert niceness(status.pid) == max(job_run.NICENESS, os.nice(0))
    assert os.getsid(status.pid) == status.pid
    limits = Path(f"/proc/{status.pid}/limits").read_text()
    assert str(job_run.MAX_FILE_BYTES) in limits
    assert str(job_run.MAX_MEMORY_BYTES) in limits
    wait_for(lambda: read_job(job.folder).status.heartbeat > status.heartbeat, seconds=2 * job_run.HEARTBEAT_S)


# --- cancelling and going on ---


@pytest.mark.slow
def test_a_cancelled_training_keeps_its_checkpoint_and_goes_on_from_it(asked, tmp_path):
    settings = {**TINY, "epochs": 400}
    job = wait_for_epoch(submit(replace(asked, settings=settings)), at_least=3)
    began = time.monotonic()
    ended = cancel(job)
    assert time.monotonic() - began < 6
    assert (ended.state, members(job.status.pid)) == ("cancelled", [])
    assert ended.status.error.startswith("stopped in epoch")  # its own words, not ours
    checkpoint = next((tmp_path / "artifacts").rglob(".checkpoint-*"))
    finished = len(progress(ended))
    again = resubmit(ended)
    assert again.request == replace(ended.request, resume=True)
    wait_for_epoch(again, at_least=finished + 1)
    assert progress(again)[: finished - 1] == [replace(event, eta_s=0.0) for event in progress(ended)][: finished - 1]
    assert checkpoint.exists()
    cancel(again)


@pytest.mark.slow
def test_a_training_that_does_not_listen_is_killed_within_6_s_with_all_it_started(asked):
    job = wait_for_epoch(submit(asked))
    os.kill(job.status.pid, signal.SIGSTOP)
    began = time.monotonic()
    ended = cancel(job)
    assert time.monotonic() - began < 6
    assert ended.state == "cancelled"
    wait_for(lambda: not members(job.status.pid), seconds=1)


def test_children_of_a_cancelled_training_end_too(asked):
    deaf = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    parent = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); time.sleep(600)"
    command = [sys.executable, "-c", parent, f"{deaf}; time.sleep(600)"]
    with subprocess.Popen(command, start_new_session=True) as process:
        wait_for(lambda: len(members(process.pid)) == 2)
        time.sleep(0.3)
        status = {"state": "running", "pid": process.pid, "started": process_start(process.pid)}
        ended = cancel(read_job(make_run(asked, **status)))
        assert ended.state == "cancelled"
        wait_for(lambda: not members(process.pid), seconds=1)


def test_a_queued_job_is_cancelled_at_once_and_a_finished_one_stays(asked):
    queued = read_job(make_run(asked, state="queued"))
    ended = cancel(queued)
    assert (ended.state, ended.status.error) == ("cancelled", "cancelled before it began")
    assert cancel(queued) == ended


def test_a_process_that_got_the_number_of_a_dead_training_is_left_alone(asked):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as process:
        folder = make_run(asked, state="running", pid=process.pid, started="another boot 12")
        assert cancel(read_job(folder)).state == "cancelled"
        unseen = make_run(asked, name=NAME[:-1] + "e", state="running", pid=process.pid, started="another boot 12")
        clear_dead_jobs()
        assert read_job(unseen).state == "lost"
        time.sleep(0.2)
        assert process.poll() is None


# --- deaths ---

HEADLESS = """
import ctypes, platform, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
print("up", flush=True)
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the first thread of a process can end alone on Linux")
def test_a_process_lives_as_long_as_any_of_its_threads(asked):
    """A killed training's threads end one by one; until the last one has, its files and locks are still held."""
    command = [sys.executable, "-c", HEADLESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            started = process_start(process.pid)
            assert process.stdout.readline() == "up\n"
            wait_for(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
            assert process_start(process.pid) == started
        finally:
            os.killpg(process.pid, signal.SIGKILL)
        wait_for(lambda: process_start(process.pid) is None)


def kill_training(asked):
    """A good training, then one that is killed in the middle; the job and the detector from before."""
    before = train(replace(asked, settings=TINY)).artifact
    job = wait_for_epoch(submit(asked))
    os.killpg(job.status.pid, signal.SIGKILL)
    wait_for(lambda: is_gone(job.status))
    clear_dead_jobs()
    lost = read_job(job.folder)
    assert lost.state == "lost"
    assert "its process ended" in lost.status.error
    now = open_artifact(before.folder.parent)
    assert now.version == before.version
    assert now.detector().anomaly_score(hum(5)) == before.detector().anomaly_score(hum(5))
    return lost


def test_a_killed_training_is_lost_and_the_old_detector_stays(asked):
    lost = kill_training(asked)
    clear_dead_jobs()
    assert read_job(lost.folder) == lost


def kill_server(asked, *, epochs, after_s=None):
    """Start a training from another process, at home elsewhere, and kill that one; the job.

    It is killed after the first epoch, or so many seconds after the training was asked for.
    """
    request = replace(asked, settings={**TINY, "epochs": epochs})
    content = {"schema": 1, "command": "train", "warnings": [], "request": request_json(request)}
    command = [sys.executable, "-c", SERVER, json.dumps(content), str(PROJECT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=asked.data) as server:
        try:
            job = read_job(Path(server.stdout.readline().strip()))
            time.sleep(after_s or 0)
            job = job if after_s is not None else wait_for_epoch(job)
        finally:
            server.kill()
    assert read_job(job.folder).state == "running"
    return job


@pytest.mark.slow
def test_a_training_outlives_the_server_that_started_it_and_leaves_no_process(asked):
    job = kill_server(asked, epochs=150)
    clear_dead_jobs()
    done = wait_until(job, "done", "failed", "lost")
    assert done.state == "done", log_text(done)
    assert len(progress(done)) == 150
    assert open_artifact(Path(done.status.model)).version == done.status.version
    wait_for(lambda: not members(done.status.pid))


@pytest.mark.slow
def test_killed_together_with_its_server_a_training_is_lost_and_no_process_stays(asked):
    before = train(replace(asked, settings=TINY)).artifact
    job = kill_server(asked, epochs=LONG["epochs"])
    os.kill(job.status.pid, signal.SIGKILL)
    wait_for(lambda: is_gone(job.status) and not processes_of(asked))
    assert read_job(job.folder).state == "running"  # nobody has looked yet
    clear_dead_jobs()
    assert read_job(job.folder).state == "lost"
    assert open_artifact(before.folder.parent).version == before.version
    again = submit(replace(asked, settings=TINY))  # the slot is free: nothing holds it any more
    done = wait_until(again, "done", "failed", "lost", seconds=120)
    assert done.state == "done", log_text(again)
    wait_for(lambda: not processes_of(asked))


def processes_of(asked):
    """Living processes that any server or training of this test started, by the folders that they were told."""
    places = [os.fsencode(place) for place in (runs_dir(), asked.out)]
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
            if int(path.name) != os.getpid() and any(place in told for place in places):
                found.append(int(path.name))
    return found


def check_the_old_detector_serves_until_the_new_one_is_whole(asked, *, after_s):
    """Kill the server at some moment of a training; the training ends by itself, and every look finds a detector."""
    before = train(replace(asked, settings=TINY)).artifact
    job, seen, served = kill_server(asked, epochs=60 + int(300 * after_s), after_s=after_s), [], []

    def ended():
        state = read_job(job.folder).state
        now = open_artifact(before.folder.parent)
        seen.append((state, now.version))
        served.append(now.detector().anomaly_score(hum(5)))
        return state not in ("queued", "running")

    wait_for(ended, seconds=300)
    done = read_job(job.folder)
    assert done.state == "done", log_text(done)
    assert {version for _, version in seen} <= {before.version, done.status.version}
    assert seen[0] == ("running", before.version)
    assert served[0] == before.detector().anomaly_score(hum(5))
    assert open_artifact(before.folder.parent).version == done.status.version
    wait_for(lambda: not processes_of(asked), seconds=120)
    logged = [json.loads(line) for line in log_path("jobs").read_text().splitlines()]
    assert [(line["event"], line["job"]) for line in logged] == [
        ("training began", done.name),
        ("training ended", done.name),
    ]
    clear_dead_jobs()
    assert not [job for job in list_jobs() if job.is_active]


@pytest.mark.slow
def test_the_old_detector_serves_until_the_new_one_is_whole_when_the_server_is_killed(asked):
    check_the_old_detector_serves_until_the_new_one_is_whole(asked, after_s=0.2)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("run", range(20))
def test_twenty_killed_trainings_are_lost(asked, run):
    kill_training(asked)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("run", range(20))
def test_twenty_killed_servers_leave_their_training_running(asked, run):
    check_the_old_detector_serves_until_the_new_one_is_whole(asked, after_s=0.15 * run)


def test_a_training_that_ended_in_the_moment_of_the_look_is_not_lost(asked, monkeypatch):
    folder = make_run(asked, state="running", **nobody())
    seen = read_job(folder)
    (folder / "status.json").write_text(json.dumps(Status("done", model="m", version="v").to_json()))
    monkeypatch.setattr(jobs, "active_jobs", lambda: [seen])
    clear_dead_jobs()
    assert read_job(folder).state == "done"


# --- whose process it is ---


@pytest.fixture
def launcher(tmp_path, monkeypatch):
    """An interpreter that starts Python as its child and waits, as a virtual environment's does on Windows."""
    script = tmp_path / "launcher"
    script.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    script.chmod(0o755)
    monkeypatch.setattr(jobs.sys, "executable", str(script))
    return script


def test_a_training_whose_interpreter_is_a_launcher_knows_its_run_and_is_done(asked, launcher):
    job = submit(replace(asked, settings=TINY))
    wait_for(lambda: not clear_dead_jobs())
    assert read_job(job.folder).state == "done", log_text(job)
    wait_for(lambda: not processes_of(asked))


def test_a_training_behind_a_launcher_is_found_alive_and_ended_with_its_launcher(asked, launcher):
    job = wait_for_epoch(submit(asked))
    clear_dead_jobs()
    assert read_job(job.folder).state == "running"
    assert str(launcher) not in Path(f"/proc/{job.status.pid}/cmdline").read_text()  # Python itself, not the launcher
    assert cancel(job).state == "cancelled"
    wait_for(lambda: not processes_of(asked), seconds=2)


def test_a_launcher_that_is_ended_before_its_child_took_the_run_over_leaves_no_process(asked, launcher):
    assert cancel(submit(asked)).state == "cancelled"
    wait_for(lambda: not processes_of(asked), seconds=2)


def test_a_running_job_is_taken_over_only_by_the_process_that_was_started_for_it(asked):
    nowhere = replace(asked, data=asked.data / "nowhere")
    marked = make_run(nowhere, state="running", token="5e" * 16, **nobody())
    unmarked = make_run(nowhere, name=NAME[:-1] + "e", state="running", **nobody())
    for told in ([str(marked)], [str(marked), "--token=00"], [str(unmarked)], [str(unmarked), "--token="]):
        assert main(told) == 2
    assert (read_job(marked).state, read_job(unmarked).state) == ("running", "running")


# --- looking ---


def test_looks_read_what_has_changed_and_nothing_that_has_ended(asked, monkeypatch):
    for number in range(20):
        make_run(asked, name=f"20260131T120000000000Z-{number:08x}")
    ours = {"pid": os.getpid(), "started": process_start(os.getpid())}
    active = make_run(asked, name=f"{NAME[:-2]}ff", state="running", **ours)
    reads, looks = [], []
    real_read, real_look = job_table._read_json, job_listing._file_signature
    monkeypatch.setattr(job_table, "_read_json", lambda path: reads.append(path) or real_read(path))
    monkeypatch.setattr(job_listing, "_file_signature", lambda path: looks.append(path) or real_look(path))
    assert len(list_jobs()) == 21
    assert len(reads) == 42  # job and status of each
    reads.clear()
    looks.clear()
    for _ in range(3):
        assert [job.folder for job in active_jobs()] == [active]
    assert (reads, {path.parent for path in looks if path.name != job_listing.ENDED}) == ([], {active})
    assert len(list_jobs()) == 21
    assert reads == []
    job_table.write_status(active, Status("cancelled"))
    assert active_jobs() == []
    assert list_jobs()[-1].state == "failed"
    assert {path.parent for path in reads} == {active}


def test_a_run_that_was_removed_or_changed_by_hand_is_seen(asked):
    first, second = make_run(asked), make_run(asked, name=NAME[:-1] + "e")
    assert [job.folder for job in list_jobs()] == [second, first]
    shutil.rmtree(first)
    (second / "status.json").write_text("{")
    assert [(job.folder, job.state) for job in list_jobs()] == [(second, "lost")]


# --- chores ---


def test_a_chore_runs_beside_a_training_and_its_end_is_told(asked):
    training = wait_for_epoch(submit(asked))
    chore = jobs.start(Simulate("tiny bench", size="small", seed=3))
    assert chore.state == "running"
    assert [job.folder for job in list_jobs()] == [training.folder]
    wait_for(lambda: job_table.step(read_job(chore.folder)).done > 0)
    assert job_table.step(chore).total == 480
    assert {job.folder for job in clear_dead_jobs()} == {training.folder, chore.folder}
    assert niceness(read_job(chore.folder).status.pid) == max(job_run.NICENESS, os.nice(0))
    ended = cancel(chore)
    assert (ended.state, ended.chore) == ("cancelled", chore.chore)
    assert "goes on from what has been fetched" in ended.status.error
    assert read_job(training.folder).state == "running"
    assert list((runs_dir().parent / "benches").glob("*")) == []


def test_one_chore_runs_at_a_time_and_the_record_of_the_one_before_goes(asked):
    first = jobs.start(Sweep("no such set", machine="fan"))
    failed = wait_until(first, "failed", "done", "lost")
    assert (failed.state, failed.status.error) == ("failed", "no data set is called 'no such set'")
    second = jobs.start(Simulate("tiny", size="small", seed=3))
    assert not first.folder.exists()
    with pytest.raises(BusyError, match="another data set is being made"):
        jobs.start(Simulate("other", size="small", seed=4))
    assert jobs.last_chore().name == second.name
    cancel(second)


def test_a_chore_behind_a_launcher_is_found_alive_and_ended(asked, launcher):
    chore = jobs.start(Simulate("tiny", size="small", seed=3))
    wait_for(lambda: job_table.step(chore).done > 0)
    assert jobs.chore_is_active()
    assert cancel(chore).state == "cancelled"
    assert not jobs.chore_is_active()
    wait_for(lambda: not processes_of(asked), seconds=2)


def test_a_killed_chore_is_lost(asked):
    chore = jobs.start(Simulate("tiny", size="small", seed=3))
    wait_for(lambda: job_table.step(chore).done > 0)
    os.killpg(read_job(chore.folder).status.pid, signal.SIGKILL)
    wait_for(lambda: not jobs.chore_is_active())
    assert read_job(chore.folder).state == "lost"


def test_a_relative_data_folder_is_found_by_the_processes_that_are_started(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASD_DATA_DIR", "here")
    chore = jobs.start(Sweep("no such set", machine="fan"))
    wait_for(lambda: not clear_dead_jobs())
    assert read_job(chore.folder).status.error == "no data set is called 'no such set'"
    assert chore.folder.parent == tmp_path / "here" / "runs"


@pytest.mark.parametrize("chore", [Download("dcase", ("fan", "slider"), "dev"), Sweep("pump", "00")])
def test_a_chore_comes_back_equal(chore):
    assert parse_request(json.loads(json.dumps(job_json(chore)))) == chore


def ended(folder, work, what):
    """How a training or chore ends in the process that runs it, and the exit code."""
    status = Status("running", 2, "x")
    return job_run._in_words(Job(folder, None, status), lambda: work(folder, what, status, []))


def test_an_unexpected_fault_of_a_chore_names_its_type_and_leaves_the_traceback_in_the_log(asked, monkeypatch, capsys):
    def broken(*_, **__):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Simulate, "perform", broken)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    status, code = ended(make_run(asked), job_run._do, Simulate("x", "small", 1))
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
        signal.signal(number, handler)
    assert (status.state, status.error, code) == ("failed", "ZeroDivisionError; see log.txt", 1)
    assert "secret detail" in capsys.readouterr().err


# --- one at a time ---


def test_the_second_job_waits_and_begins_by_itself_when_the_first_ends(asked):
    first = wait_for_epoch(submit(asked))
    second = submit(replace(asked, detector="gru_autoencoder", settings={**TINY, "epochs": 8}))
    clear_dead_jobs()
    assert read_job(second.folder).state == "queued"
    assert main([str(second.folder)]) == 4  # by hand: the slot is taken
    os.kill(first.status.pid, signal.SIGTERM)  # nobody but the first process itself looks from here on
    status = wait_for_epoch(second).status
    assert niceness(status.pid) == max(job_run.NICENESS, os.nice(0))  # not the first one's 10 and 10 more
    done = wait_until(second, "done", "failed", "lost")
    assert (done.state, read_job(first.folder).state) == ("done", "cancelled")
    assert done.status.began_at >= read_job(first.folder).status.ended_at


def test_the_training_that_has_waited_longest_begins_first(asked, monkeypatch):
    begun = []
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "clear_dead_jobs", lambda: None)
        names = [submit(replace(asked, detector=name)).name for name in ("lstm_predictor", "gru_autoencoder")]
    monkeypatch.setattr(jobs, "_launch", lambda job, _: begun.append(job.name) or True)
    clear_dead_jobs()
    assert begun == names[:1]


def test_many_that_look_at_once_start_one_training(asked, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "clear_dead_jobs", lambda: None)
        submit(asked)
        submit(replace(asked, detector="gru_autoencoder"))
    looks = [threading.Thread(target=clear_dead_jobs) for _ in range(8)]
    for look in looks:
        look.start()
    for look in looks:
        look.join()
    assert sorted(job.state for job in list_jobs()) == ["queued", "running"]


@pytest.mark.parametrize("state", ["queued", "running"])
def test_the_same_detector_for_the_same_clips_is_busy(asked, data, state):
    ours = {"pid": os.getpid(), "started": process_start(os.getpid())} if state == "running" else {}
    folder = make_run(replace(asked, data=data / "fan"), state=state, **ours)
    for same in ({"data": data / "fan"}, {"machine": "fan"}, {"data": data / "fan" / ".." / "fan", "seed": 1}):
        with pytest.raises(BusyError, match=f"already {state}"):
            submit(replace(asked, **same))
    assert len(list_jobs()) == 1
    (folder / "status.json").write_text(json.dumps(Status("cancelled").to_json()))  # it was never a process of its own


def test_eight_jobs_wait_and_a_ninth_is_busy(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "clear_dead_jobs", lambda: [])
    for number in range(jobs.MAX_QUEUED):
        submit(replace(asked, data=tmp_path / f"set{number}"))
    with pytest.raises(BusyError, match="8 jobs wait"):
        submit(replace(asked, data=tmp_path / "set9"))
    names = [job.name for job in list_jobs()]
    assert names == sorted(names, reverse=True)
    assert [job.request.data.name for job in list_jobs()] == [f"set{number}" for number in reversed(range(8))]
    cancel(list_jobs()[0])
    assert submit(replace(asked, data=tmp_path / "set9")).state == "queued"
    for job in list_jobs():
        cancel(job)


def test_a_table_held_by_another_process_is_busy_after_a_moment(asked):
    with job_table.table(), pytest.raises(BusyError, match="another process changes them"), job_table.table(0.1):
        pass


# --- failures ---


def test_a_job_without_its_data_set_fails_and_says_why(asked, tmp_path):
    failed = wait_until(submit(replace(asked, data=tmp_path / "nowhere")), "failed", "done", "lost")
    assert failed.state == "failed"
    assert "nowhere" in failed.status.error
    assert "Traceback" not in log_text(failed)


def test_an_unexpected_fault_names_its_type_and_leaves_the_traceback_in_the_log(asked, monkeypatch, capsys):
    def broken(*_, **__):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(job_run, "train", broken)
    status, code = ended(make_run(asked), job_run._train, asked)
    assert (status.state, status.error, code) == ("failed", "ZeroDivisionError; see log.txt", 1)
    assert "secret detail" in capsys.readouterr().err


def test_a_full_disk_in_mid_training_is_named(asked, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(job_run, "train", full)
    status, _ = ended(make_run(asked), job_run._train, asked)
    assert status.error == "OSError (No space left on device); see log.txt"


@pytest.mark.parametrize("full", ["places", "artifacts"])
def test_too_little_room_on_either_disk_is_refused_before_and_after_the_queue(asked, monkeypatch, tmp_path, full):
    monkeypatch.setattr(job_run, "MIN_FREE_BYTES", 2**30)
    (tmp_path / "places").mkdir()
    (tmp_path / "artifacts").mkdir()
    real = shutil.disk_usage
    free = {tmp_path / "places": 2**30, tmp_path / "artifacts": 2**30} | {tmp_path / full: 2**30 - 1}

    def disk_usage(place):
        return real(place)._replace(free=next(free[each] for each in (place, *place.parents) if each in free))

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    with pytest.raises(UsageError, match=rf"needs 1\.0 GiB free in {re.escape(str(tmp_path / full))}, got 1\.0 GiB"):
        submit(asked)
    assert list_jobs() == []
    free[tmp_path / full] = 2**30
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "clear_dead_jobs", lambda: None)
        job = submit(asked)
    free[tmp_path / full] = 2**30 - 1
    status, code = ended(job.folder, job_run._train, replace(asked, settings=TINY))
    assert (status.state, code) == ("failed", 2)
    assert "GiB free" in status.error


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"detector": "../x"}, "detector must be one of"),
        ({"preset": "slow"}, "preset must be one of"),
        ({"settings": {"depth": 3}}, "has no setting 'depth'"),
        ({"threads": 4}, "trains with 1 thread"),
        ({"settings": {"learning_rate": float("nan")}}, "must be finite|must be positive"),
        ({"settings": {"hidden": [8]}}, "must be a number or a text"),
        ({"seed": "0"}, "seed must be int"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_at_once(asked, change, reason):
    with pytest.raises(UsageError, match=reason):
        submit(replace(asked, **change))
    assert list_jobs() == []


def test_a_job_that_cannot_be_started_fails_and_the_next_begins(asked, monkeypatch):
    make_run(asked, state="queued")
    second = make_run(replace(asked, detector="gru_autoencoder"), name=NAME[:-1] + "e", state="queued")
    real = subprocess.Popen

    def popen(command, **options):
        if NAME in command[3]:
            raise OSError(12, "Cannot allocate memory")
        return real(command, **options)

    monkeypatch.setattr(jobs.subprocess, "Popen", popen)
    clear_dead_jobs()
    assert read_job(runs_dir() / NAME).status.error == "could not be started: Cannot allocate memory"
    assert read_job(second).state == "running"


# --- the files ---


SAMPLES = {
    "channel": ["mean", "0", "3"],
    "preset": ["paper"],
    "seed": ["7"],
    "threads": ["2"],
    "device": ["cpu"],
    "folds": ["3"],
    "ids": ["00", "00,02"],
    "ids_from": ["folder"],
    "segment": ["10", "2.5"],
    "set": ["hidden=8", "learning_rate=0.1", "pooling=std"],
}


def train_options():
    """Each option of the `train` command with each sample value, as it would be typed."""
    commands = next(action for action in cli_parser()._actions if action.choices and "train" in action.choices)
    for action in commands.choices["train"]._actions:
        if action.dest == "hop":
            yield ["--segment", "10", "--hop", "5"]
        elif action.option_strings and action.dest not in ("help", "json", "vggish"):
            for value in [None] if action.nargs == 0 else SAMPLES.get(action.dest, ["a_text"]):
                yield [action.option_strings[-1], *([] if value is None else [value])]


@pytest.mark.parametrize("typed", list(train_options()), ids=" ".join)
def test_whatever_the_train_command_takes_can_be_asked_for_as_a_job(typed, monkeypatch, tmp_path):
    requests = []

    def noted(request, **_):
        requests.append(request)
        raise UsageError("only noted")

    monkeypatch.setattr("asd_core.tasks.train.train", noted)
    assert cli_main(["train", "lstm_predictor", "--data", str(tmp_path), *typed]) == 2
    (request,) = requests
    assert request != TrainingRequest("lstm_predictor", tmp_path, settings={})
    assert parse_request(json.loads(json.dumps(job_json(request)))) == request


def test_a_job_with_the_mean_of_channels_is_submitted(asked, monkeypatch):
    monkeypatch.setattr(jobs, "clear_dead_jobs", lambda: [])
    assert submit(replace(asked, channel="mean")).request.channel == "mean"
    assert [job.request.channel for job in list_jobs()] == ["mean"]


@pytest.mark.parametrize("channel", ["left", True, 0.5, [0]])
def test_another_channel_than_a_number_or_the_mean_is_damaged(asked, channel):
    content = job_json(asked)
    content["request"]["channel"] = channel
    with pytest.raises(ValueError, match="channel must be int or 'mean' or null"):
        parse_request(content)


def test_a_status_of_an_earlier_version_is_read(asked):
    folder = make_run(asked, error="as before")
    content = json.loads((folder / "status.json").read_text())
    del content["token"]
    (folder / "status.json").write_text(json.dumps(content))
    assert (read_job(folder).state, read_job(folder).status.error) == ("failed", "as before")


def test_a_request_and_a_status_come_back_equal(asked):
    full = replace(asked, ids=("00", "02"), channel=1, settings={"learning_rate": 0.1 + 0.2, "hidden": 8}, resume=True)
    content = {"schema": 1, "command": "train", "warnings": [], "request": request_json(full)}
    assert parse_request(json.loads(json.dumps(content))) == full
    status = Status("done", 7, "boot 1", "2026-01-31T12:00:00+00:00", model="m", version="v", warnings=("a", "b"))
    assert Status.from_json(json.loads(json.dumps(status.to_json()))) == status


HOSTILE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"schema": 1}',
    b" " * 300_000,
    b'{"pid": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("content", HOSTILE)
@pytest.mark.parametrize(("file", "state"), [("job.json", "failed"), ("status.json", "lost")])
def test_a_damaged_file_is_a_job_with_a_reason_and_the_others_stay(asked, file, state, content):
    good = make_run(asked, name=NAME[:-1] + "e", error="as before")
    folder = make_run(asked, state="queued")
    (folder / file).write_bytes(content)
    clear_dead_jobs()
    newest, damaged = list_jobs()
    assert (newest.folder, newest.status.error) == (good, "as before")
    assert (damaged.folder, damaged.state) == (folder, state)
    assert damaged.status.error.startswith(f"{file} is damaged: ")
    assert progress(damaged) == []
    delete(damaged)
    assert list_jobs() == [newest]


@pytest.mark.parametrize(
    "change",
    [
        {"state": "sleeping"},
        {"state": ["queued"]},
        {"pid": 0},
        {"pid": -1},
        {"pid": True},
        {"pid": 2**40},
        {"state": "running"},
        {"state": "done"},
        {"schema": 2},
        {"command": "score"},
        {"extra": 1},
        {"warnings": [1]},
        {"heartbeat": "noon"},
        {"heartbeat": "2026-01-31T12:00:00"},
        {"error": 3},
    ],
)
def test_a_status_with_other_keys_types_or_values_is_damaged(asked, change):
    folder = make_run(asked)
    content = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(content | change))
    assert read_job(folder).state == "lost"


@pytest.mark.parametrize(
    "change",
    [{"seed": True}, {"ids": [0]}, {"settings": {"hidden": None}}, {"data": None}, {"resume": 1}, {"shell": "x"}],
)
def test_a_request_with_other_keys_types_or_values_is_damaged(asked, change):
    folder = make_run(asked)
    content = json.loads((folder / "job.json").read_text())
    content["request"] |= change
    (folder / "job.json").write_text(json.dumps(content))
    assert (read_job(folder).state, read_job(folder).request) == ("failed", None)
    with pytest.raises(UsageError, match="cannot be repeated"):
        resubmit(read_job(folder))


def test_links_in_place_of_files_and_run_folders_are_not_followed(asked, tmp_path):
    folder = make_run(asked)
    (folder / "status.json").rename(tmp_path / "elsewhere.json")
    (folder / "status.json").symlink_to(tmp_path / "elsewhere.json")
    assert "not a regular file" in read_job(folder).status.error
    (tmp_path / "outside").mkdir()
    link = runs_dir() / (NAME[:-1] + "f")
    link.symlink_to(tmp_path / "outside")
    assert [job.folder for job in list_jobs()] == [folder]


@pytest.mark.parametrize("name", ["..", ".", "../..", "x", NAME[:-1], NAME + "/..", f"../{NAME}", NAME[:-1] + "é", ""])
def test_names_that_are_no_run_folder_touch_nothing(asked, tmp_path, name):
    make_run(asked)
    (tmp_path / NAME).mkdir()
    outside = runs_dir().parent / NAME
    outside.mkdir()
    foreign = Job(runs_dir() / name, asked, Status("failed"))
    for act in (lambda: read_job(foreign.folder), lambda: delete(foreign), lambda: cancel(foreign)):
        with pytest.raises(UsageError, match="is no run folder"):
            act()
    assert main([str(foreign.folder)]) == 2
    assert outside.is_dir()
    assert len(list_jobs()) == 1


def test_how_long_a_training_takes_is_kept_apart_from_its_finished_epochs(asked):
    folder = make_run(asked)
    job, before, first = read_job(folder), Progress(0, 3, None, None, 0.0, 40.0), Progress(1, 3, 0.5, None, 9.0, 18.0)
    assert expected_s(job) is None
    with (folder / "progress.jsonl").open("w") as stream:
        job_run._append_progress(stream, before)
        job_run._append_progress(stream, first)
    assert (expected_s(job), progress(job)) == (40.0, [first])


def test_an_unfinished_line_of_progress_is_left_out(asked):
    folder = make_run(asked)
    line = {"epoch": 1, "epochs": 3, "loss": 0.5, "heldout_loss": None, "elapsed_s": 1.0, "eta_s": 2.0}
    whole = json.dumps(line).encode() + b"\n"
    want = [Progress(1, 3, 0.5, None, 1.0, 2.0)]
    for cut in range(len(whole)):
        (folder / "progress.jsonl").write_bytes(whole + whole[:cut])
        assert progress(read_job(folder)) == want
    (folder / "progress.jsonl").write_bytes(b"{}\n\xff\n[1]\n" + whole + b'{"epoch": NaN}\n')
    assert progress(read_job(folder)) == want


def test_a_loss_that_is_not_finite_is_written_as_none(tmp_path):
    with (tmp_path / "progress.jsonl").open("w") as stream:
        job_run._append_progress(stream, Progress(1, 2, 0.5, float("inf"), 1.0, 1.0))
    assert json.loads((tmp_path / "progress.jsonl").read_text())["heldout_loss"] is None


def test_readers_see_whole_statuses_while_they_change(asked):
    folder = make_run(asked)
    ended = threading.Event()

    def change():
        number = 0
        while not ended.is_set():
            number += 1
            job_table.write_status(folder, Status("failed", error="x" * (number % 7 * 1000)))

    writer = threading.Thread(target=change)
    writer.start()
    try:
        states = {read_job(folder).state for _ in range(1000)}
    finally:
        ended.set()
        writer.join()
    assert states == {"failed"}


@pytest.mark.parametrize("state", ["queued", "running"])
def test_only_a_finished_job_is_deleted(asked, state):
    folder = make_run(asked, state=state, pid=os.getpid())
    with pytest.raises(UsageError, match="cancel it first"):
        delete(read_job(folder))
    (folder / "status.json").write_text(json.dumps(Status("done", model="m").to_json()))
    delete(read_job(folder))
    assert [path.name for path in runs_dir().iterdir() if path.is_dir()] == []
    with pytest.raises(UsageError, match="is no run folder"):
        read_job(folder)


# --- the command ---


def test_only_a_queued_job_can_be_run_by_hand(asked):
    folder = make_run(asked)
    command = [sys.executable, "-m", "asd_core.jobs", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "only a queued job can be run" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_slot_that_is_another_file_is_refused(asked, tmp_path):
    folder = make_run(asked, state="queued")
    with (tmp_path / "other").open("w") as other:
        assert main([str(folder), f"--slot={other.fileno()}"]) == 2
    assert main([str(folder), "--slot=99"]) == 2
    assert cancel(read_job(folder)).state == "cancelled"


def test_looking_makes_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "places"))
    clear_dead_jobs()
    assert (list_jobs(), list(tmp_path.iterdir())) == ([], [])
