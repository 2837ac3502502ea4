"""The engines on torch, as far as they are installed."""

from __future__ import annotations

from providers.torch_runtime import import_torchaudio
from tests.support.required import lacks, required


def needs(module: str) -> None:
    """Import it, or skip the test. It then works on one thread: more would only be in each other's way."""
    torch = required("engines", "torch")
    try:
        import_torchaudio()
    except ImportError as error:
        lacks("engines", str(error))
    required("engines", module)
    torch.set_num_threads(1)
