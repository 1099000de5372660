"""The measurements: `make bench` prints ratios and writes benchmarks/results.json and docs/performance.md.

Everything is measured side by side in one run on one thread, the two sides in turn, so that a change of the machine's
speed hits both; figures are medians. A row that misses its requirement is kept as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from asd_core.artifacts.store import open_artifact
from asd_core.audio.reading import read_waveform
from asd_core.data.simulated.bench import write_bench
from asd_core.detectors import detector_class
from asd_core.detectors.contract import Progress
from asd_core.detectors.networks.training import MinMaxScale, TrainingPlan, WindowSet, network_state, train_network
from asd_core.detectors.on_networks import NetworkDetector
from asd_core.evaluation.uncertainty import bootstrap
from asd_core.features.log_mel import log_mel
from asd_core.system.threads import one_blas_thread
from asd_core.types import Float32Array, Waveform
from benchmarks import caching, cockpit, many_runs, pages, reference, scale, sweep
from benchmarks.embedded import NAME, PROJECT
from benchmarks.rows import COMMAND, Row, launched, median_row

REPEATS = 9
SIZE = 2048
READ_IT_SO = """The sgemm peak is torch's own float32 product of 2048 x 2048 on one thread (MKL), measured beside each
timing; the fastest product is the best of that, NumPy's (OpenBLAS) and oneDNN's, which torch's LSTM uses too. A share
counts only the arithmetic that must be done for a 10-s clip (4.55 GFLOP the LSTM, 7.07 the GRU). Shares, loop and batch
ratios are timed from scaled frames on both sides. Two threads: the ratio is above 1 where the second thread slows the
training down. Fresh scores are whole processes."""
CLIP_FLOP = {"lstm_predictor": 4.55e9, "gru_autoencoder": 7.07e9}
"""Multiply-adds counted as two, of a 10-s clip (313 frames) at the paper preset, no gate arithmetic, only what must be:

LSTM 2 x (312 x 128 x 1024 + 303 x (9 + 10 + 9) x 256 x 1024 + 303 x 256 x 128): no product with a state of zeros;
GRU 2 x (313 x 128 x 768 + 304 x (9 + 10 + 9 + 1 + 9 + 10 + 9) x 256 x 768 + 304 x 10 x 256 x 128): latent in once.
"""


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(
    ours: Callable[[], object], theirs: Callable[[], object], repeats: int = REPEATS
) -> list[tuple[float, float]]:
    """Time both in turn after one warm-up each."""
    ours(), theirs()
    return [(seconds(ours), seconds(theirs)) for _ in range(repeats)]


def ratio_row(name: str, pairs: list[tuple[float, float]], *, asked: float | None, better: str) -> Row:
    """Make a row of ours / theirs (lower) or theirs / ours (higher), pair by pair."""
    ratios = sorted(a / b if better == "lower" else b / a for a, b in pairs)
    return Row(name, statistics.median(ratios), asked, better, "ratio", [ratios[0], ratios[-1]])


def clips_of(data: Path, n_clips: int) -> list[Path]:
    """Some training clips of the small bench."""
    return sorted((data / "slider" / "train").glob("*.wav"))[:n_clips]


def features_row(data: Path) -> Row:
    """File to log-mel, digest and checks included, against librosa."""
    paths = clips_of(data, 20)
    pairs = in_turn(
        lambda: [log_mel(read_waveform(path).samples) for path in paths],
        lambda: [reference.log_mel(path) for path in paths],
    )
    return ratio_row("features: file to log-mel against librosa", pairs, asked=0.55, better="lower")


def fitted_at_paper_size(name: str, clips: list[Float32Array]) -> NetworkDetector:
    """A detector of the paper preset with first weights: speed does not depend on what was learned."""
    detector = detector_class(name).from_preset("paper")
    assert isinstance(detector, NetworkDetector)
    network = detector._build()
    detector._initialise(network)
    detector._fitted = MinMaxScale.fit(clips), network_state(network)
    return detector


def products() -> list[Callable[[], object]]:
    """The same 2048 x 2048 float32 product by torch (MKL), NumPy (OpenBLAS) and, where torch has it, packed oneDNN."""
    a, b = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE)
    found: list[Callable[[], object]] = [lambda: a @ b, lambda: a.numpy() @ b.numpy()]
    one_dnn = torch.ops.mkldnn
    if hasattr(one_dnn, "_linear_pointwise"):
        with torch.inference_mode():
            packed = one_dnn._reorder_linear_weight(b)
        found.append(lambda: one_dnn._linear_pointwise(a, packed, None, "none", [], ""))
    return found


def peak_flops(candidates: list[Callable[[], object]]) -> tuple[float, float]:
    """Operations per second on one thread (a multiply-add is two): of torch's product and of the fastest."""
    fastest = [min(seconds(product) for _ in range(2)) for product in candidates]
    return 2 * SIZE**3 / fastest[0], 2 * SIZE**3 / min(fastest)


def scoring_rows(data: Path) -> list[Row]:
    """A clip through LSTM and GRU against the machine's peak, the loop and the plain batch."""
    waveform = read_waveform(clips_of(data, 1)[0])
    with torch.inference_mode(), one_blas_thread():
        return [
            row
            for name, share in (("lstm_predictor", 0.90), ("gru_autoencoder", 0.85))
            for row in network_rows(fitted_at_paper_size(name, [log_mel(waveform.samples)]), waveform, share)
        ]


def share_row(name: str, shares: list[float], asked: float | None) -> Row:
    """Make a row of rising shares."""
    return Row(name, statistics.median(shares), asked, "higher", "share", [shares[0], shares[-1]])


def network_rows(detector: NetworkDetector, waveform: Waveform, share: float) -> list[Row]:
    """Rows of one network, all from scaled frames to the score."""
    frames, name, candidates = detector.scaled_frames(waveform), detector.name, products()
    network = reference.network_of(detector)

    def ours() -> float:
        return float(detector._step_errors(frames).mean())

    ours(), peak_flops(candidates)
    shares = [tuple(CLIP_FLOP[name] / seconds(ours) / peak for peak in peak_flops(candidates)) for _ in range(REPEATS)]
    of_sgemm, of_fastest = (sorted(each) for each in zip(*shares, strict=True))
    loop = in_turn(ours, lambda: reference.score_by_loop(detector, network, frames))
    batch = in_turn(ours, lambda: reference.score_by_batch(detector, network, frames))
    return [
        share_row(f"{name}: share of the sgemm peak", of_sgemm, share),
        share_row(f"{name}: share of the fastest product", of_fastest, None),
        ratio_row(f"{name}: against the window-by-window loop", loop, asked=10, better="higher"),
        ratio_row(f"{name}: against one batch of all windows", batch, asked=1.0, better="higher"),
    ]


def scaled_clips(detector: NetworkDetector, data: Path) -> list[Float32Array]:
    """Twelve training clips as the network sees them."""
    scale, _ = detector._learned
    return [scale(log_mel(read_waveform(path).samples)) for path in clips_of(data, 12)]


def train_part(detector: NetworkDetector, clips: list[Float32Array], *, n_windows: int, threads: int = 1) -> Progress:
    """Train new weights on a part of an epoch; how that went, without the forecast of how long it takes."""
    network = detector._build()
    detector._initialise(network)
    events: list[Progress] = []
    train_network(
        network,
        lambda batch: detector._errors(network, batch).mean(),
        WindowSet.of(clips, length=detector._window_frames),
        WindowSet.of([], length=detector._window_frames),
        TrainingPlan(1, detector.batch_size, detector.learning_rate, "constant", n_windows, 0, threads),
        on_progress=events.append,
        should_stop=lambda: False,
        checkpoint=None,
    )
    return events[-1]


def training_row(name: str, data: Path, *, n_windows: int = 1600, repeats: int = 7) -> Row:
    """One part of an epoch at the paper preset against a DataLoader loop; the losses agree to 1e-4."""
    detector = fitted_at_paper_size(name, [log_mel(read_waveform(path).samples) for path in clips_of(data, 12)])
    clips, losses = scaled_clips(detector, data), {}
    n_all = sum(len(clip) - detector._window_frames + 1 for clip in clips)
    order = np.random.default_rng([0, 1]).permutation(n_all)[:n_windows]

    def ours() -> float:
        done = train_part(detector, clips, n_windows=n_windows)
        losses["ours"] = done.loss or 0.0
        return done.elapsed_s

    def theirs() -> None:
        network = detector._build()
        detector._initialise(network)
        losses["theirs"] = float(np.mean(list(reference.training_losses(detector, network, clips, order))))

    ours(), theirs()
    pairs = [(ours(), seconds(theirs)) for _ in range(repeats)]
    if abs(losses["ours"] - losses["theirs"]) > 1e-4:
        raise SystemExit(f"the two trainings of {name} differ: {losses}")
    return ratio_row(f"{name}: training against a DataLoader loop", pairs, asked=None, better="higher")


def threads_row(data: Path, *, n_updates: int = 4, repeats: int = 3) -> Row:
    """Effect of a second thread on a small training next to a busy process; above 1 it is slower."""
    detector = fitted_at_paper_size("dcase_autoencoder", [log_mel(read_waveform(clips_of(data, 1)[0]).samples)])
    clips, n_windows = scaled_clips(detector, data), n_updates * detector.batch_size
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        pairs = in_turn(
            lambda: train_part(detector, clips, n_windows=n_windows, threads=2),
            lambda: train_part(detector, clips, n_windows=n_windows, threads=1),
            repeats=repeats,
        )
    finally:
        busy.kill()
        busy.wait()
    name = "dcase_autoencoder: training with two threads beside a busy process, against one thread"
    return ratio_row(name, pairs, asked=None, better="lower")


def fresh_rows(data: Path) -> list[Row]:
    """Whole processes: the help text, and the score of one clip."""
    clip, models = str(clips_of(data, 1)[0]), PROJECT / "artifacts" / NAME / "slider"
    runs = [("command line: --help", ["--help"], 0.5, None)]
    runs += [
        (f"fresh score of one clip: {name}", ["score", clip, "--model", str(models / name)], limit, memory)
        for name, limit, memory in (
            ("lstm_predictor", 0.9, 150.0),
            ("gru_autoencoder", 0.9, 150.0),
            ("dcase_autoencoder", None, None),
            ("vggish_ocsvm", 0.4, None),
            ("vggish_mahalanobis", 0.4, None),
            ("vggish_knn", 0.4, None),
        )
    ]
    alone = [launched("timeit", "-n1", "-r1", "import torch")[0] for _ in range(5)]
    rows = [median_row("this machine: a process that does nothing but import torch", alone, unit="s", asked=None)]
    for name, arguments, limit, memory in runs:
        times, peaks = zip(*[launched("asd_core", *arguments) for _ in range(9)], strict=True)
        rows.append(median_row(name, times, unit="s", asked=limit))
        if memory is not None:
            rows.append(median_row(f"{name}, memory", peaks, unit="MB", asked=memory))
    return rows


def evaluation_rows() -> list[Row]:
    """The bootstrap, with 1,101 clips and three detectors."""
    rng = np.random.default_rng(0)
    labels = np.arange(1101) >= 300
    scores = [rng.standard_normal(1101) + labels for _ in range(3)]
    ids = [f"{2 * (row % 3):02d}" for row in range(1101)]

    draws = sorted(seconds(lambda: [bootstrap(labels, each, machine_ids=ids) for each in scores]) for _ in range(3))
    return [
        Row(
            "bootstrap, 2,000 draws, 1,101 clips x 3 detectors",
            statistics.median(draws),
            1,
            "lower",
            "s",
            [draws[0], draws[-1]],
        ),
    ]


def table(rows: list[Row]) -> str:
    """Write the Markdown table."""
    lines = ["| what | median | spread | asked | met |", "|---|---|---|---|---|"]
    for row in rows:
        sign = "at most" if row.better == "lower" else "at least"
        asked = "" if row.asked is None else f"{sign} {row.asked:g} {row.unit}"
        low, high = row.spread
        lines.append(f"| {row.name} | {row.value:.3g} {row.unit} | {low:.3g} to {high:.3g} | {asked} | {row.met} |")
    return "\n".join(lines)


def groups(data: Path) -> dict[str, Callable[[], list[Row]]]:
    """Groups that can be measured separately, in the table's order; the quick ones first."""
    return {
        "features": lambda: [features_row(data)],
        "scoring": lambda: scoring_rows(data),
        "training": lambda: [training_row(name, data) for name in CLIP_FLOP],
        "threads": lambda: [threads_row(data)],
        "fresh": lambda: fresh_rows(data),
        "evaluation": evaluation_rows,
        "cache": lambda: caching.rows(data),
        "sweep": sweep.rows,
        "runs": many_runs.rows,
        "dashboard": pages.dashboard_rows,
        "check": pages.check_rows,
        "threshold": pages.threshold_rows,
        "cockpit": cockpit.cockpit_rows,
        "folder": lambda: scale.rows("folder", n_clips=300),
        "workers": lambda: scale.rows("workers", n_clips=2000, detector="vggish_ocsvm"),  # the most start-up a clip
    }


def kept_rows(results: Path, measured: list[Row]) -> list[Row]:
    """Merge newly measured rows into those of the last run, in their place or at the end."""
    found = json.loads(results.read_text(encoding="utf-8"))["rows"] if results.is_file() else []
    new = {row.name: row for row in measured}
    kept = [new.pop(each["name"], None) or Row(**each) for each in found]
    return [*kept, *new.values()]


def main() -> None:
    """Measure everything or the named groups, print and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="GROUP", help="measure this alone and keep the other rows")
    asked = parser.parse_args().only
    torch.set_num_threads(1)
    data = write_bench(PROJECT / "build" / NAME, size="small", seed=0)
    open_artifact(PROJECT / "artifacts" / NAME / "slider" / "lstm_predictor")
    known = groups(data)
    if unknown := set(asked or ()) - set(known):
        raise SystemExit(f"no group is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    rows: list[Row] = []
    for name in asked or known:
        command = f"python -m benchmarks.run --only {name}"
        rows += [replace(row, command=command) for row in known[name]()]
        sys.stderr.write(f"{table(rows[-4:])}\n")
    results = PROJECT / "benchmarks" / "results.json"
    write_results(results, kept_rows(results, rows) if asked else rows)


def write_results(results: Path, rows: list[Row]) -> None:
    """Write the figures as JSON and as a page."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    report = {
        "schema": 1,
        "command": "bench",
        "warnings": [],
        "machine": machine,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
        "rows": [asdict(row) for row in rows],
    }
    results.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    text = (
        f"# Performance\n\nMade by `{COMMAND}` on {machine}; one thread, medians; the two sides of a ratio in turn. "
        "`python -m benchmarks.run --only GROUP` measures one group again; each row's command is in "
        "`benchmarks/results.json`.\n\n"
    )
    (PROJECT / "docs" / "performance.md").write_text(f"{text}{table(rows)}\n\n{READ_IT_SO}\n", encoding="utf-8")
    sys.stdout.write(
        table(rows) + f"\npeak memory of this run {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB\n"
    )


if __name__ == "__main__":
    main()
