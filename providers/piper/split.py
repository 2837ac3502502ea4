"""Takes a Piper voice's graph apart, so that its sound can be made a window at a time.

    ids ── frontend ──> for each id a mean, a spread and a length in frames
           (numpy)      noise of that mean and spread, that many frames long
           flow      ──> latent frames
           generator ──> sound, ``hop`` samples a frame

The frontend sees the whole sentence: what carries its melody is there. The other two are convolutions, so that a frame
depends on a known number of frames to either side, and windows with these around them join without a seam.

The graph makes its noise itself, differently in every run. Here noise is an input of the frontend, and made outside of
the graph for the flow: what is made then depends on the text alone. And the frames are laid out by numpy and not by
the graph's product with a matrix of ids times frames, which grows with the square of the sentence.

Piper's own names for tensors differ from one exporter to the next, so every seam is found by what the graph does.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import onnx
from onnx import TensorProto, helper

from providers.piper.parts import Parts, Reach

_NOISE = "duration_noise"


class NotPiper(ValueError):
    """The graph is not that of a Piper voice."""


def split(voice: Path) -> Parts:
    """The parts of a voice's ``.onnx`` file: half a second of work. Raises ``NotPiper``."""
    try:
        model = onnx.load(str(voice))
    except Exception as error:
        raise NotPiper("it is no ONNX file") from error
    graph = _Graph(model)
    seams = _seams(graph)
    speaker = [seams.speaker] if seams.speaker else []
    frontend = graph.part(
        [value.name for value in model.graph.input] + ([_NOISE] if seams.noise else []),
        [seams.mean, seams.spread, seams.lengths, *speaker],
        noise=seams.noise,
    )
    flow = graph.part([seams.frames, *speaker], [seams.latent], one=seams.mask)
    generator = graph.part([seams.latent, *speaker], [model.graph.output[0].name])
    hop = math.prod(_attribute(node, "strides", [1])[0] for node in generator.graph.node if _is(node, "ConvTranspose"))
    return Parts(
        frontend.SerializeToString(),
        flow.SerializeToString(),
        generator.SerializeToString(),
        hop,
        graph.reach(flow.graph.node, seams.frames, seams.latent),
        graph.reach(generator.graph.node, seams.latent, model.graph.output[0].name),
    )


class _Seams(NamedTuple):
    """Names of tensors."""

    noise: str | None
    """The noise for the lengths: made by the graph, and to be an input."""
    mean: str
    spread: str
    """Its logarithm."""
    lengths: str
    frames: str
    mask: str
    """Says which frames of a batch's sentence there are. One sentence has them all: it is 1 everywhere."""
    latent: str
    speaker: str | None


class _Graph:
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
            nodes.insert(0, helper.make_node("Identity", [_NOISE], [noise]))
        weights = [self.weights[name] for name in needed if name in self.weights]
        if one is not None:
            weights.append(helper.make_tensor(one, TensorProto.FLOAT, [1, 1, 1], [1.0]))
        inputs = [
            given.get(name) or helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None, None])
            for name in starts
            if name in needed or name in given or name == _NOISE
        ]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ends]
        graph = helper.make_graph(nodes, "part", inputs, outputs, weights)
        return helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)

    def reach(self, nodes: Iterable[Any], start: str, end: str) -> Reach:
        """How far ``end`` depends on ``start``, through ``nodes`` in their order. Frames are counted at ``start``."""
        spans = {start: _Span(0.0, 0.0, 1)}
        for node in nodes:
            taken = [spans[name] for name in node.input if name in spans]
            if taken:
                span = _Span(*(max(values) for values in zip(*taken, strict=True)))
                spans.update(dict.fromkeys(node.output, self._widened(node, span)))
        return Reach(math.ceil(spans[end].before), math.ceil(spans[end].behind))

    def _widened(self, node: Any, span: _Span) -> _Span:
        if node.op_type not in {"Conv", "ConvTranspose"}:
            return span
        padding, stride = _attribute(node, "pads", [0, 0])[0], _attribute(node, "strides", [1])[0]
        around = _attribute(node, "dilations", [1])[0] * (self._kernel(node) - 1) - padding
        if node.op_type == "ConvTranspose":
            return _Span(
                span.before + around / stride / span.rate,
                span.behind + padding / stride / span.rate,
                span.rate * stride,
            )
        if stride != 1:
            raise NotPiper("a convolution of it leaves frames out")
        return _Span(span.before + padding / span.rate, span.behind + around / span.rate, span.rate)

    def _kernel(self, node: Any) -> int:
        weight = self.weights.get(node.input[1])
        size = weight.dims[-1] if weight is not None else _attribute(node, "kernel_shape", [0])[0]
        return int(size)

    def has_kernel(self, node: Any) -> bool:
        return self._kernel(node) > 1


class _Span(NamedTuple):
    before: float
    behind: float
    rate: int
    """Steps a frame: upsampling makes them more, and so what depends on a step less."""


def _seams(graph: _Graph) -> _Seams:
    ceil = graph.one((node for node in graph.nodes if _is(node, "Ceil")), "lengths")
    noises = [node.output[0] for node in graph.nodes if _is(node, "RandomNormalLike")]
    for_lengths = [name for name, _ in graph.before(ceil.output) if name in noises]
    noise = graph.one((name for name in noises if name not in for_lengths), "noises of the frames")
    if len(for_lengths) > 1:
        raise NotPiper("it has several noises of the lengths")
    mean_frames = graph.maker[noise].input[0]
    scaled = graph.one(graph.takers[noise], "uses of the noise")
    spread_frames = graph.made(_other(scaled, noise), "Exp").input[0]
    frames = _sum_of(graph, scaled, mean_frames)
    latent, mask = _latent(graph, frames)
    return _Seams(
        noise=for_lengths[0] if for_lengths else None,
        mean=_of_ids(graph, mean_frames),
        spread=_of_ids(graph, spread_frames),
        lengths=ceil.output[0],
        frames=frames,
        mask=mask,
        latent=latent,
        speaker=_speaker(graph),
    )


def _other(node: Any, name: str) -> str:
    """The other input of a sum or a product."""
    if len(node.input) != 2 or name not in node.input:
        raise NotPiper(f"its {node.op_type} does not have two inputs")
    return str(node.input[0] if node.input[1] == name else node.input[1])


def _sum_of(graph: _Graph, node: Any, mean: str) -> str:
    """From the noise on: it is scaled, and the mean is added to it."""
    while not _is(node, "Add"):
        node = graph.one(graph.takers.get(node.output[0], ()), "ways from the noise to the frames")
    if mean not in node.input:
        raise NotPiper("its noise is not added to the mean")
    return str(node.output[0])


def _of_ids(graph: _Graph, of_frames: str) -> str:
    """Of each id, what the graph spreads out over frames: a product, with both sides of it transposed."""
    product = graph.made(graph.made(of_frames, "Transpose").input[0], "MatMul")
    return str(graph.made(product.input[1], "Transpose").input[0])


def _latent(graph: _Graph, frames: str) -> tuple[str, str]:
    """The generator's input, and the mask that it was multiplied by last."""
    node = next((node for node in graph.nodes if _is(node, "ConvTranspose")), None)
    while node is not None and not _is(node, "Conv"):
        # The first convolution is added to that of the speaker, which has no kernel.
        before = [graph.maker.get(name) for name in node.input[: 2 if _is(node, "Add") else 1]]
        convolutions = [found for found in before if found is not None and _is(found, "Conv")]
        others = [found for found in before if found is not None]
        node = next(filter(graph.has_kernel, convolutions), others[0] if others else None)
    if node is None:
        raise NotPiper("it has no generator")
    latent = str(node.input[0])
    product = graph.made(latent, "Mul", "Slice")
    if _is(product, "Slice"):
        product = graph.made(product.input[0], "Mul")
    masks = [name for name in product.input if frames not in dict(graph.before([name]))]
    return latent, graph.one(masks, "masks")


def _speaker(graph: _Graph) -> str | None:
    """The embedding of one of several speakers, as a column."""
    if all(value.name != "sid" for value in graph.model.graph.input):
        return None
    row = graph.one(graph.takers.get("sid", ()), "embeddings")
    return str(graph.one(graph.takers.get(row.output[0], ()), "speakers").output[0])


def _is(node: Any, kind: str) -> bool:
    return bool(node.op_type == kind)


def _attribute(node: Any, name: str, default: list[int]) -> list[int]:
    found = next((list(attribute.ints) for attribute in node.attribute if attribute.name == name), None)
    return found or default
