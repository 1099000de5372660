"""Recordings of phones, messengers and cameras: heard through PyAV in the child alone, within the reader's limits."""

from __future__ import annotations

import hashlib
import io
import os
import queue
import re
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import av
import compressed as formats
import numpy as np
import pytest
import soundfile as sf
import soxr
from compressed import CODINGS, Coding, encoded, noisy_hum, recording
from sounds import PROJECT, SHARED

from asd_core.audio import compressed, kinds, sandbox
from asd_core.audio.band_edge import band_edge_hz
from asd_core.audio.kinds import Kind, is_lossy, kind_of, readable_suffixes
from asd_core.audio.reading import (
    decode_waveform,
    encode_wav,
    probe,
    read_waveform,
    stream_sound,
)
from asd_core.audio.sandbox import Decoder, decode_upload
from asd_core.audio.segments import segments
from asd_core.cli import doctor
from asd_core.errors import AudioError, UsageError

CASES = SHARED / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is absent")
linux = pytest.mark.skipif(sys.platform != "linux", reason="signals and /proc as on Linux")
LOSSLESS = {"ALAC", "AIFF", "MOV", "FLAC in Ogg"}
LIMITS = {"max_bytes": 2**30, "max_duration_s": 86_400.0}


@pytest.fixture
def decoder():
    one = Decoder()
    yield one
    one.close()


def refusal(content: bytes, **options) -> AudioError:
    with pytest.raises(AudioError) as refused:
        decode_waveform(content, **options)
    return refused.value


def aiff(samples, sr=16_000, subtype="PCM_16") -> bytes:
    stream = io.BytesIO()
    sf.write(stream, samples, sr, format="AIFF", subtype=subtype)
    return stream.getvalue()


def kept(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


# --- what is heard ---


def lag_and_likeness(samples: np.ndarray, original: np.ndarray) -> tuple[int, float]:
    """By how many samples a decoded sound comes late, and its correlation with the original at that lag."""
    n = 6000
    lags = range(-800, 801)
    there = [np.corrcoef(samples[2000 + lag : 2000 + lag + n], original[2000 : 2000 + n])[0, 1] for lag in lags]
    best = int(np.argmax(there))
    return lags[best], float(there[best])


@pytest.mark.parametrize("name", CODINGS)
def test_every_format_is_heard_and_named(name):
    coding, content = CODINGS[name], recording(name)
    heard = decode_waveform(content)
    original = noisy_hum(coding.sr, n_channels=coding.n_channels).mean(axis=0)
    lag, likeness = lag_and_likeness(heard.samples, soxr.resample(original, coding.sr, 16_000))
    assert likeness > 0.97
    assert heard.duration_s == pytest.approx(1.0, abs=0.06)
    assert (heard.digest, heard.sr) == (hashlib.sha256(content).hexdigest(), 16_000)
    assert not heard.samples.flags.writeable
    assert is_lossy(heard.warnings) == (name not in LOSSLESS)
    if name in ("MP3", "Vorbis", "Opus", "M4A", "MP4", "WebM", *LOSSLESS):  # what an encoder puts before is left out
        assert lag == 0


WORDS = {
    "MP3": "lossy: MP3, 128 kbit/s",
    "Vorbis": "lossy: Vorbis, ",
    "Opus": "lossy: Opus, ",
    "M4A": "lossy: AAC, ",
    "WMA": "lossy: WMA, 129 kbit/s",
    "AMR": "lossy: AMR, 13 kbit/s",
    "3GP": "lossy: AMR, 13 kbit/s",
    "IMA ADPCM": "lossy: IMA ADPCM, 32 kbit/s",
    "Microsoft ADPCM": "lossy: Microsoft ADPCM, 32 kbit/s",
    "G.726": "lossy: G.726, 32 kbit/s",
    "MP3 in WAV": "lossy: MP3, 64 kbit/s",
}


@pytest.mark.parametrize("name", WORDS)
def test_the_warning_names_codec_and_bit_rate(name):
    (warning,) = decode_waveform(recording(name)).warnings
    assert warning.startswith(WORDS[name])


@pytest.mark.parametrize("name", ["M4A", "MP4", "ALAC", "MOV"])
def test_the_padding_behind_the_length_that_an_mp4_states_is_left_out(name):
    assert decode_waveform(recording(name)).n_samples == 16_000


def test_lossless_aiff_has_the_samples_of_the_same_wav():
    samples = noisy_hum(44_100, n_channels=2).T
    stream = io.BytesIO()
    sf.write(stream, samples, 44_100, format="WAV", subtype="PCM_16")
    for channel in (None, 1):
        wav, other = (decode_waveform(c, channel=channel) for c in (stream.getvalue(), aiff(samples, 44_100)))
        np.testing.assert_array_equal(other.samples, wav.samples)
        assert other.warnings == wav.warnings == ()


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
def test_each_kind_of_sample_has_its_full_scale(subtype):
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    heard = decode_waveform(aiff(samples, subtype=subtype)).samples
    assert np.abs(heard - samples).max() < (0.02 if subtype in ("PCM_S8", "ULAW", "ALAW") else 1e-4)


CASE_WORDS = {
    "formats/bad.mp3": (5.0, "lossy: MP3, 128 kbit/s: nothing above 9.0 kHz"),
    "formats/bad.ogg": (5.0, "lossy: Vorbis, 49 kbit/s: nothing above 8.9 kHz"),
    "formats/bad.webm": (5.0, "lossy: Opus, 65 kbit/s: nothing above 8.8 kHz"),
    "formats/voice_memo.m4a": (5.0, "lossy: AAC, 128 kbit/s: nothing above 9.0 kHz"),
    "formats/voice_note.opus": (5.0, "lossy: Opus, 65 kbit/s: nothing above 8.8 kHz"),
    "telephone/dvr_ima.wav": (6.123, "lossy: IMA ADPCM, 32 kbit/s"),
    "telephone/dvr_ms.wav": (6.108, "lossy: Microsoft ADPCM, 64 kbit/s"),
    "telephone/cam_g726.wav": (6.0, "lossy: G.726, 32 kbit/s"),
    "telephone/gsm.wav": (6.0, "lossy: GSM 6.10, 13 kbit/s"),
    "telephone/mp3_in_wav.wav": (6.034, "lossy: MP3, 64 kbit/s: nothing above 8.7 kHz"),
}


@needs_cases
@pytest.mark.parametrize("name", CASE_WORDS)
def test_files_of_phones_and_cameras_are_heard_with_one_word_each(name):
    seconds, words = CASE_WORDS[name]
    heard = read_waveform(CASES / name)
    assert heard.duration_s == pytest.approx(seconds, abs=0.001)
    assert heard.warnings == (words,)


def test_content_decides_and_not_the_name(tmp_path):
    named_wav = read_waveform(kept(tmp_path, "clip.wav", recording("MP3")))
    assert named_wav.warnings[0].startswith("lossy: MP3")
    assert read_waveform(kept(tmp_path, "clip.mp3", encode_wav(noisy_hum(16_000)[0]))).warnings == ()


def test_an_upload_and_a_file_give_the_same(tmp_path):
    there, here = decode_upload(recording("M4A")), read_waveform(kept(tmp_path, "a.m4a", recording("M4A")))
    np.testing.assert_array_equal(there.samples, here.samples)
    assert (there.digest, there.warnings) == (here.digest, here.warnings)


def test_the_reader_never_loads_the_decoders_into_its_own_process(tmp_path):
    path = kept(tmp_path, "a.mp3", recording("MP3"))
    script = "import sys; from asd_core.audio.reading import *; read_waveform(sys.argv[1]); print('av' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script, path], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_last_packet_of_an_ogg_may_have_an_absurd_length():
    stream = io.BytesIO()
    sf.write(stream, 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000), 16_000, format="OGG", subtype="VORBIS")
    (warning,) = decode_waveform(stream.getvalue()).warnings
    assert 5 < int(re.search(r"Vorbis, (\d+) kbit/s", warning)[1]) < 50


# --- up to where there is sound ---


def white(sr: int, edge_hz: float, *, seconds: float = 3.0, amplitude: float = 0.05) -> np.ndarray:
    """White noise with nothing above an edge."""
    spectrum = np.fft.rfft(np.random.default_rng(4).standard_normal(round(seconds * sr)))
    spectrum[np.fft.rfftfreq(round(seconds * sr), 1 / sr) > edge_hz] = 0
    return (amplitude * np.fft.irfft(spectrum)).astype(np.float32)


@pytest.mark.parametrize("edge_hz", [3400.0, 8000.0, 15_800.0, 20_000.0])
def test_the_band_edge_is_found_to_a_hundred_hertz(edge_hz):
    assert band_edge_hz(white(48_000, edge_hz), sr=48_000) == pytest.approx(edge_hz, abs=101)


@pytest.mark.parametrize(
    "samples",
    [
        white(44_100, 22_000),
        white(44_100, 21_200),
        noisy_hum(44_100)[0],  # a tone 30 dB and more above the noise is no edge
        np.zeros(44_100, dtype=np.float32),
        white(44_100, 8000)[:1000],
        white(44_100, 3000) + white(44_100, 22_000, amplitude=0.0005),  # a machine that is quiet above 3 kHz
    ],
    ids=["white", "nearly all", "hum", "silence", "short", "quiet above"],
)
def test_sound_without_an_edge_has_none(samples):
    assert band_edge_hz(samples, sr=44_100) is None


def test_pauses_and_clicks_do_not_hide_the_edge():
    samples = white(44_100, 8000, seconds=4.0)
    samples[: 2 * len(samples) // 3] = 0
    samples[150_000] += 0.5
    assert band_edge_hz(samples, sr=44_100) == pytest.approx(8000, abs=101)


def test_the_edge_of_an_mp3_is_in_its_warning():
    (warning,) = decode_waveform(encoded(white(44_100, 15_800)[None], CODINGS["MP3"])).warnings
    text, edge = warning.rsplit(" above ", 1)
    assert text == "lossy: MP3, 128 kbit/s: nothing"
    assert re.fullmatch(r"1[56]\.\d kHz", edge)
    assert float(edge.split()[0]) == pytest.approx(15.8, abs=0.7)  # a scale-factor band further


# --- which kind ---


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"ID3\x04\0\0\0\0\0\x02xx\xff\xfb\x90\x64", "MP3"),
        (b"ID3\x04\0\0\0\0\x01\x00" + bytes(128) + b"\xff\xf1\x50\x80", "AAC"),
        (b"\xff\xfb\x90\x64", "MP3"),
        (b"\xff\xe3\x18\xc4", "MP3"),
        (b"\xff\xf9\x50\x80", "AAC"),
        (b"OggS\0\x02", "Ogg"),
        (b"\0\0\0\x20ftypM4A ", "M4A or MP4"),
        (b"\0\0\0\x08wide\0\0\0\0", "M4A or MP4"),
        (b"\x1aE\xdf\xa3\x01", "WebM or Matroska"),
        (b"FORM\0\0\0\x40AIFF", "AIFF"),
        (b"FORM\0\0\0\x40AIFC", "AIFF"),
        (b"#!AMR\n<", "AMR"),
        (b"#!AMR-WB\n", "AMR"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "WMA"),
        (b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x14\0\0\0\x11\0", "WAV with IMA ADPCM"),
    ],
)
def test_a_kind_is_known_by_its_first_bytes(start, name):
    assert kind_of(start + bytes(100)).name == name


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"RIFF\0\0\0\0AVI fmt \x10\0\0\0\x11\0",
        b"fLaC",
        b"\xff" * 64,
        b"\xff\xfb\xf0\x64",  # bit rate 15
        b"\xff\xfb\x9c\x64",  # rate 3
        b"\xff\xeb\x90\x64",  # a version that does not exist
        b"\xff\xfd\x90\x64",  # layer II
        b"\xff\xf1\x74\x80",  # rate 13
        b"FORM\0\0\0\x40ILBM",
        b"#EXTM3U\nhttp://example.org/a.ts\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"<?xml version='1.0'?><MPD/>",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_anything_else_is_the_bounded_readers(start):
    assert kind_of(start) is None


@pytest.mark.parametrize("name", ["MP3", "M4A", "Opus", "IMA ADPCM"])
def test_strict_refuses_what_is_neither_wav_nor_flac_and_says_what_to_do(name, monkeypatch, tmp_path):
    monkeypatch.setenv("ASD_FORMATS", "strict")
    monkeypatch.setattr(sandbox, "_pool", lambda: pytest.fail("a child was asked for"))
    refused = refusal(recording(name))
    assert refused.code == ("codec" if name == "IMA ADPCM" else "magic")
    if name != "IMA ADPCM":
        assert (refused.cure, "only WAV and FLAC" in refused.what) == ("convert the file to WAV or FLAC", True)
    with pytest.raises(AudioError), stream_sound(kept(tmp_path, "a", recording(name)), **LIMITS):
        pass


def test_a_strict_child_does_not_even_load_the_decoders(monkeypatch, decoder):
    monkeypatch.setenv("ASD_FORMATS", "strict")
    with pytest.raises(AudioError, match="only WAV and FLAC") as refused:
        decoder.decode(recording("MP3"), name="a.mp3")
    assert refused.value.code == "magic"
    if Path("/proc/self/maps").exists():
        assert "avcodec" not in Path(f"/proc/{decoder.process.pid}/maps").read_text()
    assert len(decoder.decode(encode_wav(noisy_hum(16_000)[0])).samples) == 16_000


def test_an_unknown_value_of_the_variable_is_said_at_once(monkeypatch):
    monkeypatch.setenv("ASD_FORMATS", "all of them")
    for attempt in (lambda: decode_waveform(recording("MP3")), lambda: decode_upload(recording("MP3"))):
        with pytest.raises(UsageError, match="ASD_FORMATS must be all or strict"):
            attempt()


def test_strict_lists_no_other_suffixes(monkeypatch):
    assert {".mp3", ".m4a", ".opus", ".aac", ".webm", ".amr", ".wma", ".mov"} <= set(readable_suffixes())
    monkeypatch.setenv("ASD_FORMATS", "strict")
    assert readable_suffixes() == kinds.LOSSLESS_SUFFIXES


# --- what the decoders may do ---


@pytest.mark.parametrize("demuxer", ["hls", "concat", "dash", "sdp", "mpegts", "avi", "matroska_without_name", "flac"])
def test_no_other_demuxer_can_be_reached(demuxer, tmp_path):
    (tmp_path / "secret.ts").write_bytes(recording("MP3"))
    playlist = (
        f"#EXTM3U\n#EXTINF:10,\n{tmp_path}/secret.ts\n#EXT-X-ENDLIST\nffconcat version 1.0\nfile {tmp_path}/secret.ts\n"
    )
    with (
        pytest.raises(AudioError) as refused,
        compressed.opened_sound(io.BytesIO(playlist.encode()), Kind("a playlist", demuxer)),
    ):
        pass
    assert refused.value.code == "decode"


def test_a_demuxer_is_handed_nothing_but_the_bytes():
    """An MP4 whose sound lies in another file (a data reference) is not followed there."""
    content = bytearray(recording("MOV"))
    at = content.find(b"url \0\0\0\x01")
    assert at > 0
    content[at : at + 8] = b"url \0\0\0\0"
    assert decode_waveform(bytes(content)).n_samples == 16_000  # from the file itself
    with pytest.raises(PermissionError, match="no other file"):
        compressed._refuse_other_files("file:///etc/passwd", 1, {})
    assert compressed._OPTIONS["protocol_whitelist"] == ""


def test_only_decoders_of_sound_are_allowed():
    assert {av.Codec(name).type for name in compressed.DECODERS} == {"audio"}


@pytest.mark.parametrize(("muxer", "encoder"), [("mp4", "ac3"), ("matroska", "mp2"), ("matroska", "tta")])
def test_other_decoders_are_refused_by_name(muxer, encoder):
    content = encoded(noisy_hum(48_000, n_channels=2), Coding(muxer, encoder, 48_000, 2, bit_rate=192_000))
    refused = refusal(content)
    assert (refused.code, refused.cure) == ("codec", "convert the file to WAV or FLAC")
    assert "which is not read" in refused.what


def film(*, has_sound: bool) -> bytes:
    """A short film in MP4, the picture first."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as out:
        picture = out.add_stream("mpeg4", rate=10)
        picture.width, picture.height = 64, 64
        sound = out.add_stream("aac", rate=48_000, layout="mono") if has_sound else None
        for number in range(10):
            image = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * number, dtype=np.uint8), format="rgb24")
            image.pts = number
            out.mux(picture.encode(image))
        out.mux(picture.encode(None))
        if sound is not None:
            frame = av.AudioFrame.from_ndarray(noisy_hum(48_000), "fltp", "mono")
            frame.sample_rate, frame.pts = 48_000, 0
            out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
    return stream.getvalue()


def test_the_sound_of_a_film_is_heard_and_its_picture_never_decoded():
    content = film(has_sound=True)
    assert decode_waveform(content).n_samples == 16_000
    with compressed.opened_sound(io.BytesIO(content), kind_of(content)) as sound:
        container = sound._stream.container
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert not container.streams.video[0].codec_context.is_open


def test_a_film_without_sound_is_refused_in_words():
    refused = refusal(film(has_sound=False))
    assert (refused.code, "no sound in this M4A or MP4" in refused.what) == ("empty", True)


def test_names_in_a_file_may_have_any_encoding():
    content = recording("M4A")
    tagged = encoded(noisy_hum(44_100), CODINGS["MP3"])
    tag = b"TIT2" + struct.pack(">I", 6) + b"\0\0" + b"\x00caf\xe9\xff"
    id3 = b"ID3\x03\0\0" + bytes([0, 0, 0, len(tag)]) + tag
    assert decode_waveform(id3 + tagged).duration_s == pytest.approx(1.0, abs=0.06)
    assert decode_waveform(content.replace(b"Lavf", b"\xff\xfe\xe9\x00")).n_samples == 16_000


# --- limits ---


def long_ima(seconds: float) -> bytes:
    """Silence in IMA ADPCM at 8 kHz, whose header states one second."""
    n_blocks = int(seconds * 8000 / 505) + 1
    fmt = struct.pack("<HHIIHHHH", 0x11, 1, 8000, 4000, 256, 4, 2, 505)
    fact = struct.pack("<4sII", b"fact", 4, 8000)
    data = bytes(256 * n_blocks)
    body = b"WAVEfmt " + struct.pack("<I", 20) + fmt + fact + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_length_is_limited_by_what_is_decoded_whatever_the_header_says():
    assert decode_waveform(long_ima(599)).duration_s == pytest.approx(599, abs=0.1)
    refused = refusal(long_ima(601))
    assert (refused.code, bool(refused.cure)) == ("too_long", True)


LIMITED = {
    "nine channels": (aiff(np.zeros((16_000, 9))), "channels"),
    "4 kHz": (aiff(np.zeros(4_000), 4_000), "rate"),
    "a tenth of a second": (aiff(0.1 * np.ones(1_600)), "too_short"),
    "no sound": (aiff(np.zeros(0)), "empty"),
    "not a number": (aiff(np.full(16_000, np.nan), subtype="FLOAT"), "nonfinite"),
    "beyond float": (aiff(np.full(16_000, 1e300), subtype="DOUBLE"), "nonfinite"),
    "17 times full scale": (aiff(np.full(16_000, 17.0), subtype="FLOAT"), "range"),
    "a header": (recording("M4A")[:100], "decode"),
    "tag alone": (b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(500), "decode"),
    "Ogg alone": (b"OggS" + bytes(200), "decode"),
}


@pytest.mark.parametrize("case", LIMITED)
def test_the_readers_limits_hold(case):
    content, code = LIMITED[case]
    assert refusal(content).code == code


def test_a_channel_that_is_not_there_is_refused():
    assert refusal(recording("MP4"), channel=2).code == "channels"
    assert decode_waveform(recording("MP4"), channel=1).n_samples == 16_000


def test_a_refusal_names_the_file(tmp_path):
    with pytest.raises(AudioError, match="memo\\.m4a") as refused:
        read_waveform(kept(tmp_path, "memo.m4a", recording("M4A")[:100]))
    assert refused.value.cure


def test_damage_in_the_middle_is_refused_and_a_missing_end_is_said():
    damaged = bytearray(recording("ALAC", 3.0))
    damaged[len(damaged) // 2 : len(damaged) // 2 + 3000] = bytes(3000)
    assert refusal(bytes(damaged)).code == "decode"
    whole = aiff(noisy_hum(16_000, seconds=3.0)[0])
    cut = decode_waveform(whole[: len(whole) // 2])
    assert cut.duration_s == pytest.approx(1.5, abs=0.01)
    assert cut.warnings == ("truncated: the header claims 3.0 s of sound, 1.5 s are there",)


@pytest.mark.parametrize("name", ["MP3", "AAC", "WMA", "G.726"])
def test_a_recording_that_was_cut_off_is_heard_up_to_there(name):
    content = recording(name, 3.0)
    assert 1.0 < decode_waveform(content[: len(content) // 2]).duration_s < 2.0


def test_faults_of_the_recording_are_named_as_in_a_wav():
    silent = decode_waveform(encoded(np.zeros((1, 44_100), dtype=np.float32), CODINGS["ALAC"]))
    assert [text.split(":")[0] for text in silent.warnings] == ["silent"]
    dead = noisy_hum(44_100, n_channels=2) * np.array([[1], [0]], dtype=np.float32)
    assert any(text.startswith("dead_channel: channel 1") for text in decode_waveform(aiff(dead.T, 44_100)).warnings)


# --- streams ---


@pytest.mark.parametrize("name", ["MP3", "Opus", "M4A", "WebM", "AIFF", "AMR", "G.726"])
def test_a_stream_has_the_sound_of_the_whole_file(name, tmp_path):
    path = kept(tmp_path, "sound", recording(name, 12.0))
    with stream_sound(path, **LIMITS) as sound:
        blocks = list(sound.blocks)
        assert abs(sound.n_frames - sum(map(len, blocks))) <= 0.05 * sound.sr
        assert (sound.sr, sound.n_channels) == (CODINGS[name].sr, 1)
    assert max(map(len, blocks)) <= 65_536
    whole = read_waveform(path)
    samples = soxr.resample(np.concatenate(blocks), sound.sr, 16_000)
    np.testing.assert_allclose(samples, whole.samples, atol=1e-6)
    assert [text.split(", ")[0] for text in sound.warnings] == [text.split(", ")[0] for text in whole.warnings]


def test_segments_of_a_compressed_recording_say_once_that_it_is_lossy(tmp_path):
    found = list(segments(kept(tmp_path, "memo.m4a", recording("M4A", 12.0)), segment_s=5.0, hop_s=5.0))
    assert [(each.start_s, each.end_s, each.is_whole) for each in found] == [
        (0, 5, True),
        (5, 10, True),
        (10, 12, False),
    ]
    assert [is_lossy(each.waveform.warnings) for each in found] == [True, False, False]
    whole = read_waveform(tmp_path / "memo.m4a").samples
    np.testing.assert_allclose(np.concatenate([each.waveform.samples for each in found]), whole, atol=1e-5)


@pytest.mark.parametrize("name", ["AIFF", "WMA"])
def test_a_long_recording_that_breaks_off_says_so_in_its_last_segment(name, tmp_path):
    content = recording(name, 12.0)
    found = list(segments(kept(tmp_path, "cut", content[: len(content) // 2]), segment_s=4.0, hop_s=4.0))
    truncated = [[text for text in each.waveform.warnings if text.startswith("truncated")] for each in found]
    assert [len(texts) for texts in truncated] == [0, 1]
    words = "the header claims 12.0 s of sound, " if name == "AIFF" else "the recording breaks off, "
    assert re.fullmatch(f"truncated: {words}[56]\\.\\d s are there", truncated[1][0])


def test_rate_length_and_channels_are_known_before_the_sound_is_read(tmp_path):
    path = kept(tmp_path, "film.mp4", recording("MP4", 12.0))
    found = probe(path)
    assert (found.sr, found.n_frames, found.n_channels) == (48_000, 576_000, 2)


def test_a_recording_without_a_stated_length_has_its_packets_counted(tmp_path):
    live = encoded(noisy_hum(48_000, seconds=3.0), CODINGS["WebM"], options={"live": "1"})
    with av.open(io.BytesIO(live), format="matroska") as container:
        assert container.duration is None
    assert probe(kept(tmp_path, "live.webm", live)).n_frames == pytest.approx(144_000, abs=2_000)


def test_streams_may_be_open_side_by_side_and_left_half_read(tmp_path):
    paths = [kept(tmp_path, name, recording(name, 12.0)) for name in ("MP3", "M4A", "Opus", "AIFF")]
    opened = [stream_sound(path, **LIMITS) for path in paths]
    sounds = [one.__enter__() for one in opened]
    firsts = [next(sound.blocks) for sound in sounds]
    for one in opened:
        one.__exit__(None, None, None)
    for path, first in zip(paths, firsts, strict=True):
        with stream_sound(path, **LIMITS) as sound:
            np.testing.assert_array_equal(next(sound.blocks), first)


def test_a_stream_ends_with_its_file(tmp_path):
    with stream_sound(kept(tmp_path, "a", recording("AIFF", 12.0)), **LIMITS) as sound:
        next(sound.blocks)
    with stream_sound(tmp_path / "a", **LIMITS) as unread:
        pass
    for ended in (sound, unread):
        with pytest.raises(AudioError, match="has been closed"):
            next(ended.blocks)


def test_a_stream_longer_than_allowed_is_refused_where_that_shows(tmp_path):
    path = kept(tmp_path, "a", recording("AIFF", 12.0))
    with pytest.raises(AudioError) as refused, stream_sound(path, max_bytes=2**30, max_duration_s=10.0) as sound:
        list(sound.blocks)
    assert refused.value.code == "too_long"
    with pytest.raises(AudioError) as refused, stream_sound(path, max_bytes=1000, max_duration_s=10.0):
        pass
    assert refused.value.code == "too_big"


def test_a_stream_that_is_too_short_is_refused_before_its_first_block(tmp_path):
    with pytest.raises(AudioError) as refused, stream_sound(kept(tmp_path, "a", aiff(0.1 * np.ones(1600))), **LIMITS):
        pass
    assert refused.value.code == "too_short"


def test_an_interrupted_answer_is_not_taken_for_the_next_one(decoder, monkeypatch):
    decoder.decode(recording("MP3"))
    with monkeypatch.context() as patched:
        patched.setattr(sandbox, "_samples", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            decoder.decode(recording("MP3"))
    assert decoder.decode(recording("AIFF")).warnings == ()


@linux
def test_a_child_that_dies_or_hangs_in_a_stream_is_a_refusal(tmp_path, monkeypatch):
    path = kept(tmp_path, "a", recording("AIFF", 12.0))
    spare = queue.LifoQueue(1)
    monkeypatch.setattr(sandbox, "_spare", lambda _: spare)
    for sign, why in ((signal.SIGKILL, "broke down"), (signal.SIGSTOP, "took more than")):
        with stream_sound(path, **LIMITS) as sound:
            next(sound.blocks)
            decoder = sound.blocks.gi_frame.f_locals["self"]
            decoder.seconds = 0.5
            os.kill(decoder.process.pid, sign)
            with pytest.raises(AudioError, match=why) as refused:
                list(sound.blocks)
            decoder.seconds = sandbox.SECONDS
        assert refused.value.code == "decode"
    with stream_sound(path, **LIMITS) as sound:
        assert len(next(sound.blocks)) == 65_536
    decoder.close()


ANSWERER = """
import ast, os, sys
sys.stdin.buffer.read(1)
os.write(1, ast.literal_eval(sys.argv[1]))
os.close(1)
sys.stdin.buffer.read()
"""


def framed(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


@pytest.mark.parametrize(
    "answer",
    [
        b'{"at": -1, "n_bytes": 10}',
        b'{"at": 0, "n_bytes": 2000000}',
        b'{"at": 999999, "n_bytes": 10}',
        b'{"at": 0, "n_bytes": 0}',
        b'{"at": "0", "n_bytes": 1}',
        b'{"sr": 44100, "n_frames": -1, "n_channels": 1, "warnings": []}',
        b'{"sr": 1, "n_frames": 1, "n_channels": 1, "warnings": []}',
        b'{"sr": 44100, "n_frames": null, "n_channels": 1, "warnings": []}',
        b'{"sr": 44100, "n_frames": 1, "n_channels": 0, "warnings": []}',
        b'{"sr": 44100, "n_frames": 1, "n_channels": 1, "warnings": "none"}',
        b'{"n_samples": 1, "warnings": []}',
    ],
)
def test_a_child_that_asks_or_answers_nonsense_is_ended(answer, tmp_path, monkeypatch):
    command = [sys.executable, "-c", ANSWERER, repr(framed(answer))]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    monkeypatch.setattr(sandbox, "_start", lambda *_: child)
    spare = queue.LifoQueue(1)
    monkeypatch.setattr(sandbox, "_spare", lambda _: spare)
    with (
        pytest.raises(AudioError, match="it broke down"),
        stream_sound(kept(tmp_path, "a", recording("MP3")), **LIMITS),
    ):
        pass
    assert child.poll() is not None


# --- the machine ---


def test_doctor_says_whether_other_formats_are_decoded(monkeypatch):
    found = doctor._formats()
    assert (found.ok, found.required, "MP3" in found.detail) == (True, False, True)
    monkeypatch.setenv("ASD_FORMATS", "strict")
    assert doctor._formats().detail == "WAV and FLAC alone: ASD_FORMATS=strict"
    monkeypatch.setenv("ASD_FORMATS", "strickt")
    assert not doctor._formats().ok


# --- mutants ---


def decode_mutants(decoder: Decoder, name: str, number: int) -> tuple[Counter[str], float]:
    """Return outcomes, and seconds of the slowest; the child may die, another exception may not come out."""
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for content in formats.mutants(name, number):
        began = time.monotonic()
        try:
            waveform = decoder.decode(content)
        except AudioError as error:
            outcomes["died" if "the decoder was stopped" in str(error) else error.code] += 1
        else:
            outcomes["heard"] += 1
            assert np.isfinite(waveform.samples).all()
        slowest = max(slowest, time.monotonic() - began)
    return outcomes, slowest


@pytest.fixture(scope="module")
def one_child():
    one = Decoder()
    yield one
    one.close()


@pytest.mark.parametrize("name", CODINGS)
def test_mutants_are_heard_or_refused_and_the_next_clip_is_heard(name, one_child):
    outcomes, slowest = decode_mutants(one_child, name, 200)
    assert outcomes.total() == 200
    assert outcomes["heard"] >= (name != "Vorbis")  # each of its pages has a checksum
    assert outcomes["decode"] >= 10
    assert outcomes["died"] <= 2
    assert slowest < 10
    assert one_child.decode(recording(name)).duration_s == pytest.approx(1.0, abs=0.06)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("name", CODINGS)
def test_very_many_mutants_are_heard_or_refused(name, one_child):
    outcomes, slowest = decode_mutants(one_child, name, 5000)
    peak_mb = 0
    if Path("/proc/self/status").exists():
        status = Path(f"/proc/{one_child.process.pid}/status").read_text()
        peak_mb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024
    print(f"{name}: {dict(outcomes)}, slowest {slowest:.2f} s, child's peak {peak_mb} MiB")
    assert outcomes.total() == 5000
    assert outcomes["died"] <= 50
    assert slowest <= sandbox.SECONDS + 5
