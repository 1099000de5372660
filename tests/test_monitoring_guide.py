"""The guide from a microphone to an alarm, and the units and recorders that it quotes."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from sounds import PROJECT

from asd_core.audio.reading import read_waveform
from asd_core.audio.recorded import time_in_name
from asd_core.cli import _parser
from asd_core.errors import AudioError
from asd_core.monitoring.fleet import KEYS, parse_fleet
from asd_core.monitoring.hearing import STATES
from asd_core.monitoring.telling.sinks import VARIABLE

GUIDE = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
EXAMPLES = PROJECT / "examples" / "monitoring"
QUOTED = (
    "record_ffmpeg.sh",
    "secrets.env",
    "fleet.toml",
    "asd-recorder.service",
    "asd-watch.service",
    "asd-tmpfiles.conf",
)
UNITS = ("asd-recorder.service", "asd-watch.service")
NOISE = ("-re", "-f", "lavfi", "-i", "anoisesrc=sample_rate=16000:amplitude=0.1")
CLIP_S = 1


def blocks() -> list[str]:
    return re.findall(r"```\w*\n(.*?)```", GUIDE, re.DOTALL)


def commands() -> list[str]:
    """What the reader is told to type."""
    found = re.findall(r"```shell\n(.*?)```", GUIDE, re.DOTALL)
    return [line for block in found for line in block.strip().splitlines()]


# What it quotes


@pytest.mark.parametrize("name", QUOTED)
def test_what_the_guide_quotes_is_the_file(name):
    assert (EXAMPLES / name).read_text(encoding="utf-8") in blocks()


def test_every_example_is_named_in_the_guide():
    assert sorted(path.name for path in EXAMPLES.iterdir() if path.name not in GUIDE) == []


def test_every_command_of_the_program_is_one():
    typed = [line.partition("/bin/asd ")[2] for line in commands() if "/bin/asd " in line]
    assert len(typed) >= 4
    for line in typed:
        _parser().parse_args(shlex.split(line.rstrip("'")))


def test_every_option_of_the_table_is_one_of_the_command_and_a_key_of_the_file(capsys):
    with pytest.raises(SystemExit):
        _parser().parse_args(["watch", "--help"])
    known = capsys.readouterr().out
    table = GUIDE.partition("\n## Options")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`--.*?) \|", table, re.MULTILINE)
    options = [name for row in rows for name in re.findall(r"`--([a-z-]+)`", row)]
    assert len(options) >= 14
    assert [name for name in options if f"--{name} " not in known.replace("]", " ")] == []
    assert [name for name in options if name not in KEYS] == ["machine", "heartbeat"]  # `name`; and a secret


def test_every_state_is_explained():
    table = GUIDE.partition("\n## When it is deaf")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| ([a-z ]+?) \| [^|]{4,} \|", table, re.MULTILINE)) == sorted(
        ["state", *STATES.values()]
    )


def test_the_fleet_is_one_and_its_detector_is_what_the_guide_trains():
    (watch,) = parse_fleet(EXAMPLES / "fleet.toml").watches
    assert tomllib.loads((EXAMPLES / "fleet.toml").read_text())["watch"][0]["name"] == watch.name
    train = next(line for line in commands() if " train " in line)
    data, out = (Path(re.search(rf"--{name} (\S+)", train)[1]) for name in ("data", "out"))
    assert watch.model == out / data.name / data.name / "vggish_knn"
    assert any(f"mkdir -p {watch.folder}" in line for line in commands())
    assert str(watch.folder) in (EXAMPLES / "asd-recorder.service").read_text()


def test_secrets_are_what_the_program_reads():
    lines = (EXAMPLES / "secrets.env").read_text().splitlines()
    assert [line.partition("=")[0] for line in lines] == [VARIABLE, "ASD_HEARTBEAT"]
    assert any("install -m 600 examples/monitoring/secrets.env" in line for line in commands())


# Units


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # keys of units differ by case
    parser.read(EXAMPLES / name)
    return parser


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_started_again_for_ever_and_at_boot(name):
    found = unit(name)
    assert (found["Service"]["Restart"], found["Unit"]["StartLimitIntervalSec"]) == ("always", "0")
    assert found["Install"]["WantedBy"] == "multi-user.target"


def test_the_watches_tell_systemd_that_they_live():
    service = unit("asd-watch.service")["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert int(service["WatchdogSec"]) >= 60
    assert int(service["TimeoutStopSec"]) > 10  # all watches end within 10 s
    _parser().parse_args(shlex.split(service["ExecStart"])[1:])


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_finds_nothing_wrong(name, tmp_path):
    text = (EXAMPLES / name).read_text()
    text = text.replace("/opt/asd/venv/bin/asd", sys.executable).replace("/opt/asd", str(EXAMPLES))
    (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / name)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if name in line]) == (0, [])


# Recorders


class Recorder:
    """A recorder that runs, and how its clips looked when they were first seen."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.folder, self.command = folder, command
        self.seen: dict[str, tuple[float, tuple[str, ...]]] = {}

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, start_new_session=True)
        return self

    def __exit__(self, *_) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.communicate(timeout=10)

    def listen(self, n_clips: int, *, within_s: float = 20.0) -> None:
        end = time.monotonic() + within_s
        while len(self.seen) < n_clips and time.monotonic() < end and self.process.poll() is None:
            for path in self.folder.glob("*.wav"):
                if path.name not in self.seen:
                    self.seen[path.name] = self.look_at(path)
            time.sleep(0.001)
        assert len(self.seen) >= n_clips, self.process.poll()

    def look_at(self, path: Path) -> tuple[float, tuple[str, ...]]:
        try:
            sound = read_waveform(path)
        except AudioError as error:
            return 0.0, (str(error),)
        return sound.duration_s, sound.warnings


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not here")
def test_the_recorder_by_ffmpeg_gives_whole_clips_one_after_the_other(tmp_path):
    folder = tmp_path / "a folder %Y"
    (folder / ".recording").mkdir(parents=True)
    (folder / ".recording" / "left.wav").write_bytes(b"of a kill")
    with Recorder(folder, str(EXAMPLES / "record_ffmpeg.sh"), str(folder), str(CLIP_S), *NOISE) as recorder:
        recorder.listen(3)
    assert [warnings for _, warnings in recorder.seen.values()] == [()] * len(recorder.seen)
    assert [seconds for seconds, _ in recorder.seen.values()] == pytest.approx([CLIP_S] * len(recorder.seen), abs=0.1)
    times = [time_in_name(name) for name in sorted(recorder.seen)]
    assert None not in times
    assert (times[-1] - times[0]).total_seconds() == pytest.approx(len(times) - 1, abs=1)
    assert not (folder / ".recording" / "left.wav").exists()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not here")
def test_a_recorder_whose_source_is_gone_ends_with_an_error(tmp_path):
    command = [str(EXAMPLES / "record_ffmpeg.sh"), str(tmp_path / "in"), "1", "-f", "wav", "-i", "/no/such/source"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0  # so that systemd starts it again
    assert "No such file" in done.stderr


def test_the_recorder_by_arecord_renames_clips_that_are_finished(tmp_path):
    """By a made-up arecord that writes slowly, as a sound card does."""
    (tmp_path / "bin").mkdir()
    arecord = tmp_path / "bin" / "arecord"
    source = tmp_path / "a.wav"
    source.write_bytes(wav(CLIP_S))
    arecord.write_text(
        '#!/bin/sh\nfor word in "$@"; do name=$word; done\necho "$*" >> ../../said\n'
        f'head -c 9000 {source} > "$name"; sleep 0.6; tail -c +9001 {source} >> "$name"; sleep 0.6\n'
    )
    arecord.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    command = (
        "env",
        f"PATH={environment['PATH']}",
        str(EXAMPLES / "record_arecord.sh"),
        str(tmp_path / "in"),
        "1",
        "hw:1",
    )
    with Recorder(tmp_path / "in", *command) as recorder:
        recorder.listen(2)
    assert list(recorder.seen.values()) == [(CLIP_S, ())] * len(recorder.seen)
    assert None not in [time_in_name(name) for name in recorder.seen]
    said = (tmp_path / "said").read_text().splitlines()[0]
    assert re.search(r"--device=hw:1 --duration=1 --format=S16_LE --rate=16000 --channels=1 \S+\.wav", said)


def wav(seconds: float) -> bytes:
    from sounds import hum

    from asd_core.audio.reading import encode_wav

    return encode_wav(hum(1, seconds=seconds).samples)


@pytest.mark.skipif(shutil.which("arecord") is None, reason="arecord is not here")
def test_arecord_takes_the_options_that_the_recorder_gives_it(tmp_path):
    text = (EXAMPLES / "record_arecord.sh").read_text()
    options = shlex.split(re.search(r"arecord (.*) \"\$name\"", text)[1])
    given = [word.replace("$device", "null").replace("$seconds", "1") for word in options]
    done = subprocess.run(
        ["arecord", *given, str(tmp_path / "a.wav")], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert read_waveform(tmp_path / "a.wav").duration_s == CLIP_S
