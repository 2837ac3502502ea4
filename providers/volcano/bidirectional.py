"""One session of the bidirectional service: text goes up while sound comes down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from providers.base import EngineUnavailable, ProviderError
from providers.volcano.answers import Sentence, failed, sentence, table
from providers.volcano.connection import Connection, new_id
from providers.volcano.errors import broken
from providers.volcano.frames import Event, Kind
from providers.volcano.pool import Pool
from providers.volcano.requests import Asking, task
from providers.volcano.text import Text


async def session(pool: Pool, asking: Asking, text: Text, patience: float) -> AsyncGenerator[bytes | Sentence, None]:
    """Speak what ``text`` has for one session, which is finished where the text says so. Raises a ``ProviderError``.

    Left early, it is cancelled in the background; its place is free once the service has given it up.
    """
    connection, id = await _begun(pool, asking)
    sending = asyncio.create_task(_send(connection, id, text, patience))
    finished, running = False, True
    try:
        hearing = _Hearing(connection, id)
        while (item := await hearing.next()) is not None:
            yield item
        if not sending.done():
            # It was not we who ended it: the rest of the text would be lost.
            raise broken()
        finished = True
    except ProviderError:
        running = False
        # What could not be sent, or could not be had to send, is the cause and not its consequence.
        if sending.done() and not sending.cancelled() and (cause := sending.exception()) is not None:
            raise cause from None
        raise
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        if finished:
            pool.give_back(connection, asking.speaker.resource)
        else:
            pool.give_up(connection, asking.speaker.resource, id if running else None)


async def _begun(pool: Pool, asking: Asking) -> tuple[Connection, str]:
    """A connection with a session on it. One that was used before may have died since: then another is taken."""
    resource = asking.speaker.resource
    while True:
        connection = await pool.take(resource)
        id = new_id()
        try:
            await connection.start(asking.start(id))
        except EngineUnavailable:
            pool.give_up(connection, resource, None)
            if not connection.reused:
                raise
        except BaseException as error:
            pool.give_up(connection, resource, None if isinstance(error, ProviderError) else id)
            raise
        else:
            return connection, id


async def _send(connection: Connection, id: str, text: Text, patience: float) -> None:
    try:
        for piece in text.session:
            await connection.send(task(id, piece))
        while (more := await text.more(patience)) is not None:
            await connection.send(task(id, more))
        await connection.finish(id)
    except Exception:
        # Whoever listens would wait for sound that nobody has asked for.
        await connection.abort()
        raise


class _Hearing:
    """Reads the frames of one session."""

    def __init__(self, connection: Connection, id: str) -> None:
        self._connection = connection
        self._id = id
        self._subtitled = False

    async def next(self) -> bytes | Sentence | None:
        """What comes next of the sound and its sentences; ``None`` when the service says that all of it has come."""
        while True:
            frame = await self._connection.receive()
            if frame.id not in (self._id, "", None):
                continue
            # By its kind: the documents do not agree on how such a frame says that it is raw.
            if frame.kind is Kind.AUDIO:
                if frame.payload:
                    return frame.payload
            elif frame.event == Event.SUBTITLE:
                self._subtitled = True
                return sentence(table(frame.payload))
            elif frame.event == Event.SENTENCE_END and not self._subtitled:
                return sentence(table(frame.payload))
            elif frame.event == Event.SESSION_FINISHED:
                if (refusal := failed(table(frame.payload))) is not None:
                    raise self._connection.failed(refusal)
                return None
            elif frame.event in (Event.SESSION_CANCELED, Event.CONNECTION_FINISHED):
                raise broken()
