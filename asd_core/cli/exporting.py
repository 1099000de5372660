"""The command that takes a detector to where this package is not: export."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asd_core.cli.options import MODEL, command
from asd_core.cli.outcome import USAGE, Outcome, figure, show_warnings, simulated_mark
from asd_core.errors import UsageError

if TYPE_CHECKING:
    from asd_core.tasks.verify_export import ClipCheck, Verification

_HERE = Path()
"""What `--verify` means without a folder: the one that was just written."""

_GRAPH = {
    True: "the nodes and numbers that this package builds from the version",
    False: "NOT what this package builds from the version",
    None: "built by other versions of this package or of onnx, and not compared",
}


def add(commands: Any) -> None:
    """Add the command of this module."""
    text = "write a detector as a folder that scores with ONNX Runtime and NumPy alone, or verify such a folder"
    parser = command(commands, "export", _export, text)
    parser.add_argument("detector", type=Path, nargs="?", metavar="MODEL", help=MODEL)
    parser.add_argument("--to", type=Path, metavar="DIR", help="a new or empty folder, or an earlier export")
    text = "run the folder (with --to: the one written) in an environment of its own and compare its scores with ours"
    parser.add_argument("--verify", type=Path, nargs="?", const=_HERE, metavar="DIR", help=text)
    text = "what to compare DIR with, where the detector is no longer where it was"
    parser.add_argument("--model", type=Path, metavar="MODEL", help=text)
    parser.add_argument("--seed", type=int, metavar="N", help="of the clips that are drawn for --verify; default new")
    text = "take the packages for --verify from those installed here, not from the package index"
    parser.add_argument("--offline", action="store_true", help=text)


def _export(arguments: argparse.Namespace) -> Outcome:
    model, folder = arguments.detector or arguments.model, arguments.verify
    if arguments.to is None:
        if folder in (None, _HERE):
            raise UsageError("export needs a place: MODEL --to DIR writes a folder, --verify DIR verifies one")
        return _verified(folder, model, arguments)
    if model is None and folder not in (None, _HERE):  # export --verify MODEL --to DIR
        model, folder = folder, _HERE
    if model is None or folder not in (None, _HERE):
        raise UsageError("export takes MODEL --to DIR [--verify], or --verify DIR [--model MODEL]")
    report = _written(model, arguments.to)
    if folder is None:
        return Outcome(report)
    outcome = _verified(arguments.to, model, arguments)
    return Outcome({**report, "verification": outcome.report}, outcome.code)


def _written(model: Path, out: Path) -> dict[str, Any]:
    from asd_core.tasks.export_onnx import export_onnx

    report = export_onnx(model, out).to_json()
    mark = simulated_mark(detector=report["simulated"])
    size = sum(report["files"].values()) / 1e6
    print(f"{report['title']}, {report['version']}{mark}: {len(report['files'])} files, {size:.1f} MB", file=sys.stderr)
    print(out)
    return report


def _verified(folder: Path, model: Path | None, arguments: argparse.Namespace) -> Outcome:
    from asd_core.tasks.verify_export import verify_export

    found = verify_export(folder, model=model, seed=arguments.seed, made="linked" if arguments.offline else "index")
    print(f"{found.title}, {found.version}{simulated_mark(detector=found.simulated)}")
    for line in _lines(found):
        print(line)
    show_warnings(found.warnings)
    for fault in found.faults:
        print(f"wrong: {fault}", file=sys.stderr)
    print(f"verified: {folder}" if found.verified else f"NOT verified: {folder}")
    return Outcome(found.to_json(), 0 if found.verified else USAGE)


def _lines(found: Verification) -> list[str]:
    """What was done, and a row for each clip."""
    if (environment := found.environment) is None:
        return []
    packages = ", ".join(f"{name} {number}" for name, number in environment.packages.items()) or "unknown packages"
    made = "installed from the package index" if environment.made == "index" else "linked from those installed here"
    return [
        f"environment of its own: Python {environment.python}; {packages}, {made}",
        *([environment.why] if environment.why else []),
        f"the graph: {_GRAPH[found.same_graph]}",
        f"clips drawn with --seed {found.seed}; differences: score and map relative, log-mel in dB; "
        "ms of processor time",
        f"{'clip':<16} {'s':>6} {'score here':>13} {'in the folder':>13} "
        f"{'score':>8} {'map':>8} {'log-mel':>8} {'ms':>6}",
        *[_line(clip) for clip in found.clips],
        *_faint(found.clips),
    ]


def _line(clip: ClipCheck) -> str:
    differences = " ".join(
        f"{figure(each, '.1e'):>8}" for each in (clip.score_difference, clip.map_difference, clip.log_mel_db)
    )
    scores = f"{clip.anomaly_score:>13.7g} {figure(clip.exported_score, '.7g'):>13}"
    return f"{clip.name:<16} {clip.duration_s:>6.2f} {scores} {differences} {clip.run_ms:>6.1f}"


def _faint(clips: tuple[ClipCheck, ...]) -> list[str]:
    """Say how far log-mel differs where single precision is no longer sure, over all clips."""
    worst: dict[str, float] = {}
    for clip in clips:
        for depth, decibels in clip.faint_db.items():
            worst[depth] = max(worst.get(depth, 0.0), decibels)
    told = ", ".join(f"{depth} dB: {decibels:.1e}" for depth, decibels in worst.items())
    return [f"largest log-mel difference in bands so far below the loudest of their frame: {told} dB"] if told else []
