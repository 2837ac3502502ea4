"""The CUDA backend on an emulated device. What it does on a real one is measured by ``tests/bench/snac.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio.snac import BackendUnavailable, Decoder
from audio.snac.backend import batch_of
from audio.snac.choice import Choice, Options, choose
from audio.snac.frames import Frames
from audio.snac.noise import stage_keys
from audio.snac.prepared import usual_shapes
from audio.snac.window import Window, final, inner, last
from tests.audio.snac.emulated_cuda import Emulated, emulate
from tests.support.snac_weights import Reference, some_frames

pytestmark = [pytest.mark.engines]


@pytest.fixture
def device(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Emulated:
    return emulate(monkeypatch)


def backend(weights: Path, **changes: Any) -> Any:
    from audio.snac.torch_backend import CudaBackend

    options: dict[str, Any] = {"precision": "float32", "max_frames": 1, "max_batch": 2, "exact": True}
    return CudaBackend(weights, device="cpu", **options | changes)


def decode(one: Any, windows: list[Window], seeds: list[int]) -> list[Any]:
    rows = []
    for window, seed in zip(windows, seeds, strict=True):
        frames = Frames()
        for frame in some_frames(40, seed):
            frames.append(frame)
        rows.append(frames.packed(window.start, window.stop))
    made = one.decode(
        batch_of(windows[0].shape, rows, [stage_keys(seed) for seed in seeds], [w.start for w in windows])
    )
    return [row[window.kept] for row, window in zip(made, windows, strict=True)]


def test_replayed_graphs_give_whole_decodes(weights: Path, reference: Reference, device: Emulated) -> None:
    one = backend(weights)
    wholes = [reference.decode(some_frames(40, seed), seed=seed) for seed in (1, 2)]
    captured = device.captures
    assert captured == 2 * len(usual_shapes(one.sizes, one.widths, exact=True))
    for frames in (9, 12, 20):
        windows = [inner(final(at), final(at + 1), at + 1, one.widths) for at in (frames, frames + 3)]
        for made, window, whole in zip(decode(one, windows, [1, 2]), windows, wholes, strict=True):
            assert np.abs(made - whole[window.keep_from : window.keep_to]).max() <= 1e-5
    (made,) = decode(one, [last(final(39), 40, one.widths)], [2])
    assert np.abs(made - wholes[1][final(39) :]).max() <= 1e-5
    assert (device.captures, device.replays) == (captured, 4)


def test_an_unusual_window_is_decoded_without_a_graph(weights: Path, reference: Reference, device: Emulated) -> None:
    one = backend(weights)
    frames = some_frames(40, 1)[:2]
    (made,) = decode(one, [last(0, 2)], [1])
    assert np.abs(made - reference.decode(frames, seed=1)).max() <= 1e-5
    assert device.replays == 0


def test_captures_disturb_no_other_thread_and_share_their_memory(weights: Path, device: Emulated) -> None:
    one = backend(weights)
    assert device.modes == {"thread_local"}
    assert device.pools == {"pool"}
    assert device.pinned == 3
    assert one.description.endswith("on an emulated GPU, float32, CUDA graphs")


def test_closing_frees_it_twice(weights: Path, device: Emulated) -> None:
    one = backend(weights)
    one.close()
    one.close()
    assert one.max_batch(last(0, 2).shape) == 0


async def test_streams_run_on_it(weights: Path, reference: Reference, device: Emulated) -> None:
    decoder = Decoder(str(weights), choose=lambda _: Choice(backend(weights), "emulated"))
    await decoder.start()
    pieces = []
    async with decoder.open(seed=3) as stream:
        for frame in some_frames(12, 3):
            stream.push(frame)
        stream.finish()
        while (piece := await stream.samples()) is not None:
            pieces.append(piece)
    await decoder.close()
    whole = reference.decode(some_frames(12, 3), seed=3)
    assert np.abs(np.concatenate(pieces) - whole).max() <= 1e-5
    assert device.replays > 5


def test_a_device_that_is_not_there_is_said_so(weights: Path) -> None:
    with pytest.raises(BackendUnavailable, match="no CUDA device"):
        choose(Options(str(weights), device="cuda:7"))
