"""A voice's graph: what depends on what, a part of it as a model, and how far a part's end depends on its beginning."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from providers.piper.parts import Reach

DURATION_NOISE = "duration_noise"
_ROW = {"dilations": [1], "kernel_shape": [1], "strides": [1], "output_padding": [0]}
"""What a convolution's attributes are in the dimension that it is given."""
_FAR = frozenset(("MatMul", "Gemm", "Softmax", "LSTM", "GRU", "RNN", "CumSum", "Resize", "Pad"))
"""What other kinds of voices have behind their noise."""
_AXES_ARE_INPUTS = 13
"""Since this version of ONNX's operators."""


def serialised(model: Any) -> bytes:
    """The part as a file, with each convolution over a picture of one row instead of a line: the same sums, for which
    onnxruntime has faster code, by a tenth to a fifth.
    """
    graph, axis = model.graph, "row_axis"
    if max(opset.version for opset in model.opset_import if not opset.domain) < _AXES_ARE_INPUTS:
        return bytes(model.SerializeToString())
    weights = {weight.name: weight for weight in graph.initializer}
    graph.initializer.append(numpy_helper.from_array(np.array([2]), axis))
    nodes = []
    for number, node in enumerate(graph.node):
        kernel = weights.get(node.input[1]) if node.op_type in {"Conv", "ConvTranspose"} else None
        if kernel is None:
            nodes.append(node)
            continue
        if len(kernel.dims) == 3:
            kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel)[:, :, None], kernel.name))
        for attribute in node.attribute:
            if attribute.name == "pads":
                before, behind = attribute.ints
                attribute.ints[:] = [0, before, 0, behind]
            elif attribute.name in _ROW:
                attribute.ints[:] = _ROW[attribute.name] + list(attribute.ints)
        nodes.append(helper.make_node("Unsqueeze", [node.input[0], axis], [f"row_in_{number}"]))
        nodes.append(node)
        nodes.append(helper.make_node("Squeeze", [f"row_out_{number}", axis], [node.output[0]]))
        node.input[0], node.output[0] = f"row_in_{number}", f"row_out_{number}"
    parted = helper.make_graph(nodes, graph.name, graph.input, graph.output, graph.initializer)
    made = helper.make_model(parted, opset_imports=model.opset_import, ir_version=model.ir_version)
    return bytes(made.SerializeToString())


class NotPiper(ValueError):
    """The graph is not that of a Piper voice."""


class Graph:
    """A graph with an index of who makes and who takes what."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.weights = {weight.name: weight for weight in model.graph.initializer}
        self.maker = {name: node for node in self.nodes for name in node.output}
        self.takers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)

    def before(self, ends: Iterable[str], starts: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
        """The tensors that ``ends`` depend on, with the node that makes each; ``starts`` are not gone beyond."""
        seen: set[str] = set()
        waiting = list(ends)
        while waiting:
            name = waiting.pop()
            if name and name not in seen:
                seen.add(name)
                node = None if name in starts else self.maker.get(name)
                waiting.extend(node.input if node is not None else ())
                yield name, node

    def made(self, name: str, *kinds: str) -> Any:
        """The node that makes ``name``, which is one of ``kinds``. Raises ``NotPiper``."""
        node = self.maker.get(name)
        if node is None or node.op_type not in kinds:
            raise NotPiper(f"its {name} is not made by {' or '.join(kinds)}")
        return node

    def one(self, nodes: Iterable[Any], what: str) -> Any:
        found = list(nodes)
        if len(found) != 1:
            raise NotPiper(f"it has {len(found)} of {what}")
        return found[0]

    def part(self, starts: list[str], ends: list[str], *, noise: str | None = None, one: str | None = None) -> Any:
        """The nodes between as a model. ``noise`` becomes an input, ``one`` the number 1."""
        cut = {name for name in (*starts, one, noise) if name}
        needed = dict(self.before(ends, cut))
        given = {value.name: value for value in self.model.graph.input}
        missing = [name for name, node in needed.items() if node is None and name not in {*cut, *self.weights}]
        if missing:
            raise NotPiper(f"a part of it depends on {missing[0]}")
        # By identity: a node is no key, and has several outputs.
        kept = {id(node) for node in needed.values() if node is not None}
        nodes = [node for node in self.nodes if id(node) in kept]
        if noise is not None:
            nodes.insert(0, helper.make_node("Identity", [DURATION_NOISE], [noise]))
        weights = [self.weights[name] for name in needed if name in self.weights]
        if one is not None:
            weights.append(helper.make_tensor(one, TensorProto.FLOAT, [1, 1, 1], [1.0]))
        inputs = [
            given.get(name) or helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None, None])
            for name in starts
            if name in needed or name in given or name == DURATION_NOISE
        ]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ends]
        graph = helper.make_graph(nodes, "part", inputs, outputs, weights)
        return helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)

    def reach(self, nodes: Iterable[Any], start: str, end: str) -> Reach:
        """How far ``end`` depends on ``start``, through ``nodes`` in their order. Steps are counted at ``start``."""
        span = self.spans(nodes, start)[end]
        return Reach(math.ceil(span.before), math.ceil(span.behind))

    def spans(self, nodes: Iterable[Any], start: str) -> dict[str, Span]:
        """How far each tensor that depends on ``start`` does so."""
        spans = {start: Span(0.0, 0.0, 1)}
        for node in nodes:
            taken = [spans[name] for name in node.input if name in spans]
            if taken:
                span = Span(*(max(values) for values in zip(*taken, strict=True)))
                spans.update(dict.fromkeys(node.output, self._widened(node, span)))
        return spans

    def _widened(self, node: Any, span: Span) -> Span:
        if node.op_type in _FAR:
            raise NotPiper(f"a frame of it depends on all others, by {node.op_type}")
        if node.op_type not in {"Conv", "ConvTranspose"}:
            return span
        (padding, ending), stride = attribute_of(node, "pads", [0, 0]), attribute_of(node, "strides", [1])[0]
        around = attribute_of(node, "dilations", [1])[0] * (self._kernel(node) - 1)
        if node.op_type == "ConvTranspose":
            if around + 1 - padding - ending + attribute_of(node, "output_padding", [0])[0] != stride:
                raise NotPiper("a convolution of it does not make as many steps of each as it should")
            before, behind = (around - padding) / stride, padding / stride
            return Span(span.before + before / span.rate, span.behind + behind / span.rate, span.rate * stride)
        if stride != 1 or around != padding + ending:
            raise NotPiper("a convolution of it leaves frames out")
        return Span(span.before + padding / span.rate, span.behind + ending / span.rate, span.rate)

    def _kernel(self, node: Any) -> int:
        weight = self.weights.get(node.input[1])
        size = weight.dims[-1] if weight is not None else attribute_of(node, "kernel_shape", [0])[0]
        return int(size)

    def has_kernel(self, node: Any) -> bool:
        return self._kernel(node) > 1


class Span(NamedTuple):
    """How far a tensor depends on another, in the other's steps."""

    before: float
    behind: float
    rate: int
    """Steps of the one to a step of the other: upsampling makes them more, and so what depends on a step less."""


def is_a(node: Any, kind: str) -> bool:
    return bool(node.op_type == kind)


def attribute_of(node: Any, name: str, default: list[int]) -> list[int]:
    found = next((list(attribute.ints) for attribute in node.attribute if attribute.name == name), None)
    return found or default
