"""ONNX graphs built node by node, and sessions that run them: the arithmetic of scores, here and where it is exported.

A graph is made from arrays that were checked before and is held in memory: nothing is read from a file that came with a
detector, and a graph has neither external data nor operators of its own. Opset 17 is read by ONNX Runtime 1.12 and
later. `onnx` and `onnxruntime` are imported where they are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import onnxruntime

OPSET, IR_VERSION = 17, 8
PRODUCER = "asd_core"
FEW_BYTES = 64
_TENSOR_FLOAT, _TENSOR_DOUBLE = 1, 11
"""ONNX's numbers of the types."""
Shape: TypeAlias = Sequence[int | str]


class Graph:
    """A graph under construction; a value in it is known by its name, which `add`, `input` and `constant` return."""

    def __init__(self) -> None:
        import onnx
        from onnx import helper

        # Built in place: `helper.make_graph` would copy the arrays again and again.
        self._model = onnx.ModelProto(ir_version=IR_VERSION, producer_name=PRODUCER)
        self._model.opset_import.append(helper.make_opsetid("", OPSET))
        self._model.graph.name = "detector"
        self._few: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._n_names = 0

    def input(self, name: str, shape: Shape, dtype: type[np.generic] = np.float32) -> str:
        """Declare an input; sizes that vary are named by strings."""
        self._model.graph.input.append(_described(name, shape, dtype))
        return name

    def output(self, value: str, name: str, shape: Shape, dtype: type[np.generic] = np.float32) -> None:
        """Give a value out under this name."""
        from onnx import helper

        self._model.graph.node.append(helper.make_node("Identity", [value], [name]))
        self._model.graph.output.append(_described(name, shape, dtype))

    def constant(self, values: Any, dtype: type[np.generic] | None = None) -> str:
        """Store an array (or a number, or a list of them) in the graph; Python's integers are int64.

        A few numbers that are there already, such as an axis, are not stored again: a session is prepared the sooner.
        """
        from onnx import helper

        array = np.asarray(values, dtype)
        content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        key = (array.dtype.str, array.shape, content)
        if key in self._few:
            return self._few[key]
        stored = self._model.graph.initializer.add()
        stored.name = name = self._name("constant")
        stored.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
        stored.dims.extend(array.shape)
        stored.raw_data = content
        if len(content) <= FEW_BYTES:
            self._few[key] = name
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one result, whose name is returned; an optional input left out is an empty name."""
        return self.add_many(operator, *inputs, n_outputs=1, **attributes)[0]

    def add_many(self, operator: str, *inputs: str, n_outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several results."""
        from onnx import helper

        outputs = [self._name(operator) for _ in range(n_outputs)]
        self._model.graph.node.append(helper.make_node(operator, list(inputs), outputs, **attributes))
        return outputs

    def rows(self, values: str, start: int | str, end: int | str, *, step: int = 1) -> str:
        """Every `step`-th row of a value from `start` up to `end`: numbers, or names of int64 values of shape (1,)."""
        first, last = (each if isinstance(each, str) else self.constant([each]) for each in (start, end))
        return self.add("Slice", values, first, last, self.constant([0]), self.constant([step]))

    def n_rows(self, values: str) -> str:
        """Size of a value's first axis, int64 of shape (1,)."""
        return self.add("Shape", values, start=0, end=1)

    def to_double(self, values: str) -> str:
        """Convert to float64."""
        return self.add("Cast", values, to=_TENSOR_DOUBLE)

    def to_float(self, values: str) -> str:
        """Convert to float32."""
        return self.add("Cast", values, to=_TENSOR_FLOAT)

    def to_bytes(self, *, metadata: Mapping[str, str] | None = None) -> bytes:
        """Serialise the graph: the bytes of a whole ONNX file, the same ones for the same construction."""
        from onnx import helper

        helper.set_model_props(self._model, dict(metadata or {}))
        serialised: bytes = self._model.SerializeToString(deterministic=True)
        return serialised

    def _name(self, kind: str) -> str:
        self._n_names += 1
        return f"{kind}_{self._n_names}"


def session(model: bytes, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """Prepare a graph for running on the processor, by default on the calling thread alone.

    One session may be run from many threads. One thread gives the same bits for one clip and for many, in every thread
    and process on one kind of processor.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # To plan which values may share memory takes as long as scoring a clip or two, and saves nothing measurable.
    options.enable_mem_reuse = False
    # Threads that spin while they wait for work slow a busy machine down.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _described(name: str, shape: Shape, dtype: type[np.generic]) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
