"""Engines: everything that turns a segment of text into PCM. Nothing here imports the gateway."""
