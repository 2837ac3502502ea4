"""A bidirectional engine's side of one context: the text that it was given, and the sound that it owes for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from gateway.pipeline.alignment import TimedWord, Transcript
from gateway.pipeline.deadline import Deadline
from providers.base import Segment, Spoken, Word

_ENOUGH = 60.0
"""Seconds of speech, about, that an engine may be given text for. What it has, it may speak for nobody when the
listener cancels; what it has not, it cannot speak in one breath with the rest."""


class Conversation:
    """All segments of the context are one span of its transcript, whose sound comes in one stream."""

    def __init__(self, transcript: Transcript, rate: int, now: Callable[[], float]) -> None:
        self._transcript = transcript
        self._rate = rate
        self._now = now
        self.span = transcript.add("")
        self._owed: deque[tuple[int, int]] = deque()
        """For each segment whose sound is not whole: the pieces of the span at its end, and its characters."""
        self._spoken = 0
        self._given = False
        self._asking = False
        self._deadline: Deadline | None = None
        self._since: float | None = None
        self._waited = 0.0
        self.listening = False
        """Whoever takes the sound waits for more of it."""

    # ---- text

    def ask(self) -> None:
        """The engine asks for text: if it owes nothing, it is the text that is waited for."""
        self._asking = True
        if not self._expected:
            self._pause()

    def answer(self) -> None:
        """It has got some, or asks no more: from now on it is waited for."""
        self._asking = False
        self._wait()

    def give(self, text: str) -> None:
        """A segment for the engine, which owes its sound from now on."""
        self._owed.append((self.skip(text), len(text)))

    def finish(self) -> None:
        """The engine knows that there is no more text: now it owes its end."""
        self._given = True

    def skip(self, text: str) -> int:
        """Text that nobody can speak. Returns the pieces that the span has with it."""
        return self._transcript.extend(self.span, text)

    @property
    def owes(self) -> bool:
        """There is text that the engine was given and whose sound is not whole."""
        return bool(self._owed)

    @property
    def has_enough(self) -> bool:
        """No more text, until more of the sound has come."""
        return self.owes and self._transcript.owed(self.span) >= _ENOUGH

    # ---- sound

    def words(self, words: Sequence[Word]) -> list[TimedWord]:
        """In seconds. The span begins with the context, and so the engine's stream does."""
        return [TimedWord(word.text, word.start / self._rate, word.end / self._rate) for word in words]

    def spoken(self, done: Spoken) -> tuple[list[TimedWord], int]:
        """The engine has spoken some segments. Returns the words that are timed by now, and the characters."""
        pieces = characters = 0
        while self._owed and self._spoken < done.segments:
            pieces, length = self._owed.popleft()
            characters += length
            self._spoken += 1
        return self._transcript.reached(self.span, pieces, self.words(done.words)), characters

    # ---- waiting for the engine

    @property
    def _expected(self) -> bool:
        """It is the engine's turn: it owes sound or its end, or does not even ask for text."""
        return self.owes or self._given or not self._asking

    def begin(self, deadline: Deadline) -> None:
        """The engine is asked for sound. Its time is counted while it is its turn."""
        self._deadline = deadline
        self._waited = 0.0
        if self._expected:
            self._wait()

    def end(self) -> float:
        """It has answered. Returns the seconds that were counted."""
        self._pause()
        self._deadline = None
        return self._waited

    def _wait(self) -> None:
        if self._deadline is not None and self._since is None:
            self._deadline.begin()
            self._since = self._now()

    def _pause(self) -> None:
        if self._deadline is not None and self._since is not None:
            self._deadline.end()
            self._waited += self._now() - self._since
            self._since = None


class Segments:
    """The iterator that the engine pulls. Not a generator: one that is cancelled in a pull is over."""

    def __init__(self, pull: Callable[[], Awaitable[Segment | None]]) -> None:
        self._pull = pull

    def __aiter__(self) -> Segments:
        return self

    async def __anext__(self) -> Segment:
        segment = await self._pull()
        if segment is None:
            raise StopAsyncIteration
        return segment
