"""Many SNAC streams on a CUDA device: ours, the public decoder's way, and what the memory's bandwidth would allow.

A burst is the worst moment of so many streams: all of them have a window due at once, and the latency is the time until
each has its sound. At the speed of listening a burst of one frame may take 85 ms at most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from audio.snac import FRAME_SAMPLES, SAMPLE_RATE, Decoder, Stream
from audio.snac.backend import Backend, batch_of
from audio.snac.choice import Options, choose, cuda
from audio.snac.noise import stage_keys
from audio.snac.window import Shape, final, inner
from tests.bench.snac_work import FRAME, SLIDING, batch, middle, timed, traffic
from tests.bench.table import Figure
from tests.support import snac_weights
from tests.support.snac_weights import Reference, decibels

STREAMS = (1, 8, 32, 64, 128, 256)
_SIZES = (1, 8)
_PRECISIONS = ("float32", "tf32", "float16")
_COPIED = 1 << 30


def figures(weights: Path, *, quick: bool, device: str = "cuda", streams: Sequence[int] = STREAMS) -> list[Figure]:
    """``device``: ``cpu`` runs all of it there, slowly, to see that it runs."""
    if device == "cuda" and not cuda():
        return [Figure("SNAC on CUDA", "not measured: there is no CUDA device")]
    rounds = 3 if quick else 20
    usual = _usual(weights, device, rounds)
    bandwidth = _bandwidth(device)
    rows = [
        Figure("memory bandwidth, copying", f"{bandwidth / 1e9:.0f} GB/s"),
        Figure(f"the usual window of {SLIDING} frames, one stream after the other", _rate(1 / usual)),
    ]
    for precision in _PRECISIONS if device == "cuda" else _PRECISIONS[:1]:
        began = time.monotonic()
        options = Options(str(weights), backend="torch", device=device, precision=precision)
        choice = choose(options)
        rows.append(Figure(choice.backend.description, f"ready in {time.monotonic() - began:.1f} s"))
        rows.append(_error(choice.backend, weights))
        for size in _SIZES:
            rows += [_burst(choice.backend, count, size, rounds, usual, bandwidth) for count in streams]
        choice.backend.close()
    seconds = 3 if quick else 15
    return rows + [asyncio.run(_listening(weights, device, count, seconds)) for count in streams]


def _rate(frames: float) -> str:
    return f"{frames:.0f} frames/s, so {frames * FRAME:.0f} streams"


# ---- bursts


def _burst(backend: Backend, streams: int, size: int, rounds: int, usual: float, bandwidth: float) -> Figure:
    """Windows of ``size`` frames, one for each stream, in as large batches as the backend takes."""
    window = middle(size, backend.widths)
    most = backend.max_batch(window.shape)
    batches = [batch(window, min(most, streams - start)) for start in range(0, streams, most)]
    latencies: list[float] = []
    spent: list[float] = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        for one in batches:
            backend.decode(one)
            latencies += [time.perf_counter() - began] * len(one)
        spent.append(time.perf_counter() - began)
    took = median(spent[1:])
    p99 = _p99(latencies[streams:])
    floor = _floor(window.shape, streams, len(batches), bandwidth)
    rate = streams * size / took
    value = (
        f"{_rate(rate)}, p99 {p99 * 1000:.1f} ms; {rate * usual:.1f} times the usual way, {took / floor:.1f} times "
        f"the bandwidth's floor"
    )
    return Figure(f"burst of {streams} x {size} frame{'s' * (size > 1)}", value)


def _floor(shape: Shape, rows: int, batches: int, bandwidth: float) -> float:
    """Seconds that moving the activations and, for each batch, 13 million weights takes at least."""
    return (traffic(shape) * rows + batches * 4 * 13_000_000) / bandwidth


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100)[98] if len(values) > 1 else values[0]


def _error(backend: Backend, weights: Path) -> Figure:
    """Against a whole decode by the ``snac`` package, in float32 on the CPU."""
    frames = snac_weights.some_frames(24, 1)
    window = inner(final(12), final(20), 20, backend.widths)
    codes = np.array(frames[window.start : window.stop], dtype="<u2").tobytes()
    made = backend.decode(batch_of(window.shape, [codes], [stage_keys(1)], [window.start]))[0][window.kept]
    whole = Reference(weights).decode(frames, seed=1)[window.keep_from : window.keep_to]
    value = f"{np.abs(made - whole).max():.1e}, {decibels(made, whole):.0f} dB"
    return Figure("its largest difference from a whole decode", value)


# ---- the public decoder's way


def _usual(weights: Path, device: str, rounds: int) -> float:
    """Seconds a frame: a window of four frames for each, decoded by itself, as ``orpheus_tts/decoder.py`` does it."""
    import torch
    from snac import SNAC

    model: Any = SNAC.from_pretrained(str(weights)).eval().to(device)

    def one() -> None:
        with torch.inference_mode():
            codes = [torch.zeros(1, SLIDING * n, dtype=torch.int32, device=device) for n in (1, 2, 4)]
            sound = model.decode(codes)[:, :, FRAME_SAMPLES : 2 * FRAME_SAMPLES].detach().cpu().numpy()
            (sound * 32767).astype("int16").tobytes()

    for _ in range(3):
        one()
    return median(timed(one) for _ in range(rounds * 3))


def _bandwidth(device: str) -> float:
    """Bytes a second, read and written."""
    import torch

    size = _COPIED if device == "cuda" else _COPIED // 16
    source, target = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))

    def copy() -> None:
        target.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()

    copy()
    return 2 * size / median(timed(copy) for _ in range(7))


# ---- listeners


async def _listening(weights: Path, device: str, streams: int, seconds: float) -> Figure:
    """Through the service, with tokens exactly as fast as they are heard: who runs dry?"""
    decoder = Decoder(str(weights), backend="torch", device=device)
    await decoder.start()
    try:
        heard = await asyncio.gather(
            *(_listener(decoder, seed, seconds, FRAME * seed / streams) for seed in range(streams))
        )
    finally:
        stats = decoder.stats
        await decoder.close()
    firsts = [first for first, _ in heard]
    gaps = sum(late for _, late in heard)
    name = f"{streams} listeners, 82 tokens/s each"
    value = (
        f"{gaps * 1000:.0f} ms of gaps in all, first sound p99 {_p99(firsts) * 1000:.0f} ms, "
        f"{stats.windows / max(1, stats.batches):.1f} windows a batch"
    )
    return Figure(name, value, "no gap", gaps == 0)


async def _listener(decoder: Decoder, seed: int, seconds: float, delay: float) -> tuple[float, float]:
    """Seconds from the first frame to the first sound, and of silence in between. Frames come in real time."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(delay)
    async with decoder.open(seed) as stream:
        began = loop.time()
        feeding = asyncio.create_task(_feed(stream, began, round(seconds / FRAME)))
        first = dry = gaps = 0.0
        while (piece := await stream.samples()) is not None:
            now = loop.time()
            if not first:
                first, dry = now - began, now
            gaps += max(0.0, now - dry)
            dry = max(now, dry) + len(piece) / SAMPLE_RATE
        await feeding
        return first, gaps


async def _feed(stream: Stream, began: float, frames: int) -> None:
    loop = asyncio.get_running_loop()
    for index in range(frames):
        await asyncio.sleep(max(0.0, began + index * FRAME - loop.time()))
        stream.push((index % 4096,) * 7)
    stream.finish()
