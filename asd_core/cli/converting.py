"""The command that turns refused recordings into ones that are read: convert."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from asd_core.cli.options import channel, command
from asd_core.cli.outcome import USAGE, Outcome, refusals, show_warnings


def add(commands: Any) -> None:
    """Add the command of this module."""
    parser = command(commands, "convert", _convert, "write recordings that are refused as WAV files that are read")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a recording")
    text = "folder for the WAV files; none in it is ever replaced"
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help=text)
    text = "divide the samples by X, for example 32768 where they are an integer scale"
    parser.add_argument("--divide", type=float, default=1.0, metavar="X", help=text)
    text = "keep this channel alone (0 is the first), or the mean of all; default: all, up to 8"
    parser.add_argument("--channel", type=channel, metavar="N|mean", help=text)


def _convert(arguments: argparse.Namespace) -> Outcome:
    from asd_core.tasks.convert import ConvertRequest, convert

    request = ConvertRequest(tuple(arguments.files), arguments.to, arguments.divide, arguments.channel)
    report = convert(request)
    for file in report.files:
        print(f"{file.path} -> {file.out} ({file.seconds:.1f} s)")
    show_warnings(report.warnings)
    code = refusals(report.refused)
    return Outcome(report.to_json(), code if report.files else USAGE)
