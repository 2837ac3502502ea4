"""One stream of speech: text goes in, audio comes out while it is being made."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.client.connection import Connection
from gateway.client.errors import ConnectionFailed, SpeechError, TimedOut, VoxwireClientError
from gateway.client.feeding import Text, pieces
from gateway.client.files import AudioFile
from gateway.client.messages import (
    MAX_TEXT,
    CancelResult,
    Ended,
    Frame,
    Options,
    Queued,
    Started,
    Word,
)


class AsyncSpeech:
    """An async context manager and an async iterator of audio (``bytes``, in the format that was asked for).

    Entering it returns when the gateway has given it a place, so that ``started`` is known and what is wrong with
    the request is raised there. Leaving it cancels what still runs. Each frame goes to one reader.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        options: Options,
        text: Text | None = None,
        *,
        timeout: float,
    ) -> None:
        self.queued: Queued | None = None
        """The newest place in the gateway's waiting room, where it was full."""
        self.ended: Ended | None = None
        """Set when all was spoken. The last audio may still be unread."""
        self.words: list[Word] = []
        """Word times, as they come; with ``timestamps=True``. They may be ahead of the audio that was read."""
        self._connect = connect
        self._options = options
        self._text = text
        self._timeout = timeout
        self._started: Started | None = None
        self._connection: Connection | None = None
        self._name = ""
        self._sent: list[str] = []
        self._finished_text = False
        self._feeder: asyncio.Task[None] | None = None
        self._frames: deque[Frame] = deque()
        self._newest = 0
        self._taken = 0
        self._taken_at = 0.0
        self._muted = False
        self._over = False
        self._error: Exception | None = None
        self._cancelled: CancelResult | None = None
        self._answered = asyncio.Event()
        self._placed = asyncio.Event()
        self._arrived = asyncio.Event()
        self._closed = asyncio.Event()

    # ---- its life

    async def __aenter__(self) -> Self:
        """Raises ``ConnectionFailed``, ``TimedOut`` or ``GatewayError``, above all ``SpeechError``."""
        if self._connection is not None:
            raise VoxwireClientError("a speech can be entered once")
        self._connection = await self._connect()
        self._taken_at = asyncio.get_running_loop().time()
        self._name = self._connection.join(self)
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        await self._say("start", **self._options)
        if isinstance(self._text, str):
            await self.send(self._text)
            await self.end()
        elif self._text is not None:
            self._feeder = asyncio.create_task(self._feed(), name="voxwire text")
        await self._wait(self._answered)
        # In the waiting room it may take as long as it takes; the gateway says when it is too long.
        await self._placed.wait()
        if self._started is None:
            self._raise()

    async def _stop(self) -> None:
        if self._feeder is not None and self._feeder is not asyncio.current_task():
            self._feeder.cancel()
            await asyncio.wait([self._feeder])
        self._mute()
        if self._connection is not None and not self._over:
            await self._connection.drop(self._name)
            self._finish()

    # ---- text

    async def send(self, text: str, *, flush: bool = False) -> None:
        """Add text. Pieces are joined as they are: tokens of a language model can be sent as they come.

        ``flush`` speaks what has come without waiting for the end of a sentence. Raises what ended the speech,
        if something did, or ``VoxwireClientError`` after ``end``.
        """
        if self._over or self._finished_text or self._muted:
            self._raise()
            raise VoxwireClientError("no text can be sent now: it was ended, or the speech is over")
        self._sent.append(text)
        last = max(0, len(text) - 1) // MAX_TEXT * MAX_TEXT
        for start in range(0, last + 1, MAX_TEXT):
            piece = text[start : start + MAX_TEXT]
            if start == last and flush:
                await self._say("text", text=piece, flush=True)
            elif piece:
                await self._say("text", text=piece)

    async def flush(self) -> None:
        """Speak what has come, without waiting for the end of a sentence."""
        await self.send("", flush=True)

    async def end(self) -> None:
        """No more text comes; the rest is spoken. Does nothing the second time."""
        if not self._finished_text and not self._over:
            self._finished_text = True
            await self._say("end")

    async def _feed(self) -> None:
        assert self._text is not None
        try:
            async with aclosing(pieces(self._text)) as source:
                async for piece in source:
                    await self.send(piece)
            await self.end()
        except VoxwireClientError:
            pass  # The speech is over; whoever reads it is told why.
        except Exception as error:  # noqa: BLE001 - the caller's own source failed: the caller is told by the reader
            if self._connection is not None:
                await self._connection.drop(self._name)
            self._end(error)

    @property
    def words_estimated(self) -> bool:
        """Whether times of ``words`` are computed, and not the engine's own; each word says it of itself."""
        return any(word.estimated for word in self.words)

    # ---- audio

    @property
    def started(self) -> Started:
        """Who speaks and what comes. Raises ``VoxwireClientError`` before the speech is entered."""
        if self._started is None:
            raise VoxwireClientError("the speech has not started: enter it with 'with'")
        return self._started

    @property
    def sample_rate(self) -> int:
        """Hz of the audio."""
        return self.started.sample_rate

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        frame = await self.next_frame()
        if frame is None:
            raise StopAsyncIteration
        return frame.data

    async def frames(self) -> AsyncIterator[Frame]:
        """The audio with its place in the speech."""
        while (frame := await self.next_frame()) is not None:
            yield frame

    async def read(self) -> bytes:
        """All audio that is left, when it is there."""
        return b"".join([chunk async for chunk in self])

    async def save(self, path: str | Path) -> Ended:
        """Write the audio to a file, which appears under its name when it is whole.

        PCM into a name that ends in ``.wav`` gets a WAV header; anything else is written as it comes. Raises
        ``ValueError`` where the name is that of another format, ``OSError``, and what ended the speech.
        """
        # Written where the loop runs: a frame is a kilobyte or so, and goes to the page cache.
        with AudioFile(path, self.started) as file:
            async for chunk in self:
                file.write(chunk)
            return self.completed()

    async def next_frame(self) -> Frame | None:
        """The next piece of audio, or ``None`` after the last. Raises what ended the speech, if something did."""
        while not self._frames:
            if self._over or self._muted:
                self._raise()
                return None
            if self._connection is None:
                raise VoxwireClientError("the speech has not started: enter it with 'with'")
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._frames.popleft()
        self._taken = self._frames[0].position if self._frames else self._newest
        self._taken_at = asyncio.get_running_loop().time()
        if self._connection is not None:
            self._connection.read_on()
        return frame

    def completed(self) -> Ended:
        """How it ended, once all was read. Raises what ended it early, a cancel too."""
        self._raise()
        if self.ended is None or self._muted:
            raise VoxwireClientError("the speech was not read to its end")
        return self.ended

    # ---- interrupting

    async def cancel(self, played_ms: float | None = None) -> CancelResult:
        """Stop now: no audio follows, and iteration ends.

        ``played_ms`` is how much the listener has heard; without it the gateway takes what it would have heard in
        real time. The answer says which text was heard. If all was sent already, that is all of it. Raises what
        ended the speech, if something did, or ``TimedOut``.
        """
        self._mute()
        if not self._over:
            asked = {} if played_ms is None else {"played_ms": played_ms}
            await self._say("cancel", **asked)
            await self._wait(self._closed)
        self._raise()
        return self._cancelled or CancelResult("".join(self._sent), "", 0.0)

    async def playhead(self, played_ms: float, underruns: int | None = None) -> None:
        """Report what the player has played, and how often it ran dry. A later ``cancel`` takes it into account."""
        extra = {} if underruns is None else {"underruns": underruns}
        if not self._over:
            await self._say("playhead", played_ms=played_ms, **extra)

    def _mute(self) -> None:
        """Throw away what was not read, and what still comes."""
        self._muted = True
        self._frames.clear()
        self._taken = self._newest
        self._arrived.set()
        if self._connection is not None:
            self._connection.read_on()

    # ---- told by the connection

    @property
    def unread(self) -> float:
        """Seconds of audio that came and were not read. Known to one frame."""
        return 0.0 if self._started is None else (self._newest - self._taken) / self._started.sample_rate

    @property
    def taken_at(self) -> float:
        """When audio was last read, by the loop's clock."""
        return self._taken_at

    def audio(self, frame: Frame) -> None:
        """A frame came."""
        self._newest = frame.position
        if self._muted:
            self._taken = self._newest
            return
        self._frames.append(frame)
        self._arrived.set()

    def event(self, kind: str, message: dict[str, Any]) -> None:
        """An event came that is no error."""
        match kind:
            case "queued":
                self.queued = Queued(message["position"], message.get("eta_ms"))
                self._answered.set()
            case "started":
                names = ("token", "provider", "voice", "format", "sample_rate")
                self._started = Started(**{name: message[name] for name in names})
                self._answered.set()
                self._placed.set()
            case "words":
                estimated = message.get("estimated", False)
                self.words.extend(Word(w["text"], w["start_ms"], w["end_ms"], estimated) for w in message["words"])
            case "ended":
                self.ended = Ended(message["audio_ms"], message.get("ttfa_ms"), message["frames"])
                self._finish()
            case "cancelled":
                self._cancelled = CancelResult(message["text_spoken"], message["text_remaining"], message["stop_ms"])
                self._finish()

    def fail(self, error: VoxwireClientError) -> None:
        """It is over; whoever waits for it is told why."""
        self._end(error)

    def _end(self, error: Exception) -> None:
        if not self._over:
            self._error = error
            self._finish()

    def _finish(self) -> None:
        self._over = True
        for event in (self._answered, self._placed, self._arrived, self._closed):
            event.set()

    # ---- waiting

    async def _say(self, kind: str, **fields: Any) -> None:
        if self._connection is None:
            raise VoxwireClientError("the speech has not started: enter it with 'with'")
        await self._connection.send({"type": kind, "context": self._name, **fields})

    async def _wait(self, event: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await event.wait()
        except TimeoutError:
            raise TimedOut(f"the gateway did not answer within {self._timeout:g} s") from None

    def _raise(self) -> None:
        """Raise what ended the speech, if something did. Everyone who asks is told."""
        match self._error:
            case None:
                return
            case SpeechError() | ConnectionFailed():
                # One error for many callers: without this its traceback would grow with each.
                raise self._error.with_traceback(None)
            case _:
                raise self._error
