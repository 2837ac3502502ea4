"""Frames between two threads: bounded, in order, and nobody is left waiting."""

from __future__ import annotations

import threading

import pytest

from providers.qwen.frames import Frames, Stopped


class Saying:
    """A thread that puts ``count`` frames and ends."""

    def __init__(self, frames: Frames, count: int, error: BaseException | None = None) -> None:
        self.put = 0
        self.stopped = False
        self._frames, self._count, self._error = frames, count, error
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            for number in range(self._count):
                self._frames.put(number)
                self.put += 1
        except Stopped:
            self.stopped = True
        self._frames.end(self._error)


def test_frames_come_in_order_and_the_last_ones_alone() -> None:
    frames = Frames(ahead=3)
    saying = Saying(frames, 10)
    assert [frames.take(4), frames.take(4), frames.take(4), frames.take(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], []]
    saying.thread.join()


def test_who_says_them_waits_while_too_many_are_there() -> None:
    frames = Frames(ahead=3)
    saying = Saying(frames, 100)
    assert frames.take(5) == [0, 1, 2, 3, 4]
    frames.stop()
    saying.thread.join()
    assert saying.stopped
    assert saying.put <= 5 + 3


def test_what_was_said_before_an_error_is_heard() -> None:
    frames = Frames()
    saying = Saying(frames, 3, RuntimeError("lost"))
    assert frames.take(2) == [0, 1]
    assert frames.take(2) == [2]
    with pytest.raises(RuntimeError, match="lost"):
        frames.take(2)
    saying.thread.join()


def test_a_stop_lets_go_who_waits_for_frames() -> None:
    frames, taken = Frames(), []
    waiting = threading.Thread(target=lambda: taken.append(frames.take(5)))
    waiting.start()
    frames.put("one")
    frames.stop()
    waiting.join()
    assert taken == [[]]


def test_a_stop_lets_go_who_waits_for_room() -> None:
    frames = Frames(ahead=1)
    saying = Saying(frames, 2)
    frames.stop()
    saying.thread.join()
    assert saying.stopped
    with pytest.raises(Stopped):
        frames.put("more")
