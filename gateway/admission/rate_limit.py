"""How often one caller may ask, counted in windows of fixed length."""

from __future__ import annotations

from gateway.clock import Clock
from gateway.errors import RateLimited

_MAX_CALLERS = 50_000


class RateLimit:
    """At most ``limit`` requests a caller in each window of ``window`` seconds; 0 means no limit.

    The window of a caller begins with its first request. Callers are forgotten when their window is over, and
    at 50,000 of them the oldest are.
    """

    def __init__(self, limit: int, window: float, clock: Clock) -> None:
        self.limit = limit
        self.window = window
        self._clock = clock
        self._counts: dict[str, tuple[float, int]] = {}

    def count(self, caller: str) -> None:
        """Count one request. Raises ``RateLimited`` with the seconds until the window ends."""
        if not self.limit:
            return
        now = self._clock.now()
        self._forget(now)
        ends, count = self._counts.get(caller, (now + self.window, 0))
        if count >= self.limit:
            raise RateLimited(f"more than {self.limit} requests in {self.window:g} seconds", retry_after=ends - now)
        self._counts[caller] = (ends, count + 1)

    def _forget(self, now: float) -> None:
        # Windows are equally long, so they end in the order in which they began.
        while self._counts:
            caller, (ends, _) = next(iter(self._counts.items()))
            if ends > now and len(self._counts) < _MAX_CALLERS:
                return
            del self._counts[caller]

    def busiest(self) -> tuple[float, float]:
        """Of the caller who has used most: its share of the limit, and the seconds until its window ends."""
        now = self._clock.now()
        self._forget(now)
        if not self._counts:
            return 0.0, 0.0
        ends, count = max(self._counts.values(), key=lambda entry: entry[1])
        return count / self.limit, ends - now
