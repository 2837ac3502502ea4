"""Kokoro, a small neural model for nine languages, with onnxruntime."""
