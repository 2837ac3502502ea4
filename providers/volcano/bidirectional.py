"""One session of the bidirectional service: text goes up while sound comes down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from providers.base import ProviderError
from providers.volcano.answers import Sentence, failed, sentence, table
from providers.volcano.connection import Connection, new_id
from providers.volcano.errors import Broken, broken
from providers.volcano.frames import Event, Kind
from providers.volcano.pool import Pool
from providers.volcano.requests import Asking, task
from providers.volcano.text import Text


async def session(pool: Pool, asking: Asking, text: Text, patience: float) -> AsyncGenerator[bytes | Sentence, None]:
    """Speak what ``text`` has for one session, which is finished where the text says so. Raises a ``ProviderError``.

    Left early, it is cancelled in the background; its place is free once the service has given it up.
    """
    connection, id = await _begun(pool, asking)
    sender, hearing = _Sender(connection, id), _Hearing(connection)
    sending = asyncio.create_task(sender.run(text, patience))
    running = True
    try:
        while (item := await hearing.next()) is not None:
            yield item
        if not sender.finished:
            # It was not we who ended it: the rest of the text would be lost.
            raise broken()
    except ProviderError as error:
        running = False
        # Where text could not be had to send, that is the cause, and the rest follows from it. What the service has
        # said before it closed is the cause of all that follows.
        if sender.failure is not None and isinstance(error, Broken):
            raise sender.failure from None
        raise
    finally:
        sending.cancel()
        try:
            await asyncio.wait([sending])
        finally:
            # Also where whoever listens leaves in this very moment: a place that is not left is lost for good.
            _leave(pool, connection, asking, id if running else None)


async def _begun(pool: Pool, asking: Asking) -> tuple[Connection, str]:
    """A connection with a session on it. One that was used before may have died since: then another is taken."""
    while True:
        connection = await pool.take(asking.speaker.resource)
        id = new_id()
        try:
            await connection.start(asking.start(id))
        except Broken:
            _leave(pool, connection, asking, None)
            if not connection.reused:
                raise
        except BaseException as error:
            _leave(pool, connection, asking, None if isinstance(error, ProviderError) else id)
            raise
        else:
            return connection, id


def _leave(pool: Pool, connection: Connection, asking: Asking, session: str | None) -> None:
    """``session`` is to be cancelled, unless the service has said that it is over."""
    if connection.free:
        pool.give_back(connection, asking.speaker.resource)
    else:
        pool.give_up(connection, asking.speaker.resource, session)


class _Sender:
    """Takes the text of one session up."""

    def __init__(self, connection: Connection, id: str) -> None:
        self._connection = connection
        self._id = id
        self.finished = False
        """The service was told that there is no more."""
        self.failure: Exception | None = None

    async def run(self, text: Text, patience: float) -> None:
        try:
            for piece in text.session:
                await self._connection.send(task(self._id, piece))
            while (more := await text.more(patience)) is not None:
                await self._connection.send(task(self._id, more))
            self.finished = True
            await self._connection.finish(self._id)
        except Exception as error:  # noqa: BLE001 - raised where the sound is waited for
            self.failure = error
            # Whoever listens would wait for sound that nobody has asked for.
            await self._connection.abort()


class _Hearing:
    """Reads the frames of one session."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._subtitled = False

    async def next(self) -> bytes | Sentence | None:
        """What comes next of the sound and its sentences; ``None`` when the service says that all of it has come."""
        while True:
            frame = await self._connection.receive()
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
