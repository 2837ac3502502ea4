"""The other process as the gateway sees it: started, listened to, ended and buried, without a thread or a task."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

from providers.isolated.output import Output
from providers.memory import resident

_MODULE = "providers.isolated.child"


class Process:
    """Belongs to the running loop. ``ended`` is done once it is over, all that it said was heard, and nothing of it is
    left."""

    def __init__(self, name: str) -> None:
        """Start it, which blocks for a few milliseconds. Raises ``OSError``."""
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        """The exit status; negative where a signal ended it."""
        self.killed = False
        """By this process."""
        self.output = Output(name)
        self.socket, theirs = socket.socketpair()
        # The child holds the other end and never hears anything on it but that this process is gone.
        leash, self._leash = os.pipe()
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-X", "faulthandler", "-m", _MODULE, str(theirs.fileno())],
                stdin=leash,
                stdout=self.output.theirs,
                stderr=self.output.theirs,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                # A Ctrl-C is for the gateway, which lets what is spoken end first.
                start_new_session=True,
            )
        except BaseException:
            self.socket.close()
            os.close(self._leash)
            self.output.close()
            raise
        finally:
            theirs.close()
            os.close(leash)
            self.output.started()
        self.pid = self._popen.pid
        self.output.listen()
        self._await_end()

    @property
    def memory(self) -> int | None:
        """Bytes that it holds, where the system says it."""
        return None if self.ended.done() else resident(self.pid) or None

    def kill(self) -> None:
        """End it and all that it has started, now."""
        if not self.ended.done():
            self.killed = True
            self._kill_group()

    def _kill_group(self) -> None:
        # Its number is its own until it is buried.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    # ---- its end

    def _await_end(self) -> None:
        try:
            watched = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            # Not on this system.
            threading.Thread(target=self._wait, name=f"process {self.pid}", daemon=True).start()
        else:
            self._loop.add_reader(watched, self._bury, watched)

    def _wait(self) -> None:
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._popen.wait()
        with suppress(RuntimeError):
            # The loop may be closed by now.
            self._loop.call_soon_threadsafe(self._bury, None)

    def _bury(self, watched: int | None) -> None:
        if watched is not None:
            self._loop.remove_reader(watched)
            os.close(watched)
        # What it has started goes with it.
        self._kill_group()
        status = self._popen.wait()
        os.close(self._leash)
        self.output.close()
        self.ended.set_result(status)


def told(status: int) -> str:
    """How a process ended, for a log."""
    if status >= 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        name = signal.Signals(-status).name
        return f"was ended by {name}" + (", as by a system without memory" if name == "SIGKILL" else "")
    return f"was ended by signal {-status}"
