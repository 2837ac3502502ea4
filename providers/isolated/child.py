"""The process of one engine: ``python -m providers.isolated.child SOCKET``, started by ``process.py`` and nobody else.

Its standard input is the leash, its standard output and error are its log.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from providers.isolated.host import Host
from providers.isolated.leash import tie
from providers.isolated.output import ToParent

_PROTOCOL_ERROR = 70
_FIRST_TO_GO = 300
"""Added to the score by which a system without memory chooses what to end: rather this than the gateway."""


def main() -> int:
    leash = os.dup(0)
    tie(leash)
    # Nothing that an engine starts has the gateway's ends, and nothing reads from them.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)
    faulthandler.enable()
    logging.getLogger().handlers[:] = [ToParent()]
    # A service manager tells every process of a service to stop. The gateway lets what is spoken end first, and then
    # ends this one.
    for stop in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(stop, lambda *_: None)
    _go_first()
    with asyncio.Runner(loop_factory=_loop) as runner:
        return 0 if runner.run(Host(end).serve()) else _PROTOCOL_ERROR


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _go_first() -> None:
    try:
        with Path("/proc/self/oom_score_adj").open("r+") as score:
            raised = min(1000, int(score.read()) + _FIRST_TO_GO)
            score.seek(0)
            score.write(str(raised))
    except (OSError, ValueError):
        # Not on this system.
        pass


if __name__ == "__main__":
    sys.exit(main())
