"""SNAC's decoder in torch, arranged for windows: the same function of codes and noise as ``snac.SNAC.decode``.

What differs, none of it by more than float32's rounding:

- the noise is an argument, and what lies beyond the kept samples' needs is cut off behind the first stage;
- weight normalisation is folded into the weights;
- Snake, ``x + sin(a x)**2 / a``, is ``(p + sin(p)**2) / a`` with ``p = a x``, and its factors go into the convolutions
  around it. That saves two of its five passes over memory, and inside a residual unit three.

Importing this needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audio.snac.errors import WeightsUnusable
from audio.snac.layout import FRAME_POSITIONS, SECOND, STRIDES, THIRD
from audio.snac.noise import GAMMA, LAST_SHIFT, MIX
from audio.snac.packages import package
from audio.snac.window import Shape

torch: Any = package("torch", "decoding SNAC with torch")
nn: Any = torch.nn

FACTORS = (STRIDES[1], STRIDES[1] * STRIDES[2], STRIDES[1] * STRIDES[2] * STRIDES[3])
"""Steps a position that the second, third and fourth stage give."""
_LEAST_ALPHA = 1e-3
"""Snakes with a smaller factor in any channel stay as they are: scaling by it would cost precision."""


class Snake(nn.Module):
    """``x + sin(alpha x)**2 / (alpha + 1e-9)``, as in ``snac/layers.py``."""

    def __init__(self, alpha: Any) -> None:
        super().__init__()
        self.alpha = nn.Parameter(alpha.clone(), requires_grad=False)
        self.inverse = nn.Parameter((alpha + 1e-9).reciprocal(), requires_grad=False)

    def forward(self, x: Any) -> Any:
        sine = torch.sin(x * self.alpha)
        return torch.addcmul(x, self.inverse, sine * sine)


class ScaledSnake(nn.Module):
    """``alpha`` times a Snake. Without ``alpha``, of what was scaled by it before."""

    def __init__(self, alpha: Any = None) -> None:
        super().__init__()
        self.alpha = None if alpha is None else nn.Parameter(alpha.clone(), requires_grad=False)

    def forward(self, x: Any) -> Any:
        scaled = x if self.alpha is None else x * self.alpha
        sine = torch.sin(scaled)
        return torch.addcmul(scaled, sine, sine)


class ResidualUnit(nn.Module):
    def __init__(self, unit: Any) -> None:
        super().__init__()
        first, depthwise, second, pointwise = unit.block
        self.first = _snake_before(first.alpha, depthwise, channel=0)
        self.depthwise = depthwise
        self.second = _snake_between(second.alpha, depthwise, pointwise)
        self.pointwise = pointwise

    def forward(self, x: Any) -> Any:
        return x + self.pointwise(self.second(self.depthwise(self.first(x))))


class Stage(nn.Module):
    """Snake, transposed convolution, noise, three residual units."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        snake, upsample, noise, *units = block.block
        self.snake = _snake_before(snake.alpha, upsample, channel=0)
        self.upsample = upsample
        self.noise = noise.linear
        self.units = nn.Sequential(*map(ResidualUnit, units))

    def forward(self, x: Any, noise: Any) -> Any:
        x = self.upsample(self.snake(x))
        return self.units(torch.addcmul(x, noise, self.noise(x)))


class Network(nn.Module):
    """Takes over the layers of a ``snac.SNAC`` whose weight normalisation was folded, and changes their weights."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        first, second, *blocks, snake, final, _ = model.decoder.model
        self.codebooks = nn.ModuleList(quantizer.codebook for quantizer in model.quantizer.quantizers)
        self.projections = nn.ModuleList(quantizer.out_proj for quantizer in model.quantizer.quantizers)
        self.first = nn.Sequential(first, second)
        self.stages = nn.ModuleList(map(Stage, blocks))
        self.snake = _snake_before(snake.alpha, final, channel=1)
        self.final = final
        self.register_buffer("second", torch.tensor(SECOND), persistent=False)
        self.register_buffer("third", torch.tensor(THIRD), persistent=False)

    def forward(self, codes: Any, cut: Any, *noise: Any) -> Any:
        """``codes``: int64 ``[rows, frames, 7]``. ``cut``: two positions. ``noise``: ``[rows, 1, steps]`` each, for
        the first stage of all the window, for the others of what is left. Gives ``[rows, samples]``."""
        return self.decode(codes, cut[0], cut[1], noise)

    def decode(self, codes: Any, cut_from: Any, cut_to: Any, noise: Sequence[Any]) -> Any:
        x = self.stages[0](self.first(self._latents(codes)), noise[0])
        x = x[:, :, cut_from:cut_to]
        for stage, its_noise in zip(list(self.stages)[1:], noise[1:], strict=True):
            x = stage(x, its_noise)
        return torch.tanh(self.final(self.snake(x))).squeeze(1)

    def window(self, codes: Any, keys: Any, starts: Any, shape: Shape) -> Any:
        """The same with its noise. ``keys``: int64 ``[rows, 4]``, ``starts``: int64 ``[rows]``, on the same device."""
        first = starts * FRAME_POSITIONS
        noise = [normal(keys[:, 0], first, shape.frames * FRAME_POSITIONS)]
        first = first + shape.cut_from
        kept = shape.cut_to - shape.cut_from
        noise += [normal(keys[:, 1 + i], first * factor, kept * factor) for i, factor in enumerate(FACTORS)]
        kind = self.final.weight.dtype
        samples = self.decode(codes, shape.cut_from, shape.cut_to, [one.unsqueeze(1).to(kind) for one in noise])
        return samples.float()

    def _latents(self, codes: Any) -> Any:
        # `flatten` and `expand` keep every length dynamic in an exported graph.
        split = (
            codes[:, :, 0],
            codes.index_select(2, self.second).flatten(1),
            codes.index_select(2, self.third).flatten(1),
        )
        total = None
        for codebook, project, ids, times in zip(self.codebooks, self.projections, split, (4, 2, 1), strict=True):
            part = project(codebook(ids).transpose(1, 2)).unsqueeze(3).expand(-1, -1, -1, times).flatten(2)
            total = part if total is None else total + part
        return total


def load(folder: Path) -> Network:
    """The network with the weights of a folder, on the CPU. Raises ``PackageMissing`` or ``WeightsUnusable``."""
    snac = package("snac", "loading SNAC's weights")
    try:
        model = snac.SNAC.from_pretrained(str(folder))
    except Exception as error:
        raise WeightsUnusable("SNAC's weights cannot be loaded: the files are damaged or of another model") from error
    for module in model.modules():
        if nn.utils.parametrize.is_parametrized(module):
            nn.utils.parametrize.remove_parametrizations(module, "weight")
    network: Network = Network(model.requires_grad_(False)).eval()
    return network


def normal(keys: Any, first: Any, count: int) -> Any:
    """``noise.normal`` on the keys' device: int64 ``[rows]`` twice, float32 ``[rows, count]``."""
    index = first[:, None] + torch.arange(1, count + 1, device=keys.device)
    word = keys[:, None] + index * _signed(GAMMA)
    for shift, factor in MIX:
        word = (word ^ _shifted(word, shift)) * _signed(factor)
    word = word ^ _shifted(word, LAST_SHIFT)
    u = (_shifted(word, 40) + 1).float() * 2.0**-24
    v = (_shifted(word, 16) & 0xFFFFFF).float() * 2.0**-24
    return torch.sqrt(-2 * torch.log(u)) * torch.cos(2 * torch.pi * v)


def _signed(word: int) -> int:
    """The int64 with the bits of an unsigned word: torch has no arithmetic on those, and products wrap alike."""
    return word - (1 << 64) if word >> 63 else word


def _shifted(word: Any, by: int) -> Any:
    """A logical shift to the right, of which torch has only the arithmetic one."""
    return (word >> by) & ((1 << (64 - by)) - 1)


def _snake_before(alpha: Any, convolution: Any, *, channel: int) -> Any:
    """The Snake before a convolution, whose weight takes the factor. ``channel``: the weight's axis of inputs."""
    if not _scales(alpha):
        return Snake(alpha)
    shape = [1, 1, 1]
    shape[channel] = -1
    _scale(convolution.weight, 1 / alpha.double().reshape(shape))
    return ScaledSnake(alpha)


def _snake_between(alpha: Any, before: Any, behind: Any) -> Any:
    """The Snake between two convolutions, whose weights take both factors."""
    if not _scales(alpha):
        return Snake(alpha)
    factor = alpha.double().reshape(-1, 1, 1)
    _scale(before.weight, factor)
    _scale(before.bias, factor.reshape(-1))
    _scale(behind.weight, 1 / factor.reshape(1, -1, 1))
    return ScaledSnake()


def _scales(alpha: Any) -> bool:
    return bool(alpha.abs().min() >= _LEAST_ALPHA)


def _scale(parameter: Any, factor: Any) -> None:
    parameter.data = (parameter.data.double() * factor).to(parameter.dtype)
