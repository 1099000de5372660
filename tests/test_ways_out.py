"""Mistakes of somebody's first hour: each message says what to do next."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf
from sounds import hum

from asd_core.audio.reading import decode_waveform, encode_wav
from asd_core.data.clip_lists import expand
from asd_core.data.data_set import describe_index, open_data_set
from asd_core.data.folder_rules import FolderRules
from asd_core.data.indexing import index_clips
from asd_core.data.library import checked_folder
from asd_core.data.survey import survey
from asd_core.errors import AudioError, DataSetError, InputError, UsageError
from asd_core.monitoring.watch import WatchRequest, watch
from asd_core.tasks.train import TrainingRequest, train


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.fixture(scope="module")
def long_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("long") / "pump"
    (root / "normal").mkdir(parents=True)
    sf.write(root / "normal" / "shift.wav", np.zeros(601 * 8000, np.int16), 8000)
    return root


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("pump.ZIP", "but an archive: unpack it, then name the folder with its recordings"),
        ("pump.wav", "but a file: name the folder that it lies in"),
        ("pmup", "nothing of that name is there; check the name and the folder above it"),
        ("p" * 300, "nothing of that name is there; check the name and the folder above it"),
    ],
)
def test_what_is_no_folder_is_called_what_it_is(tmp_path, monkeypatch, name, way):
    touch(tmp_path, "pump.ZIP", "pump.wav")
    monkeypatch.setenv("ASD_DATA_ROOTS", str(tmp_path))
    path = tmp_path / name
    for use in (index_clips, checked_folder, lambda path: watch(WatchRequest(path, tmp_path))):
        with pytest.raises(DataSetError, match=rf"{name} is not a folder.*{way}$"):
            use(path)


def test_a_folder_without_recordings_says_where_to_look(tmp_path):
    with pytest.raises(UsageError, match=r"1 \.png .*; name the folder that your recordings lie in$"):
        expand([touch(tmp_path / "pictures", "a.png")])
    with pytest.raises(UsageError, match=r"1 \.zip .*; unpack the archive first$"):
        expand([touch(tmp_path / "packed", "a.zip")])


@pytest.mark.parametrize("names", [("fault",), ("Bad", "broken_bearing")])
def test_faults_alone_lead_to_normal_recordings_and_not_to_the_normal_label(tmp_path, names):
    touch(tmp_path, *(f"{name}/1.wav" for name in names))
    with pytest.raises(DataSetError, match="record the machine while it runs well, and call those") as refused:
        index_clips(tmp_path)
    assert "--normal" not in str(refused.value)
    assert refused.value.advice.startswith("Record the machine while it runs well")


def test_a_normal_label_that_is_not_there_is_named(tmp_path):
    touch(tmp_path, "gesund/1.wav", "kaputt/1.wav")
    with pytest.raises(DataSetError, match="it has gesund, kaputt, and nothing called gsund; name the normal one"):
        index_clips(tmp_path, rules=FolderRules(normal=("gsund",)))


def test_a_table_of_labels_that_is_not_there_is_a_name_to_check(tmp_path):
    touch(tmp_path, "1.wav")
    with pytest.raises(DataSetError, match=r"^check the name: .*lables\.csv cannot be read"):
        index_clips(tmp_path, rules=FolderRules(labels=tmp_path / "lables.csv"))


def test_too_few_normal_clips_say_how_many_are_good(tmp_path):
    (tmp_path / "normal").mkdir()
    for seed in range(2):
        (tmp_path / "normal" / f"{seed}.wav").write_bytes(encode_wav(hum(seed).samples))
    with pytest.raises(InputError, match=r"got 2: record more of the machine while it runs well \(30 make scores"):
        train(TrainingRequest("vggish_knn", tmp_path, out=tmp_path / "out"))


def test_a_set_of_long_recordings_leads_to_segments(long_set, tmp_path):
    cure = r"have long recordings cut into clips \(add --segment 10\): recordings must last at most 600 s"
    refused = describe_index(open_data_set(long_set)).refused[0]
    assert refused["reason"].startswith("too_long: ")
    assert refused["advice"].startswith("Have long recordings cut into clips: recordings must last")
    with pytest.raises(DataSetError, match=cure) as error:
        train(TrainingRequest("vggish_knn", long_set, out=tmp_path))
    assert "folder named normal" not in str(error.value)
    assert "normal/shift.wav: Have long recordings cut" in error.value.advice
    assert "--segment" not in error.value.advice
    assert survey(open_data_set(long_set)).refused[0]["advice"] == refused["advice"]


@pytest.mark.parametrize(
    ("start", "kind", "cure"),
    [
        (b"PK\x03\x04", r"an archive \(ZIP\)", "unpack it, and take the recordings in it"),
        (b"\x89PNG\r\n", "a picture", "name another file"),
        (b"\xff\xd8\xff\xe0", "a picture", "name another file"),
    ],
)
def test_what_people_name_instead_of_a_recording_is_called_by_its_kind(start, kind, cure):
    with pytest.raises(AudioError, match=rf": {cure}.*this is {kind}$") as refused:
        decode_waveform(start + bytes(100))
    assert refused.value.code == "magic"
