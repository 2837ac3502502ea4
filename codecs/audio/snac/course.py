"""One stream's course: which window is decoded next and when, from what has arrived, what was delivered, and when.

The first window is as small as can be, so that sound starts early. Each later one may be twice as long as the one
before, since context costs less in long ones, but nothing waits for frames beyond the time at which the listener would
run dry. Pure: every time is an argument, in seconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from audio.snac import window as windows
from audio.snac.layout import FRAME_SAMPLES, SAMPLE_RATE
from audio.snac.window import Window, final

_GROWTH = 2
_UNHEARD = next(frames for frames in range(10) if final(frames + 1) > 0)
"""Two frames give no final sample yet, the third does."""


class Course:
    """``sizes``: how many frames a window may go on by, ascending from 1. ``widths``: how many frames wide windows
    should be where they can, see ``window``; none for a backend that does not care. ``exact``: otherwise the first
    frame may go out with a right context of two frames, which is a frame sooner than it is final.
    """

    def __init__(self, sizes: Sequence[int], widths: Sequence[int] = (), *, exact: bool = True) -> None:
        self._sizes = sizes
        self._widths = widths
        self._exact = exact
        self._began: float | None = None
        self._latest = 0.0
        self._frames = _UNHEARD
        """So many frames are done with: what is final with them has been delivered."""
        self._size = 0
        self.received = 0
        """Frames."""
        self.delivered = 0
        """Samples."""
        self.finished = False
        self.deadline = 0.0
        """When the listener runs dry; before the first sound, since when it waits."""

    @property
    def done(self) -> bool:
        """Nothing is left to decode, and nothing more will come."""
        return self.finished and self.delivered == self.received * FRAME_SAMPLES

    @property
    def oldest(self) -> int:
        """The first frame that may still be wanted."""
        return max(0, self._frames - windows.CONTEXT - self._sizes[-1])

    def push(self, now: float) -> None:
        """A frame has arrived."""
        if self._began is None:
            self._began = self.deadline = now
        self._latest = now
        self.received += 1

    def finish(self) -> None:
        """No more will arrive."""
        self.finished = True

    def next(self, now: float, lead: float, pace: float = 0.0) -> Window | None:
        """The window to decode now, or ``None`` where waiting is better or there is nothing to do.

        ``lead``: so many seconds before the listener runs dry a window must be on its way. ``pace``: seconds that
        decoding takes for each frame.
        """
        pending = self.received - self._frames
        if self.done:
            return None
        most = self._most()
        if self.finished and pending <= most:
            return windows.last(self.delivered, self.received, self._widths)
        if not self.delivered:
            return self._first(pending, pace)
        if pending >= most:
            return self._inner(most)
        if pending > 0 and now >= self.deadline - lead:
            return self._inner(max(size for size in self._sizes if size <= pending))
        return None

    def due(self, lead: float) -> float | None:
        """When ``next`` will have a window even if nothing more arrives; ``None`` where it then has none."""
        if self.finished or not self.delivered or self.received <= self._frames:
            return None
        return self.deadline - lead

    def deliver(self, window: Window, now: float) -> None:
        """``window`` was decoded, and what it keeps went to the listener."""
        played_from = now if not self.delivered else max(now, self.deadline)
        self.deadline = played_from + (window.keep_to - window.keep_from) / SAMPLE_RATE
        self._size = max(1, window.stop - self._frames)
        self._frames = window.stop
        self.delivered = window.keep_to

    def _most(self) -> int:
        return max(size for size in self._sizes if size <= max(1, _GROWTH * self._size))

    def _inner(self, size: int) -> Window:
        stop = self._frames + size
        return windows.inner(self.delivered, final(stop), stop, self._widths)

    def _first(self, pending: int, pace: float) -> Window | None:
        """Three frames make the first 56 ms final. They may go out if the fourth comes in time to go on with; else
        the first sound would only be followed by a gap, so it waits for that frame and is 141 ms.

        Both windows take time to decode, and the second takes about a frame's longer.
        """
        if pending <= 0 or self._began is None:
            return None
        if not self._exact and pending == 1:
            return windows.inner(0, FRAME_SAMPLES, self.received, self._widths)
        interval = (self._latest - self._began) / (self.received - 1)
        if self.finished or interval + pace <= final(_UNHEARD + 1) / SAMPLE_RATE:
            return self._inner(1)
        return self._inner(2) if pending > 1 and 2 in self._sizes else None
