"""Small files that the program keeps: whatever stands in their place, reading ends at once with a typed error."""

from __future__ import annotations

import os
import shutil

import pytest
from sounds import PROJECT

from asd_core.artifacts.arrays import CheckpointFile
from asd_core.artifacts.manifest import MANIFEST
from asd_core.artifacts.store import CURRENT, MANIFEST_DIGEST, find_artifacts, open_artifact
from asd_core.errors import ArtifactError, FileError
from asd_core.system.files import read_if_present, read_regular, read_small_text


def _folder(path):
    path.mkdir()


def _huge(path):
    path.touch()
    os.truncate(path, 2**40)


def _link(path):
    path.with_name("target").write_text("text")
    path.symlink_to(path.with_name("target"))


IN_ITS_PLACE = {
    "nothing": (lambda _: None, "cannot be read: No such file"),
    "folder": (_folder, "is not a regular file"),
    "pipe": (os.mkfifo, "is not a regular file"),
    "link": (_link, "is not a regular file, but a link"),
    "dangling link": (lambda path: path.symlink_to("nowhere"), "is not a regular file, but a link"),
    "link to itself": (lambda path: path.symlink_to(path.name), "is not a regular file, but a link"),
    "too large": (lambda path: path.write_bytes(bytes(101)), "must be at most 100 bytes, it has 101"),
    "huge": (_huge, "must be at most 100 bytes"),
    "not UTF-8": (lambda path: path.write_bytes(b"\xff\xfe"), "is damaged: it is not UTF-8"),
}


@pytest.mark.parametrize("kind", IN_ITS_PLACE)
def test_what_stands_in_a_small_files_place_is_refused_with_the_reason(kind, tmp_path):
    put, reason = IN_ITS_PLACE[kind]
    path = tmp_path / "current"
    put(path)
    with pytest.raises(FileError, match=reason):
        read_small_text(path, at_most=100)


@pytest.mark.parametrize("kind", sorted(IN_ITS_PLACE.keys() - {"nothing", "not UTF-8"}))
def test_what_stands_in_a_files_place_is_not_taken_for_absent(kind, tmp_path):
    put, reason = IN_ITS_PLACE[kind]
    put(tmp_path / "names")
    with pytest.raises(FileError, match=reason):
        read_if_present(tmp_path / "names", at_most=100)


def test_only_a_missing_file_counts_as_absent(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    assert read_if_present(tmp_path / "file", at_most=7) == b"content"
    assert read_if_present(tmp_path / "names", at_most=7) is None
    assert read_if_present(tmp_path / "file" / "names", at_most=7) is None


@pytest.mark.parametrize("kind", sorted(IN_ITS_PLACE.keys() - {"too large"}))
def test_what_stands_in_a_checkpoints_place_counts_as_none(kind, tmp_path):
    put, _ = IN_ITS_PLACE[kind]
    put(tmp_path / ".checkpoint-1")
    assert CheckpointFile(tmp_path / ".checkpoint-1").read() is None


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    with pytest.raises(FileError, match="cannot be read: embedded null byte"):
        read_regular(tmp_path / "a\0b", at_most=100)


def test_a_file_of_exactly_the_largest_size_is_read(tmp_path):
    (tmp_path / "f").write_text("é" * 50)
    assert read_small_text(tmp_path / "f", at_most=100) == "é" * 50


def test_a_missing_file_is_told_from_an_unreadable_one_by_the_cause(tmp_path):
    with pytest.raises(FileError) as caught:
        read_regular(tmp_path / "none", at_most=100)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize("kind", [kind for kind in IN_ITS_PLACE if kind != "nothing"])
def test_a_detector_whose_current_is_no_file_is_listed_and_refused(kind, tmp_path):
    folder = tmp_path / "set" / "slider" / "lstm_predictor"
    shutil.copytree(PROJECT / "artifacts" / "simulated-small" / "slider" / "lstm_predictor", folder)
    (folder / CURRENT).unlink()
    IN_ITS_PLACE[kind][0](folder / CURRENT)
    assert find_artifacts(tmp_path) == [folder]
    with pytest.raises(ArtifactError, match=r"current (is|must)"):
        open_artifact(folder)


@pytest.mark.parametrize("name", [MANIFEST, MANIFEST_DIGEST])
@pytest.mark.parametrize("kind", [kind for kind in IN_ITS_PLACE if kind != "nothing"])
def test_a_version_whose_manifest_or_digest_is_no_file_is_refused(kind, name, tmp_path):
    folder = tmp_path / "set" / "slider" / "lstm_predictor"
    shutil.copytree(PROJECT / "artifacts" / "simulated-small" / "slider" / "lstm_predictor", folder)
    (path,) = folder.glob(f"*/{name}")
    path.unlink()
    IN_ITS_PLACE[kind][0](path)
    with pytest.raises(ArtifactError, match=name):
        open_artifact(folder)
