"""What a watch is doing as figures for Prometheus, on a port of this machine alone."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from asd_core.errors import UsageError
from asd_core.monitoring.hearing import STATES
from asd_core.monitoring.status import WatchStatus
from asd_core.system.clock import age_s
from asd_core.system.extras import require

if TYPE_CHECKING:
    from prometheus_client.core import Metric

HOST = "127.0.0.1"
_LABELS = ("machine", "model")


class Metrics:
    """Serves `/metrics` until closed; what it shows is what `update` was last given.

    Parameters
    ----------
    port
        On 127.0.0.1; 0 takes a free one, which `port` then names.

    Raises
    ------
    UsageError
        The port is taken, or needs rights that this user lacks.
    MissingExtraError
        prometheus-client is not installed.
    """

    def __init__(self, port: int) -> None:
        require("watch", "prometheus_client", task="serving figures for Prometheus (--metrics)")
        from prometheus_client import CollectorRegistry, start_http_server

        if not 0 <= port <= 65_535:
            raise UsageError(f"a port is 0 to 65535, got {port}")
        self._status: WatchStatus | None = None
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            self._server, self._thread = start_http_server(port, addr=HOST, registry=registry)
        except OSError as error:
            raise UsageError(
                f"metrics cannot be served on {HOST}:{port}: {error.strerror}; name a free port"
            ) from error
        self.port = int(self._server.server_port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def update(self, status: WatchStatus) -> None:
        """Show another status from now on."""
        self._status = status

    def describe(self) -> list[Metric]:
        """Nothing: what there is depends on the status (prometheus_client asks for it)."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the figures of this moment; none before the first status."""
        status = self._status
        if status is None:
            return
        labels = [status.machine, status.model]
        for name, text, value in _gauges(status):
            yield _metric("gauge", name, text, [(labels, value)])
        for name, text, count in _counters(status):
            yield _metric("counter", name, text, [(labels, count)])
        on = {state.name for state in status.states}
        rows = [([*labels, name], float(name in on)) for name in STATES]
        yield _metric("gauge", "asd_watch_state", "1 while the watch is deaf in this way.", rows, "state")
        yield from _sinks(status, labels)


def _metric(kind: str, name: str, text: str, rows: list[tuple[list[str], float]], *more: str) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    family: Any = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}[kind]
    metric: Metric = family(name, text, labels=(*_LABELS, *more))
    for labels, value in rows:
        metric.add_metric(labels, value)  # type: ignore[attr-defined] # each family has it
    return metric


def _gauges(status: WatchStatus) -> Iterator[tuple[str, str, float]]:
    """Name, help and value; what is not known is left out, never 0."""
    newest = status.newest
    if newest is not None:
        yield "asd_watch_newest_clip_age_seconds", "Seconds since a clip was last judged.", age_s(newest.time)
    if newest is not None and newest.anomaly_score is not None:
        yield (
            "asd_watch_anomaly_score",
            "Anomaly score of the clip judged last; higher is stranger.",
            newest.anomaly_score,
        )
    if newest is not None and newest.threshold is not None:
        yield "asd_watch_threshold", "Score from which a clip is anomalous.", newest.threshold
    yield "asd_watch_heartbeat_age_seconds", "Seconds since the watch last went round.", age_s(status.at)
    yield "asd_watch_queue_clips", "Files that have come but are not judged yet.", status.n_waiting
    yield "asd_watch_alarm", "1 while the alarm is on.", float(status.alarm)
    yield "asd_watch_paused", "1 while the watch is paused.", float(bool(status.paused_until))
    yield "asd_watch_settle_seconds", "Seconds that a file must have been unchanged.", status.settle_s
    if status.simulated is not None:
        yield (
            "asd_watch_trained_on_simulated",
            "1: the detector was trained on simulated sound.",
            float(status.simulated),
        )


def _counters(status: WatchStatus) -> Iterator[tuple[str, str, float]]:
    yield "asd_watch_judged", "Clips judged since the start, refused ones included.", status.n_judged
    yield "asd_watch_refused", "Clips refused since the start.", status.n_refused
    yield "asd_watch_judged_early", "Clips judged before they were whole, since the start.", status.n_early
    yield "asd_watch_alarms_raised", "Alarms raised since the start.", status.n_raised


def _sinks(status: WatchStatus, labels: list[str]) -> Iterator[Metric]:
    """Sinks are numbered, since two may have the same title."""
    sinks = [([*labels, str(number), sink.title], sink) for number, sink in enumerate(status.sinks, start=1)]
    for name, text, rows in (
        ("waiting_events", "Events not sent yet.", [(own, float(sink.n_waiting)) for own, sink in sinks]),
        ("failing", "1 while it cannot be reached.", [(own, float(bool(sink.failing_since))) for own, sink in sinks]),
    ):
        yield _metric("gauge", f"asd_watch_sink_{name}", text, rows, "number", "sink")
