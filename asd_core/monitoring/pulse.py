"""All who are shown that a watch lives: its heartbeat's file, a supervisor, a dead man's switch, Prometheus."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from asd_core.monitoring.metrics import Metrics
from asd_core.monitoring.status import ENDED, Heart, WatchStatus
from asd_core.monitoring.telling.ping import Ping
from asd_core.system.supervision import ALIVE, READY, STOPPING, notify_supervisor


@dataclass(frozen=True)
class PulseSettings:
    """Who is shown that a watch lives, besides the pages and the supervisor.

    Parameters
    ----------
    metrics_port
        Port on 127.0.0.1 for Prometheus; None: none.
    heartbeat_url
        Address that is asked for every minute; may be a secret; empty: none.
    """

    metrics_port: int | None = None
    heartbeat_url: str = ""


class Pulse:
    """Shows a watch's status to all of them while it is entered.

    Raises
    ------
    UsageError
        The address is none by http or https; when entered: the port is taken.
    """

    def __init__(self, path: Path, settings: PulseSettings) -> None:
        self._heart = Heart(path)
        self._ping = Ping(settings.heartbeat_url) if settings.heartbeat_url else None
        self._metrics_port = settings.metrics_port
        self._metrics: Metrics | None = None
        self._is_ready = False
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._metrics_port is not None:
            self._metrics = self._stack.enter_context(Metrics(self._metrics_port))
        if self._ping is not None:
            self._stack.enter_context(self._ping)
        self._stack.enter_context(self._heart)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all but the file, which can still be told that the watch has ended."""
        self._stack.close()

    def beat(self, status: WatchStatus) -> None:
        """Show what the watch is doing; called each time it goes round."""
        self._heart.beat(status)
        if self._ping is not None:
            self._ping.alive()
        if self._metrics is not None:
            self._metrics.update(status)
        notify_supervisor(STOPPING if status.state == ENDED else ALIVE if self._is_ready else f"{READY}\n{ALIVE}")
        self._is_ready = True
