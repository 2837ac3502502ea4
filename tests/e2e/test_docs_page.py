"""The page at ``/docs`` in a real browser: the document, to be read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import httpx
import pytest

from tests.support.chromium import chromium

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.browser


class Gateway(Protocol):
    @property
    def http(self) -> str: ...


@asynccontextmanager
async def docs(gateway: Gateway, anchor: str = "") -> AsyncIterator[Page]:
    """The page, with its routes shown; at the end it must have asked nobody but the gateway, and logged no error."""
    async with chromium() as browser:
        page = await (await browser.new_context()).new_page()
        page.set_default_timeout(60_000)
        errors: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"{gateway.http}/docs{anchor}")
        await page.wait_for_selector("#state", state="detached")
        yield page
        assert errors == []
        assert [url for url in asked if not url.startswith(gateway.http)] == []


async def test_every_route_of_the_document_stands_on_the_page(gateway: Gateway) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        told = (await client.get(f"{gateway.http}/openapi.json")).json()
    ids = [operation["operationId"] for methods in told["paths"].values() for operation in methods.values()]
    async with docs(gateway) as page:
        shown = await page.eval_on_selector_all(".operation", "found => found.map((one) => one.id)")
    assert sorted(shown) == sorted(ids)


async def test_an_address_opens_its_route_with_its_fields(gateway: Gateway) -> None:
    async with docs(gateway, "#post_v1_audio_speech") as page:
        text = await page.inner_text("#post_v1_audio_speech[open]")
    assert "response_format" in text
    assert "curl -X POST" in text


async def test_a_body_that_leaves_a_choice_is_shown_with_all_of_its_fields(gateway: Gateway) -> None:
    async with docs(gateway, "#post_api_v1_base_clone") as page:
        text = await page.inner_text("#post_api_v1_base_clone[open]")
    assert "x_vector_only_mode" in text
    assert '"ref_audio_url":"string"' in text


async def test_what_is_looked_for_stays_and_the_rest_goes(gateway: Gateway) -> None:
    async with docs(gateway) as page:
        await page.fill("#filter", "max_concurrent")
        shown = await page.locator(".operation:visible > summary > code").all_inner_texts()
        left = await page.locator("#contents a:visible").count()
    assert "/external-semaphores" in shown
    assert "/v1/audio/speech" not in shown
    assert left == len(shown)
