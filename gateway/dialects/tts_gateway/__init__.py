"""The door of an earlier gateway (lee-jian-hui/tts-system), so that its clients and its page work unchanged.

A session is asked for first, then listened to once over a WebSocket, in base64 inside JSON; what was spoken can be
fetched as a file for a while. ``docs/dialects.md`` says where this door is more than the earlier one.
"""

from gateway.dialects.tts_gateway.routes import routes

__all__ = ["routes"]
