"""The service as a whole: its endpoints, its books, and what the test wants next."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.volcano import bidirection, unidirectional, version1
from tests.support.volcano.accounts import Account, Accounts
from tests.support.volcano.plans import Plan, Refusal

TRACE = "X-Tt-Logid"


@dataclass(slots=True)
class Record:
    """One session, or one request, and what became of it."""

    id: str
    endpoint: str
    account: str
    connection: int
    """Which of the connections, counted from 1; 0 for a request."""
    params: dict[str, Any] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    outcome: str = "live"
    """``finished``, ``canceled``, ``failed``, ``refused``, or ``dropped`` with its connection."""
    sent: int = 0
    """Pieces of sound."""

    @property
    def text(self) -> str:
        return "".join(self.texts)


@dataclass(slots=True)
class Pace:
    """Seconds, and milliseconds of a piece of sound."""

    latency: float = 0.0
    """Before the first sound of a session."""
    interval: float = 0.0
    """Between two pieces."""
    chunk_ms: int = 100
    release: float | asyncio.Event = 0.0
    """Until the place of a cancelled session is free, after the service has said that it is; or until the test sets it.
    """
    idle: float = 30.0
    """A connection without a session is closed then."""
    send: float = 60.0
    """A session that gets no text, and is not finished, fails then."""


class VolcanoService:
    """Its loop's: ``until`` waits for what a test expects of the books below."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.pace = pace or Pace()
        self.accounts = Accounts(self.changed)
        self.records: list[Record] = []
        self.connections = 0
        """All that were ever opened."""
        self.open = 0
        self.most_open = 0
        self.goodbyes = 0
        """Connections that their client has finished properly."""
        self.problems: list[str] = []
        """What a client did that it must not."""
        self.line_break = "\n"
        """Between two objects of a chunked answer; clients must not need it."""
        self.odd = False
        """Cut the sound in the middle of samples."""
        self.relative_words = False
        """Time words from the start of their sentence, as some voices do, and not of the session."""
        self.first: Callable[[bytes], bytes] = lambda pcm: pcm
        """What becomes of the first piece of a session's sound, as it is sent."""
        self.port = 0
        self._plans: deque[Plan] = deque()
        self._ids: set[str] = set()
        self._waiting: set[asyncio.Future[None]] = set()

    # ---- for the test

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def account(
        self,
        api_key: str = "",
        *,
        app_id: str = "",
        access_key: str = "",
        quota: int = 10,
        resources: frozenset[str] | None = None,
    ) -> Account:
        return self.accounts.add(api_key, app_id, access_key, quota, resources)

    def next(self, *plans: Plan) -> None:
        """How the sessions that start next are to go, in that order."""
        self._plans.extend(plans)

    @property
    def live(self) -> int:
        """Sessions that take a place."""
        return sum(account.live for account in self.accounts.all())

    @property
    def outcomes(self) -> list[str]:
        return [record.outcome for record in self.records]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for the books to say so."""
        while not true():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)

    # ---- for the endpoints

    def changed(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def plan(self) -> Plan:
        return self._plans.popleft() if self._plans else Plan()

    def record(self, endpoint: str, id: str, account: Account, connection: int = 0, **params: Any) -> Record:
        record = Record(id, endpoint, account.name, connection, params)
        self.records.append(record)
        self.changed()
        return record

    def over(self, record: Record, outcome: str) -> None:
        record.outcome = outcome
        self.changed()

    def has_failed(self, id: str | None) -> bool:
        """The service has ended that session; its client may not have known."""
        return any(record.id == id and record.outcome == "failed" for record in self.records)

    def has_ended(self, id: str | None) -> bool:
        """As above, or it went well: whoever cancels it may not know that either."""
        return any(record.id == id and record.outcome in ("failed", "finished") for record in self.records)

    def is_new(self, id: str) -> bool:
        """An id is for one session, also where that one failed."""
        known = id in self._ids
        self._ids.add(id)
        return not known

    def opened(self) -> int:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.changed()
        return self.connections

    def closed(self) -> None:
        self.open -= 1
        self.changed()

    def wrong(self, what: str) -> None:
        self.problems.append(what)

    def refusal(self, request: web.Request, refusal: Refusal) -> web.Response:
        """Before there is a stream: the body that every endpoint of version 3 has."""
        header = {"reqid": request.headers.get("X-Api-Request-Id", ""), "code": refusal.code}
        body = {"header": {**header, "message": refusal.message}}
        status = refusal.status if refusal.status >= 400 else 400
        return web.Response(text=json.dumps(body), status=status, content_type="application/json")

    # ---- the server

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 24)
        for path in ("/api/v3/tts", "/api/v3/plan/tts"):
            app.router.add_get(f"{path}/bidirection", self._handler(bidirection.serve))
            app.router.add_get(f"{path}/unidirectional/stream", self._handler(unidirectional.stream))
            app.router.add_post(f"{path}/unidirectional", self._handler(unidirectional.chunked))
            app.router.add_post(f"{path}/unidirectional/sse", self._handler(unidirectional.events))
        app.router.add_post("/api/v1/tts", self._handler(version1.http))
        app.router.add_get("/api/v1/tts/ws_binary", self._handler(version1.binary))
        app.router.add_get("/books", self._books)
        app.on_response_prepare.append(_traced)
        return app

    def _handler(self, serve: Callable[[VolcanoService, web.Request], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            answer: web.StreamResponse = await serve(self, request)
            return answer

        return handle

    async def _books(self, _: web.Request) -> web.Response:
        """For whoever runs it as a process."""
        accounts = {a.name: {"live": a.live, "peak": a.peak, "refused": a.refused} for a in self.accounts.all()}
        return web.json_response(
            {"accounts": accounts, "open": self.open, "connections": self.connections, "outcomes": self.outcomes}
        )


async def _traced(_: web.Request, response: web.StreamResponse) -> None:
    response.headers[TRACE] = uuid.uuid4().hex


@asynccontextmanager
async def serving(pace: Pace | None = None, port: int = 0) -> AsyncIterator[VolcanoService]:
    """A started service on a loopback port. Connections that are still open are cut at the end."""
    service = VolcanoService(pace)
    runner = web.AppRunner(service.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        service.port = runner.addresses[0][1]
        yield service
    finally:
        await runner.cleanup()
