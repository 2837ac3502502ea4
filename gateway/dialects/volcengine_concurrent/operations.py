"""What the routes say of themselves."""

from __future__ import annotations

from gateway.dialects.detail import DetailAnswer
from gateway.dialects.volcengine_concurrent.answers import BatchAnswer
from gateway.dialects.volcengine_concurrent.bodies import BatchBody, NamedSemaphore, SemaphoreBody
from gateway.dialects.volcengine_concurrent.callers import (
    AdminRequired,
    MissingCredentials,
    RefusalAnswer,
    SemaphoreExists,
    SemaphoreNotFound,
)
from gateway.dialects.volcengine_concurrent.semaphores import (
    SemaphoreAnswer,
    SemaphoreGone,
    SemaphoreMade,
    SemaphoresAnswer,
)
from gateway.errors import BadMessage, Internal, Overloaded, RateLimited, Unauthorized
from gateway.openapi import Content, Key, Link, Operation, Said, Tag, json_content, refusals

TAG = Tag(
    "volcengine_concurrent",
    "The batch service of preangelleo/volcengine-concurrent-tts: many texts in one request, and semaphores that"
    " services share.",
)
_UNFIT = {422: Said("A field is missing or of the wrong kind.", json_content(DetailAnswer))}
_ADMIN = (Unauthorized, AdminRequired, Overloaded)
_PATH = "external_semaphores_name"
_LINKS = {name: Link(f"{name}_{_PATH}", {"name": "$response.body#/semaphore_id"}) for name in ("get", "delete")}

GENERATE = Operation(
    TAG,
    "Speak many texts",
    {
        200: Said(
            "A result for each task, whether it was spoken or not. All in one, or each as it is finished, by `Accept`.",
            (
                *json_content(BatchAnswer),
                Content("application/x-ndjson", str, 'A result a line, then `{"event": "complete", "total": n}`.'),
                Content("text/event-stream", str, "The same as server-sent events."),
            ),
        ),
        **refusals(
            RefusalAnswer,
            *(BadMessage, MissingCredentials, Unauthorized, SemaphoreNotFound, RateLimited, Internal, Overloaded),
        ),
        **_UNFIT,
    },
    body=json_content(BatchBody),
    key=Key.EITHER,
)
CREATE = Operation(
    TAG,
    "Make a semaphore",
    {
        200: Said("It is there, for every gateway of the deployment.", json_content(SemaphoreMade), links=_LINKS),
        **refusals(RefusalAnswer, BadMessage, SemaphoreExists, *_ADMIN),
        **_UNFIT,
    },
    body=json_content(SemaphoreBody),
    key=Key.ADMIN,
)
LIST = Operation(
    TAG,
    "The semaphores",
    {200: Said("All of them.", json_content(SemaphoresAnswer)), **refusals(RefusalAnswer, SemaphoreNotFound, *_ADMIN)},
    key=Key.ADMIN,
)
GET = Operation(
    TAG,
    "One semaphore",
    {200: Said("It.", json_content(SemaphoreAnswer)), **refusals(RefusalAnswer, SemaphoreNotFound, *_ADMIN)},
    path=NamedSemaphore,
    key=Key.ADMIN,
)
DELETE = Operation(
    TAG,
    "Remove a semaphore",
    {200: Said("It is gone.", json_content(SemaphoreGone)), **refusals(RefusalAnswer, SemaphoreNotFound, *_ADMIN)},
    path=NamedSemaphore,
    key=Key.ADMIN,
)
