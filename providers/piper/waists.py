"""Where a part of a graph is one tensor wide: there what a window no longer depends on is cut off.

A window is made with what it depends on at either side. Most of that is needed by the first layers and next to none by
the last, which have the most steps of a frame and so the most work. So at the waists between them only as much goes on
as is still needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from onnx import TensorProto, helper

from providers.piper.graph import Graph
from providers.piper.parts import Reaches

_WORTH_IT = 0.5
"""Frames at either side that a cut has to save: it costs a copy."""
_AXIS = "waist_axis"


def waisted(graph: Graph, part: Any, start: str, end: str) -> tuple[Any, Reaches]:
    """``part`` with two more inputs for each waist, ``from_N`` and ``to_N``, the steps that it goes on with; and how
    far ``end`` depends on ``start`` and on each waist.
    """
    nodes = list(part.graph.node)
    spans, reaches = graph.spans(nodes, start), [graph.reach(nodes, start, end)]
    kept: float = reaches[0].before + reaches[0].behind
    cut: dict[int, str] = {}
    for position, waist in _waists(nodes, start, end):
        rate = spans[waist].rate
        reach = graph.reach(nodes[position + 1 :], waist, end)._replace(rate=rate)
        needed = (reach.before + reach.behind) / rate
        if kept - needed >= 2 * _WORTH_IT:
            kept, cut[position] = needed, waist
            reaches.append(reach)
    return _cut(part, nodes, cut), tuple(reaches)


def _waists(nodes: Sequence[Any], start: str, end: str) -> Iterator[tuple[int, str]]:
    """The tensors that all that depends on ``start`` passes through, each with the place of the node that makes it."""
    last_use = {name: position for position, node in enumerate(nodes) for name in node.input}
    alive = {start}
    for position, node in enumerate(nodes):
        if not alive.isdisjoint(node.input):
            alive.update(node.output)
        alive = {name for name in alive if last_use.get(name, -1) > position}
        if len(alive) == 1 and end not in node.output:
            yield from ((position, name) for name in alive if name in node.output)


def _cut(part: Any, nodes: Sequence[Any], cut: dict[int, str]) -> Any:
    graph = part.graph
    made, inputs = [], list(graph.input)
    renamed: dict[str, str] = {}
    for position, node in enumerate(nodes):
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        made.append(node)
        if position in cut:
            number, waist = len(renamed) + 1, cut[position]
            steps = [f"from_{number}", f"to_{number}"]
            inputs += (helper.make_tensor_value_info(name, TensorProto.INT64, [1]) for name in steps)
            renamed[waist] = f"waist_{number}"
            made.append(helper.make_node("Slice", [waist, *steps, _AXIS], [renamed[waist]]))
    weights = [*graph.initializer, helper.make_tensor(_AXIS, TensorProto.INT64, [1], [2])]
    parted = helper.make_graph(made, graph.name, inputs, graph.output, weights)
    return helper.make_model(parted, opset_imports=part.opset_import, ir_version=part.ir_version)
