"""Prepared shapes and rows, on a device that is the CPU: everything of the CUDA backend but CUDA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio.snac.backend import Batch, batch_of
from audio.snac.course import Course
from audio.snac.frames import Frames
from audio.snac.noise import normal, stage_keys
from audio.snac.prepared import ROWS, Prepared, bucket, usual_shapes
from audio.snac.window import Shape, Window, final, inner, last
from tests.support.required import required
from tests.support.snac_weights import Reference, some_frames

SIZES, WIDTHS = (1, 2, 4, 8), (6, 7, 9, 13)
MIDDLE = inner(final(20), final(21), 21, WIDTHS).shape
ROW = st.integers(1, ROWS[-1])


@given(ROW)
def test_a_batch_takes_the_smallest_number_of_rows_that_holds_it(count: int) -> None:
    rows = bucket(count, ROWS)
    assert rows in ROWS
    assert rows >= count
    assert not [one for one in ROWS if count <= one < rows]


@given(st.integers(9, ROWS[-1]))
def test_at_most_a_third_of_a_large_batch_is_wasted(count: int) -> None:
    assert bucket(count, ROWS) <= count * 1.5 + 3


@pytest.mark.parametrize("exact", [True, False])
@given(
    intervals=st.lists(st.floats(0, 0.3), min_size=25, max_size=60), burst=st.integers(0, 60), lead=st.floats(0, 0.2)
)
def test_all_windows_of_a_stream_of_seconds_are_usual(
    exact: bool, intervals: list[float], burst: int, lead: float
) -> None:
    usual = set(usual_shapes(SIZES, WIDTHS, exact=exact))
    course = Course(SIZES, WIDTHS, exact=exact)
    now = 0.0
    for index, interval in enumerate([*intervals, *[0.0] * burst]):
        now += interval
        course.push(now)
        while index % 3 == 0 and (window := course.next(now, lead)) is not None:
            assert window.shape in usual
            course.deliver(window, now)
    course.finish()
    while (window := course.next(now, lead)) is not None:
        assert window.shape in usual
        course.deliver(window, now)


def test_the_usual_shapes_are_few() -> None:
    assert len(usual_shapes(SIZES, WIDTHS, exact=True)) == 15
    assert len(usual_shapes(SIZES, WIDTHS, exact=False)) == 16


class Recorder:
    """A device on the CPU that keeps work as CUDA does: what is repeated runs over the same memory."""

    def __init__(self) -> None:
        self.torch: Any = required("engines", "torch")
        self.kept = 0
        self.replayed = 0
        self.waits = 0
        self.tensors: list[Any] = []
        self.closed = False

    def host(self, size: int, kind: str) -> Any:
        return self.memory(size, kind)

    def memory(self, size: int, kind: str) -> Any:
        self.tensors.append(self.torch.zeros(size, dtype=getattr(self.torch, kind)))
        return self.tensors[-1]

    @contextmanager
    def working(self) -> Iterator[None]:
        with self.torch.inference_mode():
            yield

    def keep(self, work: Callable[[], None]) -> Callable[[], None]:
        work()
        self.kept += 1

        def replay() -> None:
            self.replayed += 1
            work()

        return replay

    def wait(self) -> None:
        self.waits += 1

    def close(self) -> None:
        self.closed = True


def telling(codes: Any, keys: Any, starts: Any, shape: Shape) -> Any:
    """In place of the network: each row's samples are told by what the row was given."""
    row = codes[:, 0, 0] + 10_000 * starts + 1_000_000 * (keys[:, 3] % 7)
    return row.float()[:, None].expand(-1, shape.samples)


def batch(*rows: tuple[int, int, int], shape: Shape = MIDDLE) -> Batch:
    """Of first code, start and key."""
    codes = [np.full(7 * shape.frames, code, dtype="<u2").tobytes() for code, _, _ in rows]
    return batch_of(shape, codes, [(0, 0, 0, key) for _, _, key in rows], [start for _, start, _ in rows])


def told(*rows: tuple[int, int, int]) -> list[float]:
    return [code + 10_000 * start + 1_000_000 * key for code, start, key in rows]


def prepared(device: Recorder, rows: tuple[int, ...] = (1, 2, 4)) -> Prepared:
    return Prepared(device, telling, [MIDDLE], rows, 20)


@pytest.mark.engines
def test_each_shape_is_kept_for_each_number_of_rows() -> None:
    device = Recorder()
    shapes = usual_shapes(SIZES, WIDTHS, exact=True)
    Prepared(device, telling, shapes, (1, 2), 20)
    assert device.kept == 2 * len(shapes)


@pytest.mark.engines
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_row_gets_its_own_samples(count: int) -> None:
    device = Recorder()
    rows = [(index + 1, index + 5, index % 7) for index in range(count)]
    made = prepared(device).decode(batch(*rows))
    assert made.shape == (count, MIDDLE.samples)
    assert made[:, 0].tolist() == told(*rows)
    assert (made == made[:, :1]).all()
    assert (device.replayed, device.waits) == (1, 1)


@pytest.mark.engines
def test_a_result_stays_when_the_buffers_are_used_again() -> None:
    one = prepared(Recorder())
    first = one.decode(batch((1, 2, 3), (4, 5, 6)))
    one.decode(batch((9, 9, 0), (9, 9, 0)))
    assert first[:, 0].tolist() == told((1, 2, 3), (4, 5, 6))


@pytest.mark.engines
def test_buffers_are_made_once() -> None:
    device = Recorder()
    one = prepared(device)
    made = len(device.tensors)
    for count in (3, 1, 4, 2):
        one.decode(batch(*[(count, 0, 0)] * count))
    assert len(device.tensors) == made == 6


@pytest.mark.engines
def test_rows_beyond_a_batch_hold_codes_whatever_was_there_before() -> None:
    device = Recorder()
    one = prepared(device)
    one.decode(batch(*[(4000, 1, 1)] * 4))
    seen: list[NDArray[np.int64]] = []
    one._compute = lambda codes, keys, starts, shape: (seen.append(codes.numpy()), telling(codes, keys, starts, shape))[
        1
    ]
    one.decode(batch(*[(7, 0, 0)] * 3))
    assert seen[0].shape[0] == 4
    assert (seen[0][3] == 0).all()


@pytest.mark.engines
def test_an_unusual_shape_is_computed_as_it_comes() -> None:
    device = Recorder()
    one = prepared(device)
    shape = last(0, 2).shape
    assert one.decode(batch((1, 0, 0), (2, 0, 0), (3, 0, 0), shape=shape))[:, 0].tolist() == [1, 2, 3]
    assert device.replayed == 0
    assert (one.max_batch(shape), one.max_batch(MIDDLE)) == (4, 4)


@pytest.mark.engines
def test_closing_lets_go_of_everything() -> None:
    device = Recorder()
    one = prepared(device)
    one.close()
    assert device.closed
    assert not one._kept


@pytest.mark.engines
def test_the_network_behind_it_gives_whole_decodes(weights: Path, reference: Reference) -> None:
    from audio.snac import network

    loaded = network.load(weights)
    windows = [inner(final(frames), final(frames + 1), frames + 1, WIDTHS) for frames in (7, 9, 12)]
    one = Prepared(Recorder(), loaded.window, [windows[0].shape], (1, 4), 20)
    frames = Frames()
    for frame in some_frames(14, 1):
        frames.append(frame)
    codes = [frames.packed(window.start, window.stop) for window in windows]
    seeds = (1, 1, 1)
    made = one.decode(
        batch_of(windows[0].shape, codes, [stage_keys(seed) for seed in seeds], [window.start for window in windows])
    )
    whole = reference.decode(some_frames(14, 1), seed=1)
    for row, window in zip(made, windows, strict=True):
        assert np.abs(row[window.kept] - whole[window.keep_from : window.keep_to]).max() <= 1e-5


@pytest.mark.engines
def test_the_devices_noise_is_the_hosts() -> None:
    torch: Any = required("engines", "torch")
    from audio.snac.network import normal as on_device

    keys = np.array([stage_keys(seed)[2] for seed in (0, 1, -5)], dtype=np.uint64)
    first = np.array([0, 123_456, 10**9])
    made = on_device(torch.from_numpy(keys.view(np.int64)), torch.from_numpy(first), 20_000).numpy()
    assert np.abs(made - normal(keys, first, 20_000)).max() < 2e-6


@pytest.mark.engines
def test_what_convolutions_compute_in_is_set_and_put_back() -> None:
    torch: Any = required("engines", "torch")
    from audio.snac.torch_backend import _convolving

    before = torch.backends.cudnn.conv.fp32_precision
    for precision, wanted in (("float32", "ieee"), ("tf32", "tf32"), ("float16", "ieee")):
        with _convolving(precision):
            assert torch.backends.cudnn.conv.fp32_precision == wanted
    assert torch.backends.cudnn.conv.fp32_precision == before


def test_a_window_knows_its_rows() -> None:
    assert Window(3, MIDDLE, 0, 1).stop == 9
