"""The gateway's side of the conversation with one process: questions, answers, streams, and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from signal import SIGKILL
from typing import Any, TypeVar

from providers.base import EngineFailed, EngineUnavailable, ProviderError
from providers.isolated import messages
from providers.isolated.connection import Connection
from providers.isolated.frames import Frame, Nonsense, TooLong
from providers.isolated.process import Process, told
from providers.isolated.turns import PULSE, Wait

log = logging.getLogger(__name__)

T = TypeVar("T")

_GRACE = 5.0
"""Seconds that a process may take to give back what it has; less than ``running.py`` waits for a close."""
_LAST_BREATH = 1.0
"""Seconds in which one that has let go of its socket is to end, so that its own status is known."""
_BURIAL = 5.0
"""Seconds that a system may take to end what was killed."""
_SILENCE = 60.0
"""Seconds for which a process that has started may say nothing. Models that keep the interpreter's lock for long are
slow; beyond this they are stuck."""
_FINAL = ("done", "error")


class Call:
    """One question, with a number of its own. Sound is asked for with the same call again and again."""

    __slots__ = ("answer", "number", "open", "wait")

    def __init__(self, number: int) -> None:
        self.number = number
        self.answer: asyncio.Future[Frame] | None = None
        self.open = False
        """The other side works on it, or holds something for it."""
        self.wait: Wait | None = None
        """For the answer."""


class Remote:
    """One process. Belongs to the running loop, and has no task of its own."""

    def __init__(self, name: str) -> None:
        """Starts the process. Raises ``EngineUnavailable``."""
        self.name = name
        self.state = messages.State()
        self.trouble: ProviderError | None = None
        """What the engine says of itself."""
        self.when_lost: Callable[[ProviderError], None] | None = None
        """Called if it ends by itself after ``start``."""
        self._loop = asyncio.get_running_loop()
        self._lost: str | None = None
        """What it did, if it is of no use any more."""
        self._leaving = False
        self._started = False
        self._calls: dict[int, Call] = {}
        self._last = 0
        self._left: set[int] = set()
        """Calls that nobody waits for any more, and that the other side has not ended yet."""
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._unanswered = 0
        """Signs of life that were asked for since anything came. Not seconds: this process itself may have been
        stopped for as long."""
        self._timer: asyncio.TimerHandle | None = None
        """For the next sign of life, or for the end of one that does not end."""
        try:
            self.process = Process(name)
        except OSError as error:
            log.warning("the process of engine %s cannot be started: %s", name, error)
            raise EngineUnavailable(f"the process of engine {name!r} cannot be started") from error
        self._connection = Connection(self.process.socket, self)
        self.process.ended.add_done_callback(self._ended)

    @property
    def usable(self) -> bool:
        return self._lost is None

    # ---- asking

    async def open(self, options: Mapping[str, Any]) -> messages.About:
        """Have it make its engine. Raises what that does."""
        await self._connection.open()
        hello = {"engine": self.name, "options": dict(options), "log": logging.getLogger().getEffectiveLevel()}
        about = self.read(messages.read_about, await self.ask("hello", hello))
        self.name = self.process.output.name = about.id
        self.state = about.state
        return about

    async def start(self) -> None:
        """Have it start its engine. Raises what that does."""
        await self.ask("start")
        if not self.usable:
            # It was lost in the same turn of the loop as it answered.
            raise self._loss()
        self._started = True
        self._beat()

    async def ask(self, do: str, what: Mapping[str, Any] | None = None, payload: bytes = b"") -> Frame:
        """The answer to one question. Raises a ``ProviderError``."""
        with self.call() as call:
            frame = await self.put(call, do, what, payload)
            if frame.header["is"] != "done":
                raise self._nonsense("sound that was not asked for")
            return frame

    @contextmanager
    def call(self) -> Iterator[Call]:
        """A call to ``put`` something with. At its end the other side stops, if it has not."""
        self._last += 1
        call = self._calls[self._last] = Call(self._last)
        try:
            yield call
        finally:
            # Whoever cancels does not wait for another process.
            del self._calls[call.number]
            if call.open and self.usable:
                self._left.add(call.number)
                self._quiet.clear()
                self._send("stop", call.number)

    async def put(self, call: Call, do: str, what: Mapping[str, Any] | None = None, payload: bytes = b"") -> Frame:
        """Ask, and wait for the answer. Raises a ``ProviderError``."""
        if payload:
            await self._connection.room()
        if not self.usable:
            raise self._loss()
        self._send(do, call.number, what, payload)
        call.open = True
        call.answer, call.wait = self._loop.create_future(), Wait()
        try:
            return await call.answer
        finally:
            call.wait.over()
            call.answer = call.wait = None

    def read(self, reader: Callable[[object], T], frame: Frame, key: str = "what") -> T:
        """What ``reader`` makes of the answer. Raises a ``ProviderError``."""
        try:
            return reader(frame.header.get(key))
        except Nonsense as error:
            raise self._nonsense(str(error)) from None

    async def settled(self) -> None:
        """Wait until the other side does nothing that nobody waits for."""
        await self._quiet.wait()

    # ---- its end

    async def close(self) -> None:
        """Have it give everything back and end; after a while, end it. Callable twice, also at once."""
        if self._leave():
            if self._started:
                self._send("close", 0)
                self._timer = self._loop.call_later(_GRACE, self._overdue)
            else:
                self.process.kill()
        await asyncio.wait([self.process.ended], timeout=_GRACE + _BURIAL)

    def _overdue(self) -> None:
        log.warning("the process %d of engine %s does not end, and is killed", self.process.pid, self.name)
        self.process.kill()

    def drop(self) -> None:
        """Kill it, without waiting for its end."""
        if self._leave():
            self.process.kill()

    def received(self, frame: Frame) -> None:
        self._unanswered = 0
        kind, number = frame.header.get("is"), frame.header.get("id")
        if kind == "state":
            self._learn(messages.read_state(frame.header.get("what")))
        elif kind == "pong":
            for queued, still in messages.read_queued(frame.header.get("queued")):
                if (wait := self._wait(queued)) is not None:
                    wait.queued(still)
        elif not isinstance(number, int):
            raise Nonsense("an answer without a number")
        elif kind == "turn":
            if (wait := self._wait(number)) is not None:
                wait.over()
        else:
            self._answered(frame, number)

    def broken(self, nonsense: Nonsense | None) -> None:
        if nonsense is None:
            self._give_up("crashed")
        else:
            self._give_up("gave an answer that makes no sense", f"answered nonsense: {nonsense}, and is killed")

    def _ended(self, ended: asyncio.Future[int]) -> None:
        how, last = told(ended.result()), self.process.output.last_words
        if self._leaving or (self.process.killed and ended.result() == -SIGKILL):
            log.debug("the process %d of engine %s %s", self.process.pid, self.name, how)
        else:
            words = f"; the last that it printed:\n{last}" if last else ""
            log.error("the process %d of engine %s %s%s", self.process.pid, self.name, how, words)
            self._give_up("crashed")
        if self._timer is not None:
            self._timer.cancel()
        self._connection.close()

    def _leave(self) -> bool:
        """Whether it could still be told something."""
        if self._leaving or not self.usable:
            return False
        self._leaving = True
        self._lose("was closed")
        return True

    def _give_up(self, what: str, detail: str | None = None) -> None:
        """It did ``what``, and is of no use any more. ``detail`` is for the log; without it, it is about to end."""
        if not self.usable:
            return
        self._lose(what)
        self._connection.close()
        if detail is None:
            self._timer = self._loop.call_later(_LAST_BREATH, self.process.kill)
        else:
            log.error("the process %d of engine %s %s", self.process.pid, self.name, detail)
            self.process.kill()
        if self._started and self.when_lost is not None:
            self.when_lost(EngineUnavailable(f"engine {self.name!r} {what}"))

    def _lose(self, what: str) -> None:
        self._lost = what
        if self._timer is not None:
            self._timer.cancel()
        for call in self._calls.values():
            if call.answer is not None and not call.answer.done():
                call.answer.set_exception(self._loss())
        self._left.clear()
        self._quiet.set()

    def _loss(self) -> ProviderError:
        if self._leaving:
            return EngineUnavailable(f"engine {self.name!r} is closed")
        if not self._started:
            return EngineUnavailable(f"engine {self.name!r} {self._lost} while it was being loaded")
        return EngineFailed(f"engine {self.name!r} {self._lost}; the next request starts it again")

    def _nonsense(self, what: str) -> ProviderError:
        self.broken(Nonsense(what))
        return self._loss()

    # ---- what it says

    def _learn(self, state: messages.State) -> None:
        self.state = state
        self.trouble = None if state.trouble is None else messages.read_error(state.trouble, self.name)

    def _answered(self, frame: Frame, number: int) -> None:
        kind, call = frame.header.get("is"), self._calls.get(number)
        if call is None and number in self._left:
            if kind in _FINAL:
                self._forget(number)
            return
        if call is None or call.answer is None or kind not in (*_FINAL, "chunk"):
            raise Nonsense("an answer to nothing that was asked")
        call.open = kind == "chunk"
        if call.answer.done():
            # Whoever asked was cancelled, and has not run since.
            return
        if kind == "error":
            call.answer.set_exception(messages.read_error(frame.header.get("what"), self.name))
        else:
            call.answer.set_result(frame)

    def _wait(self, number: int) -> Wait | None:
        call = self._calls.get(number)
        return None if call is None else call.wait

    def _forget(self, number: int) -> None:
        self._left.discard(number)
        if not self._left:
            self._quiet.set()

    # ---- what is said to it

    def _send(self, do: str, number: int, what: Mapping[str, Any] | None = None, payload: bytes = b"") -> None:
        """Raises ``EngineFailed`` for what cannot be sent."""
        header = {"do": do, "id": number} if what is None else {"do": do, "id": number, "what": what}
        try:
            self._connection.send(Frame(header, payload))
        except (TooLong, TypeError, ValueError) as error:
            raise EngineFailed(f"engine {self.name!r} cannot be given this in another process") from error

    def _beat(self) -> None:
        """Ask for a sign of life, and end what has given none for too long."""
        if self._unanswered * PULSE >= _SILENCE:
            self._give_up("did not answer any more", f"has said nothing for {_SILENCE:g} seconds, and is killed")
        else:
            self._unanswered += 1
            self._send("ping", 0)
            self._timer = self._loop.call_later(PULSE, self._beat)
