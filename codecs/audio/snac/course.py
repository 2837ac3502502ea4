"""One stream's course: which window is decoded next and when, from what has arrived, what was delivered, and when.

The first window is as small as can be, so that sound starts early, but not so small that the second one is late for its
end. Each later one may be twice as long as the one before, since context costs less in long ones, but nothing waits for
frames beyond the time at which the listener would run dry, and none is so long that it would not be decoded by then.
Pure: every time is an argument, in seconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from audio.snac import window as windows
from audio.snac.layout import FRAME_SAMPLES, SAMPLE_RATE
from audio.snac.window import Window, final

_GROWTH = 2
_FRAME = FRAME_SAMPLES / SAMPLE_RATE
_FORESEEN = 3
"""Windows behind the first: then they are as long as those that follow."""
_LONGEST_FIRST = 4
"""Frames by which a first window goes on at most: 312 ms of sound, on a processor that is hardly fast enough."""
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
        decoding takes for each frame of work, see ``Shape``.
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
            return self._in_time(most, now, pace)
        if pending > 0 and now >= self.deadline - lead:
            return self._in_time(pending, now, pace)
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

    def _in_time(self, most: int, now: float, pace: float) -> Window:
        """The longest that will be decoded before the listener runs dry. Where none will he runs dry in any case, and
        the longest costs least."""
        left = self.deadline - now
        sizes = [size for size in self._sizes if size <= most]
        fitting = (self._inner(size) for size in reversed(sizes))
        return next((one for one in fitting if pace * one.shape.work <= left), None) or self._inner(sizes[-1])

    def _inner(self, size: int) -> Window:
        return self._after(self._frames, self.delivered, size)

    def _after(self, frames: int, delivered: int, size: int) -> Window:
        stop = frames + size
        return windows.inner(delivered, final(stop), stop, self._widths)

    def _first(self, pending: int, pace: float) -> Window | None:
        """Three frames make the first 56 ms final, and each further one 85 ms more. The shortest that is followed by
        others without a gap: a shorter one would only be heard sooner, and then the gap.
        """
        if pending <= 0:
            return None
        if not self._exact and pending == 1:
            fast = windows.inner(0, FRAME_SAMPLES, self.received, self._widths)
            # Whoever asks for it wants it sooner even where frames come slowly.
            if self._followed(fast, pace, 0.0):
                return fast
        interval = 0.0 if self.finished else min(_FRAME, (self._latest - (self._began or 0.0)) / (self.received - 1))
        firsts = [self._inner(size) for size in self._sizes if size <= _LONGEST_FIRST]
        chosen = next((window for window in firsts if self._followed(window, pace, interval)), firsts[-1])
        if self.finished and chosen.stop >= self.received:
            return windows.last(0, self.received, self._widths)
        return chosen if chosen.stop <= self.received else None

    def _followed(self, first: Window, pace: float, interval: float) -> bool:
        """Whether the next windows are decoded in time, if ``first`` goes as soon as its frames are there, and a frame
        comes every ``interval``. They are of the shortest kind that is decoded faster than it is heard."""
        size = next((size for size in self._sizes if pace * self._middle(size).shape.work <= size * _FRAME), None)
        if size is None:
            return False
        decoded = pace * first.shape.work
        dry = decoded + (first.keep_to - first.keep_from) / SAMPLE_RATE
        window = first
        for _ in range(_FORESEEN):
            window = self._after(window.stop, window.keep_to, size)
            arrived = (window.stop - first.stop) * interval
            decoded = max(decoded, arrived) + pace * window.shape.work
            if decoded > dry:
                return False
            dry += (window.keep_to - window.keep_from) / SAMPLE_RATE
        return True

    def _middle(self, size: int) -> Window:
        """A window of a sound that goes on to both sides."""
        return self._after(2 * windows.CONTEXT, final(2 * windows.CONTEXT), size)
