"""The client for code without asyncio: the same client, on an event loop of its own in one thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from gateway.client.address import Address
from gateway.client.aio import DEFAULT_URL, AsyncClient, for_file, list_voices
from gateway.client.batch import BatchResult, BatchTask, OnResult
from gateway.client.errors import VoxwireClientError
from gateway.client.files import AudioFile
from gateway.client.messages import CancelResult, Ended, Frame, Options, Queued, Started, Voice, Word
from gateway.client.speech import AsyncSpeech

T = TypeVar("T")


class _Loop:
    """An event loop in a thread. Many speeches share a connection, so somebody has to read it for all of them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="voxwire client", daemon=True)
        # A signal's handler that asks for something may have interrupted one who does.
        self._lock = threading.RLock()
        self._closing = False
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``. An interrupt (Ctrl-C) cancels it."""
        with self._lock:
            if self._closing:
                work.close()
                raise VoxwireClientError("this client was closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise VoxwireClientError("this client was closed") from None
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        with self._lock:
            self._closing = True
        # Whatever another thread still waits for is cancelled, or it would wait for ever. Nothing comes after it.
        asyncio.run_coroutine_threadsafe(_cancel_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


async def _cancel_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Speech:
    """A context manager and an iterator of audio (``bytes``, in the format that was asked for).

    Entering it returns when the gateway has given it a place, so that ``started`` is known and what is wrong with
    the request is raised there. Leaving it cancels what still runs. Its methods may be called from any thread:
    one may send text, another read, a third cancel.
    """

    def __init__(self, client: Client, speech: AsyncSpeech) -> None:
        self._run = client._run
        self._speech = speech

    def __enter__(self) -> Self:
        """Raises ``ConnectionFailed``, ``TimedOut`` or ``GatewayError``, above all ``SpeechError``."""
        self._run(self._speech.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._speech.__aexit__(kind, error, trace))

    def send(self, text: str, *, flush: bool = False) -> None:
        """Add text. Pieces are joined as they are: tokens of a language model can be sent as they come.

        ``flush`` speaks what has come without waiting for the end of a sentence. Raises what ended the speech,
        if something did, or ``VoxwireClientError`` after ``end``.
        """
        self._run(self._speech.send(text, flush=flush))

    def flush(self) -> None:
        """Speak what has come, without waiting for the end of a sentence."""
        self._run(self._speech.flush())

    def end(self) -> None:
        """No more text comes; the rest is spoken. Does nothing the second time."""
        self._run(self._speech.end())

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        frame = self._run(self._speech.next_frame())
        if frame is None:
            raise StopIteration
        return frame.data

    def frames(self) -> Iterator[Frame]:
        """The audio with its place in the speech."""
        while (frame := self._run(self._speech.next_frame())) is not None:
            yield frame

    def read(self) -> bytes:
        """All audio that is left, when it is there."""
        return self._run(self._speech.read())

    def save(self, path: str | Path) -> Ended:
        """Write the audio to a file, which appears under its name when it is whole.

        PCM into a name that ends in ``.wav`` gets a WAV header; anything else is written as it comes. Raises
        ``ValueError`` where the name is that of another format, ``OSError``, and what ended the speech.
        """
        with AudioFile(path, self.started) as file:
            for chunk in self:
                file.write(chunk)
            return self.completed()

    def completed(self) -> Ended:
        """How it ended, once all was read. Raises what ended it early, a cancel too."""
        return self._speech.completed()

    def cancel(self, played_ms: float | None = None) -> CancelResult:
        """Stop now: no audio follows, and iteration ends.

        ``played_ms`` is how much the listener has heard; without it the gateway takes what it would have heard in
        real time. The answer says which text was heard. If all was sent already, that is all of it. Raises what
        ended the speech, if something did, or ``TimedOut``.
        """
        return self._run(self._speech.cancel(played_ms))

    def playhead(self, played_ms: float, underruns: int | None = None) -> None:
        """Report what the player has played, and how often it ran dry. A later ``cancel`` takes it into account."""
        self._run(self._speech.playhead(played_ms, underruns))

    @property
    def started(self) -> Started:
        """Who speaks and what comes. Raises ``VoxwireClientError`` before the speech is entered."""
        return self._speech.started

    @property
    def sample_rate(self) -> int:
        """Hz of the audio."""
        return self._speech.sample_rate

    @property
    def queued(self) -> Queued | None:
        """The newest place in the gateway's waiting room, where it was full."""
        return self._speech.queued

    @property
    def ended(self) -> Ended | None:
        """Set when all was spoken. The last audio may still be unread."""
        return self._speech.ended

    @property
    def words(self) -> list[Word]:
        """Word times so far; with ``timestamps=True``. They may be ahead of the audio that was read."""
        return list(self._speech.words)

    @property
    def words_estimated(self) -> bool:
        """Whether the times are computed, and not the engine's own."""
        return self._speech.words_estimated


class Client:
    """A gateway. Connects when it is first needed, and again when the connection was lost or the gateway asked
    for it; all speeches share one connection and one thread. ``close`` it, or use ``with``.

    ``timeout``: seconds that the gateway may take to answer (to accept a connection, a speech, a cancel).
    ``max_unread``: seconds of audio that a speech holds for a reader that is slow. When they are full the
    gateway has to wait, and its engine with it. While other speeches share the connection, one whose reader
    takes nothing for 2 s is cancelled instead, with the error ``not_read``.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout: float = 10.0,
        max_unread: float = 60.0,
    ) -> None:
        self._address = Address(url, api_key)
        self._timeout = timeout
        self._client = AsyncClient(url, api_key=api_key, timeout=timeout, max_unread=max_unread)
        self._loop: _Loop | None = None
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection and end the thread; speeches that run fail. Callable twice."""
        with self._lock:
            loop, self._loop, self._closed = self._loop, None, True
        if loop is not None:
            try:
                loop.run(self._client.close())
            finally:
                loop.close()

    def stream(self, **options: Unpack[Options]) -> Speech:
        """A speech whose text you send: ``with client.stream(voice="heart") as speech``."""
        return Speech(self, self._client.stream(**options))

    def speak(self, text: str | Iterable[str], **options: Unpack[Options]) -> Speech:
        """A speech of ``text``: a string, or pieces that are sent as they come while the audio is read.

        Pieces are pulled on a thread of their own. What their source raises, the reader of the speech gets.
        """
        return Speech(self, self._client.speak(text, **options))

    def save(self, text: str | Iterable[str], path: str | Path, **options: Unpack[Options]) -> Ended:
        """Speak ``text`` into a file, as fast as it goes. Without ``format`` its name decides: ``hello.mp3``."""
        with self.speak(text, **for_file(path, options)) as speech:
            return speech.save(path)

    def batch(
        self,
        tasks: Sequence[BatchTask],
        folder: str | Path,
        *,
        concurrency: int = 8,
        retries: int = 5,
        progress: bool | OnResult = False,
    ) -> list[BatchResult]:
        """Speak many texts into files: see ``AsyncClient.batch``. A function for ``progress`` is called on the
        client's own thread."""
        work = self._client.batch(tasks, folder, concurrency=concurrency, retries=retries, progress=progress)
        return self._run(work)

    def voices(self) -> list[Voice]:
        """Every voice that the gateway offers, its default first. Raises a ``VoxwireClientError``."""
        return list_voices(self._address, self._timeout)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._closed:
                work.close()
                raise VoxwireClientError("this client is closed")
            self._loop = self._loop or _Loop()
            loop = self._loop
        return loop.run(work)
