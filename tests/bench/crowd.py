"""The load generator: many WebSocket clients on one epoll, in a process and on a core of their own.

Plain sockets and a parser for just the frames that a server sends: a client library would cost more for each frame
than the servers that are measured, and the generator would be what is measured.
"""

from __future__ import annotations

import base64
import os
import select
import socket
import struct
import time
from array import array
from collections.abc import Callable, Sequence

import orjson

HEADER = struct.Struct("!BBBxHHII")
"""The native protocol's audio header: version, type, flags, number, generation, sequence, position."""
RATE = 24_000
JITTER_BUFFER = 0.06
"""Seconds that the strictest player of the bench holds back before it plays."""
_SIZE = struct.Struct("!H")
_LONG_SIZE = struct.Struct("!Q")
_BUFFER = 262_144
_CONNECT_TIMEOUT = 10.0


class Gone(Exception):
    """The server closed a connection that the bench still needs."""


class Listener:
    """One connection. ``events`` are its JSON messages with the time (monotonic seconds) at which each came."""

    __slots__ = ("closed", "events", "first", "last_audio", "on_event", "on_first", "rest", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.rest = b""
        self.first = 0.0
        """When the first frame of the context came."""
        self.last_audio: dict[int, float] = {}
        """When the newest frame of each context number came; kept only while ``Crowd.trace`` is set."""
        self.events: list[tuple[float, dict[str, object]]] = []
        self.on_event: Callable[[float, dict[str, object]], None] | None = None
        self.on_first: Callable[[float, memoryview], None] | None = None
        self.closed = False

    def send(self, *messages: dict[str, object]) -> None:
        """Send JSON messages in text frames, all in one write."""
        self.socket.sendall(b"".join(_frame(0x1, orjson.dumps(message)) for message in messages))

    def speak(self, context: str, text: str, **fields: object) -> None:
        """Start a context with its whole text."""
        self.send(
            {"type": "start", "context": context, **fields},
            {"type": "text", "context": context, "text": text},
            {"type": "end", "context": context},
        )


def _frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame. Its masking key is zero, which RFC 6455 allows and which leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0xFE)) + _SIZE.pack(size)
    else:
        head = bytes((0x80 | opcode, 0xFF)) + _LONG_SIZE.pack(size)
    return head + b"\0\0\0\0" + payload


class Crowd:
    """Listeners that are served together by ``run``.

    While ``measuring`` is set each frame is counted, and its lateness noted: a frame at position ``p`` seconds is
    due ``max(0, p - lead)`` seconds after the stream's first frame came, and its lateness is by how much it came
    later than that, never less than 0.
    """

    def __init__(self, port: int, lead: float) -> None:
        self._port = port
        self._lead = lead
        self._poll = select.epoll()
        self._by_fd: dict[int, Listener] = {}
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self.measuring = False
        self.trace = False
        self.frames = 0
        self.payload = 0
        self.underruns = 0
        self.lost = 0
        """Connections that the server closed."""
        self.lateness = array("d")
        self.busy = 0.0
        """Seconds spent with what came, since the last ``reset``."""

    @property
    def listeners(self) -> list[Listener]:
        return list(self._by_fd.values())

    def connect(self, path: str = "/v1/stream", *, read: bool = True) -> Listener:
        """One more connection. With ``read=False`` nothing that comes on it is ever read."""
        connection = socket.create_connection(("127.0.0.1", self._port), _CONNECT_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = connection.recv(4096)
            if not received:
                raise Gone(answer.decode(errors="replace"))
            answer += received
        head, _, rest = answer.partition(b"\r\n\r\n")
        if b" 101 " not in head.splitlines()[0]:
            raise Gone(head.decode(errors="replace"))
        connection.setblocking(False)
        listener = Listener(connection)
        listener.rest = rest
        if read:
            self._by_fd[connection.fileno()] = listener
            self._poll.register(connection.fileno(), select.EPOLLIN)
        return listener

    def close(self) -> None:
        """Hang up on everybody."""
        for listener in self.listeners:
            self._drop(listener)
        self._poll.close()

    def reset(self) -> None:
        """Forget what was measured."""
        self.frames = self.payload = self.underruns = self.lost = 0
        self.lateness = array("d")
        self.busy = 0.0

    def run(self, seconds: float, actions: Sequence[tuple[float, Callable[[], None]]] = ()) -> None:
        """Serve everybody for ``seconds``; each action is done when its time (from now, ascending) has come."""
        self.run_until(lambda: False, seconds, actions)

    def run_until(
        self,
        done: Callable[[], bool],
        limit: float,
        actions: Sequence[tuple[float, Callable[[], None]]] = (),
    ) -> bool:
        """Serve everybody until ``done`` or for ``limit`` seconds; returns ``done()``."""
        began = now = time.monotonic()
        todo = list(actions)[::-1]
        while now - began < limit and not done():
            while todo and began + todo[-1][0] <= now:
                todo.pop()[1]()
            pause = began + (min(todo[-1][0], limit) if todo else limit) - now
            # While it measures it never sleeps: to wake a sleeping core would be part of the server's send.
            ready = self._poll.poll(0.0 if self.measuring else max(0.0, min(pause, 0.05)))
            now = time.monotonic()
            if ready:
                for fd, _ in ready:
                    self._receive(fd)
                self.busy -= now
                now = time.monotonic()
                self.busy += now
        return done()

    def _receive(self, fd: int) -> None:
        listener = self._by_fd.get(fd)
        if listener is None:
            return
        try:
            size = listener.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        now = time.monotonic()
        if not size:
            self.lost += 1
            self._drop(listener)
            return
        data = self._view[:size]
        if listener.rest:
            data = memoryview(listener.rest + bytes(data))
        used = self._parse(listener, data, now)
        listener.rest = bytes(data[used:]) if used < len(data) else b""

    def _drop(self, listener: Listener) -> None:
        self._poll.unregister(listener.socket.fileno())
        del self._by_fd[listener.socket.fileno()]
        listener.socket.close()
        listener.closed = True

    def _parse(self, listener: Listener, data: memoryview, now: float) -> int:
        """Take every whole frame; returns how many bytes that were."""
        begin, length = 0, len(data)
        while length - begin >= 2:
            size = data[begin + 1]
            start = begin + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                if start > length:
                    break
                kind = _SIZE if size == 126 else _LONG_SIZE
                (size,) = kind.unpack_from(data, begin + 2)
            end = start + size
            if end > length:
                break
            opcode = data[begin] & 0x0F
            if opcode == 0x2:
                self._audio(listener, data, start, end, now)
            else:
                self._other(listener, opcode, bytes(data[start:end]), now)
            begin = end
        return begin

    def _audio(self, listener: Listener, data: memoryview, start: int, end: int, now: float) -> None:
        _, _, _, number, _, sequence, position = HEADER.unpack_from(data, start)
        if sequence == 0:
            listener.first = now
            if listener.on_first is not None:
                listener.on_first(now, data[start + HEADER.size : end])
        if self.measuring:
            self.frames += 1
            self.payload += end - start
            due = position / RATE
            elapsed = now - listener.first
            self.lateness.append(max(0.0, elapsed - max(0.0, due - self._lead)))
            if elapsed > due + JITTER_BUFFER:
                self.underruns += 1
        if self.trace:
            listener.last_audio[number] = now

    def _other(self, listener: Listener, opcode: int, payload: bytes, now: float) -> None:
        if opcode == 0x9:
            listener.socket.sendall(_frame(0xA, payload))
        elif opcode == 0x1:
            message = orjson.loads(payload)
            listener.events.append((now, message))
            if listener.on_event is not None:
                listener.on_event(now, message)
