"""The decoder of a process: load, serve, close."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from audio.snac.backend import Backend, batch_of
from audio.snac.choice import BackendName, Choice, Options, choose
from audio.snac.errors import DecoderClosed, WeightsUnusable
from audio.snac.layout import FRAME_CODES, SAMPLE_RATE
from audio.snac.noise import stage_keys
from audio.snac.service import Service, Stats
from audio.snac.stream import Stream
from audio.snac.weights import HUB_ID
from audio.snac.window import final, inner

if TYPE_CHECKING:
    from audio.snac.torch_backend import Precision


class Decoder:
    """SNAC's decoder for all the streams of a process. Belongs to the event loop that it is started on.

    ``weights``: a folder with ``config.json`` and ``pytorch_model.bin``, a hub id, or an exported ``.onnx`` file.
    ``backend``, ``device``: what computes, and on what, such as ``cuda:1``; else the best there is.
    ``exact``: every sample is that of a whole decode. Otherwise the first 85 ms may come a frame sooner than they are
    final, and are about 82 dB away from it; everything behind them is exact all the same.
    ``cache``: the folder for the exported model; else beside the weights or in the user's cache.
    ``threads``: windows that are decoded at once on the CPU. ``max_batch``: windows that are decoded together on CUDA.
    ``max_frames``: the longest that a piece of sound may be; a long one costs less and holds the others up for longer.
    ``precision``: on CUDA; but for ``float32`` nothing is exact. ``max_streams``: beyond it comes ``DecoderBusy``.
    ``choose``: loads the backend, for tests.
    """

    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        weights: str = HUB_ID,
        *,
        backend: BackendName = "auto",
        device: str | None = None,
        exact: bool = True,
        cache: Path | str | None = None,
        threads: int | None = None,
        max_batch: int = 64,
        max_frames: int = 8,
        precision: Precision = "float32",
        max_streams: int = 1024,
        choose: Callable[[Options], Choice] = choose,
    ) -> None:
        folder = None if cache is None else Path(cache)
        self._options = Options(weights, backend, device, exact, folder, threads, max_batch, max_frames, precision)
        self._choose = choose
        self._max_streams = max_streams
        self._pool: ThreadPoolExecutor | None = None
        self._loading: asyncio.Future[tuple[Choice, float]] | None = None
        self._service: Service | None = None
        self._closed = False

    @property
    def backend(self) -> str:
        """What runs, and why, for a person."""
        if self._loading is None or not self._loading.done() or self._loading.exception() is not None:
            return "not started"
        return str(self._loading.result()[0])

    @property
    def stats(self) -> Stats:
        return Stats() if self._service is None else self._service.stats

    async def start(self) -> None:
        """Load the weights, export them where that was not done before, and decode something, so that the first stream
        costs what the hundredth does. Takes from half a second to some ten seconds. Called once.

        Raises a ``SnacError``, such as ``WeightsMissing`` or ``PackageMissing``, whose sentence says what to do.
        """
        if self._closed or self._loading is not None:
            raise DecoderClosed("a decoder is started once")
        loop = asyncio.get_running_loop()
        # A thread of its own loads: how many are wanted later is only known then.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="snac-load")
        self._loading = loop.run_in_executor(self._pool, _load, self._choose, self._options)
        # Whoever cancels a start does not stop the thread; `close` waits for it.
        await asyncio.wait([self._loading])
        try:
            choice, pace = self._loading.result()
        except BaseException:
            self._pool.shutdown(wait=True)
            raise
        if self._closed:
            raise DecoderClosed("the decoder was closed")
        self._pool.shutdown(wait=True)
        backend = choice.backend
        self._pool = ThreadPoolExecutor(backend.workers, thread_name_prefix="snac")
        self._service = Service(
            backend, self._pool, exact=self._options.exact, max_streams=self._max_streams, pace=pace
        )

    def open(self, seed: int = 0) -> Stream:
        """A stream with the noise of ``seed``, any integer: equal codes and seeds give equal samples.

        Raises ``DecoderClosed``; entering it may raise ``DecoderBusy``.
        """
        if self._service is None:
            raise DecoderClosed("the decoder was not started")
        return self._service.open(seed)

    async def close(self) -> None:
        """Fail the open streams, wait for what is being decoded, join the threads, free the memory. Callable twice."""
        self._closed = True
        if self._service is not None:
            await self._service.close()
        pool, self._pool = self._pool, None
        if self._loading is None or pool is None:
            return
        await asyncio.wait([self._loading])
        if self._loading.exception() is None:
            await asyncio.get_running_loop().run_in_executor(pool, self._loading.result()[0].backend.close)
        # Every thread is idle by now, so joining them takes no time.
        pool.shutdown(wait=True)


def _load(choose: Callable[[Options], Choice], options: Options) -> tuple[Choice, float]:
    choice = choose(options)
    try:
        return choice, _warm_up(choice.backend)
    except Exception as error:
        # Whatever the library raises that decodes: no stream could be served.
        choice.backend.close()
        raise WeightsUnusable(
            "SNAC was loaded and cannot decode: it is another model, or there is no memory for it"
        ) from error


def _warm_up(backend: Backend) -> float:
    """What a stream begins with, and the longest that comes later: whatever grows at first has grown then. Gives the
    seconds that a frame of work takes once it is warm, by which the very first stream is judged."""
    longest = backend.sizes[-1]
    first = inner(0, final(3), 3, backend.widths)
    spent = 0.0
    for window in (first, inner(final(9), final(9 + longest), 9 + longest, backend.widths), first):
        codes = bytes(2 * FRAME_CODES * window.shape.frames)
        batch = batch_of(window.shape, [codes], [stage_keys(0)], [window.start])
        began = perf_counter()
        backend.decode(batch)
        spent = perf_counter() - began
    return spent / first.shape.work
