"""Voxwire: text in over a WebSocket, speech out while it is being made."""

__version__ = "0.1.0"
