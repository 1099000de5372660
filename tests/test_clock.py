"""A clock that is set back or forward: nothing is lost, judged twice, or kept for ever."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sounds import hum

from asd_core.artifacts.store import open_artifact, publish
from asd_core.audio.reading import encode_wav
from asd_core.features import cache as feature_cache
from asd_core.features.cache import FeatureCache, read_clip
from asd_core.jobs import queue as jobs
from asd_core.jobs import run as job_run
from asd_core.jobs import table as job_table
from asd_core.jobs.listing import list_jobs
from asd_core.monitoring.arriving.arrivals import ArrivalSettings
from asd_core.monitoring.table import Tail
from asd_core.monitoring.watch import WatchRequest, watch
from asd_core.system import clock as system_clock
from asd_core.system.locks import hold
from asd_core.tasks.train import TrainingRequest, train

YEAR_S = 365 * 86_400.0


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A detector of a hum, and the clips it was trained on."""
    data = tmp_path_factory.mktemp("clock") / "pump"
    for seed in range(20):
        path = data / "normal" / f"{seed:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_wav(hum(seed, seconds=1.0).samples))
    return train(TrainingRequest("vggish_ocsvm", data, out=data.parent / "out")).model, data


@pytest.fixture
def clock(monkeypatch):
    """Return a function that sets the clock of this process forward or back by so many seconds."""
    real, shift = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + shift[0])

    class Shifted(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=shift[0])

    for module in (job_table, system_clock):
        monkeypatch.setattr(module, "datetime", Shifted)

    def move(seconds):
        shift[0] += seconds

    return move


def dated(path, at_s):
    os.utime(path, (at_s, at_s))
    return path


def test_after_the_clock_was_set_back_the_cache_keeps_what_is_in_use(tmp_path, clock):
    clock(YEAR_S)
    cache = FeatureCache(tmp_path, 40 * 4096)
    for number in range(36):
        cache.write(f"before {number}", b"x" * 3000)
        dated(cache._place(f"before {number}"), time.time())
    clock(-YEAR_S)
    for number in range(12):
        cache.write(f"after {number}", b"x" * 3000)
    assert all(cache.read(f"after {number}") is not None for number in range(12))
    assert cache.n_bytes() <= 40 * 4096


def test_pieces_that_a_killed_writer_left_before_the_clock_was_set_back_are_removed(tmp_path):
    cache = FeatureCache(tmp_path, 40 * 4096)
    cache.write("kept", b"x")
    piece = cache._place("kept").with_name(".partial-1-a")
    piece.write_bytes(b"half")
    dated(piece, time.time() + 60)
    cache.n_bytes()
    assert piece.exists()  # clocks of two machines differ a little: somebody may be writing it
    dated(piece, time.time() + YEAR_S)
    cache.n_bytes()
    assert not piece.exists()


def test_what_a_killed_save_left_before_the_clock_was_set_back_is_removed_by_the_next(trained, tmp_path):
    folder = tmp_path / "set" / "pump" / "vggish_ocsvm"
    shutil.copytree(trained[0], folder)
    (folder / ".tmp-v0009-0a").mkdir()
    (folder / ".tmp-v0009-0a" / "manifest.json").write_text("{")
    dated(folder / ".tmp-v0009-0a", time.time() + YEAR_S)
    artifact = open_artifact(folder)
    publish(folder, manifest=artifact.manifest, state=artifact.detector().state, scores=artifact.scores.clips)
    assert not list(folder.glob(".tmp-*"))


@pytest.mark.parametrize("seconds", [-YEAR_S, YEAR_S])
def test_a_clip_that_changes_is_never_taken_from_the_cache_whatever_the_clock_says(
    tmp_path, monkeypatch, clock, seconds
):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("ASD_CACHE_MB", "64")
    path = tmp_path / "clip.wav"
    digests = set()
    for seed in range(3):
        path.write_bytes(encode_wav(hum(seed).samples))
        clock(seconds)  # just after it was written
        digests.add(read_clip(path).digest)
        assert read_clip(path).digest in digests
    assert len(digests) == 3


def test_a_young_clip_is_not_trusted_by_its_status_where_it_seems_to_come_from_the_future(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(b"x")
    dated(path, time.time() + YEAR_S)
    assert not feature_cache._is_settled(os.lstat(path))


@pytest.mark.parametrize("seconds", [-YEAR_S, -1.0, YEAR_S])
def test_jobs_keep_the_order_in_which_they_were_asked_for(trained, tmp_path, monkeypatch, clock, seconds):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(job_run, "MIN_FREE_BYTES", 1)
    monkeypatch.setattr(jobs, "clear_dead_jobs", lambda: None)  # nothing is started
    asked = []
    for detector in ("vggish_ocsvm", "vggish_knn", "vggish_mahalanobis"):
        asked.append(jobs.submit(TrainingRequest(detector, trained[1], out=tmp_path / "out")).name)
        clock(seconds)
    assert [job.name for job in reversed(list_jobs())] == asked
    assert all(job.submitted_at.tzinfo is UTC for job in list_jobs())


def test_a_folder_of_a_run_that_bears_no_date_does_not_stop_the_queue(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(job_run, "MIN_FREE_BYTES", 1)
    monkeypatch.setattr(jobs, "clear_dead_jobs", lambda: None)
    (tmp_path / "runs" / "99999999T999999999999Z-00000000").mkdir(parents=True)
    assert jobs.submit(TrainingRequest("vggish_ocsvm", trained[1], out=tmp_path / "out")).state == "queued"


@pytest.mark.parametrize("seconds", [-YEAR_S, YEAR_S])
def test_a_running_job_is_neither_lost_nor_ended_by_the_clock(tmp_path, monkeypatch, clock, seconds):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))
    status = job_table.running(os.getpid())
    clock(seconds)
    assert jobs._is_alive(status)


def test_a_lock_that_is_held_does_not_grow_old(tmp_path):
    with hold(tmp_path / ".lock", busy="held"):
        dated(tmp_path / ".lock", 1.0)
        with pytest.raises(Exception, match="held"), hold(tmp_path / ".lock", busy="held"):
            pass


def test_a_watch_judges_each_clip_once_whatever_the_clock_says(trained, tmp_path, clock):
    model, _ = trained
    folder, table = tmp_path / "in", tmp_path / "t.csv"
    folder.mkdir()
    times = {"old": 1.0, "now": time.time(), "future": time.time() + YEAR_S}
    for seed, (name, at_s) in enumerate(times.items()):
        dated(folder / _written(folder / f"{name}.wav", seed), at_s)
        report = watch(
            WatchRequest(folder, model, table, once=True, poll_s=0.05, arrivals=ArrivalSettings(settle_s=0.0))
        )
        assert (report.n_before, report.n_judged) == (seed, 1)
        clock(-YEAR_S)
    rows = Tail(table).update()
    assert [Path(row.path).name for row in rows] == ["old.wav", "now.wav", "future.wav"]
    assert [row.time for row in rows] == sorted((row.time for row in rows), reverse=True)  # as the clock said


def _written(path, seed):
    path.write_bytes(encode_wav(hum(seed, seconds=1.0).samples))
    return path
