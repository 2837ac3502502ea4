"""``/api/v1/custom-voice``: speech with a speaker."""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import BaseRoute

from gateway.dialects.qwen_tts_server import batch, operations
from gateway.dialects.qwen_tts_server.bodies import CustomVoiceBatchBody, CustomVoiceBody
from gateway.dialects.qwen_tts_server.door import Door, Make
from gateway.dialects.qwen_tts_server.languages import AUTO
from gateway.dialects.qwen_tts_server.speaking import Wanted, speakers, spoken_by, spoken_languages
from gateway.dialects.responder import Answer
from gateway.session.session import Plan


def routes(door: Door, prefix: str) -> list[BaseRoute]:
    gateway = door.gateway

    async def asked(request: Request) -> tuple[CustomVoiceBody, Make]:
        body = await door.read(request, CustomVoiceBody)
        wanted = Wanted(body.text, body.language, body.speaker, body.instruct, body.speed)

        async def make() -> tuple[Plan, None]:
            return spoken_by(gateway, wanted), None

        return body, make

    async def generate(request: Request) -> Answer:
        return door.whole(*await asked(request), "custom_voice")

    async def stream(request: Request) -> Answer:
        return door.streamed(*await asked(request))

    async def many(request: Request) -> Answer:
        wanted = _listed(await door.read(request, CustomVoiceBatchBody, limit=batch.MAX_BYTES))

        async def plan(one: Wanted) -> Plan:
            return spoken_by(gateway, one)

        rate = await batch.common_rate(wanted, lambda one: spoken_by(gateway, one))
        return door.answer(batch.Batch(gateway, wanted, plan, rate).produce, batch.FORM)

    return [
        door.post(f"{prefix}/generate", generate, operations.GENERATE),
        door.post(f"{prefix}/generate-stream", stream, operations.GENERATE_STREAM),
        door.post(f"{prefix}/batch", many, operations.BATCH),
        door.get(f"{prefix}/speakers", lambda: speakers(gateway), operations.SPEAKERS),
        door.get(f"{prefix}/languages", lambda: spoken_languages(gateway), operations.LANGUAGES),
    ]


def _listed(body: CustomVoiceBatchBody) -> list[Wanted]:
    # An empty list of instructions is none, as with the earlier server.
    instructs = body.instructs or None
    rows = batch.rows(body.texts, languages=body.languages, speakers=body.speakers, instructs=instructs)
    return [
        Wanted(text, language or AUTO, speaker, instruct, body.speed) for text, (language, speaker, instruct) in rows
    ]
