"""The client of llama-server, against a server that misbehaves in every way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from providers.base import ProviderError
from providers.orpheus.completion import Down, Rubbish, Stalled, Timeouts
from providers.orpheus.llama import Llama, Refused, Server
from tests.support.fake_llama import Abort, FakeLlama, Flood, Hang, Raw, Say, Status, Step, Stop, Wait, event, frames
from tests.support.virtual_time import virtual_time

REQUEST = {"prompt": ["tara: hi"], "n_predict": 100}
SHORT = Timeouts(connect=20.0, first=0.2, token=0.2)
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


async def test_a_proxy_that_keeps_all_of_it_back_until_the_end_does_no_harm(fake: FakeLlama) -> None:
    fake.next(Raw(event(tokens=[1]) + event(tokens=[2, 3]) + event(stop=True, stop_type="word")))
    assert await read(fake) == ([1, 2, 3], "word")


@pytest.mark.parametrize(
    "last", [Hang(), Say([5, 6]), Raw(b"<html>\n"), Abort()], ids=["hang", "more", "html", "abort"]
)
async def test_what_comes_behind_the_last_event_is_nothing(fake: FakeLlama, last: Step) -> None:
    fake.next(Say([1]), Stop("eos"), last)
    assert await read(fake) == ([1], "eos")


async def test_what_comes_together_with_the_last_event_is_nothing_either(fake: FakeLlama) -> None:
    fake.next(Say([1]), Raw(event(stop=True, stop_type="eos") + b"<html>\n"))
    assert await read(fake) == ([1], "eos")


@pytest.mark.parametrize(
    ("last", "kind"),
    [(b'data: {"error":{"code":500}}\n\n', Down), (b"<html>\n", Rubbish), (b"data: oops\n\n", Rubbish)],
    ids=["error", "html", "broken"],
)
async def test_tokens_that_came_with_a_failure_are_read_before_it(
    fake: FakeLlama, last: bytes, kind: type[ProviderError]
) -> None:
    fake.next(Raw(event(tokens=[1]) + event(tokens=[2]) + last), Hang())
    llama = Llama(fake.url, timeouts=PATIENT)
    async with llama.completion(REQUEST) as completion:
        assert await completion.read() == [1, 2]
        for _ in range(2):
            with pytest.raises(kind):
                await completion.read()
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
    async with asyncio.timeout(60):
        await fake.until_active(0)
    await llama.close()


async def test_a_read_that_is_cancelled_closes_it_too(fake: FakeLlama) -> None:
    fake.next(Hang())
    reading = asyncio.create_task(read(fake))
    await fake.until_active(1)
    reading.cancel()
    await asyncio.wait((reading,))
    async with asyncio.timeout(60):
        await fake.until_active(0)


BROKEN: list[tuple[str, tuple[Step, ...], type[ProviderError], str]] = [
    ("html", (Status(200, b"<html></html>", "text/html"),), Rubbish, "no stream of tokens"),
    ("html in the stream", (Raw(b"<html></html>\n"),), Rubbish, "cannot be understood"),
    ("broken json", (Raw(b"data: {oops\n\n"),), Rubbish, "cannot be understood"),
    ("no object", (Raw(b"data: [1, 2]\n\n"),), Rubbish, "cannot be understood"),
    ("an array of events", (Raw(b'data: [{"tokens":[1],"stop":false}]\n\n'),), Rubbish, "cannot be understood"),
    ("a number", (Raw(b"data: 5\n\n"),), Rubbish, "cannot be understood"),
    ("another end", (Raw(b"data: [DONE]\n\n"),), Rubbish, "cannot be understood"),
    ("json that is no stream", (Status(200, b'{"tokens":[1],"stop":true}'),), Rubbish, "no stream of tokens"),
    ("a long line", (Raw(event(tokens=[1], content="x" * 2_000_000)),), Rubbish, "cannot be understood"),
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
    ("302", (Status(302, headers={"location": "/health"}),), Rubbish, "HTTP 302"),
    ("307", (Status(307, headers={"location": "/completion"}),), Rubbish, "HTTP 307"),
    ("429", (Status(429),), Down, "no room"),
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


async def test_a_redirection_is_not_followed(fake: FakeLlama) -> None:
    async with FakeLlama() as another:
        fake.next(Status(307, headers={"location": f"{another.url}/completion"}))
        with pytest.raises(Rubbish):
            await read(fake)
        assert another.requests == []


async def test_a_connection_that_is_not_made_in_its_time_is_a_server_that_is_down() -> None:
    with socket.socket() as full, socket.socket() as first:
        # Who has taken nobody in has room for one; the next one's call is not answered.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        llama = Llama(f"http://127.0.0.1:{full.getsockname()[1]}", timeouts=Timeouts(connect=0.1, first=20))
        with pytest.raises(Down, match=r"^llama-server does not answer$"):
            async with llama.completion(REQUEST):
                pass
        await llama.close()


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_name_that_is_not_found_is_a_server_that_is_down(hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: Any, **__: Any) -> Any:
        if hangs:
            await asyncio.Event().wait()
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    llama = Llama("http://llama-server:8090", timeouts=Timeouts(connect=0.1, first=20))
    with pytest.raises(Down, match=r"^llama-server does not answer$"):
        async with llama.completion(REQUEST):
            pass
    await llama.close()


@virtual_time
async def test_the_head_of_an_answer_gives_its_first_token_no_more_time() -> None:
    loop = asyncio.get_running_loop()
    gate = asyncio.Event()
    async with FakeLlama() as fake:
        fake.next(Wait(gate), Raw(b": here\n\n"), Hang())
        began = loop.time()
        loop.call_later(6, gate.set)
        with pytest.raises(Stalled, match="10 seconds"):
            await read(fake, Timeouts())
        assert round(loop.time() - began, 3) == 10


async def test_no_error_and_no_line_of_the_log_has_the_password_of_the_address(
    fake: FakeLlama, caplog: pytest.LogCaptureFixture
) -> None:
    await fake.stop()
    llama = Llama(fake.url.replace("http://", "http://voice:sesame@"))
    with pytest.raises(Down) as raised:
        await llama.server()
    await llama.close()
    assert "sesame" not in caplog.text + str(raised.value) + str(raised.value.__cause__) + llama.name + llama.address
    assert caplog.records


@pytest.mark.parametrize(("host", "path"), [("::1", ""), ("127.0.0.1", "/voices/orpheus")], ids=["IPv6", "path"])
async def test_it_is_found_wherever_it_is(host: str, path: str) -> None:
    async with FakeLlama(host=host, path=path) as fake:
        assert await read(fake) == ([*frames(3)], "word")
        llama = Llama(fake.url + "/", timeouts=PATIENT)
        assert (await llama.server()).slots == 4
        await llama.close()


async def test_a_connection_that_the_server_closed_between_two_requests_costs_nothing(fake: FakeLlama) -> None:
    llama = Llama(fake.url, timeouts=PATIENT)
    for _ in range(2):
        assert (await llama.server()).slots == 4
        async with llama.completion(REQUEST) as completion:
            assert await completion.read()
        await fake.stop()
        await fake.start()
    await llama.close()


def test_servers_behind_one_address_are_told_apart() -> None:
    def name(url: str) -> str:
        return Llama(url).name

    assert name("http://gpu:8090") == name("http://key:word@gpu:8090/") == "gpu:8090"
    assert name("https://gpu/one/") == name("https://gpu/one") != name("https://gpu/two")
    assert name("http://127.0.0.2:8090").startswith(socket.gethostname())
    assert name("http://[::1]:8090").startswith(socket.gethostname())


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
    # Only a silence is to be too long: of a slow machine another kind of error would be told.
    llama = Llama(fake.url, timeouts=Timeouts(connect=0.2 if isinstance(health, Hang) else 20.0))
    with pytest.raises(kind):
        await llama.server()
    await llama.close()


async def test_the_key_goes_with_every_request(fake: FakeLlama) -> None:
    llama = Llama(fake.url, key="sesame", timeouts=PATIENT)
    async with llama.completion(REQUEST) as completion:
        await completion.read()
    await llama.close()
    assert fake.headers[0]["Authorization"] == "Bearer sesame"
