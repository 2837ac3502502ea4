"""Who is calling: API keys, in every place where some client puts one."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from gateway.errors import Unauthorized


def presented(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The key of a request: ``Authorization: Bearer`` or ``Token``, ``xi-api-key``, ``X-API-Key``, ``?api_key=``."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() in {"bearer", "token"} and credentials:
        return credentials.strip()
    return headers.get("xi-api-key") or headers.get("x-api-key") or query.get("api_key")


class Keys:
    """The configured keys. Without any, everybody may call."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(key.encode() for key in keys)

    @property
    def required(self) -> bool:
        return bool(self._keys)

    def check(self, key: str | None) -> None:
        """Raises ``Unauthorized``. Takes equally long for every wrong key."""
        if not self._keys:
            return
        given = (key or "").encode()
        # All are compared, also after a match: the time says nothing about which one was near.
        matches = [hmac.compare_digest(given, known) for known in self._keys]
        if not any(matches):
            raise Unauthorized("no valid API key: send it as 'Authorization: Bearer KEY'")
