"""What the detectors on an encoder's patch vectors share: the encoder, the embedding loop, scaling, the state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import ClassVar, TypeAlias

import numpy as np

from asd_core.detectors.contract import Checkpoint, Detector, GraphValues, Progress, State
from asd_core.detectors.silent_bands import SilentBands, loudest_db
from asd_core.errors import InputError, TrainingStopped, UsageError
from asd_core.features.encoders import ENCODER_IDS, load_encoder
from asd_core.features.encoders.contract import Encoder, EncoderIdentity
from asd_core.features.log_mel import VGGISH_HOP, VGGISH_MIN_SAMPLES, VGGISH_PATCH
from asd_core.system.onnx_graphs import Graph
from asd_core.types import SR, AnomalyMap, FloatArray, Waveform

PATCH_S = VGGISH_PATCH * VGGISH_HOP / SR
CONSTANT_STD = 1e-8
FLOOR_SHARE = 0.1
"""Of the columns' average deviation: no column counts as varying less."""
LeastStd: TypeAlias = Callable[[FloatArray], FloatArray]
"""The columns' means to the least deviation of each, both of shape (width,); see `Encoder.least_std`."""


@dataclass
class EncoderDetector(Detector):
    """A detector whose training rows are an encoder's vectors; what it learns is a set of arrays.

    Parameters
    ----------
    encoder
        `vggish` (the report's) or `logmel_stats` (no weights needed).
    """

    encoder: str = "logmel_stats"

    fits_in_seconds: ClassVar[bool] = True
    back_end: ClassVar[str]
    """Name for people of what follows the encoder."""
    _arrays: State | None = field(default=None, init=False, repr=False, compare=False)
    _drawn: tuple[int, int] = field(default=(0, 0), init=False, repr=False, compare=False)
    """Rows kept by a seeded draw, and how many there were."""

    def __post_init__(self) -> None:
        if self.encoder not in ENCODER_IDS:
            raise UsageError(f"encoder must be one of {', '.join(ENCODER_IDS)}; got {self.encoder!r}")

    @property
    def title(self) -> str:
        """Name built from the encoder that runs."""
        return f"{self._encoder.identity.title} + {self.back_end}"

    @property
    def encoder_identity(self) -> EncoderIdentity:
        """The encoder that runs."""
        return self._encoder.identity

    @property
    def min_samples(self) -> int:
        """One sample: a clip shorter than a patch is zero-padded to it."""
        return 1

    @property
    def fitted(self) -> bool:
        """Whether there are arrays to score with."""
        return self._arrays is not None

    def embed(self, clip: Waveform) -> FloatArray:
        """Vectors of a clip before standardising, shape (n_patches, 128): what is learned from."""
        return self._encoder.encode(clip)

    @property
    def _learned(self) -> State:
        if self._arrays is None:
            raise self._not_fitted()
        return self._arrays

    @property
    def _encoder(self) -> Encoder:
        return load_encoder(self.encoder)

    @property
    def training_warnings(self) -> tuple[str, ...]:
        """Say when only a seeded draw of the training rows was kept."""
        n_kept, n_rows = self._drawn
        return (f"subsample: {n_kept} of {n_rows} training rows kept, drawn by the seed",) if n_kept < n_rows else ()

    def _forget(self) -> None:
        self._arrays, self._drawn = None, (0, 0)

    def _fit(
        self,
        clips: Sequence[Waveform],
        heldout: Sequence[Waveform],  # noqa: ARG002 - has no loss to report
        on_progress: Callable[[Progress], None],
        should_stop: Callable[[], bool],
        checkpoint: Checkpoint | None,  # noqa: ARG002 - done in seconds
    ) -> None:
        began = monotonic()
        rows, loudest = [], []
        for clip in clips:
            if should_stop():
                raise TrainingStopped("stopped while embedding the training clips")
            rows.append(self.embed(clip))
            loudest.append(loudest_db(clip))
        self._arrays = self._fit_rows(np.concatenate(rows)) | SilentBands.of(loudest).to_state()
        on_progress(Progress(1, 1, None, None, monotonic() - began, 0.0))

    def input_warnings(self, clip: Waveform) -> tuple[str, ...]:
        """Say when a clip has sound in bands where the training clips had none."""
        return () if self._arrays is None else SilentBands.from_state(self._arrays).warnings(clip)

    @abstractmethod
    def _fit_rows(self, rows: FloatArray) -> State:
        """Learn the back end's arrays from the training clips' vectors, shape (n_rows, width)."""

    def _add_to_graph(self, graph: Graph, samples: str) -> GraphValues:
        encoded = self._encoder.add_to_graph(graph, samples)
        anomaly_score, anomaly_map = self._add_scores(graph, encoded.vectors)
        return GraphValues(anomaly_score, anomaly_map, encoded.log_mel)

    def _add_scores(self, graph: Graph, patches: str) -> tuple[str, str]:  # noqa: ARG002 - for those that have one
        """Add a clip's score and map, all float64, from its patches' vectors (n_patches, dimension)."""
        raise UsageError(f"{self.title} cannot be exported: {self.name} has no graph")

    def _state(self) -> State:
        return {name: array.copy() for name, array in self._learned.items()}

    def _restore(self, state: State) -> None:
        SilentBands.from_state(state)  # refuses floors out of range
        self._arrays = {name: np.array(array) for name, array in state.items()}


@dataclass
class PatchDetector(EncoderDetector):
    """A detector that scores each patch by itself; a clip's score is the mean over its patches.

    The map, one value for each 0.96 s, pools to the score: it is a true map over time, not an explanation.
    """

    def input_warnings(self, clip: Waveform) -> tuple[str, ...]:
        """Say when a clip is shorter than one patch, or has sound where the training clips had none."""
        found = super().input_warnings(clip)
        if clip.n_samples >= VGGISH_MIN_SAMPLES:
            return found
        return (f"short: {clip.duration_s:.2f} s zero-padded to one patch", *found)

    @abstractmethod
    def _patch_scores(self, patches: FloatArray) -> FloatArray:
        """Anomaly scores of vectors (n_patches, 128), shape (n_patches,)."""

    def _anomaly_score(self, clip: Waveform) -> float:
        return self._anomaly_score_and_map(clip)[0]

    def _anomaly_map(self, clip: Waveform) -> AnomalyMap:
        return self._anomaly_score_and_map(clip)[1]

    def _anomaly_score_and_map(self, clip: Waveform) -> tuple[float, AnomalyMap]:
        scores = self._patch_scores(self.embed(clip))
        times_s = patch_times_s(len(scores))
        return float(scores.mean()), AnomalyMap(scores[:, None], times_s, np.array([np.nan]))

    def _add_scores(self, graph: Graph, patches: str) -> tuple[str, str]:
        scores = self._add_patch_scores(graph, patches)
        return graph.add("ReduceMean", scores, keepdims=0), graph.add("Unsqueeze", scores, graph.constant([1]))

    def _add_patch_scores(self, graph: Graph, patches: str) -> str:  # noqa: ARG002 - for those that have one
        """Add `_patch_scores`, shape (n_patches,), of vectors (n_patches, 128), all float64."""
        raise UsageError(f"{self.title} cannot be exported: {self.name} has no graph")


def patch_times_s(n_patches: int) -> FloatArray:
    """Centres of patches in seconds, shape (n_patches,)."""
    return (np.arange(n_patches, dtype=np.float64) + 0.5) * PATCH_S


def no_least_std(mean: FloatArray) -> FloatArray:
    """No column has a least deviation of its own, shape (width,)."""
    return np.zeros_like(mean)


def standard_scale(rows: FloatArray, *, least_std: LeastStd = no_least_std) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation (ddof 0) of each column, the latter no smaller than a floor.

    What never varied in training would otherwise be divided by almost nothing, and rounding noise in it would be
    stranger than any fault. The floor is a tenth of the columns' average deviation, as for the bands that a network
    learns from (`BandScale`), or `least_std` where that is larger.

    Parameters
    ----------
    rows
        Shape (n_rows, width).
    least_std
        See `LeastStd`.

    Raises
    ------
    InputError
        No column changes.
    """
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    if not (std > CONSTANT_STD).any():
        raise InputError("the training clips' embeddings never change: nothing can be learned from them")
    floor = np.maximum(FLOOR_SHARE * std.mean(), least_std(mean))
    return mean, np.maximum(std, floor)


def add_standardised(graph: Graph, rows: str, arrays: State) -> str:
    """Add rows (n, width), float64, in units of the arrays' `scale` about their `mean`."""
    return graph.add("Div", graph.add("Sub", rows, graph.constant(arrays["mean"])), graph.constant(arrays["scale"]))


def add_squared_distances(graph: Graph, rows: str, others: FloatArray) -> str:
    """Add `squared_distances`, shape (n_rows, n_others), of rows (n_rows, width), float64."""
    squares = graph.add("ReduceSum", graph.add("Mul", rows, rows), graph.constant([1]), keepdims=1)
    sums = graph.add("Add", squares, graph.constant(np.square(others).sum(1)))
    products = graph.add("MatMul", rows, graph.constant(2.0 * others.T))
    return graph.add("Max", graph.add("Sub", sums, products), graph.constant(0.0))


def seeded_rows(rows: FloatArray, *, at_most: int, seed: int) -> FloatArray:
    """All rows, or a seeded draw of `at_most` of them in their order."""
    if len(rows) <= at_most:
        return rows
    drawn = np.random.default_rng(seed).choice(len(rows), at_most, replace=False)
    return rows[np.sort(drawn)]


def squared_distances(rows: FloatArray, others: FloatArray) -> FloatArray:
    """Squared Euclidean distances, shape (n_rows, n_others); never negative."""
    products = rows @ others.T
    distances: FloatArray = np.square(rows).sum(1)[:, None] + np.square(others).sum(1) - 2.0 * products
    return np.maximum(distances, 0.0)
