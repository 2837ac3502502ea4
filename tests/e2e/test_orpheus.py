"""Orpheus through the whole gateway: a real llama.cpp server on a model that the tests write, and a real SNAC on
random weights."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from providers.orpheus.engine import Orpheus
from tests.support import llama, snac_weights
from tests.support.duplex import Duplex, Heard, duplex
from tests.support.llama import LlamaServer
from tests.support.orpheus import asked, made
from tests.support.serving import Served, serving

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]

TEXTS = [
    " ".join(
        f"This is listener number {number}, who says this for the {nth} time."
        for nth in ["first", "second"][: 1 + number % 2]
    )
    for number in range(8)
]
LONG = "This one goes on for as long as it may."


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that speaks until it may not."""
    path = tmp_path_factory.mktemp("orpheus") / "endless.gguf"
    llama.write_model(path, ends=False)
    return path


@pytest.fixture(scope="module")
def reference(snac_folder: Path) -> Iterator[snac_weights.Reference]:
    """On one thread: on several that wait for each other in a busy machine it takes many times as long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield snac_weights.Reference(snac_folder)
    torch.set_num_threads(threads)


@asynccontextmanager
async def speaking(served: Served, *texts: str) -> AsyncIterator[list[tuple[Duplex, Heard]]]:
    """A listener for each text, on a socket of its own, in the order of the texts."""
    async with AsyncExitStack() as sockets:
        clients = [await sockets.enter_async_context(duplex(served.ws)) for _ in texts]
        yield [
            (client, await client.speak("a", text, provider="orpheus", pace="burst"))
            for client, text in zip(clients, texts, strict=True)
        ]


async def begun(listeners: list[tuple[Duplex, Heard]], count: int) -> None:
    """Wait until so many of them hear something."""
    waiting = [asyncio.create_task(heard.begun.wait()) for _, heard in listeners]
    for soonest in islice(asyncio.as_completed(waiting), count):
        await soonest
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def over(listeners: list[tuple[Duplex, Heard]]) -> list[str]:
    """Wait until all are through; the types of their last messages."""
    for _, heard in listeners:
        await heard.over.wait()
    return [heard.last["type"] for _, heard in listeners]


def expected(engine: Orpheus, reference: snac_weights.Reference, text: str) -> NDArray[np.float32]:
    """Every segment's tokens, decoded whole."""
    said = [reference.decode(said.frames(), said.seed) for said in asked(engine, text)]
    return np.concatenate(said)


async def test_eight_sessions_on_four_slots_get_the_very_sound_of_a_whole_decode(
    llama_server: LlamaServer, snac_folder: Path, reference: snac_weights.Reference
) -> None:
    engine = made(llama_server, snac_folder)
    async with serving(engines=[engine]) as served:
        assert engine.places == 4
        async with speaking(served, *TEXTS) as listeners:
            assert await over(listeners) == ["ended"] * 8
    queued = [[m["position"] for m in heard.messages if m["type"] == "queued"] for _, heard in listeners]
    assert sorted(position for positions in queued for position in positions) == [1, 2, 3, 4]
    worst, frames = 0.0, 0
    for text, (_, heard) in zip(TEXTS, listeners, strict=True):
        whole = expected(engine, reference, text)
        sound = np.frombuffer(heard.sound, "<i2").astype(np.float64)
        assert sound.size == whole.size
        # A sample on the wire is a 16-bit one: half a step of rounding, and what the decodes differ by.
        worst = max(worst, float(np.abs(sound / 32767 - whole).max()) - 0.5 / 32767)
        frames += whole.size // 2048
        assert (np.abs(sound - np.rint(whole * 32767)) <= 1).all()
    ttfa = sorted(heard.last["ttfa_ms"] for _, heard in listeners)
    print(f"{frames} frames, beyond the rounding {worst:.1e}; ttfa ms {ttfa}")
    assert worst < 1e-5
    assert (engine.slips, engine.lost) == (0, 0)


async def test_with_the_fast_first_chunk_the_sound_is_that_of_a_whole_decode_to_80_db(
    llama_server: LlamaServer, snac_folder: Path, reference: snac_weights.Reference
) -> None:
    engine = made(llama_server, snac_folder, exact=False)
    async with serving(engines=[engine]) as served, speaking(served, *TEXTS[:2]) as listeners:
        assert await over(listeners) == ["ended"] * 2
    for text, (_, heard) in zip(TEXTS, listeners, strict=False):
        whole = expected(engine, reference, text)
        sound = np.frombuffer(heard.sound, "<i2").astype(np.float32) / 32767
        assert sound.size == whole.size
        decibels = snac_weights.decibels(sound, whole)
        print(f"{decibels:.1f} dB")
        assert decibels > 80


async def test_all_slots_are_idle_within_200_ms_of_a_cancel(endless: Path, snac_folder: Path) -> None:
    took = []
    with llama.running(endless) as server:
        engine = made(server, snac_folder, max_tokens=2048)
        async with serving(engines=[engine]) as served:
            for _ in range(5):
                async with speaking(served, *[LONG] * 4) as listeners:
                    await begun(listeners, 4)
                    assert await server.busy() == 4
                    began = time.monotonic()
                    for client, _ in listeners:
                        await client.send("cancel", context="a")
                    await server.idle(60)
                    took.append(time.monotonic() - began)
                    assert await over(listeners) == ["cancelled"] * 4
    print(f"idle after a cancel: {[round(seconds * 1000) for seconds in took]} ms")
    # A busy machine adds to that, and takes nothing away.
    assert min(took) < 0.2


async def test_a_server_that_is_killed_is_a_clear_error_to_each_and_is_found_again(
    endless: Path, snac_folder: Path
) -> None:
    with llama.running(endless) as server:
        engine = made(server, snac_folder, max_tokens=2048)
        async with serving(engines=[engine]) as served:
            async with speaking(served, *[LONG] * 6) as listeners:
                await begun(listeners, 4)
                server.kill()
                assert await over(listeners) == ["error"] * 6
            for _, heard in listeners:
                assert heard.last["code"] == "engine_unavailable"
                assert heard.last["retryable"] is True
                assert heard.last["message"].startswith("llama-server ")
                assert "127.0.0.1" not in heard.last["message"]
            assert engine.slots.taken == 0
            while engine.trouble is None:
                # Four broken answers have opened the breaker by now, unless they were too few: one more request will.
                async with speaking(served, "Anybody there?") as listeners:
                    assert await over(listeners) == ["error"]
            assert served.gateway.providers.status["orpheus"].state == "failed"
            server.start()
            async with asyncio.timeout(60):
                await engine.health.well.wait()
            engine.settings = engine.settings.model_copy(update={"max_tokens": 70})
            async with speaking(served, "Here we are again.") as listeners:
                assert await over(listeners) == ["ended"]
