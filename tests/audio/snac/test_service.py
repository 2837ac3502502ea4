"""The streams of a process and the threads that decode them, without a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import asynccontextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from audio.snac import BadFrame, DecodeFailed, DecoderBusy, DecoderClosed, StreamEnded, StreamOverrun
from audio.snac import stream as streams
from audio.snac.service import Service
from audio.snac.stream import Stream, to_pcm
from tests.audio.snac.fake_backend import FakeBackend, frame, sound
from tests.support.virtual_time import outcome, settle, virtual_time


@asynccontextmanager
async def serving(
    backend: FakeBackend, *, exact: bool = True, max_streams: int = 100, pace: float = 0.0
) -> AsyncIterator[Service]:
    pool = ThreadPoolExecutor(backend.workers, thread_name_prefix="snac-test")
    service = Service(backend, pool, exact=exact, max_streams=max_streams, pace=pace)
    try:
        yield service
    finally:
        backend.release()
        await service.close()
        pool.shutdown(wait=True)


async def rest(stream: Stream) -> NDArray[np.float32]:
    pieces = []
    while (piece := await stream.samples()) is not None:
        pieces.append(piece)
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)


def push(stream: Stream, *codes: int) -> None:
    for code in codes:
        stream.push(frame(code))


@virtual_time
async def test_what_is_pushed_comes_out_whole_and_in_order() -> None:
    async with serving(FakeBackend()) as service, service.open(0) as stream:
        push(stream, *range(50))
        stream.finish()
        assert np.array_equal(await rest(stream), sound(*range(50)))
        assert await stream.get() is None


@virtual_time
async def test_sound_comes_while_frames_still_do() -> None:
    async with serving(FakeBackend()) as service, service.open(0) as stream:
        push(stream, 1, 2, 3)
        assert len(await stream.get() or b"") == 2 * 1344


@virtual_time
async def test_an_utterance_without_frames_is_empty() -> None:
    async with serving(FakeBackend()) as service, service.open(0) as stream:
        stream.finish()
        assert await stream.get() is None


@virtual_time
async def test_less_than_a_full_piece_goes_when_the_listener_would_run_dry() -> None:
    async with serving(FakeBackend()) as service, service.open(0) as stream:
        push(stream, 1, 2, 3)
        await stream.samples()
        push(stream, 4)
        began = asyncio.get_running_loop().time()
        assert len(await stream.samples()) == 2048
        waited = asyncio.get_running_loop().time() - began
        assert 0.03 < waited < 1344 / 24000


@virtual_time
async def test_the_very_first_stream_of_a_slow_processor_begins_with_more() -> None:
    for pace, first in ((0.0, 1344), (0.03, 3392)):
        async with serving(FakeBackend(), pace=pace) as service, service.open(0) as stream:
            push(stream, *range(9))
            assert len(await stream.samples()) == first


@virtual_time
async def test_pcm_is_the_samples_rounded() -> None:
    assert np.frombuffer(to_pcm(np.array([-1, 0, 0.5, 1], dtype=np.float32)), "<i2").tolist() == [
        -32767,
        0,
        16384,
        32767,
    ]


@virtual_time
async def test_windows_of_several_streams_are_decoded_together() -> None:
    backend = FakeBackend(rows=8)
    async with serving(backend) as service:
        opened = [service.open(seed) for seed in range(8)]
        for stream in opened:
            await stream.__aenter__()
            push(stream, 1, 2, 3)
        await opened[0].samples()
        assert [len(batch) for batch in backend.batches] == [8]
        for stream in opened:
            await stream.__aexit__(None, None, None)


@virtual_time
async def test_each_row_has_the_noise_of_its_stream_and_place() -> None:
    backend = FakeBackend()
    async with serving(backend) as service, service.open(5) as one, service.open(6) as other:
        push(one, 1, 2, 3)
        push(other, 1, 2, 3)
        await other.samples()
    (batch,) = backend.batches
    assert [tuple(map(int, row)) for row in batch.keys] == [one.keys, other.keys]
    assert batch.starts.tolist() == [0, 0]


@virtual_time
async def test_a_stream_that_nobody_has_heard_yet_goes_before_others() -> None:
    backend = FakeBackend(rows=1)
    async with serving(backend) as service, service.open(0) as old, service.open(1) as new:
        push(old, *[1] * 3)
        await backend.begun()
        await old.samples()
        backend.hold()
        push(old, *[1] * 20)
        await backend.begun()
        push(new, 2, 2, 2)
        backend.release()
        await new.samples()
        assert [int(batch.codes[0, 0, 0]) for batch in backend.batches][:3] == [1, 1, 2]


@virtual_time
async def test_a_stream_that_is_left_is_never_decoded() -> None:
    backend = FakeBackend(rows=1)
    async with serving(backend) as service:
        async with service.open(0) as busy:
            backend.hold()
            push(busy, 1, 1, 1)
            await backend.begun()
            async with service.open(1) as left:
                push(left, 2, 2, 2)
                left.finish()
            backend.release()
            await busy.samples()
            busy.finish()
            await rest(busy)
        assert all(batch.codes[0, 0, 0] == 1 for batch in backend.batches)
        assert service.stats.dropped == 0


@virtual_time
async def test_what_is_decoded_for_a_stream_that_was_left_is_dropped() -> None:
    backend = FakeBackend()
    async with serving(backend) as service:
        async with service.open(0) as left:
            backend.hold()
            push(left, 1, 1, 1)
            await backend.begun()
        backend.release()
        async with service.open(1) as other:
            push(other, 2, 2, 2)
            other.finish()
            assert np.array_equal(await rest(other), sound(2, 2, 2))
        assert service.stats.dropped == 1


@virtual_time
async def test_cancelling_a_get_loses_nothing() -> None:
    backend = FakeBackend()
    async with serving(backend) as service, service.open(0) as stream:
        backend.hold()
        push(stream, *range(10))
        stream.finish()
        waiting = asyncio.ensure_future(stream.samples())
        await backend.begun()
        waiting.cancel()
        await asyncio.wait([waiting])
        backend.release()
        assert np.array_equal(await rest(stream), sound(*range(10)))


@virtual_time
async def test_a_failure_of_the_backend_is_that_of_its_batch_alone() -> None:
    backend = FakeBackend(rows=2)
    backend.errors[7] = RuntimeError("out of memory")
    async with serving(backend) as service:
        async with service.open(0) as one, service.open(1) as two, service.open(2) as other:
            for stream, code in ((one, 7), (two, 1), (other, 2)):
                push(stream, code, code, code)
            for stream in (one, two):
                assert isinstance(await outcome(stream.get()), DecodeFailed)
                assert isinstance(await outcome(stream.get()), DecodeFailed)
                with pytest.raises(DecodeFailed):
                    stream.push(frame(1))
            other.finish()
            assert np.array_equal(await rest(other), sound(2, 2, 2))
        async with service.open(3) as later:
            push(later, 4)
            later.finish()
            assert np.array_equal(await rest(later), sound(4))
        assert service.stats.failed == 1


@virtual_time
@pytest.mark.parametrize("error", [StopIteration(), asyncio.CancelledError(), CancelledError(), SystemExit(1)])
async def test_a_failure_that_means_something_to_a_future_is_one_too(error: BaseException) -> None:
    backend = FakeBackend(rows=1)
    backend.errors[7] = error
    async with serving(backend) as service, service.open(0) as stream, service.open(1) as other:
        push(stream, 7, 7, 7)
        assert isinstance(await outcome(stream.get()), DecodeFailed)
        push(other, 2)
        other.finish()
        assert np.array_equal(await rest(other), sound(2))


@virtual_time
async def test_what_was_decoded_before_a_failure_is_still_given() -> None:
    backend = FakeBackend()
    backend.errors[9] = RuntimeError("lost")
    async with serving(backend) as service, service.open(0) as stream:
        push(stream, 1, 2, 3)
        await settle()
        push(stream, 4, 9)
        stream.finish()
        await settle()
        assert len(await stream.samples()) == 1344
        assert isinstance(await outcome(stream.samples()), DecodeFailed)


@virtual_time
async def test_decoding_pauses_while_nobody_takes() -> None:
    backend = FakeBackend()
    async with serving(backend) as service, service.open(0) as stream:
        push(stream, *range(100))
        stream.finish()
        await asyncio.sleep(60)
        assert len(backend.batches) == 2
        assert stream.waiting == pytest.approx(100 * 2048 / 24000)
        assert np.array_equal(await rest(stream), sound(*range(100)))
        assert stream.waiting == 0


@virtual_time
async def test_frames_are_let_go_as_their_sound_is_made() -> None:
    async with serving(FakeBackend()) as service, service.open(0) as stream:
        for code in range(300):
            push(stream, code)
            if code > 20:
                while stream.waiting > 1.5:
                    await stream.samples()
        assert stream.frames.held < 50


@virtual_time
async def test_more_frames_than_can_wait_are_refused() -> None:
    most = streams.MAX_WAITING
    async with serving(FakeBackend()) as service, service.open(0) as stream:
        push(stream, *[1] * most)
        with pytest.raises(StreamOverrun):
            push(stream, 1)
        await stream.samples()
        await stream.samples()
        push(stream, 1)


@virtual_time
async def test_a_bad_frame_is_refused_and_the_stream_goes_on() -> None:
    async with serving(FakeBackend()) as service, service.open(0) as stream:
        with pytest.raises(BadFrame):
            stream.push((4096, 0, 0, 0, 0, 0, 0))
        push(stream, 3)
        stream.finish()
        assert np.array_equal(await rest(stream), sound(3))


@virtual_time
async def test_nothing_is_pushed_behind_the_end() -> None:
    async with serving(FakeBackend()) as service, service.open(0) as stream:
        stream.finish()
        stream.finish()
        with pytest.raises(StreamEnded):
            push(stream, 1)


@virtual_time
async def test_a_stream_is_used_inside_its_context() -> None:
    async with serving(FakeBackend()) as service:
        stream = service.open(0)
        with pytest.raises(DecoderClosed):
            push(stream, 1)
        async with stream:
            push(stream, 1)
        with pytest.raises(DecoderClosed):
            push(stream, 1)


@virtual_time
async def test_only_so_many_streams_are_open_at_once() -> None:
    async with serving(FakeBackend(), max_streams=1) as service:
        async with service.open(0):
            assert isinstance(await outcome(service.open(1).__aenter__()), DecoderBusy)
        async with service.open(2):
            pass


@virtual_time
async def test_closing_fails_the_open_streams_and_decodes_nothing_more() -> None:
    backend = FakeBackend(rows=1)
    async with serving(backend) as service, service.open(0) as busy, service.open(1) as queued:
        backend.hold()
        push(busy, 1, 1, 1)
        await backend.begun()
        push(queued, 2, 2, 2)
        closing = asyncio.ensure_future(service.close())
        for stream in (busy, queued):
            assert isinstance(await outcome(stream.get()), DecoderClosed)
        assert not closing.done()
        backend.release()
        await closing
        assert len(backend.batches) == 1
        assert isinstance(await outcome(service.open(2).__aenter__()), DecoderClosed)


@virtual_time
async def test_several_workers_decode_different_streams_at_once() -> None:
    backend = FakeBackend(workers=2, rows=1)
    async with serving(backend) as service, service.open(0) as one, service.open(1) as other:
        backend.hold()
        push(one, 1, 1, 1)
        push(other, 2, 2, 2)
        one.finish()
        other.finish()
        await backend.begun()
        await backend.begun()
        backend.release()
        assert np.array_equal(await rest(one), sound(1, 1, 1))
        assert np.array_equal(await rest(other), sound(2, 2, 2))
