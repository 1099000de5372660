"""Logs: a JSON object a line, escaped and bounded, and an error number that leads to its trace."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time

import pytest
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from asd_core.errors import AudioError
from asd_core.system import logs
from asd_core.system.logs import configure, event, fault, log_path

EVIL = [
    "a\nb\r\nc",
    '{"level": "ERROR"}\n{"event": "forged"}',
    "\x1b[31mred\x1b[0m\x00\x07\x7f\x85\x9b",
    "gnp.\u202eexe\u2066\u2069\u200f",
    "line\u2028paragraph\u2029end",
    "\ud800 half a pair",
    "🔊 héllo",
]


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A log of its own, as the dashboard writes it."""
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "data"))
    configure("dashboard")
    yield log_path("dashboard")
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "after"))
    configure("dashboard")  # lets go of the file


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def test_nothing_is_made_before_the_first_event(log):
    assert not log.parent.parent.exists()
    event("began", n_clips=3)
    (line,) = lines(log)
    assert (line["event"], line["n_clips"], line["level"]) == ("began", 3, "INFO")
    assert line["time"].endswith("+00:00")


def test_visitors_that_come_at_once_write_each_event_once(log, tmp_path, monkeypatch):
    real, at_once = logs._JsonLines.__init__, threading.Barrier(4)

    def slowly(self, path):
        time.sleep(0.05)
        real(self, path)

    def visit():
        at_once.wait(10)
        configure("dashboard")

    monkeypatch.setattr(logs._JsonLines, "__init__", slowly)
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path / "another"))
    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(10)
    event("began")
    assert [line["event"] for line in lines(log_path("dashboard"))] == ["began"]


def test_an_import_configures_nothing():
    code = "import logging, asd_core.system.logs, asd_core.jobs.queue; print(logging.getLogger('asd_core').handlers)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True)
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize("text", EVIL)
def test_texts_of_users_stay_within_their_line_in_printable_ascii(log, text):
    event("refused", reason=text)
    event(text)
    fault(ValueError(text))
    raw = log.read_bytes()
    assert all(byte == 10 or 32 <= byte < 127 for byte in raw)
    assert raw.count(b"\n") == 3
    named, bare, broken = lines(log)
    assert (named["reason"], bare["event"], broken["text"]) == (text, text, text)


def test_long_texts_and_deep_traces_are_cut(log):
    def dig(depth):
        if depth:
            return dig(depth - 1)
        raise ValueError("x" * 10_000)

    with pytest.raises(ValueError, match="x") as dug:
        dig(200)
    event("refused", reason="y" * 10_000)
    fault(dug.value)
    short, deep = lines(log)
    assert len(short["reason"]) == len(deep["text"]) == logs.MAX_TEXT
    assert len(deep["trace"]) == logs.MAX_FRAMES
    assert deep["trace"][-1].endswith(" dig")


def test_the_log_is_rotated_and_never_larger_than_allowed(log, monkeypatch):
    handler = logging.getLogger("asd_core").handlers[0]
    assert (handler.maxBytes, handler.backupCount) == (logs.MAX_BYTES, logs.KEPT_FILES)
    monkeypatch.setattr(handler, "maxBytes", 5000)
    for number in range(500):
        event("many", number=number, text="z" * 100)
    files = sorted(log.parent.iterdir())
    assert len(files) == 1 + logs.KEPT_FILES
    assert all(file.stat().st_size <= 5000 for file in files)
    assert lines(log)[-1]["number"] == 499
    assert all(line["event"] == "many" for file in files for line in lines(file))


def test_a_log_that_cannot_be_written_goes_to_standard_error(log, capsys):
    log.parent.parent.write_text("a file, where a folder is wanted")
    event("began")
    assert json.loads(capsys.readouterr().err)["event"] == "began"


def test_configuring_again_adds_no_second_line(log):
    configure("dashboard")
    event("once")
    assert len(lines(log)) == 1


@pytest.fixture
def failing_page(log, monkeypatch, tmp_path):
    """Return a function that opens the overview while an error comes up in its header."""
    monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(PROJECT / "artifacts"))
    monkeypatch.syspath_prepend(str(PROJECT))

    def open_(error: Exception) -> AppTest:
        from pages.shared import context_box

        def fail(_chosen):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(context_box, "context_line", fail)
            return AppTest.from_file(str(PROJECT / "app.py"), default_timeout=60).run()

    return open_


def test_a_fault_of_a_page_shows_a_number_that_leads_to_its_trace(log, failing_page):
    page = failing_page(RuntimeError("the secret detail"))
    (shown,) = [box.value for box in page.error if box.value.startswith("Error E-")]
    assert "secret" not in shown
    (line,) = [line for line in lines(log) if line["event"] == "fault"]
    assert line["number"] in shown
    assert (line["error"], line["text"], line["page"]) == ("RuntimeError", "the secret detail", "pages/overview.py")
    assert line["trace"][-1].endswith(" fail")
    assert page.exception  # and Streamlit knows of it too: tests that look for faults find it


def test_a_refused_clip_is_logged_by_its_code_alone(log, failing_page):
    page = failing_page(AudioError("magic", "got b'secret bytes' as first bytes"))
    assert not page.exception
    (line,) = lines(log)
    assert (line["event"], line["kind"], line["reason"]) == ("refused", "AudioError", "magic")
    assert b"secret" not in log.read_bytes()
