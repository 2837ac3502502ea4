"""The semaphores that were made while the gateways run, as all the gateways on one Redis have them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.admission.definitions import Definition
from gateway.errors import Overloaded


class SharedDefinitions:
    """A hash that ``leases.lua`` reads too. ``scope`` begins the names of these semaphores among all that there are;
    ``patience`` is in seconds."""

    def __init__(self, redis: Redis, prefix: str, scope: str, patience: float) -> None:
        self._redis = redis
        self._key = f"{prefix}definitions"
        self._scope = scope
        self._patience = patience

    async def close(self) -> None:
        await self._redis.aclose()

    async def put(self, definition: Definition) -> None:
        kept = {"places": definition.places, "description": definition.description}
        async with self._in_time():
            await self._redis.hset(self._key, self._scope + definition.name, orjson.dumps(kept).decode())

    async def find(self, name: str) -> Definition | None:
        async with self._in_time():
            kept = await self._redis.hget(self._key, self._scope + name)
        return None if kept is None else Definition(name, **orjson.loads(kept))

    async def all(self) -> Sequence[Definition]:
        async with self._in_time():
            everything = await self._redis.hgetall(self._key)
        found = [
            Definition(str(name).removeprefix(self._scope), **orjson.loads(kept)) for name, kept in everything.items()
        ]
        return sorted(found, key=lambda definition: definition.name)

    async def remove(self, name: str) -> bool:
        async with self._in_time():
            return bool(await self._redis.hdel(self._key, self._scope + name))

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                yield
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            raise Overloaded(
                "the shared semaphores cannot be asked for now; try again later", retry_after=max(1.0, self._patience)
            ) from error
