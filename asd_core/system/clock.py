"""The present moment as text, and back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal


def utc_now(timespec: Literal["seconds", "milliseconds"] = "seconds") -> str:
    """Write the present moment as ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec=timespec)


def wall_now() -> datetime:
    """The present moment in UTC, with its zone."""
    return datetime.now(UTC)


def age_s(moment: str) -> float:
    """Seconds since a moment in ISO 8601; raises ValueError where it is none, or names no time zone."""
    then = datetime.fromisoformat(moment)
    if then.tzinfo is None:
        raise ValueError(f"{moment} must name its time zone")
    return (datetime.now(UTC) - then).total_seconds()


def local_now() -> datetime:
    """The present moment in this machine's time, in whole seconds, without a zone."""
    return datetime.now(UTC).astimezone().replace(tzinfo=None, microsecond=0)


@dataclass(frozen=True)
class Moment:
    """A moment by both clocks: the wall's, in UTC, which may be set, and one that only goes on, in seconds."""

    wall: datetime
    monotonic: float

    @property
    def text(self) -> str:
        """ISO 8601 in UTC, with milliseconds."""
        return self.wall.astimezone(UTC).isoformat(timespec="milliseconds")


def moment() -> Moment:
    """The present moment by both clocks."""
    return Moment(wall_now(), time.monotonic())
