"""The client of llama-server, against a server that misbehaves in every way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from providers.base import ProviderError
from providers.orpheus.llama import Down, Llama, Refused, Rubbish, Server, Stalled, Timeouts
from tests.support.fake_llama import Abort, FakeLlama, Flood, Hang, Raw, Say, Status, Step, Stop, Wait, event

REQUEST = {"prompt": ["tara: hi"], "n_predict": 100}
SHORT = Timeouts(connect=0.2, first=0.2, token=0.2)
PATIENT = Timeouts(connect=20.0, first=20.0, token=20.0)


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeLlama]:
    async with FakeLlama() as fake:
        yield fake


async def read(fake: FakeLlama, timeouts: Timeouts = PATIENT) -> tuple[list[int], str | None]:
    """All tokens of a completion, and why it ended."""
    llama = Llama(fake.url, timeouts=timeouts)
    tokens: list[int] = []
    try:
        async with llama.completion(REQUEST) as completion:
            while (some := await completion.read()) is not None:
                tokens += some
            return tokens, completion.stopped
    finally:
        await llama.close()


async def test_the_tokens_come_as_the_server_sends_them(fake: FakeLlama) -> None:
    fake.next(Say([1, 2, 3]), Raw(b": a ping\n\n"), Say([4]), Stop("word"))
    assert await read(fake) == ([1, 2, 3, 4], "word")
    assert fake.requests[0] == {**REQUEST, "stream": True, "return_tokens": True}


async def test_a_token_is_there_before_the_next_is_made(fake: FakeLlama) -> None:
    gate = asyncio.Event()
    fake.next(Say([1]), Wait(gate), Say([2]), Stop())
    llama = Llama(fake.url, timeouts=PATIENT)
    async with llama.completion(REQUEST) as completion:
        assert await completion.read() == [1]
        gate.set()
        assert await completion.read() == [2]
        assert await completion.read() is None
    await llama.close()


@pytest.mark.parametrize("cut", [1, 7, 30])
async def test_events_may_be_cut_anywhere(fake: FakeLlama, cut: int) -> None:
    data = event(tokens=[1]) + event(tokens=[2, 3]) + event(stop=True, stop_type="eos")
    fake.next(*(Raw(data[start : start + cut]) for start in range(0, len(data), cut)))
    assert await read(fake) == ([1, 2, 3], "eos")


async def test_a_completion_that_is_left_is_closed_at_the_server(fake: FakeLlama) -> None:
    fake.next(Say([1]), Hang())
    llama = Llama(fake.url, timeouts=PATIENT)
    async with llama.completion(REQUEST) as completion:
        await completion.read()
        assert fake.active == 1
    async with asyncio.timeout(10):
        await fake.until_active(0)
    await llama.close()


async def test_a_read_that_is_cancelled_closes_it_too(fake: FakeLlama) -> None:
    fake.next(Hang())
    reading = asyncio.create_task(read(fake))
    await fake.until_active(1)
    reading.cancel()
    await asyncio.wait((reading,))
    async with asyncio.timeout(10):
        await fake.until_active(0)


BROKEN: list[tuple[str, tuple[Step, ...], type[ProviderError], str]] = [
    ("html", (Status(200, b"<html></html>", "text/html"),), Rubbish, "no stream of tokens"),
    ("html in the stream", (Raw(b"<html></html>\n"),), Rubbish, "cannot be understood"),
    ("broken json", (Raw(b"data: {oops\n\n"),), Rubbish, "cannot be understood"),
    ("no object", (Raw(b"data: [1, 2]\n\n"),), Rubbish, "cannot be understood"),
    ("no tokens in an event", (Raw(b'data: {"content":"hi","stop":false}\n\n'),), Rubbish, "cannot be understood"),
    ("words for tokens", (Raw(b'data: {"tokens":["hi"],"stop":false}\n\n'),), Rubbish, "cannot be understood"),
    ("a line without an end", (Flood(b"x" * 4096),), Rubbish, "cannot be understood"),
    ("tokens without an end", (Flood(event(tokens=[1])),), Rubbish, "beyond the limit"),
    ("an error in the stream", (Say([1]), Raw(b'data: {"error":{"code":500}}\n\n')), Down, "reports an error"),
    ("an error of its own kind", (Raw(b'error: {"code":500}\n\n'),), Down, "reports an error"),
    ("broken off", (Say([1]), Abort()), Down, "broke off"),
    ("ended without an end", (Say([1]),), Down, "broke off"),
    ("nothing at all", (Raw(b""),), Down, "broke off"),
    ("400", (Status(400, b'{"error":{"message":"secret"}}'),), Refused, "HTTP 400"),
    ("401", (Status(401),), Down, "key"),
    ("404", (Status(404),), Rubbish, "HTTP 404"),
    ("302", (Status(302),), Rubbish, "HTTP 302"),
    ("500", (Status(500),), Down, "HTTP 500"),
    ("503", (Status(503),), Down, "loading"),
]


@pytest.mark.parametrize(("steps", "kind", "sentence"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
async def test_whatever_goes_wrong_is_an_error_of_its_kind(
    fake: FakeLlama, steps: tuple[Step, ...], kind: type[ProviderError], sentence: str
) -> None:
    fake.next(*steps)
    with pytest.raises(kind, match=sentence) as raised:
        await read(fake)
    assert "secret" not in str(raised.value)
    assert fake.url.removeprefix("http://") not in str(raised.value)


@pytest.mark.parametrize(
    "steps",
    [(Hang(),), (Raw(b""), Hang()), (Say([1]), Hang()), (Flood(b": ping\n\n"),)],
    ids=["first", "head", "next", "pings"],
)
async def test_a_server_that_falls_silent_is_given_up(fake: FakeLlama, steps: tuple[Step, ...]) -> None:
    fake.next(*steps)
    with pytest.raises(Stalled, match=r"0\.2 seconds"):
        await read(fake, SHORT)


async def test_a_server_that_is_not_there_is_down() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        llama = Llama(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Down, match=r"^llama-server does not answer$"):
            await llama.server()
        with pytest.raises(Down, match=r"^llama-server does not answer$"):
            async with llama.completion(REQUEST):
                pass
        await llama.close()


async def test_what_the_server_has_is_read_from_its_props(fake: FakeLlama) -> None:
    llama = Llama(fake.url + "/", timeouts=PATIENT)
    assert await llama.server() == Server(slots=4, context=4096)
    await llama.close()


@pytest.mark.parametrize(
    ("health", "props", "kind"),
    [
        (Status(503, b'{"error":{"message":"Loading model"}}'), None, Down),
        (Status(200, b"<html>"), Status(200, b"<html>", "text/html"), Rubbish),
        (None, Status(200, b'{"total_slots":0}'), Rubbish),
        (None, Status(200, b'{"total_slots":"4"}'), Rubbish),
        (None, Status(200, b"[]"), Rubbish),
        (None, Status(404), Rubbish),
        (None, Flood(b"x" * 65536), ProviderError),
        (Hang(), None, Down),
    ],
)
async def test_a_server_that_is_none_or_is_loading_is_found_out(
    fake: FakeLlama, health: Step | None, props: Step | None, kind: type[ProviderError]
) -> None:
    fake.health = health or fake.health
    fake.props = props or fake.props
    llama = Llama(fake.url, timeouts=Timeouts(connect=0.5))
    with pytest.raises(kind):
        await llama.server()
    await llama.close()


async def test_the_key_goes_with_every_request(fake: FakeLlama) -> None:
    llama = Llama(fake.url, key="sesame", timeouts=PATIENT)
    async with llama.completion(REQUEST) as completion:
        await completion.read()
    await llama.close()
    assert fake.headers[0]["Authorization"] == "Bearer sesame"
