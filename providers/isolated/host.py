"""The other process's side: makes the engine, asks it what the gateway asks, and answers."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any

from providers.base import Clip, Cloning, Designing, EngineFailed, Provider, ProviderError
from providers.isolated import messages
from providers.isolated.connection import Connection
from providers.isolated.frames import Frame, Nonsense, TooLong
from providers.isolated.turns import Turn
from providers.registry import load
from providers.waiting import watched

log = logging.getLogger(__name__)

Answer = tuple[Any, bytes]


class Host:
    """Takes over ``end``."""

    def __init__(self, end: socket.socket) -> None:
        self._connection = Connection(end, self)
        self._engine: Provider | None = None
        self._name = ""
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._pulls: dict[int, asyncio.Event] = {}
        self._turns: dict[int, Turn] = {}
        self._stopped: set[int] = set()
        """Those that the gateway has stopped, and whose tasks are not over."""
        self._open: set[int] = set()
        """Those without a last answer, of which each has one: a stop may come when it is given, its task not over."""
        self._state: dict[str, Any] = {}
        self._over: asyncio.Future[bool] | None = None
        self._work: dict[str, Callable[[Frame], Coroutine[Any, Any, Answer]]] = {
            "hello": self._hello,
            "start": self._start,
            "voices": self._voices,
            "clone": self._clone,
            "design": self._design,
        }

    async def serve(self) -> bool:
        """Until the gateway says that it is over. Whether it made sense until then."""
        self._over = asyncio.get_running_loop().create_future()
        await self._connection.open()
        sensible = await self._over
        for task in self._tasks.values():
            task.cancel()
        if self._engine is not None:
            await self._engine.close()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._connection.close()
        return sensible

    # ---- what comes

    def received(self, frame: Frame) -> None:
        match frame.header:
            case {"do": "pull", "id": int(number)}:
                if number in self._pulls:
                    self._pulls[number].set()
            case {"do": "stop", "id": int(number)}:
                if number in self._tasks:
                    self._stopped.add(number)
                    self._tasks[number].cancel()
            case {"do": "ping"}:
                self._tell_state()
                still = {number: turn.tell() for number, turn in self._turns.items()}
                queued = [(number, seconds) for number, seconds in still.items() if seconds is not None]
                self._connection.send(Frame({"is": "pong", "queued": queued}))
            case {"do": "close"}:
                self._end(sensible=True)
            case {"do": str(do), "id": int(number)} if do in self._work or do == "speak":
                self._begin(number, do, frame)
            case _:
                raise Nonsense("a question that is none")

    def broken(self, nonsense: Nonsense | None) -> None:
        if nonsense is None:
            # The gateway is gone. Nothing that is kept here is of use to anybody.
            os._exit(0)
        log.error("the gateway said nonsense: %s", nonsense)
        self._end(sensible=False)

    def _end(self, *, sensible: bool) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(sensible)

    def _begin(self, number: int, do: str, frame: Frame) -> None:
        work = self._speak(number, frame) if do == "speak" else self._answer(number, do, frame)
        self._open.add(number)
        task = self._tasks[number] = asyncio.create_task(self._contained(number, work))
        task.add_done_callback(partial(self._ended, number, work))

    def _ended(self, number: int, work: Coroutine[Any, Any, None], task: asyncio.Task[None]) -> None:
        del self._tasks[number]
        self._pulls.pop(number, None)
        self._turns.pop(number, None)
        if number in self._stopped:
            self._stopped.discard(number)
            self._say("done", number)
        self._open.discard(number)
        if task.cancelled():
            # It may not have begun.
            work.close()

    # ---- questions with one answer

    async def _answer(self, number: int, do: str, frame: Frame) -> None:
        what, payload = await self._work[do](frame)
        self._say("done", number, what, payload)

    async def _hello(self, frame: Frame) -> Answer:
        said = frame.header["what"]
        logging.getLogger().setLevel(said["log"])
        self._name = said["engine"]
        self._engine = load(self._name, **said["options"])
        self._name = self._engine.id
        return messages.about(self._engine, await self._engine.voices()), b""

    async def _start(self, _: Frame) -> Answer:
        await self._provider.start()
        return None, b""

    async def _voices(self, _: Frame) -> Answer:
        return [messages.voice(voice) for voice in await self._provider.voices()], b""

    async def _clone(self, frame: Frame) -> Answer:
        engine, said = self._provider, frame.header["what"]
        assert isinstance(engine, Cloning)
        voice = await engine.clone(Clip(frame.payload, said["sample_rate"], said["transcript"]))
        return messages.voice(voice), voice.prompt or b""

    async def _design(self, frame: Frame) -> Answer:
        engine, said = self._provider, frame.header["what"]
        assert isinstance(engine, Designing)
        voice = await engine.design(said["description"], said["language"])
        return messages.voice(voice), voice.prompt or b""

    @property
    def _provider(self) -> Provider:
        assert self._engine is not None
        return self._engine

    # ---- sound

    async def _speak(self, number: int, frame: Frame) -> None:
        """A chunk for each time that it is asked for."""
        asked = self._pulls[number] = asyncio.Event()
        turn = self._turns[number] = Turn(partial(self._turn_came, number))
        with watched(turn):
            async with aclosing(self._provider.synthesize(messages.read_segment(frame))) as chunks:
                async for chunk in chunks:
                    asked.clear()
                    self._say("chunk", number, messages.words(chunk.words), chunk.pcm, key="words")
                    await asked.wait()
        self._say("done", number)

    def _turn_came(self, number: int) -> None:
        if number in self._open:
            self._connection.send(Frame({"is": "turn", "id": number}))

    # ---- what goes

    async def _contained(self, number: int, work: Coroutine[Any, Any, None]) -> None:
        """Answer whatever ``work`` raises."""
        try:
            await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The engine's own.
            self._fail(number, EngineFailed(f"engine {self._name!r} failed"))
        except ProviderError as error:
            self._fail(number, error)
        except TooLong:
            self._fail(number, EngineFailed(f"engine {self._name!r} made more at once than can be passed on"))
        except (SystemExit, KeyboardInterrupt) as error:
            # An orderly end would stop the others as if all of their sound had come.
            log.exception("engine %s ends its process", self._name)
            code = error.args[0] if error.args else 1
            os._exit(code if isinstance(code, int) else 1)
        except Exception:
            log.exception("engine %s failed", self._name)
            self._fail(number, EngineFailed(f"engine {self._name!r} failed"))

    def _fail(self, number: int, error: ProviderError) -> None:
        self._say("error", number, messages.error(error))

    def _say(self, kind: str, number: int, what: Any = None, payload: bytes = b"", key: str = "what") -> None:
        if number not in self._open:
            return
        self._tell_state()
        header = {"is": kind, "id": number}
        self._connection.send(Frame(header if what is None else {**header, key: what}, payload))
        if kind != "chunk":
            self._open.discard(number)

    def _tell_state(self) -> None:
        """What has changed, before the answer that it may have changed with."""
        if self._engine is None:
            return
        try:
            state = messages.state(self._engine)
            if state != self._state:
                self._state = state
                self._connection.send(Frame({"is": "state", "what": state}))
        except Exception:
            # The answer is worth more.
            log.exception("engine %s does not say how it is", self._name)
