"""The door of an earlier batch service (preangelleo/volcengine-concurrent-tts), for its clients: many texts in one
request, and semaphores that services share. Any engine can serve it.

``docs/dialects.md`` says where this door is more than the earlier one, and what is meant where that contradicts itself.
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, ClassVar

import orjson
import pybase64
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from audio import formats, wav
from gateway.admission.auth import caller
from gateway.admission.capacity import Capacity
from gateway.dialects.batch import Made, run, spoken
from gateway.dialects.body import closing, read_object
from gateway.dialects.detail import invalid
from gateway.dialects.refusal import authenticate, json_response, retry_headers
from gateway.dialects.responder import Answer, FileForm, Produce
from gateway.dialects.sse import SSE_HEADERS
from gateway.errors import (
    BadRequest,
    Unauthorized,
    UnknownVoice,
    UnsupportedFormat,
    VoxwireError,
    from_provider,
)
from gateway.events import Audio, Ended, Pace, Priority, SpeechRequest
from gateway.runtime import Gateway
from gateway.session.session import Emit, Plan
from providers.base import SAMPLE_WIDTH, Credentialed, ProviderError

DIALECT = "volcengine_concurrent"
ENGINE = "volcano"
DEFAULT_VOICE = "BV001_streaming"
"""The earlier service's. Where no engine has it, it means the engine's default voice."""
MAX_TASKS = 1000
MAX_CHARACTERS = 10_000
"""Of one task."""
MAX_BYTES = 16 * 1024 * 1024
"""Of one request."""
PIECE = 64 * 1024
"""Bytes of an answer that are sent at once."""

FORMATS: dict[str, str] = {
    "mp3": "mp3", "wav": "pcm16", "pcm": "pcm16", "ogg": "opus", "opus": "opus", "flac": "flac", "aac": "aac",
    "webm": "webm",
}  # fmt: skip
"""Our format, by the end of a file's name. A ``wav`` gets its header when its length is known."""
MIMES = {"mp3": "audio/mp3", "wav": "audio/wav", "pcm": "audio/pcm"}
"""Of data URLs, where they are not our format's own: the earlier service writes ``audio/mp3``."""


class AdminRequired(VoxwireError):
    code = "ADMIN_REQUIRED"
    http_status = 403


class SemaphoreNotFound(VoxwireError):
    code = "SEMAPHORE_NOT_FOUND"
    http_status = 404


class MissingCredentials(VoxwireError):
    code = "MISSING_CREDENTIALS"
    http_status = 400


class SemaphoreExists(BadRequest):
    code = "SEMAPHORE_EXISTS"
    http_status = 409


# ---- requests


class Task(BaseModel):
    """One text. ``prompt`` asks for an answer of today's form, ``text`` for one of the older form."""

    model_config = ConfigDict(extra="ignore")

    prompt: str | None = Field(None, max_length=MAX_CHARACTERS)
    output_filename: str | None = Field(None, max_length=256)
    text: str | None = Field(None, max_length=MAX_CHARACTERS)
    task_id: str | int | None = None
    voice_type: str | None = Field(None, max_length=256)
    speed: float | None = Field(None, validation_alias=AliasChoices("speed", "speed_ratio"))
    volume: float | None = Field(None, validation_alias=AliasChoices("volume", "volume_ratio"))
    pitch: float | None = Field(None, gt=0, le=100, validation_alias=AliasChoices("pitch", "pitch_ratio"))
    encoding: str | None = None

    @model_validator(mode="after")
    def _said_once(self) -> Task:
        if (self.prompt is None) == (self.text is None):
            raise ValueError("a task has either a prompt or a text")
        return self

    @property
    def legacy(self) -> bool:
        return self.text is not None

    @property
    def words(self) -> str:
        return self.text if self.text is not None else self.prompt or ""

    def kind(self) -> str:
        """What the file is to be. Raises ``UnsupportedFormat``."""
        suffix = PurePath(self.output_filename or "").suffix[1:].lower()
        asked = (self.encoding or suffix or "mp3").lower()
        if asked not in FORMATS:
            raise UnsupportedFormat(f"there is no such kind of file here; there are: {', '.join(FORMATS)}")
        return asked

    def options(self) -> dict[str, float]:
        """As engines call them. Of the pitch this API knows the ratio of the frequencies, engines the semitones."""
        asked = {}
        if self.volume is not None:
            asked["volume"] = self.volume
        if self.pitch is not None:
            asked["pitch"] = round(12 * math.log2(self.pitch), 3)
        return asked


class Credentials(BaseModel):
    model_config = ConfigDict(extra="ignore")

    volcengine_tts_appid: str = Field("", max_length=256)
    volcengine_tts_access_key: SecretStr = SecretStr("")


class BatchBody(BaseModel):
    """What ``POST /generate-batch`` takes."""

    model_config = ConfigDict(extra="ignore")

    tasks: list[Task] = Field(min_length=1, max_length=MAX_TASKS)
    credentials: Credentials | None = None
    external_semaphore_id: str | None = Field(None, max_length=200)


class SemaphoreBody(BaseModel):
    """What ``POST /external-semaphores`` takes."""

    model_config = ConfigDict(extra="ignore")

    semaphore_id: str = Field(min_length=1, max_length=200)
    max_concurrent: int = Field(ge=1, le=1_000_000)
    description: str = Field("", max_length=1000)


# ---- one task


@dataclass(frozen=True, slots=True)
class Job:
    """A task, and where it stands."""

    index: int
    task: Task


def plan(gateway: Gateway, task: Task, account: Mapping[str, str]) -> Plan:
    """Everything that a task names, found; spoken in the name of ``account`` where its engine knows callers apart.
    Raises what ``Sessions.plan`` does, and ``BadOption`` for an account that cannot be one."""
    planned = _found(gateway, task)
    if not account or not isinstance(planned.provider, Credentialed):
        return planned
    try:
        return replace(planned, provider=planned.provider.with_credentials(account))
    except ProviderError as error:
        raise from_provider(error) from None


def _found(gateway: Gateway, task: Task) -> Plan:
    kind = task.kind()
    request = SpeechRequest(
        voice=task.voice_type or DEFAULT_VOICE,
        speed=1.0 if task.speed is None else task.speed,
        format=FORMATS[kind],
        pace=Pace.BURST,
        priority=Priority.BATCH,
        frame_ms=200,
        options=task.options(),
    )
    try:
        return gateway.sessions.plan(request)
    except UnknownVoice:
        if request.voice != DEFAULT_VOICE:
            raise
    return gateway.sessions.plan(replace(request, voice=None))


def file_of(made: Made, spoken_by: Plan, kind: str) -> bytes:
    if kind == "wav":
        return wav.header(spoken_by.sample_rate, len(made.data) // SAMPLE_WIDTH) + made.data
    return made.data


def result(job: Job, outcome: Made | VoxwireError) -> dict[str, Any]:
    """A task's answer, in the form in which the task was asked."""
    error = outcome if isinstance(outcome, VoxwireError) else None
    data = "" if isinstance(outcome, VoxwireError) else pybase64.b64encode_as_string(outcome.data)
    failure = {} if error is None else {"error": error.message, "error_code": error.code}
    task = job.task
    if task.legacy:
        name = job.index if task.task_id is None else task.task_id
        return {"task_id": name, "audio_base64": data, **failure}
    filename = task.output_filename or f"task_{job.index}.mp3"
    files = []
    if error is None:
        kind = task.kind()
        mime = MIMES.get(kind) or formats.find(FORMATS[kind]).mime.partition(";")[0]
        files = [{"filename": filename, "url": f"data:{mime};base64,{data}", "format": kind}]
    return {
        "task_index": job.index,
        "prompt": task.prompt,
        "output_filename": filename,
        "generated_files": files,
        "success": error is None,
        **failure,
    }


# ---- a batch


class Batch:
    """One request: its tasks, and what they are to be spoken with."""

    def __init__(
        self, gateway: Gateway, body: BatchBody, account: Mapping[str, str], semaphore: Capacity | None
    ) -> None:
        self._gateway = gateway
        self._jobs = [Job(index, task) for index, task in enumerate(body.tasks)]
        self._account = account
        self._semaphore = semaphore

    async def _make(self, job: Job) -> Made:
        planned = plan(self._gateway, job.task, self._account)
        if self._semaphore is None:
            made = await spoken(self._gateway.sessions, planned, job.task.words, DIALECT)
        else:
            async with self._semaphore.place(tenant=caller.get()):
                made = await spoken(self._gateway.sessions, planned, job.task.words, DIALECT)
        return Made(file_of(made, planned, job.task.kind()), made.seconds)

    def produce(self, writing: Writing) -> Produce:
        async def produce(emit: Emit) -> None:
            said = 0

            async def write(data: bytes) -> None:
                # In pieces: each has its own time to be taken in, and a result may have a hundred megabytes.
                for start in range(0, len(data), PIECE):
                    await emit(Audio(data[start : start + PIECE], said, 0, 0))

            async def say(index: int, outcome: Made | VoxwireError) -> None:
                nonlocal said
                if isinstance(outcome, VoxwireError):
                    self._gateway.metrics.errors.labels(DIALECT, outcome.code).inc()
                await write(writing.result(said, result(self._jobs[index], outcome)))
                said += 1

            await run(self._jobs, self._make, say, ordered=writing.ordered)
            await write(writing.end(said))
            await emit(Ended(0.0, None, said))

        return produce


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
        return orjson.dumps({"event": "complete", "total": said}, option=orjson.OPT_APPEND_NEWLINE)


class Events(Lines):
    """The same as server-sent events."""

    headers: ClassVar[Mapping[str, str]] = SSE_HEADERS

    def result(self, said: int, fields: dict[str, Any]) -> bytes:
        return b"data: %b\n\n" % orjson.dumps(fields)

    def end(self, said: int) -> bytes:
        return b'data: {"event":"complete","total":%d}\n\n' % said


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


# ---- who may


_ADVICE = {
    Unauthorized: "Check your Admin-API-Key header or credentials in payload",
    AdminRequired: "Send the header 'Admin-API-Key'; without ADMIN_API_KEY set on the server nobody is an admin",
    MissingCredentials: "Send both volcengine_tts_appid and volcengine_tts_access_key, or neither",
    SemaphoreNotFound: "Create it with POST /external-semaphores, or use one of the available ones",
}


def refused(error: VoxwireError, extra: Mapping[str, Any] | None = None) -> Response:
    """An error in the earlier service's form."""
    code = "AUTH_FAILED" if isinstance(error, Unauthorized) else error.code
    body = {"detail": error.message, "error_code": code, **(extra or {})}
    if advice := _ADVICE.get(type(error)):
        body["suggested_action"] = advice
    return json_response(body, error.http_status, {**retry_headers(error), **closing(error)})


def admin_key(gateway: Gateway) -> str:
    """Empty where there is none: a variable that is set to nothing is as good as not set."""
    key = gateway.settings.admin_api_key
    return "" if key is None else key.get_secret_value().strip()


def is_admin(gateway: Gateway, request: Request) -> bool:
    """Whether the request carries the admin's key. Raises ``Unauthorized`` where it carries another one."""
    given = request.headers.get("admin-api-key")
    if given is None:
        return False
    key = admin_key(gateway)
    # A header is read as Latin-1: these are the bytes that were sent.
    if not key or not hmac.compare_digest(given.encode("latin-1"), key.encode()):
        raise Unauthorized(
            "Authentication failed. Provide 'Admin-API-Key' in headers or complete credentials in payload."
        )
    return True


def account_of(body: BatchBody) -> dict[str, str]:
    """The caller's own account, where one was sent. Raises ``MissingCredentials`` for half of one."""
    sent = body.credentials or Credentials()
    account = {
        "volcengine_tts_appid": sent.volcengine_tts_appid.strip(),
        "volcengine_tts_access_key": sent.volcengine_tts_access_key.get_secret_value().strip(),
    }
    if not any(account.values()):
        return {}
    if not all(account.values()):
        raise MissingCredentials("Missing or invalid credentials: an account is an appid and an access key.")
    return account


# ---- the index


async def status(gateway: Gateway) -> dict[str, Any]:
    """What this API's clients read at ``/``."""
    capacity = dict(gateway.capacities.engines()).get(ENGINE) or gateway.capacities.sessions
    try:
        made: int | None = len(await gateway.capacities.list())
    except VoxwireError:
        made = None
    return {
        "message": "Text in over a WebSocket, speech out while it is being made",
        "concurrency_status": {
            "global_concurrency_limit": capacity.places,
            "current_available_slots": max(0, capacity.places - capacity.taken),
            "external_semaphores_count": made,
        },
        "authentication": {
            "admin_api_key": "configured" if admin_key(gateway) else "not configured",
            "user_credentials": "supported",
            "environment_variables": "fallback",
        },
    }


# ---- the routes

Handler = Callable[[Request], Awaitable[Response | Answer]]


def routes(gateway: Gateway) -> list[BaseRoute]:
    settings = gateway.settings
    capacities = gateway.capacities

    def guarded(handle: Handler) -> Handler:
        async def endpoint(request: Request) -> Response | Answer:
            try:
                if not is_admin(gateway, request):
                    authenticate(gateway.keys, request)
                return await handle(request)
            except VoxwireError as error:
                gateway.metrics.errors.labels(DIALECT, error.code).inc()
                return refused(error, await _available(error))
            except ValidationError as error:
                gateway.metrics.errors.labels(DIALECT, BadRequest.code).inc()
                return invalid(error)

        return endpoint

    async def _available(error: VoxwireError) -> dict[str, Any]:
        if not isinstance(error, SemaphoreNotFound):
            return {}
        return {"available_semaphores": [made.name for made in await capacities.list()]}

    def admin(handle: Handler) -> Handler:
        async def checked(request: Request) -> Response | Answer:
            if not is_admin(gateway, request):
                raise AdminRequired("Access denied: this needs the admin's key.")
            return await handle(request)

        return guarded(checked)

    async def read(request: Request, limit: int, *, any_type: bool = False) -> dict[str, Any]:
        return await read_object(request, limit=limit, seconds=settings.send_timeout, any_type=any_type)

    async def generate(request: Request) -> Answer:
        gateway.rate_limit.count(request.client.host if request.client else "")
        body = BatchBody.model_validate(await read(request, MAX_BYTES))
        account = account_of(body)
        semaphore = None
        if body.external_semaphore_id is not None:
            semaphore = await capacities.get(body.external_semaphore_id)
            if semaphore is None:
                raise SemaphoreNotFound("External semaphore not found or access denied.")
        writing = writing_for(request.headers.get("accept", ""))
        produce = Batch(gateway, body, account, semaphore).produce(writing)
        form = FileForm(DIALECT, writing.headers, refused)
        return Answer(produce, form, gateway.metrics, settings.send_timeout)

    async def create(request: Request) -> Response:
        # The earlier service's own example leaves curl's type of a form on a body of JSON.
        body = SemaphoreBody.model_validate(await read(request, settings.max_message_bytes, any_type=True))
        if await capacities.get(body.semaphore_id) is not None:
            raise SemaphoreExists("There is a semaphore of this name already: delete it first.")
        await capacities.define(body.semaphore_id, body.max_concurrent, body.description)
        return json_response({**await described(body.semaphore_id), "status": "created"})

    async def described(name: str) -> dict[str, Any]:
        made = next((made for made in await capacities.list() if made.name == name), None)
        capacity = await capacities.get(name)
        if made is None or capacity is None:
            raise SemaphoreNotFound("External semaphore not found or access denied.")
        return {
            "semaphore_id": made.name,
            "max_concurrent": made.places,
            "available_slots": max(0, made.places - capacity.taken),
            "waiting": capacity.waiting,
            "description": made.description,
        }

    async def list_all(_: Request) -> Response:
        found = [await described(made.name) for made in await capacities.list()]
        return json_response({"external_semaphores": found, "total_count": len(found)})

    async def one(request: Request) -> Response:
        return json_response(await described(request.path_params["name"]))

    async def remove(request: Request) -> Response:
        name: str = request.path_params["name"]
        if not await capacities.remove(name):
            raise SemaphoreNotFound("External semaphore not found or access denied.")
        return json_response({"semaphore_id": name, "status": "deleted"})

    return [
        Route("/generate-batch", guarded(generate), methods=["POST"]),
        Route("/external-semaphores", admin(create), methods=["POST"]),
        Route("/external-semaphores", admin(list_all), methods=["GET"]),
        Route("/external-semaphores/{name:path}", admin(one), methods=["GET"]),
        Route("/external-semaphores/{name:path}", admin(remove), methods=["DELETE"]),
    ]
