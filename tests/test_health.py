"""Whether a watch is well, from outside: it lives, it hears, and somebody can be told."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from asd_core.cli import main
from asd_core.errors import UsageError
from asd_core.monitoring import health
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.pulse import Pulse, PulseSettings
from asd_core.monitoring.status import (
    ENDED,
    PAUSED,
    WAITING,
    Heart,
    NewestClip,
    SinkStatus,
    StateOn,
    WatchStatus,
    read_status,
    write_status,
)
from asd_core.monitoring.table import open_table
from asd_core.monitoring.telling.ping import Ping
from asd_core.system.supervision import notify_supervisor

NOW = datetime.now(UTC)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch):
    monkeypatch.setattr(health, "age_s", lambda moment: (NOW - datetime.fromisoformat(moment)).total_seconds())


def status_of(*, age: float = 0.0, **changes) -> WatchStatus:
    newest = NewestClip("k", ago(6), "", 9.7, 16.1, "normal")
    own = WatchStatus(
        at=ago(age), pid=1, process_start="x", state="listening", started_at=ago(100), folder="/in", model="/m/v0001",
        machine="pump 3", title="kNN", rule="3 of 5", settle_s=2.0, settle_from="the least", notices="polling",
        newest=newest, looked_at=ago(age),
    )  # fmt: skip
    return replace(own, **changes)


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))
    (tmp_path / "watches").mkdir()
    return tmp_path / "watches" / "pump.csv"


@contextmanager
def running(table, status):
    """A table whose lock is held, as by a watch that lives."""
    if status is not None:
        write_status(Beside(table).status, status)
    with open_table(table):
        yield


WELL = "pump 3: listening; no alarm; last clip 6 s ago, normal, score 9.7 (threshold 16.1)"


def test_a_watch_that_lives_and_hears_is_well(table):
    with running(table, status_of()):
        found = health.check_watch(table)
    assert (found.is_well, found.line) == (True, WELL)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": PAUSED, "paused_until": "2099-01-01T00:00:00+00:00"}, "paused until 2099-01-01"),
        ({"alarm": True, "alarm_since": "2026-01-31T12:00:00+00:00"}, "ALARM since 2026-01-31T12:00:00+00:00"),
        ({"newest": None, "n_waiting": 3}, "no clip yet; 3 files waiting"),
        ({"newest": NewestClip("k", ago(60), "", None, None, "")}, "last clip 60 s ago, refused"),
    ],
)
def test_an_alarm_or_a_pause_is_said_but_nothing_is_wrong(table, changes, words):
    with running(table, status_of(**changes)):
        found = health.check_watch(table, must_run=True)
    assert found.is_well
    assert words in found.line


SINK = SinkStatus("mqtts://broker", n_waiting=4, failing_since="2026-01-31T12:00:00+00:00", error="refused")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"age": 7}, "it hangs, or its disk is full: the last heartbeat was 7 s ago"),
        ({"age": -7}, "it hangs"),  # the clock was set back, and no heartbeat has come since
        ({"looked_at": ago(301)}, "it hangs: it last went round 5 minutes ago"),
        ({"states": (StateOn("quiet", ago(60), "no clip for 12 min"),)}, "deaf: no clip for 12 min"),
        ({"state": WAITING}, "waiting: /in cannot be read"),
        ({"state": WAITING, "states": (StateOn("folder", ago(9), "the folder is gone"),)}, "deaf: the folder is gone"),
        ({"sinks": (SINK,)}, "mqtts://broker cannot be told since 2026-01-31T12:00:00+00:00: refused (4 messages wai"),
    ],
)
def test_a_watch_that_lives_but_hangs_is_deaf_or_dumb_is_not_well(table, changes, words):
    with running(table, status_of(**changes)):
        found = health.check_watch(table)
    assert not found.is_well
    assert found.line.startswith("pump 3: NOT WELL: ")
    assert words in found.line
    assert len(found.problems) == 1


def test_a_watch_in_the_middle_of_a_long_recording_is_well(table):
    with running(table, status_of(looked_at=ago(290))):
        assert health.check_watch(table).is_well


def test_a_watch_that_was_killed_has_died_and_one_that_ended_has_not(table):
    table.touch()
    write_status(Beside(table).status, status_of(age=3000))
    died = health.check_watch(table)
    assert died.problems == ("it died: the last heartbeat was 50 minutes ago; start it again, nothing is lost",)
    write_status(Beside(table).status, status_of(age=3000, state=ENDED))
    assert health.check_watch(table).line == "pump 3: ended 50 minutes ago"
    assert health.check_watch(table, must_run=True).problems == ("it ended 50 minutes ago and is not running",)


def test_a_watch_that_has_never_run_is_wrong_only_where_it_should(table):
    assert health.check_watch(table, name="pump 3").is_well
    assert "it is not running" in health.check_watch(table, name="pump 3", must_run=True).line
    with running(table, None):
        assert health.check_watch(table, must_run=True).line == "pump.csv: starting: no heartbeat yet"


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b"5", b'{"schema": 2}', b'{"schema": 1}', b"\xff", b"[" * 9000, b'{"at": 5}', b"x" * 300_000,
        *(({"at": 5}), {"at": "noon"}, {"at": "2026-01-31T12:00:00"}, {"states": 5}, {"states": [{"name": "quiet"}]}),
        *({"newest": "x"}, {"newest": {"key": "k"}}, {"pid": "1"}, {"n_waiting": None}, {"sinks": [5]}, {"newest": []}),
        {"newest": {**vars(status_of().newest), "time": "yesterday"}},
    ],
)  # fmt: skip
def test_no_heartbeat_breaks_its_reader(table, damage):
    content = json.dumps(status_of().to_json() | damage).encode() if isinstance(damage, dict) else damage
    Beside(table).folder.mkdir()
    Beside(table).status.write_bytes(content)
    assert read_status(Beside(table).status) is None
    with running(table, None):
        assert health.check_watch(table).text == "starting: no heartbeat yet"


def test_a_heartbeat_of_another_release_is_read(table):
    content = status_of().to_json()
    del content["looked_at"], content["quiet_after_s"]
    Beside(table).folder.mkdir()
    Beside(table).status.write_text(json.dumps({**content, "of a later release": [1]}))
    found = read_status(Beside(table).status)
    assert found is not None
    assert (found.machine, found.looked_at) == ("pump 3", "")


# The command


def test_the_command_says_each_watch_in_a_line_and_ends_with_1_where_one_is_not_well(table, tmp_path, capsys):
    assert main(["health"]) == 2
    assert "there is no watch" in capsys.readouterr().err
    with running(table, status_of()):
        assert main(["health"]) == 0
        assert capsys.readouterr().out == f"{WELL}\n"
        other = table.with_name("fan.csv")
        other.touch()
        write_status(Beside(other).status, status_of(age=60, machine="fan"))
        table.with_name("of an earlier release.csv").touch()
        assert main(["health", "--json", str(tmp_path / "h.json")]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "fan: NOT WELL: it died: the last heartbeat was 60 s ago; start it again, nothing is lost",
        WELL,
    ]
    report = json.loads((tmp_path / "h.json").read_text())
    assert [(watch["name"], watch["well"]) for watch in report["watches"]] == [("fan", False), ("pump 3", True)]
    assert (report["schema"], report["command"], report["well"]) == (1, "health", False)
    assert report["watches"][0]["status"]["state"] == "listening"


# The heart


def until(holds, *, within_s: float = 5.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.005)
    return False


def test_the_heart_beats_while_the_watch_is_busy_and_says_when_it_last_went_round(tmp_path):
    path = tmp_path / "beside" / "status.json"
    with Heart(path, every_s=0.02) as heart:
        first = status_of(age=100)
        heart.beat(first)
        assert until(lambda: read_status(path).at > first.at)
        beats = read_status(path).at
        assert until(lambda: read_status(path).at > beats)
        assert read_status(path).looked_at == first.at
        heart.beat(replace(first, at=ago(1), n_judged=7))
        assert until(lambda: read_status(path).n_judged == 7)
    assert [each.name for each in path.parent.iterdir()] == ["status.json"]


def test_an_alarm_a_state_or_the_end_is_written_at_once(tmp_path):
    path = tmp_path / "status.json"
    heart = Heart(path, every_s=3600)
    for changes in ({}, {"alarm": True}, {"states": (StateOn("quiet", ago(1), "no clip"),)}, {"state": ENDED}):
        heart.beat(status_of(**changes))
        assert {name: getattr(read_status(path), name) for name in changes} == changes


def test_a_full_disk_does_not_stop_the_watch_and_a_heart_that_is_never_started_can_beat(tmp_path, monkeypatch):
    path = tmp_path / "status.json"
    heart = Heart(path)
    heart.beat(status_of())

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.write_bytes", full)
        heart.beat(status_of(alarm=True))
    assert read_status(path).alarm is False


# A supervisor, and somebody outside


@pytest.fixture
def supervisor(tmp_path, monkeypatch):
    """What a supervisor hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield lambda: listener.recv(1000).decode()


def test_a_supervisor_hears_that_the_watch_is_ready_lives_and_ends(tmp_path, supervisor):
    with Pulse(tmp_path / "status.json", PulseSettings()) as pulse:
        pulse.beat(status_of())
        pulse.beat(status_of())
    pulse.beat(status_of(state=ENDED))
    assert [supervisor() for _ in range(3)] == ["READY=1\nWATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


def test_a_supervisor_by_an_abstract_name_hears_too(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        try:
            listener.bind("\0asd-core-test")
        except OSError:
            pytest.skip("no abstract sockets here")
        monkeypatch.setenv("NOTIFY_SOCKET", "@asd-core-test")
        assert notify_supervisor("READY=1")
        assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("place", ["", "relative", "/nowhere/at/all"])
def test_without_a_supervisor_nothing_is_sent_and_nothing_breaks(monkeypatch, place):
    monkeypatch.setenv("NOTIFY_SOCKET", place)
    assert notify_supervisor("READY=1") is False


@pytest.fixture
def outside():
    """A service that is asked while a watch lives, and how it answers."""
    asked, answers = [], [200]

    class Service(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(answers[0])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/secret", asked, answers
    server.shutdown()
    server.server_close()
    thread.join()


def test_somebody_outside_is_asked_for_while_the_watch_goes_round_and_no_longer(outside):
    url, asked, answers = outside
    with Ping(url, every_s=0.02, hangs_after_s=0.3) as ping:
        assert until(lambda: len(asked) >= 2)
        answers[0] = 500  # the service is out of order: it is asked again
        ping.alive()
        assert until(lambda: len(asked) >= 4)
        time.sleep(0.5)
        n_asked = len(asked)
        time.sleep(0.1)
        assert len(asked) == n_asked
        ping.alive()
        assert until(lambda: len(asked) > n_asked)
    assert set(asked) == {"/secret"}


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "https:///nohost", "secret"])
def test_an_address_that_is_not_by_http_is_refused_without_showing_it(url):
    with pytest.raises(UsageError, match="needs an address by http or https") as refused:
        Ping(url)
    assert url not in str(refused.value).replace(repr(url.partition(":")[0]), "")
