"""What Prometheus is told of a watch."""

from __future__ import annotations

import re
import socket
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asd_core.errors import UsageError
from asd_core.monitoring.hearing import STATES
from asd_core.monitoring.metrics import Metrics
from asd_core.monitoring.pulse import Pulse, PulseSettings
from asd_core.monitoring.status import NewestClip, SinkStatus, StateOn, WatchStatus


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def status_of(**changes) -> WatchStatus:
    own = {
        "at": ago(3), "pid": 1, "process_start": "x", "state": "listening", "started_at": ago(100), "folder": "/in",
        "model": "/m/v0001", "machine": 'pump "3"', "title": "kNN", "rule": "3 of 5", "settle_s": 2.5,
        "settle_from": "the least", "notices": "polling", "alarm": True, "n_judged": 70, "n_refused": 4, "n_early": 1,
        "n_waiting": 9, "n_raised": 2, "simulated": True,
        "newest": NewestClip("k", ago(600), "", 17.5, 16.25, "anomalous"),
        "states": (StateOn("quiet", ago(300), "no clip"),),
        "sinks": (SinkStatus("json://host", 5, 60, 1, ago(60), "refused"), SinkStatus("json://host")),
    }  # fmt: skip
    return WatchStatus(**{**own, **changes})


def scrape(port: int) -> dict[tuple[str, ...], float]:
    """Figures by name and by the labels that are not the watch's own."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            others = {name: value for name, value in sample.labels.items() if name not in ("machine", "model")}
            assert sample.labels.items() >= {"machine": 'pump "3"', "model": "/m/v0001"}.items()
            found[(sample.name, *others.values())] = sample.value
    return found


@pytest.fixture
def metrics():
    with Metrics(0) as metrics:
        yield metrics


def test_every_figure_of_the_status_is_served(metrics):
    metrics.update(status_of())
    found = scrape(metrics.port)
    ages = {name: found.pop((f"asd_watch_{name}_age_seconds",)) for name in ("newest_clip", "heartbeat")}
    assert ages == {"newest_clip": pytest.approx(600, abs=30), "heartbeat": pytest.approx(3, abs=30)}
    assert [found.pop(("asd_watch_state", name)) for name in STATES] == [1, *[0] * (len(STATES) - 1)]
    assert found == {
        ("asd_watch_anomaly_score",): 17.5,
        ("asd_watch_threshold",): 16.25,
        ("asd_watch_queue_clips",): 9,
        ("asd_watch_alarm",): 1,
        ("asd_watch_paused",): 0,
        ("asd_watch_settle_seconds",): 2.5,
        ("asd_watch_trained_on_simulated",): 1,
        ("asd_watch_judged_total",): 70,
        ("asd_watch_refused_total",): 4,
        ("asd_watch_judged_early_total",): 1,
        ("asd_watch_alarms_raised_total",): 2,
        ("asd_watch_sink_waiting_events", "1", "json://host"): 5,
        ("asd_watch_sink_waiting_events", "2", "json://host"): 0,
        ("asd_watch_sink_failing", "1", "json://host"): 1,
        ("asd_watch_sink_failing", "2", "json://host"): 0,
    }


def test_what_is_not_known_is_left_out_and_never_0(metrics):
    assert scrape(metrics.port) == {}
    metrics.update(status_of(newest=None, simulated=None, sinks=()))
    names = {name for name, *_ in scrape(metrics.port)}
    absent = ("newest_clip_age_seconds", "anomaly_score", "threshold", "trained_on_simulated", "sink_failing")
    assert not names & {f"asd_watch_{name}" for name in absent}
    metrics.update(status_of(newest=NewestClip("k", ago(1), "", None, None, "")))  # refused
    names = {name for name, *_ in scrape(metrics.port)}
    assert "asd_watch_newest_clip_age_seconds" in names
    assert "asd_watch_anomaly_score" not in names


def test_the_age_of_the_newest_clip_grows_between_two_scrapes_without_news(metrics):
    metrics.update(status_of())
    name = ("asd_watch_newest_clip_age_seconds",)
    assert scrape(metrics.port)[name] < scrape(metrics.port)[name]


def test_a_taken_port_is_refused_at_the_start_and_given_back_at_the_end(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        pulse = Pulse(tmp_path / "status.json", PulseSettings(metrics_port=port))
        with pytest.raises(UsageError, match=re.escape(f"127.0.0.1:{port}")), pulse:
            pass
    for _ in range(2):
        with Pulse(tmp_path / "status.json", PulseSettings(metrics_port=port)) as pulse:
            pulse.beat(status_of())
            assert scrape(port)[("asd_watch_judged_total",)] == 70


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_out_of_range_is_refused(port):
    with pytest.raises(UsageError, match="0 to 65535"):
        Metrics(port)


def test_nobody_else_on_the_network_is_served(metrics):
    assert metrics._server.server_address[0] == "127.0.0.1"
