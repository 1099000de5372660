"""Compiled gate arithmetic equals the same written out in NumPy with float64."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asd_core.detectors.networks import kernels

RNG_SEED = 0
PROJECT = Path(__file__).resolve().parents[1]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def drawn(*shape, spread=2.0):
    return np.random.default_rng(RNG_SEED).normal(0, spread, shape).astype(np.float32)


def test_tanh_is_within_a_few_units_of_the_last_place():
    x = np.concatenate([np.linspace(-12, 12, 20_001), np.geomspace(1e-30, 1, 500), [np.inf, -np.inf, 1e30]])
    x = x.astype(np.float32)
    own = np.array([kernels.tanh(value) for value in x])
    expected = np.tanh(x.astype(np.float64))
    np.testing.assert_allclose(own, expected, rtol=0, atol=4e-7)
    small = np.abs(x) < 0.01
    np.testing.assert_allclose(own[small], expected[small], rtol=1e-6)


def test_what_is_not_a_number_stays_so():
    assert np.isnan(kernels.tanh(np.float32("nan")))


@pytest.mark.parametrize("n_added", [1, 7])
@pytest.mark.parametrize("size", [1, 5, 24])
def test_an_lstm_step_is_that_of_its_equations(n_added, size):
    gates, added, cells = drawn(7, 4 * size), drawn(n_added, 4 * size, spread=1.0), drawn(7, size, spread=1.0)
    wide = np.zeros((7, 3 * size), np.float32)  # the states of three layers side by side
    i, f, g, o = np.split((gates + added).astype(np.float64), 4, axis=1)
    expected = sigmoid(f) * cells + sigmoid(i) * np.tanh(g)
    halved = np.repeat(np.float32([0.5, 0.5, 1, 0.5]), size)
    kernels.lstm_step(gates * halved, added * halved, cells, wide[:, size : 2 * size])
    np.testing.assert_allclose(cells, expected, atol=2e-6)
    np.testing.assert_allclose(wide[:, size : 2 * size], sigmoid(o) * np.tanh(expected), atol=1e-6)
    assert not wide[:, :size].any()
    assert not wide[:, 2 * size :].any()


@pytest.mark.parametrize("size", [1, 5, 24])
def test_a_gru_step_is_that_of_its_equations(size):
    gates, added, bias = drawn(7, 3 * size), drawn(9, 3 * size, spread=1.0)[2:], drawn(size)
    states = np.tanh(drawn(7, size))
    (r, z), (r_in, z_in, new_in) = (np.split(x.astype(np.float64), 3, axis=1)[:k] for x, k in ((gates, 2), (added, 3)))
    r, z = sigmoid(r + r_in), sigmoid(z + z_in)
    new = np.tanh(new_in + r * (gates[:, 2 * size :] + bias))
    expected = (1 - z) * new + z * states
    halved = np.repeat(np.float32([0.5, 0.5, 1]), size)
    kernels.gru_step(gates * halved, added * halved, bias, states)
    np.testing.assert_allclose(states, expected, atol=1e-6)


def test_without_a_folder_for_the_cache_functions_are_compiled_all_the_same(monkeypatch):
    asked, real = [], kernels._compiled

    def compiled(function, **options):
        asked.append(options)
        if options:
            raise RuntimeError("cannot cache function: no locator available")
        return real(function)

    monkeypatch.setattr(kernels, "_compiled", compiled)
    doubled = np.ones(3, np.float32)
    kernels.Kernel(_double)(doubled)
    assert doubled.tolist() == [2, 2, 2]
    assert asked == [{"cache": True}, {}]


def _double(values):
    for k in range(len(values)):
        values[k] += values[k]


STEP = """
import resource, sys
import numpy as np
from asd_core.detectors.networks.kernels import gru_step
if sys.argv[1:] == ["full"]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
states = np.zeros((2, 4), np.float32)
gru_step(np.ones((2, 12), np.float32), np.ones((2, 12), np.float32), np.ones(4, np.float32), states)
print(states.tobytes().hex())
"""


def step(cache, *arguments):
    """What a process of its own computes, with Numba's cache in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", STEP, *arguments],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_damaged_or_full_cache_does_not_stop_scoring(tmp_path):
    kept, full = tmp_path / "kept", tmp_path / "full"
    result = step(kept)
    files = [path for path in kept.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".nbi", ".nbc"}
    for path in files:
        path.write_bytes(path.read_bytes()[:700])
    assert step(kept) == result
    assert step(full, "full") == result
