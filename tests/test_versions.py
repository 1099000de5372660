"""Versions: which one counts, and which may be deleted."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from sounds import PROJECT

from asd_core.artifacts.store import CURRENT, list_versions, open_artifact, publish
from asd_core.artifacts.versions import current_version, delete_version, is_read_only, make_current
from asd_core.errors import ArtifactError, UsageError
from asd_core.system.files import replace_file

EMBEDDED = PROJECT / "artifacts" / "simulated-small"


@pytest.fixture
def detector_folder(tmp_path):
    """A detector with two versions, of which the second counts."""
    folder = tmp_path / "own" / "slider" / "vggish_ocsvm"
    shutil.copytree(EMBEDDED / "slider" / "vggish_ocsvm", folder)
    first = open_artifact(folder)
    manifest = replace(first.manifest, created_at="2026-02-01T00:00:00+00:00")
    publish(folder, manifest=manifest, state=first.detector().state, scores=first.scores.clips)
    return folder


def names(folder):
    return [version.name for version in list_versions(folder)]


def test_an_earlier_version_counts_again(detector_folder):
    first, second = names(detector_folder)
    assert current_version(detector_folder) == second
    make_current(detector_folder, first)
    assert current_version(detector_folder) == first
    assert names(detector_folder) == [first, second]


def test_a_damaged_version_does_not_come_to_count(detector_folder):
    first, second = names(detector_folder)
    with (detector_folder / first / "state.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(ArtifactError, match="damaged"):
        make_current(detector_folder, first)
    assert current_version(detector_folder) == second


def test_a_version_that_does_not_count_is_deleted_and_the_one_that_counts_stays(detector_folder, tmp_path):
    first, second = names(detector_folder)
    with pytest.raises(UsageError, match=second):
        delete_version(detector_folder, second, out=tmp_path)
    delete_version(detector_folder, first, out=tmp_path)
    assert names(detector_folder) == [second]
    assert current_version(detector_folder) == second


def test_nothing_is_deleted_while_it_is_unknown_which_version_counts(detector_folder, tmp_path):
    before = names(detector_folder)
    replace_file(detector_folder / CURRENT, b"nonsense")
    assert current_version(detector_folder) is None
    for version in before:
        with pytest.raises(UsageError):
            delete_version(detector_folder, version, out=tmp_path)
    assert names(detector_folder) == before


def test_a_detector_outside_the_folder_of_detectors_is_not_touched(detector_folder, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="no detector"):
        delete_version(detector_folder, names(detector_folder)[0], out=tmp_path / "other")


def test_what_comes_with_the_project_is_read_only():
    folder = EMBEDDED / "slider" / "vggish_ocsvm"
    assert is_read_only(folder)
    with pytest.raises(UsageError, match="read-only"):
        make_current(folder, names(folder)[0])


def test_fitted_and_held_out_clips_are_known_by_their_digests_and_others_are_not():
    artifact = open_artifact(EMBEDDED / "slider" / "lstm_predictor")  # a network: held-out clips are not fitted
    data = artifact.manifest.data
    assert len(data.heldout_digests) == 36
    assert not set(data.heldout_digests) & set(data.fitted_digests)
    assert all(artifact.was_trained_on(clip.digest) for clip in artifact.scores.of("heldout").clips)
    assert all(artifact.was_trained_on(digest) for digest in data.fitted_digests)
    assert not any(artifact.was_trained_on(clip.digest) for clip in artifact.scores.of("test").clips)
