"""The native protocol: what is read, what is said, and what happens to a client that says something wrong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.dialects.native import HEADER, parse
from gateway.errors import VoxwireError
from gateway.events import Cancel, Command, End, Pace, Ping, Playhead, SpeechRequest, Start, Text
from tests.support.duplex import Duplex, duplex
from tests.support.engines import Hang, Say, Scripted, sound
from tests.support.serving import Served, serving

# ---- reading


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ({"type": "start", "context": "a"}, Start("a", SpeechRequest())),
        (
            {
                "type": "start", "context": "a", "voice": "v", "provider": "p", "model": "m", "format": "mp3",
                "sample_rate": 16000, "language": "en", "speed": 1.5, "pace": "burst", "frame_ms": 40,
                "pad": True, "timestamps": True, "from_the_future": 1,
            },
            Start("a", SpeechRequest("v", "p", "m", "en", 1.5, "mp3", 16000, Pace.BURST, 40, True, pad=True)),
        ),
        ({"type": "text", "context": "a", "text": "Hi"}, Text("a", "Hi")),
        ({"type": "text", "context": "a", "text": "Hi", "flush": True}, Text("a", "Hi", True)),
        ({"type": "end", "context": "a"}, End("a")),
        ({"type": "cancel", "context": "a"}, Cancel("a")),
        ({"type": "cancel", "context": "a", "played_ms": 12.5}, Cancel("a", 12.5)),
        ({"type": "playhead", "context": "a", "played_ms": 20, "underruns": 1}, Playhead("a", 20, 1)),
        ({"type": "ping"}, Ping()),
    ],
)  # fmt: skip
def test_a_message_is_a_command(message: dict[str, Any], command: Command) -> None:
    assert parse(json.dumps(message)) == command


@pytest.mark.parametrize(
    ("message", "code", "context"),
    [
        (b"\x00\x01", "bad_message", None),
        ("", "bad_message", None),
        ("{", "bad_message", None),
        ("[]", "bad_message", None),
        ("null", "bad_message", None),
        ('"text"', "bad_message", None),
        ("{}", "bad_message", None),
        ('{"type":"sing"}', "bad_message", None),
        ('{"type":7}', "bad_message", None),
        ('{"type":"resume","token":"x","last_seq":1}', "bad_message", None),
        ('{"type":"start"}', "bad_message", None),
        ('{"type":"start","context":""}', "bad_request", ""),
        ('{"type":"start","context":7}', "bad_message", None),
        ('{"type":"start","context":"a","speed":"fast"}', "bad_message", "a"),
        ('{"type":"start","context":"a","pace":"slow"}', "bad_request", "a"),
        ('{"type":"start","context":"a","frame_ms":1}', "bad_request", "a"),
        ('{"type":"text","context":"a"}', "bad_message", "a"),
        ('{"type":"text","context":"a","text":null}', "bad_message", "a"),
        ('{"type":"cancel","context":"a","played_ms":-1}', "bad_request", "a"),
        ('{"type":"text","context":"a","text":"\\ud800"}', "bad_message", None),
        ('{"type":"playhead","context":"a","played_ms":1,"underruns":1000001}', "bad_request", "a"),
        pytest.param(
            '{"type":"playhead","context":"a","played_ms":1,"underruns":"%s"}' % ("9" * 4000),
            "bad_request",
            "a",
            id="more underruns than a float can count",
        ),
    ],
)
def test_a_message_that_is_wrong_is_refused_with_a_code(message: str | bytes, code: str, context: str | None) -> None:
    with pytest.raises(VoxwireError) as refused:
        parse(message)
    assert (refused.value.code, refused.value.context) == (code, context)


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"text","context":"a","text":{"secret":"words"}}',
        '{"type":"secret words"}',
        '{"type":["secret words"]}',
    ],
)
def test_a_refusal_does_not_repeat_what_the_caller_said(message: str) -> None:
    with pytest.raises(VoxwireError) as refused:
        parse(message)
    assert "secret" not in refused.value.message
    assert "words" not in refused.value.message


# ---- on a socket


class Rig:
    def __init__(self, served: Served, engine: Scripted) -> None:
        self.served = served
        self.engine = engine


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    engine = Scripted()
    async with serving(engines=[engine], max_text_characters=1000, max_message_bytes=4096, max_contexts=3) as served:
        yield Rig(served, engine)
        await served.gateway.sessions.drained()
        assert engine.active == 0


async def alive(client: Duplex) -> None:
    """The connection goes on: a context on it is spoken to its end."""
    heard = await client.speak("alive", "Still here.")
    await heard.over.wait()
    assert heard.last["type"] == "ended"
    assert heard.sound == sound(200)


async def test_a_golden_transcript(rig: Rig) -> None:
    """Byte for byte what a client sees of one short context."""
    rig.engine.on("Hi.", Say(sound(30)))
    async with connect(f"{rig.served.ws}/v1/stream", subprotocols=["voxwire.v1"]) as socket:
        assert socket.subprotocol == "voxwire.v1"
        await socket.send('{"type":"start","context":"a","timestamps":true}')
        await socket.send('{"type":"text","context":"a","text":"Hi."}')
        await socket.send('{"type":"end","context":"a"}')
        got = [await socket.recv() for _ in range(5)]
        started, ended = json.loads(got[0]), json.loads(got[4])
        assert len(started.pop("token")) == 32
        assert started == {
            "type": "started", "context": "a", "number": 1, "generation": 1, "provider": "scripted", "voice": "one",
            "format": "pcm16", "sample_rate": 24000,
        }  # fmt: skip
        words = {"type": "words", "context": "a", "words": [{"text": "Hi.", "start_ms": 0, "end_ms": 30}]}
        assert json.loads(got[1]) == {**words, "estimated": True} or json.loads(got[3]) == {**words, "estimated": True}
        frames = [message for message in got if isinstance(message, bytes)]
        assert frames[0] == HEADER.pack(1, 1, 1, 1, 1, 0, 0) + sound(20)
        assert frames[1] == HEADER.pack(1, 1, 0, 1, 1, 1, 480) + sound(10)
        assert ended.pop("ttfa_ms") >= 0
        assert ended == {"type": "ended", "context": "a", "audio_ms": 30.0, "frames": 2}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"voice": "nobody"}, "unknown_voice"),
        ({"provider": "nothing"}, "unknown_provider"),
        ({"format": "aiff"}, "unsupported_format"),
        ({"sample_rate": 12345}, "unsupported_format"),
        ({"format": "opus", "sample_rate": 44100}, "unsupported_format"),
        ({"speed": 100}, "bad_request"),
        ({"speed": 0}, "bad_request"),
        ({"frame_ms": 5}, "bad_request"),
    ],
)
async def test_a_start_that_asks_for_what_is_not_there_is_refused(rig: Rig, fields: dict[str, Any], code: str) -> None:
    async with duplex(rig.served.ws) as client:
        heard = await client.start("a", **fields)
        await heard.over.wait()
        assert heard.last["code"] == code
        assert heard.last["final"] is True
        assert heard.last["retryable"] is False
        assert "aiff" not in heard.last["message"]
        await alive(client)


@pytest.mark.parametrize("text", ["", "   \n", "?!...", "\N{GRINNING FACE}\N{THUMBS UP SIGN}"])
async def test_a_context_with_nothing_to_speak_fails_alone(rig: Rig, text: str) -> None:
    async with duplex(rig.served.ws) as client:
        heard = await client.speak("a", text)
        await heard.over.wait()
        assert (heard.last["code"], heard.last["final"]) == ("nothing_to_speak", True)
        await alive(client)


async def test_too_much_text_is_refused_and_the_context_goes_on(rig: Rig) -> None:
    async with duplex(rig.served.ws) as client:
        heard = await client.start("a")
        await client.send("text", context="a", text="word " * 300)
        await client.send("text", context="a", text="This fits.")
        await client.send("end", context="a")
        await heard.over.wait()
        codes = [(m["code"], m["final"]) for m in heard.messages if m["type"] == "error"]
        assert codes == [("text_too_long", False)]
        assert heard.last["type"] == "ended"


@pytest.mark.parametrize("message", [b"\x00binary", "{", "[]", '{"type":"sing"}'])
async def test_a_message_that_cannot_be_read_is_refused_and_the_contexts_go_on(rig: Rig, message: str | bytes) -> None:
    async with duplex(rig.served.ws) as client:
        running = await client.start("running")
        await client.socket.send(message)
        assert (await client.other())["code"] == "bad_message"
        await client.send("text", context="running", text="Here.")
        await client.send("end", context="running")
        await running.over.wait()
        assert running.last["type"] == "ended"


@pytest.mark.parametrize("type_", ["text", "end", "cancel", "playhead"])
async def test_a_message_for_a_context_that_is_not_there_is_refused(rig: Rig, type_: str) -> None:
    async with duplex(rig.served.ws) as client:
        await client.send(type_, context="ghost", text="x", played_ms=0)
        refused = await client.other()
        assert (refused["code"], refused["context"], refused["final"]) == ("unknown_context", "ghost", True)
        await alive(client)


async def test_messages_in_the_wrong_order_are_refused_with_a_sentence_and_change_nothing(rig: Rig) -> None:
    async with duplex(rig.served.ws) as client:
        heard = await client.start("a")
        await client.send("start", context="a")
        await client.send("text", context="a", text="Hello there.")
        await client.send("end", context="a")
        await client.send("text", context="a", text="More.")
        await client.send("end", context="a")
        await heard.over.wait()
        refused = [m for m in heard.messages if m["type"] == "error"]
        assert [m["code"] for m in refused] == ["illegal_move"] * 3
        assert not any(m["final"] for m in refused)
        assert "may not come now" in refused[0]["message"]
        assert heard.last["type"] == "ended"
        assert heard.sound == sound(200)


async def test_more_contexts_than_the_limit_are_refused(rig: Rig) -> None:
    rig.engine.otherwise(Hang())
    async with duplex(rig.served.ws) as client:
        for name in "abc":
            await (await client.start(name)).admitted.wait()
        fourth = await client.start("d")
        await fourth.over.wait()
        assert fourth.last["code"] == "too_many_contexts"
        await client.send("cancel", context="a")
        await client.heard["a"].over.wait()
        again = await client.start("e")
        await again.admitted.wait()
        assert again.started["number"] == client.heard["a"].started["number"]


async def test_a_huge_message_closes_with_1009_and_leaves_nothing(rig: Rig) -> None:
    async with duplex(rig.served.ws) as client:
        await client.start("a")
        await client.send("text", context="a", text="x" * 10_000)
        await client.socket.wait_closed()
        assert client.socket.close_code == 1009
    await rig.served.gateway.sessions.drained()


async def test_text_that_is_not_utf8_closes_with_1007_and_leaves_nothing(rig: Rig) -> None:
    async with duplex(rig.served.ws) as client:
        await client.start("a")
        await client.socket.send(b'{"type":"\xff\xfe"}', text=True)
        await client.socket.wait_closed()
        assert client.socket.close_code == 1007
    await rig.served.gateway.sessions.drained()


async def test_an_unknown_subprotocol_is_refused_in_the_handshake(rig: Rig) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{rig.served.ws}/v1/stream", subprotocols=["graphql-ws"]):
            pass
    assert refused.value.response.status_code == 400


async def test_a_wrong_key_is_refused_in_the_handshake() -> None:
    async with serving(engines=[Scripted()], api_keys=("right",)) as served:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"{served.ws}/v1/stream", additional_headers=headers):
                    pass
            assert refused.value.response.status_code == 401
        async with duplex(served.ws, additional_headers={"Authorization": "Bearer right"}) as client:
            await alive(client)
        async with connect(f"{served.ws}/v1/stream?api_key=right") as socket:
            await socket.send('{"type":"ping"}')
            assert await socket.recv() == '{"type":"pong"}'


async def test_a_connection_too_many_is_refused_in_the_handshake() -> None:
    async with serving(engines=[Scripted()], max_connections=1) as served, duplex(served.ws) as client:
        await alive(client)
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{served.ws}/v1/stream"):
                pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["retry-after"] == "1"


async def test_a_stopping_server_says_goaway_finishes_what_runs_and_closes_with_1012() -> None:
    engine = Scripted()
    engine.otherwise(*[Say(sound(100))] * 5)
    async with serving(engines=[engine], drain_s=10.0) as served, duplex(served.ws) as client:
        heard = await client.speak("a", "Hello there.")
        await heard.begun.wait()
        served.server.should_exit = True
        await heard.over.wait()
        assert heard.last["type"] == "ended"
        assert len(heard.sound) == len(sound(500))
        assert (await client.other())["type"] == "goaway"
        await client.socket.wait_closed()
        assert client.socket.close_code == 1012
