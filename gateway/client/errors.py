"""What the client raises: one family.

    VoxwireClientError
     ├─ ConnectionFailed     the connection was lost, or cannot be made
     │   └─ GatewayAway      nothing answers at the address
     ├─ TimedOut             the gateway did not answer within the client's ``timeout``
     └─ GatewayError         the gateway said no, with a code
         └─ SpeechError      ... to one speech; other speeches go on

The root itself is raised where the client is used out of order, such as text after the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class VoxwireClientError(Exception):
    """The root."""


class ConnectionFailed(VoxwireClientError):
    """The gateway cannot be reached, or the connection was lost; each speech on it is told."""


class GatewayAway(ConnectionFailed):
    """Nothing answers at the address."""


class TimedOut(VoxwireClientError):
    """The gateway is connected but did not answer in time."""


class GatewayError(VoxwireClientError):
    """The gateway refused. ``code`` is one of the codes of ``docs/protocol.md``."""

    def __init__(self, code: str, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        """Seconds after which another try may succeed, where the gateway knows."""

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> GatewayError:
        """Of the fields of an ``error`` event, or of the error object of an HTTP answer."""
        after = fields.get("retry_after_ms")
        return cls(
            str(fields.get("code", "internal")),
            str(fields.get("message", "the gateway gave no reason")),
            retryable=bool(fields.get("retryable", False)),
            retry_after=None if after is None else float(after) / 1000,
        )


class SpeechError(GatewayError):
    """One speech was refused, or failed while it was spoken.

    The client itself uses one more code, ``not_read``: the audio of this speech was left unread while others
    on its connection waited.
    """
