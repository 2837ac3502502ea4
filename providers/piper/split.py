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
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from providers.piper.graph import DURATION_NOISE, Graph, NotPiper, attribute_of, is_a, serialised
from providers.piper.parts import Parts
from providers.piper.waists import waisted


def split(voice: Path) -> Parts:
    """The parts of a voice's ``.onnx`` file: half a second of work. Raises ``NotPiper``."""
    try:
        model = onnx.load(str(voice))
    except Exception as error:
        raise NotPiper("it is no ONNX file") from error
    graph = Graph(model)
    seams = _seams(graph)
    speaker = [seams.speaker] if seams.speaker else []
    frontend = graph.part(
        [value.name for value in model.graph.input] + ([DURATION_NOISE] if seams.noise else []),
        [seams.mean, seams.spread, seams.lengths, *speaker],
        noise=seams.noise,
    )
    flow = graph.part([seams.frames, *speaker], [seams.latent], one=seams.mask)
    generator = graph.part([seams.latent, *speaker], [model.graph.output[0].name])
    flow, flow_reaches = waisted(graph, flow, seams.frames, seams.latent)
    generator, generator_reaches = waisted(graph, generator, seams.latent, model.graph.output[0].name)
    hop = math.prod(
        attribute_of(node, "strides", [1])[0] for node in generator.graph.node if is_a(node, "ConvTranspose")
    )
    return Parts(serialised(frontend), serialised(flow), serialised(generator), hop, flow_reaches, generator_reaches)


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


def _seams(graph: Graph) -> _Seams:
    ceil = graph.one((node for node in graph.nodes if is_a(node, "Ceil")), "lengths")
    noises = [node.output[0] for node in graph.nodes if is_a(node, "RandomNormalLike")]
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


def _sum_of(graph: Graph, node: Any, mean: str) -> str:
    """From the noise on: it is scaled, and the mean is added to it."""
    while not is_a(node, "Add"):
        node = graph.one(graph.takers.get(node.output[0], ()), "ways from the noise to the frames")
    if mean not in node.input:
        raise NotPiper("its noise is not added to the mean")
    return str(node.output[0])


def _of_ids(graph: Graph, of_frames: str) -> str:
    """Of each id, what the graph spreads out over frames: a product, with both sides of it transposed."""
    product = graph.made(graph.made(of_frames, "Transpose").input[0], "MatMul")
    return str(graph.made(product.input[1], "Transpose").input[0])


def _latent(graph: Graph, frames: str) -> tuple[str, str]:
    """The generator's input, and the mask that it was multiplied by last."""
    node = next((node for node in graph.nodes if is_a(node, "ConvTranspose")), None)
    while node is not None and not is_a(node, "Conv"):
        # The first convolution is added to that of the speaker, which has no kernel.
        before = [graph.maker.get(name) for name in node.input[: 2 if is_a(node, "Add") else 1]]
        convolutions = [found for found in before if found is not None and is_a(found, "Conv")]
        others = [found for found in before if found is not None]
        node = next(filter(graph.has_kernel, convolutions), others[0] if others else None)
    if node is None:
        raise NotPiper("it has no generator")
    latent = str(node.input[0])
    product = graph.made(latent, "Mul", "Slice")
    if is_a(product, "Slice"):
        product = graph.made(product.input[0], "Mul")
    masks = [name for name in product.input if frames not in dict(graph.before([name]))]
    return latent, graph.one(masks, "masks")


def _speaker(graph: Graph) -> str | None:
    """The embedding of one of several speakers, as a column."""
    if all(value.name != "sid" for value in graph.model.graph.input):
        return None
    row = graph.one(graph.takers.get("sid", ()), "embeddings")
    return str(graph.one(graph.takers.get(row.output[0], ()), "speakers").output[0])
