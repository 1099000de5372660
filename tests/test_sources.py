"""Which clips are meant: folders, files, clip lists; and clips in object stores, under the limits for files."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sounds import PROJECT, hum

from asd_core.audio.reading import encode_wav, read_waveform
from asd_core.data import clip_lists as sources
from asd_core.data.clip_lists import expand, locate, read_remote
from asd_core.errors import AudioError, UsageError
from asd_core.features.cache import read_clip
from asd_core.tasks.score import ScoreRow, format_score_csv, score_clips

MODEL = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"
WAV = encode_wav(hum(0).samples)


@pytest.fixture
def stored(monkeypatch):
    """A recording in fsspec's memory, in a folder that may be read."""
    monkeypatch.setenv(sources.STORES_VARIABLE, "s3://bucket memory://clips")
    system = fsspec.filesystem("memory")
    system.pipe("/clips/a.wav", WAV)
    yield "memory://clips/a.wav"
    system.rm("/clips", recursive=True)


def clip_list(path: Path, names: list[str]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"path": names, "note": ["" for _ in names]}), path)
    else:
        path.write_text("note,path\n" + "".join(f'x,"{name}"\n' for name in names), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_a_clip_list_names_paths_and_urls_each_taken_once_in_order(tmp_path, suffix):
    names = ["s3://bucket/b.wav", "b/ü, 1.wav", "file:///a.wav", "b/ü, 1.wav"]
    assert list(expand([clip_list(tmp_path / f"list{suffix}", names)]).names) == sorted(set(names))


def test_clip_lists_files_and_folders_add_up(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("folder/b.flac", "folder/c.txt", "a.dat"):
        (tmp_path / name).write_bytes(b"")
    listed = clip_list(tmp_path / "list.csv", ["z.wav"])
    found = expand([tmp_path / "folder", tmp_path / "a.dat", listed])
    assert list(found.names) == sorted([str(tmp_path / "folder" / "b.flac"), str(tmp_path / "a.dat"), "z.wav"])
    assert found.skipped.kinds == {".txt": (str(tmp_path / "folder" / "c.txt"),)}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "must have a column 'path'"),
        ("a.csv", b"file,label\nx,y\n", "must have a column 'path', and none of its columns"),
        ("a.csv", b"path\n", "lists no clip"),
        ("a.csv", b"path,label\na.wav,1\n,2\n", "clip 2: 'path' must be a path or URL of at most"),
        ("a.csv", b"path\n\xff\xfe.wav\n", "must be a CSV file in UTF-8"),
        ("a.parquet", b"path\na.wav\n", "no Parquet file"),
    ],
)
def test_a_clip_list_that_cannot_be_used_is_named_with_the_reason(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        expand([tmp_path / name])


def test_a_url_among_the_arguments_is_pointed_to_a_clip_list():
    with pytest.raises(UsageError, match="list URLs in a clip list"):
        expand([Path("s3://bucket/a.wav")])


def test_a_stored_clip_reads_as_the_file_does(stored, tmp_path):
    (tmp_path / "a.wav").write_bytes(WAV)
    there, here = read_remote(stored), read_waveform(tmp_path / "a.wav")
    assert np.array_equal(there.samples, here.samples)
    assert there.digest == here.digest


def test_a_stored_clip_is_read_to_the_limit_for_files_and_no_further(stored, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", len(WAV) - 1)
    asked = []
    memory_file = type(fsspec.filesystem("memory").open("/clips/a.wav"))
    read = memory_file.read
    monkeypatch.setattr(memory_file, "read", lambda self, n=-1: asked.append(n) or read(self, n))
    with pytest.raises(AudioError, match=f"at most {len(WAV) - 1} bytes"):
        read_remote(stored)
    assert asked == [len(WAV)]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://clips/none.wav", "cannot be read: FileNotFoundError"),
        ("http://127.0.0.1:1/a.wav", "must start with file or one of s3"),
        ("HTTPS://127.0.0.1:1/a.wav", "must start with file or one of s3"),
        ("memory://clips/a.wav::http://127.0.0.1:1/a.wav", "must not hold '::'"),
    ],
)
def test_a_url_that_is_not_read_is_refused_with_a_reason(stored, url, message):
    with pytest.raises(AudioError, match=message) as refusal:
        read_remote(url)
    assert refusal.value.code == "open"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(ImportError("Install s3fs to access S3"), "Install s3fs to access S3"), (OSError("no libjvm"), "OSError")],
    ids=["package", "library"],
)
def test_a_clip_in_a_store_whose_package_is_missing_is_refused_and_the_others_are_scored(
    stored, tmp_path, monkeypatch, fault, reason
):
    def missing(url):
        if url.startswith("s3"):
            raise fault
        return opened(url)

    opened = fsspec.url_to_fs
    monkeypatch.setattr(fsspec, "url_to_fs", missing)
    rows = score_clips([clip_list(tmp_path / "list.csv", ["s3://bucket/a.wav", stored])], [MODEL])
    assert [row.status == "refused" for row in rows] == [False, True]
    cure = "fetch the file, or install what reads this store"
    assert rows[1].reason == f"open: 's3://bucket/a.wav': {cure}: s3:// cannot be read here: {reason}"


@pytest.mark.parametrize(
    ("stores", "url", "is_allowed"),
    [
        ("", "s3://bucket/a.wav", False),
        ("s3://bucket", "s3://bucket/a.wav", True),
        ("gs://other s3://bucket/", "s3://bucket/deep/a.wav", True),
        ("s3://bucket", "s3://bucket2/a.wav", False),
        ("s3://bucket", "gs://bucket/a.wav", False),
        ("s3://bucket/of ", "s3://bucket/off/a.wav", False),
        ("s3://bucket/of", "s3://bucket/of/a.wav", True),
        ("s3://bucket/of", "s3://bucket/of/../a.wav", False),
        ("hdfs://name:8020", "hdfs://name:8020/a.wav", True),
        ("hdfs://name:8020", "hdfs://name:80/a.wav", False),
        ("hdfs://name", "hdfs://name.example.org/a.wav", False),
        ("hdfs://name", "hdfs://name@10.0.0.1/a.wav", False),
        ("hdfs://name", "hdfs:///a.wav", False),
        ("hdfs://name", "hdfs://name/a.wav?kerb_ticket=/etc/passwd", False),
    ],
)
def test_only_stores_that_are_listed_are_opened(monkeypatch, stores, url, is_allowed):
    asked = []

    def open_store(url):
        asked.append(url)
        raise ImportError("no package")

    monkeypatch.setenv(sources.STORES_VARIABLE, stores)
    monkeypatch.setattr(fsspec, "url_to_fs", open_store)
    message = "cannot be read here" if is_allowed else "ASD_REMOTE_STORES does not list this store"
    with pytest.raises(AudioError, match=message) as refusal:
        read_remote(url)
    assert refusal.value.code == "open"
    assert asked == ([url] if is_allowed else [])


@pytest.mark.parametrize(
    "stores", ["s3://", "hdfs://", "hdfs:///data", "bucket", "http://host", "file:///a", "s3://*?x"]
)
def test_a_list_of_stores_with_an_entry_that_names_none_is_refused(monkeypatch, stores):
    monkeypatch.setenv(sources.STORES_VARIABLE, f"s3://bucket {stores}")
    with pytest.raises(UsageError, match="ASD_REMOTE_STORES must list URLs like s3://bucket"):
        read_remote("s3://other/a.wav")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///clips/a.wav", "/clips/a.wav"),
        ("file:///clips/a%20b%C3%BC.wav", "/clips/a bü.wav"),
        ("FILE://LOCALHOST/clips/a%23b.wav", "/clips/a#b.wav"),
        ("file:///clips/a%ff.wav", os.fsdecode(b"/clips/a\xff.wav")),
        ("file:///clips/ü#1?.wav", "/clips/ü#1?.wav"),
        ("file://other/clips/a.wav", None),
        ("file://clips", None),
    ],
)
def test_a_file_url_names_a_path_of_this_machine(url, path):
    assert locate(url, "/base") == path


def test_a_file_url_of_another_machine_is_refused_and_the_others_are_scored(tmp_path):
    (tmp_path / "a b.wav").write_bytes(WAV)
    here = (tmp_path / "a b.wav").as_uri()
    assert "%20" in here
    rows = score_clips([clip_list(tmp_path / "list.csv", [here, "file://other/a.wav"])], [MODEL])
    assert [(row.path, row.status == "refused") for row in rows] == [(here, False), ("file://other/a.wav", True)]
    assert "a file URL must name this machine" in rows[1].reason


def test_a_file_url_with_a_nul_is_refused(tmp_path):
    (row,) = score_clips([clip_list(tmp_path / "list.csv", ["file:///a%00.wav"])], [MODEL])
    assert row.reason.startswith("open: 'file:///a%00.wav': name another file: no file can have")


MOST_MEMORY = """
import resource, sys
from pathlib import Path
from asd_core.errors import UsageError
from asd_core.data.clip_lists import expand
import pyarrow.parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    expand([Path(sys.argv[1])])
except UsageError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_small_parquet_clip_list_of_20_million_rows_is_refused_unread(tmp_path):
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"path": pa.repeat("a.wav", 20_000_000)}), path)
    assert path.stat().st_size < 100_000
    done = subprocess.run(
        [sys.executable, "-c", MOST_MEMORY, path],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    message, mebibytes = done.stdout.splitlines()
    assert message.endswith("a clip list must name at most 1000000 clips; split it")
    assert int(mebibytes) < 100


def test_the_rows_of_a_parquet_clip_list_are_counted_before_any_is_read(tmp_path, monkeypatch):
    read = []
    whole = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda *given, **named: read.append(given) or whole(*given, **named))
    path = clip_list(tmp_path / "list.parquet", ["a", "b", "c", "d"])
    assert len(expand([path]).names) == 4
    assert len(read) == 1
    monkeypatch.setattr(sources, "MAX_CLIPS", 3)
    with pytest.raises(UsageError, match="must name at most 3 clips"):
        expand([path])
    assert len(read) == 1


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_clip_list_may_name_as_many_clips_as_the_limit_and_no_more(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(sources, "MAX_CLIPS", 3)
    assert len(expand([clip_list(tmp_path / f"three{suffix}", ["a", "b", "c"])]).names) == 3
    with pytest.raises(UsageError, match="must name at most 3 clips"):
        expand([clip_list(tmp_path / f"four{suffix}", ["a", "b", "c", "d"])])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_clip_list_of_too_many_bytes_columns_or_letters_is_refused(tmp_path, monkeypatch, suffix):
    path = clip_list(tmp_path / f"list{suffix}", ["a.wav" * 10])
    for limit, message in [
        ("MAX_NAME_CHARACTERS", "of at most 1 characters"),
        ("MAX_COLUMNS", "must have at most 1 columns"),
        ("MAX_LIST_BYTES", "must have at most 1 bytes"),
    ]:
        monkeypatch.setattr(sources, limit, 1)
        with pytest.raises(UsageError, match=message):
            expand([path])


def test_a_parquet_clip_list_whose_names_unpack_to_too_much_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "list.parquet"
    names = pa.chunked_array([pa.repeat("a" * 1000, 1000)])
    pq.write_table(pa.table({"path": names}), path, use_dictionary=False, compression="zstd")
    monkeypatch.setattr(sources, "MAX_LIST_BYTES", 900_000)
    assert path.stat().st_size < 900_000
    with pytest.raises(UsageError, match="names of a clip list must take at most 900000 bytes"):
        expand([path])


@pytest.mark.parametrize("row", ["," * 2000, '"' + '\n","' * 500 + '"'], ids=["columns", "lines"])
def test_a_row_of_a_csv_clip_list_is_bounded(tmp_path, monkeypatch, row):
    monkeypatch.setattr(sources, "MAX_ROW_CHARACTERS", 1000)
    path = tmp_path / "list.csv"
    path.write_text(f"path\na.wav\n{row}\n")
    with pytest.raises(UsageError, match="at most 1000 characters in a row"):
        expand([path])


PRIVATE = "hunter2:x:0"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_no_content_of_a_file_is_shown_where_it_is_refused_as_a_clip_list(tmp_path, suffix):
    contents = [PRIVATE, f"path\n{PRIVATE * 2000}\n", f"path,{PRIVATE}\n,{PRIVATE}\n", f"path\n{PRIVATE}\xff"]
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(UsageError) as refusal:
            expand([path])
        assert "hunter2" not in str(refusal.value)


def test_a_score_csv_is_a_clip_list_of_the_clips_that_it_names(tmp_path):
    names = ["=1.wav", "'=1.wav", "x;=cmd;.wav", "a\r\n-b.wav", "a, +b.wav", "plain.wav", '"=q".wav']
    rows = [ScoreRow.refused(name, "m", "", "open: no", False) for name in names]
    path = tmp_path / "list.csv"
    path.write_text(format_score_csv(rows), encoding="utf-8", newline="")
    with path.open(encoding="utf-8", newline="") as stream:
        assert "x;'=cmd;.wav" in [row["path"] for row in csv.DictReader(stream)]
    assert list(expand([path]).names) == sorted(names)


def test_paths_urls_and_links_in_a_clip_list_are_scored_or_refused_under_their_own_names(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").write_bytes(WAV)
    (tmp_path / "link.wav").symlink_to("a.wav")
    (tmp_path / "circle.wav").symlink_to("circle.wav")
    here = tmp_path.as_uri()
    linked, circle = f"{here}/link.wav", f"{here}/circle.wav"
    names = [f"{here}/a.wav", linked, circle, "a.wav", stored, "memory://none", "nowhere.wav"]
    rows = score_clips([clip_list(tmp_path / "list.csv", names)], [MODEL])
    assert [row.path for row in rows] == sorted(names)
    good = [row for row in rows if row.status != "refused"]
    assert {row.path for row in good} == {f"{here}/a.wav", linked, "a.wav", stored}
    assert len({row.anomaly_score for row in good}) == 1
    reasons = {row.path: row.reason for row in rows if row.status == "refused"}
    assert reasons[circle].startswith(f"not_file: '{circle}': ")
    assert reasons["nowhere.wav"].startswith("open: 'nowhere.wav': check the name and the folder: cannot be read")


def test_a_clip_is_read_once_for_all_models(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(WAV)
    read = []
    monkeypatch.setattr(
        "asd_core.tasks.score.read_clip", lambda path, **options: read.append(path) or read_clip(path, **options)
    )
    rows = score_clips([tmp_path], [MODEL, MODEL.with_name("vggish_knn")])
    assert len(rows) == 2
    assert len(read) == 1
