"""Two dashboards at once, and links that somebody puts in the way between a check and what it was for."""

from __future__ import annotations

import io
import json
import logging
import multiprocessing
import os
import random
import shutil
import threading
import zipfile
from pathlib import PurePath

import pytest
from sounds import hum

from asd_core.artifacts import versions
from asd_core.artifacts.store import list_versions, open_artifact, publish
from asd_core.artifacts.versions import save_threshold
from asd_core.audio.reading import encode_wav
from asd_core.data import library, marked, table, uploads
from asd_core.data.dcase2020 import unpacking
from asd_core.data.marked import LABELS, mark, marked_dir
from asd_core.data.quotas import Quota, Upload
from asd_core.data.uploads import store_uploads
from asd_core.errors import BusyError, DataSetError, DownloadError, StaleVersionError, UsageError
from asd_core.evaluation.thresholds import Threshold
from asd_core.system import disk, files, locks
from asd_core.system.locks import hold, is_held
from asd_core.system.logs import _JsonLines
from asd_core.tasks import storage
from asd_core.tasks.train import TrainingRequest, train
from pages.shared import cache
from pages.shared.context import Chosen


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    (tmp_path / "outside").mkdir()
    return tmp_path / "data"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    data = tmp_path_factory.mktemp("races") / "pump"
    for seed in range(20):
        path = data / "normal" / f"{seed:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav(seed))
    return train(TrainingRequest("vggish_ocsvm", data, out=data.parent / "out")).model


@pytest.fixture
def model(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "out" / "pump" / "pump" / "vggish_ocsvm")


def wav(seed):
    return encode_wav(hum(seed, seconds=1.0).samples)


def manual(value):
    return Threshold(value, "manual", False, None, 0)


def published(folder):
    artifact = open_artifact(folder)
    return publish(folder, manifest=artifact.manifest, state=artifact.detector().state, scores=artifact.scores.clips)


def swapped(monkeypatch, module, name, before):
    """Let `before` happen once, just before a function of a module does its work: what an attacker hopes for."""
    real, waiting = getattr(module, name), [before]

    def call(*arguments, **named):
        if waiting:
            waiting.pop()()
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, call)


def replace_by_link(folder, target):
    folder.rename(folder.with_name(f"{folder.name}-away"))
    folder.symlink_to(target, target_is_directory=True)


# --- links between a check and its use ---


@pytest.mark.parametrize("part", ["set", "set/normal"])
def test_an_upload_is_not_written_through_a_link_that_comes_after_the_check(home, monkeypatch, part):
    store_uploads("set", [Upload("a.wav", wav(1))], used=Quota())
    outside = home.parent / "outside"
    (outside / "normal").mkdir()
    swapped(monkeypatch, uploads, "replace_beneath", lambda: replace_by_link(home / "uploads" / part, outside))
    with pytest.raises(DataSetError, match="leads elsewhere"):
        store_uploads("set", [Upload("b.wav", wav(2))], used=Quota())
    assert [path.name for path in outside.rglob("*")] == ["normal"]


def test_nothing_outside_is_deleted_through_a_link_that_comes_after_the_check(home, monkeypatch):
    store_uploads("set", [Upload("a.wav", wav(1))], used=Quota())
    precious = home.parent / "outside" / "set" / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("keep me")
    swapped(monkeypatch, disk, "rename_beneath", lambda: replace_by_link(home / "uploads", home.parent / "outside"))
    with pytest.raises(UsageError, match="leads out of"):
        library.delete_data_set("set")
    assert precious.read_text() == "keep me"


def test_a_refusal_below_a_root_names_the_whole_path(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(OSError, match=r"link/clip\.wav") as refused:
        files.replace_beneath(tmp_path, PurePath("link", "clip.wav"), b"")
    assert refused.value.filename == str(tmp_path / "link" / "clip.wav")


def test_a_mark_is_not_written_through_a_link(home):
    marked_dir().mkdir()
    (marked_dir() / "normal").symlink_to(home.parent / "outside", target_is_directory=True)
    with pytest.raises(OSError, match="normal"):
        mark(hum(1), "normal")
    assert not list((home.parent / "outside").iterdir())


@pytest.mark.parametrize("part", ["slider", "slider/train"])
def test_no_clip_is_unpacked_through_a_link_that_comes_while_unpacking(tmp_path, monkeypatch, part):
    outside, staging = tmp_path / "outside", tmp_path / "staging"
    for place in (outside / "train", outside / "test", staging / "slider" / "train", staging / "slider" / "test"):
        place.mkdir(parents=True)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(
            "slider/train/normal_id_00_00000000.wav", b"RIFF\0\0\0\0WAVE" + random.Random(1).randbytes(999)
        )
    replace_by_link(staging / part, outside)
    with zipfile.ZipFile(stream) as archive, pytest.raises(OSError, match="normal_id_00"):
        unpacking._copy_clip(archive, archive.infolist()[0], staging, 10**6)
    assert not [path for path in outside.rglob("*") if path.is_file()]


def test_a_link_in_the_place_of_unpacked_clips_gets_no_name(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "staged").symlink_to(tmp_path / "outside")
    with pytest.raises(DownloadError, match="replaced by a link"):
        unpacking._rename_folder(tmp_path / "staged", tmp_path / "slider")
    assert not os.path.lexists(tmp_path / "slider")


def test_an_archive_that_became_a_link_is_not_opened(tmp_path):
    (tmp_path / "real.zip").write_bytes(b"x")
    (tmp_path / "dev_data_slider.zip").symlink_to(tmp_path / "real.zip")
    (tmp_path / "to").mkdir()
    with pytest.raises(DownloadError, match="symbolic link"):
        unpacking.unpack(tmp_path / "dev_data_slider.zip", tmp_path / "to", machine="slider", part="dev")


def test_a_file_below_a_root_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    place = files.PurePath("a", "b", "clip.wav")
    files.replace_beneath(tmp_path, place, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        files.replace_beneath(tmp_path, place, b"new")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "a" / "b").iterdir()] == [("clip.wav", b"old")]


# --- two dashboards ---


def together(act, *arguments):
    """Run the same in two processes at once, each with its number; their exit codes."""
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=act, args=(number, *arguments)) for number in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    return [process.exitcode for process in both]


def _upload(number):
    for at in range(6):
        clips = [Upload(f"{number}-{at}.wav", wav(100 * number + at)), Upload("same.wav", wav(at))]
        store_uploads("shared", clips, used=Quota())


def test_two_dashboards_upload_into_one_data_set_and_no_name_is_lost(home):
    assert together(_upload) == [0, 0]
    known = table.read_library().find("shared")
    names = uploads.upload_names(known).names
    on_disk = {path.relative_to(known.folder).as_posix() for path in known.folder.rglob("*.wav")}
    assert set(names) == on_disk
    assert len(on_disk) == 12
    assert not list(known.folder.rglob(".tmp-*"))


def _mark(number):
    for _ in range(20):
        for seed in range(3):
            mark(hum(seed, seconds=0.5), LABELS[number])


def test_two_dashboards_mark_the_same_clips_and_each_has_one_label(home):
    assert together(_mark) == [0, 0]
    found = sorted(path.name for label in LABELS for path in (marked_dir() / label).iterdir())
    assert len(found) == len(set(found)) == 3
    lines = (marked_dir() / "marked.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 120


def test_a_mark_waits_for_that_of_another_dashboard_whatever_its_label(home, monkeypatch):
    monkeypatch.setattr(locks, "DATA_SET_WAIT_S", 0.05)
    with locks.data_set_lock(marked.DATA_SET_NAME):
        for label in LABELS:
            with pytest.raises(BusyError, match="marked is busy"):
                mark(hum(1), label)
    assert mark(hum(1), "normal").is_file()


def test_a_mark_that_cannot_be_written_keeps_the_one_before(home, monkeypatch):
    mark(hum(1), "normal")
    monkeypatch.setattr(marked, "encode_wav", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        mark(hum(1), "anomalous")
    assert marked.marked_label(hum(1).digest) == "normal"


def _save(number, model):
    for at in range(10):
        while not _saved(model, float(10 * number + at)):
            continue


def _saved(model, value):
    """Whether a threshold was saved; not where the other process saves now, or has saved since this one looked."""
    try:
        save_threshold(open_artifact(model), manual(value), folder=model)
    except (BusyError, StaleVersionError):
        return False
    return True


def test_two_dashboards_save_thresholds_and_every_version_is_whole(model):
    assert together(_save, model) == [0, 0]
    found = [open_artifact(folder) for folder in list_versions(model)]
    assert len(found) == 1 + 2 * 10
    assert len({artifact.version[:5] for artifact in found}) == len(found)
    assert open_artifact(model).version == found[-1].version
    assert not list(model.glob(".tmp-*"))


def test_a_version_that_another_dashboard_deletes_is_refused_in_plain_words(model, monkeypatch):
    first = open_artifact(model).version
    published(model)
    out = model.parents[2]
    real = versions.locked

    def locked(folder):
        monkeypatch.setattr(versions, "locked", real)
        versions.delete_version(model, first, out=out)  # just before this one has the lock
        return real(folder)

    monkeypatch.setattr(versions, "locked", locked)
    with pytest.raises(UsageError, match="has no version"):
        versions.delete_version(model, first, out=out)


def test_a_save_and_a_deletion_of_an_old_version_do_not_trip_over_each_other(model, monkeypatch):
    aside = model / f"{disk.ASIDE}0a1b2c"
    shutil.copytree(open_artifact(model).folder, aside)
    os.utime(aside, (1e9, 1e9))
    real, gone = os.unlink, []

    def unlink(path, **named):
        if aside in getattr(path, "parents", ()) and not gone:
            gone.append(path)
            shutil.rmtree(aside)  # the other process ends first
        return real(path, **named)

    monkeypatch.setattr(os, "unlink", unlink)
    published(model)
    assert gone
    assert not aside.exists()


def test_a_folder_that_two_processes_remove_is_removed(tmp_path, monkeypatch):
    folder = tmp_path / f"{disk.ASIDE}1"
    for name in "abcdef":
        (folder / name).mkdir(parents=True)
        (folder / name / "x").write_text("x")
    threads = [threading.Thread(target=shutil.rmtree, args=(folder / name,)) for name in "ace"]
    real = os.rmdir

    def rmdir(path, **named):
        while threads:
            other = threads.pop()
            other.start()
            other.join()
        return real(path, **named)

    monkeypatch.setattr(os, "rmdir", rmdir)
    disk.remove_tree(folder)
    assert not folder.exists()


def test_a_cache_that_another_dashboard_empties_is_no_fault(home, monkeypatch):
    (home / "features" / "00").mkdir(parents=True)
    swapped(monkeypatch, disk, "rename_beneath", lambda: shutil.rmtree(home / "features"))
    storage.empty_cache("features", out=home)
    assert not (home / "features").exists()


def test_what_another_server_published_between_two_looks_is_not_kept_under_the_old_name(model, monkeypatch):
    first = open_artifact(model).version
    chosen = Chosen("pump", "pump", {"vggish_ocsvm": model})
    real = cache.read_current

    def read_and_publish(folder):
        text = real(folder)
        published(folder)
        return text

    monkeypatch.setattr(cache, "read_current", read_and_publish)
    good, _ = cache.artifacts(chosen)
    assert good["vggish_ocsvm"].version == first
    monkeypatch.setattr(cache, "read_current", real)
    good, _ = cache.artifacts(chosen)
    assert good["vggish_ocsvm"].version == open_artifact(model).version != first


def test_two_dashboards_write_to_one_log_and_only_full_files_are_put_away(tmp_path):
    path = tmp_path / "dashboard.jsonl"
    both = [_JsonLines(path), _JsonLines(path)]

    def write(handler, text):
        handler.emit(logging.LogRecord("asd_core", logging.INFO, "", 0, text, None, None))

    for handler in both:
        handler.maxBytes = 20_000
        write(handler, "began")
    for _ in range(200):
        write(both[0], "x" * 200)
    n_before = len(list(tmp_path.iterdir()))
    write(both[1], "the other one")
    for handler in both:
        handler.close()
    assert "the other one" in path.read_text()
    assert len(list(tmp_path.iterdir())) == n_before
    assert all(each.stat().st_size > 15_000 for each in tmp_path.iterdir() if each != path)


def test_looking_at_a_lock_makes_nothing_and_does_not_take_it(tmp_path):
    lock = tmp_path / "folder" / ".lock"
    assert not is_held(lock)
    assert not lock.parent.exists()
    with hold(lock, busy="held"):
        assert is_held(lock)
    assert not is_held(lock)
