"""Clip lists: folders, files, manifests; and clips in object stores, under the limits for files."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sounds import PROJECT, hum

from asd_core import sources
from asd_core.audio import encode_wav, read_waveform
from asd_core.errors import AudioError, UsageError
from asd_core.feature_cache import read_clip
from asd_core.scoring import score_clips
from asd_core.sources import expand, read_remote

MODEL = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"
WAV = encode_wav(hum(0).samples)


@pytest.fixture
def stored():
    """A recording in fsspec's memory."""
    system = fsspec.filesystem("memory")
    system.pipe("/clips/a.wav", WAV)
    yield "memory://clips/a.wav"
    system.rm("/clips", recursive=True)


def manifest(path: Path, names: list[str]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"path": names, "note": ["" for _ in names]}), path)
    else:
        path.write_text("note,path\n" + "".join(f'x,"{name}"\n' for name in names), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_a_manifest_lists_paths_and_urls_each_taken_once_in_order(tmp_path, suffix):
    names = ["s3://bucket/b.wav", "b/ü, 1.wav", "file:///a.wav", "b/ü, 1.wav"]
    assert expand([manifest(tmp_path / f"list{suffix}", names)]) == sorted(set(names))


def test_manifests_files_and_folders_add_up(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("folder/b.flac", "folder/c.txt", "a.dat"):
        (tmp_path / name).write_bytes(b"")
    listed = manifest(tmp_path / "list.csv", ["z.wav"])
    found = expand([tmp_path / "folder", tmp_path / "a.dat", listed])
    assert found == sorted([str(tmp_path / "folder" / "b.flac"), str(tmp_path / "a.dat"), "z.wav"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "must have a column 'path', got none"),
        ("a.csv", b"file,label\nx,y\n", "must have a column 'path', got file, label"),
        ("a.csv", b"path\n", "lists no clip"),
        ("a.csv", b"path,label\na.wav,1\n,2\n", "clip 2: 'path' must be a path or URL, got ''"),
        ("a.csv", b"path\n\xff\xfe.wav\n", "no CSV file in UTF-8"),
        ("a.parquet", b"path\na.wav\n", "no Parquet file"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_named_with_the_reason(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        expand([tmp_path / name])


def test_a_url_among_the_arguments_is_pointed_to_a_manifest():
    with pytest.raises(UsageError, match="list URLs in a manifest"):
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


def test_a_store_without_its_package_is_a_plain_message(monkeypatch):
    def missing(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "url_to_fs", missing)
    with pytest.raises(UsageError, match="s3:// cannot be read here: Install s3fs"):
        read_remote("s3://bucket/a.wav")


def test_paths_urls_and_links_in_a_manifest_are_scored_or_refused_under_their_own_names(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").write_bytes(WAV)
    (tmp_path / "link.wav").symlink_to("a.wav")
    here = tmp_path.as_uri()
    names = [f"{here}/a.wav", f"{here}/link.wav", "a.wav", stored, "memory://none", "nowhere.wav"]
    rows = score_clips([manifest(tmp_path / "list.csv", names)], [MODEL])
    assert [row.path for row in rows] == sorted(names)
    good = [row for row in rows if row.path.endswith("a.wav") and row.status != "refused"]
    assert {row.path for row in good} == {f"{here}/a.wav", "a.wav", stored}
    assert len({row.anomaly_score for row in good}) == 1
    reasons = {row.path: row.reason for row in rows if row.status == "refused"}
    assert reasons[f"{here}/link.wav"].startswith(f"not_file: '{here}/link.wav': must be a regular file")
    assert reasons["nowhere.wav"].startswith("open: 'nowhere.wav': cannot be read")


def test_a_clip_is_read_once_for_all_models(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(WAV)
    read = []
    monkeypatch.setattr(
        "asd_core.scoring.read_clip", lambda path, **options: read.append(path) or read_clip(path, **options)
    )
    rows = score_clips([tmp_path], [MODEL, MODEL.with_name("vggish_knn")])
    assert len(rows) == 2
    assert len(read) == 1
