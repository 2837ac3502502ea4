"""llama.cpp's own HTTP server, in a process of its own, on a model of Orpheus's shape that the tests write.

The model has the vocabulary of Orpheus and says its audio tokens slot by slot, but has learnt nothing: what it
"speaks" is noise. Its weights are made such that the hidden state of a token names the slot that comes next.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from tests.support.required import required

ROOT = Path(__file__).parent.parent.parent
VOCABULARY = 156_940
CUSTOM = 128_256
"""The id of ``<custom_token_0>``."""
START_OF_SPEECH, END_OF_SPEECH = 128_257, 128_258
SLOTS, CODES = 7, 4096
AUDIO = CUSTOM + 10
"""The id of slot 0, code 0."""
_HIDDEN, _LAYERS, _HEADS = 64, 2, 4
_CONTENT = slice(16, _HIDDEN)
"""The dimensions that hold what a token is, beside its slot."""
_CONTROL = {128_000: "<|begin_of_text|>", 128_001: "<|end_of_text|>", 128_009: "<|eot_id|>"}


def write_model(path: Path, *, ends: bool = True, speaks: bool = True) -> None:
    """Write the GGUF: 45 MB, in about a second. An utterance has some 30 frames at the usual sampling, and with
    ``ends=False`` as many as it may. ``speaks=False``: the model that Orpheus was made from, which has no audio tokens.
    """
    size = VOCABULARY if speaks else CUSTOM
    gguf = required("engines", "gguf")
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(16_384)
    writer.add_embedding_length(_HIDDEN)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_HIDDEN)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_HIDDEN // _HEADS)
    writer.add_vocab_size(size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_vocabulary(writer, gguf.TokenType, size)
    for name, tensor in _tensors(np.random.default_rng(0), ends=ends).items():
        # The last rows are those of Orpheus's own tokens.
        writer.add_tensor(name, tensor[:size])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: Any, kinds: Any, size: int) -> None:
    """Llama 3's shape: bytes and fillers, control tokens, and Orpheus's own tokens, which any text may spell."""
    words = [*_byte_letters(), "Ġ" + "Ġ"]
    words += [f"word{number}" for number in range(len(words), 128_000)]
    control = [_CONTROL.get(number, f"<|reserved_{number}|>") for number in range(128_000, CUSTOM)]
    custom = [f"<custom_token_{number}>" for number in range(size - CUSTOM)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(words + control + custom)
    writer.add_token_types(
        [kinds.NORMAL] * len(words) + [kinds.CONTROL] * len(control) + [kinds.USER_DEFINED] * len(custom)
    )
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(128_000)
    writer.add_eos_token_id(128_009)


def _byte_letters() -> list[str]:
    """The letters that stand for the 256 bytes in GPT-2's vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]


def _tensors(random: np.random.Generator, *, ends: bool) -> dict[str, np.ndarray[Any, Any]]:
    slot = np.repeat(np.arange(SLOTS), CODES)
    audio = np.arange(AUDIO, AUDIO + SLOTS * CODES)
    embedding = np.zeros((VOCABULARY, _HIDDEN), np.float32)
    embedding[:, _CONTENT] = random.standard_normal((VOCABULARY, _HIDDEN - 16))
    embedding[audio, slot] = 6.0
    embedding[START_OF_SPEECH, SLOTS - 1] = 6.0
    output = np.zeros((VOCABULARY, _HIDDEN), np.float32)
    output[audio, (slot - 1) % SLOTS] = 4.0
    output[AUDIO : AUDIO + SLOTS * CODES, _CONTENT] = random.normal(0.0, 0.25, (len(audio), _HIDDEN - 16))
    # Speech may end behind a whole frame only.
    output[END_OF_SPEECH, SLOTS - 1] = 5.05 if ends else -5.0
    tensors = {
        "token_embd.weight": embedding.astype(np.float16),
        "output.weight": output.astype(np.float16),
        "output_norm.weight": np.ones(_HIDDEN, np.float32),
    }
    for layer in range(_LAYERS):
        tensors |= {f"blk.{layer}.{name}": tensor for name, tensor in _layer(random).items()}
    return tensors


def _layer(random: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
    """Attention that mixes what was said before into the content, so that every prompt has its own course."""
    square = {name: random.normal(0.0, 0.3, (_HIDDEN, _HIDDEN)) for name in ("attn_q", "attn_k", "attn_v")}
    mixed = random.normal(0.0, 0.05, (_HIDDEN, _HIDDEN))
    mixed[: _CONTENT.start] = 0.0
    nothing = np.zeros((_HIDDEN, _HIDDEN))
    matrices = square | {"attn_output": mixed, "ffn_gate": nothing, "ffn_up": nothing, "ffn_down": nothing}
    tensors = {f"{name}.weight": matrix.astype(np.float16) for name, matrix in matrices.items()}
    norms = {f"{name}.weight": np.ones(_HIDDEN, np.float32) for name in ("attn_norm", "ffn_norm")}
    return tensors | norms


class LlamaServer:
    """A llama-server that a test may kill and start again, on the same port."""

    def __init__(self, model: Path, slots: int) -> None:
        self._model = model
        self._slots = slots
        # Bound for as long as this lives, and never listened on: while the server is down, the port is nobody else's.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._holder.bind(("127.0.0.1", 0))
        self._port = self._holder.getsockname()[1]
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self, *, model: Path | None = None, slots: int | None = None) -> None:
        """With another model, or another number of slots, where one is given. Returns when the model is loaded, in
        about a second."""
        self._model, self._slots = model or self._model, slots or self._slots
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._model), str(self._port), str(self._slots)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'codecs'}"},
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("http"):
                assert line.strip().endswith(f":{self._port}")
                return
        raise AssertionError("llama-server did not start")

    def kill(self) -> None:
        """At once, without a word to its clients."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def close(self) -> None:
        """Kill it, and let the port go."""
        self.kill()
        self._holder.close()

    async def busy(self) -> int:
        """Slots that are at work now."""
        async with aiohttp.ClientSession() as client, client.get(f"{self.url}/slots") as response:
            return sum(slot["is_processing"] for slot in await response.json())

    async def idle(self, limit: float) -> float:
        """Wait until all slots are idle; how many seconds that took. Asks again and again: the server tells
        nobody."""
        began = time.monotonic()
        async with asyncio.timeout(limit):
            while await self.busy():
                pass
        return time.monotonic() - began


@contextmanager
def running(model: Path, *, slots: int = 4) -> Iterator[LlamaServer]:
    """A running server on a free port; killed at the end."""
    required("engines", "xllamacpp")
    server = LlamaServer(model, slots)
    try:
        server.start()
        yield server
    finally:
        server.close()


def main(model: str, port: str, slots: str) -> None:
    """The server's process: says its address, and ends when whoever started it is gone."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.port = int(port)
    params.n_parallel = int(slots)
    params.n_ctx = int(slots) * 4096
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0
    params.ui = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    # Its threads may be in the middle of a completion.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
