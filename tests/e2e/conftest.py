"""Real gateways, each started once for all the tests of this folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class RunningGateway:
    http: str
    ws: str
    pid: int


@pytest.fixture(scope="session")
def gateway() -> Iterator[RunningGateway]:
    """One with the settings that it comes with."""
    with running() as started:
        yield started


@pytest.fixture(scope="session")
def far_ahead() -> Iterator[RunningGateway]:
    """One that sends five seconds ahead, so that a gap is the listener's own and none of a busy machine's."""
    with running(lead_ms="5000") as started:
        yield started


@contextmanager
def running(**settings: str) -> Iterator[RunningGateway]:
    """``voxwire serve`` as a process of its own, on a free port, with both built-in engines."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VOXWIRE_")}
    environment |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'codecs'}", "PYTHONUNBUFFERED": "1"}
    environment |= {"VOXWIRE_RATE_LIMIT_REQUESTS": "0"}
    environment |= {f"VOXWIRE_{name.upper()}": value for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        address = _address(process.stdout)
        yield RunningGateway(address, address.replace("http", "ws"), process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _address(output: Iterator[str]) -> str:
    """The gateway prints its address when it is ready."""
    for line in output:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return found[0]
    raise AssertionError("the gateway ended before it was ready")
