"""The decoder of a process: started, closed, and what it says, without a model."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from audio.snac import Decoder, DecoderClosed, WeightsMissing, WeightsUnusable
from audio.snac.backend import Batch
from audio.snac.choice import Choice, Options
from tests.audio.snac.fake_backend import FakeBackend, frame
from tests.support.virtual_time import outcome, virtual_time


def made_of(backend: FakeBackend) -> Decoder:
    return Decoder("anywhere", choose=lambda _: Choice(backend, "for a test"))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("snac")]


@virtual_time
async def test_it_says_what_runs_and_why() -> None:
    decoder = made_of(FakeBackend())
    assert decoder.backend == "not started"
    await decoder.start()
    assert decoder.backend == "a fake (for a test)"
    assert decoder.sample_rate == 24_000
    await decoder.close()


@virtual_time
async def test_the_backend_is_warm_before_the_first_stream() -> None:
    backend = FakeBackend()
    decoder = made_of(backend)
    await decoder.start()
    assert {batch.shape.frames for batch in backend.batches} == {3, 13}
    await decoder.close()


@virtual_time
async def test_how_fast_it_is_is_known_before_the_first_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("audio.snac.decoder.perf_counter", lambda: now)

    class Slow(FakeBackend):
        def decode(self, batch: Batch) -> NDArray[np.float32]:
            nonlocal now
            # Three frames take 1.3 frames' worth of work.
            now += 0.06
            return super().decode(batch)

    decoder = made_of(Slow())
    await decoder.start()
    async with decoder.open() as stream:
        for _ in range(12):
            stream.push(frame(1))
        assert len(await stream.get() or b"") > 2 * 1344
    await decoder.close()


@virtual_time
async def test_a_model_that_loads_and_cannot_decode_is_said_so_and_let_go() -> None:
    backend = FakeBackend()
    backend.errors[0] = RuntimeError("no such input: codes")
    decoder = made_of(backend)
    assert isinstance(await outcome(decoder.start()), WeightsUnusable)
    assert backend.closed == 1
    await decoder.close()
    assert not threads()


@virtual_time
async def test_after_close_its_threads_are_gone_and_the_memory_is_free() -> None:
    backend = FakeBackend(workers=2)
    decoder = made_of(backend)
    await decoder.start()
    async with decoder.open(seed=1) as stream:
        for _ in range(3):
            stream.push(frame(1))
        assert await stream.get()
        assert threads()
        await decoder.close()
        assert not threads()
        assert backend.closed == 1
        await decoder.close()
        assert isinstance(await outcome(stream.get()), DecoderClosed)


@virtual_time
async def test_close_waits_for_the_batch_under_way() -> None:
    backend = FakeBackend()
    decoder = made_of(backend)
    await decoder.start()
    await backend.begun()
    await backend.begun()
    async with decoder.open() as stream:
        backend.hold()
        for _ in range(3):
            stream.push(frame(1))
        await backend.begun()
        closing = asyncio.ensure_future(decoder.close())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not closing.done()
        backend.release()
        await closing
    assert not threads()


@virtual_time
async def test_a_start_that_fails_says_why_and_leaves_nothing() -> None:
    def choose(_: Options) -> Choice:
        raise WeightsMissing("there are no weights")

    decoder = Decoder("nowhere", choose=choose)
    with pytest.raises(WeightsMissing):
        await decoder.start()
    assert decoder.backend == "not started"
    assert isinstance(await outcome(decoder.start()), DecoderClosed)
    await decoder.close()
    assert not threads()


@virtual_time
async def test_a_close_during_the_start_waits_and_frees_what_was_loaded() -> None:
    backend = FakeBackend()
    backend.hold()
    decoder = made_of(backend)
    starting = asyncio.ensure_future(decoder.start())
    await backend.begun()
    closing = asyncio.ensure_future(decoder.close())
    await asyncio.sleep(0)
    backend.release()
    await closing
    assert isinstance(await outcome(starting), DecoderClosed)
    assert backend.closed == 1
    assert not threads()


@virtual_time
async def test_a_cancelled_start_is_cleaned_up_by_close() -> None:
    backend = FakeBackend()
    backend.hold()
    decoder = made_of(backend)
    starting = asyncio.ensure_future(decoder.start())
    await backend.begun()
    starting.cancel()
    await asyncio.wait([starting])
    backend.release()
    await decoder.close()
    assert backend.closed == 1
    assert not threads()


@virtual_time
async def test_it_opens_nothing_before_it_is_started_and_after_it_is_closed() -> None:
    decoder = made_of(FakeBackend())
    with pytest.raises(DecoderClosed):
        decoder.open()
    await decoder.close()
    assert isinstance(await outcome(decoder.start()), DecoderClosed)


@virtual_time
async def test_it_counts_what_it_does() -> None:
    decoder = made_of(FakeBackend())
    assert decoder.stats.batches == 0
    await decoder.start()
    async with decoder.open() as stream:
        for _ in range(3):
            stream.push(frame(1))
        stream.finish()
        while await stream.get():
            pass
    assert decoder.stats.samples == 3 * 2048
    assert decoder.stats.windows == decoder.stats.batches > 0
    await decoder.close()
