"""The gateway's own routes for the voice library: ``POST /v1/voices`` and ``/v1/voices/library``. ``docs/voices.md``
describes them. Everywhere else a voice of the library is named as any other voice is."""

from gateway.dialects.voice_library.routes import routes

__all__ = ["routes"]
