"""Commands about a watch's alarms: pause, notify-test."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from asd_core.cli.options import MODEL, add_sinks, command
from asd_core.cli.outcome import DONE, SOME_REFUSED, USAGE, Outcome, show_warnings


def add(commands: Any) -> None:
    """Add the commands of this module."""
    text = "let a watch judge clips without raising alarms, for some minutes or until it is resumed"
    _add_pause(command(commands, "pause", _pause, text))
    text = "send one message to everybody who would be told, and say whether it was accepted"
    add_sinks(command(commands, "notify-test", _test, text))


def _add_pause(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="DIR", help="the folder that is watched")
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL", help=MODEL)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the watch's table, where it was named")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--minutes", type=float, metavar="M", help="how long; default until it is resumed")
    asked.add_argument("--resume", action="store_true", help="end the pause")


def _pause(arguments: argparse.Namespace) -> Outcome:
    from asd_core.artifacts.store import open_artifact
    from asd_core.errors import UsageError
    from asd_core.monitoring.beside import Beside
    from asd_core.monitoring.control import ask_pause, ask_resume
    from asd_core.monitoring.table import default_table, is_running

    table = arguments.csv or default_table(arguments.dir.resolve(), open_artifact(arguments.model))
    if not table.is_file():
        raise UsageError(f"no watch of {arguments.dir} with this detector has been started: {table} is missing")
    beside = Beside(table)
    control = ask_resume(beside) if arguments.resume else ask_pause(beside, arguments.minutes)
    running = is_running(table)
    warnings = [] if running else ["no watch is running now; the next one begins so"]
    show_warnings(warnings)
    until = control.paused_until
    print(f"paused {until if until.startswith('until') else f'until {until}'}" if until else "not paused")
    report = {"table": os.fspath(table), "paused_until": until, "is_running": running}
    return Outcome({"schema": 1, "command": "pause", "warnings": warnings, **report})


def _test(arguments: argparse.Namespace) -> Outcome:
    from asd_core.errors import UsageError
    from asd_core.monitoring.telling.messages import Message
    from asd_core.monitoring.telling.sinks import VARIABLE, notify_urls, open_sinks, titles, warning_about

    warnings = list(filter(None, [warning_about(arguments.notify_file)]))
    show_warnings(warnings)
    sinks = open_sinks(notify_urls(arguments.notify, arguments.notify_file, os.environ))
    if not sinks:
        raise UsageError(f"nobody would be told: name them by --notify, --notify-file or in {VARIABLE}")
    message = Message("test of asd_core", "This is a test. If you read it, alarms of this machine can reach you.")
    rows = []
    for title, sink in zip(titles(sinks), sinks, strict=True):
        error = sink.send(message)
        print(f"{title}: {error or 'accepted'}", file=sys.stderr if error else sys.stdout)
        rows.append({"sink": title, "accepted": not error, "reason": error})
    n_accepted = sum(not row["reason"] for row in rows)
    code = DONE if n_accepted == len(rows) else SOME_REFUSED if n_accepted else USAGE
    return Outcome({"schema": 1, "command": "notify-test", "warnings": warnings, "sinks": rows}, code)
