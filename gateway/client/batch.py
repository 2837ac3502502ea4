"""Many texts into files: some at a time, each result with its task, and nothing that is done is done again."""

from __future__ import annotations

import asyncio
import codecs
import errno
import hashlib
import os
import sys
import unicodedata
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, Self, cast, get_type_hints

import orjson

from gateway.client.errors import ConnectionFailed, GatewayAway, GatewayError, TimedOut, VoxwireClientError
from gateway.client.messages import Ended, Options

JOURNAL = ".voxwire-batch.jsonl"
"""What is done, a line a file, in the folder of the files."""
_LONGEST_WAIT = 60.0
_CROWDED = "too_many_contexts"
_ALSO = {"prompt": "text", "output_filename": "file", "voice_type": "voice"}
"""Names that an earlier batch service used."""
_OPTIONS = frozenset(get_type_hints(Options))


@dataclass(frozen=True, slots=True)
class BatchTask:
    """A text, and the file that it becomes: a relative path; its end chooses the format, as with ``save``."""

    text: str
    file: str
    options: Options = field(default_factory=Options)

    @property
    def key(self) -> str:
        """Names exactly this text in exactly this voice: a task that was changed is another one."""
        said = orjson.dumps([self.text, self.file, self.options], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(said).hexdigest()


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a task. Exactly one of ``audio_ms`` and ``error`` is set."""

    task: BatchTask
    path: Path
    audio_ms: float | None = None
    """Milliseconds of speech in the file."""
    error: VoxwireClientError | OSError | ValueError | None = None
    skipped: bool = False
    """It was done by an earlier run."""

    @property
    def ok(self) -> bool:
        return self.error is None


OnResult = Callable[[BatchResult], None]
Save = Callable[[str, Path, Options], Awaitable[Ended]]


# ---- tasks from lines


def read_tasks(lines: Iterable[str | bytes], suffix: str = ".wav") -> list[BatchTask]:
    """Tasks from JSON lines: ``{"text": "Hello.", "file": "hello.mp3", "voice": "heart"}``.

    Beside ``text`` and ``file`` an object takes every option of a speech. Without ``file`` it is the line's number
    with ``suffix``. Empty lines are passed over. Raises ``ValueError`` that names the line, before anything is begun.
    """
    tasks = [_task(number, line, suffix) for number, line in enumerate(map(_plain, lines), 1) if line.strip()]
    check(tasks)
    return tasks


def _plain(line: str | bytes) -> str | bytes:
    """Without the mark that some editors begin a file with."""
    return line.removeprefix("\ufeff") if isinstance(line, str) else line.removeprefix(codecs.BOM_UTF8)


def _task(number: int, line: str | bytes, suffix: str) -> BatchTask:
    try:
        given = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"line {number}: this is not JSON: {error.msg}") from None
    if not isinstance(given, dict):
        raise ValueError(f"line {number}: a task is a JSON object")
    try:
        return task_from(given, f"{number:05}{suffix}")
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None


def task_from(given: Mapping[str, Any], file: str) -> BatchTask:
    """One task from an object's fields; ``file`` where it names none. Raises ``ValueError``."""
    fields = {_ALSO.get(name, name): value for name, value in given.items()}
    text, file = fields.pop("text", None), fields.pop("file", file)
    if not isinstance(text, str) or not text.strip():
        raise ValueError("a task needs a 'text' with something to say")
    if not isinstance(file, str):
        raise ValueError("'file' must be a string")
    if unknown := sorted(fields.keys() - _OPTIONS):
        raise ValueError(f"there is no option {unknown[0]!r}; there are: {', '.join(sorted(_OPTIONS))}")
    return BatchTask(text, file, cast(Options, fields))


def check(tasks: Sequence[BatchTask], *, caseless: bool = False) -> None:
    """Raises ``ValueError`` where two tasks name one file, or one names a file outside of the folder. ``caseless``: on
    a file system to which ``A.wav`` and ``a.wav`` are one."""
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for task in tasks:
        path = PurePath(task.file)
        if path.is_absolute() or ".." in path.parts or not path.name or path.name == JOURNAL or "\0" in task.file:
            raise ValueError(f"{task.file!r} is no name of a file within the folder")
        name = _name(path, caseless)
        if name in seen:
            raise ValueError(f"two tasks name the file {task.file!r}")
        seen[name] = task.file
        folders.update((_name(folder, caseless), task.file) for folder in path.parents)
    for name in seen.keys() & folders.keys():
        raise ValueError(f"{seen[name]!r} is a file for one task and a folder for {folders[name]!r}")


def _name(path: PurePath, caseless: bool) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold() if caseless else str(path)


# ---- what is done


class Journal:
    """Remembers over runs which tasks are done: the last line of a file counts. A line that a crash has torn counts for
    nothing. Raises ``OSError``, also where another run is at work in the folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Without a buffer: what could not be written is not written later, in the middle of something else.
        self._file = (folder / JOURNAL).open("a+b", buffering=0)
        try:
            _lock(self._file)
            self._file.seek(0)
            read = self._file.read()
            self._done = {file: (key, audio_ms) for key, file, audio_ms in _entries(read)}
        except BaseException:
            self._file.close()
            raise
        self._torn = bool(read) and not read.endswith(b"\n")
        self.caseless = (folder / JOURNAL.upper()).exists()
        """The file system knows no case."""

    def done(self, task: BatchTask, path: Path) -> float | None:
        """Milliseconds of speech in the file, if it is there and was made from this very task."""
        key, audio_ms = self._done.get(task.file, ("", 0.0))
        return audio_ms if key == task.key and path.exists() else None

    def add(self, task: BatchTask, audio_ms: float) -> None:
        line = orjson.dumps({"task": task.key, "file": task.file, "audio_ms": audio_ms}) + b"\n"
        # Whatever is left of a line ends here.
        line = b"\n" * self._torn + line
        self._torn = True
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()


def _lock(file: FileIO) -> None:
    """Until it is closed, or the process is over. Where a system has no such locks, nobody is kept out."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(error.errno, "another batch is at work in this folder") from None


def _entries(data: bytes) -> Iterator[tuple[str, str, float]]:
    for line in data.splitlines():
        try:
            entry = orjson.loads(line)
            yield str(entry["task"]), str(entry["file"]), float(entry["audio_ms"])
        except (ValueError, TypeError, KeyError):
            continue


# ---- the work


async def run(
    save: Save,
    tasks: Sequence[BatchTask],
    folder: Path,
    *,
    concurrency: int,
    retries: int,
    on_result: OnResult | None,
) -> list[BatchResult]:
    """The results, each in its task's place. Raises ``GatewayAway`` where there is no gateway (any more), ``OSError``
    where what is done cannot be noted, and what ``on_result`` raises."""
    check(tasks)
    results: list[BatchResult | None] = [None] * len(tasks)
    left = deque(enumerate(tasks))
    workers = max(1, min(concurrency, len(tasks)))
    with Journal(folder) as journal:
        check(tasks, caseless=journal.caseless)

        async def work() -> None:
            nonlocal workers
            while left:
                index, task = left.popleft()
                result = await _do(save, task, folder / task.file, journal, retries)
                if workers > 1 and isinstance(result.error, GatewayError) and result.error.code == _CROWDED:
                    # The others go on, as many as the gateway takes on a connection.
                    left.appendleft((index, task))
                    workers -= 1
                    return
                results[index] = result
                if on_result is not None:
                    on_result(result)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(work())
        except BaseExceptionGroup as failed:
            raise _first(failed) from None
    return [result for result in results if result is not None]


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the work: the others were cancelled, or have found the same."""
    first = failed.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _do(save: Save, task: BatchTask, path: Path, journal: Journal, retries: int) -> BatchResult:
    before = journal.done(task, path)
    if before is not None:
        return BatchResult(task, path, before, skipped=True)
    options: Options = {"priority": "batch"}
    options.update(task.options)
    tries = 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            ended = await save(task.text, path, options)
        except (VoxwireClientError, OSError, ValueError) as error:
            wait = _wait(error, tries)
            if wait is None or tries >= retries:
                if isinstance(error, GatewayAway):
                    raise
                return BatchResult(task, path, error=error)
            tries += 1
            await asyncio.sleep(wait)
        else:
            journal.add(task, ended.audio_ms)
            return BatchResult(task, path, ended.audio_ms)


def _wait(error: Exception, tries: int) -> float | None:
    """Seconds until another try may help; ``None`` where none will."""
    match error:
        case GatewayError() if error.retryable:
            return min(_LONGEST_WAIT, error.retry_after or 2.0**tries)
        case ConnectionFailed() | TimedOut():
            return min(_LONGEST_WAIT, 2.0**tries)
        case _:
            return None


class Bar:
    """A progress bar on standard error, for ``progress=True``."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        # Into a log it is a line now and then.
        often = 0.1 if sys.stderr.isatty() else 10.0
        self._bar = tqdm(total=total, unit="text", dynamic_ncols=True, mininterval=often)
        self._failed = 0

    def __call__(self, result: BatchResult) -> None:
        if not result.ok:
            self._failed += 1
            self._bar.set_postfix(failed=self._failed)
        self._bar.update()

    def close(self) -> None:
        self._bar.close()
