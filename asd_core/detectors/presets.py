"""What tells two settings of a detector apart, in words: read from the settings, so that it cannot become untrue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from asd_core.detectors.contract import Detector

NOT_COMPARED = ("seed", "threads", "device")

Differences = Mapping[str, tuple[Any, Any]]
"""Name of a setting to its two values."""


def differences(detector: Detector, other: Detector) -> Differences:
    """Return the settings in which two detectors of one kind differ, in their order, without `NOT_COMPARED`."""
    names = [each.name for each in fields(detector) if each.init and each.name not in NOT_COMPARED]
    pairs = {name: (getattr(detector, name), getattr(other, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def unlike_paper(detector: Detector) -> Differences:
    """Return where a detector's settings differ from those of its preset `paper`, its own values first."""
    return differences(detector, type(detector).from_preset("paper"))


def unlike_paper_text(kind: type[Detector], *, preset: str = "quick") -> str:
    """Say where a preset differs from `paper`: `epochs 8 instead of 10, schedule cosine instead of constant`."""
    return differences_text(unlike_paper(kind.from_preset(preset)))


def differences_text(found: Differences) -> str:
    """Write differences as `epochs 8 instead of 10, ...`; empty where there is none."""
    return ", ".join(
        f"{name.replace('_', ' ')} {_value_text(name, ours)} instead of {_value_text(name, theirs)}"
        for name, (ours, theirs) in found.items()
    )


def _value_text(name: str, value: Any) -> str:
    if name == "windows_per_epoch" and value == 0:
        return "all"
    return f"{value:,}" if isinstance(value, int) else str(value)
