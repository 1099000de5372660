"""A network's errors in a graph: how they become a score and a map, as `contract.pool` and `NormalErrors` compute them.

All values are float64.
"""

from __future__ import annotations

from asd_core.detectors.contract import GWRP_DECAY
from asd_core.detectors.error_spectrum import NormalErrors
from asd_core.system.onnx_graphs import Graph


def add_time_pooling(graph: Graph, step_values: str, *, pooling: str) -> str:
    """Add `contract.pool`, shape (), of one value per time step, shape (n_steps,)."""
    if pooling == "max":
        return graph.add("ReduceMax", step_values, keepdims=0)
    if pooling == "std":
        apart = graph.add("Sub", step_values, graph.add("ReduceMean", step_values, keepdims=0))
        return graph.add("Sqrt", graph.add("ReduceMean", graph.add("Mul", apart, apart), keepdims=0))
    if pooling == "gwrp":
        return _add_gwrp(graph, step_values)
    return graph.add("ReduceMean", step_values, keepdims=0)


def _add_gwrp(graph: Graph, step_values: str) -> str:
    n_steps = graph.n_rows(step_values)
    falling, _ = graph.add_many("TopK", step_values, n_steps, n_outputs=2, largest=1, sorted=1)
    ranks = graph.add("Range", graph.constant(0), graph.add("Squeeze", n_steps), graph.constant(1))
    weights = graph.add("Pow", graph.constant(GWRP_DECAY), graph.to_double(ranks))
    total = graph.add("ReduceSum", graph.add("Mul", falling, weights), keepdims=0)
    return graph.add("Div", total, graph.add("ReduceSum", weights, keepdims=0))


def add_score(graph: Graph, errors: str, *, pooling: str, normal: NormalErrors | None) -> str:
    """Add the score, shape (), of errors (n_steps, n_mels); `normal` is None for poolings over time alone."""
    if normal is None:
        return add_time_pooling(graph, graph.add("ReduceMean", errors, axes=[1], keepdims=0), pooling=pooling)
    relative = graph.add("ReduceMean", add_relative(graph, errors, normal=normal), keepdims=0)
    if pooling == "relative":
        return relative
    distance = add_distance(graph, errors, normal=normal)
    return distance if pooling == "mahalanobis" else graph.add("Sqrt", graph.add("Mul", relative, distance))


def add_map(graph: Graph, errors: str, *, pooling: str, normal: NormalErrors | None) -> str:
    """Add the map's values, same shape as the errors (n_steps, n_mels), in the unit that goes with the pooling."""
    if normal is None:
        return errors
    if pooling == "mahalanobis":
        above = graph.add("Sub", errors, graph.constant(normal.mean))
        return graph.add("Div", above, graph.constant(normal.frame_spread))
    return add_relative(graph, errors, normal=normal)


def add_relative(graph: Graph, errors: str, *, normal: NormalErrors) -> str:
    """Add `NormalErrors.relative`."""
    return graph.add("Div", errors, graph.constant(normal.least_mean))


def add_distance(graph: Graph, errors: str, *, normal: NormalErrors) -> str:
    """Add `NormalErrors.distance`, shape (), of the errors' mean over time."""
    above = graph.add("Sub", graph.add("ReduceMean", errors, axes=[0], keepdims=0), graph.constant(normal.mean))
    strangeness = graph.add("Div", above, graph.constant(normal.clip_spread))
    whitened = graph.add("MatMul", graph.constant(normal.whitening), strangeness)
    return graph.add("Sqrt", graph.add("ReduceMean", graph.add("Mul", whitened, whitened), keepdims=0))
