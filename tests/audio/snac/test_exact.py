"""Every stream equals a whole decode by the ``snac`` package, whatever the chunking and the company."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio.snac import FRAME_SAMPLES, Decoder
from audio.snac.backend import Backend, batch_of
from audio.snac.course import Course
from audio.snac.frames import Frames
from audio.snac.layout import LOOKAHEAD, needs
from audio.snac.noise import stage_keys
from audio.snac.scheduler import Scheduler
from audio.snac.window import Window, final, last
from tests.support.snac_weights import Reference, decibels, some_frames

pytestmark = [pytest.mark.engines]

Sound = NDArray[np.float32]
CLOSE = 1e-5
POWERS, WIDTHS = (1, 2, 4, 8), (6, 7, 9, 13)


@pytest.fixture(scope="session")
def onnx(weights: Path) -> Iterator[Backend]:
    from audio.snac.choice import Options, choose

    backend = choose(Options(str(weights), backend="onnx", threads=1)).backend
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def torch_cpu(weights: Path) -> Iterator[Backend]:
    from audio.snac.choice import Options, choose

    backend = choose(Options(str(weights), backend="torch", device="cpu")).backend
    yield backend
    backend.close()


@pytest.fixture(scope="session", params=["onnx", "torch_cpu"])
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.getfixturevalue(request.param)
    return found


class Utterance:
    """Frames that arrive some at a time, and the windows that come of it."""

    def __init__(self, count: int, seed: int, grid: tuple[Sequence[int], Sequence[int]], *, exact: bool = True) -> None:
        self.all = some_frames(count, seed)
        self.seed = seed
        self.frames = Frames()
        for one in self.all:
            self.frames.append(one)
        self.course = Course(*grid, exact=exact)
        self.pieces: list[Sound] = []

    def arrive(self, count: int, now: float) -> None:
        for _ in range(min(count, len(self.all) - self.course.received)):
            self.course.push(now)
        if self.course.received == len(self.all):
            self.course.finish()

    def take(self, window: Window, samples: Sound, now: float) -> None:
        assert window.keep_from == sum(map(len, self.pieces))
        self.pieces.append(samples[window.kept])
        self.course.deliver(window, now)

    @property
    def sound(self) -> Sound:
        return np.concatenate(self.pieces)


def decode(backend: Backend, batch: Sequence[tuple[Utterance, Window]]) -> Sound:
    shape = batch[0][1].shape
    codes = [utterance.frames.packed(window.start, window.stop) for utterance, window in batch]
    keys = [stage_keys(utterance.seed) for utterance, _ in batch]
    return backend.decode(batch_of(shape, codes, keys, [window.start for _, window in batch]))


def alone(backend: Backend, utterance: Utterance) -> Sound:
    """Everything at once, decoded window by window."""
    utterance.arrive(len(utterance.all), 0.0)
    while (window := utterance.course.next(0.0, 0.02)) is not None:
        utterance.take(window, decode(backend, [(utterance, window)])[0], 0.0)
    return utterance.sound


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 19])
def test_a_stream_is_the_whole_decode_head_and_tail_included(
    backend: Backend, reference: Reference, count: int
) -> None:
    whole = reference.decode(some_frames(count, 1), seed=1)
    assert len(whole) == count * FRAME_SAMPLES
    for grid in ((backend.sizes, ()), (POWERS, WIDTHS)):
        sound = alone(backend, Utterance(count, 1, grid))
        assert sound.shape == whole.shape
        assert np.abs(sound - whole).max() <= CLOSE


def test_one_window_of_everything_is_the_whole_decode(backend: Backend, reference: Reference) -> None:
    utterance = Utterance(20, 2, ((1,), ()))
    window = last(0, 20)
    sound = decode(backend, [(utterance, window)])[0][window.kept]
    assert np.abs(sound - reference.decode(utterance.all, seed=2)).max() <= CLOSE


def test_the_noise_is_the_seeds(onnx: Backend, reference: Reference) -> None:
    """Else the comparisons above would show nothing of it."""
    sound = alone(onnx, Utterance(6, 1, ((1,), ())))
    assert decibels(sound, reference.decode(some_frames(6, 1), seed=2)) < 20


def test_less_context_is_not_exact(onnx: Backend, reference: Reference) -> None:
    """The context is what it takes: with a quarter of a frame less behind the cut the difference shows."""
    utterance = Utterance(20, 1, ((1,), ()))
    whole = reference.decode(utterance.all, seed=1)
    window = last(final(12), 20)
    short = window.shape._replace(cut_from=window.shape.cut_from + 8)
    worse = Window(window.start, short, window.keep_from, window.keep_to)
    for one, close in ((window, True), (worse, False)):
        sound = decode(onnx, [(utterance, one)])[0][one.kept]
        assert bool(np.abs(sound - whole[one.keep_from :]).max() <= CLOSE) is close


def test_a_changed_frame_changes_nothing_beyond_its_reach(torch_cpu: Backend) -> None:
    """The layers' reach is what ``layout`` says, and not much less."""
    utterance = Utterance(20, 1, ((1,), ()))
    window = last(0, 20)
    before = decode(torch_cpu, [(utterance, window)])[0]
    codes = bytearray(utterance.frames.packed(0, 20))
    codes[10 * 14 : 11 * 14] = bytes(14)
    after = torch_cpu.decode(batch_of(window.shape, [bytes(codes)], [stage_keys(1)], [0]))[0]
    changed = np.flatnonzero(after != before)
    first = next(sample for sample in range(20 * FRAME_SAMPLES) if needs(sample, sample + 1).latents[1] > 40)
    assert 0 <= changed[0] - first < 100
    assert -100 < changed[-1] - (11 * FRAME_SAMPLES + LOOKAHEAD) < 0


def test_the_fast_first_piece_is_80_db_from_it_and_the_rest_is_exact(backend: Backend, reference: Reference) -> None:
    utterance = Utterance(12, 3, (backend.sizes, ()), exact=False)
    utterance.arrive(3, 0.0)
    window = utterance.course.next(0.0, 0.02)
    assert window is not None
    utterance.take(window, decode(backend, [(utterance, window)])[0], 0.0)
    sound = alone(backend, utterance)
    whole = reference.decode(utterance.all, seed=3)
    assert decibels(sound[:FRAME_SAMPLES], whole[:FRAME_SAMPLES]) >= 80
    assert decibels(sound, whole) >= 80
    assert np.abs(sound - whole)[FRAME_SAMPLES:].max() <= CLOSE
    assert np.abs(sound - whole).max() > CLOSE


# ---- the property


@pytest.fixture(scope="session")
def wholes(reference: Reference) -> list[Sound]:
    """Of utterances 0 to 3, by seed."""
    return [reference.decode(some_frames(COUNTS[seed], seed), seed=seed) for seed in range(len(COUNTS))]


COUNTS = (3, 6, 11, 7)
STEPS = st.lists(st.lists(st.integers(0, 9), min_size=len(COUNTS), max_size=len(COUNTS)), max_size=8)


# A minute's work where others have the cores too.
@pytest.mark.timeout(600)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=STEPS,
    interval=st.floats(0.0, 0.4),
    rows=st.integers(1, 4),
    sizes=st.sampled_from([POWERS, (1, 2, 3, 4, 5, 6, 7, 8), (1,), (1, 3)]),
    fixed=st.booleans(),
)
def test_neither_chunking_nor_company_changes_a_sample(
    torch_cpu: Backend,
    onnx: Backend,
    wholes: list[Sound],
    steps: list[list[int]],
    interval: float,
    rows: int,
    sizes: tuple[int, ...],
    fixed: bool,
) -> None:
    backend = onnx if rows % 2 else torch_cpu
    widths = tuple(size + 5 for size in sizes) if fixed else ()
    utterances = [Utterance(count, seed, (sizes, widths)) for seed, count in enumerate(COUNTS)]
    scheduler: Scheduler[int] = Scheduler(lambda _: rows)
    now = 0.0
    for step in [*steps, [1000] * len(COUNTS)]:
        for utterance, count in zip(utterances, step, strict=True):
            utterance.arrive(count, now)
        while True:
            for seed, utterance in enumerate(utterances):
                window = utterance.course.next(now, 0.05)
                if window is not None:
                    scheduler.put(seed, window, utterance.course.deadline)
            taken = [(utterances[seed], window) for seed, window in scheduler.take()]
            if not taken:
                break
            for (utterance, window), samples in zip(taken, decode(backend, taken), strict=True):
                utterance.take(window, samples, now)
        now += interval
    for utterance, whole in zip(utterances, wholes, strict=True):
        assert utterance.sound.shape == whole.shape
        assert np.abs(utterance.sound - whole).max() <= CLOSE


# ---- the whole of it


@pytest.mark.parametrize("options", [{"backend": "onnx"}, {"backend": "torch", "device": "cpu"}])
async def test_streams_through_the_decoder_are_whole_decodes_too(
    weights: Path, reference: Reference, options: dict[str, Any]
) -> None:
    decoder = Decoder(str(weights), **options)
    await decoder.start()
    counts = (1, 4, 13)

    async def listen(seed: int, count: int) -> Sound:
        pieces = []
        async with decoder.open(seed=seed) as stream:
            for index, frame in enumerate(some_frames(count, seed)):
                stream.push(frame)
                if index % (seed + 2) == 0:
                    await asyncio.sleep(0)
            stream.finish()
            while (piece := await stream.samples()) is not None:
                pieces.append(piece)
        return np.concatenate(pieces)

    sounds = await asyncio.gather(*(listen(seed, count) for seed, count in enumerate(counts)))
    await decoder.close()
    for seed, (sound, count) in enumerate(zip(sounds, counts, strict=True)):
        whole = reference.decode(some_frames(count, seed), seed=seed)
        assert sound.shape == whole.shape
        assert np.abs(sound - whole).max() <= CLOSE
