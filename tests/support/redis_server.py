"""A real Redis of the test's own, in a temporary folder and on a free port, which the test can stop and start."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from tests.support.required import lacks


class RedisServer:
    """Keeps its data over a ``restart`` only where it was told to ``save`` them before, or by its ``options``."""

    def __init__(self, folder: Path, *options: str) -> None:
        found = shutil.which("redis-server")
        if found is None:
            lacks("redis", "there is no redis-server on this machine")
        self._program = found
        self._folder = folder
        self._options = options
        # Bound for as long as this lives, and never listened on: Redis can have the port beside it, again and again,
        # and nobody else can, before its first start or while it is stopped.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port: int = self._holder.getsockname()[1]
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Returns when it takes connections."""
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", "")
        process = subprocess.Popen([self._program, *options, *self._options], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ready to accept connections" in line:
                self._process = process
                return
        process.wait()
        raise AssertionError(f"redis-server did not start: {said}")

    def stop(self) -> None:
        """As a crash does: nothing is saved."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def close(self) -> None:
        """Stop it, and let the port go."""
        self.stop()
        self._holder.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def save(self) -> None:
        """Keep what there is now for the next start."""
        with Redis.from_url(self.url) as redis:
            redis.save()


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A started one."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(Path(folder), *options)
        try:
            server.start()
            yield server
        finally:
            server.close()
