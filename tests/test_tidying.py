"""Uploaded clips moved to another label or removed, and detectors that are older than the data."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
from sounds import hum

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import encode_wav, read_waveform
from asd_core.data import library
from asd_core.data.marked import mark, marked_dir
from asd_core.data.names import read_names
from asd_core.data.quotas import Quota, Upload
from asd_core.data.tidying import move_clips, remove_clips
from asd_core.data.uploads import store_uploads
from asd_core.errors import UsageError
from asd_core.features.cache import cache_folder, read_clip
from asd_core.tasks.outdated import Changes, changes_since
from asd_core.tasks.train import TrainingRequest, train


def wav(seed: int) -> bytes:
    return encode_wav(hum(seed, seconds=0.6).samples)


def digest(seed: int) -> str:
    return hashlib.sha256(wav(seed)).hexdigest()


@pytest.fixture
def pump(tmp_path, monkeypatch):
    """A data set of three normal clips and one of a kind."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv(library.ROOTS_VARIABLE, raising=False)
    store_uploads("pump", [Upload(f"day/n{i}.wav", wav(i)) for i in range(3)], used=Quota(), machine_id="07")
    return store_uploads("pump", [Upload("2024-05-01 13-45-10.wav", wav(9))], used=Quota(), kind="worn").known


def shown(known) -> list[tuple[str, str, str]]:
    clips = library.open_known(known, "pump").index.clips
    return sorted((clip.name or clip.relative, clip.label, clip.machine_id) for clip in clips)


def path_of(known, seed: int) -> str:
    return next(known.folder.rglob(f"{digest(seed)[:32]}*")).relative_to(known.folder).as_posix()


def test_a_clip_moves_to_another_label_with_its_name_its_id_and_its_time(pump):
    assert move_clips(pump, [path_of(pump, 1)], "bearing") == 1
    assert move_clips(pump, [path_of(pump, 9)], None) == 1
    assert shown(pump) == [
        ("2024-05-01 13-45-10.wav", "normal", "00"),
        ("day/n0.wav", "normal", "07"),
        ("day/n1.wav", "anomalous", "07"),
        ("day/n2.wav", "normal", "07"),
    ]
    assert path_of(pump, 1) == f"bearing/07/{digest(1)[:32]}.wav"
    times = read_names(pump.folder).recorded
    assert times[path_of(pump, 9)].text == "recorded 2024-05-01 13:45:10, as its name says"
    assert set(read_names(pump.folder).names) == {path_of(pump, seed) for seed in (0, 1, 2, 9)}


def test_a_clip_that_has_the_label_already_stays(pump):
    before = (pump.folder / "names.jsonl").read_bytes()
    assert move_clips(pump, [path_of(pump, 1)], None) == 0
    assert (pump.folder / "names.jsonl").read_bytes() == before


def test_a_removed_clip_leaves_neither_file_nor_name_nor_mark_nor_feature(pump, monkeypatch):
    monkeypatch.setenv("ASD_CACHE_MB", "100")
    monkeypatch.setattr("asd_core.features.cache._SETTLED_S", -1.0)
    path = pump.folder / path_of(pump, 1)
    for seed in (1, 2):
        heard = read_clip(pump.folder / path_of(pump, seed))
        heard.derived("x", lambda heard=heard: heard.samples[:10])
    mark(read_waveform(path), "anomalous", shown_name="n1.wav")
    assert len([each for each in cache_folder().rglob("*") if each.is_file()]) == 4
    (pump.folder / "names.jsonl").open("ab").close()
    assert remove_clips(pump, [path_of(pump, 1)]) == 1
    assert len(shown(pump)) == 3
    assert len([each for each in cache_folder().rglob("*") if each.is_file()]) == 2
    assert not list(marked_dir().rglob("*.wav"))
    assert "n1.wav" not in (pump.folder / "names.jsonl").read_text()
    assert "n1.wav" not in (marked_dir() / "marked.jsonl").read_text()


def test_damaged_lines_of_the_file_of_names_stay(pump):
    with (pump.folder / "names.jsonl").open("ab") as file:
        file.write(b'{"pa')
    remove_clips(pump, [path_of(pump, 1)])
    lines = (pump.folder / "names.jsonl").read_bytes().splitlines()
    assert lines[-1] == b'{"pa'
    move_clips(pump, [path_of(pump, 2)], "worn")
    assert json.loads((pump.folder / "names.jsonl").read_bytes().splitlines()[-1])["name"] == "day/n2.wav"


@pytest.mark.parametrize(
    "clip", ["../secret.wav", "normal/../../secret.wav", "names.jsonl", "/etc/passwd", "link/a.wav"]
)
def test_nothing_outside_the_clips_is_touched(pump, tmp_path, clip):
    (tmp_path / "elsewhere").mkdir()
    for place in (pump.folder.parent / "secret.wav", tmp_path / "elsewhere" / "a.wav"):
        place.write_bytes(b"secret")
    (pump.folder / "link").symlink_to(tmp_path / "elsewhere")
    for change in (remove_clips, lambda known, clips: move_clips(known, clips, "worn")):
        with pytest.raises(UsageError, match="is no clip of pump"):
            change(pump, [path_of(pump, 1), clip])
    assert (pump.folder.parent / "secret.wav").exists()
    assert (tmp_path / "elsewhere" / "a.wav").exists()
    assert path_of(pump, 1).startswith("normal/")


def test_a_clip_that_is_gone_is_passed_over(pump):
    assert remove_clips(pump, ["normal/07/" + "0" * 32 + ".wav"]) == 0


def test_a_server_folder_is_tidied_where_it_lies(pump, tmp_path, monkeypatch):
    monkeypatch.setenv(library.ROOTS_VARIABLE, str(tmp_path))
    shutil.copytree(pump.folder, tmp_path / "rec")
    known = library.add_folder("rec", tmp_path / "rec")
    with pytest.raises(UsageError, match="tidy its folder where it lies"):
        remove_clips(known, [path_of(known, 1)])


@pytest.mark.parametrize("kind", ["normal", "day 2"])
def test_a_kind_that_is_not_fit_is_refused(pump, kind):
    with pytest.raises(UsageError):
        move_clips(pump, [path_of(pump, 1)], kind)
    assert path_of(pump, 1).startswith("normal/")


def test_a_detector_that_is_older_than_the_data_says_what_has_changed(pump, tmp_path):
    store_uploads("pump", [Upload(f"m{i}.wav", wav(20 + i)) for i in range(12)], used=Quota())
    request = TrainingRequest("vggish_mahalanobis", pump.folder, out=tmp_path / "out", rules=pump.rules)
    artifact = open_artifact(train(request).model)

    def changes() -> Changes:
        clips = [path.relative_to(pump.folder) for path in pump.folder.rglob("*.wav")]
        kinds = {path.stem: path.parts[0] for path in clips}
        return changes_since(
            artifact, {stem: "normal" if kind == "normal" else "anomalous" for stem, kind in kinds.items()}
        )

    assert not changes()
    assert changes().text == ""
    learned = [seed for seed in range(20, 32) if artifact.was_trained_on(digest(seed))]
    tested = next(seed for seed in range(20, 32) if not artifact.was_trained_on(digest(seed)))
    remove_clips(pump, [path_of(pump, seed) for seed in learned[:2]])
    move_clips(pump, [path_of(pump, learned[2]), path_of(pump, tested)], "worn")
    store_uploads("pump", [Upload("new.wav", wav(70))], used=Quota())
    assert changes() == Changes(len(artifact.training_digests), 2, 1, 1, 1)
    n = len(artifact.training_digests)
    assert changes().text == (
        f"2 of the {n} clips that it learned from have since been removed; 1 of the {n} clips that it learned from has "
        "since been called anomalous; 1 test clip has been removed or relabelled; 1 clip has been added since"
    )
