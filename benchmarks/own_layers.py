"""What our LSTM and GRU layers gain over torch's own in training, on one thread of the processor.

Both sides make the same updates: the same weights, windows, loss and fused Adam; only the layers differ. A pair is a
few updates by each, in turn, so that a change of the machine's speed hits both; times are processor time, and the gain
is the median of the pairs' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from asd_core.detectors import detector_class
from asd_core.detectors.networks.training import WindowSet, initialise
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.system.threads import one_blas_thread, torch_threads
from benchmarks import reference

NETWORKS = ("lstm_predictor", "gru_autoencoder")
PRESETS = ("paper", "quick")
Errors = Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]


def updater(detector: NetworkDetector[Any], errors: Errors, windows: WindowSet, n_updates: int) -> Callable[[], float]:
    """Return a function that makes so many updates of a network of its own, and returns the seconds they took."""
    network = detector._build()
    initialise(network, seed=0)
    optimiser = torch.optim.Adam(network.parameters(), lr=detector.learning_rate, fused=True)
    rng = np.random.default_rng(0)

    def update() -> float:
        batches = [
            torch.from_numpy(rng.permutation(len(windows.starts))[: detector.batch_size]) for _ in range(n_updates)
        ]
        began = time.process_time()
        for rows in batches:
            optimiser.zero_grad(set_to_none=True)
            errors(network, windows.batch(rows)).mean().backward()
            optimiser.step()
        return time.process_time() - began

    return update


def gains(name: str, preset: str, *, n_pairs: int, n_updates: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds of an update by our layers and by torch's, pair by pair, and how many times as fast ours are."""
    detector = detector_class(name).from_preset(preset)
    frames = np.random.default_rng(1).random((3000, 128), dtype=np.float32)
    windows = WindowSet.of([frames], length=detector._window_frames)
    ours = updater(detector, detector._errors, windows, n_updates)
    theirs = updater(detector, lambda *both: reference.errors(detector, *both), windows, n_updates)
    with one_blas_thread(), torch_threads(1):
        ours(), theirs()
        pairs = [(ours(), theirs()) if turn % 2 else (theirs(), ours())[::-1] for turn in range(n_pairs)]
    own, torchs = zip(*pairs, strict=True)
    return [s / n_updates for s in own], [s / n_updates for s in torchs], [b / a for a, b in pairs]


def main() -> None:
    """Print a row per network and preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=31)
    parser.add_argument("--updates", type=int, default=4, help="of each side in a pair")
    asked = parser.parse_args()
    print("| network, preset | ours, ms per update | torch's | gain | quartiles |\n|---|---|---|---|---|")
    for name in NETWORKS:
        for preset in PRESETS:
            own, torchs, ratios = gains(name, preset, n_pairs=asked.pairs, n_updates=asked.updates)
            low, gain, high = statistics.quantiles(ratios, n=4)
            ours, theirs = (1e3 * statistics.median(each) for each in (own, torchs))
            print(f"| {name}, {preset} | {ours:.1f} | {theirs:.1f} | {gain:.2f} | {low:.2f} to {high:.2f} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
