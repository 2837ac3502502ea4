"""Where a gateway is, and its plain HTTP answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from gateway.client.errors import ConnectionFailed, GatewayAway, GatewayError, TimedOut, VoxwireClientError

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}


class Address:
    """A gateway's base address: ``http://host:8080``, or with ``https``, ``ws``, ``wss`` and a path before it."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in _SECURE or not parts.netloc:
            raise ValueError(f"{url!r} is no address of a gateway; write it like http://127.0.0.1:8080")
        path = parts.path.rstrip("/")
        secure = "s" if _SECURE[parts.scheme] else ""
        self.base = urlunsplit((f"http{secure}", parts.netloc, path, "", ""))
        self.stream = urlunsplit((f"ws{secure}", parts.netloc, f"{path}/v1/stream", "", ""))
        self.local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        """On this machine: a proxy that the environment names would not find it."""
        self.headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def get(self, path: str, timeout: float) -> Any:
        """The JSON that the gateway answers to a GET. Blocking. Raises a ``VoxwireClientError``."""
        # Not at the top: whoever only speaks need not load an HTTP client.
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

        class Stay(HTTPRedirectHandler):
            """It would take the key along to any host."""

            def redirect_request(self, *_: Any) -> None: ...

        opener = build_opener(Stay, ProxyHandler({})) if self.local else build_opener(Stay)
        try:
            with opener.open(Request(self.base + path, headers=self.headers), timeout=timeout) as response:
                return orjson.loads(response.read())
        except HTTPError as error:
            with error:
                raise self.refused(error.code, error.read()) from None
        except TimeoutError:
            raise TimedOut(f"the gateway at {self.base} did not answer within {timeout:g} s") from None
        except orjson.JSONDecodeError:
            raise ConnectionFailed(f"{self.base} answers, but not as a Voxwire gateway does") from None
        except (URLError, HTTPException, OSError) as error:
            raise self.away(error) from error

    def away(self, error: BaseException) -> GatewayAway:
        """No gateway answers there."""
        cause = getattr(error, "reason", error)
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        return GatewayAway(f"no gateway answers at {self.base} ({reason})")

    def refused(self, status: int, body: bytes | None) -> VoxwireClientError:
        """An HTTP status that says no, as the gateway's own error where its body has one."""
        if 300 <= status < 400:
            return ConnectionFailed(f"{self.base} redirects elsewhere; use the address that it leads to")
        try:
            fields = orjson.loads(body or b"")["error"]
            fields["code"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return ConnectionFailed(f"{self.base} answered HTTP {status}; is it a Voxwire gateway?")
        return GatewayError.from_fields(fields)
