"""Qwen3-TTS: a language model that says codes, twelve and a half a second, and a decoder that makes them sound."""
