"""Limits of threads hold inside their blocks, however these overlap, and no longer."""

from __future__ import annotations

import pytest
from sounds import hum
from threadpoolctl import threadpool_info

from asd_core.detectors import detector_class
from asd_core.threads import one_blas_thread, torch_threads


def blas_threads():
    """What NumPy's products take now, one number a library."""
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


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


@pytest.mark.parametrize("score", ["anomaly_map", "anomaly_score", "anomaly_scores"])
def test_every_way_to_score_takes_one_thread(score, monkeypatch):
    detector = detector_class("vggish_ocsvm").from_preset("quick").fit([hum(seed, seconds=1.0) for seed in range(8)])
    seen, real = [], type(detector)._block_scores

    def block_scores(self, blocks):
        seen.extend(blas_threads())
        return real(self, blocks)

    monkeypatch.setattr(type(detector), "_block_scores", block_scores)
    clip = hum(9, seconds=1.0)
    getattr(detector, score)([clip] if score == "anomaly_scores" else clip)
    assert set(seen) == {1}
