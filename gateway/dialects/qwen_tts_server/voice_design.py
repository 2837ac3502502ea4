"""``/api/v1/voice-design``: speech with a voice that is described."""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import BaseRoute

from gateway.dialects.qwen_tts_server import batch, operations
from gateway.dialects.qwen_tts_server.bodies import VoiceDesignBatchBody, VoiceDesignBody
from gateway.dialects.qwen_tts_server.door import Door, Make
from gateway.dialects.qwen_tts_server.languages import AUTO
from gateway.dialects.qwen_tts_server.making import Described, described_by
from gateway.dialects.qwen_tts_server.speaking import Wanted, maker, with_voice
from gateway.dialects.responder import Answer
from gateway.errors import BadRequest, VoxwireError
from gateway.session.session import Emit, Plan
from providers.base import Designing

MAX_DESIGNS = 32
"""Voices that one batch may describe."""


def routes(door: Door, prefix: str) -> list[BaseRoute]:
    gateway, makers = door.gateway, door.makers

    async def asked(request: Request) -> tuple[VoiceDesignBody, Make]:
        body = await door.read(request, VoiceDesignBody)
        wanted = Wanted(body.text, body.language, None, body.instruct, body.speed)
        return body, lambda: makers.designed(wanted)

    async def generate(request: Request) -> Answer:
        return door.whole(*await asked(request), "voice_design")

    async def stream(request: Request) -> Answer:
        return door.streamed(*await asked(request))

    async def many(request: Request) -> Answer:
        wanted = _listed(await door.read(request, VoiceDesignBatchBody, limit=batch.MAX_BYTES))
        provider = maker(gateway, Designing)
        failed: dict[Described, VoxwireError] = {}

        async def plan(one: Wanted) -> Plan:
            if (error := failed.get(described_by(one))) is not None:
                raise error.with_traceback(None)
            return (await makers.designed(one))[0]

        rate = await batch.common_rate(wanted, lambda one: with_voice(gateway, one, provider))
        spoken = batch.Batch(gateway, wanted, plan, rate)

        async def produce(emit: Emit) -> None:
            failed.update(await makers.design_all(wanted))
            await spoken.produce(emit)

        return door.answer(produce, batch.FORM)

    return [
        door.post(f"{prefix}/generate", generate, operations.DESIGN),
        door.post(f"{prefix}/generate-stream", stream, operations.DESIGN_STREAM),
        door.post(f"{prefix}/batch", many, operations.DESIGN_BATCH),
    ]


def _listed(body: VoiceDesignBatchBody) -> list[Wanted]:
    rows = batch.rows(body.texts, languages=body.languages, instructs=body.instructs)
    wanted = [Wanted(text, language or AUTO, None, instruct, body.speed) for text, (language, instruct) in rows]
    if len({described_by(one) for one in wanted}) > MAX_DESIGNS:
        raise BadRequest(f"a batch may describe {MAX_DESIGNS} voices")
    return wanted
