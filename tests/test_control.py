"""A pause is asked for by a small file, and nothing in that file can harm a watch."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sounds import PROJECT

from asd_core.cli import main
from asd_core.errors import UsageError
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.control import FOREVER, Control, ask_pause, ask_resume, read_control
from asd_core.monitoring.table import open_table

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.fixture
def beside(tmp_path: Path) -> Beside:
    return Beside(tmp_path / "pump.csv")


def test_a_pause_of_minutes_ends_by_itself(beside: Beside) -> None:
    asked = ask_pause(beside, 30, now=NOW)
    assert read_control(beside.control) == asked == Control("2026-01-31T12:30:00+00:00")
    assert asked.is_paused(NOW + timedelta(minutes=29, seconds=59))
    assert not asked.is_paused(NOW + timedelta(minutes=30))


def test_a_pause_without_minutes_lasts_until_somebody_ends_it(beside: Beside) -> None:
    ask_pause(beside)
    assert read_control(beside.control) == Control(FOREVER)
    assert read_control(beside.control).is_paused(NOW + timedelta(days=4000))
    ask_resume(beside)
    assert read_control(beside.control) == Control()
    assert not read_control(beside.control).is_paused(NOW)


def test_resuming_what_was_never_paused_is_no_error(beside: Beside) -> None:
    ask_resume(beside)
    assert not read_control(beside.control).is_paused(NOW)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), 366 * 24 * 60 + 1])
def test_a_pause_of_no_length_or_of_years_is_refused(beside: Beside, minutes: float) -> None:
    with pytest.raises(UsageError, match="a pause lasts"):
        ask_pause(beside, minutes)
    assert not beside.control.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"paused_until": "until resumed"}',
        b'{"schema": 2, "paused_until": "until resumed"}',
        b'{"schema": 1, "paused_until": 5}',
        b'{"schema": 1, "paused_until": "tomorrow"}',
        b'{"schema": 1, "paused_until": "2026-01-31T12:30:00"}',
        b'{"schema": 1, "paused_until": "' + b"x" * 5000 + b'"}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_pauses_nothing(beside: Beside, content: bytes) -> None:
    beside.folder.mkdir()
    beside.control.write_bytes(content)
    assert read_control(beside.control) == Control()
    assert not read_control(beside.control).is_paused(NOW)


def test_a_missing_file_or_a_link_pauses_nothing(beside: Beside, tmp_path: Path) -> None:
    assert read_control(beside.control) == Control()
    ask_pause(beside)
    other = tmp_path / "link.json"
    other.symlink_to(beside.control)
    assert read_control(other) == Control()


def test_what_later_releases_add_is_ignored(beside: Beside) -> None:
    beside.folder.mkdir()
    beside.control.write_text(json.dumps({"schema": 1, "paused_until": FOREVER, "more": [1]}))
    assert read_control(beside.control).is_paused(NOW)


MODEL = PROJECT / "artifacts" / "simulated-small" / "slider" / "vggish_ocsvm"


def test_the_command_pauses_and_resumes_the_watch_of_a_table(
    beside: Beside, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pause", str(tmp_path), "--model", str(MODEL), "--csv", str(beside.table)]
    report = tmp_path / "r.json"
    with open_table(beside.table):
        assert main([*command, "--minutes", "5", "--json", str(report)]) == 0
        until = read_control(beside.control).paused_until
        assert capsys.readouterr() == (f"paused until {until}\n", "")
        assert json.loads(report.read_bytes())["is_running"] is True
        assert main(command) == 0
        assert capsys.readouterr().out == "paused until resumed\n"
        assert main([*command, "--resume"]) == 0
        assert capsys.readouterr().out == "not paused\n"
    assert not read_control(beside.control).is_paused(NOW)
    assert main(command) == 0
    assert "no watch is running now; the next one begins so" in capsys.readouterr().err


def test_the_command_names_a_watch_that_was_never_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pause", str(tmp_path), "--model", str(MODEL), "--csv", str(tmp_path / "no.csv")]) == 2
    assert "has been started" in capsys.readouterr().err
    assert not Beside(tmp_path / "no.csv").folder.exists()
