"""Commands that check the machine and its models: doctor, verify-vggish."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from asd_core.cli.options import command
from asd_core.cli.outcome import DONE, UNEXPECTED, USAGE, Outcome


def add(commands: Any) -> None:
    """Add the commands of this module."""
    command(commands, "doctor", _doctor, "check what this machine has and what it lacks")
    parser = command(commands, "verify-vggish", _verify_vggish, "check numerically that a SavedModel is VGGish")
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="a SavedModel; default: TF-Hub's cache")


def _doctor(arguments: argparse.Namespace) -> Outcome:  # noqa: ARG001 - like all commands
    from asd_core.cli.doctor import checks

    found = checks()
    for check in found:
        mark = "ok  " if check.ok else ("FAIL" if check.required else "no  ")
        print(f"{mark} {check.name}: {check.detail}")
    report = {"schema": 1, "command": "doctor", "warnings": [], "checks": [vars(check) for check in found]}
    return Outcome(report, DONE if all(check.ok for check in found if check.required) else UNEXPECTED)


def _verify_vggish(arguments: argparse.Namespace) -> Outcome:
    from asd_core.features.encoders.vggish import Vggish

    encoder = Vggish(None if arguments.folder is None else str(arguments.folder))
    check = encoder.check
    verdict = "this is VGGish" if check.genuine else "this is not VGGish"
    print(f"{verdict}: 1 kHz sine gives shape {check.shape}, mean {check.mean:.6f}, std {check.std:.4f}")
    report = {
        "schema": 1,
        "command": "verify-vggish",
        "warnings": [],
        "genuine": check.genuine,
        "title": encoder.identity.title,
        "digest": encoder.identity.digest,
        "shape": list(check.shape),
        "mean": check.mean,
        "std": check.std,
    }
    return Outcome(report, DONE if check.genuine else USAGE)
