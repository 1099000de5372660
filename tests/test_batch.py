"""Scoring in parts: killed workers and clients, other runs, clusters out of reach; always the bytes of a quiet run."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from sounds import PROJECT, hum

from asd_core.audio.reading import encode_wav
from asd_core.cli import main
from asd_core.errors import ArtifactError, BusyError, UsageError
from asd_core.system.locks import hold
from asd_core.tasks import cluster as dask_cluster
from asd_core.tasks import score_many as batch
from asd_core.tasks import score_parts
from asd_core.tasks.score import ScoreRow
from asd_core.tasks.score_many import Model, Part, Run, package_versions, score_part, score_to, version_warnings
from asd_core.tasks.score_parts import read_rows, write_csv

MODEL = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"
N_GOOD, N_BAD, PART_SIZE = 300, 100, 5
PATIENCE_S = 120


def bad_contents(wav: bytes) -> list[bytes]:
    """Ten ways to be no recording."""
    not_finite = np.full(8000, np.nan, dtype="<f4").tobytes()
    float_head = wav[:20] + b"\x03\x00\x01\x00" + wav[24:28] + b"\x00\xfa\x00\x00\x04\x00\x20\x00data"
    return [
        b"",
        b"not a recording " * 100,
        wav[:40],
        wav[:44],
        wav[:1000],
        wav[:22] + b"\x09\x00" + wav[24:],  # nine channels
        wav[:24] + b"\x01\x00\x00\x00" + wav[28:],  # 1 Hz
        wav[:20] + b"\x11\x00" + wav[22:],  # ADPCM
        b"fLaC" + wav[4:],
        float_head + len(not_finite).to_bytes(4, "little") + not_finite,
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with `clips`: 300 good and 100 bad files."""
    root = tmp_path_factory.mktemp("corpus")
    (root / "clips").mkdir()
    good = [encode_wav(hum(seed, seconds=0.6).samples) for seed in range(30)]
    bad = bad_contents(good[0])
    for number in range(N_GOOD):
        (root / "clips" / f"good_{number:03d}.wav").write_bytes(good[number % len(good)])
    for number in range(N_BAD):
        (root / "clips" / f"bad_{number:03d}.wav").write_bytes(bad[number % len(bad)])
    return root


def test_a_clip_that_several_models_refuse_is_one_refused_clip(tmp_path):
    """Six rows of three clips under two models: one clip refused by both, one by the second alone."""
    statuses = {"a.wav": ("ok", "warning"), "b.wav": ("refused", "refused"), "c.wav": ("ok", "refused")}
    rows = [
        ScoreRow(path, f"m{at}", "", status, "", None if status == "refused" else 0.5, 0.6, "", True)
        for path, own in statuses.items()
        for at, status in enumerate(own)
    ]
    (tmp_path / "part-0.parquet").write_bytes(score_parts.parquet_bytes(rows[:3]))
    (tmp_path / "part-1.parquet").write_bytes(score_parts.parquet_bytes(rows[3:]))
    told = []
    found = score_parts.count_rows(tmp_path, ["part-0.parquet", "part-1.parquet"], told.append)
    assert found == {"statuses": {"ok": 2, "warning": 1, "refused": 3}, "n_refused": 2}
    assert [(row.path, row.model) for row in told] == [("b.wav", "m0"), ("b.wav", "m1"), ("c.wav", "m1")]


def test_rows_of_parts_say_whether_the_detector_was_trained_on_simulated_sound(tmp_path):
    rows = [
        ScoreRow("a.wav", "rail", "", "ok", "", 0.5, 0.6, "normal", True),
        ScoreRow.refused("b.wav", "pump", "", "open: no", False),
    ]
    (tmp_path / "part").write_bytes(score_parts.parquet_bytes(rows))
    assert pq.read_schema(tmp_path / "part").names[-1] == "simulated"
    assert list(read_rows(tmp_path, ["part"])) == rows
    write_csv(tmp_path, ["part"], tmp_path / "joined.csv")
    assert [line.rsplit(",", 1)[1] for line in (tmp_path / "joined.csv").read_text().splitlines()] == [
        "simulated",
        "true",
        "false",
    ]


def test_a_part_of_an_earlier_release_is_read_and_its_column_filled_from_the_model(tmp_path, monkeypatch):
    row = ScoreRow("a.wav", "rail", "", "ok", "", 0.5, 0.6, "normal", True)
    with monkeypatch.context() as earlier:
        before = [field for field in dataclass_fields(ScoreRow) if field.name != "simulated"]
        earlier.setattr(score_parts, "fields", lambda _: before)
        (tmp_path / "part").write_bytes(score_parts.parquet_bytes([row]))
    assert "simulated" not in pq.read_schema(tmp_path / "part").names
    assert list(read_rows(tmp_path, ["part"])) == [replace(row, simulated=None)]
    assert list(read_rows(tmp_path, ["part"], simulated={"rail": True})) == [row]
    write_csv(tmp_path, ["part"], tmp_path / "open.csv")
    write_csv(tmp_path, ["part"], tmp_path / "joined.csv", simulated={"rail": True})
    assert (tmp_path / "open.csv").read_text().splitlines()[1].endswith(",normal,")
    assert (tmp_path / "joined.csv").read_text().splitlines()[1].endswith(",normal,true")


def start(*arguments, cwd, **environment):
    """Start a module of Python in a process of its own; its output goes to pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", *map(os.fspath, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def score(*arguments, cwd):
    """Start a `score` of the corpus with small parts."""
    return start("asd_core", "score", "clips", "--model", MODEL, *arguments, cwd=cwd)


def finished(process):
    """Exit code, standard output and standard error, without a traceback."""
    out, err = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err, err
    return process.returncode, out, err


@pytest.fixture(scope="module")
def plain(corpus):
    """What the plain command writes: CSV bytes and standard error."""
    code, _, err = finished(score("--csv", "plain.csv", cwd=corpus))
    assert code == 3
    return (corpus / "plain.csv").read_bytes(), err


@pytest.fixture(scope="module")
def quiet(corpus, plain):
    """A run on local processes that nobody disturbed: name to bytes of its parts."""
    code, out, err = finished(score(*into("quiet"), "--csv", "quiet.csv", "--json", "quiet.json", cwd=corpus))
    assert (code, out) == (3, "quiet\n")
    assert err == plain[1]
    assert (corpus / "quiet.json").read_bytes() == (corpus / "quiet" / "run.json").read_bytes()
    return parts_of(corpus / "quiet")


def into(folder, **options):
    named = {"workers": 2, "part-size": PART_SIZE, **options}
    return "--to", folder, *(text for name, value in named.items() if value for text in (f"--{name}", str(value)))


def parts_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("part-*.parquet")}


def until(claim, *, process=None):
    """Wait until a claim holds; it must before the process ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@contextlib.contextmanager
def cluster(folder: Path, *, python_path: str = str(PROJECT)):
    """A scheduler and two workers without nannies on the loopback address; gives its address and the workers."""
    folder.mkdir()
    common = (
        "--host",
        "127.0.0.1",
        "--no-dashboard",
        "--dashboard-address",
        "127.0.0.1:0",
        "--scheduler-file",
        folder / "scheduler.json",
    )
    processes = [start("distributed.cli.dask_scheduler", "--port", "0", *common, cwd=folder)]
    try:
        until(lambda: (folder / "scheduler.json").is_file(), process=processes[0])
        for _ in range(2):
            options = ("--nthreads", "1", "--no-nanny", *common)
            processes.append(start("distributed.cli.dask_worker", *options, cwd=folder, PYTHONPATH=python_path))
        yield json.loads((folder / "scheduler.json").read_text())["address"], processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def rows_of(text: bytes):
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def test_300_good_and_100_bad_files_give_300_scores_and_100_reasons_and_a_rerun_the_same(corpus, plain):
    rows = rows_of(plain[0])
    assert len(rows) == N_GOOD + N_BAD
    assert Counter(row["status"] == "refused" for row in rows) == {False: N_GOOD, True: N_BAD}
    for row in rows:
        assert bool(row["anomaly_score"]) == Path(row["path"]).name.startswith("good")
        assert bool(row["verdict"]) == bool(row["anomaly_score"])
        assert row["anomaly_score"] or ": " in row["reason"]
    assert len({row["reason"].partition(":")[0] for row in rows if row["status"] == "refused"}) >= 6
    folded = re.findall(r"^refused (?:(\d+) files|clips/bad_\d+\.wav): ", plain[1], re.MULTILINE)
    assert sum(int(n or 1) for n in folded) == N_BAD
    assert 6 <= len(folded) < N_BAD / 4
    code, _, err = finished(score("--csv", "again.csv", cwd=corpus))
    assert (code, err, (corpus / "again.csv").read_bytes()) == (3, plain[1], plain[0])


def test_parts_on_local_processes_join_to_the_bytes_of_the_plain_csv(corpus, plain, quiet):
    assert len(quiet) == (N_GOOD + N_BAD) // PART_SIZE
    assert (corpus / "quiet.csv").read_bytes() == plain[0]


def test_workers_of_this_machine_take_one_thread_and_keep_freed_memory():
    """Dask's own trimming of freed memory makes networks slower by half."""
    with dask_cluster.dask_client(None, 1) as client:
        (found,) = client.run(lambda: dict(os.environ)).values()
    assert {name: found[name] for name in dask_cluster.WORKER_ENVIRONMENT} == dask_cluster.WORKER_ENVIRONMENT
    assert not [name for name in found if name.startswith("MALLOC_")]


def test_run_json_says_what_came_out(corpus, quiet):
    report = json.loads((corpus / "quiet" / "run.json").read_text())
    assert (report["schema"], report["command"], report["warnings"]) == (1, "score", [])
    assert report["parts"] == sorted(quiet)
    assert report["n_clips"] == sum(report["statuses"].values()) == N_GOOD + N_BAD
    assert report["statuses"]["refused"] == report["n_refused"] == N_BAD
    assert [(model["model"], model["version"]) for model in report["models"]] == [(str(MODEL), version_of(MODEL))]
    assert len(report["models"][0]["digest"]) == 64
    assert report["models"][0]["simulated"] is True


def version_of(model: Path) -> str:
    return (model / "current").read_text().split()[0]


def test_a_part_holds_the_columns_of_the_csv_with_null_where_one_is_empty(corpus, quiet):
    table = pq.read_table(corpus / "quiet" / min(quiet))
    assert table.column_names == list(rows_of((corpus / "plain.csv").read_bytes())[0])
    first = table.to_pylist()[0]
    assert first["status"] == "refused"
    assert first["anomaly_score"] is first["threshold"] is first["verdict"] is None
    assert str(table.schema.field("anomaly_score").type) == "double"


def test_a_killed_run_on_local_processes_leaves_none_behind_and_goes_on(corpus, plain, quiet):
    run = score(*into("killed"), cwd=corpus)
    until(lambda: len(parts_of(corpus / "killed")) >= 3, process=run)
    children = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.communicate()
    assert not psutil.wait_procs(children, timeout=PATIENCE_S)[1]
    before = parts_of(corpus / "killed")
    assert 3 <= len(before) < len(quiet)
    assert not (corpus / "killed" / "run.json").exists()
    places = {name: (corpus / "killed" / name).stat().st_ino for name in before}
    assert finished(score(*into("killed"), "--csv", "killed.csv", cwd=corpus))[0] == 3
    assert parts_of(corpus / "killed") == quiet
    assert {name: (corpus / "killed" / name).stat().st_ino for name in before} == places
    assert (corpus / "killed.csv").read_bytes() == plain[0]


def test_a_cluster_gives_the_same_bytes_when_a_worker_is_killed_in_the_midst(corpus, quiet, tmp_path):
    with cluster(tmp_path / "cluster") as (address, workers):
        run = score(*into("lame", workers=0, cluster=address), cwd=corpus)
        until(lambda: len(parts_of(corpus / "lame")) >= 3, process=run)
        workers[0].send_signal(signal.SIGKILL)
        n_before = len(parts_of(corpus / "lame"))
        assert finished(run)[0] == 3
    assert n_before < len(quiet)
    assert parts_of(corpus / "lame") == quiet


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes_when_the_client_is_killed_and_says_which_versions_differ(
    corpus, quiet, tmp_path
):
    other = tmp_path / "other" / "soxr-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: soxr\nVersion: 0.0.1\n")
    with cluster(tmp_path / "cluster", python_path=f"{other.parent}{os.pathsep}{PROJECT}") as (address, _):
        command = (*into("orphan", workers=0, cluster=address),)
        run = score(*command, cwd=corpus)
        until(lambda: len(parts_of(corpus / "orphan")) >= 3, process=run)
        run.kill()
        run.communicate()
        assert len(parts_of(corpus / "orphan")) < len(quiet)
        code, _, err = finished(score(*command, cwd=corpus))
    assert code == 3
    assert "warning: versions: a worker has soxr 0.0.1, this machine" in err
    assert parts_of(corpus / "orphan") == quiet


def test_a_finished_run_is_not_done_again(corpus, quiet, monkeypatch):
    monkeypatch.chdir(corpus)
    monkeypatch.setattr(batch, "dask_client", None)
    times = {name: (corpus / "quiet" / name).stat().st_mtime_ns for name in quiet}
    report = (corpus / "quiet" / "run.json").read_bytes()
    refused = []
    score_to([Path("clips")], [MODEL], Path("quiet"), part_size=PART_SIZE, on_refused=refused.append)
    assert {name: (corpus / "quiet" / name).stat().st_mtime_ns for name in quiet} == times
    assert (corpus / "quiet" / "run.json").read_bytes() == report
    assert len(refused) == N_BAD


@pytest.mark.parametrize(
    ("clips", "part_size"), [("clips/good_000.wav", PART_SIZE), ("clips", PART_SIZE + 1)], ids=["clips", "part size"]
)
def test_a_folder_of_another_run_is_refused(corpus, quiet, monkeypatch, clips, part_size):
    monkeypatch.chdir(corpus)
    with pytest.raises(UsageError, match="holds another run"):
        score_to([Path(clips)], [MODEL], Path("quiet"), part_size=part_size)
    assert parts_of(corpus / "quiet") == quiet


def test_a_folder_with_other_files_is_refused(corpus, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        score_to([corpus / "clips"], [MODEL], tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == ["notes.txt"]


def test_a_second_command_into_the_same_folder_is_told_that_it_is_busy(corpus, tmp_path):
    with hold(tmp_path / ".lock", busy="first"), pytest.raises(BusyError, match="another process scores into it"):
        score_to([corpus / "clips"], [MODEL], tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"PAR1", slice(0, -20), slice(4, None)], ids=str)
def test_a_missing_or_damaged_part_is_named(corpus, quiet, tmp_path, content):
    name = min(quiet)
    if content is not None:
        (tmp_path / name).write_bytes(quiet[name][content] if isinstance(content, slice) else content)
    with pytest.raises(UsageError, match=f"{name} is missing or damaged: run the same command again"):
        write_csv(tmp_path, [name], tmp_path / "joined.csv")
    assert not (tmp_path / "joined.csv").exists()


def served_with_a_flipped_bit(content: bytes, bits, path: Path) -> list[int]:
    """Those of the bits that, one at a time, can be flipped in a part without its being refused."""
    served = []
    for bit in bits:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            list(read_rows(path.parent, [path.name]))
        except UsageError:
            continue
        served.append(bit)
    return served


def test_a_part_with_a_flipped_bit_is_refused_wherever_the_bit_lies(quiet, tmp_path):
    content = quiet[max(quiet)]
    bits = np.random.default_rng(0).choice(8 * len(content), 1000, replace=False)
    assert served_with_a_flipped_bit(content, bits, tmp_path / "part.parquet") == []
    (tmp_path / "part.parquet").write_bytes(content)
    assert len(list(read_rows(tmp_path, ["part.parquet"]))) == PART_SIZE


@pytest.mark.slow
def test_a_part_with_any_one_bit_flipped_is_refused(quiet, tmp_path):
    content = quiet[max(quiet)]
    assert served_with_a_flipped_bit(content, range(8 * len(content)), tmp_path / "part.parquet") == []


def test_only_damaged_and_missing_parts_are_scored_again(run, tmp_path, monkeypatch):
    scored = []

    def score_here(_client, run, parts):
        for part in parts:
            scored.append(part.file)
            yield part, score_part(run, part)

    monkeypatch.setattr(batch, "dask_client", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(batch, "_scored", score_here)
    parts = [Part(f"part-0000{number}-0.parquet", (f"{number}.wav",)) for number in range(3)]
    batch._score_missing(run, parts, None, 1, None)
    before = parts_of(tmp_path)
    damaged = bytearray(before[parts[1].file])
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / parts[1].file).write_bytes(damaged)
    (tmp_path / parts[2].file).unlink()
    scored.clear()
    batch._score_missing(run, parts, None, 1, None)
    assert scored == [parts[1].file, parts[2].file]
    assert parts_of(tmp_path) == before


def test_a_worker_scores_a_damaged_part_again(run, tmp_path):
    part = Part("part-00000-0.parquet", ("a.wav",))
    score_part(run, part)
    content = (tmp_path / part.file).read_bytes()
    (tmp_path / part.file).write_bytes(content[:-1] + b"2")
    score_part(run, part)
    assert (tmp_path / part.file).read_bytes() == content


def test_a_clip_may_be_named_as_the_seal_of_a_part(run, tmp_path):
    name = (score_parts._SEAL + score_parts._NO_DIGEST).decode()
    score_part(run, Part("part-00000-0.parquet", (name,)))
    assert score_parts.undamaged(tmp_path / "part-00000-0.parquet") is not None
    assert [row.path for row in read_rows(tmp_path, ["part-00000-0.parquet"])] == [name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cluster", "tcp://127.0.0.1:1"), "need --to"),
        (("--workers", "2"), "need --to"),
        (("--part-size", "2"), "need --to"),
        (("--to", "out", "--cluster", "127.0.0.1:8786"), "must start with tcp://"),
        (("--to", "out", "--cluster", "tcp://127.0.0.1:1", "--workers", "2"), "leave it out"),
        (("--to", "out", "--cluster", "tcp://127.0.0.1:1", "--vggish", "."), "ASD_VGGISH_DIR"),
        (("--to", "out", "--workers", "0"), "1 or more"),
        (("--to", "out", "--part-size", "0"), "1 clip or more"),
    ],
)
def test_options_that_cannot_be_obeyed_exit_with_2(corpus, monkeypatch, capsys, options, message):
    monkeypatch.chdir(corpus)
    monkeypatch.setenv("ASD_VGGISH_DIR", "")
    assert main(["score", "clips", "--model", str(MODEL), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (corpus / "out").exists()


@pytest.mark.slow
def test_a_scheduler_out_of_reach_is_one_plain_line(corpus):
    began = time.monotonic()
    code, out, err = finished(score(*into("nowhere", workers=0, cluster="tcp://127.0.0.1:1"), cwd=corpus))
    assert (code, out) == (2, "")
    assert err == (
        "asd_core: no Dask scheduler answers at tcp://127.0.0.1:1 within 10 s; start one with `dask scheduler`\n"
    )
    assert time.monotonic() - began < 60


@pytest.fixture
def run(tmp_path):
    """A run of one clip, planned but not scored, as a worker gets it."""
    (tmp_path / "plan.json").write_bytes(b"{}")
    version = MODEL / version_of(MODEL)
    model = Model("m", str(version), version.name, (version / "manifest.sha256").read_text().strip(), True)
    return Run(str(tmp_path), str(tmp_path), (model,), batch.hashlib.sha256(b"{}").hexdigest())


def test_a_worker_that_does_not_see_the_folder_writes_nothing(run, tmp_path):
    (tmp_path / "plan.json").write_bytes(b"{} ")
    with pytest.raises(UsageError, match="folders must be shared"):
        score_part(run, Part("part-00000-0.parquet", ("a.wav",)))
    assert not (tmp_path / "part-00000-0.parquet").exists()


def test_a_worker_with_another_version_of_the_model_refuses(run):
    other = replace(run, models=(replace(run.models[0], digest="0" * 64),))
    with pytest.raises(ArtifactError, match="another version on a worker"):
        score_part(other, Part("part-00000-0.parquet", ("a.wav",)))


def test_a_worker_loads_a_model_once(run, monkeypatch):
    assert batch._loaded(run.models[0]) is batch._loaded(run.models[0])


def test_names_that_are_no_utf_8_or_formulas_join_as_in_the_plain_csv(run, tmp_path):
    names = ("=1+1.wav", os.fsdecode(b"caf\xe9.wav"))
    score_part(run, Part("part-00000-0.parquet", names))
    assert pq.read_table(tmp_path / "part-00000-0.parquet")["path"].to_pylist() == ["=1+1.wav", "caf\\udce9.wav"]
    write_csv(tmp_path, ["part-00000-0.parquet"], tmp_path / "joined.csv")
    lines = (tmp_path / "joined.csv").read_bytes().splitlines()
    assert [line.split(b",")[0] for line in lines] == [b"path", b"'=1+1.wav", b"caf\\udce9.wav"]


def test_what_a_worker_has_otherwise_is_said_once_for_each_package():
    here = package_versions()
    assert not version_warnings(here, here)
    assert len(version_warnings(here, {**here, "numpy": "1.0"}) | version_warnings(here, {**here, "numpy": "1.0"})) == 1
    missing = {name: text for name, text in here.items() if name != "onnxruntime"}
    assert "has onnxruntime not at all" in version_warnings(here, missing).pop()
