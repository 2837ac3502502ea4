"""A measured server as a process on its own core: started, asked what it has used, and ended."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
_START_LIMIT = 30.0
_STOP_LIMIT = 10.0
_SETTINGS = {
    "VOXWIRE_PROVIDERS": "mock_tone",
    "VOXWIRE_MAX_SESSIONS": "10000",
    "VOXWIRE_RATE_LIMIT_REQUESTS": "0",
    "VOXWIRE_LOG_LEVEL": "error",
    "VOXWIRE_DRAIN_S": "0",
}


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._proc = Path("/proc") / str(process.pid)
        self.port = port

    @property
    def cpu(self) -> float:
        """CPU seconds that all its threads have used, user and system, as the scheduler has counted them (ns)."""
        times = (path.read_text().split()[0] for path in self._proc.glob("task/*/schedstat"))
        return sum(map(int, times)) / 1e9

    @property
    def rss(self) -> int:
        """Bytes of memory that lie in RAM. Socket buffers are the kernel's and not among them."""
        pages = int((self._proc / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def metric(self, name: str) -> float:
        """A series from ``/metrics``, summed over its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


@contextmanager
def serving(name: str, *, cores: Collection[int] | None = (SERVER_CORE,), **settings: str) -> Iterator[Server]:
    """Run one of ``peers`` on the server core, or on others, or (``None``) on those of this process; returns when it
    accepts connections.
    """
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.peers", name, str(port)], env={**os.environ, **_SETTINGS, **settings}
    )
    with stopped(process):
        if cores is not None:
            os.sched_setaffinity(process.pid, cores)
        wait(process, port)
        yield Server(process, port)


@contextmanager
def every_core() -> Iterator[None]:
    """Let this process, and those that it starts, run on all cores, as engines do where they are used."""
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, pinned)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End it on the way out."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait(process: subprocess.Popen[bytes], port: int) -> None:
    """Until it accepts connections."""
    deadline = time.monotonic() + _START_LIMIT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("the server did not start in time")
