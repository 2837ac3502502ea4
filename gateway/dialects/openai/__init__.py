"""OpenAI's speech API: ``POST /v1/audio/speech`` and ``GET /v1/models``. ``docs/dialects.md`` says what differs."""

from gateway.dialects.openai.routes import routes

__all__ = ["routes"]
