"""The seeded mini-batch loop that the neural detectors share; torch is imported inside."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from asd_core.detectors.contract import Checkpoint, Progress, State
from asd_core.errors import InputError, TrainingStopped, UsageError
from asd_core.system.devices import CPU, full_precision
from asd_core.system.onnx_graphs import Graph
from asd_core.system.threads import torch_threads
from asd_core.types import Float32Array, IntArray

if TYPE_CHECKING:
    import torch

SCHEDULES = ("constant", "cosine")
MAX_HELDOUT_WINDOWS = 8192
"""Of more held-out windows only every k-th is evaluated after an epoch: they overlap, and all would cost more."""
MAX_THREADS = 256


@dataclass(frozen=True)
class TrainingPlan:
    """How often and how fast to learn.

    Parameters
    ----------
    epochs
        Passes over the windows (or over a fresh draw of them).
    batch_size
        Windows per update.
    learning_rate
        Of Adam.
    schedule
        `constant`, or `cosine`: a short warm-up, then a decay to zero over all updates.
    windows_per_epoch
        Windows drawn in each epoch, without replacement until all have been drawn, then anew: so a plan has as many
        updates on small data as on large. 0 takes all once.
    seed
        Of the order of windows and the first weights.
    threads, device
        Of torch's arithmetic; `cpu`, `cuda` or `mps`.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str
    windows_per_epoch: int
    seed: int
    threads: int
    device: str = CPU

    def n_updates(self, n_windows: int) -> int:
        """Steps of Adam on so many windows."""
        return self.epochs * math.ceil((self.windows_per_epoch or n_windows) / self.batch_size)

    def __post_init__(self) -> None:
        positive = {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.learning_rate}
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise UsageError(f"{name} must be positive, got {value}")
        if self.windows_per_epoch < 0:
            raise UsageError(f"windows_per_epoch must not be negative (0 takes all), got {self.windows_per_epoch}")
        if self.seed < 0:
            raise UsageError(f"seed must not be negative, got {self.seed}")
        if not 1 <= self.threads <= MAX_THREADS:
            raise UsageError(f"threads must be 1..{MAX_THREADS}, got {self.threads}")
        if self.schedule not in SCHEDULES:
            raise UsageError(f"schedule must be one of {', '.join(SCHEDULES)}; got {self.schedule!r}")


@dataclass(frozen=True)
class MinMaxScale:
    """Two scalars over the fitted training clips that map decibels to [0, 1]; scoring does not clip."""

    low: float
    high: float

    @classmethod
    def fit(cls, frames: Sequence[Float32Array]) -> MinMaxScale:
        """Take the limits over all frames.

        Raises
        ------
        InputError
            All values are equal.
        """
        low = min(float(clip.min()) for clip in frames)
        high = max(float(clip.max()) for clip in frames)
        if high - low < 1e-8:
            raise InputError("the training clips' log-mel values never change: nothing can be learned from them")
        return cls(low, high)

    def __call__(self, frames: Float32Array) -> Float32Array:
        """Scale frames, same shape."""
        return (frames - np.float32(self.low)) * np.float32(1.0 / (self.high - self.low))

    def add_to_graph(self, graph: Graph, frames: str) -> str:
        """Add the same to a graph."""
        above = graph.add("Sub", frames, graph.constant(self.low, np.float32))
        return graph.add("Mul", above, graph.constant(1.0 / (self.high - self.low), np.float32))


def initialise(network: torch.nn.Module, *, seed: int) -> None:
    """Draw weights as torch does by default, U(-1/sqrt(n), 1/sqrt(n)), from our own generator.

    n is the hidden size for recurrent layers and the number of inputs for linear ones.
    """
    import torch

    rng = np.random.default_rng([seed, 0])
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if not own:
            continue
        n = module.hidden_size if isinstance(module, torch.nn.RNNBase) else own[0].shape[-1]
        for parameter in own:
            values = rng.uniform(-1.0, 1.0, tuple(parameter.shape)) / math.sqrt(n)
            parameter.data.copy_(torch.from_numpy(values.astype(np.float32)))


@dataclass
class WindowSet:
    """Scaled frames of many clips, and where their windows start.

    Parameters
    ----------
    frames
        Shape (n_frames of all clips, n_bands).
    starts
        Shape (n_windows,): first frame of each window; no window spans two clips.
    """

    frames: torch.Tensor
    starts: torch.Tensor
    length: int

    @classmethod
    def of(cls, clips: Sequence[Float32Array], *, length: int) -> WindowSet:
        """Concatenate the clips' frames and list the windows inside each clip."""
        import torch

        first = np.cumsum([0] + [len(clip) for clip in clips])
        starts = [np.arange(a, b - length + 1) for a, b in itertools.pairwise(first)]
        empty: list[Float32Array] = [np.zeros((0, 1), np.float32)]
        frames = torch.from_numpy(np.concatenate(list(clips) or empty))
        return cls(frames, torch.from_numpy(np.concatenate(starts or [np.zeros(0, np.int64)])), length)

    def thinned(self, at_most: int) -> WindowSet:
        """Every k-th window, with the smallest k that leaves no more than `at_most`."""
        step = max(1, math.ceil(len(self.starts) / at_most))
        return WindowSet(self.frames, self.starts[::step], self.length)

    def to(self, device: str) -> WindowSet:
        """The same windows on a device; on the one where they are, without a copy."""
        return WindowSet(self.frames.to(device), self.starts.to(device), self.length)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """Windows of the given rows, shape (n_rows, length, n_bands); the rows lie on the windows' device."""
        import torch

        return self.frames[self.starts[rows, None] + torch.arange(self.length, device=rows.device)]


@dataclass(frozen=True)
class BandScale:
    """Mean and standard deviation of each band over the training frames, shape (n_bands,) each.

    Scaled log-mel frames lie around .5 and vary little, which makes Adam's small steps slow. A network that learns
    from frames of mean 0 and deviation 1 needs a fraction of the updates; `fold` then moves the scale into its
    weights, so that its input and output are frames as they are.
    """

    mean: torch.Tensor
    std: torch.Tensor

    @classmethod
    def of(cls, frames: torch.Tensor) -> BandScale:
        """Measure frames (n_frames, n_bands); bands that hardly vary count as a tenth of the average deviation."""
        std = frames.std(dim=0)
        return cls(frames.mean(dim=0), std.clamp(min=float(std.mean()) / 10))

    @classmethod
    def centring(cls, frames: torch.Tensor) -> BandScale:
        """Measure only the means of frames (n_frames, n_bands): the deviations stay as they are."""
        import torch

        mean = frames.mean(dim=0)
        return cls(mean, torch.ones_like(mean))

    def __call__(self, windows: WindowSet) -> WindowSet:
        """Scale all frames; squared errors of such frames times `std` squared are those of the frames as they were."""
        if not len(windows.starts):
            return windows
        return WindowSet((windows.frames - self.mean) / self.std, windows.starts, windows.length)

    def fold(self, network: torch.nn.Module, *, recurrent: str, output: str) -> None:
        """Fold the scale into the weights of the first recurrent layer and of the output layer, in place."""
        import torch

        first: Any = network.get_submodule(recurrent)
        last: Any = network.get_submodule(output)
        mean, std = self.mean.double(), self.std.double()
        with torch.no_grad():
            weight = first.weight_ih_l0.double() / std
            first.weight_ih_l0.copy_(weight)
            first.bias_ih_l0.copy_(first.bias_ih_l0.double() - weight @ mean)
            last.weight.copy_(last.weight.double() * std[:, None])
            last.bias.copy_(last.bias.double() * std + mean)


def train_network(
    network: torch.nn.Module,
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    windows: WindowSet,
    heldout: WindowSet,
    plan: TrainingPlan,
    *,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    checkpoint: Checkpoint | None,
) -> None:
    """Minimise `loss_of(batch)` with Adam; the network is changed in place.

    The order of windows in an epoch depends on the seed and the epoch alone, so a training that continues from a
    checkpoint ends with the same weights as one that was never stopped. Network and windows move to the plan's device,
    and the network comes back; a checkpoint may have been written on another one.

    Parameters
    ----------
    loss_of
        Batch of windows (n, length, n_bands) to their mean loss, a scalar.

    Raises
    ------
    TrainingStopped
        `should_stop` returned True; the checkpoint holds the finished epochs.
    InputError
        The loss became NaN or infinite.
    """
    import torch

    network.to(plan.device)
    windows, heldout = windows.to(plan.device), heldout.thinned(MAX_HELDOUT_WINDOWS).to(plan.device)
    with torch_threads(plan.threads), full_precision(plan.device):
        optimiser = torch.optim.Adam(network.parameters(), lr=plan.learning_rate, fused=True)
        history = _resume(network, optimiser, checkpoint)
        for progress in history:
            on_progress(progress)
        if not history:
            on_progress(Progress(0, plan.epochs, None, None, 0.0, _expected_s(network, loss_of, windows, plan)))
        began = time.monotonic() - (history[-1].elapsed_s if history else 0.0)
        for epoch in range(len(history), plan.epochs):
            network.train()
            loss = _train_epoch(loss_of, optimiser, windows, plan, epoch, should_stop)
            network.eval()
            heldout_loss = mean_loss(loss_of, heldout)
            elapsed = time.monotonic() - began
            eta = elapsed / (epoch + 1) * (plan.epochs - epoch - 1)
            history.append(Progress(epoch + 1, plan.epochs, loss, heldout_loss, elapsed, eta))
            if checkpoint is not None:
                checkpoint.write(_training_state(network, optimiser, history))
            on_progress(history[-1])
    network.to(CPU)


def mean_loss(loss_of: Callable[[torch.Tensor], torch.Tensor], windows: WindowSet, *, batch: int = 512) -> float | None:
    """Mean loss over all windows, or None where there are none."""
    import torch

    if not len(windows.starts):
        return None
    total = 0.0
    with torch.inference_mode():
        for rows in torch.split(torch.arange(len(windows.starts), device=windows.starts.device), batch):
            total += float(loss_of(windows.batch(rows))) * len(rows)
    return total / len(windows.starts)


def _train_epoch(
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    optimiser: torch.optim.Optimizer,
    windows: WindowSet,
    plan: TrainingPlan,
    epoch: int,
    should_stop: Callable[[], bool],
) -> float:
    import torch

    order = torch.from_numpy(_order(len(windows.starts), plan, epoch)).to(windows.starts.device)
    batches, losses = torch.split(order, plan.batch_size), []
    for step, rows in enumerate(batches):
        if should_stop():
            raise TrainingStopped(f"stopped in epoch {epoch + 1} of {plan.epochs}; {epoch} finished")
        _set_learning_rate(optimiser, plan, (epoch * len(batches) + step) / (plan.epochs * len(batches)))
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(windows.batch(rows))
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.detach())
    # Read at the end: to read a loss at each update would wait for a GPU.
    total: float = sum(loss * len(rows) for loss, rows in zip(torch.stack(losses).tolist(), batches, strict=True))
    if not math.isfinite(total):
        raise InputError(f"the loss became {total} in epoch {epoch + 1}; lower the learning rate")
    return total / len(order)


def _expected_s(
    network: torch.nn.Module, loss_of: Callable[[torch.Tensor], torch.Tensor], windows: WindowSet, plan: TrainingPlan
) -> float:
    """Seconds that the whole plan will take on this machine, from a few gradients that are thrown away."""
    import torch

    network.train()  # cuDNN gives gradients of recurrent layers in this mode only
    running = [buffer.clone() for buffer in network.buffers()]
    rows = torch.arange(min(plan.batch_size, len(windows.starts)), device=windows.starts.device)
    times_s = []
    for _ in range(1 + _N_TIMED):
        began = time.perf_counter()
        loss = loss_of(windows.batch(rows))
        loss.backward()  # type: ignore[no-untyped-call]
        float(loss.detach())  # a GPU has then computed all of it
        times_s.append(time.perf_counter() - began)
    network.zero_grad(set_to_none=True)
    for buffer, before in zip(network.buffers(), running, strict=True):
        buffer.copy_(before)  # running statistics must not move
    return plan.n_updates(len(windows.starts)) * float(np.median(times_s[1:]))  # the first one prepares


def _order(n_windows: int, plan: TrainingPlan, epoch: int) -> IntArray:
    """Rows of an epoch's windows, in the order of learning."""
    rng = np.random.default_rng([plan.seed, epoch + 1])
    n_drawn = plan.windows_per_epoch or n_windows
    rounds = [rng.permutation(n_windows) for _ in range(math.ceil(n_drawn / n_windows))]
    return np.concatenate(rounds)[:n_drawn]


_WARM_UP = 0.05
_N_TIMED = 3


def _set_learning_rate(optimiser: torch.optim.Optimizer, plan: TrainingPlan, done: float) -> None:
    if plan.schedule == "constant":
        return
    fall = 0.5 * (1 + math.cos(math.pi * max(0.0, done - _WARM_UP) / (1 - _WARM_UP)))
    for group in optimiser.param_groups:
        group["lr"] = plan.learning_rate * min(1.0, 0.05 + done / _WARM_UP) * fall


def network_state(network: torch.nn.Module) -> State:
    """Copy a network's weights, and buffers such as running statistics, to NumPy arrays."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def load_network_state(network: torch.nn.Module, state: State) -> None:
    """Set a network's weights from arrays of the same names and shapes."""
    import torch

    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})


def _training_state(network: torch.nn.Module, optimiser: torch.optim.Optimizer, history: list[Progress]) -> State:
    state: State = {f"weights.{name}": array for name, array in network_state(network).items()}
    for index, moments in optimiser.state_dict()["state"].items():
        for key, tensor in moments.items():
            state[f"adam.{index}.{key}"] = np.asarray(tensor.cpu().numpy()).copy()
    rows = [(p.epochs, p.loss, -1.0 if p.heldout_loss is None else p.heldout_loss, p.elapsed_s) for p in history]
    return state | {"history": np.array(rows, dtype=np.float64)}


def _resume(
    network: torch.nn.Module, optimiser: torch.optim.Optimizer, checkpoint: Checkpoint | None
) -> list[Progress]:
    import torch

    saved = checkpoint.read() if checkpoint is not None else None
    if saved is None:
        return []
    weights = {name.removeprefix("weights."): array for name, array in saved.items() if name.startswith("weights.")}
    load_network_state(network, weights)
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in saved.items():
        if name.startswith("adam."):
            _, index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = torch.from_numpy(np.array(array))
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    return [
        Progress(epoch, int(epochs), float(loss), None if heldout < 0 else float(heldout), float(elapsed), 0.0)
        for epoch, (epochs, loss, heldout, elapsed) in enumerate(saved["history"], start=1)
    ]
