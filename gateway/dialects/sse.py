"""Server-sent events (the HTML standard, section 9.2) whose data is JSON, in ASCII alone."""

from __future__ import annotations

import json
from typing import Any

SSE_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # nginx would gather events until its buffer is full.
    "x-accel-buffering": "no",
}


def sse_event(content: Any) -> bytes:
    """One event. ASCII, so that a client that decodes what it reads piece by piece cannot cut a character in two."""
    return b"data: %b\n\n" % json.dumps(content, separators=(",", ":")).encode()
