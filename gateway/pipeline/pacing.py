"""When a frame may leave, what the listener has heard by now, and the one timer that wakes all sessions."""

from __future__ import annotations

import asyncio
import heapq
import math

from gateway.clock import Clock

TICK = 0.005
"""Seconds between two turns of the wheel: a quarter of the shortest usual frame."""


class Wheel:
    """One timer for every session that waits for its next frame.

    A timer a session costs a fifth of a core at 1,000 sessions and 50 frames a second; a wheel a quarter of that,
    because each turn wakes all who are due. It turns only while somebody waits.
    """

    def __init__(self, clock: Clock, tick: float = TICK) -> None:
        self._clock = clock
        self._tick = tick
        self._slots: dict[int, list[asyncio.Future[None]]] = {}
        self._order: list[int] = []
        self._handle: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.lateness = 0.0
        """Seconds by which the latest turn came after its time: how busy the event loop is."""

    @property
    def waiting(self) -> int:
        return sum(len(slot) for slot in self._slots.values())

    async def until(self, when: float) -> None:
        """Return at the first turn of the wheel at or after ``when`` (clock seconds)."""
        await self.turn(when)

    def turn(self, when: float) -> asyncio.Future[None]:
        """The first turn of the wheel at or after ``when``, to be awaited by one."""
        # Asked for once: in Python 3.11 the question costs a system call.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        turn = math.ceil(when / self._tick)
        waiter = loop.create_future()
        slot = self._slots.get(turn)
        if slot is None:
            self._slots[turn] = [waiter]
            heapq.heappush(self._order, turn)
            if self._order[0] == turn:
                self._arm(loop)
        else:
            slot.append(waiter)
        return waiter

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._handle is not None:
            self._handle.cancel()
        delay = self._order[0] * self._tick - self._clock.now()
        # uvloop's timers have a resolution of 1 ms; a shorter delay would spin.
        self._handle = loop.call_later(max(delay, 0.001), self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle = None
        now = self._clock.now()
        self.lateness = max(0.0, now - self._order[0] * self._tick)
        last = now / self._tick
        while self._order and self._order[0] <= last:
            for waiter in self._slots.pop(heapq.heappop(self._order)):
                if not waiter.done():
                    waiter.set_result(None)
        if self._order:
            self._arm(loop)


class Playback:
    """An estimate of the listener's player, from what was sent to it and when. Pure.

    It assumes a player that starts with the first frame and stops whenever the next one is not there, so it is
    the strictest listener: one with a jitter buffer hears fewer gaps. All times are seconds.
    """

    __slots__ = ("_zero", "longest_gap", "sent", "started", "underrun", "underruns")

    def __init__(self) -> None:
        self._zero = 0.0
        self.started = False
        self.sent = 0.0
        """Seconds of sound that have left."""
        self.underruns = 0
        self.underrun = 0.0
        self.longest_gap = 0.0

    def due(self, lead: float) -> float:
        """When the sound after what was sent may leave, to be ``lead`` seconds ahead of its play time."""
        return self._zero + self.sent - lead if self.started else 0.0

    def send(self, now: float, seconds: float) -> float:
        """Note that ``seconds`` of sound leave now. Returns by how much they come too late, 0.0 if in time."""
        if not self.started:
            self.started = True
            self._zero = now
            self.sent = seconds
            return 0.0
        late = now - self._zero - self.sent
        self.sent += seconds
        if late <= 0.0:
            return 0.0
        # The player has run dry and goes on from now: all play times move by the gap.
        self._zero += late
        return late

    def count(self, late: float) -> None:
        """Count a gap that was the engine's or the gateway's doing."""
        self.underruns += 1
        self.underrun += late
        self.longest_gap = max(self.longest_gap, late)

    def heard(self, now: float) -> float:
        """Seconds of sound that the listener can have heard by now."""
        return min(self.sent, max(0.0, now - self._zero)) if self.started else 0.0
