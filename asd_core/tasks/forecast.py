"""How long a training will take, said before it begins: from trainings of the same detector by the same preset."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asd_core.artifacts.store import find_artifacts, open_artifact
from asd_core.detectors import detector_class
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.errors import AsdError
from asd_core.formats import seconds_text

_ROUNDED_S = 10
"""Times of a minute and more are said in steps of this: none is known better beforehand."""


def earlier_seconds(out: Path, *, detector: str, preset: str) -> tuple[float, ...]:
    """Return what the trainings took whose detectors are kept here, those that come with the project included.

    Parameters
    ----------
    out
        Folder of all trained detectors.

    Returns
    -------
    tuple of float
        Seconds of each training, least first; damaged detectors are left out.
    """
    return tuple(sorted(_seconds((folder for folder in find_artifacts(out) if folder.name == detector), preset)))


def _seconds(folders: Iterable[Path], preset: str) -> Iterable[float]:
    for folder in folders:
        try:
            manifest = open_artifact(folder).manifest
        except AsdError:
            continue
        if manifest.preset == preset:
            yield manifest.training.seconds


def updates_of(detector: str, preset: str) -> int | None:
    """Return how often a preset updates a network's weights; None where that depends on the clips or means nothing."""
    chosen = detector_class(detector).from_preset(preset)
    if not isinstance(chosen, NetworkDetector) or not chosen.windows_per_epoch:
        return None
    return chosen.n_updates(chosen.windows_per_epoch)


def forecast_text(seconds: Iterable[float]) -> str:
    """Say how long the next training will take: `about 2 min 40 s`, `1 min 10 s to 3 min 30 s`; empty if unknown."""
    known = [_rounded(each) for each in seconds]
    if not known:
        return ""
    least, most = min(known), max(known)
    return f"about {seconds_text(most)}" if least == most else f"{seconds_text(least)} to {seconds_text(most)}"


def _rounded(seconds: float) -> int:
    return max(1, round(seconds)) if seconds < 60 else round(seconds / _ROUNDED_S) * _ROUNDED_S
