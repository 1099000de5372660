"""Refused recordings are converted into ones that are read, and each command that a refusal names is run here."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf
from sounds import PROJECT
from wav_files import chunk, encoded, flac_claiming, float_wav, fmt, pcm16, riff, tone, wav

from asd_core.audio.reading import REFUSAL_CODES, decode_waveform, read_waveform, stream_sound
from asd_core.audio.segments import MAX_RECORDING_BYTES, segments
from asd_core.cli import main
from asd_core.errors import AudioError, UsageError
from asd_core.tasks import convert as converting
from asd_core.tasks.convert import ConvertRequest, convert
from asd_core.types import SR

MODEL = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"
INTEGERS = np.rint(tone() * 32_767)


def ticking(sr, seconds=1.0):
    """A tone of 300 Hz at any rate."""
    return 0.5 * np.sin(2 * np.pi * 300 * np.arange(int(seconds * sr)) / sr)


def one(tmp_path, content, name="a.wav", **options):
    """Convert one file; return its report and where the result is."""
    (tmp_path / name).write_bytes(content)
    report = convert(ConvertRequest((tmp_path / name,), tmp_path / "out", **options))
    return report, tmp_path / "out" / name


# --- what is written ---


def test_what_is_within_full_scale_keeps_rate_and_channels_in_16_bits(tmp_path):
    content = wav(pcm16(np.stack([tone(), 0.5 * tone()], axis=1)), channels=2, sr=44_100)
    report, out = one(tmp_path, content)
    info = sf.info(out)
    assert (info.subtype, info.samplerate, info.channels, info.frames) == ("PCM_16", 44_100, 2, SR)
    assert out.read_bytes()[44:] == content[44:]
    assert (report.refused, report.warnings) == ((), [])
    assert report.files[0].seconds == SR / 44_100


@pytest.mark.parametrize("peak", [1.01, 15.9, 1 / 300])
def test_what_is_louder_than_full_scale_or_very_quiet_is_written_as_floats(tmp_path, peak):
    samples = (peak * tone(amp=1)).astype(np.float32)
    _, out = one(tmp_path, float_wav(samples))
    assert sf.info(out).subtype == "FLOAT"
    np.testing.assert_array_equal(sf.read(out, dtype="float32")[0], samples)


def test_an_integer_scale_is_divided(tmp_path):
    _, out = one(tmp_path, float_wav(INTEGERS), divide=32_768)
    np.testing.assert_array_equal(read_waveform(out).samples, (INTEGERS / 32_768).astype(np.float32))
    assert sf.info(out).subtype == "PCM_16"


@pytest.mark.parametrize("sr", [1000, 7999, 192_001, 384_000, 500_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_rate_that_is_not_read_becomes_16_khz(tmp_path, sr, channels):
    sound = np.repeat(ticking(sr)[:, None], channels, axis=1)
    report, out = one(tmp_path, wav(pcm16(sound), sr=sr, channels=channels))
    assert (sf.info(out).samplerate, sf.info(out).channels) == (SR, channels)
    read = read_waveform(out).samples
    assert abs(len(read) - SR) <= 16
    spectrum = np.abs(np.fft.rfft(read[1000:9000]))
    assert np.argmax(spectrum) * SR / 8000 == 300
    assert 2 * spectrum.max() / 8000 == pytest.approx(0.5, rel=0.01)
    assert report.files[0].seconds == pytest.approx(1, abs=0.001)


def test_samples_that_are_no_numbers_become_0_and_are_counted(tmp_path):
    samples = np.where(np.isin(np.arange(SR), [5, 6, 7]), np.nan, tone())
    samples[9] = -np.inf
    report, out = one(tmp_path, float_wav(samples))
    assert report.warnings == [f"{tmp_path / 'a.wav'}: nonfinite: 4 samples that were no numbers are now 0"]
    np.testing.assert_allclose(read_waveform(out).samples, np.where(np.isfinite(samples), samples, 0), atol=2**-15)


def test_one_channel_or_the_mean_can_be_kept(tmp_path):
    sound = tone()[:, None] * np.linspace(0.1, 0.8, 8)
    content = wav(pcm16(sound), channels=8)
    for number, (channel, level) in enumerate([(7, 0.8), ("mean", 0.45), (0, 0.1)]):
        _, out = one(tmp_path, content, f"{number}.wav", channel=channel)
        assert sf.info(out).channels == 1
        np.testing.assert_allclose(read_waveform(out).samples, tone() * level, atol=2e-4)


def test_of_a_flac_that_breaks_off_what_can_be_read_is_kept(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 200_000)
    content = encoded("FLAC", "PCM_16", noise)
    report, _ = one(tmp_path, content[: len(content) * 3 // 4], "a.flac")
    assert report.warnings == [f"{tmp_path / 'a.flac'}: damaged: only the first 8.19 s could be read"]
    np.testing.assert_allclose(read_waveform(tmp_path / "out" / "a.wav").samples, noise[: 2 * 65_536], atol=2**-15)


def test_a_file_that_is_there_is_never_replaced(tmp_path):
    _, out = one(tmp_path, wav())
    before = out.read_bytes()
    report, _ = one(tmp_path, wav(sr=8000))
    assert out.read_bytes() == before
    assert report.refused[0]["code"] == "open"
    assert report.refused[0]["advice"].startswith("Name another folder: ")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of processes as on Linux")
def test_nothing_is_left_of_a_file_for_which_there_is_no_room(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav())
    script = (
        "import resource, signal, sys; from asd_core.cli import main; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); "
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "convert", str(tmp_path / "a.wav"), "--to", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 2
    assert done.stderr == f"asd_core: {tmp_path}/out/a.wav cannot be written: File too large; name a folder with room\n"
    assert list((tmp_path / "out").iterdir()) == []


def test_beyond_4_gb_the_result_is_an_rf64_with_the_same_sound(tmp_path, monkeypatch):
    monkeypatch.setattr(converting, "_MAX_WAV_BYTES", 100)
    for name, content in (("16.wav", wav()), ("float.wav", float_wav(3 * tone()))):
        _, out = one(tmp_path, content, name)
        assert sf.info(out).format == "RF64"
        np.testing.assert_array_equal(read_waveform(out).samples, decode_waveform(content).samples)
        np.testing.assert_array_equal(sf.read(out, dtype="float32")[0], read_waveform(out).samples)
        assert read_waveform(out).warnings == ()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no sound" * 20, "magic"),
        (b"", "empty"),
        (wav(b""), "empty"),
        (wav(channels=9, sound=pcm16(np.zeros(9 * SR))), "channels"),
        (float_wav(INTEGERS), "range"),
        (float_wav(np.full(SR, 3e38)), "range"),
        (wav(sr=0), "rate"),
        (wav(sr=999), "rate"),
        (wav(sr=2**30), "rate"),
        (wav(tag=0x0083), "codec"),
        (flac_claiming(0, encoded("FLAC", "PCM_16")), "empty"),
    ],
)
def test_what_cannot_be_converted_is_refused_as_by_the_reader(tmp_path, content, code):
    report, out = one(tmp_path, content)
    assert [entry["code"] for entry in report.refused] == [code]
    assert not out.exists()


def test_a_recording_of_more_than_a_day_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(converting, "MAX_RECORDING_S", 5)
    report, out = one(tmp_path, wav(pcm16(np.zeros(6 * SR))))
    assert report.refused[0]["code"] == "too_long"
    assert not out.exists()


def test_other_kinds_come_through_the_reader_of_streams(tmp_path, monkeypatch):
    asked = []

    def stream(path, **options):
        asked.append(options["channel"])
        return stream_sound(tmp_path / "stereo.wav", **options)

    (tmp_path / "stereo.wav").write_bytes(wav(pcm16(np.stack([tone(), 0.5 * tone()], axis=1)), channels=2))
    monkeypatch.setattr(converting, "stream_sound", stream)
    _, out = one(tmp_path, b"OggS" * 20, "a.wav", channel=1)
    np.testing.assert_allclose(read_waveform(out).samples, 0.5 * tone(), atol=2**-14)
    assert asked == [1, 1]


def test_links_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "b.wav").write_bytes(wav())
    (tmp_path / "a.wav").symlink_to(tmp_path / "real" / "b.wav")
    report = convert(ConvertRequest((tmp_path / "a.wav",), tmp_path / "out"))
    assert [file.out.name for file in report.files] == ["a.wav"]


@pytest.mark.parametrize("divide", [0, -1, float("nan"), float("inf"), 1e-9])
def test_a_divisor_that_is_none_is_wrong_usage(tmp_path, divide):
    with pytest.raises(UsageError, match="divided by"):
        convert(ConvertRequest((tmp_path / "a.wav",), tmp_path / "out", divide=divide))


def test_the_command_reports_each_file_and_its_exit_code_tells_what_was_refused(tmp_path, capsys):
    (tmp_path / "good.wav").write_bytes(wav(sr=4000))
    (tmp_path / "bad.wav").write_bytes(b"")
    good, bad, to, report = (str(tmp_path / name) for name in ("good.wav", "bad.wav", "new/out", "r.json"))
    assert main(["convert", good, bad, "--to", to, "--json", report]) == 3
    assert main(["convert", bad, "--to", to]) == 2
    assert main(["convert", good, "--to", good]) == 2
    said = capsys.readouterr()
    assert said.out == f"{good} -> {to}/good.wav (4.0 s)\n"
    assert "the file is empty" in said.err
    assert "is no folder; name a folder" in said.err
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["files"] == [{"path": good, "out": f"{to}/good.wav", "seconds": 4.0}]
    assert (found["schema"], found["command"], found["warnings"]) == (1, "convert", [])
    assert [entry["code"] for entry in found["refused"]] == ["empty"]


MEMORY = """
import resource, sys
from pathlib import Path
from asd_core.tasks.convert import ConvertRequest, convert
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
short, long, to = map(Path, sys.argv[1:])
convert(ConvertRequest((short,), to))
before = peak()
report = convert(ConvertRequest((long,), to))
print(round(report.files[0].seconds), round(peak() - before))
"""


def test_a_long_recording_takes_no_more_memory_than_a_short_one(tmp_path):
    for name, seconds in (("short.wav", 10), ("long.wav", 900)):
        sf.write(tmp_path / name, np.zeros(seconds * 48_000, np.int16), 48_000)
    paths = [str(tmp_path / name) for name in ("short.wav", "long.wav", "out")]
    command = [sys.executable, "-c", MEMORY, *paths]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=True)
    seconds, grown_mb = map(int, done.stdout.split())
    assert seconds == 900
    assert grown_mb < 20


# --- what refusals say ---

NINE = wav(pcm16(np.repeat(tone()[:, None], 9, axis=1)), channels=9)
REFUSED = {
    "text": b"no sound at all" * 20,
    "no bytes": b"",
    "few bytes": wav()[:40],
    "no sound": wav(b""),
    "sound denied": riff(fmt(), chunk(b"data", pcm16(tone()), 0), chunk(b"LIST", b"INFO")),
    "streamed FLAC": flac_claiming(0, encoded("FLAC", "PCM_16")),
    "two fmt": riff(fmt(), fmt(), chunk(b"data", pcm16(tone()))),
    "block align": wav(align=3),
    "12 bits": wav(bits=12),
    "G.729": wav(tag=0x0083),
    "nine channels": NINE,
    "hundred channels": wav(channels=100),
    "4 kHz": wav(sr=4000),
    "384 kHz": wav(pcm16(ticking(384_000)), sr=384_000),
    "0 Hz": wav(sr=0),
    "broken FLAC": encoded("FLAC", "PCM_16")[:9000],
    "11 minutes": wav(bytes(660 * 8000), sr=8000, bits=8),
    "blip": wav(pcm16(tone(100))),
    "NaN": float_wav(np.where(np.arange(SR) == 7, np.nan, tone())),
    "16-bit scale": float_wav(INTEGERS),
    "24-bit scale": float_wav(INTEGERS * 256),
    "32-bit scale": float_wav(INTEGERS * 65_536),
    "resampled 16-bit scale": float_wav(INTEGERS * 0.77),
    "pascals": float_wav(tone(amp=50.3)),
    "nonsense": float_wav(np.full(SR, 3e38)),
}


def refused(path):
    with pytest.raises(AudioError) as refusal:
        read_waveform(path)
    return refusal.value


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_orders_a_next_step_first_and_in_plain_words(tmp_path, kind):
    (tmp_path / "a.wav").write_bytes(REFUSED[kind])
    error = refused(tmp_path / "a.wav")
    assert error.cure
    assert error.cure[0].islower()
    assert [part for part in ("--", "0x", "tag", "b'", "asd_core", "NaN") if part in error.cure] == []
    assert error.advice.casefold().startswith(error.cure.casefold())
    assert "0x" not in error.what
    assert "\\x" not in error.what


def test_the_scale_of_integers_is_told_by_the_loudest_sample_of_all():
    fading_in = np.concatenate([np.full(70_000, 100.0), np.full(70_000, 30_000.0), np.full(70_000, 2_000_000.0)])
    with pytest.raises(AudioError) as refusal:
        decode_waveform(float_wav(fading_in))
    assert refusal.value.what == "float samples up to 2,000,000 are a 24-bit integer scale; full scale is 1"


COMMANDS = {
    "nine channels": "convert --channel 0",
    "4 kHz": "convert",
    "384 kHz": "convert",
    "NaN": "convert",
    "16-bit scale": "convert --divide 32768",
    "24-bit scale": "convert --divide 8388608",
    "32-bit scale": "convert --divide 2147483648",
    "resampled 16-bit scale": "convert --divide 32768",
    "pascals": "convert --divide 64",
    "11 minutes": "score",
}


def test_the_refusals_that_a_command_cures_name_it():
    assert {kind for kind in REFUSED if kind in COMMANDS} == set(COMMANDS)
    for kind, content in REFUSED.items():
        with pytest.raises(AudioError) as refusal:
            decode_waveform(content, max_bytes=2**30)
        words = shlex.split(refusal.value.command.replace("{file}", "a.wav"))
        wanted = COMMANDS.get(kind, "")
        assert words[3:4] == wanted.split()[:1], kind
        assert all(word in words for word in wanted.split()), kind


@pytest.mark.parametrize("kind", COMMANDS)
def test_the_command_that_a_refusal_names_works(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my clip.wav").write_bytes(REFUSED[kind])
    error = refused("my clip.wav")
    command = error.command.replace("{file}", shlex.quote("my clip.wav")).replace("MODEL", str(MODEL))
    assert command.replace(str(MODEL), "MODEL") in str(error)
    assert main(shlex.split(command)[3:]) == 0
    if command.split()[3] == "convert":
        read = read_waveform(tmp_path / "converted" / "my clip.wav")
        assert len(read.samples) >= SR // 2
        assert 0.3 < np.abs(read.samples).max() <= 1


def test_a_file_that_is_too_large_for_a_clip_is_read_in_segments(tmp_path):
    with (tmp_path / "long.wav").open("wb") as file:
        file.write(wav(b"", n_bytes=80 * 2**20 - 44, sr=48_000, channels=8))
        file.truncate(80 * 2**20)
    error = refused(tmp_path / "long.wav")
    assert (error.code, error.what) == ("too_big", "files must have at most 64 MiB, this one has 80 MiB")
    assert "score {file} --segment 10" in error.command
    assert len(list(segments(tmp_path / "long.wav", segment_s=60, hop_s=60))) == 2
    with (tmp_path / "long.wav").open("r+b") as file:
        file.truncate(MAX_RECORDING_BYTES + 1)
    error = refused(tmp_path / "long.wav")
    assert (error.cure, error.command) == ("cut it into shorter recordings", "")


@pytest.mark.parametrize("name", ["none.wav", "no/such/folder.wav", "nul\0.wav", "x" * 5000, "folder", "link.wav"])
def test_what_cannot_be_opened_has_a_next_step_too(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.wav").write_bytes(wav())
    (tmp_path / "link.wav").symlink_to("a.wav")
    error = refused(tmp_path / name)
    assert error.code in ("open", "not_file")
    assert error.cure
    assert (name == "link.wav") == (error.cure == "name the file itself")


def test_every_code_is_tried_with_its_next_step():
    seen = {"open", "not_file", "too_big"}
    for content in REFUSED.values():
        with pytest.raises(AudioError) as refusal:
            decode_waveform(content, max_bytes=2**30)
        seen.add(refusal.value.code)
    assert seen == set(REFUSAL_CODES)
