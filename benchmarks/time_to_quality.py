"""How quickly a network becomes good: `python -m benchmarks.time_to_quality [--presets paper,quick] [DETECTOR ...]`.

Trains on 300 simulated clips (75 of each of four ids, after the held-out ones), three seeds (of the bench and of the
training), one thread. After chosen epochs it notes the processor seconds spent in training, the held-out loss, and the
AUC on test clips; nothing is chosen by the AUC. Finished runs are kept below `build/time_to_quality` and not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asd_core.data.data_set import FileClips, open_data_set
from asd_core.data.simulated.bench import BenchSize, IdCounts, write_bench
from asd_core.detectors import detector_class
from asd_core.detectors.contract import Progress, State
from asd_core.detectors.networks.training import BandScale, load_network_state, network_state
from asd_core.detectors.on_recurrent_networks import RecurrentDetector
from asd_core.evaluation.metrics import auc

SIZE = BenchSize("time-to-quality", {name: IdCounts(94, 50, 50) for name in ("00", "02", "04", "06")})
N_FITTED = 75
DETECTORS = ("lstm_predictor", "gru_autoencoder")
FOLDER = Path("build") / "time_to_quality"


@dataclass
class Notes:
    """A checkpoint that keeps the weights of every epoch, and the processor time when each was done."""

    began: float = field(default_factory=time.process_time)
    cpu_s: list[float] = field(default_factory=list)
    weights: list[State] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)

    def read(self) -> None:
        """Never resume."""

    def write(self, state: State) -> None:
        """Keep one epoch's weights."""
        self.cpu_s.append(time.process_time() - self.began)
        own = {name: array for name, array in state.items() if name.startswith("weights.")}
        self.weights.append({name.removeprefix("weights."): array for name, array in own.items()})


def run(name: str, preset: str, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train once; the rows are points of AUC and held-out loss against seconds."""
    root = write_bench(Path("build") / f"time-to-quality-{seed}", size=SIZE, seed=seed)
    index = open_data_set(root, seed=seed).index
    normal = index.select(split="train", label="normal")
    by_id = [[clip for clip in normal if clip.machine_id == machine_id] for machine_id in index.machine_ids]
    fitted = FileClips(tuple(clip for clips in by_id for clip in clips[:N_FITTED]))
    heldout = FileClips(tuple(clip for clips in by_id for clip in clips[N_FITTED:]))
    detector = detector_class(name).from_preset(preset, seed=seed, **settings)
    assert isinstance(detector, RecurrentDetector)
    notes = Notes()
    detector.fit(fitted, heldout=heldout, on_progress=notes.progress.append, checkpoint=notes)
    test = index.select(split="test")
    shown = sorted({0, 1, 3, len(notes.weights) - 1} & set(range(len(notes.weights))))
    bands = _bands(detector, fitted)
    rows = [_row(detector, notes, epoch, test, bands) for epoch in shown]
    return {"detector": name, "preset": preset, "seed": seed, "settings": dict(settings), "rows": rows}


def _bands(detector: RecurrentDetector, fitted: FileClips) -> BandScale | None:
    """The scale that a conditioned training has still to fold into the weights of its checkpoints."""
    if detector.conditioning == "none":
        return None
    return BandScale.of(torch.from_numpy(np.concatenate([detector.scaled_frames(clip) for clip in fitted])))


def _weights(detector: RecurrentDetector, weights: State, bands: BandScale | None) -> State:
    network = detector._build()
    load_network_state(network, weights)
    if bands is not None:
        bands.fold(network, recurrent=detector.recurrent_input, output="output")
    return network_state(network)


def _row(
    detector: RecurrentDetector, notes: Notes, epoch: int, test: tuple[Any, ...], bands: BandScale | None
) -> dict[str, Any]:
    scale = detector.state["scale"]
    detector.restore({**_weights(detector, notes.weights[epoch], bands), "scale": scale})
    scores = detector.anomaly_scores(FileClips(test))
    labels = np.array([clip.label == "anomalous" for clip in test])
    ids = np.array([clip.machine_id for clip in test])
    per_id = {name: float(auc(labels[ids == name], scores[ids == name])) for name in sorted(set(ids))}
    return {
        "epoch": epoch + 1,
        "cpu_s": notes.cpu_s[epoch],
        "wall_s": notes.progress[epoch].elapsed_s,
        "heldout_loss": notes.progress[epoch].heldout_loss,
        "auc_mean": float(np.mean(list(per_id.values()))),
        "auc_per_id": per_id,
    }


def kept_run(name: str, preset: str, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A run, or the kept result of an earlier one."""
    mark = "".join(f"-{key}={value}" for key, value in sorted(settings.items()))
    path = FOLDER / f"{name}-{preset}{mark}-{seed}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run(name, preset, seed, settings), indent=1), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def table(runs: list[dict[str, Any]]) -> str:
    """One row per preset and epoch, means over seeds."""
    lines = ["| detector (simulated) | preset | epoch | processor s | held-out loss | AUC, mean over ids (seeds) |"]
    lines.append("|---|---|---|---|---|---|")
    for name, preset in dict.fromkeys((each["detector"], each["preset"]) for each in runs):
        chosen = [each["rows"] for each in runs if (each["detector"], each["preset"]) == (name, preset)]
        for rows in zip(*chosen, strict=True):
            cpu, loss, area = (np.mean([row[key] for row in rows]) for key in ("cpu_s", "heldout_loss", "auc_mean"))
            spread = ", ".join(f"{row['auc_mean']:.3f}" for row in rows)
            lines.append(f"| {name} | {preset} | {rows[0]['epoch']} | {cpu:.0f} | {loss:.6f} | {area:.3f} ({spread}) |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detectors", nargs="*", default=list(DETECTORS))
    parser.add_argument("--presets", default="paper,quick")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", action="append", default=[], metavar="k=v", help="try another value of the preset")
    arguments = parser.parse_args()
    runs = []
    for seed in (int(text) for text in arguments.seeds.split(",")):
        for name in arguments.detectors:
            pairs = [text.split("=", 1) for text in arguments.set]
            settings = {key: detector_class(name).parse_setting(key, value) for key, value in pairs}
            for preset in arguments.presets.split(","):
                runs.append(kept_run(name, preset, seed, settings))
                sys.stderr.write(f"{name} {preset} seed {seed}: {runs[-1]['rows'][-1]}\n")
    sys.stdout.write(table(runs) + "\n")


if __name__ == "__main__":
    main()
