"""Several watches from one file: read, started, started again, and ended together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from sounds import PROJECT

from asd_core.cli import main
from asd_core.errors import UsageError
from asd_core.monitoring import fleet as fleets
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.fleet import KEYS, Fleet, FleetWatch, check_fleet, parse_fleet, run_fleet
from asd_core.monitoring.status import WatchStatus, write_status
from asd_core.system.clock import utc_now

PUMP = '[[watch]]\nname = "pump 3"\ndir = "pump"\nmodel = "models/pump"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "fleet.toml"
    path.write_text(textwrap.dedent(text))
    return path


# The file


def test_watches_take_their_own_options_then_the_defaults(tmp_path):
    path = written(tmp_path, f"""
        [defaults]
        alarm = "3/5"
        settle = 2.5
        attach = true
        model = "models/all"

        {PUMP.replace(chr(10), chr(10) + "        ")}
        alarm = "cusum:5"
        metrics = 9101
        attach = false

        [[watch]]
        dir = "/srv/fan 1"
        deaf-after = 30
        csv = "fan.csv"
    """)  # fmt: skip
    pump, fan = parse_fleet(path).watches
    assert (pump.name, pump.folder, pump.model) == ("pump 3", tmp_path / "pump", tmp_path / "models/pump")
    assert pump.arguments[1:3] == (f"--model={tmp_path}/models/pump", "--machine=pump 3")
    assert set(pump.arguments[3:]) == {"--alarm=cusum:5", "--settle=2.5", "--metrics=9101"}
    assert (fan.name, fan.folder, fan.model) == ("fan 1", Path("/srv/fan 1"), tmp_path / "models/all")
    assert set(fan.arguments[3:]) == {
        "--alarm=3/5", "--settle=2.5", "--attach", "--deaf-after=30", f"--csv={tmp_path}/fan.csv",
    }  # fmt: skip
    assert fan.table() == tmp_path / "fan.csv"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("watch = ", "is no TOML"),
        ("", "must hold 1 to 100 watches"),
        ("watch = 5", "must hold 1 to 100 watches"),
        ("watch = [5]", "watch 1 must be a table"),
        ("defaults = 5\n" + PUMP, r"\[defaults\] must be a table"),
        ("[[wacht]]\n", r"the file: unknown 'wacht'; known are defaults, watch"),
        (PUMP + "allarm = 5", "watch 1: unknown 'allarm'; known are name, dir, model, csv, .*alarm"),
        ('[defaults]\nname = "x"\n' + PUMP, r"\[defaults\]: unknown 'name'; known are model"),
        ("[defaults]\nmetrics = 9000\n" + PUMP, r"\[defaults\]: unknown 'metrics'"),
        (PUMP + 'notify = ["mqtt://me:secret@host"]', "notify is a secret and does not belong in this file"),
        (PUMP + 'heartbeat = "https://secret"', "heartbeat is a secret"),
        ('[[watch]]\nname = "x"\n', "watch 1 needs dir and model"),
        (PUMP + "\n[[watch]]\n", "watch 2 needs dir and model"),
        (PUMP + 'settle = "2"', "settle must be a number, got '2'"),
        (PUMP + "settle = true", "settle must be a number, got True"),
        (PUMP + "attach = 1", "attach must be true or false, got 1"),
        (PUMP + "alarm = 3", "alarm must be a text in one line, got 3"),
        (PUMP + 'alarm = " "', "alarm must be a text in one line"),
        (PUMP.replace("pump 3", "pump\\n3"), "name must be a text in one line"),
        (PUMP + PUMP, "two watches have the name 'pump 3'"),
        (PUMP + "metrics = 9\n" + PUMP.replace("3", "4") + "metrics = 9\n", "two watches have the metrics 9"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, text, words):
    with pytest.raises(UsageError, match=words) as refused:
        parse_fleet(written(tmp_path, text))
    assert "secret@" not in str(refused.value)


def test_every_key_is_an_option_of_the_watch_command(capsys):
    with pytest.raises(SystemExit):
        main(["watch", "--help"])
    shown = capsys.readouterr().out
    assert [key for key in KEYS if key not in ("name", "dir") and f"--{key} " not in shown.replace("]", " ")] == []


# Running


def fake(folder: Path, body: str) -> list[str]:
    """A command in place of `watch`; `sys.argv` holds folder, model and name."""
    script = folder / "fake.py"
    script.write_text(textwrap.dedent(body))
    return [sys.executable, str(script)]


def two(folder: Path) -> Fleet:
    return Fleet(folder / "fleet.toml", (FleetWatch("pump", folder, folder), FleetWatch("fan", folder, folder)))


class Running:
    """A fleet that runs in a thread."""

    def __init__(self, fleet: Fleet, command: list[str], **options) -> None:
        self.lines: list[str] = []
        self.stop = threading.Event()
        self.report = None
        options |= {"stop": self.stop, "say": self.lines.append, "command": command}
        self.thread = threading.Thread(target=lambda: setattr(self, "report", run_fleet(fleet, **options)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def until(self, holds, *, within_s: float = 15.0) -> bool:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if holds():
                return True
            time.sleep(0.01)
        return False


@pytest.fixture
def quick(monkeypatch):
    for name, value in {"FIRST_PAUSE_S": 0.05, "ROUND_S": 0.02, "END_WITHIN_S": 0.5, "CHECK_S": 0.1}.items():
        monkeypatch.setattr(fleets, name, value)


LIVES = """
    import sys, time
    print(sys.argv[-1], "listens\\x1b[31m")
    time.sleep(60)
"""


def test_each_watch_is_a_process_and_its_lines_are_said_with_its_name(tmp_path, quick):
    with Running(two(tmp_path), fake(tmp_path, LIVES)) as fleet:
        assert fleet.until(lambda: len(fleet.lines) == 2)
    assert sorted(fleet.lines) == ["fan | --machine=fan listens [31m", "pump | --machine=pump listens [31m"]
    assert fleet.report.to_json()["starts"] == {"pump": 1, "fan": 1}
    assert fleet.report.killed == ()


def test_a_watch_that_ends_is_started_again_after_longer_and_longer_pauses_and_the_others_go_on(tmp_path, quick):
    body = "import sys, time\nif 'pump' in sys.argv[-1]: sys.exit(2)\ntime.sleep(60)\n"
    with Running(two(tmp_path), fake(tmp_path, body)) as fleet:
        assert fleet.until(lambda: len(fleet.lines) >= 3)
    assert fleet.lines[:3] == [f"pump | ended with exit code 2; starts again in {s} s" for s in (0.05, 0.1, 0.2)]
    assert fleet.report.n_starts["fan"] == 1
    assert fleet.report.n_starts["pump"] >= 3


def test_a_watch_that_does_not_end_when_asked_is_killed(tmp_path, quick):
    deaf = "import signal, sys, time\nif 'fan' in sys.argv[-1]: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    with Running(two(tmp_path), fake(tmp_path, deaf + "print('ready')\ntime.sleep(60)\n")) as fleet:
        assert fleet.until(lambda: len(fleet.lines) == 2)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert fleet.report.killed == ("fan",)
    assert fleet.lines[-1] == "fleet | killed fan: not ended within 0.5 s"


def test_a_watch_that_hangs_is_killed_and_started_again(tmp_path, quick):
    table = tmp_path / "t.csv"
    watch = FleetWatch("pump", tmp_path, tmp_path, {"csv": str(table)})
    body = "import os, time\nprint(os.getpid())\ntime.sleep(60)\n"
    with Running(Fleet(tmp_path / "f", (watch,)), fake(tmp_path, body)) as fleet:
        assert fleet.until(lambda: fleet.lines)
        pid = int(fleet.lines[0].split()[-1])
        long_ago = "2026-01-01T00:00:00+00:00"
        status = WatchStatus(
            utc_now(), pid, "", "listening", long_ago, "/in", "m", "pump", "t", "r", 2.0, "", "polling",
            looked_at=long_ago,
        )  # fmt: skip
        write_status(Beside(table).status, status)
        assert fleet.until(lambda: len(fleet.lines) >= 4)  # killed, ended, started
    assert fleet.lines[1] == "pump | hangs and is killed; nothing is lost"
    assert fleet.report.n_starts["pump"] >= 2


def test_secrets_of_the_fleet_itself_and_its_supervisor_are_not_handed_on(tmp_path, quick, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setenv("ASD_HEARTBEAT", "https://secret")
    monkeypatch.setenv("ASD_NOTIFY", "json://host")
    body = "import os, time\nprint([name in os.environ for name in ('NOTIFY_SOCKET', 'ASD_HEARTBEAT', 'ASD_NOTIFY')])\n"
    with Running(two(tmp_path), fake(tmp_path, body + "time.sleep(60)")) as fleet:
        assert fleet.until(lambda: len(fleet.lines) == 2)
    assert fleet.lines[0].endswith("[False, False, True]")


# The commands


def test_the_health_of_a_fleet_asks_that_each_watch_runs(tmp_path, capsys):
    path = written(tmp_path, PUMP + 'csv = "t.csv"\n\n[[watch]]\ndir = "fan"\nmodel = "no such detector"\n')
    assert main(["health", "--config", str(path), "--json", str(tmp_path / "h.json")]) == 1
    pump, fan = capsys.readouterr().out.splitlines()
    assert pump == "pump 3: NOT WELL: it is not running, and there is no heartbeat of it"
    assert fan.startswith("fan: NOT WELL: its detector cannot be opened: ")
    assert json.loads((tmp_path / "h.json").read_text())["well"] is False
    assert [each.name for each in check_fleet(parse_fleet(path))] == ["pump 3", "fan"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["watch"], "watch takes DIR and --model, or --config"),
        (["watch", "in"], "watch takes DIR and --model, or --config"),
        (["watch", "in", "--config", "FILE"], "the file names folders and detectors"),
        (["watch", "--config", "/no/such/file"], "cannot be read"),
    ],
)
def test_a_watch_takes_a_folder_and_a_detector_or_a_file(tmp_path, capsys, arguments, words):
    path = written(tmp_path, PUMP)
    assert main([str(path) if word == "FILE" else word for word in arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_fleet_ends_with_its_watches_when_it_is_asked_to(tmp_path):
    path = written(tmp_path, PUMP)
    (tmp_path / "pump").mkdir()
    command = [sys.executable, "-u", "-m", "asd_core", "watch", "--config", str(path)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("pump 3 | ")  # its detector does not exist
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert os.fspath(tmp_path) in line
