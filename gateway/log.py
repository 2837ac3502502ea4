"""Structured logs: one line an event, with the session's token, never a caller's text or key."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Literal

import orjson

session_id: ContextVar[str | None] = ContextVar("session_id", default=None)
"""The token of the session that the running task works for."""

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _USUAL and key != "color_message"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, session and whatever ``extra`` was given."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (token := session_id.get()) is not None:
            line["session"] = token
        line.update(_extras(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """The same, for a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        # Written into the record's message, so that a traceback still follows it on lines of its own.
        fields = _extras(record)
        if (token := session_id.get()) is not None:
            fields["session"] = token
        line = super().format(record)
        if not fields:
            return line
        head, newline, rest = line.partition("\n")
        return head + "  " + " ".join(f"{key}={value}" for key, value in fields.items()) + newline + rest


def configure(level: str, style: Literal["text", "json"]) -> None:
    """Send all logs to standard error in one style."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
    # One line for each connection that opens and closes is noise: sessions log themselves.
    logging.getLogger("uvicorn.error").setLevel("WARNING")
    logging.getLogger("websockets").setLevel("WARNING")
