"""Deleting a machine: everything that is kept of it is listed and removed, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from sounds import hum

from asd_core.artifacts.store import locked, open_artifact
from asd_core.artifacts.versions import READ_ONLY_MARK, save_threshold
from asd_core.audio.reading import encode_flac, encode_wav, read_waveform
from asd_core.data import library, survey
from asd_core.data.marked import mark, marked_dir
from asd_core.data.quotas import Quota, Upload
from asd_core.data.table import read_library
from asd_core.data.uploads import store_uploads
from asd_core.errors import BusyError, UsageError
from asd_core.features.cache import cache_folder, read_clip
from asd_core.features.familiarity import traits
from asd_core.jobs import table as jobs
from asd_core.jobs.chores import Sweep, sweep_path
from asd_core.jobs.listing import list_chores, list_jobs
from asd_core.jobs.table import Status
from asd_core.monitoring.arriving.arrivals import ArrivalSettings
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.delete_machine import delete_machine, what_is_kept
from asd_core.monitoring.rebaselining.quarantine import quarantine_folder
from asd_core.monitoring.table import list_tables, open_table
from asd_core.monitoring.watch import WatchRequest, watch
from asd_core.system import logs
from asd_core.system.locks import data_set_lock, hold, lock_file
from asd_core.system.logs import configure, event, log_path
from asd_core.tasks.train import TrainingRequest, train

ODD = ["Pumpe süd=1.wav", "<img src=x>.wav", "a'b\u202e.wav", "=cmd|' /C calc'!A0.wav"]


def wav(seed: int, *, knocks: int = 0) -> bytes:
    return encode_wav(hum(seed, seconds=1.0, knocks=knocks).samples)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An installation of its own that keeps features."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ASD_CACHE_MB", "500")
    monkeypatch.setattr("asd_core.features.cache._SETTLED_S", -1.0)
    monkeypatch.delenv(library.ROOTS_VARIABLE, raising=False)
    return tmp_path / "data"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "artifacts"


def trained(name: str, out: Path, *, detector: str = "vggish_mahalanobis", filed_under: str | None = None, **settings):
    known = read_library().find(name)
    request = TrainingRequest(
        detector, known.folder, name=filed_under or name, out=out, rules=known.rules, settings=settings or None
    )
    return request, train(request).model


def run_of(request, **status) -> Path:
    jobs.runs_dir().mkdir(parents=True, exist_ok=True)
    folder = jobs.make_run(request)
    jobs.write_status(folder, Status(**status, command=jobs.command_of(request)))
    return folder


def everything_about(name: str, out: Path, *, seed: int) -> None:
    """A machine with recordings, detectors of two names, versions, runs, marks, reports, watches and log entries."""
    clips = [Upload(ODD[i % len(ODD)], wav(seed + i)) for i in range(12)]
    store_uploads(name, clips, used=Quota())
    known = store_uploads(name, [Upload("worn.wav", wav(seed + 50, knocks=5))], used=Quota(), kind="worn").known
    request, model = trained(name, out)
    artifact = open_artifact(model)
    save_threshold(artifact, dataclasses.replace(artifact.threshold, value=1.5), folder=model)
    library.add_alias(f"{name}-again", name)
    trained(name, out, detector="lstm_predictor", filed_under=f"{name}-again", epochs=1, windows_per_epoch=32)
    network = out / f"{name}-again" / name / "lstm_predictor"
    run_of(request, state="done", model=str(model), version=artifact.version)
    run_of(Sweep(name, name), state="done")
    sweep_path(name, name).parent.mkdir(parents=True, exist_ok=True)
    sweep_path(name, name).write_text("{}")
    first = min((known.folder / "normal").iterdir())
    mark(read_waveform(first), "anomalous", shown_name=ODD[0])
    survey.survey(library.open_known(known, name))
    watch(WatchRequest(known.folder, network, once=True, poll_s=0.05, arrivals=ArrivalSettings(settle_s=0.0)))
    (table,) = [path for path in list_tables() if name.encode() in path.read_bytes()]
    (Beside(table).clips).mkdir(exist_ok=True)
    (Beside(table).clips / "copy.wav").write_bytes(first.read_bytes())
    marked = quarantine_folder(Beside(table)) / "copy.flac"
    marked.parent.mkdir(exist_ok=True)
    marked.write_bytes(encode_flac(read_waveform(first).samples))
    traits(read_clip(marked))
    Beside(table).notes.write_text(f"{name} is fine\n")
    event("training asked for", data=str(known.folder), data_set=name)
    event("refused", reason=f"{ODD[1]} of {name} is not read")


def contents(*roots: Path) -> dict[str, bytes]:
    """Every file by its path, with what it holds."""
    return {os.fspath(path): path.read_bytes() for root in roots for path in root.rglob("*") if path.is_file()}


def traces(words: list[str], *roots: Path) -> list[str]:
    """Files and folders that name or hold one of the words, also as JSON escapes it."""
    wanted = {form.encode() for word in words for form in (word, json.dumps(word)[1:-1])}
    held = [path for path, content in contents(*roots).items() if any(word in content for word in wanted)]
    named = [os.fspath(path) for root in roots for path in root.rglob("*")]
    return sorted({*held, *(path for path in named if any(word in path.encode() for word in wanted))})


def words_of(name: str) -> list[str]:
    """Its names, those of its owner's files, and the digests of its clips."""
    folder = read_library().find(name).folder
    digests = [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in folder.rglob("*.wav")]
    return [name, *ODD, "worn.wav", *digests]


@pytest.fixture
def logging(home):
    configure("dashboard")
    yield
    for handler in list(logs._LOGGER.handlers):
        logs._LOGGER.removeHandler(handler)
        handler.close()


def test_nothing_of_a_deleted_machine_is_left_and_everything_of_another_is(home, out, logging):
    everything_about("quietpump", out, seed=0)
    everything_about("otherfan", out, seed=500)
    words = words_of("quietpump")
    others = {path: content for path, content in contents(home, out).items() if "otherfan" in path}
    places = {Path(path).relative_to(home).parts[0] for path in traces(words, home)}
    assert places >= {"library.json", "uploads", "runs", "marked", "surveys", "sweeps", "watches", "features", "logs"}
    n_features = len(list(cache_folder().rglob("*")))

    kept = what_is_kept("quietpump", out=out)
    assert {item.title: item.n for item in kept.items} == {
        "recordings": 13,
        "their names": 13,
        "detectors, in 3 versions": 2,
        "records of trainings": 2,
        "verdicts that were marked wrong": 1,
        "reports on the recordings": 2,
        "watches, with the clips that they kept": 1,
        "computed features": kept.items[7].n,
        "entry in the list of data sets": 1,
    }
    assert kept.items[7].n > 26
    removed = delete_machine("quietpump", out=out)

    assert removed.name == "quietpump"
    assert traces([word for word in words if word not in ODD and word != "worn.wav"], home, out) == []
    assert not (home / "locks" / "quietpump.lock").exists()
    assert read_library().find("quietpump") is None
    assert read_library().find("quietpump-again") is None
    after = contents(home, out)
    assert {path: after[path] for path in others} == others
    assert len(list(marked_dir().rglob("*.wav"))) == 1
    assert n_features > len(list(cache_folder().rglob("*"))) > n_features // 3
    assert [job.request.name for job in list_jobs()] == ["otherfan"]
    assert [job.chore.name for job in list_chores()] == ["otherfan"]
    assert len(list_tables()) == 1
    log = log_path("dashboard").read_text()
    assert '"data_set": "otherfan"' in log
    assert '"data_set": "(deleted)"' in log


def test_names_of_files_are_gone_where_no_other_machine_has_them(home, out, logging):
    everything_about("quietpump", out, seed=0)
    words = words_of("quietpump")
    assert traces(words, home, out)
    delete_machine("quietpump", out=out)
    assert traces(words, home, out) == []
    assert list(cache_folder().rglob("*")) == [path for path in cache_folder().rglob("*") if path.is_dir()]
    assert list(out.iterdir()) == []


def test_the_size_that_is_said_is_that_of_the_files(home, out):
    store_uploads("quietpump", [Upload("a.wav", wav(1)), Upload("b.wav", wav(2))], used=Quota())
    kept = what_is_kept("quietpump", out=out)
    recordings, names = kept.items[:2]
    assert recordings.n_bytes == 2 * len(wav(1))
    assert names.n_bytes == (home / "uploads" / "quietpump" / "names.jsonl").stat().st_size
    assert kept.n_bytes == sum(item.n_bytes for item in kept.items)


def test_a_server_folder_stays_and_that_is_said(home, out, tmp_path, monkeypatch):
    monkeypatch.setenv(library.ROOTS_VARIABLE, str(tmp_path))
    folder = tmp_path / "recordings" / "quietpump"
    (folder / "normal").mkdir(parents=True)
    for i in range(10):
        (folder / "normal" / f"{i}.wav").write_bytes(wav(i))
    library.add_folder("quietpump", folder)
    trained("quietpump", out)
    kept = what_is_kept("quietpump", out=out)
    assert kept.items[0].stays.endswith(f"stays as it is: {folder}")
    assert kept.n_bytes == sum(item.n_bytes for item in kept.items[1:])
    delete_machine("quietpump", out=out)
    assert len(list(folder.rglob("*.wav"))) == 10
    assert traces(["quietpump"], home, out) == []


@pytest.mark.parametrize("state", ["queued", "running"])
def test_it_is_refused_while_a_training_uses_it(home, out, state):
    store_uploads("quietpump", [Upload(f"{i}.wav", wav(i)) for i in range(10)], used=Quota())
    known = read_library().find("quietpump")
    folder = run_of(TrainingRequest("vggish_mahalanobis", known.folder, name="quietpump", out=out), state="queued")
    with ExitStack() as held:
        held.enter_context(hold(jobs.slot_path(jobs.TRAIN), busy=""))
        if state == "running":
            jobs.write_status(folder, jobs.running(os.getpid()))
        with pytest.raises(BusyError, match="used by a training: stop it"):
            delete_machine("quietpump", out=out)
    assert len(list(known.folder.rglob("*.wav"))) == 10
    assert read_library().find("quietpump") is not None


def test_it_is_refused_while_the_shell_trains_it(home, out):
    store_uploads("quietpump", [Upload(f"{i}.wav", wav(i)) for i in range(10)], used=Quota())
    _, model = trained("quietpump", out)
    with locked(model), pytest.raises(BusyError, match="another process trains"):
        delete_machine("quietpump", out=out)
    assert read_library().find("quietpump") is not None
    assert model.is_dir()


def test_it_is_refused_while_it_is_being_watched(home, out):
    store_uploads("quietpump", [Upload(f"{i}.wav", wav(i)) for i in range(10)], used=Quota())
    known = read_library().find("quietpump")
    _, model = trained("quietpump", out)
    table = watch(
        WatchRequest(known.folder, model, once=True, poll_s=0.05, arrivals=ArrivalSettings(settle_s=0.0))
    ).table
    with open_table(table), pytest.raises(BusyError, match="is being watched"):
        delete_machine("quietpump", out=out)
    delete_machine("quietpump", out=out)
    assert not table.exists()


def test_what_comes_with_the_project_is_refused(home, out):
    with pytest.raises(UsageError, match="comes with the project"):
        what_is_kept("simulated-small", out=out)
    with pytest.raises(UsageError, match="no data set is called"):
        delete_machine("nothing", out=out)
    store_uploads("quietpump", [Upload(f"{i}.wav", wav(i)) for i in range(10)], used=Quota())
    trained("quietpump", out)
    (out / "quietpump" / READ_ONLY_MARK).touch()
    with pytest.raises(UsageError, match="comes with the project"):
        delete_machine("quietpump", out=out)


def test_marks_of_other_sounds_stay_with_their_lines(home, out):
    store_uploads("quietpump", [Upload("a.wav", wav(1))], used=Quota())
    (home / "b.wav").write_bytes(wav(2))
    for path in (next((home / "uploads").rglob("*.wav")), home / "b.wav"):
        mark(read_waveform(path), "normal", shown_name=path.name)
    with (marked_dir() / "marked.jsonl").open("ab") as lines_of_marks:
        lines_of_marks.write(b"damaged\n")
    delete_machine("quietpump", out=out)
    assert [path.stem for path in marked_dir().rglob("*.wav")] == [hashlib.sha256(wav(2)).hexdigest()[:16]]
    lines = (marked_dir() / "marked.jsonl").read_text().splitlines()
    assert [json.loads(line)["shown_name"] for line in lines[:-1]] == ["b.wav"]
    assert lines[-1] == "damaged"


def test_the_set_of_marks_can_be_deleted_itself(home, out):
    (home / "b.wav").parent.mkdir(parents=True)
    (home / "b.wav").write_bytes(wav(2))
    mark(read_waveform(home / "b.wav"), "normal", shown_name="b.wav")
    library.add_folder("marked", marked_dir())
    delete_machine("marked", out=out)
    assert not marked_dir().exists()


def test_a_lock_that_was_removed_by_its_holder_guards_no_longer(home):
    place = home / "locks" / "pump.lock"
    with data_set_lock("pump"):
        waiting = os.open(place, os.O_RDWR)
        place.unlink()
    os.close(waiting)
    descriptor = lock_file(place)
    assert place.exists()
    os.close(descriptor)


def test_logs_are_masked_by_whole_words_in_values_alone(home):
    folder = home / "logs"
    folder.mkdir(parents=True)
    line = {"time": "t", "event": "pump", "data": "/x/pump/a.wav", "other": "pump-2 pumps", "n": 3, "trace": ["pump"]}
    (folder / "dashboard.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "jobs.jsonl.1").write_text('{"event": "other"}\n')
    assert logs.mask(["pump"]) == 1
    masked = json.loads((folder / "dashboard.jsonl").read_text())
    assert masked == {**line, "data": "/x/(deleted)/a.wav", "trace": ["(deleted)"]}
    assert (folder / "jobs.jsonl.1").read_text() == '{"event": "other"}\n'
