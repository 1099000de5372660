"""Commands that listen all day, and read what was heard: watch, rows."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asd_core.cli.options import add_sinks, add_vggish, command
from asd_core.cli.outcome import (
    DONE,
    INTERRUPTED,
    SOME_REFUSED,
    Outcome,
    show_skipped,
    show_warnings,
    simulated_mark,
    write_text,
)
from asd_core.errors import UsageError
from asd_core.formats import counted
from asd_core.system import logs

if TYPE_CHECKING:
    from asd_core.monitoring.arriving.arrivals import ArrivalSettings
    from asd_core.monitoring.hearing import HearingRules
    from asd_core.monitoring.telling.outbox import TellSettings
    from asd_core.monitoring.watch import WatchReport, WatchRequest


def add(commands: Any) -> None:
    """Add the commands of this module."""
    text = "score recordings as they arrive in a folder; raise and clear alarms, and tell somebody"
    _add_watch(command(commands, "watch", _watch, text))
    text = "write a watch's table in the order in which its clips were recorded; late ones are sorted in"
    _add_rows(command(commands, "rows", _rows, text))


def _add_watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", nargs="?", type=Path, metavar="DIR", help="the folder into which clips are written")
    parser.add_argument("--model", type=Path, metavar="MODEL")
    text = "run all watches of a TOML file instead, each as a process of its own; takes --heartbeat and --json alone"
    parser.add_argument("--config", type=Path, metavar="FILE", help=text)
    rule = (
        "what raises an alarm: k anomalous of the last n clips, a CUSUM of p-values, or whatever keeps false alarms "
        "within a budget (default 3/5)"
    )
    parser.add_argument("--alarm", default="3/5", metavar="3/5|cusum:H[,K]|budget:1/week", help=rule)
    text = "seconds from one clip to the next, for a budget; default learned from the table"
    parser.add_argument("--every", type=float, metavar="S", help=text)
    text = "record scores although the detector has no threshold, and no alarm can be raised"
    parser.add_argument("--record", action="store_true", help=text)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the table; default in the data folder, for the page")
    parser.add_argument("--poll", type=float, default=1.0, metavar="S", help="seconds between two looks (default 1)")
    parser.add_argument("--drift", type=int, default=20, metavar="N", help="clips compared with training (default 20)")
    parser.add_argument("--once", action="store_true", help="score what is there, then end")
    parser.add_argument("--machine", default="", metavar="NAME", help="what to call it; default the folder's name")
    _add_arrivals(parser)
    _add_telling(parser)
    _add_hearing(parser)
    _add_pulse(parser)
    add_vggish(parser)


def _add_arrivals(parser: argparse.ArgumentParser) -> None:
    text = "judge a file when it has not changed for S seconds; default learned from the folder, at least 2"
    parser.add_argument("--settle", type=float, metavar="S", help=text)
    text = "do not rely on the system's notices of changes and open files, which network shares lack"
    parser.add_argument("--poll-only", action="store_true", help=text)
    text = "cut recordings into clips of S seconds, also while they grow"
    parser.add_argument("--segment", type=float, metavar="S", help=text)
    parser.add_argument("--hop", type=float, metavar="S", help="a clip every S seconds; default the segment's length")


def _add_telling(parser: argparse.ArgumentParser) -> None:
    add_sinks(parser)
    parser.add_argument("--page", default="", metavar="URL", help="address of the dashboard, for links to clips")
    parser.add_argument("--attach", action="store_true", help="send the clip too")
    text = "send nothing between these local times, and what happened afterwards"
    parser.add_argument("--quiet-hours", default="", metavar="22:00-06:00", help=text)


def _add_hearing(parser: argparse.ArgumentParser) -> None:
    text = "minutes without a clip after which the watch says that it is deaf; default learned"
    parser.add_argument("--deaf-after", type=float, metavar="MIN", help=text)
    text = "megabytes of copies of clips to keep, those of alarms first; 0 for none (default 500)"
    parser.add_argument("--keep", type=float, default=500, metavar="MB", help=text)


def _add_pulse(parser: argparse.ArgumentParser) -> None:
    text = "serve figures for Prometheus on this port of 127.0.0.1"
    parser.add_argument("--metrics", type=int, metavar="PORT", help=text)
    text = "ask for this address every minute while alive, so that somebody outside notices; also from ASD_HEARTBEAT"
    parser.add_argument("--heartbeat", default="", metavar="URL", help=text)


def _watch(arguments: argparse.Namespace) -> Outcome:
    if arguments.config is not None:
        return _watch_fleet(arguments)
    from asd_core.monitoring.watch import watch

    request = _request(arguments)
    logs.configure("watch")
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)  # Watchdog's, where it finds a folder twice
    with _stopped_by_signals() as (stop, received):
        report = watch(request, stop=stop, say=_say)
    _show(report)
    if signal.SIGINT in received:
        return Outcome(report.to_json(), INTERRUPTED)
    return Outcome(report.to_json(), SOME_REFUSED if report.refused and arguments.once else DONE)


def _watch_fleet(arguments: argparse.Namespace) -> Outcome:
    from asd_core.monitoring.fleet import parse_fleet, run_fleet

    if arguments.dir is not None or arguments.model is not None:
        raise UsageError("watch takes DIR and --model, or --config: the file names folders and detectors")
    fleet = parse_fleet(arguments.config)
    with _stopped_by_signals() as (stop, received):
        report = run_fleet(fleet, stop=stop, say=_say, heartbeat_url=_heartbeat(arguments))
    return Outcome(report.to_json(), INTERRUPTED if signal.SIGINT in received else DONE)


def _say(line: str) -> None:
    print(line, flush=True)


def _heartbeat(arguments: argparse.Namespace) -> str:
    return arguments.heartbeat or os.environ.get("ASD_HEARTBEAT", "")


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[tuple[threading.Event, list[int]]]:
    """Give an event that Ctrl-C and SIGTERM set, and the signals that came."""
    stop = threading.Event()
    received: list[int] = []

    def end(number: int, _: object) -> None:
        received.append(number)
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop, received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _request(arguments: argparse.Namespace) -> WatchRequest:
    from asd_core.monitoring.alarms import parse_rule
    from asd_core.monitoring.pulse import PulseSettings
    from asd_core.monitoring.watch import WatchRequest

    if arguments.dir is None or arguments.model is None:
        raise UsageError("watch takes DIR and --model, or --config")
    return WatchRequest(
        folder=arguments.dir,
        model=arguments.model,
        table=arguments.csv,
        rule=parse_rule(arguments.alarm),
        every_s=arguments.every,
        record=arguments.record,
        n_drift=arguments.drift,
        poll_s=arguments.poll,
        once=arguments.once,
        machine=arguments.machine,
        arrivals=_arrivals(arguments),
        hearing=_hearing(arguments),
        tell=_tell(arguments),
        kept_bytes=round(arguments.keep * 1e6),
        pulse=PulseSettings(arguments.metrics, _heartbeat(arguments)),
    )


def _arrivals(arguments: argparse.Namespace) -> ArrivalSettings:
    from asd_core.monitoring.arriving.arrivals import ArrivalSettings

    return ArrivalSettings(
        settle_s=arguments.settle,
        trusts_system=not arguments.poll_only,
        segment_s=arguments.segment,
        hop_s=arguments.hop,
    )


def _hearing(arguments: argparse.Namespace) -> HearingRules:
    from asd_core.monitoring.hearing import HearingRules

    return HearingRules(quiet_after_s=None if arguments.deaf_after is None else 60 * arguments.deaf_after)


def _tell(arguments: argparse.Namespace) -> TellSettings:
    from asd_core.monitoring.telling.outbox import TellSettings
    from asd_core.monitoring.telling.sinks import notify_urls, warning_about

    show_warnings(list(filter(None, [warning_about(arguments.notify_file)])))
    return TellSettings(
        urls=notify_urls(arguments.notify, arguments.notify_file, os.environ),
        page=arguments.page,
        attaches_clip=arguments.attach,
        quiet_hours=arguments.quiet_hours,
    )


def _show(report: WatchReport) -> None:
    show_warnings(report.warnings)
    counts = f"{report.n_judged} clips scored, {len(report.refused)} refused, {report.n_raised} alarms raised"
    print(f"{counts}, {report.n_cleared} cleared{simulated_mark(detector=report.simulated)}", file=sys.stderr)
    show_skipped(report.skipped)


def _add_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", type=Path, metavar="TABLE", help="the CSV file of a watch")
    text = "write the rows here instead of standard output"
    parser.add_argument("--csv", type=Path, metavar="FILE", help=text)
    parser.add_argument("--judged", action="store_true", help="in the order in which the clips were judged")


def _rows(arguments: argparse.Namespace) -> Outcome:
    from asd_core.monitoring.arriving.recording_time import count_late, in_recorded_order
    from asd_core.monitoring.rows import HEADER
    from asd_core.monitoring.table import read_rows

    rows, n_damaged = read_rows(arguments.table)
    ordered = rows if arguments.judged else in_recorded_order(rows)
    write_text(arguments.csv, (HEADER + b"".join(row.line() for row in ordered)).decode())
    warnings = [f"{counted(n_damaged, 'damaged line')} passed over"] if n_damaged else []
    show_warnings(warnings)
    counts = {"n_rows": len(rows), "n_late": count_late(rows), "n_damaged": n_damaged}
    return Outcome({"schema": 1, "command": "rows", "warnings": warnings, **counts})
