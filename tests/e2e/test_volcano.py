"""Voxwire in front of Volcano Engine: from a client's socket to the service's, and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from providers.volcano.engine import Volcano
from providers.volcano.settings import VolcanoSettings
from tests.support.asking import until
from tests.support.duplex import duplex
from tests.support.serving import Served
from tests.support.serving import serving as gateway_serving
from tests.support.volcano import VolcanoService, bidirection, serving
from tests.support.volcano.plans import QUOTA, Plan, Refusal

VOICE = {"provider": "volcano", "voice": "zh_female_vv_uranus_bigtts"}
FIRST, SECOND, THIRD = "The first sentence is here. ", "The second sentence follows. ", "And that was the third."


@pytest.fixture
async def service() -> AsyncIterator[VolcanoService]:
    async with serving() as service:
        service.account("key")
        yield service
        assert service.problems == []


@pytest.fixture
async def gateway(service: VolcanoService) -> AsyncIterator[Served]:
    account = {"url": service.url, "api_key": "key", "concurrency": 2}
    # No pause of the machine ends a session.
    engine = Volcano(VolcanoSettings(_env_file=None, **account, finish_after=60.0, retries=0))
    async with gateway_serving(engines=[engine], lead_ms=0, ahead_s=0.5) as served:
        yield served
    await asyncio.wait_for(service.until(lambda: service.open == 0), 60)


async def test_text_that_comes_in_pieces_is_one_session_of_the_service(
    gateway: Served, service: VolcanoService
) -> None:
    async with duplex(gateway.ws) as client:
        heard = await client.start("a", **VOICE, pace="burst", timestamps=True)
        for piece in (FIRST[:10], FIRST[10:], SECOND):
            await client.send("text", context="a", text=piece)
        await asyncio.wait_for(heard.begun.wait(), 60)
        await client.send("text", context="a", text=THIRD)
        await client.send("end", context="a")
        await asyncio.wait_for(heard.over.wait(), 60)
    assert heard.last["type"] == "ended"
    assert [record.text for record in service.records] == [FIRST + SECOND + THIRD]
    words = [word for message in heard.messages if message["type"] == "words" for word in message["words"]]
    assert [word["text"] for word in words] == (FIRST + SECOND + THIRD).split()
    assert not any(message["estimated"] for message in heard.messages if message["type"] == "words")
    assert words[-1]["end_ms"] == pytest.approx(heard.last["audio_ms"], abs=60)


async def test_a_cancel_says_what_was_heard_and_the_service_is_told(
    gateway: Served, service: VolcanoService, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, cancel = asyncio.Event(), bidirection.Connection._cancel

    async def later(self: bidirection.Connection, session: bidirection.Session) -> None:
        await answers.wait()
        await cancel(self, session)

    monkeypatch.setattr(bidirection.Connection, "_cancel", later)
    # As long as this test may take: a service that does not answer within three seconds is given up.
    monkeypatch.setattr("providers.volcano.pool._CANCEL", 60.0)
    async with duplex(gateway.ws) as client:
        heard = await client.start("a", **VOICE, pace="burst")
        await client.send("text", context="a", text=FIRST + SECOND + THIRD)
        await asyncio.wait_for(heard.admitted.wait(), 60)
        await until(lambda: len(heard.sound) > 3 * heard.started["sample_rate"] * 2)
        # The first sentence is 27 characters of 60 ms.
        await client.send("cancel", context="a", played_ms=1700)
        await asyncio.wait_for(heard.over.wait(), 60)
        assert heard.last["type"] == "cancelled"
        assert heard.last["text_spoken"] == FIRST
        assert heard.last["text_spoken"] + heard.last["text_remaining"] == FIRST + SECOND + THIRD
        assert service.outcomes == ["live"], "the listener does not wait for the service"
        answers.set()
    await asyncio.wait_for(service.until(lambda: service.outcomes == ["canceled"]), 60)


async def test_whoever_finds_no_place_waits_in_the_gateway_and_not_at_the_service(
    gateway: Served, service: VolcanoService
) -> None:
    holds = [asyncio.Event() for _ in range(2)]
    service.next(*(Plan(hold=hold) for hold in holds))
    async with duplex(gateway.ws) as client:
        heard = [await client.speak(name, THIRD, **VOICE, pace="burst") for name in "abc"]
        await asyncio.wait_for(service.until(lambda: service.live == 2), 60)
        # The third waits before a place comes free.
        await until(lambda: any(message["type"] == "queued" for one in heard for message in one.messages))
        for hold in holds:
            hold.set()
        for one in heard:
            await asyncio.wait_for(one.over.wait(), 60)
            assert one.last["type"] == "ended"
    queued = [message for one in heard for message in one.messages if message["type"] == "queued"]
    assert [message["position"] for message in queued] == [1]
    (account,) = service.accounts.all()
    assert (account.peak, account.refused) == (2, 0)


@pytest.mark.parametrize(
    ("refusal", "code", "retryable"),
    [
        (QUOTA, "overloaded", True),
        (Refusal(45000010, "Invalid X-Api-Key"), "engine_denied", False),
        (Refusal(55000000, "x"), "engine_unavailable", True),
    ],
)
async def test_what_the_service_refuses_is_told_in_the_gateways_words(
    gateway: Served, service: VolcanoService, refusal: Refusal, code: str, retryable: bool
) -> None:
    service.next(Plan(refuse=refusal))
    async with duplex(gateway.ws) as client:
        heard = await client.speak("a", THIRD, **VOICE)
        await asyncio.wait_for(heard.over.wait(), 60)
    assert (heard.last["type"], heard.last["code"], heard.last["retryable"]) == ("error", code, retryable)


async def test_options_of_the_service_pass_through(gateway: Served, service: VolcanoService) -> None:
    async with duplex(gateway.ws) as client:
        heard = await client.speak("a", THIRD, **VOICE, speed=2.0, options={"volume": 2.0}, pace="burst")
        await asyncio.wait_for(heard.over.wait(), 60)
        wrong = await client.speak("b", THIRD, **VOICE, options={"volume": 9.0})
        await asyncio.wait_for(wrong.over.wait(), 60)
    assert heard.last["audio_ms"] == pytest.approx(len(THIRD) * 30, abs=1)
    assert service.records[0].params["audio_params"]["loudness_rate"] == 100
    assert "bad_option" in [message.get("code") for message in wrong.messages]
