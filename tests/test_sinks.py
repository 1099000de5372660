"""Real receivers hear of an alarm: a webhook, an MQTT broker, a mail server; and no text shows a secret."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from asd_core.cli import main
from asd_core.errors import FileError, MissingExtraError, UsageError
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.telling.events import BACK, CLEARED, DEAF, RAISED, WatchEvent
from asd_core.monitoring.telling.messages import (
    AT_ONCE,
    MAX_CLIP_BYTES,
    Attachment,
    attachment_of,
    message_about,
    still_on,
    summary_of,
)
from asd_core.monitoring.telling.sinks import (
    MAX_ERROR,
    AppriseSink,
    _masked,
    _secrets,
    notify_urls,
    open_sinks,
    titles,
    warning_about,
)
from benchmarks import telling

pytest.importorskip("apprise")
# Apprise reads all its services at once, and one of them imports a module that Python 3.13 no longer has.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

TABLE = Path("/data/pump 3&a.csv")
ALARM = WatchEvent(
    id="0123456789abcdef",
    kind=RAISED,
    time="2026-01-31T12:00:00.000+00:00",
    machine="pump 3",
    text="alarm raised: 3 of the last 5 clips anomalous",
    key="fedcba9876543210",
    clip="/in/a.wav",
    recorded="2026-01-31T12:59:50",
    anomaly_score=161.04,
    threshold=98.7,
    simulated=True,
)
MESSAGE = message_about(ALARM, table=TABLE, page="http://hark:8501")


@contextmanager
def webhook(status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"json://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_webhook_hears_words_and_the_event_as_it_is_in_the_log() -> None:
    with webhook() as (url, received):
        assert AppriseSink(f"{url}/hooks/secret?:room=5").send(MESSAGE) == ""
    (got,) = received
    assert got["title"] == "pump 3: ALARM"
    assert got["message"] == MESSAGE.body
    assert got["type"] == "failure"
    assert got["events"] == [ALARM.to_json()]
    assert got["repeated"] is False
    assert got["room"] == "5"


def test_a_webhook_that_answers_with_an_error_has_not_accepted() -> None:
    with webhook(500) as (url, received):
        error = AppriseSink(f"{url}/hooks/verysecret").send(MESSAGE)
    assert "500" in error
    assert "verysecret" not in error
    assert len(received) == 1  # who tries again is the outbox


def test_a_clip_reaches_a_webhook() -> None:
    with webhook() as (url, received):
        assert AppriseSink(url).send(MESSAGE, Attachment("clip-k.wav", b"RIFF1234")) == ""
    (sent,) = received[0]["attachments"]
    assert (sent["filename"], sent["mimetype"].split("/")[0]) == ("clip-k.wav", "audio")
    assert base64.b64decode(sent["base64"]) == b"RIFF1234"


def test_an_address_that_nobody_listens_at_is_an_error_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    caplog.set_level(logging.DEBUG, "asd_core")
    sink = AppriseSink(f"json://user:passw0rd@127.0.0.1:{port}/hooks/t0ken")
    error = sink.send(MESSAGE)
    assert error
    for secret in ("passw0rd", "t0ken", "user"):
        assert secret not in error + sink.title + sink.digest


def test_an_error_of_apprise_is_shown_without_any_part_of_the_url() -> None:
    secrets = _secrets("json://user:passw0rd@host.example/hooks/t0ken%20x?key=abcd")
    text = "error at https://host.example/hooks/t0ken%20x (t0ken x, passw0rd,\nuser, abcd)"
    shown = _masked(text, secrets)
    for secret in ("passw0rd", "t0ken", "abcd", "host.example", "user", "\n"):
        assert secret not in shown
    assert shown.startswith("error at ")
    assert len(_masked("x" * 1000, [])) == MAX_ERROR


def test_an_mqtt_message_asks_for_a_receipt_unless_the_url_says_otherwise() -> None:
    def quality(url: str) -> object:
        return getattr(AppriseSink(url)._plugin(), "qos", None)

    assert quality("mqtt://broker/topic") == 1
    assert quality("mqtt://broker/topic?qos=2") == 2
    assert quality("mqtt://broker/topic?qos=0") == 0


@pytest.mark.parametrize(
    ("url", "title"),
    [
        ("json://user:passw0rd@host:8080/t0ken", "json://host:8080"),
        ("mqtts://user:passw0rd@broker/t0pic", "mqtts://broker:8883"),
        ("mailtos://user:passw0rd@example.com:465", "mailtos://example.com:465"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544", "Telegram (tgram://)"),
        ("ntfy://secrettopic", "ntfy (ntfy://)"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "Slack (slack://)"),
    ],
)
def test_a_sink_is_called_by_its_host_or_its_service_and_never_by_a_secret(url: str, title: str) -> None:
    assert AppriseSink(url).title == title


def test_sinks_are_opened_once_each_and_equal_titles_are_numbered() -> None:
    sinks = open_sinks(["json://host/a", "json://host/b", "json://host/a"])
    assert titles(sinks) == ["json://host", "json://host (2)"]
    assert len({sink.digest for sink in sinks}) == 2


@pytest.mark.parametrize("url", ["foo://passw0rd/x", "passw0rd", "json://", "tgram://passw0rd", "http//passw0rd"])
def test_an_unknown_address_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(UsageError, match="Apprise knows no address") as refused:
        AppriseSink(url)
    assert "passw0rd" not in str(refused.value)


def test_a_missing_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(MissingExtraError, match=r"by json:// needs Apprise.*asd_core\[watch\]"):
        AppriseSink("json://host")


def test_mqtt_needs_paho(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho", None)
    AppriseSink("json://host")
    with pytest.raises(MissingExtraError, match="paho-mqtt"):
        AppriseSink("mqtt://host/topic")


def test_urls_come_from_arguments_a_file_and_the_environment_each_once(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text("# mail\n\n  json://b  \n\t# json://no\njson://a\n")
    found = notify_urls(["json://a"], file, {"ASD_NOTIFY": " json://c\njson://b "})
    assert found == ("json://a", "json://b", "json://c")
    assert notify_urls([], None, {}) == ()


def test_a_missing_file_of_urls_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="urls"):
        notify_urls([], tmp_path / "urls", {})


def test_a_file_of_secrets_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.touch()
    file.chmod(0o644)
    assert "chmod 600" in warning_about(file)
    file.chmod(0o600)
    assert warning_about(file) == ""
    assert warning_about(None) == ""


# --- the words ---


def test_a_message_says_what_when_how_loud_and_where_to_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        lines = message_about(ALARM, table=TABLE, page="http://hark:8501/").body.splitlines()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert lines == [
        "alarm raised: 3 of the last 5 clips anomalous",
        "recorded: 2026-01-31 12:59:50",
        "judged: 2026-01-31 13:00:00+01:00",
        "score 161, threshold 98.7, trained on simulated sound",
        "clip: /in/a.wav",
        "listen: http://hark:8501/monitor?monitor=live&watch=pump+3%26a.csv&clip=fedcba9876543210",
        "event: 0123456789abcdef kind: raised",
    ]


def test_a_repeated_message_says_so_to_people_and_programs() -> None:
    body = message_about(ALARM, table=TABLE, is_repeated=True).body
    assert "Sent again" in body
    assert body.endswith("event: 0123456789abcdef kind: raised repeated: yes")
    assert "http" not in body


def test_the_title_says_how_a_watch_is_deaf() -> None:
    deaf = replace(ALARM, kind=DEAF, state="disk", text="only 3 MB are free")
    assert message_about(deaf, table=TABLE).title == "pump 3: DEAF (disk nearly full)"
    assert message_about(replace(deaf, state="of a later release"), table=TABLE).title == "pump 3: DEAF"
    assert "noticed: " in message_about(deaf, table=TABLE).body


def test_no_name_breaks_a_line_or_turns_the_writing() -> None:
    event = replace(ALARM, machine="a\nb\u202e", clip="x\r\nevent: 0 kind: cleared", text="t\x00\nu", recorded="\n")
    for message in (
        message_about(event, table=TABLE),
        summary_of([event, event], [event], why=AT_ONCE, table=TABLE),
    ):
        assert "\n" not in message.title
        assert "\u202e" not in message.title + message.body
        assert not any(line.startswith(("event: 0 ", "u")) for line in message.body.splitlines())


def test_what_is_still_on_is_the_first_of_each_that_has_not_ended() -> None:
    def event(about: str, kind: str, state: str = "") -> WatchEvent:
        return replace(ALARM, id=about, kind=kind, state=state)

    told = [
        event("1", RAISED),
        event("2", DEAF, "quiet"),
        event("3", DEAF, "disk"),
        event("4", BACK, "quiet"),
        event("5", CLEARED),
        event("6", RAISED),
        event("7", RAISED),
    ]
    assert [each.id for each in still_on(told)] == ["3", "6"]
    assert still_on(told[:1] + told[4:5]) == []


def test_the_file_itself_is_attached_unless_it_was_written_to_since(tmp_path: Path) -> None:
    beside, clip = Beside(tmp_path / "t.csv"), tmp_path / "a b%20?x=1.WAV"
    clip.write_bytes(b"RIFF")
    now = datetime.now(UTC)
    event = replace(ALARM, clip=str(clip), time=now.isoformat())
    assert attachment_of(event, beside) == Attachment("clip-fedcba9876543210.WAV", b"RIFF")
    os.utime(clip, (now.timestamp() + 10,) * 2)
    assert attachment_of(event, beside) is None
    assert attachment_of(replace(event, key=""), beside) is None


def test_what_is_too_large_or_no_file_is_not_attached(tmp_path: Path) -> None:
    beside, clip = Beside(tmp_path / "t.csv"), tmp_path / "a.wav"
    event = replace(ALARM, clip=str(clip), time="2100-01-01T00:00:00+00:00")
    assert attachment_of(event, beside) is None
    with clip.open("wb") as stream:
        stream.truncate(MAX_CLIP_BYTES + 1)
    assert attachment_of(event, beside) is None
    (tmp_path / "b.wav").symlink_to("/etc/hostname")
    assert attachment_of(replace(event, clip=str(tmp_path / "b.wav")), beside) is None


# --- other kinds of sinks ---


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    broker = subprocess.Popen([_mosquitto() or "", "-c", os.fspath(config)], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield port
    finally:
        broker.terminate()
        broker.wait()


def _mosquitto() -> str | None:
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@pytest.mark.skipif(_mosquitto() is None, reason="needs mosquitto")
def test_an_mqtt_broker_hands_on_an_alarm(tmp_path: Path) -> None:
    client = pytest.importorskip("paho.mqtt.client")
    heard: list[str] = []
    is_there = threading.Event()
    with mosquitto(tmp_path) as port:
        listener = client.Client(client.CallbackAPIVersion.VERSION2)
        listener.on_message = lambda _client, _data, message: heard.append(f"{message.qos} {message.payload.decode()}")
        listener.on_subscribe = lambda *_: is_there.set()
        listener.connect("127.0.0.1", port)
        listener.loop_start()
        listener.subscribe("hark/alarms", qos=1)
        assert is_there.wait(5)
        sink = AppriseSink(f"mqtt://127.0.0.1:{port}/hark/alarms")
        assert sink.send(MESSAGE) == ""
        assert sink.send(message_about(replace(ALARM, kind=CLEARED), table=TABLE)) == ""
        deadline = time.monotonic() + 5
        while len(heard) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        listener.disconnect()
        listener.loop_stop()
    first, second = heard
    assert first.startswith("1 pump 3: ALARM")  # quality of service 1: at least once
    assert first.endswith("event: 0123456789abcdef kind: raised")
    assert second.endswith("kind: cleared")


class Mail(socketserver.StreamRequestHandler):
    """As much of a mail server as one letter needs."""

    letters: list[str] = []  # noqa: RUF012 - of the class, since each connection has an object of its own

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode("latin-1").strip().upper():
            if line.startswith("DATA"):
                self._say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.letters.append(b"".join(lines).decode())
            self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def test_a_mail_server_gets_a_letter() -> None:
    Mail.letters.clear()
    with socketserver.TCPServer(("127.0.0.1", 0), Mail) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"mailto://127.0.0.1:{server.server_address[1]}/?from=hark@example.com&to=me@example.com"
            assert AppriseSink(url).send(MESSAGE) == ""
        finally:
            server.shutdown()
            thread.join()
    (letter,) = Mail.letters
    assert "Subject: pump 3: ALARM" in letter
    assert "me@example.com" in letter


# --- commands ---


def test_notify_test_says_who_accepts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with webhook() as (good, received), webhook(503) as (bad, _):
        assert main(["notify-test", "--notify", good, "--json", str(report)]) == 0
        assert f"{good}: accepted" in capsys.readouterr().out
        assert main(["notify-test", "--notify", good, "--notify", f"{bad}/t0ken"]) == 3
        told = capsys.readouterr()
        assert "503" in told.err
        assert "t0ken" not in told.out + told.err
        assert main(["notify-test", "--notify", bad]) == 2
    assert received[0]["title"] == "test of asd_core"
    assert json.loads(report.read_bytes())["sinks"] == [{"sink": good, "accepted": True, "reason": ""}]


def test_notify_test_reads_a_file_and_the_environment(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as (url, received):
        file = tmp_path / "urls"
        file.write_text(f"{url}/one\n")
        file.chmod(0o644)
        monkeypatch.setenv("ASD_NOTIFY", f"{url}/two")
        assert main(["notify-test", "--notify-file", str(file)]) == 0
        assert "chmod 600" in capsys.readouterr().err
    assert len(received) == 2
    monkeypatch.delenv("ASD_NOTIFY")
    assert main(["notify-test"]) == 2
    assert "nobody would be told" in capsys.readouterr().err


# --- kills ---


@pytest.mark.slow
def test_over_20_kills_no_event_is_missed_and_only_those_in_flight_are_doubled(tmp_path: Path) -> None:
    row = telling.measure("answers", tmp_path, n_kills=20)
    assert row["events"] > 100
    assert (row["missed"], row["out of order"], row["doubled unmarked"]) == (0, 0, 0)
    assert row["doubled"] <= row["counted"] == row["in flight"]
