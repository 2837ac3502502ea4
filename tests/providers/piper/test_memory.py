"""What a gateway that unloads idle engines gets back. In a process of its own: another test's memory is none of it."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.engines

_CYCLES = """
import asyncio, json, sys
from pathlib import Path
from providers.piper.engine import Piper
from providers.piper.settings import PiperSettings
from providers.registry import Providers

def taken():
    return int(Path("/proc/self/statm").read_text().split()[1])

async def main():
    providers = Providers([Piper(PiperSettings(_env_file=None, cache=Path(sys.argv[1])))], preload=())
    await providers.start()
    found = [taken()]
    for _ in range(5):
        async with providers.hold("piper"):
            found.append(taken())
        assert await providers.engine("piper").unload()
        found.append(taken())
    await providers.close()
    print(json.dumps(found))

asyncio.run(main())
"""


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists() or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="needs glibc on Linux",
)
def test_a_voice_that_is_loaded_and_unloaded_again_and_again_takes_its_memory_once(
    joe: Path, piper_shelf: Path
) -> None:
    before, loaded, *_, last = json.loads(
        subprocess.run([sys.executable, "-c", _CYCLES, str(piper_shelf)], check=True, capture_output=True).stdout
    )
    assert last - before < 0.7 * (loaded - before)
