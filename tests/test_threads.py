"""Limits of threads hold inside their blocks, however these overlap; figures do not depend on the threads at hand."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from sounds import PROJECT, hum
from threadpoolctl import threadpool_info, threadpool_limits

from asd_core.detectors import detector_class
from asd_core.features import log_mel as features
from asd_core.features.encoders import load_encoder
from asd_core.system.threads import one_blas_thread, torch_threads
from asd_core.tasks import nu_gamma as sweep
from asd_core.types import Waveform


def blas_threads():
    """What NumPy's products take now, one number a library."""
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def two_threads():
    """Products take two threads where nothing limits them, whatever the tests were started with."""
    with threadpool_limits(limits=2, user_api="blas"):
        assert set(blas_threads()) == {2}
        yield


@pytest.fixture
def noted(monkeypatch, two_threads):
    """Return a function that wraps another one, so that each of its calls notes the threads that products take."""
    seen = []

    def wrap(owner, name):
        real = getattr(owner, name)

        def noting(*arguments, **named):
            seen.extend(blas_threads())
            return real(*arguments, **named)

        monkeypatch.setattr(owner, name, noting)
        return seen

    return wrap


def eight_clips():
    return [hum(seed, seconds=1.0) for seed in range(8)]


def test_products_take_one_thread_until_the_last_of_overlapping_blocks_ends():
    before, first, second = blas_threads(), one_blas_thread(), one_blas_thread()
    assert before
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(blas_threads()) == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == before


def test_a_failing_block_sets_the_limit_back():
    before = blas_threads()
    with pytest.raises(KeyError), one_blas_thread():
        raise KeyError
    assert blas_threads() == before


def test_threads_are_set_back_even_after_an_error():
    import torch

    before = torch.get_num_threads()
    inside = []

    def fail_inside():
        with torch_threads(before + 1):
            inside.append(torch.get_num_threads())
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert inside == [before + 1]
    assert torch.get_num_threads() == before


def test_a_library_that_is_loaded_later_is_limited_too():
    script = """
import numpy
from threadpoolctl import threadpool_info
from asd_core.system.threads import one_blas_thread

def blas():
    return [pool for pool in threadpool_info() if pool["user_api"] == "blas"]

with one_blas_thread():
    n_before = len(blas())
import scipy.linalg
with one_blas_thread():
    print(n_before < len(blas()), {pool["num_threads"] for pool in blas()})
"""
    environment = without_limits() | {"OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=PROJECT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True {1}\n", "")


@pytest.mark.parametrize("score", ["anomaly_map", "anomaly_score", "anomaly_scores", "anomaly_score_and_map"])
def test_every_way_to_score_takes_one_thread(score, noted):
    detector = detector_class("vggish_ocsvm").from_preset("quick").fit(eight_clips())
    seen = noted(type(detector), "_block_scores")
    clip = hum(9, seconds=1.0)
    getattr(detector, score)([clip] if score == "anomaly_scores" else clip)
    assert set(seen) == {1}


def test_training_takes_one_blas_thread(noted):
    kind = detector_class("vggish_mahalanobis")
    seen = noted(kind, "_fit_rows")
    kind.from_preset("quick").fit(eight_clips())
    assert set(seen) == {1}


def test_the_grid_of_svms_takes_one_blas_thread(noted):
    seen = noted(sweep, "squared_distances")
    rows = np.random.default_rng(0).normal(size=(30, 4))
    sweep.fit_grid(rows[:20], rows[20:], nus=(0.1,), gammas=("scale",), workers=1)
    among, apart = np.ones((20, 20)), np.ones((10, 20))
    noted(np, "exp")
    sweep._fit_column(among, apart, 0.1, (0.5,))
    assert len(seen) > 4
    assert set(seen) == {1}


def test_features_of_a_clip_are_computed_on_one_blas_thread(two_threads):
    def threads_now():
        return np.array(blas_threads(), dtype=np.float64)

    assert set(hum(0).derived("threads", threads_now)) == {1}


@pytest.mark.parametrize(("make", "inside"), [("log_mel", "_mel_power"), ("vggish_patches", "vggish_mel_matrix")])
def test_log_mel_and_patches_are_computed_on_one_blas_thread(make, inside, noted):
    seen = noted(features, inside)
    getattr(features, make)(hum(0).samples)
    assert seen
    assert set(seen) == {1}


def test_an_encoder_of_ones_own_runs_on_one_blas_thread(noted):
    encoder = load_encoder("logmel_stats")
    seen = noted(type(encoder), "_encode")
    encoder.encode(Waveform(hum(0).samples))
    assert set(seen) == {1}


def without_limits():
    """The environment, without what limits the threads of products."""
    return {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}


TRAIN_AND_SCORE = """
import hashlib
import os
import sys
from pathlib import Path

from sounds import hum

from asd_core.audio.reading import encode_wav
from asd_core.tasks.train import TrainingRequest, train
from asd_core.tasks.score import score_clips

root = Path(sys.argv[1])
(root / "pump" / "normal").mkdir(parents=True)
for seed in range(24):
    (root / "pump" / "normal" / f"{seed:02d}.wav").write_bytes(encode_wav(hum(seed).samples))
for name in ("vggish_mahalanobis", "vggish_knn"):
    model = train(TrainingRequest(name, root / "pump", out=root / "out")).model
    os.environ["ASD_CACHE_MB"] = "64"
    kept = score_clips([root / "pump"], [model])
    os.environ["ASD_CACHE_MB"] = "0"
    anew = score_clips([root / "pump"], [model])
    os.environ["ASD_CACHE_MB"] = "64"
    state = (model / (model / "current").read_text().split()[0] / "state.safetensors").read_bytes()
    print(kept == anew, hashlib.sha256(state).hexdigest(), [row.anomaly_score for row in kept])
"""


def test_training_and_scores_are_the_same_bits_with_and_without_cache_whatever_the_number_of_threads(tmp_path):
    printed = []
    for name, limits in (("free", {}), ("two", {"OPENBLAS_NUM_THREADS": "2"}), ("one", {"OPENBLAS_NUM_THREADS": "1"})):
        folders = {"ASD_DATA_DIR": str(tmp_path / name / "home"), "ASD_CACHE_MB": "64"}
        environment = without_limits() | limits | folders | {"PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'tests'}"}
        command = [sys.executable, "-c", TRAIN_AND_SCORE, str(tmp_path / name)]
        done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.splitlines())
    assert printed[0] == printed[1] == printed[2]
    assert [line.split()[0] for line in printed[0]] == ["True", "True"]
