"""The accounts that the engine asks in: its own, and those that callers bring."""

from __future__ import annotations

import asyncio

import aiohttp

from providers.base import EngineUnavailable
from providers.volcano.connection import Connection, stay
from providers.volcano.credentials import Credentials
from providers.volcano.http import Requests
from providers.volcano.pool import Pool
from providers.volcano.requests import headers
from providers.volcano.settings import VolcanoSettings

_KEPT = 64
"""Accounts that nobody uses now."""


class Account:
    """One account's connections, and the places that it has at the service."""

    def __init__(self, credentials: Credentials, settings: VolcanoSettings, http: aiohttp.ClientSession) -> None:
        self._credentials = credentials
        self._settings = settings
        self._http = http
        self.pool = Pool(self._connect, settings.concurrency, settings.idle)
        self.requests = Requests(http, self.pool, settings)

    async def _connect(self, resource: str) -> Connection:
        settings = self._settings
        return await Connection.open(
            self._http,
            settings.url.rstrip("/").replace("http", "ws", 1) + f"{settings.path}/bidirection",
            headers(self._credentials, resource),
            self._credentials,
            connect_timeout=settings.connect_timeout,
            answer_timeout=settings.answer_timeout,
        )


class Accounts:
    """Made as they are asked for; none after ``close``, until ``open``."""

    def __init__(self, settings: VolcanoSettings) -> None:
        self._settings = settings
        self._http: aiohttp.ClientSession | None = None
        self._known: dict[Credentials, Account] = {}
        self._closed = False

    def open(self) -> None:
        self._closed = False

    def get(self, credentials: Credentials) -> Account:
        """Raises ``EngineUnavailable`` when closed."""
        if self._closed:
            raise EngineUnavailable("engine 'volcano' is closed")
        account = self._known.pop(credentials, None) or self._new(credentials)
        # The last that was used comes last.
        self._known[credentials] = account
        return account

    async def settled(self) -> None:
        await asyncio.gather(*(account.pool.settled() for account in self._known.values()))

    async def close(self) -> None:
        """Finish what is idle, give up what is spoken, and close every socket."""
        self._closed = True
        known, self._known = self._known, {}
        http, self._http = self._http, None
        await asyncio.gather(*(account.pool.close() for account in known.values()))
        if http is not None:
            await http.close()
        await asyncio.gather(*(account.pool.settled() for account in known.values()))

    def _new(self, credentials: Credentials) -> Account:
        if self._http is None:
            # The pools are the limit.
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=self._settings.idle)
            # It is for all accounts: what the service would have one of them keep is nothing to the others.
            self._http = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), middlewares=(stay,)
            )
        for old, account in list(self._known.items())[:-_KEPT]:
            if not account.pool.in_use:
                del self._known[old]
        return Account(credentials, self._settings, self._http)
