"""States in which a watch hears nothing, or not what it should: named, told, shown and cleared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asd_core.errors import AudioError
from asd_core.features.familiarity import Familiarity
from asd_core.monitoring.events import WatchEvent
from asd_core.monitoring.rows import WatchRow
from asd_core.monitoring.status import StateOn
from asd_core.types import Waveform

STATES = {
    "quiet": "no clip",
    "flat": "flat",
    "constant": "constant",
    "clipped": "clipped",
    "drift": "drifted",
    "refusals": "refusals",
    "disk": "disk nearly full",
    "clock": "clock wrong",
}
"""Names of the states, and how they are called in a word or two."""


@dataclass(frozen=True)
class HearingRules:
    """When a watch calls itself deaf.

    Parameters
    ----------
    quiet_after_s
        Seconds without a clip; None: learned from the clips' own rhythm.
    n_clips
        So many clips in a row that are flat, constant, clipped or refused.
    least_free_bytes
        Free bytes on the disk of the table, below which it is called nearly full.
    """

    quiet_after_s: float | None = None
    n_clips: int = 3
    least_free_bytes: int = 200 * 2**20


@dataclass(frozen=True)
class Moment:
    """A moment by both clocks: the wall's, in UTC, which may be set, and one that only goes on, in seconds."""

    wall: datetime
    monotonic: float

    @property
    def text(self) -> str:
        """ISO 8601 in UTC, with milliseconds."""
        return self.wall.astimezone(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class StateChange:
    """A state that began or ended, in a sentence; `key` is of the row that showed it, or empty."""

    name: str
    is_on: bool
    text: str
    key: str = ""


@dataclass
class Hearing:
    """What a watch knows of its own hearing."""

    rules: HearingRules = field(default_factory=HearingRules)
    familiarity: Familiarity | None = None
    _on: dict[str, StateOn] = field(default_factory=dict, init=False)

    @property
    def states(self) -> tuple[StateOn, ...]:
        """Those that last."""
        return tuple(self._on.values())

    def recall(self, events: Iterable[WatchEvent]) -> None:
        """Take over the states that lasted when the watch ended, from the log of events."""

    def heard(self, row: WatchRow, sound: Waveform | AudioError, now: Moment) -> list[StateChange]:
        """Take in a judged clip; returns what began or ended with it."""
        del row, sound, now
        return []

    def tick(self, now: Moment, *, n_waiting: int, free_bytes: int, is_paused: bool) -> list[StateChange]:
        """Take in that time has passed; returns what began or ended.

        Parameters
        ----------
        n_waiting
            Files that have come but are not judged yet.
        free_bytes
            Free bytes on the disk of the table.
        """
        del now, n_waiting, free_bytes, is_paused
        return []
