"""The Python client: text in, speech out while it is being made.

    from gateway.client import Client

    with Client("http://127.0.0.1:8080") as voxwire:
        with voxwire.speak("Hello there. How are you?") as speech:
            speech.save("hello.wav")

``AsyncClient`` is the same for asyncio. ``docs/client.md`` has more examples.
"""

from gateway.client.aio import AsyncClient
from gateway.client.batch import BatchResult, BatchTask, read_tasks
from gateway.client.errors import (
    ConnectionFailed,
    GatewayAway,
    GatewayError,
    SpeechError,
    TimedOut,
    VoxwireClientError,
)
from gateway.client.messages import CancelResult, Ended, Frame, Options, Queued, Started, Voice, Word
from gateway.client.speech import AsyncSpeech
from gateway.client.sync import Client, Speech

__all__ = [
    "AsyncClient",
    "AsyncSpeech",
    "BatchResult",
    "BatchTask",
    "CancelResult",
    "Client",
    "ConnectionFailed",
    "Ended",
    "Frame",
    "GatewayAway",
    "GatewayError",
    "Options",
    "Queued",
    "Speech",
    "SpeechError",
    "Started",
    "TimedOut",
    "Voice",
    "VoxwireClientError",
    "Word",
    "read_tasks",
]
