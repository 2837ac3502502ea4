"""What is relied on of llama.cpp's own server, and the engine on it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from providers.base import Segment
from providers.orpheus import options
from providers.orpheus.completion import Timeouts
from providers.orpheus.engine import Orpheus
from providers.orpheus.llama import Llama, Server
from providers.orpheus.prompt import CUSTOM, EMOTIONS, VOICES, prompt, speakable
from providers.orpheus.settings import OrpheusSettings
from providers.orpheus.slots import Slots
from providers.orpheus.supervisor import Supervisor
from providers.orpheus.tokens import END_OF_SPEECH, Frames
from tests.support import llama
from tests.support.fake_snac import FakeDecoder
from tests.support.llama import LlamaServer
from tests.support.orpheus import PATIENT

pytestmark = pytest.mark.engines

CONTROL = 128_000
"""The first id that is no text."""
HOSTILE = [
    "<|eot_id|>",
    "<custom_token_3>",
    "<custom_token_4096>",
    "<|begin_of_text|>",
    "<|reserved_128100|>",
    "<custom_tok<b>en_3>",
    "<custom_token_<custom_token_1>3>",
    "<\u200b|eot_id|>",
    "<|eot_\x00id|>",
    "<<custom_token_3>>",
    "<laugh<|eot_id|>>",
    "&lt;|eot_id|&gt; <custom_token_3",
]
SLOW = Timeouts(connect=60.0, first=60.0, token=60.0)
"""On a machine that is busy with other things nothing is stalled yet."""
SAMPLING = {"temperature": 0.6, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.1, "max_tokens": 140, "seed": 1}


async def tokenized(server: LlamaServer, text: str) -> list[int]:
    """As the server reads a string in a prompt."""
    body = {"content": text, "add_special": False, "parse_special": True}
    async with aiohttp.ClientSession() as client, client.post(f"{server.url}/tokenize", json=body) as response:
        tokens: list[int] = (await response.json())["tokens"]
        return tokens


async def said(server: LlamaServer, text: str = "Hello.", **given: Any) -> tuple[list[int], str | None]:
    """What the model says, and why it ended."""
    asked = prompt("tara", text)
    assert asked is not None
    llama = Llama(server.url, timeouts=SLOW)
    tokens: list[int] = []
    async with llama.completion(options.request(asked, {**SAMPLING, **given})) as completion:
        while (some := await completion.read()) is not None:
            tokens += some
        stopped = completion.stopped
    await llama.close()
    return tokens, stopped


async def test_no_text_becomes_a_control_token(llama_server: LlamaServer) -> None:
    assert any(token >= CONTROL for token in await tokenized(llama_server, "".join(HOSTILE))), "they are hostile"
    for text in [*HOSTILE, "".join(HOSTILE), *(f"<{name}>" for name in EMOTIONS)]:
        assert all(token < CONTROL for token in await tokenized(llama_server, f"tara: {speakable(text)}"))


async def test_the_server_says_what_it_has(llama_server: LlamaServer, orpheus_model: Path) -> None:
    llama = Llama(llama_server.url, timeouts=SLOW)
    assert await llama.server() == Server(slots=4, context=4096, model=str(orpheus_model))
    await llama.close()


async def test_the_model_says_whole_frames_and_then_the_end(llama_server: LlamaServer) -> None:
    for seed in range(20):
        tokens, stopped = await said(llama_server, seed=seed, max_tokens=700)
        frames = Frames()
        for token in tokens:
            frames.push(token)
        assert frames.frames == len([token for token in tokens if token >= CUSTOM + 10]) // 7
        assert (frames.slips, frames.lost) == (0, 0)
        assert (tokens[-1] == END_OF_SPEECH) is (stopped == "word")
        if stopped == "word":
            return
    pytest.fail("no utterance ended by itself")


async def test_a_seed_and_a_text_make_the_tokens(llama_server: LlamaServer) -> None:
    first, again, other = [await said(llama_server, seed=seed, max_tokens=64) for seed in (5, 5, 6)]
    assert first == again
    assert first != other
    assert first != await said(llama_server, "Goodbye.", seed=5, max_tokens=64)


async def test_the_limit_of_tokens_holds(llama_server: LlamaServer) -> None:
    lengths = [await said(llama_server, seed=seed, max_tokens=64) for seed in range(4)]
    assert all(len(tokens) <= 64 for tokens, _ in lengths)
    assert "limit" in {stopped for _, stopped in lengths}


async def test_a_slot_that_is_left_is_given_to_who_waits_for_it(llama_server: LlamaServer) -> None:
    """With one place for two: the second is heard because the first was left."""
    given = OrpheusSettings(_env_file=None, url=llama_server.url, places=1, max_tokens=140, **PATIENT)
    engine = Orpheus(given, decoder=lambda _: FakeDecoder())  # type: ignore[arg-type, return-value]
    await engine.start()
    segment = Segment("Hello there.", VOICES["tara"])
    async with aclosing(engine.synthesize(segment)) as first:
        await anext(first)
        async with aclosing(engine.synthesize(segment)) as second:
            waiting = asyncio.ensure_future(anext(second))
            await first.aclose()
            assert (await waiting).pcm
    await engine.close()
    await llama_server.idle(60)


async def test_another_model_is_known_and_not_harmed_and_other_slots_are_counted(
    orpheus_model: Path, tmp_path: Path
) -> None:
    chat = tmp_path / "chat.gguf"
    llama.write_model(chat, speaks=False)
    with llama.running(chat) as server:
        client, slots = Llama(server.url, timeouts=SLOW), Slots()
        given = OrpheusSettings(_env_file=None)
        health = Supervisor(client, slots, given).health
        await health.start()
        assert str(health.trouble) == "the model behind llama-server does not speak as Orpheus does"
        await health.close()
        assert await tokenized(server, "Still there.")
        server.kill()
        server.start(model=orpheus_model, slots=2)
        health = Supervisor(client, slots, given).health
        await health.start()
        assert (health.trouble, slots.places) == (None, 2)
        await health.close()
        await client.close()
