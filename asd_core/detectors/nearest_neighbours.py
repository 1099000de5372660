"""Distance to the nearest training patches, on patch embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from asd_core.detectors.contract import State, TensorSpec
from asd_core.detectors.on_embeddings import (
    PatchDetector,
    add_squared_distances,
    add_standardised,
    squared_distances,
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
        if not 1 <= self.k <= MAX_K:
            raise UsageError(f"k must be 1..{MAX_K}, got {self.k}")
        if not self.k <= self.max_references <= MAX_REFERENCES:
            raise UsageError(f"max_references must be k..{MAX_REFERENCES}, got {self.max_references}")

    def state_spec(self) -> dict[str, TensorSpec]:
        """Names, types and shapes of scaling and standardised training patches."""
        width = self._encoder.dimension
        return {
            "mean": TensorSpec("float64", (width,)),
            "scale": TensorSpec("float64", (width,)),
            "references": TensorSpec("float64", (None, width)),
        } | STATE_SPEC

    def _fit_rows(self, rows: FloatArray) -> State:
        mean, scale = self._standard_scale(rows)
        references = self._draw((rows - mean) / scale, at_most=self.max_references)
        self._check_references(references)
        return {"mean": mean, "scale": scale, "references": references}

    def _check_references(self, references: FloatArray) -> None:
        if len(references) < self.k:
            raise InputError(f"k = {self.k} neighbours need as many training patches, got {len(references)}")

    def _patch_scores(self, patches: FloatArray) -> FloatArray:
        arrays = self._learned
        scaled = (patches - arrays["mean"]) / arrays["scale"]
        references = arrays["references"]
        nearest = np.argpartition(squared_distances(scaled, references), self.k - 1, axis=1)[:, : self.k]
        # Computed from differences: the quick formula leaves an error of 1e-6 near zero.
        gaps = scaled[:, None] - references[nearest]  # (n_patches, k, 128)
        distances: FloatArray = np.sqrt(np.square(gaps).sum(axis=2)).mean(axis=1)
        return distances

    def _restore(self, state: State) -> None:
        if not (state["scale"] > 0).all():
            raise InputError("scale must be positive")
        self._check_references(state["references"])
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
