"""Voices in Redis, for all the gateways on it.

Each change is one script, which Redis carries out as a whole or not at all. It leaves a version that was never there
before, and says so on a channel; a gateway reads everything again when it hears of that, and asks for the version now
and then, since a message may be lost. Whether a voice survives the end of Redis itself is up to how that is set up:
``docs/voices.md``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from gateway.library.store import Room, Snapshot, away, exists, too_many, too_much
from gateway.library.voice import MAX_RECORD, LibraryVoice

log = logging.getLogger(__name__)

PREFIX = "voxwire:voices:"
PATIENCE = 5.0
"""Seconds that Redis may take for an answer."""

_Argument = str | bytes | int
_PAGE = 100
"""Voices, about, that are read at a time."""

# Bytes are counted where they change, so that no script looks at more than one voice.
_ADD = """
local kept, owners, bytes, version, prompt = unpack(KEYS)
local field, owner, token, record, data, voices, total, channel = unpack(ARGV)
if redis.call('HEXISTS', kept, field) == 1 then return 'exists' end
if tonumber(redis.call('HGET', owners, owner) or 0) >= tonumber(voices) then return 'many' end
if tonumber(redis.call('GET', bytes) or 0) + #data > tonumber(total) then return 'much' end
redis.call('HSET', kept, field, record)
redis.call('SET', prompt, data)
redis.call('HINCRBY', owners, owner, 1)
redis.call('INCRBY', bytes, #data)
redis.call('SET', version, '+' .. token)
redis.call('PUBLISH', channel, token)
return 'added'
"""
_REMOVE = """
local kept, owners, bytes, version, prompt = unpack(KEYS)
local field, owner, token, size, channel = unpack(ARGV)
local record = redis.call('HGET', kept, field)
if not record or cjson.decode(record)['token'] ~= token then return 0 end
redis.call('HDEL', kept, field)
redis.call('DEL', prompt)
if redis.call('HINCRBY', owners, owner, -1) <= 0 then redis.call('HDEL', owners, owner) end
if redis.call('DECRBY', bytes, size) <= 0 then redis.call('DEL', bytes) end
redis.call('SET', version, '-' .. token)
redis.call('PUBLISH', channel, token)
return 1
"""


class RedisStore:
    """``patience`` is in seconds."""

    shared = True

    def __init__(self, url: str, *, prefix: str = PREFIX, patience: float = PATIENCE) -> None:
        self._redis = Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=patience,
            client_name="voxwire",
        )
        self._prefix = prefix
        self._patience = patience
        self._channel = f"{prefix}changed"
        self._listening: PubSub | None = None
        self._seen: Mapping[bytes, tuple[bytes, LibraryVoice | None]] = {}
        """What was kept, by its field: the record, and the voice that it is."""
        self._add = self._redis.register_script(_ADD)
        self._remove = self._redis.register_script(_REMOVE)

    async def open(self) -> None: ...

    async def close(self) -> None:
        await self._stop_listening()
        await self._redis.aclose()

    async def snapshot(self, since: object = None) -> Snapshot | None:
        kept, _, _, version_key = self._keys()
        async with self._in_time():
            version = await self._redis.get(version_key) or b""
        if version == since:
            return None
        # Page by page: nobody has Redis, or this loop, to itself meanwhile. What changes meanwhile may be in it or not,
        # and is looked at again, since the version is then another.
        seen: dict[bytes, tuple[bytes, LibraryVoice | None]] = {}
        cursor = -1
        while cursor:
            async with self._in_time():
                cursor, page = await self._redis.hscan(kept, max(cursor, 0), count=_PAGE)
            for field, record in cast("dict[bytes, bytes]", page).items():
                known = self._seen.get(field)
                seen[field] = known if known is not None and known[0] == record else (record, _checked(field, record))
        self._seen = seen
        return Snapshot(version, [voice for _, voice in seen.values() if voice is not None])

    async def wait(self, seconds: float) -> None:
        try:
            async with self._in_time(seconds):
                if self._listening is None:
                    # What was said before is not known: the caller looks once more.
                    self._listening = self._redis.pubsub()
                    await self._listening.subscribe(self._channel)
                    return
                ends = asyncio.get_running_loop().time() + seconds
                while (left := ends - asyncio.get_running_loop().time()) > 0:
                    if await self._listening.get_message(ignore_subscribe_messages=True, timeout=left):
                        return
        except BaseException:
            await self._stop_listening()
            raise

    async def add(self, voice: LibraryVoice, prompt: bytes, room: Room) -> None:
        record = voice.model_dump_json().encode()
        arguments: list[_Argument] = [_field(voice), voice.owner, voice.token, record, prompt, room.voices, room.total]
        async with self._in_time():
            said = await self._add(keys=self._keys(voice), args=[*arguments, self._channel])
        match said:
            case b"exists":
                raise exists()
            case b"many":
                raise too_many(room)
            case b"much":
                raise too_much()

    async def prompt(self, voice: LibraryVoice) -> bytes | None:
        async with self._in_time():
            # Never more than it may be, whatever somebody has put there.
            found = await self._redis.getrange(self._keys(voice)[4], 0, voice.size)
        assert isinstance(found, bytes)
        return found or None

    async def remove(self, voice: LibraryVoice) -> bool:
        arguments: list[_Argument] = [_field(voice), voice.owner, voice.token, voice.size, self._channel]
        async with self._in_time():
            return bool(await self._remove(keys=self._keys(voice), args=arguments))

    # ----

    def _keys(self, voice: LibraryVoice | None = None) -> Sequence[str]:
        names = ["kept", "owners", "bytes", "version"]
        if voice is not None:
            names.append(f"prompt:{voice.token}")
        return [self._prefix + name for name in names]

    async def _stop_listening(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            with suppress(RedisError, OSError):
                await listening.aclose()  # type: ignore[no-untyped-call]

    @asynccontextmanager
    async def _in_time(self, more: float = 0.0) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience + more):
                yield
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            # The address may carry a password, and errors may carry the address.
            answered = isinstance(error, ResponseError)
            # One that answers and does not do it, such as one that is full or a replica, will not recover by itself.
            log.log(
                logging.ERROR if answered else logging.DEBUG,
                "Redis %s (%s)",
                "refuses what the voice library asks" if answered else "does not answer",
                type(error).__name__,
            )
            raise away() from None


def _field(voice: LibraryVoice) -> str:
    """An owner's name has no line break in it, and an id neither."""
    return f"{voice.owner}\n{voice.id}"


def _checked(field: bytes, record: bytes) -> LibraryVoice | None:
    """What is kept under ``field``, if it is a voice."""
    try:
        if len(record) > MAX_RECORD:
            raise ValueError
        voice = LibraryVoice.model_validate_json(record)
        if _field(voice).encode() != field:
            raise ValueError
    except (ValueError, ValidationError):
        log.error("an entry of the voice library in Redis is no voice, and is left alone")
        return None
    return voice
