"""The door of an earlier Piper service (DenMantm/second-brain, ``apps/tts-service``), for its clients. Any engine can
serve it.

That service spoke one request at a time, under a lock, since two at once broke its model. Here an engine has as many
places as it has models; who waits for one waits in order, and a client that goes gives its place up.

``docs/dialects.md`` says where this door is more than the earlier one.
"""

from gateway.dialects.piper_service.routes import routes

__all__ = ["routes"]
