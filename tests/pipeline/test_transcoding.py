"""From PCM to the listener's frames: exact lengths, whole packets, and a pool that nobody fills alone."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from audio import formats, packets
from audio.formats import FORMATS
from audio.stream import AudioStream
from gateway.events import Audio
from gateway.pipeline.transcoding import PIECE, PooledTranscoder, RawTranscoder, Transcoder, TranscodingPool, transcoder
from tests.audio.signals import feed, noise, pieces

R = TypeVar("R")
RATE = 24000
CODED = [row.name for row in FORMATS.values() if row.coded]
RAW = [row.name for row in FORMATS.values() if not row.coded]


class Pieces:
    """A source whose sound is there already."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)

    async def get(self) -> bytes | None:
        return next(self._parts, None)


class Watched(TranscodingPool):
    """A pool of one thread that notes whose jobs it does, and how much sound each has."""

    def __init__(self) -> None:
        super().__init__(1)
        self.served: list[tuple[AudioStream, int]] = []

    async def run(self, function: Callable[..., R], *args: object) -> R:
        verb, sound = args[0], args[1] if len(args) > 1 else b""
        assert isinstance(sound, bytes)

        def job() -> R:
            self.served.append((verb.__self__, len(sound) // 2))  # type: ignore[attr-defined]
            return function(*args)

        return await super().run(job)


@asynccontextmanager
async def opened(pool: TranscodingPool) -> AsyncIterator[TranscodingPool]:
    try:
        yield pool
    finally:
        await asyncio.to_thread(pool.close)


async def drain(made: Transcoder) -> list[Audio]:
    async with asyncio.TaskGroup() as group:
        group.create_task(made.run())
        frames = []
        while (frame := await made.get()) is not None:
            frames.append(frame)
    return frames


def joined(frames: list[Audio]) -> bytes:
    return b"".join(bytes(frame.data) for frame in frames)


def check_positions(frames: list[Audio], samples: int) -> None:
    position = 0
    for number, frame in enumerate(frames):
        assert (frame.sequence, frame.position) == (number, position)
        position += frame.samples
    assert position == samples


# ---- raw formats


@pytest.mark.parametrize("name", RAW)
async def test_raw_frames_joined_are_the_encoders_stream(name: str) -> None:
    row, pcm = formats.find(name), noise(10_007).tobytes()
    frames = await drain(RawTranscoder(Pieces(pieces(pcm, [100, 2000, 7])), row.open(RATE, RATE), 480))
    assert joined(frames) == feed(row.open(RATE, RATE), [pcm])
    assert [frame.samples for frame in frames] == [480] * 20 + [407]
    check_positions(frames, 10_007)


async def test_a_whole_utterance_at_once_is_encoded_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    encode = AudioStream.encode

    def watched(stream: AudioStream, pcm: bytes) -> bytes:
        sizes.append(len(pcm))
        return encode(stream, pcm)

    pcm = noise(10 * RATE).tobytes()
    monkeypatch.setattr(AudioStream, "encode", watched)
    frames = await drain(RawTranscoder(Pieces([pcm]), formats.find("mulaw").open(RATE, 8000), 160))
    assert (max(sizes), sum(sizes)) == (RATE // 5 * 2, len(pcm))
    assert {len(frame.data) for frame in frames} == {160}
    check_positions(frames, 80_000)


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("samples", [1, 159, 160, 161, 8000, 8001])
async def test_padded_frames_all_have_one_length_and_end_in_silence(name: str, samples: int) -> None:
    row, pcm = formats.find(name), noise(samples).tobytes()
    frames = await drain(RawTranscoder(Pieces([pcm]), row.open(8000, 8000), 160, pad_last=True))
    width = row.bytes_per_sample or 0
    assert [len(frame.data) for frame in frames] == [
        160 * width + (row.header_bytes if n == 0 else 0) for n in range(len(frames))
    ]
    sound = feed(row.open(8000, 8000), [pcm])
    assert joined(frames) == sound + row.silence * (-samples % 160)
    check_positions(frames, 160 * len(frames))


async def test_telephone_frames_are_160_bytes_and_the_last_is_filled_with_the_laws_own_silence() -> None:
    for name, silence in (("mulaw", b"\xff"), ("alaw", b"\xd5")):
        stream = formats.find(name).open(RATE, 8000)
        frames = await drain(RawTranscoder(Pieces([noise(24_003).tobytes()]), stream, 160, pad_last=True))
        assert {len(frame.data) for frame in frames} == {160}
        assert bytes(frames[-1].data[1:]) == silence * 159


@pytest.mark.parametrize("pad", [False, True])
async def test_without_sound_there_is_no_frame(pad: bool) -> None:
    async with opened(TranscodingPool(1)) as pool:
        for row in FORMATS.values():
            assert await drain(transcoder(Pieces([]), row.open(RATE, RATE), 480, pool, pad_last=pad)) == []


# ---- pooled formats


@pytest.mark.parametrize("name", CODED)
async def test_pooled_frames_joined_are_one_stream_of_the_whole_sound(name: str) -> None:
    row, pcm = formats.find(name), noise(30_011).tobytes()
    async with opened(Watched()) as pool:
        stream = row.open(RATE, RATE)
        frames = await drain(PooledTranscoder(Pieces(pieces(pcm, [100, 20_000, 7])), stream, pool))
    if name not in ("opus", "webm"):
        # The pages of the others follow the pieces.
        assert joined(frames) == feed(row.open(RATE, RATE), [pcm])
    check_positions(frames, 30_011)


async def test_a_frame_of_a_packet_format_is_one_packet() -> None:
    async with opened(TranscodingPool(1)) as pool:
        stream = formats.find("opus_packets").open(RATE, RATE)
        frames = await drain(PooledTranscoder(Pieces([noise(24_000).tobytes()] * 2), stream, pool))
    assert all(len(packets.split(bytes(frame.data))) == 1 for frame in frames)
    assert [frame.samples for frame in frames] == [480] * 100 + [0]


# ---- the pool


@asynccontextmanager
async def blocked(pool: TranscodingPool) -> AsyncIterator[threading.Event]:
    """Its one thread is taken until the event is set."""
    taken, release = threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        taken.set()
        release.wait()

    holding = asyncio.ensure_future(TranscodingPool.run(pool, hold))
    await loop.run_in_executor(None, taken.wait)
    try:
        yield release
    finally:
        release.set()
        await holding


async def settle() -> None:
    """Let every task go as far as it can while the pool is blocked."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_stream_that_bursts_gets_no_second_turn_before_the_others_have_had_one() -> None:
    row = formats.find("mp3")
    burst = row.open(RATE, RATE)
    patient = [row.open(RATE, RATE) for _ in range(5)]
    second = noise(RATE).tobytes()
    async with opened(Watched()) as pool:
        assert isinstance(pool, Watched)
        async with asyncio.TaskGroup() as group, blocked(pool) as release:
            group.create_task(drain(PooledTranscoder(Pieces([second * 20]), burst, pool)))
            await settle()
            for stream in patient:
                group.create_task(drain(PooledTranscoder(Pieces([second[:4800]]), stream, pool)))
            await settle()
            release.set()
    served = [stream for stream, _ in pool.served]
    assert served[0] is burst
    assert served[1:6] == patient
    assert burst not in served[1:6]


async def test_files_however_many_get_one_turn_before_a_stream_that_is_listened_to() -> None:
    row, piece = formats.find("mp3"), noise(2400).tobytes()
    files, listened = [row.open(RATE, RATE) for _ in range(20)], row.open(RATE, RATE)
    async with opened(Watched()) as pool:
        assert isinstance(pool, Watched)
        async with asyncio.TaskGroup() as group, blocked(pool) as release:
            for stream in files:
                group.create_task(drain(PooledTranscoder(Pieces([piece] * 3), stream, pool.aside)))
            await settle()
            group.create_task(drain(PooledTranscoder(Pieces([piece]), listened, pool)))
            await settle()
            release.set()
    served = [stream for stream, _ in pool.served]
    assert [stream is listened for stream in served[:2]] == [False, True]
    assert {served.count(stream) for stream in files} == {4}


async def test_no_job_is_longer_than_a_piece() -> None:
    async with opened(Watched()) as pool:
        assert isinstance(pool, Watched)
        await drain(PooledTranscoder(Pieces([noise(RATE * 3).tobytes()]), formats.find("mp3").open(RATE, RATE), pool))
    assert max(samples for _, samples in pool.served) == round(PIECE * RATE)
    assert sum(samples for _, samples in pool.served) == RATE * 3


async def test_the_time_in_the_queue_is_measured() -> None:
    async with opened(TranscodingPool(1)) as pool:
        made = PooledTranscoder(Pieces([noise(2400).tobytes()]), formats.find("mp3").open(RATE, RATE), pool)
        async with asyncio.TaskGroup() as group, blocked(pool) as release:
            group.create_task(drain(made))
            await settle()
            queued = time.perf_counter()
            await settle()
            released = time.perf_counter()
            release.set()
    assert made.queue_time >= released - queued
    assert made.encoder_time > 0


async def test_cheap_formats_never_see_the_pool() -> None:
    pool = TranscodingPool(1)
    async with blocked(pool) as release:
        for row in FORMATS.values():
            if not row.heavy:
                made = transcoder(Pieces([noise(480).tobytes()]), row.open(RATE, RATE), 480, pool)
                assert sum(frame.samples for frame in await drain(made)) == 480
        release.set()
    await asyncio.to_thread(pool.close)


async def test_what_a_job_raises_is_raised_to_whoever_waits_for_it() -> None:
    async with opened(TranscodingPool(1)) as pool:
        with pytest.raises(ZeroDivisionError):
            await pool.run(divmod, 1, 0)
        assert await pool.run(divmod, 7, 2) == (3, 1)


async def test_a_job_whose_caller_has_gone_is_not_done() -> None:
    done: list[str] = []
    async with opened(TranscodingPool(1)) as pool:
        async with blocked(pool) as release:
            gone = asyncio.ensure_future(pool.run(done.append, "gone"))
            stays = asyncio.ensure_future(pool.run(done.append, "stays"))
            await settle()
            gone.cancel()
            await settle()
            release.set()
        await stays
    assert done == ["stays"]


async def test_a_closed_pool_has_no_threads_and_takes_no_job() -> None:
    before = set(threading.enumerate())
    pool = TranscodingPool(3)
    assert set(threading.enumerate()) <= before
    await pool.run(divmod, 7, 2)
    started = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("transcoding")]
    assert len(started) == 3
    await asyncio.to_thread(pool.close)
    assert not any(thread.is_alive() for thread in started)
    with pytest.raises(RuntimeError, match="the transcoding pool is closed"):
        await pool.run(divmod, 7, 2)


async def test_a_pool_is_closed_though_an_encoder_hangs(caplog: pytest.LogCaptureFixture) -> None:
    before = set(threading.enumerate())
    pool, started, release = TranscodingPool(2), threading.Event(), threading.Event()
    held: list[threading.Thread] = []

    def hang() -> None:
        held.append(threading.current_thread())
        started.set()
        release.wait()

    hanging = asyncio.ensure_future(pool.run(hang))
    await asyncio.to_thread(started.wait)
    assert await pool.run(divmod, 7, 2) == (3, 1)
    threads = {thread for thread in set(threading.enumerate()) - before if thread.name.startswith("transcoding")}
    await asyncio.to_thread(pool.close, 0.01)
    assert "transcoding threads hang" in caplog.text
    # How soon the one that has nothing to do is over is for the machine to say: it is counted after that.
    (idle,) = threads.difference(held)
    await asyncio.to_thread(idle.join)
    caplog.clear()
    await asyncio.to_thread(pool.close, 0.01)
    assert "1 transcoding threads hang" in caplog.text
    release.set()
    await hanging


async def test_a_pool_that_is_closed_under_load_does_what_it_took_on() -> None:
    pool, done = TranscodingPool(1), list[int]()
    async with blocked(pool) as release:
        jobs = [asyncio.ensure_future(pool.run(done.append, number)) for number in range(20)]
        await settle()
        closing = asyncio.ensure_future(asyncio.to_thread(pool.close))
        release.set()
        await closing
    await asyncio.gather(*jobs)
    assert done == list(range(20))


async def test_a_pool_keeps_nothing_of_a_job_that_is_done() -> None:
    class Encoder:
        def encode(self) -> None: ...

    encoder, gone = Encoder(), threading.Event()
    weakref.finalize(encoder, gone.set)
    async with opened(TranscodingPool(1)) as pool:
        await pool.run(encoder.encode)
        del encoder
        assert await asyncio.to_thread(gone.wait, 60.0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it cannot be known")
async def test_there_is_a_thread_for_each_core_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    before = set(threading.enumerate())
    async with opened(TranscodingPool()) as pool:
        await pool.run(divmod, 7, 2)
        # By name: threads of other tests may come to their end meanwhile.
        started = [thread.name for thread in set(threading.enumerate()) - before]
        assert [name for name in started if name.startswith("transcoding")] == ["transcoding-0"]


def test_a_job_that_ends_after_its_loop_harms_nobody() -> None:
    pool = TranscodingPool(1)
    started, release = threading.Event(), threading.Event()

    def job() -> None:
        started.set()
        release.wait()

    async def leave() -> None:
        task = asyncio.ensure_future(pool.run(job))
        await asyncio.get_running_loop().run_in_executor(None, started.wait)
        task.cancel()

    asyncio.run(leave())
    release.set()
    pool.close()
