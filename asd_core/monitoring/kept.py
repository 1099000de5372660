"""Copies of clips beside the table: all of an alarm, and the others thinned by age and size."""

from __future__ import annotations

from pathlib import Path

from asd_core.monitoring.beside import Beside
from asd_core.monitoring.rows import WatchRow
from asd_core.types import Waveform

DEFAULT_KEPT_MB = 500


class Keeper:
    """Keeps copies of the clips that a watch judges.

    Parameters
    ----------
    max_bytes
        Most bytes that the copies may take; 0 keeps none.
    """

    def __init__(self, beside: Beside, max_bytes: int) -> None:
        self._beside, self._max_bytes = beside, max_bytes

    def keep(self, row: WatchRow, sound: Waveform) -> None:
        """Keep a copy of a clip; a full disk is no reason to stop watching: it is then not kept."""


def kept_path(beside: Beside, key: str) -> Path | None:
    """Where the copy of a row's clip lies; None where there is none."""
    del beside, key
    return None
