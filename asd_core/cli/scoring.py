"""The command that scores recordings without labels: score."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asd_core.cli.options import add_vggish, channel, command
from asd_core.cli.outcome import (
    DONE,
    SOME_REFUSED,
    Interrupted,
    Outcome,
    Refusals,
    show_clips,
    show_progress,
    show_skipped,
    show_warnings,
    write_text,
)
from asd_core.errors import UsageError
from asd_core.formats import EXCEL_COMMA, EXCEL_SEMICOLON, PLAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asd_core.data.folders import Skipped
    from asd_core.formats import CsvStyle
    from asd_core.tasks.score import ScoreRow

OF_LOCALE = "locale"
EXCEL_STYLES = {"comma": EXCEL_COMMA, "semicolon": EXCEL_SEMICOLON}


def add(commands: Any) -> None:
    """Add the command."""
    _add_score(command(commands, "score", _score, "score recordings with one or more detectors"))


def _add_score(parser: argparse.ArgumentParser) -> None:
    paths = "files, folders of recordings, or clip lists: .csv or .parquet with a column path (paths or URLs)"
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help=paths)
    parser.add_argument("--model", type=Path, action="append", required=True, metavar="MODEL")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the rows here instead of standard output")
    text = "for CSV that Excel opens as it is; separator and decimal sign of this system's locale, or as named"
    parser.add_argument(
        "--excel", nargs="?", const=OF_LOCALE, default=PLAIN, type=_excel, metavar="comma|semicolon", help=text
    )
    text = "the channel to hear, from 0, or mean of all; default the one that each detector was trained on"
    parser.add_argument("--channel", type=channel, metavar="mean|N", help=text)
    text = "cut recordings of up to 24 h into clips of S seconds"
    parser.add_argument("--segment", type=float, metavar="S", help=text)
    text = "a segment every S seconds; default the segment's length"
    parser.add_argument("--hop", type=float, metavar="S", help=text)
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="score in parts, to Parquet files; a killed run can be continued"
    )
    parser.add_argument("--cluster", metavar="tcp://HOST:PORT", help="Dask scheduler whose workers score; needs --to")
    parser.add_argument("--workers", type=int, metavar="N", help="processes for --to without --cluster; default: cores")
    parser.add_argument("--part-size", type=int, metavar="N", help="clips in a part of --to; default 50")
    add_vggish(parser)


def _excel(text: str) -> CsvStyle:
    """How rows are written for Excel."""
    separator = _separator_of_locale() if text == OF_LOCALE else text
    if separator not in EXCEL_STYLES:
        names = " or ".join(EXCEL_STYLES)
        raise argparse.ArgumentTypeError(f"takes {names}, got {text!r}; write --excel without either at the end")
    return EXCEL_STYLES[separator]


def _separator_of_locale() -> str:
    """What separates cells in an Excel of this system's language: semicolons where one half is written 0,5."""
    import locale

    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, "")
        decimal = locale.localeconv()["decimal_point"]
    except locale.Error:  # named in the environment
        print("this system's language is not installed: separated by commas, or add --excel semicolon", file=sys.stderr)
        decimal = "."
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)
    return "semicolon" if decimal == "," else "comma"


def _score(arguments: argparse.Namespace) -> Outcome:
    arguments.model = list(dict.fromkeys(arguments.model))
    if arguments.segment is not None or arguments.hop is not None:
        return _score_segments(arguments)
    if arguments.to is not None:
        return _score_to(arguments)
    if not (arguments.cluster is arguments.workers is arguments.part_size is None):
        raise UsageError("--cluster, --workers and --part-size need --to DIR: the workers write the scores")
    return _score_clips(arguments)


def _score_clips(arguments: argparse.Namespace) -> Outcome:
    from asd_core.tasks.score import format_score_csv, score_clips

    skipped: list[Skipped] = []
    rows = score_clips(
        arguments.paths,
        arguments.model,
        channel=arguments.channel,
        on_progress=show_clips("scored"),
        on_skipped=skipped.append,
    )
    write_text(arguments.csv, format_score_csv(rows, style=arguments.excel))
    return _rows_outcome(rows, skipped, arguments)


def _rows_outcome(
    rows: Sequence[ScoreRow], skipped: Sequence[Skipped], arguments: argparse.Namespace, **settings: float
) -> Outcome:
    from asd_core.tasks.score import channel_warnings

    warnings = channel_warnings(arguments.model, arguments.channel)
    show_warnings(warnings)
    show_skipped(*skipped)
    refused = Refusals()
    for row in rows:
        if row.status == "refused":
            refused.add(row.path, _with_models(row.reason, arguments.model))
    head = {"schema": 1, "command": "score", "warnings": warnings, **settings}
    kinds = {"skipped": skipped[0].to_json()}
    return Outcome({**head, **kinds, "rows": [vars(row) for row in rows]}, refused.show())


def _with_models(reason: str, models: Sequence[Path]) -> str:
    """Put the models that were named into the command of a refusal, so that it works as it is."""
    return reason.replace("--model MODEL", " ".join(f"--model {shlex.quote(str(model))}" for model in models))


def _score_segments(arguments: argparse.Namespace) -> Outcome:
    from asd_core.tasks.score import SegmentRow, format_score_csv, score_segments

    if not (arguments.to is arguments.cluster is arguments.workers is arguments.part_size is None):
        raise UsageError("--segment scores on this machine alone: leave out --to and what belongs to it")
    if arguments.segment is None:
        raise UsageError("--hop goes with --segment: say how long a segment is")
    hop_s = arguments.segment if arguments.hop is None else arguments.hop
    skipped: list[Skipped] = []
    rows = score_segments(
        arguments.paths,
        arguments.model,
        segment_s=arguments.segment,
        hop_s=hop_s,
        channel=arguments.channel,
        on_progress=lambda path, start_s: show_progress(f"{path!a}: scored up to {start_s:.0f} s", last=False),
        on_skipped=skipped.append,
    )
    show_progress("", last=True)
    write_text(arguments.csv, format_score_csv(rows, row_type=SegmentRow, style=arguments.excel))
    return _rows_outcome(rows, skipped, arguments, segment_s=arguments.segment, hop_s=hop_s)


def _score_to(arguments: argparse.Namespace) -> Outcome:
    from asd_core.tasks.score_many import PART_SIZE, score_to
    from asd_core.tasks.score_parts import write_csv

    _check_score_to(arguments)
    skipped: list[Skipped] = []
    refused = Refusals()
    try:
        report = score_to(
            arguments.paths,
            arguments.model,
            arguments.to,
            cluster=arguments.cluster,
            workers=arguments.workers,
            part_size=PART_SIZE if arguments.part_size is None else arguments.part_size,
            channel=arguments.channel,
            on_progress=show_clips("scored"),
            on_skipped=skipped.append,
            on_refused=lambda row: refused.add(row.path, _with_models(row.reason, arguments.model)),
        )
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command goes on from the finished parts") from None
    if arguments.csv is not None:
        simulated = {model["model"]: model["simulated"] for model in report["models"]}
        write_csv(arguments.to, report["parts"], arguments.csv, simulated=simulated, style=arguments.excel)
    show_warnings(report["warnings"])
    show_skipped(*skipped)
    refused.show()
    print(arguments.to)
    return Outcome(report, SOME_REFUSED if report["n_refused"] else DONE)


def _check_score_to(arguments: argparse.Namespace) -> None:
    if arguments.cluster is not None and arguments.vggish is not None:
        raise UsageError("--vggish is for this machine alone: set ASD_VGGISH_DIR where the workers start")
    if arguments.excel != PLAIN and arguments.csv is None:
        raise UsageError("--excel is about a CSV file, and --to writes Parquet files: name one with --csv FILE")
