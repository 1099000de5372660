"""Distance to the nearest training patches, on patch embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from asd_core.detectors.contract import State, TensorSpec
from asd_core.detectors.on_embeddings import (
    LeastStd,
    PatchDetector,
    add_squared_distances,
    add_standardised,
    no_least_std,
    seeded_rows,
    squared_distances,
    standard_scale,
)
from asd_core.detectors.silent_bands import STATE_SPEC
from asd_core.errors import InputError, UsageError
from asd_core.system.onnx_graphs import Graph
from asd_core.types import FloatArray

MAX_K = 100
MAX_REFERENCES = 100_000


@dataclass
class NearestNeighbours(PatchDetector):
    """Mean distance of each patch to its k nearest training patches; the clip's score is the mean over patches.

    Distances are Euclidean, on standardised features.

    Parameters
    ----------
    k
        Neighbours; 1 is the usual choice of anomalous sound detection without training (arXiv 2606.19269) and needs no
        tuning on labelled clips.
    max_references
        Training patches to keep; of more, a seeded draw is kept. 10 MB at 10,000.
    """

    k: int = 1
    max_references: int = 10_000

    name: ClassVar[str] = "vggish_knn"
    back_end: ClassVar[str] = "nearest neighbours"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"encoder": "vggish"},
        "quick": {"encoder": "logmel_stats"},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        check_neighbours(k=self.k, max_references=self.max_references)

    def state_spec(self) -> dict[str, TensorSpec]:
        """Names, types and shapes of scaling and standardised training patches."""
        width = self._encoder.dimension
        return {
            "mean": TensorSpec("float64", (width,)),
            "scale": TensorSpec("float64", (width,)),
            "references": TensorSpec("float64", (None, width)),
        } | STATE_SPEC

    def _fit_rows(self, rows: FloatArray) -> State:
        state = fit_references(
            rows,
            k=self.k,
            max_references=self.max_references,
            seed=self.seed,
            least_std=self._encoder.least_std,
        )
        self._drawn = (len(state["references"]), len(rows))
        return state

    def _patch_scores(self, patches: FloatArray) -> FloatArray:
        return neighbour_scores(patches, self._learned, k=self.k)

    def _restore(self, state: State) -> None:
        if not (state["scale"] > 0).all():
            raise InputError("scale must be positive")
        check_references(state["references"], k=self.k)
        super()._restore(state)

    def _add_patch_scores(self, graph: Graph, patches: str) -> str:
        references = self._learned["references"]
        scaled = add_standardised(graph, patches, self._learned)
        distances = add_squared_distances(graph, scaled, references)
        _, nearest = graph.add_many("TopK", distances, graph.constant([self.k]), n_outputs=2, largest=0)
        neighbours = graph.add("Gather", graph.constant(references), nearest)  # (n_patches, k, 128)
        gaps = graph.add("Sub", graph.add("Unsqueeze", scaled, graph.constant([1])), neighbours)
        squares = graph.add("ReduceSum", graph.add("Mul", gaps, gaps), graph.constant([2]), keepdims=0)
        return graph.add("ReduceMean", graph.add("Sqrt", squares), axes=[1], keepdims=0)


def check_neighbours(*, k: int, max_references: int) -> None:
    """Check the settings.

    Raises
    ------
    UsageError
        One is out of range.
    """
    if not 1 <= k <= MAX_K:
        raise UsageError(f"k must be 1..{MAX_K}, got {k}")
    if not k <= max_references <= MAX_REFERENCES:
        raise UsageError(f"max_references must be k..{MAX_REFERENCES}, got {max_references}")


def check_references(references: FloatArray, *, k: int) -> None:
    """Check that there are k of them.

    Raises
    ------
    InputError
        There are fewer.
    """
    if len(references) < k:
        raise InputError(f"k = {k} neighbours need as many training patches, got {len(references)}")


def fit_references(
    rows: FloatArray, *, k: int, max_references: int, seed: int, least_std: LeastStd = no_least_std
) -> State:
    """Learn `mean`, `scale` and `references`: the standardised rows, or a seeded draw of them.

    Parameters
    ----------
    rows
        Shape (n_rows, width).
    least_std
        See `standard_scale`.

    Raises
    ------
    InputError
        Fewer than k rows, or no column changes.
    """
    mean, scale = standard_scale(rows, least_std=least_std)
    references = seeded_rows((rows - mean) / scale, at_most=max_references, seed=seed)
    check_references(references, k=k)
    return {"mean": mean, "scale": scale, "references": references}


def neighbour_scores(rows: FloatArray, state: State, *, k: int) -> FloatArray:
    """Mean distances of rows (n_rows, width) to their k nearest references of `fit_references`, shape (n_rows,)."""
    scaled = (rows - state["mean"]) / state["scale"]
    references = state["references"]
    nearest = np.argpartition(squared_distances(scaled, references), k - 1, axis=1)[:, :k]
    # Computed from differences: the quick formula leaves an error of 1e-6 near zero.
    gaps = scaled[:, None] - references[nearest]  # (n_rows, k, width)
    distances: FloatArray = np.sqrt(np.square(gaps).sum(axis=2)).mean(axis=1)
    return distances
