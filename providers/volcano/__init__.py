"""Volcano Engine's speech service (Doubao): see ``docs/engines/volcano.md``."""
