"""What the neural networks over windows of log-mel frames share as detectors.

They learn with torch and score without it: a process that only scores never waits for torch's import.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, final

import numpy as np

from asd_core.detectors.contract import (
    POOLINGS,
    TIME_POOLINGS,
    Checkpoint,
    Detector,
    GraphValues,
    Progress,
    State,
    TensorSpec,
    pool,
)
from asd_core.detectors.error_spectrum import STATE_SPEC as ERROR_SPEC
from asd_core.detectors.error_spectrum import NormalErrors
from asd_core.detectors.networks.graphs import Windows, kept_graph
from asd_core.detectors.networks.training import (
    MAX_HELDOUT_WINDOWS,
    MinMaxScale,
    TrainingPlan,
    WindowSet,
    initialise,
    mean_loss,
    network_state,
    train_network,
)
from asd_core.detectors.pooling_graphs import add_map, add_score
from asd_core.detectors.silent_bands import STATE_SPEC as SILENT_SPEC
from asd_core.detectors.silent_bands import SilentBands, loudest_frames_db
from asd_core.errors import InputError, TrainingStopped, UsageError
from asd_core.features.graphs import add_log_mel
from asd_core.features.log_mel import HOP_LENGTH, N_MELS, frame_times_s, log_mel_frames, mel_band_centres_hz
from asd_core.system.devices import CPU, DEVICES, chosen_device
from asd_core.system.extras import require
from asd_core.system.onnx_graphs import Graph, session
from asd_core.system.threads import one_blas_thread, torch_threads
from asd_core.types import AnomalyMap, Float32Array, FloatArray, MapUnit, Waveform

if TYPE_CHECKING:
    import onnxruntime
    import torch

RAW_DECIBELS = MinMaxScale(0.0, 1.0)
_NOT_WEIGHTS = {"scale", *SILENT_SPEC, *ERROR_SPEC}


def part(weights: State, name: str) -> State:
    """The weights of one part of a network, without its name."""
    return {key.removeprefix(f"{name}."): array for key, array in weights.items() if key.startswith(f"{name}.")}


def no_better_than_mean(progress: Progress) -> tuple[str, ...]:
    """Say, as `code: text`, when a network's held-out loss is not below that of always predicting the mean spectrum."""
    loss, of_mean = progress.heldout_loss, progress.mean_spectrum_loss
    if loss is None or of_mean is None or loss < of_mean:
        return ()
    return (
        f"no_better_than_mean: the held-out loss {loss:.4g} is not below {of_mean:.4g}, that of always predicting the "
        "mean spectrum: the network has learned nothing beyond it; train with more epochs or a lower learning_rate",
    )


def _distance_to_mean(
    windows: torch.Tensor, *, targets_of: Callable[[torch.Tensor], torch.Tensor], mean: torch.Tensor
) -> torch.Tensor:
    return (targets_of(windows) - mean).square().mean()


@dataclass
class NetworkDetector(Detector):
    """A network that predicts or reconstructs log-mel frames; the squared error is the anomaly map.

    Parameters
    ----------
    epochs, batch_size, learning_rate, schedule, windows_per_epoch
        See `asd_core.detectors.networks.training.TrainingPlan`; 0 windows per epoch means all.
    pooling
        How the errors become one score: mean (the report), std, max or gwrp over time; relative, the mean of errors
        measured as multiples of what is normal in their band; mahalanobis, the distance of the clip's error spectrum
        from those of normal clips; or combined, the geometric mean of these two.
    device
        Where `fit` computes: `cpu`, `cuda`, `mps`, or `auto` (see `asd_core.system.devices.chosen_device`). What it
        finds is `trained_on`. Scores are always computed on the processor.
    """

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "constant"
    windows_per_epoch: int = 0
    pooling: str = "mean"
    device: str = "auto"

    _fitted: tuple[MinMaxScale, State] | None = field(default=None, init=False, repr=False, compare=False)
    _silent_bands: SilentBands = field(default_factory=SilentBands.none, init=False, repr=False, compare=False)
    _normal_errors: NormalErrors | None = field(default=None, init=False, repr=False, compare=False)
    _last: Progress | None = field(default=None, init=False, repr=False, compare=False)
    """The last fit's last epoch."""
    _trained_on: str = field(default=CPU, init=False, repr=False, compare=False)
    _ready: tuple[State, onnxruntime.InferenceSession] | None = field(
        default=None, init=False, repr=False, compare=False
    )
    """The weights, and the session that scores with them."""

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise UsageError(f"pooling must be one of {', '.join(POOLINGS)}; got {self.pooling!r}")
        if self.device not in DEVICES:
            raise UsageError(f"device must be one of {', '.join(DEVICES)}; got {self.device!r}")
        self._plan()

    @classmethod
    def require_packages(cls) -> None:
        """Check that torch is installed."""
        require("train", task="training")

    @property
    def min_samples(self) -> int:
        """Shortest clip with one whole window, in samples."""
        return (self._window_frames - 1) * HOP_LENGTH

    @property
    def scales_frames(self) -> bool:
        """Whether the network sees decibels mapped to [0, 1]; otherwise raw ones, and the state holds no scale."""
        return True

    @property
    def fitted(self) -> bool:
        """Whether there are weights to score with."""
        return self._fitted is not None

    def state_spec(self) -> dict[str, TensorSpec]:
        """Names, types and shapes of weights and, where frames are scaled, of the scale."""
        spec = {name: TensorSpec("float32", shape) for name, shape in self._weight_shapes().items()}
        return spec | SILENT_SPEC | ERROR_SPEC | ({"scale": TensorSpec("float64", (2,))} if self.scales_frames else {})

    @property
    def score_unit(self) -> float:
        """One squared decibel in the scale of the errors, which depends on the loudest and faintest training frame.

        Scores that are measured against the errors of normal clips have no unit.
        """
        if self.pooling not in TIME_POOLINGS:
            return 1.0
        scale, _ = self._learned
        return (scale.high - scale.low) ** -2

    def scaled_frames(self, clip: Waveform) -> Float32Array:
        """Log-mel frames as the network sees them, shape (n_frames, 128); where scaled, training clips span [0, 1]."""
        scale, _ = self._learned
        return scale(self._silent_bands.floored(self._frames(clip)))

    def input_warnings(self, clip: Waveform) -> tuple[str, ...]:
        """Say when a clip has sound in bands where the training clips had none."""
        return self._silent_bands.warnings(clip)

    @property
    def mean_spectrum_loss(self) -> float | None:
        """Held-out loss of always predicting the mean of the fitted frames, in the unit of the held-out loss."""
        return None if self._last is None else self._last.mean_spectrum_loss

    @property
    def training_warnings(self) -> tuple[str, ...]:
        """Say when the network is no better than always predicting the mean spectrum."""
        return () if self._last is None else no_better_than_mean(self._last)

    @property
    def trained_on(self) -> str:
        """Where the last fit computed: `cpu`, `cuda` or `mps`."""
        return self._trained_on

    @property
    def _learned(self) -> tuple[MinMaxScale, State]:
        """The scale, and the weights under torch's names."""
        if self._fitted is None:
            raise self._not_fitted()
        return self._fitted

    @abstractmethod
    def _add_predictions(self, windows: Windows, weights: State) -> Sequence[tuple[str, str]]:
        """Add to a graph what the network predicts: pairs of predicted and true frames, shape (n_steps, n_mels) each.

        A step's error is the mean over the pairs of their squared difference.
        """

    def add_errors(self, graph: Graph, frames: str) -> str:
        """Add the squared error of each step and band to a graph.

        Parameters
        ----------
        frames
            Name of scaled frames (n_frames, n_mels), float32; the errors have shape (n_steps, n_mels).
        """
        _, weights = self._learned
        pairs = self._add_predictions(self._windows(graph, frames), weights)
        differences = [graph.add("Sub", predicted, true) for predicted, true in pairs]
        squares = [graph.add("Mul", difference, difference) for difference in differences]
        if len(squares) == 1:
            return squares[0]
        return graph.add("Div", graph.add("Sum", *squares), graph.constant(np.float32(len(squares))))

    def _windows(self, graph: Graph, frames: str) -> Windows:
        return Windows(graph, frames, length=self._window_frames, stride=self._window_stride)

    @property
    def _window_stride(self) -> int:
        """Frames from one scored window to the next."""
        return 1

    def _step_errors(self, frames: Float32Array) -> Float32Array:
        """Mean squared error of each window of scaled frames (n_frames, n_mels), shape (n_steps, n_mels)."""
        _, weights = self._learned
        if self._ready is None or self._ready[0] is not weights:  # made once: weights no longer change
            of = f"{self.name} {self._window_frames} {self._window_stride}"
            self._ready = weights, session(kept_graph(self._error_graph, of=of, weights=weights))
        found: Float32Array = self._ready[1].run(["errors"], {"frames": frames})[0]
        return found

    def _error_graph(self) -> bytes:
        graph = Graph()
        errors = self.add_errors(graph, graph.input("frames", ["n_frames", N_MELS]))
        graph.output(errors, "errors", ["n_steps", N_MELS])
        return graph.to_bytes()

    def _predicted_and_true(self, clip: Waveform) -> tuple[Float32Array, Float32Array]:
        """Predicted and true scaled frames of each pair, shape (n_pairs, n_steps, n_mels). Raises as `anomaly_map`."""
        _, weights = self._learned
        graph = Graph()
        windows = self._windows(graph, graph.input("frames", ["n_frames", N_MELS]))
        pairs = self._add_predictions(windows, weights)
        for name, values in zip(("predicted", "true"), zip(*pairs, strict=True), strict=True):
            stacked = [graph.add("Unsqueeze", value, graph.constant([0])) for value in values]
            graph.output(graph.add("Concat", *stacked, axis=0), name, [len(pairs), "n_steps", N_MELS])
        with one_blas_thread():
            frames = self.scaled_frames(clip)
        predicted, true = session(graph.to_bytes()).run(["predicted", "true"], {"frames": frames})
        return predicted, true

    def _frames(self, clip: Waveform) -> Float32Array:
        return log_mel_frames(clip, min_samples=self.min_samples)

    @property
    @abstractmethod
    def _window_frames(self) -> int:
        """Frames one prediction needs, its target included."""

    @abstractmethod
    def _build(self) -> torch.nn.Module:
        """A network to train."""

    def _initialise(self, network: torch.nn.Module) -> None:
        initialise(network, seed=self.seed)

    @abstractmethod
    def _weight_shapes(self) -> dict[str, tuple[int, ...]]: ...

    def _targets(self, windows: torch.Tensor) -> torch.Tensor:
        """Frames of windows (n, window_frames, n_mels) that the network has to predict, shape (n, ..., n_mels)."""
        return windows

    @abstractmethod
    def _errors(self, network: torch.nn.Module, windows: torch.Tensor) -> torch.Tensor:
        """Squared errors of windows (n, window_frames, n_mels) in training, shape (n, ..., n_mels)."""

    @abstractmethod
    def _step_times_s(self, n_steps: int) -> FloatArray: ...

    def n_updates(self, n_windows: int) -> int:
        """Count the updates of the weights that a training on so many windows makes."""
        return self._plan().n_updates(n_windows)

    def _plan(self) -> TrainingPlan:
        return TrainingPlan(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            windows_per_epoch=self.windows_per_epoch,
            seed=self.seed,
            threads=self.threads,
            device=self._trained_on,
        )

    def _forget(self) -> None:
        self._fitted, self._last, self._normal_errors, self._silent_bands = None, None, None, SilentBands.none()
        self._trained_on = CPU

    def _fit(
        self,
        clips: Sequence[Waveform],
        heldout: Sequence[Waveform],
        on_progress: Callable[[Progress], None],
        should_stop: Callable[[], bool],
        checkpoint: Checkpoint | None,
    ) -> None:
        self._trained_on = chosen_device(self.device)
        frames = [self._frames(clip) for clip in clips]
        self._silent_bands = SilentBands.of(map(loudest_frames_db, frames))
        frames = [self._silent_bands.floored(clip) for clip in frames]
        limits = MinMaxScale.fit(frames)  # refuses clips that never change, scaled or not
        scale = limits if self.scales_frames else RAW_DECIBELS
        network = self._build()
        self._initialise(network)
        windows = WindowSet.of([scale(clip) for clip in frames], length=self._window_frames)
        unseen = [scale(self._silent_bands.floored(self._frames(clip))) for clip in heldout]
        heldout_windows = WindowSet.of(unseen, length=self._window_frames)
        with torch_threads(self.threads):
            mean_spectrum_loss = self._mean_spectrum_loss(windows, heldout_windows)

            def note(progress: Progress) -> None:
                self._last = replace(progress, mean_spectrum_loss=mean_spectrum_loss)
                on_progress(self._last)

            loop = partial(train_network, on_progress=note, should_stop=should_stop, checkpoint=checkpoint)
            self._train(network, windows, heldout_windows, loop)
        self._fitted = scale, network_state(network)
        try:
            errors = (self._step_errors(scale(clip)) for clip in frames)
            self._normal_errors = NormalErrors.of(_until(should_stop, errors))
        except TrainingStopped:
            self._forget()
            raise

    def _mean_spectrum_loss(self, windows: WindowSet, heldout: WindowSet) -> float | None:
        """Loss over the held-out windows of always predicting the mean of the fitted frames; None without any."""
        mean = windows.frames.mean(dim=0)  # (n_mels,)
        loss = partial(_distance_to_mean, targets_of=self._targets, mean=mean)
        return mean_loss(loss, heldout.thinned(MAX_HELDOUT_WINDOWS))

    def _train(
        self, network: torch.nn.Module, windows: WindowSet, heldout: WindowSet, loop: Callable[..., None]
    ) -> None:
        loop(network, lambda batch: self._errors(network, batch).mean(), windows, heldout, self._plan())

    def _anomaly_map(self, clip: Waveform) -> AnomalyMap:
        return self._anomaly_score_and_map(clip)[1]

    def _anomaly_score(self, clip: Waveform) -> float:
        return self._anomaly_score_and_map(clip)[0]

    def _anomaly_score_and_map(self, clip: Waveform) -> tuple[float, AnomalyMap]:
        errors = self._step_errors(self.scaled_frames(clip)).astype(np.float64)
        values, unit = self._in_unit(errors)
        found = AnomalyMap(values, self._step_times_s(len(errors)), mel_band_centres_hz(), unit)
        return self._pooled(errors, self.pooling), found

    def _in_unit(self, errors: FloatArray) -> tuple[FloatArray, MapUnit]:
        """The errors (n_steps, n_mels) of a clip as its map shows them, and their unit."""
        if self.pooling in ("relative", "combined"):
            return self._errors_of_normal.relative(errors), "times_normal"
        if self.pooling == "mahalanobis":
            return self._errors_of_normal.in_spreads(errors), "spreads"
        return errors, "error"

    @final
    def scores_by_pooling(self, clip: Waveform) -> dict[str, float]:
        """Anomaly score of a clip under every pooling that the state allows, from one pass. Raises as `anomaly_map`."""
        self._require_fit()
        with one_blas_thread():
            errors = self._step_errors(self.scaled_frames(clip)).astype(np.float64)
            allowed = POOLINGS if self._normal_errors is not None else TIME_POOLINGS
            return {pooling: self._pooled(errors, pooling) for pooling in allowed}

    def error_spectrum(self, found: AnomalyMap) -> FloatArray:
        """Squared error of each band of a clip, mean over time, shape (n_mels,), from the clip's map."""
        values = found.values if found.unit == "error" else self._errors_of_normal.errors_of(found)
        spectrum: FloatArray = values.mean(axis=0)
        return spectrum

    def band_strangeness(self, found: AnomalyMap) -> FloatArray:
        """Error spectrum of a clip in normal spreads of a clip above what is normal, shape (n_mels,), from its map.

        Raises
        ------
        UsageError
            The state of an earlier version, which holds no errors of normal clips.
        """
        return self._errors_of_normal.strangeness(self.error_spectrum(found))

    def _pooled(self, errors: FloatArray, pooling: str) -> float:
        """One score from the errors (n_steps, n_mels) of a clip."""
        if pooling in TIME_POOLINGS:
            return pool(errors.mean(axis=1), pooling=pooling)
        relative = float(self._errors_of_normal.relative(errors).mean())
        distance = self._errors_of_normal.distance(errors.mean(axis=0))
        return {"relative": relative, "mahalanobis": distance, "combined": float(np.sqrt(relative * distance))}[pooling]

    def _add_to_graph(self, graph: Graph, samples: str) -> GraphValues:
        scale, _ = self._learned
        log_mel = add_log_mel(graph, samples)
        frames = scale.add_to_graph(graph, self._silent_bands.add_floored(graph, log_mel))
        errors = graph.to_double(self.add_errors(graph, frames))
        pooling = self.pooling
        normal = None if pooling in TIME_POOLINGS else self._errors_of_normal
        anomaly_score = add_score(graph, errors, pooling=pooling, normal=normal)
        return GraphValues(anomaly_score, add_map(graph, errors, pooling=pooling, normal=normal), log_mel)

    @property
    def normal_errors(self) -> NormalErrors | None:
        """How the errors of normal clips spread over bands; None before `fit` and in states of earlier versions."""
        return self._normal_errors

    @property
    def _errors_of_normal(self) -> NormalErrors:
        if self._normal_errors is None:
            raise UsageError(
                f"pooling {self.pooling} needs the errors of normal clips, which this {self.title} was saved without; "
                "train it again, or take another pooling"
            )
        return self._normal_errors

    def _state(self) -> State:
        scale, weights = self._learned
        limits = {"scale": np.array([scale.low, scale.high], dtype=np.float64)} if self.scales_frames else {}
        arrays = {name: array.copy() for name, array in weights.items()} | limits | self._silent_bands.to_state()
        return arrays | ({} if self._normal_errors is None else self._normal_errors.to_state())

    def _restore(self, state: State) -> None:
        low, high = state["scale"] if self.scales_frames else (RAW_DECIBELS.low, RAW_DECIBELS.high)
        if not high > low:
            raise InputError("scale must rise: its second value above its first")
        normal_errors = NormalErrors.from_state(state)
        self._silent_bands, self._normal_errors, self._last = SilentBands.from_state(state), normal_errors, None
        if self.pooling not in TIME_POOLINGS:
            _ = self._errors_of_normal  # refuses a state without them now, not at the first clip
        weights = {name: np.array(array) for name, array in state.items() if name not in _NOT_WEIGHTS}
        self._fitted = MinMaxScale(float(low), float(high)), weights


def _until(should_stop: Callable[[], bool], items: Iterable[Float32Array]) -> Iterator[Float32Array]:
    """Pass items on until a stop is asked for, then raise `TrainingStopped`."""
    for item in items:
        if should_stop():
            raise TrainingStopped("stopped after the last epoch, while measuring the errors of the training clips")
        yield item


def window_centres_s(n_windows: int, *, window: int) -> FloatArray:
    """Centres of windows that start at successive frames, in seconds, shape (n_windows,)."""
    half_window_s = float(frame_times_s(window)[-1]) / 2
    return np.add(frame_times_s(n_windows), half_window_s)
