"""What this API answers: a result for each task, as one object or as they are finished."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import orjson
import pybase64
from pydantic import BaseModel, ConfigDict

from audio import formats, wav
from gateway.dialects.batch import Made
from gateway.dialects.sse import SSE_HEADERS
from gateway.dialects.volcengine_concurrent.bodies import FORMATS, Task
from gateway.errors import VoxwireError
from gateway.session.session import Plan
from providers.base import SAMPLE_WIDTH

MIMES = {"mp3": "audio/mp3", "wav": "audio/wav", "pcm": "audio/pcm"}
"""Of data URLs, where they are not our format's own: the earlier service writes ``audio/mp3``."""


@dataclass(frozen=True, slots=True)
class Job:
    """A task, and where it stands."""

    index: int
    task: Task


def file_of(made: Made, spoken_by: Plan, kind: str) -> bytes:
    if kind == "wav":
        return wav.header(spoken_by.sample_rate, len(made.data) // SAMPLE_WIDTH) + made.data
    return made.data


class File(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    filename: str
    """As the task asked."""
    url: str
    """The file itself, as a ``data:`` URL."""
    format: str


class _Result(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    error: str | None = None
    """Why there is no sound, for people."""
    error_code: str | None = None
    """The same for programs."""


class TaskResult(_Result):
    """Of a task with a ``prompt``."""

    task_index: int
    """Its place among the tasks, from 0."""
    prompt: str
    output_filename: str
    generated_files: list[File]
    """One; none where it failed."""
    success: bool


class TextResult(_Result):
    """Of a task with a ``text``."""

    task_id: int | str
    """As the task said, else its place among the tasks, from 0."""
    audio_base64: str
    """The file; empty where it failed."""


class BatchAnswer(BaseModel):
    """A result for each task, in their order."""

    results: list[TaskResult | TextResult]


class Complete(BaseModel):
    """The last line, or event: all results have been said."""

    event: Literal["complete"] = "complete"
    total: int


def result(job: Job, outcome: Made | VoxwireError) -> dict[str, Any]:
    """A task's answer, in the form in which the task was asked."""
    return _result(job, outcome).model_dump(exclude_none=True)


def _result(job: Job, outcome: Made | VoxwireError) -> TaskResult | TextResult:
    error = outcome if isinstance(outcome, VoxwireError) else None
    data = "" if isinstance(outcome, VoxwireError) else pybase64.b64encode_as_string(outcome.data)
    message, code = (None, None) if error is None else (error.message, error.code)
    task = job.task
    if task.legacy:
        name = job.index if task.task_id is None else task.task_id
        return TextResult(task_id=name, audio_base64=data, error=message, error_code=code)
    filename = task.output_filename or f"task_{job.index}.mp3"
    files = []
    if error is None:
        kind = task.kind()
        mime = MIMES.get(kind) or formats.find(FORMATS[kind]).mime.partition(";")[0]
        files = [File(filename=filename, url=f"data:{mime};base64,{data}", format=kind)]
    return TaskResult(
        task_index=job.index,
        prompt=task.words,
        output_filename=filename,
        generated_files=files,
        success=error is None,
        error=message,
        error_code=code,
    )


class Writing:
    """The answer as one JSON object, whose results stand in the tasks' order."""

    headers: ClassVar[Mapping[str, str]] = {"content-type": "application/json"}
    ordered = True

    def result(self, said: int, fields: dict[str, Any]) -> bytes:
        return (b"," if said else b'{"results":[') + orjson.dumps(fields)

    def end(self, said: int) -> bytes:
        return b"]}"


class Lines(Writing):
    """A JSON object a line, as they are finished."""

    headers: ClassVar[Mapping[str, str]] = {"content-type": "application/x-ndjson"}
    ordered = False

    def result(self, said: int, fields: dict[str, Any]) -> bytes:
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)

    def end(self, said: int) -> bytes:
        return orjson.dumps(Complete(total=said).model_dump(), option=orjson.OPT_APPEND_NEWLINE)


class Events(Lines):
    """The same as server-sent events."""

    headers: ClassVar[Mapping[str, str]] = SSE_HEADERS

    def result(self, said: int, fields: dict[str, Any]) -> bytes:
        return b"data: %b\n\n" % orjson.dumps(fields)

    def end(self, said: int) -> bytes:
        return b"data: %b\n\n" % orjson.dumps(Complete(total=said).model_dump())


_WRITINGS: dict[str, type[Writing]] = {
    "application/json": Writing,
    "application/x-ndjson": Lines,
    "application/jsonl": Lines,
    "text/event-stream": Events,
}


def writing_for(accept: str) -> Writing:
    """By the ``Accept`` header: the first of its types that there is here."""
    for wanted in accept.lower().split(","):
        kind, *parameters = (part.replace(" ", "") for part in wanted.split(";"))
        if any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters):
            continue
        if kind in _WRITINGS:
            return _WRITINGS[kind]()
    return Writing()
