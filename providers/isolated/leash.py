"""The end of the gateway's process ends this one, whatever it is doing.

A thread that waits for it would not do: code that never gives the interpreter's lock back would keep it from ending
anything. Nor would ``PR_SET_PDEATHSIG``, which comes when the thread ends that started this process.
"""

from __future__ import annotations

import os
import select
import signal
import threading

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this system
    fcntl = None  # type: ignore[assignment]


def tie(leash: int) -> None:
    """Have the kernel kill this process when the other end of the pipe ``leash`` is closed; nothing is ever written to
    it."""
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(leash, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(leash, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(leash, fcntl.F_SETFL, fcntl.fcntl(leash, fcntl.F_GETFL) | os.O_ASYNC)
        # It may have been closed before.
        if select.select([leash], [], [], 0)[0]:
            os._exit(0)
    else:
        threading.Thread(target=_watch, args=(leash,), name="leash", daemon=True).start()


def _watch(leash: int) -> None:
    os.read(leash, 1)
    os._exit(0)
