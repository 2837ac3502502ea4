"""Accounts, and what the engine is beside its protocols."""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import SecretStr

from providers.base import (
    Accounted,
    BadOption,
    Bidirectional,
    Credentialed,
    EngineUnavailable,
    Limited,
    Provider,
    ProviderError,
    Segment,
    Tunable,
    UnknownVoice,
    Voice,
)
from providers.volcano.engine import Volcano
from providers.volcano.errors import Denied
from providers.volcano.settings import VolcanoSettings
from tests.providers.volcano.conftest import (
    ACCESS,
    FIRST,
    KEY,
    SECOND,
    SMALL,
    UNIDIRECTIONAL,
    Opened,
    Script,
    hear,
    say,
    within,
)
from tests.support.volcano import VolcanoService
from tests.support.volcano.plans import QUOTA, Plan, Refusal

HELLO = "Hello there, friend. "
# Not in one piece: a traceback shows the lines of this file.
TELLTALE = "TELL" + "TALE"


async def test_it_is_all_that_the_gateway_may_ask_of_an_engine(volcano: Opened) -> None:
    async with volcano(concurrency=3) as engine:
        for kind in (Provider, Bidirectional, Limited, Accounted, Tunable, Credentialed):
            assert isinstance(engine, kind)
        assert engine.places == 3
        assert engine.check({"volume": 1.5}) == {"volume": 1.5}
        with pytest.raises(BadOption):
            engine.check({"volume": 5})


# ---- accounts


async def test_without_an_account_it_says_what_to_set_and_serves_those_who_bring_one(volcano: Opened) -> None:
    async with volcano(api_key="", app_id="", access_key="") as engine:
        await engine.start()
        for voice in (SECOND, UNIDIRECTIONAL, SMALL):
            with pytest.raises(Denied, match="VOXWIRE_VOLCANO_API_KEY"):
                await say(engine, HELLO, voice=voice)
        assert (await say(engine.with_credentials({"api_key": KEY}), HELLO)).pcm


@pytest.mark.parametrize(
    "account",
    [{"api_key": "wrong", "app_id": ""}, {"api_key": "", "access_key": "wrong"}],
    ids=["key", "app"],
)
async def test_an_account_that_is_refused_is_known_at_the_start(volcano: Opened, account: dict[str, str]) -> None:
    async with volcano(**account) as engine:
        with pytest.raises(Denied):
            await engine.start()


async def test_a_resource_that_was_not_granted_is_refused_to_whoever_asks(
    volcano: Opened, service: VolcanoService
) -> None:
    (account,) = service.accounts.all()
    account.resources = frozenset({"seed-tts-1.0"})
    async with volcano() as engine:
        await engine.start()
        with pytest.raises(Denied, match="403"):
            await say(engine, HELLO)
        assert (await say(engine, HELLO, voice=FIRST)).pcm


async def test_both_consoles_accounts_open(volcano: Opened, service: VolcanoService) -> None:
    async with volcano(api_key="", app_id="app", access_key=ACCESS) as old, volcano(app_id="") as new:
        for engine in (old, new):
            await engine.start()
            assert (await say(engine, HELLO)).pcm


async def test_a_service_that_is_down_is_no_reason_not_to_start() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        engine = Volcano(VolcanoSettings(_env_file=None, url=url, api_key="key", retries=0))
        await engine.start()
        for voice in (SECOND, UNIDIRECTIONAL):
            with pytest.raises(EngineUnavailable, match="reached"):
                await say(engine, HELLO, voice=voice)
        await engine.close()


async def test_a_caller_speaks_in_his_own_name_with_places_of_his_own(volcano: Opened, service: VolcanoService) -> None:
    mine, his = service.accounts.all()[0], service.account(app_id="his-app", access_key="his-key", quota=2)
    async with volcano(concurrency=2) as engine:
        guest = engine.with_credentials({"app_id": "his-app", "access_key": "his-key"})
        assert isinstance(guest, Provider)
        assert guest.account != engine.account
        await guest.start()
        holds = [asyncio.Event() for _ in range(4)]
        service.next(*(Plan(hold=hold) for hold in holds))
        speaking = [asyncio.create_task(say(one, HELLO)) for one in (engine, engine, guest, guest)]
        await within(60, service.until(lambda: (mine.live, his.live) == (2, 2)))
        for hold in holds:
            hold.set()
        assert all(heard.pcm for heard in await asyncio.gather(*speaking))
        await guest.close()
        assert (await say(guest, HELLO, voice=SMALL)).pcm, "it lives as long as the engine"
        assert guest.with_credentials({"api_key": KEY}).account == engine.with_credentials({"api_key": KEY}).account
    with pytest.raises(EngineUnavailable, match="closed"):
        await say(guest, HELLO)
    assert {record.account for record in service.records if record.account != KEY} == {"his-app"}


async def test_another_callers_account_that_is_wrong_is_his_trouble_alone(volcano: Opened) -> None:
    async with volcano() as engine:
        guest = engine.with_credentials({"api_key": "wrong"})
        for voice in (SECOND, UNIDIRECTIONAL):
            with pytest.raises(Denied):
                await say(guest, HELLO, voice=voice)
        assert (await say(engine, HELLO)).pcm


async def test_accounts_that_nobody_uses_are_forgotten(volcano: Opened, service: VolcanoService) -> None:
    async with volcano(idle=0.01) as engine:
        for n in range(100):
            service.account(f"key-{n}")
            await say(engine.with_credentials({"api_key": f"key-{n}"}), "Hi.")
            await within(60, service.until(lambda: service.open == 0))
        await engine.settled()
        assert len(engine._accounts._known) < 80


# ---- the rest


async def test_an_unknown_voice_is_refused_with_what_to_set(volcano: Opened) -> None:
    async with volcano() as engine:
        nobody = Segment(HELLO, Voice("nobody", "Nobody", "en", 24000))
        with pytest.raises(UnknownVoice, match="VOXWIRE_VOLCANO_VOICES"):
            await anext(engine.synthesize(nobody))


async def test_a_configured_voice_is_spoken(volcano: Opened, service: VolcanoService) -> None:
    async with volcano(voices=("S_mine:en-US",)) as engine:
        assert (await say(engine, HELLO, voice="S_mine")).pcm
    assert service.records[0].params["speaker"] == "S_mine"


async def test_closing_ends_what_is_spoken_and_it_can_be_started_again(
    volcano: Opened, service: VolcanoService
) -> None:
    service.next(Plan(hold=asyncio.Event()))
    async with volcano() as engine:
        speaking = asyncio.create_task(say(engine, HELLO))
        await service.until(lambda: service.live == 1)
        await within(60, engine.close())
        with pytest.raises(ProviderError):
            await speaking
        with pytest.raises(EngineUnavailable, match="closed"):
            await say(engine, HELLO)
        await engine.start()
        assert (await say(engine, HELLO)).pcm


async def test_nothing_secret_and_none_of_the_text_is_in_a_log_or_an_error(
    volcano: Opened, service: VolcanoService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = f"Invalid key {KEY} or {ACCESS}"
    refusals = [Refusal(45000010, said), Refusal(45000010, said, "frame"), QUOTA]
    text = f"{TELLTALE} and more."
    errors: list[BaseException] = []

    async def fail(engine: Volcano, voice: str, *plans: Plan, **more: Any) -> None:
        service.next(*plans)
        try:
            await say(engine, text, voice=voice, **more)
        except ProviderError as error:
            errors.append(error)

    async with volcano(retries=0) as engine:
        for voice in (SECOND, UNIDIRECTIONAL, SMALL):
            for refusal in refusals:
                await fail(engine, voice, Plan(refuse=refusal))
            for how in ("fail", "frame", "close", "abort", "junk"):
                await fail(engine, voice, Plan(chunks=0, then=how))
        guest = engine.with_credentials({"api_key": "another-secret"})
        for voice in (SECOND, UNIDIRECTIONAL):
            await fail(guest, voice)
        async with aclosing(engine.converse(Script(engine).send(text))) as items:
            await anext(items)
    lost = Volcano(VolcanoSettings(_env_file=None, url="http://127.0.0.1:9", api_key=KEY, retries=0))
    for voice in (SECOND, UNIDIRECTIONAL):
        await fail(lost, voice)
    await lost.close()

    assert len(errors) > 20
    told = [repr(error) + "".join(traceback.format_exception(error)) for error in errors]
    told += [repr(vars(record)) + record.getMessage() for record in caplog.records]
    told += [repr(vars(value)) for value in _causes(errors)]
    for secret in (KEY, ACCESS, "another-secret", TELLTALE):
        assert not [line for line in told if secret in line]


def _causes(errors: list[BaseException]) -> list[BaseException]:
    """Those that a log would show under an error."""
    found = []
    for error in errors:
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None:
            found += [cause, *_causes([cause])]
    return found


async def test_the_services_trace_is_in_the_log_of_a_refusal(
    volcano: Opened, service: VolcanoService, caplog: pytest.LogCaptureFixture
) -> None:
    service.next(*[Plan(refuse=QUOTA)] * 2)
    async with volcano(retries=0) as engine:
        for voice in (SECOND, UNIDIRECTIONAL):
            with pytest.raises(ProviderError):
                await say(engine, HELLO, voice=voice)
    traces = [vars(record).get("logid") for record in caplog.records if "refused" in record.getMessage()]
    assert len(traces) == 2
    assert all(trace and len(trace) == 32 for trace in traces)


async def test_speaking_many_at_once_on_all_services_mixes_nothing_up(volcano: Opened, service: VolcanoService) -> None:
    async with volcano(concurrency=5) as engine:
        voices = (FIRST, SECOND, UNIDIRECTIONAL, SMALL)
        texts = [f"{'Again and ' * (n % 7)}number {n}." for n in range(40)]
        heard = await asyncio.gather(*(say(engine, text, voice=voices[n % 4]) for n, text in enumerate(texts)))
        assert [round(item.seconds, 2) for item in heard] == [round(len(text) * 0.06, 2) for text in texts]
        (account,) = service.accounts.all()
        assert account.peak <= 5
        assert account.refused == 0
        await hear(engine.converse(Script(engine).send(None)))


def test_the_doctor_is_told_where_there_is_no_account() -> None:
    assert "no account" in (Volcano(VolcanoSettings(_env_file=None)).detail or "")
    assert Volcano(VolcanoSettings(_env_file=None, api_key=SecretStr("k"))).detail is None
