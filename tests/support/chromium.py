"""A real headless Chromium that renders sound in real time, with or without an audio device.

Without a device Chromium drains its AudioContext into a fake output on a timer, so worklets run at their true pace.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser with a new profile, closed at the end. Skips the test where this machine has none."""
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        _lacking("playwright is not installed; run: pip install 'voxwire[browser]'")
    async with async_playwright() as playwright:
        executable = _executable(playwright.chromium.executable_path)
        # The first start on a machine reads it all from the disk.
        browser = await playwright.chromium.launch(
            executable_path=executable, headless=True, args=list(FLAGS), timeout=100_000
        )
        try:
            yield browser
        finally:
            await browser.close()


def _executable(playwrights_own: str) -> str:
    named = os.environ.get("VOXWIRE_CHROMIUM")
    candidates = (named,) if named else (*NAMES, playwrights_own)
    found = next(filter(None, map(shutil.which, candidates)), None)
    if found is None:
        _lacking(f"no Chromium (looked for {', '.join(candidates)}); set VOXWIRE_CHROMIUM to one")
    return found


def _lacking(reason: str) -> NoReturn:
    if "browser" in os.environ.get("VOXWIRE_REQUIRE", "").split(","):
        pytest.fail(f"VOXWIRE_REQUIRE asks for a browser: {reason}")
    pytest.skip(reason)
