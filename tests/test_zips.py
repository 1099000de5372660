"""Recordings in ZIP archives: real hostile, damaged and ordinary ones."""

from __future__ import annotations

import io
import random
import stat
import struct
import tracemalloc
import zipfile

import pytest
from sounds import hum

from asd_core.audio.reading import MAX_UPLOAD_BYTES, encode_wav
from asd_core.data import zips
from asd_core.data.quotas import NOT_SAID, Quota
from asd_core.data.uploads import store_uploads, upload_names
from asd_core.data.zips import taken, unpacked
from asd_core.errors import AudioError


def wav(seed: int) -> bytes:
    return encode_wav(hum(seed, seconds=0.6).samples)


def packed(entries, *, method=zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of names, or entries, and contents."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return stream.getvalue()


def entry(name: str, *, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def in_directory(content: bytes, offset: int, value: bytes) -> bytes:
    """Change bytes of the first entry in an archive's directory."""
    start = content.index(b"PK\x01\x02") + offset
    return content[:start] + value + content[start + len(value) :]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_recordings_are_found_and_everything_else_is_counted(home):
    content = packed(
        [
            ("Pump/a.wav", wav(1)),
            ("Pump/b.FLAC", wav(2)),
            ("Pump/notes.txt", b"x"),
            ("Pump/inner.zip", b"x"),
            ("Pump/.hidden.wav", b"x"),
            ("__MACOSX/Pump/._a.wav", b"x"),
            ("Pump/.DS_Store", b"x"),
            ("Pump/README", b"x"),
            ("Pump/empty/", b""),
        ]
    )
    found = unpacked(content, name="pump.zip")
    assert [upload.name for upload in found.uploads] == ["a.wav", "b.FLAC"]
    assert [upload.read() for upload in found.uploads] == [wav(1), wav(2)]
    assert found.skipped == {
        "of the operating system": 2,
        ".txt": 1,
        zips.NESTED: 1,
        "hidden": 1,
        "without suffix": 1,
    }
    assert found.refused == ()


def test_folders_inside_sort_recordings_by_label_and_others_stay_to_be_asked_for():
    names = ["Pump/normal/day 1/a.wav", "Pump/bearing/b.wav", "Pump/loose.wav"]
    found = unpacked(packed((name, wav(i)) for i, name in enumerate(names)), name="pump.zip")
    assert [(upload.name, upload.label) for upload in found.uploads] == [
        ("day 1/a.wav", "normal"),
        ("b.wav", "bearing"),
        ("loose.wav", NOT_SAID),
    ]
    assert found.labels == {"normal": 1, "bearing": 1, NOT_SAID: 1}


def test_an_archive_without_labels_says_none():
    found = unpacked(packed([("Memos/New Recording 1.wav", wav(1)), ("Memos/x.wav", wav(2))]), name="memos.zip")
    assert found.labels == {NOT_SAID: 2}


def test_a_word_for_faults_is_a_label_without_normal_recordings_too():
    found = unpacked(packed([("faulty/a.wav", wav(1)), ("more/b.wav", wav(2))]), name="memos.zip")
    assert [(upload.name, upload.label) for upload in found.uploads] == [("a.wav", "faulty"), ("more/b.wav", NOT_SAID)]


def test_folders_that_contradict_each_other_count_as_chosen_and_it_is_said():
    content = packed([("normal/a.wav", wav(1)), ("normal/faulty/b.wav", wav(2))])
    found = unpacked(content, name="a.zip")
    assert found.labels == {NOT_SAID: 2}
    assert "count as chosen in the form" in found.remarks[0]


@pytest.mark.parametrize(("folder", "label"), [("normal_night", NOT_SAID), ("异常", "anomalous"), ("day 3", NOT_SAID)])
def test_folders_that_name_no_kind_fit_to_store_spoil_no_upload(home, folder, label):
    content = packed([("normal/a.wav", wav(1)), (f"{folder}/b.wav", wav(2))])
    uploads = taken([("a.zip", content)]).uploads
    assert [upload.label for upload in uploads] == ["normal", label]
    assert store_uploads("pump", uploads, used=Quota(), kind=None).stored == 2


def test_an_archive_is_stored_like_its_recordings_under_their_owners_names(home):
    content = packed([("Pump/normal/a.wav", wav(1)), ("Pump/worn/w.wav", wav(2)), ("Pump/c.wav", wav(3))])
    stored = store_uploads("pump", taken([("pump.zip", content), ("d.wav", wav(4))]).uploads, used=Quota(), kind="leak")
    assert stored.labels == {"leak": 2, "normal": 1, "worn": 1}
    assert (stored.used.files, stored.used.bytes) == (4, 4 * len(wav(1)))
    assert sorted(upload_names(stored.known).names.values()) == ["a.wav", "c.wav", "d.wav", "w.wav"]


def test_what_is_stored_under_another_label_stays_there_and_is_named(home):
    store_uploads("pump", taken([("a.wav", wav(1))]).uploads, used=Quota())
    stored = store_uploads("pump", taken([("again.wav", wav(1))]).uploads, used=Quota(), kind="worn")
    assert (stored.stored, stored.repeated, stored.elsewhere) == (0, 0, ("again.wav",))
    assert len(list((home / "uploads").rglob("*.wav"))) == 1


@pytest.mark.parametrize(
    "name", ["/etc/passwd.wav", "../../up.wav", "a/../../b.wav", "C:\\evil.wav", "..\\up.wav", "\\\\host\\a.wav"]
)
def test_a_name_that_leads_elsewhere_is_refused_alone(name):
    found = unpacked(packed([(name, wav(1)), ("good.wav", wav(2))]), name="a.zip")
    assert [upload.name for upload in found.uploads] == ["good.wav"]
    assert "leads out of the archive" in found.refused[0]["advice"]
    assert found.refused[0]["advice"].startswith("Make the ZIP again")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind):
    found = unpacked(packed([(entry("link.wav", mode=kind | 0o777), b"/etc/passwd")]), name="a.zip")
    assert found.uploads == ()
    assert "link or a device" in found.refused[0]["reason"]


def test_an_encrypted_recording_is_refused_with_the_cure():
    content = packed([("a.wav", wav(1))])
    found = unpacked(in_directory(content, 8, struct.pack("<H", 1)), name="a.zip")
    assert found.refused[0]["advice"] == "Make the ZIP again without a password: it is encrypted"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compressions_are_refused(method):
    found = unpacked(packed([("a.wav", wav(1))], method=method), name="a.zip")
    assert "usual compression" in found.refused[0]["advice"]


def test_a_recording_larger_than_an_upload_is_refused_by_its_header_already():
    content = packed([("a.wav", wav(1))])
    claimed = in_directory(content, 24, struct.pack("<I", MAX_UPLOAD_BYTES + 1))
    assert "at most 32 MB, this one has 32.0 MB" in unpacked(claimed, name="a.zip").refused[0]["reason"]


def test_a_bomb_of_one_entry_is_refused_before_it_is_unpacked():
    content = packed([("a.wav", bytes(30 * 2**20)), (entry("b.wav"), random.Random(0).randbytes(2**21))])
    tracemalloc.start()
    with pytest.raises(AudioError, match="an entry unpacks to more than a recording does"):
        unpacked(content, name="a.zip")
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


def test_a_bomb_of_many_entries_is_refused_by_what_all_unpack_to(monkeypatch):
    block = bytes(60_000)
    content = packed((f"{i}.wav", block) for i in range(200))
    with pytest.raises(AudioError, match="30 times its size") as refusal:
        unpacked(content, name="a.zip")
    assert refusal.value.code == "too_big"
    assert refusal.value.advice.startswith("Send fewer recordings at a time")
    monkeypatch.setattr(zips, "MAX_RATIO_IN_ALL", 10**6)
    assert len(unpacked(content, name="a.zip").uploads) == 200


def test_the_bound_on_what_all_unpack_to_holds_without_any_ratio(monkeypatch):
    content = packed(((f"{i}.wav", wav(i)) for i in range(4)), method=zipfile.ZIP_STORED)
    monkeypatch.setattr(zips, "MAX_UNPACKED_BYTES", 4 * len(wav(1)))
    assert len(unpacked(content, name="a.zip").uploads) == 4
    monkeypatch.setattr(zips, "MAX_UNPACKED_BYTES", 4 * len(wav(1)) - 1)
    with pytest.raises(AudioError, match="this one unpacks to more"):
        unpacked(content, name="a.zip")


def test_entries_that_share_bytes_are_refused():
    content = packed([("a.wav", wav(1)), ("b.wav", wav(2))])
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)
    overlapping = content[: second + 42] + struct.pack("<I", 0) + content[second + 46 :]
    with pytest.raises(AudioError, match="its entries overlap"):
        unpacked(overlapping, name="a.zip")


def test_too_many_entries_are_refused(monkeypatch):
    monkeypatch.setattr(zips, "MAX_ENTRIES", 5)
    assert len(unpacked(packed((f"{i}.wav", b"x") for i in range(5)), name="a.zip").uploads) == 5
    with pytest.raises(AudioError, match="at most 5 entries, this one has 6"):
        unpacked(packed((f"{i}.wav", b"x") for i in range(6)), name="a.zip")


def test_a_huge_directory_is_refused_before_memory_is_spent_on_it():
    content = packed((f"{i}-{'x' * 200}.txt", b"") for i in range(5_000))
    with pytest.raises(AudioError, match="list of entries is too long"):
        unpacked(content, name="a.zip")


@pytest.mark.parametrize("cut", [10, 0.5, -1, -30])
def test_a_truncated_archive_is_damaged_with_a_cure(cut):
    content = packed([("a.wav", wav(1)), ("b.wav", wav(2))])
    shorter = content[: int(len(content) * cut) if isinstance(cut, float) else cut]
    with pytest.raises(AudioError, match="damaged or no ordinary ZIP") as refusal:
        unpacked(shorter, name="a.zip")
    assert refusal.value.advice.startswith("Make the ZIP again")


@pytest.mark.parametrize("claimed", [1, 100, 19_000, 19_300])
def test_a_lie_about_a_size_is_found(claimed):
    assert len(wav(1)) == 19_244
    content = packed([("a.wav", wav(1))])
    with pytest.raises(AudioError, match="damaged or no ordinary ZIP"):
        unpacked(in_directory(content, 24, struct.pack("<I", claimed)), name="a.zip")


def test_a_flipped_bit_is_found():
    content = bytearray(packed([("a.wav", wav(1))], method=zipfile.ZIP_STORED))
    content[5_000] ^= 1
    with pytest.raises(AudioError, match="Bad CRC"):
        unpacked(bytes(content), name="a.zip")


def test_of_equal_names_the_first_is_taken():
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = packed([("a.wav", wav(1)), ("a.wav", wav(2))])
    found = unpacked(content, name="a.zip")
    assert [upload.read() for upload in found.uploads] == [wav(1)]
    assert found.skipped == {zips.TWICE: 1}


def test_names_that_macos_writes_in_utf8_without_saying_so_are_read():
    content = packed([("Pumpe süd.wav", wav(1))])
    flags = in_directory(content, 8, struct.pack("<H", 0))
    local = flags.index(b"PK\x03\x04") + 6
    assert unpacked(flags[:local] + b"\0\0" + flags[local + 2 :], name="a.zip").uploads[0].name == "Pumpe süd.wav"


def test_a_refused_archive_does_not_keep_other_files_from_being_taken():
    found = taken([("bad.zip", b"PK\x03\x04" + b"x" * 50), ("a.wav", wav(1)), ("b.zip", packed([("b.wav", wav(2))]))])
    assert [upload.name for upload in found.uploads] == ["a.wav", "b.wav"]
    assert [each["path"] for each in found.refused] == ["bad.zip"]


def test_an_archive_larger_than_an_upload_is_refused():
    with pytest.raises(AudioError, match="at most 32 MB"):
        unpacked(b"PK\x03\x04" + bytes(MAX_UPLOAD_BYTES), name="a.zip")


def test_recordings_of_an_archive_are_in_memory_one_at_a_time(home):
    clips = [encode_wav(hum(i, seconds=20).samples) for i in range(12)]
    content = packed((f"{i}.wav", clip) for i, clip in enumerate(clips))
    one = len(clips[0])
    del clips
    tracemalloc.start()
    found = unpacked(content, name="a.zip")
    assert sum(upload.n_bytes for upload in found.uploads) == 12 * one
    assert all(len(upload.read()) == one for upload in found.uploads)
    assert tracemalloc.get_traced_memory()[1] < 4 * one
    tracemalloc.stop()
