"""When a recording was made: from its name, its metadata or the file, in this order, and never from a mere number."""

from __future__ import annotations

import os
import struct
import time
from datetime import UTC, datetime

import pytest
from sounds import SHARED

from asd_core.audio.reading import encode_wav
from asd_core.audio.recorded import Recorded, recorded_at, time_in_name
from asd_core.errors import AudioError

AT = datetime(2024, 5, 1, 13, 45, 10)
HERE = "Europe/Berlin"
CHANGED = datetime(2025, 1, 2, 3, 4, 5)


@pytest.fixture(autouse=True)
def _two_hours_east(monkeypatch):
    monkeypatch.setenv("TZ", HERE)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def chunk(identity: bytes, body: bytes) -> bytes:
    return identity + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def bext(date: str, hour: str) -> bytes:
    return chunk(b"bext", bytes(320) + date.encode() + hour.encode() + bytes(264))


def info(text: str) -> bytes:
    return chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"abc") + chunk(b"ICRD", text.encode() + b"\0"))


def recording(path, *extra: bytes, before: bool = True):
    """A WAV with further chunks before or after its sound, and a file time of its own."""
    plain = encode_wav([0.0] * 16_000)
    parts = (plain[12:36], *extra, plain[36:]) if before else (plain[12:], *extra)
    body = b"WAVE" + b"".join(parts)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    os.utime(path, (CHANGED.timestamp(),) * 2)
    return path


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("2024-05-01_13-45-10.wav", AT),
        ("pump 2024-05-01 13.45.10 (2).m4a", AT),
        ("Recording 2024-05-01 at 13.45.10.m4a", AT),
        ("20240501_134510.wav", AT),
        ("20240501-134510-0001.wav", AT),
        ("REC_20240501134510.WAV", AT),
        ("2024-05-01T13:45:10.123.wav", AT),
        ("20240501T134510Z.wav", AT.replace(hour=15)),
        ("2024-05-01T13:45:10+05:30.wav", AT.replace(hour=10, minute=15)),
        ("2024-05-01T13:45:10-03:00.wav", AT.replace(hour=18)),
        ("2024-05-01_13-45.wav", AT.replace(second=0)),
        ("20240501T1345.wav", AT.replace(second=0)),
        ("2024-05-01 13h45.wav", AT.replace(second=0)),
        ("240501-134510.WAV", AT),
        ("240501_134510_Tr1.WAV", AT),
        ("1714571110.wav", AT.replace(hour=15)),
        ("cam1_1714571110123.wav", AT.replace(hour=15)),
        ("2024-05-01/13-45-10.wav", AT),
        (r"C:\rec\2024-05-01\13-45-10.wav", AT),
        ("2023-01-01_00-00-00/20240501_134510.wav", AT),
    ],
)
def test_a_name_with_a_date_and_a_time_says_when(name, wanted):
    assert time_in_name(name) == wanted


@pytest.mark.parametrize(
    "name",
    [
        "",
        "normal_id_00_00000012.wav",
        "section_00_source_train_normal_0000_pow_1.wav",
        "20240501_0001.wav",
        "REC_240501_1345.wav",
        "PTT-20240501-WA0001.opus",
        "2024-05-01.wav",
        "2024-13-01_13-45-10.wav",
        "2024-02-30_13-45-10.wav",
        "2024-05-01_25-45-10.wav",
        "00010501_134510.wav",
        "120240501_134510.wav",
        "20240501_1345101.wav",
        "ab1714571110ff.wav",
        "0714571110.wav",
        "2024-05-01_13-45-10/clip.wav",
    ],
)
def test_numbers_that_may_be_something_else_say_nothing(name):
    assert time_in_name(name) is None


def test_the_name_comes_before_metadata_and_metadata_before_the_file(tmp_path):
    named = recording(tmp_path / "20240501_134510.wav", bext("2023-01-01", "00:00:00"))
    found = recorded_at(named)
    assert (found.time, found.how) == (AT, "name")
    found = recorded_at(recording(tmp_path / "a.wav", bext("2024-05-01", "13:45:10")))
    assert (found.time, found.how) == (AT, "metadata")
    found = recorded_at(recording(tmp_path / "b.wav"))
    assert (found.time, found.how) == (CHANGED, "file")


def test_the_owners_name_replaces_that_on_disk(tmp_path):
    path = recording(tmp_path / "20230101_000000.wav")
    assert recorded_at(path, name="field/20240501_134510.wav").time == AT
    assert recorded_at(path, name="knock.wav").how == "file"


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        (bext("2024:05:01", "13-45-10"), AT),
        (bext("2024 05 01", "13 45 10"), AT),
        (info("2024-05-01T13:45:10.000000Z"), AT.replace(hour=15)),
        (info("2024-05-01 13:45:10"), AT),
        (info("2024-05-01"), datetime(2024, 5, 1)),
        (bext("\0" * 10, "\0" * 8) + info("2024-05-01 13:45:10"), AT),
        (chunk(b"LIST", b"adtl") + info("2024-05-01 13:45:10"), AT),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_metadata_are_read_wherever_they_lie(tmp_path, extra, wanted, before):
    found = recorded_at(recording(tmp_path / "a.wav", extra, before=before))
    assert (found.time, found.how) == (wanted, "metadata")


@pytest.mark.parametrize(
    "extra", [bext("0000-00-00", "00:00:00"), info("soon"), bext("1904-01-01", "00:00:00"), info("")]
)
def test_metadata_without_a_believable_date_are_passed_over(tmp_path, extra):
    assert recorded_at(recording(tmp_path / "a.wav", extra)).how == "file"


def test_damaged_metadata_never_refuse_a_file(tmp_path):
    for number in range(200):
        path = recording(tmp_path / f"{number}.wav", bext("2024-05-01", "13:45:10"), info("2024-05-01"))
        content = bytearray(path.read_bytes())
        for at in range(number, 700, 37):
            content[at] = (content[at] * 7 + number) % 256
        path.write_bytes(content[: 44 + 5 * number])
        assert recorded_at(path).how in ("metadata", "file")


def test_what_is_no_recording_still_has_the_time_of_the_file(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"")
    os.utime(tmp_path / "a.txt", (CHANGED.timestamp(),) * 2)
    assert recorded_at(tmp_path / "a.txt").time == CHANGED
    os.utime(tmp_path / "a.txt", (2**33 * 30, 2**33 * 30))
    assert recorded_at(tmp_path / "a.txt").time == datetime(1970, 1, 1)


def test_links_and_missing_files_are_refused(tmp_path):
    (tmp_path / "link.wav").symlink_to(recording(tmp_path / "a.wav"))
    for name, code in (("link.wav", "not_file"), ("none.wav", "open")):
        with pytest.raises(AudioError) as refusal:
            recorded_at(tmp_path / name)
        assert refusal.value.code == code


@pytest.mark.skipif(not (SHARED / "cases").is_dir(), reason="../shared/cases is absent")
def test_a_field_recorders_bext_without_a_date_falls_back_to_the_file():
    assert recorded_at(SHARED / "cases" / "headers" / "bext.wav").how == "file"


def box(kind, body):
    return (8 + len(body)).to_bytes(4) + kind + body


def mp4(seconds, *, n_bytes=4, before=b""):
    """An MP4 whose movie was made so many seconds after 1904, in UTC."""
    header = bytes([n_bytes == 8, 0, 0, 0]) + seconds.to_bytes(n_bytes) + bytes(20)
    return box(b"ftyp", b"M4A \0\0\0\0") + before + box(b"moov", box(b"free", b"") + box(b"mvhd", header))


MAY = int(datetime(2024, 5, 1, 13, 45, 10, tzinfo=UTC).timestamp())
SINCE_1904 = MAY + 2_082_844_800


@pytest.mark.parametrize(
    "content",
    [
        mp4(SINCE_1904),
        mp4(SINCE_1904, n_bytes=8),
        mp4(SINCE_1904, before=box(b"mdat", bytes(1000))),
        mp4(SINCE_1904, before=(1).to_bytes(4) + b"mdat" + (116).to_bytes(8) + bytes(100)),
    ],
)
def test_a_voice_memo_knows_when_it_was_made(content, tmp_path):
    (tmp_path / "memo.m4a").write_bytes(content)
    assert recorded_at(tmp_path / "memo.m4a") == Recorded(datetime.fromtimestamp(MAY), "metadata")


@pytest.mark.parametrize(
    "content",
    [
        mp4(0),
        mp4(5),  # a clock that was never set
        mp4(SINCE_1904)[:-30],
        box(b"ftyp", b"M4A ") + (4).to_bytes(4) + b"moov",
        box(b"ftyp", b"M4A ") + 2000 * box(b"free", b""),
        b"no MP4 at all" * 9,
    ],
)
def test_an_mp4_without_a_time_has_that_of_its_file(content, tmp_path):
    (tmp_path / "memo.m4a").write_bytes(content)
    os.utime(tmp_path / "memo.m4a", (MAY, MAY))
    assert recorded_at(tmp_path / "memo.m4a") == Recorded(datetime.fromtimestamp(MAY), "file")
