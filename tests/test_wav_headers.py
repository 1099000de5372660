"""WAVs as recorders really leave them: G.711, RF64 and BWF, lengths left open, more channels than are averaged."""

from __future__ import annotations

import io
import os
import struct
import time

import numpy as np
import pytest
import soundfile as sf
from sounds import SHARED
from wav_files import GUID, chunk, fmt, pcm16, rf64, riff, tone, wav

from asd_core.audio.g711 import a_law_levels, mu_law_levels
from asd_core.audio.reading import decode_waveform, probe, read_waveform, stream_sound
from asd_core.audio.segments import segments
from asd_core.errors import AudioError
from asd_core.types import SR

UNFINISHED = "unfinished: the recorder was stopped before it wrote the length; heard to the end of the file"
SOUND = chunk(b"data", pcm16(tone()))


def codes(waveform):
    return [warning.split(":")[0] for warning in waveform.warnings]


# --- G.711 ---


@pytest.mark.parametrize("tag", [6, 7])
def test_each_of_the_256_codes_of_g711_is_the_level_that_libsndfile_gives(tag):
    content = wav(bytes(range(256)) * 40, tag=tag, bits=8)
    wanted = sf.read(io.BytesIO(content), dtype="float32")[0]
    np.testing.assert_array_equal(decode_waveform(content).samples, wanted)
    extensible = wav(bytes(range(256)) * 40, tag=0xFFFE, bits=8, extra=GUID[:8] + bytes([tag]) + GUID[9:])
    np.testing.assert_array_equal(decode_waveform(extensible).samples, wanted)


def test_the_quietest_and_loudest_levels_of_g711_are_those_of_the_standard():
    assert (a_law_levels()[[0x55, 0xD5, 0x2A, 0xAA]] * 32_768).tolist() == [-8, 8, -32_256, 32_256]
    assert (mu_law_levels()[[0x7F, 0xFF, 0x00, 0x80]] * 32_768).tolist() == [0, 0, -32_124, 32_124]


# --- RF64, BW64 and BWF ---


RECORDERS = {
    "rf64": rf64(),
    "bw64": rf64(magic=b"BW64"),
    "junk before ds64": rf64(before=[chunk(b"JUNK", bytes(28))]),
    "rf64 and bext after": rf64(after=[chunk(b"bext", bytes(602))]),
    "size in the data chunk": rf64(n_bytes=32_000),
    "size in the table": rf64(
        ds64=struct.pack("<QQQI", 0, 32_000, 0, 1) + b"junk" + struct.pack("<Q", 10),
        between=[chunk(b"junk", bytes(10), 0xFFFFFFFF)],
    ),
    "size unknown": rf64(ds64=struct.pack("<QQQI", 0, 2**64 - 1, 0, 0)),
    "riff with room for ds64": riff(chunk(b"JUNK", bytes(28)), fmt(), SOUND),
    "bext before": riff(chunk(b"bext", bytes(602)), fmt(), SOUND),
    "bext behind": riff(fmt(), SOUND, chunk(b"bext", bytes(602))),
}


@pytest.mark.parametrize("kind", RECORDERS)
def test_files_of_field_recorders_are_heard_without_a_word(kind, tmp_path):
    wanted = decode_waveform(wav()).samples
    read = decode_waveform(RECORDERS[kind])
    assert read.warnings == ()
    np.testing.assert_array_equal(read.samples, wanted)
    (tmp_path / "a.wav").write_bytes(RECORDERS[kind])
    (segment,) = segments(tmp_path / "a.wav", segment_s=1.0, hop_s=1.0)
    np.testing.assert_array_equal(segment.waveform.samples, wanted)


def test_a_length_beyond_4_gib_is_read_from_ds64(tmp_path):
    n_frames = 2**32 // 8 + 10
    head = rf64(b"", ds64=struct.pack("<QQQI", 0, 8 * n_frames, 0, 0))
    with (tmp_path / "big.rf64").open("wb") as file:  # takes no room on the disk
        file.write(head.replace(fmt(), fmt(channels=4, sr=48_000)))
        file.truncate(len(head) + 8 * n_frames)
    with stream_sound(tmp_path / "big.rf64", max_bytes=2**33, max_duration_s=86_400) as sound:
        assert (sound.n_frames, sound.warnings) == (n_frames, ())


def test_an_rf64_cut_short_says_so():
    read = decode_waveform(rf64()[:-12_000])
    assert read.warnings == ("truncated: the header claims 32000 bytes of sound, 20000 are there",)


# --- lengths left open ---


def left_open(data_size, riff_size, *, after=b"", sound=None):
    """A WAV whose sizes are these, whatever it holds."""
    content = bytearray(wav(sound, n_bytes=data_size) + after)
    content[4:8] = struct.pack("<I", riff_size)
    return bytes(content)


STREAMED = [
    (0xFFFFFFFF, 0xFFFFFFFF),
    (0xFFFFFFFF, 0),
    (0x7FFFFFFF, 0x7FFFFFFF),
    (0xFFFFFFFF - 36, 0xFFFFFFFF),
    (0x7FFFFFFF - 36, 0x7FFFFFFF),
    (0x7FFFFF00, 0x7FFFFF24),
    (0x7FFFF000, 0x7FFFF024),
    (32_000, 0),
    (32_000, 0xFFFFFFFF),
]


@pytest.mark.parametrize("sizes", STREAMED, ids=[f"{data:x}-{whole:x}" for data, whole in STREAMED])
def test_lengths_that_a_stream_leaves_open_are_heard_to_the_end_without_a_word(sizes):
    read = decode_waveform(left_open(*sizes))
    assert read.warnings == ()
    np.testing.assert_array_equal(read.samples, decode_waveform(wav()).samples)


@pytest.mark.parametrize("riff_size", [0, 36, 32_036])
@pytest.mark.parametrize("start", [b"", bytes(9000), b"    \0\0\0\0", b"LIST" + bytes(4)])
def test_a_killed_recorders_sound_is_heard_with_one_warning(riff_size, start):
    sound = start + pcm16(tone())
    read = decode_waveform(left_open(0, riff_size, sound=sound))
    assert read.warnings == (UNFINISHED,)
    np.testing.assert_array_equal(read.samples, decode_waveform(wav(sound)).samples)


def test_a_killed_recorders_rf64_is_heard_with_the_same_warning():
    read = decode_waveform(rf64(ds64=bytes(28)))
    assert read.warnings == (UNFINISHED,)
    assert len(read.samples) == SR


def test_a_claim_that_no_recorder_leaves_is_still_called_truncated():
    assert codes(decode_waveform(left_open(0x80000000, 0x80000024))) == ["truncated"]


@pytest.mark.parametrize("after", [chunk(b"LIST", b"INFO"), chunk(b"id3 ", b"odd")[:-1], chunk(b"bext", b"") * 3])
def test_chunks_behind_sound_of_open_length_are_not_heard(after):
    assert len(decode_waveform(left_open(0xFFFFFFFF, 0xFFFFFFFF, after=after)).samples) == SR
    with pytest.raises(AudioError, match="says that there is no sound, 32000 bytes and then other data") as refusal:
        decode_waveform(left_open(0, 0, after=after))
    assert refusal.value.code == "empty"


def test_many_marks_of_chunks_in_the_sound_cost_little():
    content = left_open(0xFFFFFFFF, 0xFFFFFFFF, sound=b"LIST\0\0\0\0" * 500_000)
    start = time.process_time()
    assert decode_waveform(content).duration_s == pytest.approx(125, abs=0.02)
    assert time.process_time() - start < 1


def test_a_file_that_shrinks_while_it_is_streamed_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(pcm16(tone(20 * SR))))
    found = segments(path, segment_s=1.0, hop_s=1.0)
    next(found)
    os.truncate(path, 300_000)
    with pytest.raises(AudioError, match="became shorter") as refusal:
        list(found)
    assert refusal.value.code == "decode"


# --- many channels ---


def test_one_of_up_to_64_channels_can_be_heard(tmp_path):
    content = wav(pcm16(tone()[:, None] * np.linspace(0.1, 0.9, 64)), channels=64)
    np.testing.assert_allclose(decode_waveform(content, channel=63).samples, tone() * 0.9, atol=1e-4)
    with pytest.raises(AudioError, match="at most 8 channels, this recording has 64") as refusal:
        decode_waveform(content)
    assert (refusal.value.code, refusal.value.cure) == ("channels", "choose one channel")
    with pytest.raises(AudioError, match="choose one of the channels 0 to 63, or the mean of all: channel"):
        decode_waveform(content, channel=64)
    (tmp_path / "a.wav").write_bytes(content)
    assert probe(tmp_path / "a.wav").n_channels == 64


def test_a_dead_channel_among_many_is_named_where_it_is_the_chosen_one():
    gains = np.where(np.arange(16) == 3, 0, 0.5)
    content = wav(pcm16(tone()[:, None] * gains), channels=16)
    said = "dead_channel: channel 3 is silent; take the live one alone, channel 0 (--channel 0)"
    assert said in decode_waveform(content, channel=3).warnings
    assert decode_waveform(content, channel=4).warnings == ()


# --- files of people ---


needs_cases = pytest.mark.skipif(not (SHARED / "cases").is_dir(), reason="../shared/cases is absent")
OF_PEOPLE = {
    "headers/ffff_both.wav": [],
    "headers/int32max_oboe.wav": [],
    "headers/riff0_data_ok.wav": [],
    "headers/hdr_36_0_python_wave_killed.wav": ["unfinished"],
    "headers/zero_both.wav": ["unfinished"],
    "headers/rf64_ffmpeg.wav": [],
    "headers/rf64_auto_junk.wav": [],
    "headers/bext.wav": [],
    "telephone/cam_mulaw.wav": [],
    "telephone/cam_alaw.wav": [],
}


@needs_cases
@pytest.mark.parametrize("name", OF_PEOPLE)
def test_files_of_real_recorders_are_heard_with_the_right_words(name):
    read = read_waveform(SHARED / "cases" / name)
    assert codes(read) == OF_PEOPLE[name]
    assert read.duration_s == (6 if name.startswith("telephone") else 4)


@needs_cases
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("zero_then_list_after", "its header says that there is no sound, 128000 bytes and then other data follow"),
        ("just_header_44", "the file has a header and no sound"),
        ("float32_scaled_as_int16", "float samples up to 1,249 are a 16-bit integer scale; full scale is 1"),
    ],
)
def test_files_of_real_recorders_that_cannot_be_heard_are_refused_with_a_cure(name, text):
    with pytest.raises(AudioError) as refusal:
        read_waveform(SHARED / "cases" / "headers" / f"{name}.wav")
    assert refusal.value.what == text
    assert refusal.value.cure
