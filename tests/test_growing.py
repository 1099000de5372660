"""Recordings heard by segments while they grow."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
import soundfile
from sounds import hum

from asd_core.audio.reading import encode_flac, encode_wav
from asd_core.audio.segments import segments
from asd_core.errors import AudioError
from asd_core.monitoring.arriving.growing import Cut, segments_there, silent_tail
from asd_core.types import SR

CUT = Cut(2.0, 2.0)


def heard(path, *, cut=CUT, first=0, is_whole=False, channel=None):
    return list(segments_there(path, cut, first=first, channel=channel, is_whole=is_whole))


def names(path, **options) -> list[str]:
    cut = options.get("cut", CUT)
    return [cut.name_of("", segment).removeprefix("#t=") for segment in heard(path, **options)]


def wav(path, seconds: float, *, sr: int = SR, channels: int = 1, subtype: str = "PCM_16"):
    rng = np.random.default_rng(1)
    sound = rng.normal(0, 0.1, (round(seconds * sr), channels)).astype(np.float32)
    soundfile.write(path, sound, sr, format="WAV", subtype=subtype)
    return path


@pytest.mark.parametrize("sr", [SR, 44_100, 48_000, 22_050, 8000])
@pytest.mark.parametrize(("segment_s", "hop_s"), [(2.0, 2.0), (2.0, 1.0), (1.0, 1.7)])
def test_a_whole_recording_gives_the_segments_that_score_hears(tmp_path, sr, segment_s, hop_s):
    path = wav(tmp_path / "a.wav", 7.3, sr=sr, channels=2)
    expected = list(segments(path, segment_s=segment_s, hop_s=hop_s, channel=1))
    found = heard(path, cut=Cut(segment_s, hop_s), is_whole=True, channel=1)
    assert len(found) == len([each for each in expected if each.waveform.duration_s >= 0.5])
    for one, other in zip(found, expected, strict=False):
        assert (one.start_s, one.is_whole) == (other.start_s, other.is_whole)
        n = min(one.waveform.n_samples, other.waveform.n_samples)
        assert abs(one.waveform.n_samples - other.waveform.n_samples) <= 1
        np.testing.assert_allclose(one.waveform.samples[:n], other.waveform.samples[:n], atol=0 if sr == SR else 1e-4)


def test_segments_are_heard_as_soon_as_a_growing_file_holds_them(tmp_path):
    content = wav(tmp_path / "whole.wav", 7.0).read_bytes()
    path = tmp_path / "a.wav"
    said = []
    for second in (1.0, 1.9, 2.0, 3.9, 6.5, 7.0):
        path.write_bytes(content[: 44 + 2 * round(second * SR)])
        said.append(names(path))
    assert said == [[], [], ["0,2"], ["0,2"], ["0,2", "2,4", "4,6"], ["0,2", "2,4", "4,6"]]
    assert names(path, first=2, is_whole=True) == ["4,6", "6,7"]


@pytest.mark.parametrize("claims", [0, 2 * SR, 0xFFFFFFFF, 0x7FFFFFFF])
def test_how_much_there_is_tells_the_size_and_not_the_header_of_an_earlier_moment(tmp_path, claims):
    content = bytearray(wav(tmp_path / "whole.wav", 5.0).read_bytes())
    content[40:44] = struct.pack("<I", claims)
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert names(path) == ["0,2", "2,4"]


def test_chunks_behind_the_sound_are_no_sound(tmp_path):
    body = wav(tmp_path / "whole.wav", 3.9).read_bytes()
    path = tmp_path / "a.wav"
    path.write_bytes(body + b"LIST" + struct.pack("<I", 8000) + b"INFO" + b"x" * 7996)
    assert names(path) == ["0,2"]
    assert names(path, is_whole=True) == ["0,2", "2,3.9"]


def test_a_recorder_of_python_grows_segment_by_segment(tmp_path):
    path = tmp_path / "a.wav"
    block = (hum(1, seconds=1.5).samples * 32767).astype("<i2").tobytes()
    said = []
    with path.open("wb") as stream, wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SR)
        for _ in range(3):
            out.writeframes(block)
            stream.flush()
            said.append(names(path))
    assert said == [[], ["0,2"], ["0,2", "2,4"]]


def test_what_a_copy_has_reserved_is_not_heard_before_it_is_filled(tmp_path):
    content = wav(tmp_path / "whole.wav", 6.0).read_bytes()
    path = tmp_path / "a.wav"
    n_written = 44 + 2 * round(3.9 * SR)
    path.write_bytes(content[:n_written] + bytes(len(content) - n_written))
    assert names(path) == ["0,2"]
    path.write_bytes(content)
    assert names(path, first=1) == ["2,4", "4,6"]


def test_a_rest_that_is_too_short_to_judge_is_left_out(tmp_path):
    assert names(wav(tmp_path / "a.wav", 4.49), is_whole=True) == ["0,2", "2,4"]
    assert names(wav(tmp_path / "a.wav", 4.5), is_whole=True) == ["0,2", "2,4", "4,4.5"]


def test_other_formats_are_cut_when_they_are_whole(tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(encode_flac(hum(1, seconds=5.0).samples))
    assert names(path) == []
    assert names(path, first=1, is_whole=True) == ["2,4", "4,5"]


def test_the_last_segment_says_what_is_wrong_with_the_file(tmp_path):
    content = encode_wav(hum(1, seconds=6.0).samples)
    path = tmp_path / "a.wav"
    path.write_bytes(content[: 44 + 2 * 3 * SR])
    first, last = heard(path, is_whole=True)
    assert first.waveform.warnings == ()
    assert [text.partition(":")[0] for text in last.waveform.warnings] == ["truncated", "partial"]


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound" * 20])
def test_what_is_no_recording_is_refused(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError):
        heard(tmp_path / "a.wav", is_whole=True)


def test_a_recording_far_longer_than_memory_is_heard_from_its_place(tmp_path):
    path = tmp_path / "a.wav"
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(1, "<i2"), SR, format="RF64", subtype="PCM_16")
    header = buffer.getvalue()[:-2]
    hours = 23
    with path.open("wb") as stream:
        stream.write(header)
        stream.seek(hours * 3600 * SR * 2, 1)
        stream.write((hum(1, seconds=4.0).samples * 32767).astype("<i2").tobytes())
    (found,) = heard(path, first=hours * 1800 + 1)
    assert (found.start_s, found.waveform.n_samples) == (hours * 3600 + 2, 2 * SR)
    assert silent_tail(found.waveform.samples) < 100


def test_segments_are_numbered_by_their_names():
    assert CUT.index_of("/a/run.wav#t=4,6") == 2
    assert Cut(2.0, 0.5).index_of("/a/run.wav#t=1.5,3.5") == 3
    assert CUT.index_of("/a/run.wav") is None
