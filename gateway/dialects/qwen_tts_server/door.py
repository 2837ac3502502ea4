"""What the routes share: how a request is read, and how one speech is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from gateway.dialects.body import body_limit, read_object
from gateway.dialects.detail import Handler, guarded
from gateway.dialects.qwen_tts_server.bodies import SpeechBody
from gateway.dialects.qwen_tts_server.forms import Course, Events, json_form, wav_form
from gateway.dialects.qwen_tts_server.making import Makers
from gateway.dialects.qwen_tts_server.speaking import DIALECT
from gateway.dialects.refusal import json_response
from gateway.dialects.responder import Answer, Form, Produce, speech
from gateway.dialects.whole import Spoken, WholeWav, whole
from gateway.openapi import ApiRoute, Operation
from gateway.runtime import Gateway
from gateway.session.session import Emit, Plan

B = TypeVar("B", bound=BaseModel)
Make = Callable[[], Awaitable[tuple[Plan, bool | None]]]
"""Finds, or makes, what a text is spoken with; and says whether that was known, where it would have been made."""


class Door:
    """One gateway's."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.makers = Makers(gateway)

    # ---- requests

    async def read(
        self, request: Request, kind: type[B], *, limit: int | None = None, seconds: float | None = None
    ) -> B:
        """The body, in ``limit`` bytes and ``seconds``; counts the request. Raises ``RateLimited``, ``BadMessage`` and
        ``ValidationError``."""
        self.count(request)
        settings = self.gateway.settings
        data = await read_object(request, limit=limit or body_limit(settings), seconds=seconds or settings.send_timeout)
        return kind.model_validate(data)

    def count(self, request: Request) -> None:
        self.gateway.count_request(request)

    # ---- answers

    def whole(self, body: SpeechBody, make: Make, name: str) -> Answer:
        """A file of that name, or JSON, once all is spoken."""
        course = Course()
        form = json_form(course) if body.response_format == "base64" else wav_form(course, name)
        return self.answer(self._whole(body.text, make, course, form), form)

    def streamed(self, body: SpeechBody, make: Make) -> Answer:
        """Events, while it is spoken."""
        course = Course()

        async def produce(emit: Emit) -> None:
            course.plan, course.known = await make()
            await speech(self.gateway.sessions, course.plan, body.text, DIALECT)(emit)

        return self.answer(produce, Events(course, self.gateway.clock))

    def answer(self, produce: Produce, form: Form) -> Answer:
        return Answer(produce, form, self.gateway.metrics, self.gateway.settings.send_timeout)

    def _whole(self, text: str, make: Make, course: Course, form: WholeWav) -> Produce:
        """The voice is made while the answer is waited for, as the sound is: who goes ends both."""
        clock = self.gateway.clock

        async def produce(emit: Emit) -> None:
            began = clock.now()
            course.plan, course.known = await make()
            making = clock.now() - began

            def tell(spoken: Spoken) -> None:
                form.tell(replace(spoken, ttfa=spoken.ttfa + making, took=spoken.took + making))

            await whole(self.gateway, course.plan, text, DIALECT, tell)(emit)

        return produce

    # ---- routes

    def post(self, path: str, handle: Handler, operation: Operation) -> ApiRoute:
        return ApiRoute(path, guarded(self.gateway, DIALECT, handle), operation, "POST")

    def get(self, path: str, content: Callable[[], BaseModel], operation: Operation) -> ApiRoute:
        """A route that answers ``content`` as JSON."""

        async def handle(_: Request) -> Response:
            return json_response(content().model_dump())

        return ApiRoute(path, guarded(self.gateway, DIALECT, handle), operation)
