"""The command line: arguments in, one call of the package, lines and exit code out. `asd --help`.

Exit codes: 0 done; 1 unexpected; 2 usage, or nothing could be done; 3 done, but some clips were refused (listed);
4 busy; 130 interrupted. Progress goes to standard error, results to standard output.

Each module of commands holds some of them: an `add` for the parser, and bodies that return an `Outcome`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from asd_core import __version__
from asd_core.cli import (
    bench_files,
    checking,
    converting,
    dcase_files,
    exporting,
    judging,
    scoring,
    supervising,
    telling,
    training,
    watching,
)
from asd_core.cli.completion import COMMAND, SHELLS, PrintCompletion
from asd_core.cli.options import check_place, use_vggish
from asd_core.cli.outcome import BUSY, INTERRUPTED, USAGE, Interrupted, write_json
from asd_core.errors import AsdError, BusyError

_INTERRUPTED = "interrupted; `--resume` continues a training from its last finished epoch"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a user's mistake is one line, never a traceback."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # names need not be UTF-8
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    arguments = _parser().parse_args(argv)
    try:
        return _run(arguments)
    except BusyError as error:
        return _fail(error, BUSY)
    except AsdError as error:
        return _fail(error, USAGE)
    except OSError as error:
        return _fail(_place_and_reason(error), USAGE)
    except Interrupted as error:
        return _fail(error, INTERRUPTED)
    except KeyboardInterrupt:
        return _fail(_INTERRUPTED, INTERRUPTED)


def _run(arguments: argparse.Namespace) -> int:
    for name in ("json", "csv"):
        check_place(getattr(arguments, name, None))
    use_vggish(arguments)
    outcome = arguments.run(arguments)
    write_json(arguments.json, outcome.report)
    code: int = outcome.code
    return code


def _fail(message: object, code: int) -> int:
    print(f"asd_core: {message}", file=sys.stderr)
    return code


def _place_and_reason(error: OSError) -> str:
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{Path(error.filename)!s}: {error.strerror}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=COMMAND if Path(sys.argv[0]).stem == COMMAND else "python -m asd_core",
        description="Detect anomalous machine sound with detectors that know only normal sound.",
    )
    parser.add_argument("--version", action="version", version=f"{COMMAND} {__version__}")
    text = "print the completion script of a shell; README says where it goes"
    parser.add_argument("--print-completion", action=PrintCompletion, choices=SHELLS, help=text)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (
        bench_files,
        training,
        judging,
        scoring,
        watching,
        supervising,
        telling,
        dcase_files,
        exporting,
        converting,
        checking,
    ):
        module.add(commands)
    return parser
