"""Commands about watches that run: health."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from asd_core.cli.options import command
from asd_core.cli.outcome import DONE, UNEXPECTED, Outcome

NOT_WELL = UNEXPECTED
"""Exit code where something is wrong with a watch; supervisors take any but 0 for that."""


def add(commands: Any) -> None:
    """Add the commands of this module."""
    text = "say how each watch is: 0 all are well, 1 one is dead, deaf or cannot tell anybody"
    parser = command(commands, "health", _health, text)
    text = "the watches of this file; default those of the data folder"
    parser.add_argument("--config", type=Path, metavar="FILE", help=text)


def _health(arguments: argparse.Namespace) -> Outcome:
    from asd_core.errors import UsageError
    from asd_core.monitoring.fleet import check_fleet, parse_fleet
    from asd_core.monitoring.health import check_all, health_json

    found = check_all() if arguments.config is None else check_fleet(parse_fleet(arguments.config))
    if not found:
        raise UsageError("there is no watch: none has been started with this data folder (ASD_DATA_DIR)")
    for health in found:
        print(health.line)
    report = health_json(found)
    return Outcome(report, DONE if report["well"] else NOT_WELL)
