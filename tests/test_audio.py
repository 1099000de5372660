"""The bounded audio reader: what it accepts, what it refuses, and at which cost."""

from __future__ import annotations

import contextlib
import copy
import csv
import hashlib
import importlib.util
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st
from wav_files import GUID, asked_later, chunk, encoded, flac_claiming, float_wav, fmt, pcm16, rf64, riff, tone, wav

from asd_core.audio import reading as audio
from asd_core.audio.reading import REFUSAL_CODES, decode_waveform, encode_wav, read_waveform
from asd_core.errors import AudioError, InputError
from asd_core.types import SR

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(__file__).resolve().parents[2] / "shared"
BAD_AUDIO = SHARED / "tools" / "bad_audio.py"
needs_corpus = pytest.mark.skipif(not BAD_AUDIO.is_file(), reason="../shared/tools/bad_audio.py is absent")
needs_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs and links without POSIX")
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
never_saved = settings(max_examples=200, deadline=None, derandomize=True, database=None)


@contextlib.contextmanager
def cpu_below(seconds):
    start = time.process_time()
    yield
    assert time.process_time() - start < seconds


@pytest.fixture(scope="module", autouse=True)
def _libraries_loaded():
    decode_waveform(wav(sr=8000))


@pytest.fixture
def no_waiting():
    """Interrupt a call that blocks, so that a failure is a failure and not a hang."""

    def interrupt(signum, frame):
        raise TimeoutError("the reader blocked")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


# Accepted files


@pytest.mark.parametrize(
    ("container", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_24", 2**-22),
        ("WAV", "PCM_32", 2**-22),
        ("WAV", "FLOAT", 2**-24),
        ("WAV", "DOUBLE", 2**-24),
        ("WAVEX", "PCM_16", 2**-15),
        ("WAVEX", "FLOAT", 2**-24),
        ("FLAC", "PCM_S8", 2**-7),
        ("FLAC", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-22),
    ],
)
def test_each_listed_format_gives_the_samples_that_were_written(container, subtype, tolerance):
    read = decode_waveform(encoded(container, subtype))
    np.testing.assert_allclose(read.samples, tone(), atol=tolerance)
    assert read.warnings == ()


def test_samples_are_mono_float32_at_the_package_rate_and_contiguous():
    read = decode_waveform(wav(pcm16(np.repeat(tone(48_000, sr=48_000), 2)), channels=2, sr=48_000))
    assert read.samples.shape == (SR,)
    assert read.samples.dtype == np.float32
    assert read.samples.flags.c_contiguous
    assert read.sr == SR


@pytest.mark.parametrize("sr", [SR, 32_000])
def test_samples_are_read_only(sr):
    read = decode_waveform(wav(sr=sr))
    with pytest.raises(ValueError, match="read-only"):
        read.samples[0] = 1


def test_digest_is_the_sha256_of_the_file_not_of_the_samples(tmp_path):
    content = riff(fmt(), chunk(b"LIST", b"INFO"), chunk(b"data", pcm16(tone())))
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    assert read_waveform(path).digest == hashlib.sha256(content).hexdigest()
    assert decode_waveform(content).digest == hashlib.sha256(content).hexdigest()
    assert decode_waveform(wav()).digest != hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", ["clip.flac", "clip.txt", "clip", "-rf.wav", "new\nline.wav", "UPPER.WAV"])
def test_content_decides_and_the_name_does_not(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(wav())
    assert len(read_waveform(path).samples) == SR
    assert len(read_waveform(str(path)).samples) == SR


def test_flac_under_a_wav_name_is_read(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(encoded("FLAC", "PCM_16"))
    assert len(read_waveform(path).samples) == SR


@pytest.mark.parametrize("n_channels", range(1, 9))
def test_default_is_the_mean_of_all_channels(n_channels):
    levels = np.linspace(0.1, 0.8, n_channels)
    read = decode_waveform(wav(pcm16(tone()[:, None] * levels), channels=n_channels))
    np.testing.assert_allclose(read.samples, tone() * levels.mean(), atol=1e-4)


@pytest.mark.parametrize("channel", range(3))
def test_a_chosen_channel_is_that_channel(channel):
    levels = np.array([0.1, 0.5, 0.9])
    read = decode_waveform(wav(pcm16(tone()[:, None] * levels), channels=3), channel=channel)
    np.testing.assert_allclose(read.samples, tone() * levels[channel], atol=1e-4)


@pytest.mark.parametrize("channel", [-1, 2, 99])
def test_a_channel_that_is_not_there_is_refused(channel):
    with pytest.raises(AudioError, match=rf"channel must be 0..1, got {channel}") as refusal:
        decode_waveform(encoded("FLAC", "PCM_16", np.zeros((SR, 2))), channel=channel)
    assert refusal.value.code == "channels"


@pytest.mark.parametrize("sr", [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_resampling_keeps_length_frequency_and_level_of_a_tone(sr):
    samples = decode_waveform(wav(pcm16(tone(sr, freq=1000, sr=sr)), sr=sr)).samples
    assert abs(len(samples) - SR) <= 1
    middle = samples[4000:12_000]
    spectrum = np.abs(np.fft.rfft(middle)) / len(middle) * 2
    assert np.argmax(spectrum) * SR / len(middle) == 1000
    assert spectrum.max() == pytest.approx(0.5, rel=1e-3)


def test_resampling_does_not_fold_what_lies_above_the_new_band():
    samples = decode_waveform(wav(pcm16(tone(48_000, freq=12_000, sr=48_000)), sr=48_000)).samples
    assert np.abs(samples[2000:-2000]).max() < 1e-3


def test_blocks_join_without_a_seam():
    x = np.linspace(-0.9, 0.9, 3 * 65_536 + 17)
    np.testing.assert_allclose(decode_waveform(float_wav(x)).samples, x.astype(np.float32), rtol=0)


def test_half_a_second_and_ten_minutes_are_the_inclusive_limits():
    assert len(decode_waveform(wav(bytes(8000), sr=8000)).samples) == 8000
    assert decode_waveform(wav(bytes(600 * 8000), sr=8000, bits=8)).duration_s == 600
    for n_frames, code in ((3999, "too_short"), (600 * 8000 + 1, "too_long")):
        with pytest.raises(AudioError) as refusal:
            decode_waveform(wav(bytes(n_frames), sr=8000, bits=8))
        assert refusal.value.code == code


def test_frames_are_capped_below_ten_minutes_at_high_rates():
    with pytest.raises(AudioError, match=r"at most 156\.25 s at 192000 Hz") as refusal:
        decode_waveform(wav(bytes(30_000_001), sr=192_000, bits=8))
    assert refusal.value.code == "too_long"


# Warnings


def test_a_file_with_fewer_samples_than_claimed_says_truncated():
    read = decode_waveform(wav()[: 44 + 20_000])
    assert len(read.samples) == 10_000
    assert read.warnings == ("truncated: the header claims 32000 bytes of sound, 20000 are there",)


@pytest.mark.parametrize("x", [np.zeros(SR), np.full(SR, 0.7), tone(amp=1e-9)])
def test_a_constant_or_inaudible_file_says_silent(x):
    (warning,) = decode_waveform(float_wav(x)).warnings
    assert warning.startswith("silent: ")


def test_channels_that_cancel_are_silent_as_a_mean_and_not_alone():
    content = wav(pcm16(tone()[:, None] * [1, -1]), channels=2)
    assert decode_waveform(content).warnings[0].startswith("silent: ")
    assert decode_waveform(content, channel=1).warnings == ()


def test_the_smallest_16_bit_noise_is_not_silent():
    x = np.random.default_rng(0).integers(-1, 2, SR).astype("<i2").tobytes()
    assert decode_waveform(wav(x)).warnings == ()


def test_both_warnings_can_be_given():
    codes = [w.split(":")[0] for w in decode_waveform(wav(bytes(20_000), n_bytes=32_000)).warnings]
    assert codes == ["truncated", "silent"]


# Refusals

SOUND = chunk(b"data", pcm16(tone()))
AT_100 = np.arange(SR) == 100

REFUSED = [
    ("empty", b"", "the file is empty"),
    ("empty", wav()[:43], "at least 44 bytes, this file has 43"),
    ("empty", wav(b""), "a header and no sound"),
    ("empty", riff(fmt(), chunk(b"data", pcm16(tone()), 0), chunk(b"LIST", b"INFO")), "no sound, 32000 bytes and then"),
    ("empty", riff(fmt(), chunk(b"data", b""), chunk(b"LIST", b"INFO")), "a header and no sound"),
    ("empty", wav()[:44], "a header and no sound"),
    ("empty", flac_claiming(0, encoded("FLAC", "PCM_16")), "must state the length"),
    ("magic", b"this is not audio" * 9, "must be WAV or FLAC, or else MP3, .*; this is something else"),
    ("magic", encoded("AU", "PCM_16"), "this is AU"),
    ("magic", encoded("CAF", "PCM_16"), "WMA; this is CAF"),
    ("magic", b"RIFX" + wav()[4:], "RIFX"),
    ("chunks", b"RF64" + wav()[4:], "must have a ds64 chunk"),
    ("chunks", rf64(ds64=bytes(27)), "ds64 chunk must have 28 bytes, got 27"),
    ("fmt", riff(chunk(b"fmt ", bytes(14)), SOUND), "16..4096 bytes"),
    ("fmt", riff(chunk(b"fmt ", fmt()[8:] + bytes(4081)), SOUND), "16..4096 bytes"),
    ("fmt", wav(align=3), "block align must be 2"),
    ("fmt", wav(tag=0xFFFE, extra=GUID[:6]), "must have 40 bytes"),
    ("chunks", riff(SOUND), "got 0 and 1"),
    ("chunks", riff(fmt(), chunk(b"junk", bytes(40))), "got 1 and 0"),
    ("chunks", riff(fmt(), fmt(sr=1), SOUND), "got 2 and 1"),
    ("chunks", riff(fmt(), SOUND, SOUND), "got 1 and 2"),
    ("chunks", riff(fmt(), SOUND, fmt(sr=48_000)), "got 2 and 1"),
    ("chunks", riff(SOUND, fmt()), "before its data"),
    ("chunks", riff(fmt(), chunk(b"junk", b"xx", 0xFFFFFFFE), SOUND), "got 1 and 0"),
    ("chunks", riff(fmt(), chunk(b"junk", b"") * 999, SOUND), "at most 1000 chunks"),
    ("codec", wav(tag=0x0161), "its sound is Windows Media Audio, and must be PCM of 8"),
    ("codec", wav(tag=0x0083), "G.729, and"),
    ("codec", wav(tag=0x1234), "an unknown kind of coding, and"),
    ("codec", wav(bits=12), "PCM of 12 bits, and"),
    ("codec", wav(tag=3), "floating point of 16 bits, and"),
    ("codec", wav(tag=7), "G.711 mu-law of 16 bits, and"),
    ("codec", wav(tag=0xFFFE, extra=GUID[:8] + b"\x06" + GUID[9:]), "G.711 A-law of 16 bits"),
    ("codec", wav(tag=0xFFFE, extra=GUID[:-1] + b"\0"), "sub-format"),
    ("channels", wav(channels=0), "1..8 channels, got 0"),
    ("channels", wav(channels=9), "at most 8 channels, this recording has 9"),
    ("channels", wav(channels=65), "at most 64 channels, this one has 65"),
    ("rate", wav(sr=0), "header is damaged .it claims a sampling rate of 0 Hz"),
    ("rate", wav(sr=7999), "has 7999"),
    ("rate", wav(sr=192_001), "has 192001"),
    ("rate", encoded("FLAC", "PCM_16", sr=4000), "has 4000"),
    ("decode", encoded("FLAC", "PCM_16")[:8000], "damaged"),
    ("decode", flac_claiming(20_000, encoded("FLAC", "PCM_16")), "damaged"),
    ("decode", b"fLaC" + bytes(100), "damaged"),
    ("too_long", flac_claiming(2**36 - 1, encoded("FLAC", "PCM_16")), "at most 600 s"),
    ("too_short", wav(pcm16(tone(7999))), r"at least 0.5 s, this one lasts 0.500 s \(7999 frames at 16000 Hz\)"),
    ("too_short", encoded("FLAC", "PCM_16", tone(1000)), "1000 frames"),
    ("nonfinite", float_wav(np.where(AT_100, np.nan, tone())), "NaN or infinity"),
    ("nonfinite", float_wav(np.where(AT_100, np.inf, tone())), "NaN or infinity"),
    ("nonfinite", float_wav(np.where(AT_100, -np.inf, tone())), "NaN or infinity"),
    ("nonfinite", wav((tone() * 1e308).astype("<f8").tobytes(), tag=3, bits=64), "NaN or infinity"),
    (
        "range",
        float_wav(np.where(AT_100, 16.01, tone())),
        r"up to 16\.01, where full scale is 1 and at most 16 is accepted",
    ),
    ("range", float_wav(np.where(AT_100, -3e38, tone())), "up to 3e.38; full scale is 1"),
]


@pytest.mark.parametrize(("code", "content", "text"), REFUSED, ids=[f"{r[0]}-{i}" for i, r in enumerate(REFUSED)])
def test_refusals_have_a_stable_code_and_say_what_was_got(code, content, text):
    with pytest.raises(AudioError, match=text) as refusal:
        decode_waveform(content, name="mine.wav")
    assert refusal.value.code == code
    assert str(refusal.value).startswith("'mine.wav': ")


@pytest.mark.parametrize("start", [b"", b"RIFF\x10\0\0\0", b"fLaC", b"ID3\x04", wav()[:16], wav()[:24]], ids=repr)
def test_no_content_is_shown_where_a_file_is_refused(start):
    with pytest.raises(AudioError) as refusal:
        decode_waveform(start + b"hunter2:x:0:0\n" * 20)
    assert "hunter2" not in str(refusal.value)
    assert b"hunter2".hex() not in str(refusal.value)


def test_every_refusal_code_is_tested_here():
    of_the_file_system = {"open", "not_file", "too_big"}
    assert {code for code, *_ in REFUSED} | of_the_file_system == set(REFUSAL_CODES)
    assert len(set(REFUSAL_CODES)) == len(REFUSAL_CODES) == 15


def test_the_byte_that_pads_an_odd_chunk_is_skipped():
    assert len(decode_waveform(riff(fmt(), chunk(b"LIST", b"odd"), SOUND)).samples) == SR


def test_a_thousand_chunks_are_still_read():
    assert len(decode_waveform(riff(fmt(), chunk(b"junk", b"") * 998, SOUND)).samples) == SR


def test_a_sample_at_the_limit_is_accepted():
    assert decode_waveform(float_wav(np.where(AT_100, -16, tone()))).samples.min() == -16


def test_a_bad_sample_in_any_channel_or_late_block_is_refused():
    x = np.zeros((200_000, 2))
    x[-1, 1] = np.nan
    with pytest.raises(AudioError) as refusal:
        decode_waveform(wav(x.astype("<f4").tobytes(), tag=3, bits=32, channels=2), channel=0)
    assert refusal.value.code == "nonfinite"


def test_libsndfile_sees_no_header_of_a_wav(monkeypatch):
    monkeypatch.setattr(sf, "SoundFile", lambda *_: pytest.fail("libsndfile was asked"))
    for content in (wav(), wav(n_bytes=0), rf64(), wav(tag=7, bits=8), float_wav(tone())):
        decode_waveform(content)


def test_a_file_that_decodes_to_fewer_frames_than_libsndfile_promised_is_refused(monkeypatch):
    read = sf.SoundFile.read
    monkeypatch.setattr(sf.SoundFile, "read", lambda self, frames, out: read(self, frames - 1, out=out))
    with pytest.raises(AudioError, match="claims 16000 frames, 15999 can be decoded") as refusal:
        decode_waveform(encoded("FLAC", "PCM_16"))
    assert refusal.value.code == "decode"


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("channels", [1, 8])
def test_samples_are_bit_for_bit_those_of_libsndfile(subtype, channels):
    content = encoded("WAV", subtype, np.random.default_rng(channels).uniform(-1, 1, (70_001, channels)))
    read = sf.read(io.BytesIO(content), dtype="float32", always_2d=True)[0]
    np.testing.assert_array_equal(decode_waveform(content).samples, read.mean(axis=1))
    for channel in range(channels):
        np.testing.assert_array_equal(decode_waveform(content, channel=channel).samples, read[:, channel])


def test_refusals_survive_the_way_between_processes():
    with pytest.raises(AudioError) as refusal:
        decode_waveform(b"")
    arrived = copy.copy(refusal.value)  # the way pickling goes, too
    assert (arrived.code, str(arrived)) == (refusal.value.code, str(refusal.value))


# The file system


@pytest.mark.parametrize("name", ["missing.wav", "nul\0.wav", "\ud800.wav", "x" * 5000])
def test_what_cannot_be_opened_is_refused(tmp_path, name):
    with pytest.raises(AudioError) as refusal:
        read_waveform(tmp_path / name)
    assert refusal.value.code == "open"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_refused(tmp_path):
    path = tmp_path / "secret.wav"
    path.write_bytes(wav())
    path.chmod(0)
    with pytest.raises(AudioError, match="Permission denied") as refusal:
        read_waveform(path)
    assert refusal.value.code == "open"


def test_names_in_messages_are_plain_printable_ascii(tmp_path):
    name = os.fsdecode(b"bad\xff\n\x1b[31m") + "\u202e\u00e9.wav"
    with pytest.raises(AudioError) as refusal:
        read_waveform(tmp_path / name)
    assert str(refusal.value).isascii()
    assert str(refusal.value).isprintable()
    with pytest.raises(AudioError, match=r"'a\\nb': ") as refusal:
        decode_waveform(b"", name="a\nb")


@needs_posix
@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("kind", ["fifo", "link", "dangling", "loop", "link_to_device", "folder", "socket"])
def test_what_is_no_regular_file_is_refused_without_blocking(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # a socket's whole path must be short
    (tmp_path / "good.wav").write_bytes(wav())
    path = Path("odd.wav")
    with socket.socket(socket.AF_UNIX) as endpoint:
        {
            "fifo": lambda: os.mkfifo(path),
            "link": lambda: path.symlink_to("good.wav"),
            "dangling": lambda: path.symlink_to("nowhere"),
            "loop": lambda: path.symlink_to(path),
            "link_to_device": lambda: path.symlink_to("/dev/zero"),
            "folder": path.mkdir,
            "socket": lambda: endpoint.bind(str(path)),
        }[kind]()
        with pytest.raises(AudioError, match="must be a regular file") as refusal:
            read_waveform(path)
    assert refusal.value.code == "not_file"


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_devices_are_refused_without_blocking(path):
    if not Path(path).exists():
        pytest.skip(f"no {path} here")
    with pytest.raises(AudioError) as refusal:
        read_waveform(path)
    assert refusal.value.code == "not_file"


def test_files_are_capped_before_they_are_read(tmp_path):
    path = tmp_path / "big.wav"
    with path.open("wb") as file:
        file.truncate(2**34)
    with cpu_below(0.05), pytest.raises(AudioError, match="at most 64 MiB, this one has 16384 MiB") as refusal:
        read_waveform(path)
    assert refusal.value.code == "too_big"


@needs_proc
def test_a_file_larger_than_its_stated_size_is_capped_while_reading(monkeypatch):
    monkeypatch.setattr(audio, "MAX_FILE_BYTES", 100)
    with pytest.raises(AudioError, match="at most 100 bytes, this one has 101 bytes") as refusal:
        read_waveform("/proc/self/maps")  # its size is given as 0
    assert refusal.value.code == "too_big"


@needs_proc
def test_no_descriptor_is_left_open(tmp_path):
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    good.write_bytes(wav())
    bad.write_bytes(b"no audio" * 100)
    n_open = len(list(Path("/proc/self/fd").iterdir()))
    for path in (good, bad, tmp_path):
        with contextlib.suppress(AudioError):
            read_waveform(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == n_open


def test_uploads_are_capped_by_their_own_limit():
    assert len(decode_waveform(wav(), max_bytes=len(wav())).samples) == SR
    for content, limit in ((wav(), {"max_bytes": len(wav()) - 1}), (bytes(audio.MAX_UPLOAD_BYTES + 1), {})):
        with pytest.raises(AudioError) as refusal:
            decode_waveform(content, **limit)
        assert refusal.value.code == "too_big"


# Hostile content


def refusal_code(content):
    """Return a refusal's code, or None for good samples; any other exception passes through."""
    try:
        samples = decode_waveform(content).samples
    except AudioError as refusal:
        return refusal.code
    assert np.isfinite(samples).all()
    assert len(samples) >= SR // 2
    return None


@never_saved
@given(st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"fLaC"]), st.binary(max_size=600))
def test_random_bytes_raise_only_audio_errors(magic, content):
    assert refusal_code(magic + content) in REFUSAL_CODES


MUTATED = [
    wav(),
    float_wav(tone()),
    encoded("FLAC", "PCM_16"),
    encoded("WAVEX", "PCM_24"),
    wav(n_bytes=0),
    rf64(),
    encoded("WAV", "ULAW"),
]


@never_saved
@given(
    base=st.sampled_from(MUTATED),
    edits=st.lists(st.tuples(st.integers(0, 79), st.binary(min_size=1, max_size=4)), max_size=6),
    n_bytes=st.integers(0, 40_000),
)
def test_changed_headers_and_cut_files_raise_only_audio_errors(base, edits, n_bytes):
    content = bytearray(base)
    for at, patch in edits:
        content[at : at + len(patch)] = patch
    assert refusal_code(bytes(content[:n_bytes])) in {None, *REFUSAL_CODES}


HEADERS = {
    "rf64": rf64(),
    "bw64": rf64(magic=b"BW64", before=[chunk(b"JUNK", bytes(28))]),
    "A-law": encoded("WAV", "ALAW"),
    "mu-law": encoded("WAV", "ULAW"),
    "killed": wav(n_bytes=0),
    "streamed": wav(n_bytes=0xFFFFFFFF) + chunk(b"LIST", b"INFO"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_200_changed_headers_of_each_kind_raise_only_audio_errors(kind):
    rng = np.random.default_rng(len(kind))
    counts = Counter(refusal_code(changed_header(HEADERS[kind], rng)) for _ in range(200))
    assert counts.keys() <= {None, *REFUSAL_CODES}
    assert 10 < counts[None] < 190


def changed_header(content, rng):
    """One to three places of the header with other bytes, left out or said twice; one file in five is cut."""
    header, sound = bytearray(content[:120]), content[120:]
    for _ in range(rng.integers(1, 4)):
        at, size = int(rng.integers(0, 116)), int(rng.integers(1, 5))
        kinds = (rng.bytes(size), bytes(4), b"\xff\xff\xff\xff", b"", header[at : at + 2 * size])
        header[at : at + size] = kinds[rng.integers(0, len(kinds))]
    n_bytes = len(sound) if rng.random() < 0.8 else int(rng.integers(0, len(sound)))
    return bytes(header) + sound[:n_bytes]


@pytest.mark.parametrize(
    "content",
    [
        wav(bytes(1_000_000), sr=1),
        riff(fmt(), fmt(channels=8, sr=1), SOUND),
        riff(fmt(), chunk(b"junk", b"") * 1_000_000, SOUND),
        flac_claiming(2**36 - 1, encoded("FLAC", "PCM_16", np.zeros(60 * SR))),
        flac_claiming(120 * 60 * SR, encoded("FLAC", "PCM_16", np.zeros(60 * SR))),
        flac_claiming(20 * 60 * 48_000, encoded("FLAC", "PCM_16", np.zeros((480_000, 8)), sr=48_000)),
        flac_claiming(0, encoded("FLAC", "PCM_16", np.zeros(60 * SR))),
    ],
    ids=["rate_1", "two_fmt", "many_chunks", "flac_2e36", "flac_2h", "flac_8_channels", "flac_no_length"],
)
def test_bombs_are_refused_cheaply(content):
    with cpu_below(0.05):
        assert refusal_code(content) in {"rate", "chunks", "too_long", "empty"}


def load_bad_audio():
    spec = importlib.util.spec_from_file_location("bad_audio", BAD_AUDIO)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Write the corpus; return its folder and the rows of its manifest."""
    folder = tmp_path_factory.mktemp("corpus")
    # libsndfile's SD2 encoder leaves a resource fork in the working folder
    with contextlib.chdir(tmp_path_factory.mktemp("forks")):
        load_bad_audio().write_all(str(folder))
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
        rows = [(os.fsdecode(unquote_to_bytes(r["name"])), r["expected"]) for r in csv.DictReader(manifest)]
    return folder, rows


def outcome(path):
    """Return what became of one file, in the manifest's words."""
    try:
        read = read_waveform(path)
    except AudioError:
        return "refuse"
    assert np.isfinite(read.samples).all()
    words = {"truncated", "unfinished", "silent", "dc_offset", "clipping", "lossy"}
    assert {warning.split(": ")[0] for warning in read.warnings} <= words
    return "accept-with-warning" if read.warnings else "accept"


@needs_corpus
@needs_posix
@pytest.mark.usefixtures("no_waiting")
def test_every_file_of_the_bad_corpus_has_the_expected_outcome(corpus):
    folder, rows = corpus
    rows = [(name, asked_later(name) or want) for name, want in rows]
    got, slowest = {}, 0.0
    for name, _ in rows:
        start = time.process_time()
        got[name] = outcome(folder / name)
        slowest = max(slowest, time.process_time() - start)
    assert [(ascii(name), want, got[name]) for name, want in rows if want not in ("any", got[name])] == []
    assert len(rows) >= 375
    assert slowest < 0.1


@needs_corpus
def test_mutants_raise_only_audio_errors():
    counts, seconds, slowest = decode_mutants(3000, 1000, 7)
    assert sum(counts.values()) == 4000
    assert counts.keys() <= {None, *REFUSAL_CODES}
    assert counts[None] > 100
    assert seconds < 4
    assert slowest < 0.1


@needs_corpus
@pytest.mark.soak
@pytest.mark.slow
def test_eighty_thousand_mutants_raise_only_audio_errors():
    counts, seconds, slowest = decode_mutants(60_000, 20_000, 0)
    assert sum(counts.values()) == 80_000
    assert counts.keys() <= {None, *REFUSAL_CODES}
    assert seconds < 30
    assert slowest < 0.1


def decode_mutants(n_wav, n_flac, seed):
    """Return outcomes, CPU seconds in all and of the slowest file; making the mutants does not count."""
    tool = load_bad_audio()
    counts, seconds, slowest = Counter(), 0.0, 0.0
    for make, n in ((tool.wav_mutants, n_wav), (tool.flac_mutants, n_flac)):
        for _, content in make(n, seed):
            start = time.process_time()
            counts[refusal_code(content)] += 1
            spent = time.process_time() - start
            seconds, slowest = seconds + spent, max(slowest, spent)
    return counts, seconds, slowest


@needs_corpus
@pytest.mark.soak
@pytest.mark.slow
def test_real_bombs_are_refused_cheaply():
    for name, content, *_ in load_bad_audio().bombs():
        with cpu_below(0.05):
            assert refusal_code(content) is not None, name


PEAK_SCRIPT = """
import os, sys
from asd_core.audio.reading import decode_waveform, read_waveform
from asd_core.errors import AudioError
sys.path.insert(0, sys.argv[1])
import bad_audio

def peak_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

def attempt(read, what):
    try:
        read(what)
    except AudioError:
        pass

read_waveform(os.path.join(sys.argv[2], "rate_8000.wav"))
base = peak_mb()
for name in os.listdir(sys.argv[2]):
    attempt(read_waveform, os.path.join(sys.argv[2], name))
for make in (bad_audio.wav_mutants, bad_audio.flac_mutants):
    for _, content in make(1000, 3):
        attempt(decode_waveform, content)
print(peak_mb() - base)
"""


@needs_corpus
@needs_posix
@needs_proc
def test_bad_files_cost_little_memory(corpus):
    folder, _ = corpus
    command = [sys.executable, "-B", "-c", PEAK_SCRIPT, str(BAD_AUDIO.parent), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    assert float(done.stdout) < 100


# Playback


def test_encoding_gives_every_16_bit_sample_back_unchanged():
    samples = (np.arange(-32_768, 32_768) / 32_768).astype(np.float32)
    np.testing.assert_array_equal(decode_waveform(encode_wav(samples)).samples, samples)


def test_encoding_clips_instead_of_wrapping_or_scaling():
    with sf.SoundFile(io.BytesIO(encode_wav([0.0, 0.5, 1.0, 7.0, -1.0, -7.0]))) as sound:
        assert (sound.format, sound.subtype, sound.samplerate, sound.channels) == ("WAV", "PCM_16", SR, 1)
        assert sound.read(dtype="int16").tolist() == [0, 16_384, 32_767, 32_767, -32_768, -32_768]


def test_encoding_keeps_a_given_rate():
    assert sf.info(io.BytesIO(encode_wav(np.zeros(10), sr=44_100))).samplerate == 44_100


@pytest.mark.parametrize("samples", [[np.nan], [np.inf], np.zeros((2, 2)), 0.5])
def test_encoding_refuses_what_is_no_finite_signal(samples):
    with pytest.raises(InputError, match=r"finite and of shape \(n_samples,\)"):
        encode_wav(samples)
