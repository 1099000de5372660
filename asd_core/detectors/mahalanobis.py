"""Mahalanobis distance on patch embeddings, with the covariance of Ledoit and Wolf (2004).

Each patch of 128 numbers is one row: a block of ten has 1280, too many for a covariance from a few hundred clips.
scikit-learn only trains; scoring is NumPy on the stored arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from asd_core.detectors.contract import State, TensorSpec
from asd_core.detectors.covariance import whitening_of
from asd_core.detectors.on_embeddings import LeastStd, PatchDetector, no_least_std, standard_scale
from asd_core.detectors.silent_bands import STATE_SPEC
from asd_core.system.onnx_graphs import Graph
from asd_core.types import FloatArray


@dataclass
class Mahalanobis(PatchDetector):
    """Squared Mahalanobis distance of each patch to the training patches; the clip's score is the mean over patches.

    That mean is the clip's negative log-likelihood, up to constants, under one Gaussian for all patches. Features are
    standardised first, so that the shrinkage's target, a multiple of the identity, does not depend on their units.
    """

    name: ClassVar[str] = "vggish_mahalanobis"
    back_end: ClassVar[str] = "Mahalanobis distance"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"encoder": "vggish"},
        "quick": {"encoder": "logmel_stats"},
    }

    def state_spec(self) -> dict[str, TensorSpec]:
        """Names, types and shapes of the mean and of the matrix that whitens."""
        width = self._encoder.dimension
        spec = {"mean": TensorSpec("float64", (width,)), "whitening": TensorSpec("float64", (width, width))}
        return spec | STATE_SPEC

    def _fit_rows(self, rows: FloatArray) -> State:
        return fit_gaussian(rows, least_std=self._encoder.least_std)

    def _patch_scores(self, patches: FloatArray) -> FloatArray:
        return mahalanobis_scores(patches, self._learned)

    def _add_patch_scores(self, graph: Graph, patches: str) -> str:
        arrays = self._learned
        apart = graph.add("Sub", patches, graph.constant(arrays["mean"]))
        whitened = graph.add("MatMul", apart, graph.constant(arrays["whitening"].T))
        return graph.add("ReduceSum", graph.add("Mul", whitened, whitened), graph.constant([1]), keepdims=0)


def fit_gaussian(rows: FloatArray, *, least_std: LeastStd = no_least_std) -> State:
    """Learn `mean` and `whitening`, with which precision = whitening.T @ whitening.

    Parameters
    ----------
    rows
        Shape (n_rows, width), at least two rows.
    least_std
        See `standard_scale`.

    Raises
    ------
    InputError
        No column changes, or the rows vary in too few directions.
    """
    mean, scale = standard_scale(rows, least_std=least_std)
    return {"mean": mean, "whitening": whitening_of((rows - mean) / scale) / scale}


def mahalanobis_scores(rows: FloatArray, state: State) -> FloatArray:
    """Squared Mahalanobis distances of rows (n_rows, width) under what `fit_gaussian` learned, shape (n_rows,)."""
    whitened = (rows - state["mean"]) @ state["whitening"].T  # (n_rows, width)
    distances: FloatArray = np.square(whitened).sum(axis=1)
    return distances
