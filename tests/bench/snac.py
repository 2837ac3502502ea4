"""SNAC's decoder: what streaming costs beside one whole decode, and when the first sound comes.

``python -m tests.bench snac``, or ``python -m tests.bench.snac`` where the bench's other packages are missing. Where
there is a CUDA device it also measures many streams there, see ``snac_cuda``. The weights are random ones of the real
structure, which cost what the real ones do.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

from audio.snac import Decoder, SnacError, Stream
from audio.snac.backend import Backend
from audio.snac.choice import Options, choose, cores
from audio.snac.packages import has
from audio.snac.window import final, inner, last
from tests.bench import snac_cuda
from tests.bench.snac_work import FRAME, SLIDING, batch, in_turn, middle, multiplications, sliding, streamed, timed
from tests.bench.table import Figure, render
from tests.support import snac_weights

_SPEED = 2.0
_SECONDS = (1, 5, 30)
_AIM = 1.4
_TOKEN_RATES = (100, 200)


def figures(*, quick: bool) -> list[Figure]:
    missing = [name for name in ("torch", "snac", "onnx", "onnxruntime") if not has(name)]
    if missing:
        return [Figure("SNAC", f"not measured without {', '.join(missing)}: pip install 'voxwire[orpheus]'")]
    with tempfile.TemporaryDirectory() as folder:
        weights = snac_weights.write(Path(folder))
        return _cpu(weights, rounds=3 if quick else 9) + snac_cuda.figures(weights, quick=quick)


def _cpu(weights: Path, rounds: int) -> list[Figure]:
    backend = choose(Options(str(weights), backend="onnx", threads=1)).backend
    rows = [figure for seconds in _SECONDS for figure in _work(backend, seconds, max(2, rounds * 5 // (seconds + 4)))]
    rows += _streams(backend, rounds)
    backend.close()
    return rows + asyncio.run(_first_sound(weights, rounds))


def _work(backend: Backend, seconds: int, rounds: int) -> list[Figure]:
    frames = round(seconds / FRAME)
    decoding = median(timed(lambda: backend.decode(batch(middle(4)))) for _ in range(3))
    kinds = {
        "whole": [last(0, frames)],
        "streamed": streamed(frames, _SPEED, backend, decoding),
        "sliding": sliding(frames),
    }
    times = in_turn(backend, kinds, rounds)
    ratios = {
        name: median(mine / whole for mine, whole in zip(times[name], times["whole"], strict=True)) for name in kinds
    }
    counted = {name: multiplications(windows) / multiplications(kinds["whole"]) for name, windows in kinds.items()}
    aim = (f"<= {_AIM:g}", ratios["streamed"] <= _AIM) if seconds == _SECONDS[-1] else ("", None)
    pieces = f"{ratios['streamed']:.2f}, {len(kinds['streamed'])} pieces ({counted['streamed']:.2f} in multiplications)"
    usual = f"{ratios['sliding']:.2f} ({counted['sliding']:.2f} in multiplications)"
    return [
        Figure(f"decoding {seconds} s as a stream / as a whole, CPU", pieces, *aim),
        Figure(f"the same with the usual window of {SLIDING} frames", usual),
    ]


def _streams(backend: Backend, rounds: int) -> list[Figure]:
    """How many streams at the speed of listening one thread decodes, by how long their pieces are."""
    rows = []
    for size in (1, 2, 4, 8):
        spent = median(timed(lambda size=size: backend.decode(batch(middle(size)))) for _ in range(rounds))
        value = f"{spent * 1000:.0f} ms, so {size * FRAME / spent:.1f} streams"
        rows.append(Figure(f"a piece of {size} frame{'s' * (size > 1)} on one thread", value))
    spent = median(timed(lambda: backend.decode(batch(sliding(SLIDING)[0]))) for _ in range(rounds))
    value = f"{spent * 1000:.0f} ms a frame, so {FRAME / spent:.1f} streams"
    return [*rows, Figure(f"the usual window of {SLIDING} frames on one thread", value)]


# ---- the first sound


async def _first_sound(weights: Path, rounds: int) -> list[Figure]:
    rows = []
    for exact in (True, False):
        decoder = Decoder(str(weights), backend="onnx", exact=exact)
        await decoder.start()
        for rate in _TOKEN_RATES:
            heard = [await _until_heard(decoder, 7 / rate) for _ in range(rounds)]
            first = median(delay for delay, _ in heard)
            length = median(samples for _, samples in heard) / 24
            name = f"first 7 tokens to the first sound at {rate} tokens/s, {'exact' if exact else 'fast'}"
            rows.append(Figure(name, f"{first * 1000:.0f} ms, which is {length:.0f} ms long"))
        await decoder.close()
    backend = choose(Options(str(weights), backend="onnx", threads=1)).backend
    window = inner(0, final(3), 3)
    spent = median(timed(lambda: backend.decode(batch(window))) for _ in range(3 * rounds))
    backend.close()
    return [*rows, Figure("decoding the first piece", f"{spent * 1000:.0f} ms")]


async def _until_heard(decoder: Decoder, interval: float) -> tuple[float, int]:
    """Seconds from the first frame to the first piece, and its samples. A frame comes every ``interval`` seconds."""
    loop = asyncio.get_running_loop()
    async with decoder.open() as stream:
        frame = (0,) * 7
        began = loop.time()
        for index in range(12):
            loop.call_at(began + index * interval, _push, stream, frame)
        piece = await stream.samples()
        assert piece is not None
        return time.monotonic() - began, len(piece)


def _push(stream: Stream, frame: tuple[int, ...]) -> None:
    try:
        stream.push(frame)
    except SnacError:
        # The measurement is over.
        return


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.snac", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rows = figures(quick=parser.parse_args().quick)
    print(", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime") if has(name)), f"{cores()} cores")
    print()
    print(render(rows))


if __name__ == "__main__":
    main()
