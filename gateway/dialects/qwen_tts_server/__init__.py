"""The door of an earlier server of Qwen3-TTS (linkary/qwen-tts-server), for its clients: speech with the speakers of a
model, with a voice that is described, and with a voice like that of a clip. Any engine can serve it.

``docs/dialects.md`` says where this door is more than the earlier one.
"""

from gateway.dialects.qwen_tts_server.routes import routes

__all__ = ["routes"]
