"""The page at ``/`` in a real browser, against a real gateway. What it plays is read from ``window.voxwire``."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.support.chromium import chromium
from tests.support.prefix_proxy import prefix_proxy

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.browser

TEXT = "The page plays this sentence while it is still being made. Here is a second one for it."
LONG = " ".join([TEXT] * 10)
"""Not over by the time somebody stops it, also where that comes late."""
TONE = "mock_tone/en-US-mock-1"
SPEECH = "hibari/heart"
WAIT_MS = 60_000


class Gateway(Protocol):
    @property
    def http(self) -> str: ...


@asynccontextmanager
async def open_page(gateway: Gateway, address: str = "", **context: Any) -> AsyncIterator[Page]:
    """The page, at ``address`` where a proxy has it, connected and with its voices; at the end its console must hold no
    error."""
    async with chromium() as browser:
        view = await browser.new_context(**context)
        view.set_default_timeout(WAIT_MS)
        page = await view.new_page()
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(address or gateway.http + "/")
        await until(page, "voxwire.connection === 'open' && document.querySelector('#voice').dataset.loaded")
        yield page
        assert errors == []


async def until(page: Page, condition: str) -> None:
    from playwright.async_api import TimeoutError as TimedOut

    try:
        await page.wait_for_function(condition, timeout=WAIT_MS)
    except TimedOut:
        seen = await page.evaluate("Object.fromEntries(Object.keys(voxwire).map((name) => [name, voxwire[name]]))")
        said = await page.inner_text("#status")
        raise AssertionError(f"never came: {condition}; the page says {said!r} and holds {seen}") from None


async def number(page: Page, name: str) -> float:
    value = await page.evaluate(f"voxwire.{name}")
    assert isinstance(value, int | float)
    return value


async def press_speak(page: Page, text: str, voice: str, mode: str = "whole") -> None:
    await page.select_option("#voice", voice)
    await page.select_option("#mode", mode)
    await page.fill("#text", text)
    await page.click("#speak")


async def until_ended(page: Page) -> None:
    await until(page, "['ended', 'stopped', 'failed'].includes(voxwire.state)")
    assert await page.evaluate("[voxwire.state, voxwire.error]") == ["ended", ""]


@pytest.mark.parametrize("voice", [TONE, SPEECH])
async def test_plays_every_sample_without_an_underrun(far_ahead: Gateway, voice: str, tmp_path: Path) -> None:
    async with open_page(far_ahead, viewport={"width": 1280, "height": 900}) as page:
        await press_speak(page, TEXT, voice)
        await until(page, "voxwire.wordsLit >= 4")
        await page.screenshot(path=tmp_path / "speaking.png", full_page=True)
        await until_ended(page)
        await page.screenshot(path=tmp_path / "ended.png", full_page=True)

        rate, rendered = await number(page, "sampleRate"), await number(page, "rendered")
        assert rendered == await number(page, "received") > 2 * rate
        assert await number(page, "nonSilent") > 0.5 * rendered
        assert await number(page, "peak") > 0.05
        assert [await number(page, name) for name in ("underruns", "waits", "dropped")] == [0, 0, 0]
        assert await number(page, "playedMs") == pytest.approx(1000 * rendered / rate)


async def test_lights_every_word_of_the_text(gateway: Gateway) -> None:
    async with open_page(gateway) as page:
        await press_speak(page, TEXT, TONE)
        await until_ended(page)
        assert await page.inner_text("#transcript") == TEXT
        assert await page.locator("#transcript .word.heard").count() == len(TEXT.split())


async def test_stop_says_what_was_heard_and_what_was_not(far_ahead: Gateway, tmp_path: Path) -> None:
    async with open_page(far_ahead, viewport={"width": 390, "height": 844}, color_scheme="dark") as page:
        await press_speak(page, LONG, TONE)
        await until(page, "voxwire.wordsLit >= 3")
        await page.click("#stop")
        await until(page, "voxwire.state === 'stopped'")
        heard, unheard = await page.evaluate("[voxwire.heard, voxwire.unheard]")
        assert heard + unheard == LONG
        assert heard
        assert unheard
        assert await page.text_content("#transcript .heard") == heard
        assert await page.text_content("#transcript .unheard") == unheard
        assert await number(page, "underruns") == 0
        await page.screenshot(path=tmp_path / "stopped.png", full_page=True)


async def test_speaks_again_on_the_same_socket_after_a_stop(gateway: Gateway) -> None:
    sockets: list[str] = []
    async with open_page(gateway) as page:
        page.on("websocket", lambda socket: sockets.append(socket.url))
        await press_speak(page, LONG, TONE)
        await until(page, "voxwire.nonSilent > 0")
        await page.click("#stop")
        await until(page, "voxwire.state === 'stopped'")
        await press_speak(page, "Once more.", TONE)
        await until_ended(page)
        assert await number(page, "utterances") == 2
        assert await number(page, "rendered") == await number(page, "received") > 0
    assert sockets == []


async def test_text_sent_word_by_word_sounds_as_long_as_text_sent_whole(gateway: Gateway) -> None:
    async with open_page(gateway) as page:
        await press_speak(page, TEXT, TONE)
        await until_ended(page)
        whole = await number(page, "rendered")
        await press_speak(page, TEXT, TONE, mode="words")
        await until_ended(page)
        assert await number(page, "rendered") == pytest.approx(whole, rel=0.1)
        assert await page.inner_text("#transcript") == TEXT


async def test_speaks_what_is_typed_while_it_speaks(far_ahead: Gateway) -> None:
    async with open_page(far_ahead) as page:
        await press_speak(page, "This is here from the start. ", TONE, mode="typed")
        await until(page, "voxwire.nonSilent > 0")
        await page.locator("#text").press_sequentially("And this was typed later.")
        await page.keyboard.press("Control+Enter")
        await until_ended(page)
        assert await page.inner_text("#transcript") == "This is here from the start. And this was typed later."
        assert await number(page, "underruns") == 0


async def test_download_holds_the_samples_that_were_played(gateway: Gateway, tmp_path: Path) -> None:
    async with open_page(gateway) as page:
        await press_speak(page, "A short one.", TONE)
        await until_ended(page)
        async with page.expect_download() as download:
            await page.click("#save")
        await (await download.value).save_as(tmp_path / "speech.wav")
        with wave.open(str(tmp_path / "speech.wav")) as file:
            assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
            assert file.getframerate() == await number(page, "sampleRate")
            assert file.getnframes() == await number(page, "rendered")


async def test_text_that_cannot_be_spoken_gets_a_sentence(gateway: Gateway) -> None:
    async with open_page(gateway) as page:
        await press_speak(page, "?!", TONE)
        await until(page, "voxwire.state === 'failed'")
        assert "nothing here that can be spoken" in await page.inner_text("#problem")
        assert await page.is_enabled("#speak")


async def test_shows_the_gateways_own_metrics(gateway: Gateway) -> None:
    async with open_page(gateway) as page:
        await press_speak(page, "A short one.", TONE)
        await until_ended(page)
        await until(page, "parseFloat(document.querySelector('[data-metric=audio]').textContent) > 0")
        await until(page, "document.querySelector('[data-metric=active]').textContent === '0'")


async def test_speaks_and_shows_its_routes_behind_a_proxy_that_puts_it_under_a_path(gateway: Gateway) -> None:
    async with prefix_proxy(gateway.http) as address, open_page(gateway, address) as page:
        assert f"curl {address}v1/audio/speech" in await page.inner_text("[data-snippet=curl]")
        await press_speak(page, TEXT, TONE)
        await until_ended(page)
        await page.click("text=the API")
        await page.wait_for_selector(".operation")
        assert page.url == f"{address}docs"
