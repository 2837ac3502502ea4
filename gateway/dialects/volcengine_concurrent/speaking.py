"""A batch: its tasks, who speaks each of them, and in whose name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.admission.auth import caller
from gateway.admission.capacity import Capacity
from gateway.dialects.batch import Made, run, spoken
from gateway.dialects.responder import Produce
from gateway.dialects.volcengine_concurrent.answers import Job, Writing, file_of, result
from gateway.dialects.volcengine_concurrent.bodies import FORMATS, BatchBody, Task
from gateway.errors import UnknownVoice, VoxwireError, from_provider
from gateway.events import Audio, Ended, Pace, Priority, SpeechRequest
from gateway.runtime import Gateway
from gateway.session.session import Emit, Plan
from providers.base import Credentialed, ProviderError

DIALECT = "volcengine_concurrent"
DEFAULT_VOICE = "BV001_streaming"
"""The earlier service's. Where no engine has it, it means the engine's default voice."""
PIECE = 64 * 1024
"""Bytes of an answer that are sent at once."""


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

            await run(self._jobs, self._make, say, self._gateway.unsent, ordered=writing.ordered)
            await write(writing.end(said))
            await emit(Ended(0.0, None, said))

        return produce
