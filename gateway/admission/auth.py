"""Who is calling: API keys, in every place where some client puts one."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar

from gateway.errors import Unauthorized

caller: ContextVar[str] = ContextVar("caller", default="")
"""The tenant whom this task works for, and the tasks that it starts: set where a request is authenticated."""

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63}):(.{8,})", re.DOTALL)


def presented(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The key of a request: ``Authorization: Bearer`` or ``Token``, ``xi-api-key``, ``X-API-Key``, ``?api_key=``."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() in {"bearer", "token"} and credentials:
        return credentials.strip()
    return headers.get("xi-api-key") or headers.get("x-api-key") or query.get("api_key")


def tenant_of(entry: str) -> tuple[str, tuple[str, ...]]:
    """The tenant of a configured key, and what opens as it.

    ``name:key`` is a key whose tenant has that name. Where the key is shorter than eight characters, or the name is
    none, the whole entry is a key without a name, whose tenant is a short hash of it.
    """
    named = _NAMED.fullmatch(entry)
    if named is None:
        return hashlib.sha256(entry.encode()).hexdigest()[:12], (entry,)
    # The whole entry opens too: a key that had a colon before there were names still does.
    return named[1], (named[2], entry)


class Keys:
    """The configured keys, ``key`` or ``name:key``. Without any, everybody may call."""

    def __init__(self, keys: Sequence[str]) -> None:
        entries = [tenant_of(entry) for entry in keys]
        self._keys = tuple((key.encode(), tenant) for tenant, opening in entries for key in opening)

    @property
    def required(self) -> bool:
        return bool(self._keys)

    def check(self, key: str | None) -> str:
        """The tenant; "" without configured keys. Raises ``Unauthorized``. Takes equally long for every key."""
        if not self._keys:
            return ""
        given = (key or "").encode()
        # All are compared, also after a match: the time says nothing about which one was near.
        tenants = [tenant for known, tenant in self._keys if hmac.compare_digest(given, known)]
        if not tenants:
            raise Unauthorized("no valid API key: send it as 'Authorization: Bearer KEY'")
        return tenants[0]
