"""When an engine that has failed may be tried again."""

from __future__ import annotations

_FIRST, _LONGEST = 5.0, 300.0
"""Seconds in which nobody tries again; doubled with each failure in a row."""
_STEADY = 60.0
"""Seconds after which the loss of an engine's process is none of a row."""


class Backoff:
    """Counts failures in a row. All times are seconds on one clock, which only goes forward."""

    def __init__(self) -> None:
        self.failures = 0
        """In a row."""
        self._losses = 0
        self._retry_at = 0.0
        self._since = 0.0

    def failed(self, now: float) -> float:
        """It did not start: the seconds until it is to be tried again."""
        self.failures += 1
        wait: float = min(_LONGEST, _FIRST * 2 ** min(self.failures - 1, 16))
        self._retry_at = now + wait
        return wait

    def succeeded(self, now: float) -> None:
        self.failures, self._retry_at, self._since = 0, 0.0, now

    def lost(self, now: float) -> bool:
        """It had started and is lost. Whether it may be tried again at once: if not, it is to be told as failed, and
        waits as long as a start that has failed as often in a row as it was lost soon after one."""
        self._losses = 1 if now - self._since >= _STEADY else self._losses + 1
        self.failures = max(0, self._losses - 2)
        return self._losses == 1

    def forget(self) -> None:
        """It is not to be tried again."""
        self._retry_at = 0.0

    def due(self, now: float) -> bool:
        """It has failed, and may be tried again."""
        return self._retry_at > 0.0 and now >= self._retry_at

    def left(self, now: float) -> float | None:
        """Seconds until it may be tried again; ``None`` where it has not failed, or is not to be tried again."""
        return max(0.0, self._retry_at - now) if self._retry_at else None
