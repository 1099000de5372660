"""Options that several commands take, and how their texts are read."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from asd_core.cli.outcome import Outcome
from asd_core.data.folder_rules import FolderRules
from asd_core.errors import UsageError
from asd_core.system.devices import DEVICES

MODEL = "a detector folder, or one version in it"


def command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], Outcome], text: str
) -> argparse.ArgumentParser:
    """Add a command; each takes `--json FILE`."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result as JSON")
    parser.set_defaults(run=run)
    return parser


def add_data(parser: argparse.ArgumentParser, *, positional: bool = False, ids: bool = True) -> None:
    """Add the data set: its folder, machine, normal label and, where they can be chosen, ids."""
    text = "a folder of machines, or of one machine"
    if positional:
        parser.add_argument("data", type=Path, metavar="DIR", help=text)
    else:
        parser.add_argument("--data", type=Path, required=True, metavar="DIR", help=text)
    parser.add_argument("--machine", metavar="M", help="which machine, if the folder holds several")
    text = (
        "own recordings: a name of the normal label, instead of normal, good, ok, ...; may be repeated; . for all else"
    )
    parser.add_argument("--normal", action="append", default=[], metavar="NAME", help=text)
    text = "a table of labels, with columns path and label; default labels.csv in the folder"
    parser.add_argument("--labels", type=Path, metavar="FILE", help=text)
    text = "take sub-folders as machine ids; default: only those called id_*, others are recordings"
    parser.add_argument("--ids-from", choices=("folder",), help=text)
    text = (
        "how paths name the recording a clip was cut from: folder, none (each clip is one), or a regular expression; "
        "default: found in the sound"
    )
    parser.add_argument("--recording-by", metavar="REGEX|folder|none", help=text)
    text = "each file is a long recording: cut it into clips of S seconds"
    parser.add_argument("--segment", type=float, metavar="S", help=text)
    parser.add_argument("--hop", type=float, metavar="S", help="a clip every S seconds; default the segment's length")
    parser.add_argument("--lossy", action="store_true", help="train on MP3 and the like beside lossless recordings too")
    if ids:
        parser.add_argument("--ids", type=words, metavar="00,02", help="only these machine ids; default all")


def data_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_data` read, except the folder.

    Raises
    ------
    UsageError
        A hop without segments.
    """
    if arguments.hop is not None and arguments.segment is None:
        raise UsageError("--hop needs --segment: the length of the clips in seconds")
    rules = FolderRules(
        normal=tuple(arguments.normal),
        labels=arguments.labels,
        ids_from=arguments.ids_from,
        recording_by=arguments.recording_by,
        segment_s=arguments.segment,
        hop_s=arguments.hop,
        lossy=arguments.lossy,
    )
    options = {name: getattr(arguments, name) for name in ("machine", "ids") if name in arguments}
    return {**options, "rules": rules}


def add_rule(parser: argparse.ArgumentParser) -> None:
    """Add a threshold rule, its value and the seed of intervals."""
    parser.add_argument("--rule", help="threshold rule; default the detector's saved threshold")
    text = "of the rule: alpha, k, a rate, a threshold"
    parser.add_argument("--rule-value", type=float, metavar="X", help=text)
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")


def rule_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_rule` read."""
    return {name: getattr(arguments, name) for name in ("rule", "rule_value", "seed")}


def add_preset(parser: argparse.ArgumentParser) -> None:
    """Add how much is trained, and from which seed."""
    parser.add_argument("--preset", default="quick", help="paper (the report's values) or quick")
    parser.add_argument("--seed", type=int, default=0, help="of the training and of the held-out clips")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add where networks train."""
    text = "where a network trains; default auto: cuda where PyTorch has it, else cpu"
    parser.add_argument("--device", default="auto", metavar="|".join(DEVICES), help=text)


def add_folds(parser: argparse.ArgumentParser) -> None:
    """Add how many folds of recordings calibrate the threshold."""
    text = (
        "folds of recordings left out in turn to calibrate the threshold; default 5 for detectors that fit in seconds, "
        "else 1: one of five is held out for good"
    )
    parser.add_argument("--folds", type=int, metavar="K", help=text)


def add_vggish(parser: argparse.ArgumentParser) -> None:
    """Add the place of a local VGGish."""
    parser.add_argument("--vggish", type=Path, metavar="DIR", help="a local SavedModel of VGGish")


def use_vggish(arguments: argparse.Namespace) -> None:
    """Let encoders find the VGGish that the user named."""
    if (folder := getattr(arguments, "vggish", None)) is not None:
        os.environ["ASD_VGGISH_DIR"] = str(folder)


def words(text: str) -> tuple[str, ...]:
    """Split a list at its commas."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"needs at least one entry, got {text!r}")
    return found


def channel(text: str) -> int | Literal["mean"]:
    """Read `mean` or a channel's number."""
    if text == "mean":
        return "mean"
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"must be mean or a number from 0, got {text!r}")
    return int(text)


def key_value(text: str) -> tuple[str, str]:
    """Split `name=value`."""
    key, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"--set takes name=value, got {text!r}")
    return key.strip(), value.strip()


def check_place(path: Path | None) -> None:
    """Refuse a file that could not be written, before hours go into computing its content.

    Raises
    ------
    UsageError
        A folder, or a place below a file.
    """
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file")
    for parent in path.parents:
        if os.path.lexists(parent):
            if not parent.is_dir():
                raise UsageError(f"{path} cannot be written: {parent} is not a folder")
            return


def add_sinks(parser: argparse.ArgumentParser) -> None:
    """Add who is told."""
    text = "tell somebody: a webhook, MQTT, mail or chat service by its Apprise URL; may be repeated"
    parser.add_argument("--notify", action="append", default=[], metavar="URL", help=text)
    text = "a file with one such URL per line; processes show their arguments to everybody, so this is for secrets"
    parser.add_argument("--notify-file", type=Path, metavar="FILE", help=text)
