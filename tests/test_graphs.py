"""Networks score as ONNX graphs: the same bits however and wherever, one thread, and nothing from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from sounds import hum

from asd_core.artifacts.store import open_artifact
from asd_core.detectors import DETECTOR_NAMES, detector_class
from asd_core.detectors.networks import graphs
from asd_core.detectors.networks.training import MinMaxScale, network_state
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.features import cache
from asd_core.features.log_mel import N_MELS
from asd_core.system.onnx_graphs import OPSET, Graph, session

PROJECT = Path(__file__).resolve().parents[1]
EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"
NETWORKS = [name for name in DETECTOR_NAMES if issubclass(detector_class(name), NetworkDetector)]
N_FRAMES = 320


def ready(name, seed=0, **settings):
    """A detector with first weights, no scale."""
    detector = detector_class(name).from_preset("paper", seed=seed, **settings)
    network = detector._build()
    detector._initialise(network)
    detector._fitted = MinMaxScale(0.0, 1.0), network_state(network.eval())
    return detector


def noise(n_frames=N_FRAMES, seed=0):
    return np.random.default_rng(seed).random((n_frames, N_MELS), dtype=np.float32)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_steps_errors_are_the_same_bits_however_many_windows_go_along(name):
    detector, frames = ready(name), noise(620)
    whole, length = detector._step_errors(frames), detector._window_frames
    for n_frames in [*range(length, length + 18), 63, 64, 65, 200, 313, 606]:
        np.testing.assert_array_equal(detector._step_errors(frames[:n_frames]), whole[: n_frames - length + 1])


@pytest.mark.parametrize("name", NETWORKS)
def test_eight_threads_at_once_get_the_bits_of_one(name):
    detector = ready(name, **({} if name == "dcase_autoencoder" else {"hidden": 48}))
    clips = [noise(60, seed) for seed in range(8)]
    alone = [detector._step_errors(frames) for frames in clips]
    with ThreadPoolExecutor(8) as threads:
        for found, expected in zip(threads.map(detector._step_errors, clips * 3), alone * 3, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_a_score_in_another_thread_is_the_bits_of_the_main_one(name):
    detector = open_artifact(EMBEDDED / name).detector()
    clips = [hum(seed, seconds=2.0, knocks=1) for seed in range(6)]
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(detector.anomaly_score, clips))
    assert together == [detector.anomaly_score(clip) for clip in clips]


def test_a_session_runs_on_the_calling_thread_alone():
    graph = Graph()
    graph.output(graph.add("Neg", graph.input("x", ["n"])), "y", ["n"])
    made = session(graph.to_bytes())
    assert made.get_session_options().intra_op_num_threads == 1
    assert made.get_session_options().inter_op_num_threads == 1
    assert made.run(["y"], {"x": np.float32([1, -2])})[0].tolist() == [-1, 2]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_is_whole_and_standard(name):
    model = onnx.load_from_string(ready(name)._error_graph())
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", OPSET)]
    assert {node.domain for node in model.graph.node} == {""}
    assert not any(each.external_data or each.data_location for each in model.graph.initializer)
    stored = [each.raw_data for each in model.graph.initializer if len(each.raw_data) > 4096]
    assert len(set(stored)) == len(stored), "an array is stored twice"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_detector_gives_the_same_bytes_and_another_one_does_not(name):
    assert ready(name)._error_graph() == ready(name)._error_graph()
    assert ready(name)._error_graph() != ready(name, seed=1)._error_graph()


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("ASD_CACHE_MB", raising=False)
    return cache.opened()


@pytest.fixture
def built(monkeypatch):
    """The names of the detectors whose graphs were built."""
    names, real = [], NetworkDetector._error_graph
    monkeypatch.setattr(NetworkDetector, "_error_graph", lambda self: names.append(self.name) or real(self))
    return names


def test_a_graph_is_built_once_for_the_same_weights_and_settings(store, built):
    first = ready("lstm_predictor", hidden=16)._step_errors(noise())
    np.testing.assert_array_equal(ready("lstm_predictor", hidden=16)._step_errors(noise()), first)
    assert len(built) == 1
    for other in ({"hidden": 16, "window": 9}, {"hidden": 16, "stride": 2}, {"hidden": 16, "seed": 1}):
        assert not np.array_equal(ready("lstm_predictor", **other)._step_errors(noise()), first)
    assert len(built) == 4


def test_a_graph_of_an_earlier_version_is_built_anew(store, built, monkeypatch):
    ready("lstm_predictor", hidden=16)._step_errors(noise())
    monkeypatch.setattr(graphs, "VERSION", graphs.VERSION + 1)
    ready("lstm_predictor", hidden=16)._step_errors(noise())
    assert len(built) == 2


@pytest.mark.parametrize("damage", [lambda content: content[:-40], lambda content: content[:99] + b"?" + content[100:]])
def test_a_damaged_graph_is_built_anew(store, built, damage):
    first = ready("gru_autoencoder", hidden=16)._step_errors(noise())
    (kept,) = (path for path in store.folder.rglob("*") if path.is_file())
    kept.write_bytes(damage(kept.read_bytes()))
    np.testing.assert_array_equal(ready("gru_autoencoder", hidden=16)._step_errors(noise()), first)
    assert len(built) == 2


def test_without_a_cache_a_graph_is_built_in_memory(store, built, monkeypatch):
    monkeypatch.setenv("ASD_CACHE_MB", "0")
    ready("lstm_predictor", hidden=16)._step_errors(noise())
    assert built == ["lstm_predictor"]
    assert not store.folder.exists()


SCORE = """
import sys
from pathlib import Path
import numpy as np
from asd_core.artifacts.store import open_artifact
from asd_core.types import Waveform
samples = np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32)
for name in sys.argv[2:]:
    print(repr(open_artifact(Path(sys.argv[1]) / name).detector().anomaly_score(Waveform(samples))))
print(*sorted({"numba", "torch", "librosa", "onnx", "sklearn"} & set(sys.modules)), file=sys.stderr)
"""


def fresh_scores(tmp_path, names):
    done = subprocess.run(
        [sys.executable, "-c", SCORE, str(EMBEDDED), *names],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "ASD_DATA_DIR": str(tmp_path), "ASD_CACHE_MB": ""},
        timeout=300,
        check=True,
    )
    return done.stdout, done.stderr.split()


def test_a_process_that_scores_imports_no_package_for_training_or_for_building_graphs(tmp_path):
    first, imported = fresh_scores(tmp_path, NETWORKS)
    assert imported == ["onnx"]
    second, imported = fresh_scores(tmp_path, DETECTOR_NAMES)
    assert imported == []
    assert set(first.splitlines()) <= set(second.splitlines())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_clip_that_is_a_view_or_not_contiguous_scores_the_same(name):
    detector = open_artifact(EMBEDDED / name).detector()
    frames = detector.scaled_frames(hum(3))
    np.testing.assert_array_equal(detector._step_errors(np.asfortranarray(frames)), detector._step_errors(frames))
