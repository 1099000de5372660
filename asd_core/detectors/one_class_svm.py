"""One-class SVM on a clip's patch embeddings (the report's first method).

scikit-learn only trains; scoring is NumPy on the stored arrays, so that the scores of a saved detector depend
on no pickle and no library version. The sign of the decision value is reversed here: higher is stranger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from asd_core.detectors.contract import State, TensorSpec
from asd_core.detectors.on_embeddings import (
    EncoderDetector,
    LeastStd,
    add_squared_distances,
    add_standardised,
    no_least_std,
    patch_times_s,
    seeded_rows,
    squared_distances,
    standard_scale,
)
from asd_core.detectors.silent_bands import STATE_SPEC
from asd_core.errors import InputError, UsageError
from asd_core.features.encoders import load_encoder
from asd_core.features.encoders.contract import Encoder
from asd_core.features.log_mel import VGGISH_FRAME, VGGISH_HOP, VGGISH_PATCH
from asd_core.system.onnx_graphs import Graph
from asd_core.types import AnomalyMap, FloatArray, Waveform

BLOCK_PATCHES = 10
MAX_TRAINING_BLOCKS = 20_000
"""Above this a seeded subsample is fitted: the SVM's time grows with the square of the rows."""


@dataclass
class OneClassSvm(EncoderDetector):
    """Ten patches of 128 numbers, standardised, against an RBF one-class SVM; longer clips are cut into such blocks.

    The score is the mean over blocks of the negated decision value. The map is an explanation and does not pool to the
    score: it shows how much the score falls when one patch is replaced by the training mean, at each patch's centre.

    Parameters
    ----------
    nu
        Upper bound on the share of training clips outside the boundary, in (0, 1).
    gamma
        Width of the RBF kernel, `exp(-gamma * distance**2)`: a positive number, or `scale` for
        1 / (n_features * variance).
    """

    nu: float = 0.1
    gamma: str | float = "scale"

    name: ClassVar[str] = "vggish_ocsvm"
    back_end: ClassVar[str] = "one-class SVM"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"encoder": "vggish"},
        "quick": {"encoder": "logmel_stats"},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_class(nu=self.nu, gamma=self.gamma)

    @property
    def score_unit(self) -> float:
        """`bound_of_scores` of what was learned: the score far from all training clips."""
        return bound_of_scores(self._learned)

    def state_spec(self) -> dict[str, TensorSpec]:
        """Names, types and shapes of scaling, support vectors and their weights."""
        width = BLOCK_PATCHES * self._encoder.dimension
        return {
            "mean": TensorSpec("float64", (width,)),
            "scale": TensorSpec("float64", (width,)),
            "support_vectors": TensorSpec("float64", (None, width)),
            "dual_coef": TensorSpec("float64", (None,)),
            "intercept": TensorSpec("float64", (1,)),
            "gamma": TensorSpec("float64", (1,)),
        } | STATE_SPEC

    def embed(self, clip: Waveform) -> FloatArray:
        """Blocks of a clip, shape (n_blocks, 1280): what the SVM sees before standardising."""
        return _block_rows(self._encoder.encode(clip))

    def input_warnings(self, clip: Waveform) -> tuple[str, ...]:
        """Say when a clip is shorter than the ten patches (9.6 s) of a block, or has sound where training had none."""
        found = super().input_warnings(clip)
        if clip.n_samples >= BLOCK_PATCHES * VGGISH_PATCH * VGGISH_HOP + VGGISH_FRAME - VGGISH_HOP:
            return found
        return (f"short: {clip.duration_s:.2f} s repeated to {BLOCK_PATCHES} patches", *found)

    @property
    def _encoder(self) -> Encoder:
        return load_encoder(self.encoder)

    def _fit_rows(self, rows: FloatArray) -> State:
        self._drawn = (min(len(rows), MAX_TRAINING_BLOCKS), len(rows))
        return fit_one_class(rows, nu=self.nu, gamma=self.gamma, seed=self.seed, least_std=self._encoder.least_std)

    def _block_scores(self, blocks: FloatArray) -> FloatArray:
        """Negated decision values of unscaled blocks (n, 1280), shape (n,)."""
        return row_scores(blocks, self._learned)

    def _anomaly_score(self, clip: Waveform) -> float:
        return float(self._block_scores(self.embed(clip)).mean())

    def _anomaly_map(self, clip: Waveform) -> AnomalyMap:
        return self._patch_map(self._encoder.encode(clip))

    def _anomaly_score_and_map(self, clip: Waveform) -> tuple[float, AnomalyMap]:
        patches = self._encoder.encode(clip)
        return float(self._block_scores(_block_rows(patches)).mean()), self._patch_map(patches)

    def _patch_map(self, patches: FloatArray) -> AnomalyMap:
        """How much the score falls without each of the patches (n_patches, dimension)."""
        starts = block_starts(len(patches))
        training_mean = self._learned["mean"].reshape(BLOCK_PATCHES, -1)
        total = np.zeros(len(patches), dtype=np.float64)
        counted = np.zeros_like(total)
        for start, block in zip(starts, patch_blocks(patches), strict=True):
            occluded = np.repeat(block[None], BLOCK_PATCHES, axis=0)  # (10 variants, 10 patches, dimension)
            occluded[np.arange(BLOCK_PATCHES), np.arange(BLOCK_PATCHES)] = training_mean
            falls = self._block_scores(block.reshape(1, -1)) - self._block_scores(occluded.reshape(BLOCK_PATCHES, -1))
            np.add.at(total, (start + np.arange(BLOCK_PATCHES)) % len(patches), falls)
            np.add.at(counted, (start + np.arange(BLOCK_PATCHES)) % len(patches), 1)
        falls_per_patch: FloatArray = (total / counted)[:, None]  # (n_patches, 1)
        return AnomalyMap(falls_per_patch, patch_times_s(len(patches)), np.array([np.nan]))

    def _restore(self, state: State) -> None:
        if len(state["dual_coef"]) != len(state["support_vectors"]):
            raise InputError("dual_coef must hold one weight per support vector")
        if not (state["gamma"] > 0).all() or not (state["scale"] > 0).all():
            raise InputError("gamma and scale must be positive")
        super()._restore(state)

    def _add_scores(self, graph: Graph, patches: str) -> tuple[str, str]:
        n_patches, dimension = graph.n_rows(patches), self._encoder.dimension
        rows = _add_block_rows(graph, n_patches)  # (n_blocks, 10): patches of each block
        blocks = graph.add("Gather", patches, rows)  # (n_blocks, 10, dimension)
        scores = self._add_block_scores(graph, blocks)  # (n_blocks,)
        # Each block ten times, without one of its patches each time: (n_blocks, 10 variants, 10 patches, dimension).
        one = graph.constant([1])
        training_mean = self._learned["mean"].reshape(BLOCK_PATCHES, dimension)
        is_occluded = graph.constant(np.eye(BLOCK_PATCHES, dtype=np.bool_)[:, :, None])
        variants = graph.add("Where", is_occluded, graph.constant(training_mean), graph.add("Unsqueeze", blocks, one))
        without = graph.add("Reshape", self._add_block_scores(graph, variants), graph.constant([-1, BLOCK_PATCHES]))
        falls = graph.add("Sub", graph.add("Unsqueeze", scores, one), without)  # (n_blocks, 10)
        total = _add_sums(graph, falls, rows, n_patches)
        counted = _add_sums(graph, graph.add("Expand", graph.constant(1.0), graph.add("Shape", falls)), rows, n_patches)
        anomaly_map = graph.add("Unsqueeze", graph.add("Div", total, counted), one)  # (n_patches, 1)
        return graph.add("ReduceMean", scores, keepdims=0), anomaly_map

    def _add_block_scores(self, graph: Graph, blocks: str) -> str:
        """Add `_block_scores`, shape (n,), of blocks of ten patches (..., 10, dimension), n in all."""
        arrays = self._learned
        rows = graph.add("Reshape", blocks, graph.constant([-1, len(arrays["mean"])]))
        distances = add_squared_distances(graph, add_standardised(graph, rows, arrays), arrays["support_vectors"])
        kernel = graph.add("Exp", graph.add("Mul", distances, graph.constant(-arrays["gamma"])))
        products = graph.add("MatMul", kernel, graph.constant(-arrays["dual_coef"]))
        return graph.add("Sub", products, graph.constant(arrays["intercept"]))


def check_one_class(*, nu: float, gamma: str | float) -> None:
    """Check the settings.

    Raises
    ------
    UsageError
        One is out of range.
    """
    if not 0 < nu < 1:
        raise UsageError(f"nu must be in (0, 1), got {nu}")
    if gamma != "scale" and not (isinstance(gamma, int | float) and 0 < gamma < np.inf):
        raise UsageError(f"gamma must be 'scale' or a positive number, got {gamma!r}")


def fit_one_class(
    rows: FloatArray, *, nu: float, gamma: str | float, seed: int, least_std: LeastStd = no_least_std
) -> State:
    """Learn the scaling (`mean`, `scale`) and the SVM: `support_vectors`, `dual_coef`, `intercept` and `gamma`.

    Parameters
    ----------
    rows
        Shape (n_rows, width); of more than 20,000 a seeded draw is fitted.
    least_std
        See `standard_scale`.

    Raises
    ------
    InputError
        No column changes.
    """
    from sklearn.svm import OneClassSVM

    drawn = seeded_rows(rows, at_most=MAX_TRAINING_BLOCKS, seed=seed)
    mean, scale = standard_scale(drawn, least_std=least_std)
    scaled = (drawn - mean) / scale
    width = kernel_gamma(gamma, scaled)
    svm = OneClassSVM(kernel="rbf", nu=nu, gamma=width).fit(scaled)
    return {
        "mean": mean,
        "scale": scale,
        "support_vectors": np.ascontiguousarray(svm.support_vectors_, dtype=np.float64),
        "dual_coef": np.ascontiguousarray(svm.dual_coef_[0], dtype=np.float64),
        "intercept": np.asarray(svm.intercept_, dtype=np.float64),
        "gamma": np.array([width], dtype=np.float64),
    }


def bound_of_scores(state: Mapping[str, npt.NDArray[Any]]) -> float:
    """The score far from all training rows, which no score exceeds.

    Decision values grow with the sum of the dual weights, and that with the number of training rows; so does this
    bound, which also brings rows far from two fits to the same score.
    """
    return -float(state["intercept"][0])


def row_scores(rows: FloatArray, state: State) -> FloatArray:
    """Negated decision values of rows (n_rows, width) under what `fit_one_class` learned, shape (n_rows,)."""
    return one_class_scores((rows - state["mean"]) / state["scale"], state)


def one_class_scores(standardised: npt.ArrayLike, state: Mapping[str, npt.NDArray[Any]]) -> FloatArray:
    """Negated decision values of a one-class SVM with an RBF kernel, shape (n,): above 0 is outside the boundary.

    Parameters
    ----------
    standardised
        Shape (n, n_features), in the space of the support vectors.
    state
        `support_vectors`, `dual_coef`, `intercept` and `gamma` of a fitted SVM.

    Raises
    ------
    InputError
        Rows of another length than the support vectors.
    """
    rows, vectors = np.asarray(standardised, dtype=np.float64), state["support_vectors"]
    if rows.ndim != 2 or rows.shape[1] != vectors.shape[1]:
        raise InputError(f"rows must have shape (n, {vectors.shape[1]}), got {rows.shape}")
    kernel = np.exp(-state["gamma"] * squared_distances(rows, vectors))
    scores: FloatArray = -(kernel @ state["dual_coef"] + state["intercept"])
    return scores


def kernel_gamma(setting: str | float, scaled: FloatArray) -> float:
    """Return the kernel's width for standardised rows: 1 / (n_features * variance) for `scale`, else the number."""
    return float(1.0 / (scaled.shape[1] * scaled.var())) if setting == "scale" else float(setting)


def block_starts(n_patches: int) -> list[int]:
    """First patch of each block of 10: hop 10, the last block ending at the clip's end; one block for a short clip."""
    if n_patches <= BLOCK_PATCHES:
        return [0]
    starts = list(range(0, n_patches - BLOCK_PATCHES + 1, BLOCK_PATCHES))
    return starts if starts[-1] == n_patches - BLOCK_PATCHES else [*starts, n_patches - BLOCK_PATCHES]


def _block_rows(patches: FloatArray) -> FloatArray:
    """Blocks of patches (n_patches, dimension) as rows, shape (n_blocks, 10 * dimension)."""
    return patch_blocks(patches).reshape(-1, BLOCK_PATCHES * patches.shape[1])


def patch_blocks(patches: FloatArray) -> FloatArray:
    """Blocks of ten patches, shape (n_blocks, 10, dimension); a shorter clip is repeated to ten."""
    rows = [(start + np.arange(BLOCK_PATCHES)) % len(patches) for start in block_starts(len(patches))]
    return patches[np.stack(rows)]


def _add_block_rows(graph: Graph, n_patches: str) -> str:
    """Add the patches of each block, int64, shape (n_blocks, 10), as `patch_blocks` takes them.

    Parameters
    ----------
    n_patches
        Int64, shape (1,).
    """
    length, zero = graph.constant([BLOCK_PATCHES]), graph.constant(0)
    n_blocks = graph.add("Div", graph.add("Add", n_patches, graph.constant([BLOCK_PATCHES - 1])), length)
    blocks = graph.add("Range", zero, graph.add("Squeeze", n_blocks), graph.constant(1))
    last = graph.add("Max", graph.add("Sub", n_patches, length), zero)
    starts = graph.add("Min", graph.add("Mul", blocks, length), last)
    within = graph.constant(np.arange(BLOCK_PATCHES))
    return graph.add("Mod", graph.add("Add", graph.add("Unsqueeze", starts, graph.constant([1])), within), n_patches)


def _add_sums(graph: Graph, values: str, patches: str, n_patches: str) -> str:
    """Add the sum of the values (n_blocks, 10) of each patch, float64, shape (n_patches,)."""
    flat = graph.constant([-1])
    values, patches = graph.add("Reshape", values, flat), graph.add("Reshape", patches, flat)
    nothing = graph.add("Expand", graph.constant(0.0), n_patches)
    return graph.add("ScatterElements", nothing, patches, values, axis=0, reduction="add")
