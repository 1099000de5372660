"""Telling somebody: events go from the log to every sink, at least once and in order, over kills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from asd_core.monitoring.beside import Beside
from asd_core.monitoring.status import SinkStatus


@dataclass(frozen=True)
class TellSettings:
    """Who is told, and how.

    Parameters
    ----------
    urls
        One per sink, in Apprise's form; they hold secrets and are never shown or logged.
    page
        Address of the dashboard, for links to clips; empty: no links.
    attaches_clip
        Whether the clip goes with the message where the sink takes files.
    quiet_hours
        Local times `22:00-06:00` in which nothing is sent; empty: always.
    """

    urls: tuple[str, ...] = ()
    page: str = ""
    attaches_clip: bool = False
    quiet_hours: str = ""


class Outbox:
    """A thread that sends what is in the log and not sent yet."""

    def __init__(self, beside: Beside, settings: TellSettings) -> None:
        self._beside, self._settings = beside, settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what is left for a few seconds at most; the rest is sent after the next start."""

    def wake(self) -> None:
        """An event was written."""

    @property
    def sinks(self) -> Sequence[SinkStatus]:
        """How far each sink is."""
        return ()
