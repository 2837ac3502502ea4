"""``python -m tests.support.volcano``: the service as a process. Says its port, and keeps its books at ``/books``."""

from __future__ import annotations

import argparse
import asyncio
import time

from tests.bench.engine import MAGIC, STAMP
from tests.support.volcano.service import Pace, serving


def stamped(pcm: bytes) -> bytes:
    """The time (``time.monotonic_ns``, which all processes of a machine share) in place of the first samples."""
    return STAMP.pack(MAGIC, time.monotonic_ns()) + pcm[STAMP.size :]


async def run(options: argparse.Namespace) -> None:
    pace = Pace(options.latency, options.interval, options.chunk_ms, options.release, options.idle)
    async with serving(pace, options.port) as service:
        service.account(options.api_key, app_id=options.app_id, access_key=options.access_key, quota=options.quota)
        if options.stamp:
            service.first = stamped
        print(service.port, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.volcano", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--quota", type=int, default=10)
    parser.add_argument("--api-key", default="key")
    parser.add_argument("--app-id", default="app")
    parser.add_argument("--access-key", default="access")
    parser.add_argument("--stamp", action="store_true", help="write the time of sending into the first sound")
    for name, default in (("latency", 0.0), ("interval", 0.0), ("release", 0.0), ("idle", 30.0)):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--chunk-ms", type=int, default=100)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
