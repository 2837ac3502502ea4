"""``/api/v1/base``: speech with a voice like that of a clip."""

from __future__ import annotations

import pybase64
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.admission.auth import caller
from gateway.dialects.body import body_limit
from gateway.dialects.multipart import Form, is_form, read_form
from gateway.dialects.qwen_tts_server import operations
from gateway.dialects.qwen_tts_server.answers import PromptAnswer, UploadAnswer
from gateway.dialects.qwen_tts_server.bodies import CloneBody, CreatePromptBody, GenerateWithPromptBody, UploadForm
from gateway.dialects.qwen_tts_server.door import B, Door, Make
from gateway.dialects.qwen_tts_server.speaking import Wanted
from gateway.dialects.refusal import json_response
from gateway.dialects.responder import Answer
from gateway.errors import BadMessage, BadRequest
from gateway.library.clip import MAX_BASE64
from gateway.session.session import Plan
from providers.base import SAMPLE_WIDTH

_AROUND = 65_536
"""Bytes that a form may have beside its clip."""
(FILE,) = UploadForm.model_fields
"""The field of a form that has the clip."""


def routes(door: Door, prefix: str) -> list[BaseRoute]:
    gateway, makers, settings = door.gateway, door.makers, door.gateway.settings
    # Four characters are three bytes; the rest is room for line breaks.
    limit, seconds = MAX_BASE64 * 3 // 2 + body_limit(settings), settings.voice_upload_timeout
    # What is given back in base64 is to be taken again.
    longest = min(settings.voice_clip_bytes, MAX_BASE64) + _AROUND

    async def read(request: Request, kind: type[B]) -> B:
        return await door.read(request, kind, limit=limit, seconds=seconds)

    async def asked(request: Request) -> tuple[CloneBody, Make]:
        # Before anything is read: what waits here takes no memory.
        async with gateway.uploads.place(tenant=caller.get()):
            body = await read(request, CloneBody)
            reference = await makers.hear(body)
        # It was heard, and would be kept until all is spoken.
        body.ref_audio_base64 = None
        wanted = Wanted(body.text, body.language, speed=body.speed)
        return body, lambda: makers.cloned(wanted, reference)

    async def clone(request: Request) -> Answer:
        return door.whole(*await asked(request), "voice_clone")

    async def clone_stream(request: Request) -> Answer:
        return door.streamed(*await asked(request))

    async def create_prompt(request: Request) -> Response:
        async with gateway.uploads.place(tenant=caller.get()):
            made = await makers.prompt(await read(request, CreatePromptBody))
        return json_response(PromptAnswer(prompt_id=made, message="Prompt created successfully").model_dump())

    async def generate_with_prompt(request: Request) -> Answer:
        body = await door.read(request, GenerateWithPromptBody)
        wanted = Wanted(body.text, body.language, speed=body.speed)

        async def make() -> tuple[Plan, None]:
            return makers.prompted(wanted, body.prompt_id), None

        return door.whole(body, make, "voice_clone_prompt")

    async def upload(request: Request) -> Response:
        door.count(request)
        if not is_form(request):
            raise BadMessage(f"send the clip as a form (multipart/form-data), in the field {FILE!r}")
        async with (
            gateway.uploads.place(tenant=caller.get()),
            read_form(request, limit=longest, seconds=seconds) as form,
        ):
            return json_response((await heard(form)).model_dump())

    async def heard(form: Form) -> UploadAnswer:
        """The file, once it is known to be sound."""
        if form.file is None or form.name != FILE:
            raise BadRequest(f"{FILE}: the form has no file in this field")
        content = b"".join([piece async for piece in form.pieces()])
        clip = await gateway.library.clips.hear(content)
        return UploadAnswer(
            filename=form.file.filename or "",
            content_type=form.file.content_type or "application/octet-stream",
            audio_base64=pybase64.b64encode_as_string(content),
            duration=round(len(clip.pcm) / SAMPLE_WIDTH / clip.sample_rate, 3),
            message="File uploaded and encoded successfully",
        )

    return [
        door.post(f"{prefix}/clone", clone, operations.CLONE),
        door.post(f"{prefix}/clone-stream", clone_stream, operations.CLONE_STREAM),
        door.post(f"{prefix}/create-prompt", create_prompt, operations.CREATE_PROMPT),
        door.post(f"{prefix}/generate-with-prompt", generate_with_prompt, operations.GENERATE_WITH_PROMPT),
        door.post(f"{prefix}/upload-ref-audio", upload, operations.UPLOAD),
    ]
