"""The routes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.dialects.body import body_limit, read_object
from gateway.dialects.detail import guarded
from gateway.dialects.orpheus_fastapi import operations
from gateway.dialects.orpheus_fastapi.answers import Events, json_form, wav_form
from gateway.dialects.orpheus_fastapi.bodies import EndpointsAnswer, SpeechBody, VoiceAnswer, VoicesAnswer
from gateway.dialects.orpheus_fastapi.speaking import DIALECT, ENGINE, plan
from gateway.dialects.refusal import json_response
from gateway.dialects.responder import Answer, Form, Produce, speech
from gateway.dialects.sse import spaced
from gateway.dialects.whole import WholeWav, whole
from gateway.openapi import ApiRoute
from gateway.runtime import Gateway
from providers.base import Provider, Voice


def voices(gateway: Gateway) -> VoicesAnswer:
    found = [_voice(provider, voice) for provider, voice in gateway.providers.voices]
    return VoicesAnswer(voices=sorted(found, key=lambda voice: voice.provider != ENGINE))


def _voice(provider: Provider, voice: Voice) -> VoiceAnswer:
    return VoiceAnswer(
        id=voice.id,
        name=voice.name,
        description=voice.description or f"Speaks {voice.language}",
        language=voice.language,
        provider=provider.id,
    )


def routes(gateway: Gateway) -> list[BaseRoute]:
    settings = gateway.settings
    limit = body_limit(settings)

    async def read(request: Request) -> SpeechBody:
        gateway.count_request(request)
        data = await read_object(request, limit=limit, seconds=settings.send_timeout)
        return SpeechBody.model_validate(data)

    def answer(produce: Produce, form: Form) -> Answer:
        return Answer(produce, form, gateway.metrics, settings.send_timeout)

    def streamed(body: SpeechBody) -> Answer:
        form = Events(gateway.clock)
        produce = speech(gateway.sessions, plan(gateway, body), body.text, DIALECT)
        return answer(spaced(produce, gateway.wheel, gateway.clock), form)

    def filed(body: SpeechBody, form: WholeWav) -> Answer:
        return answer(whole(gateway, plan(gateway, body), body.text, DIALECT, form.tell), form)

    async def tts(request: Request) -> Answer:
        body = await read(request)
        return streamed(body) if body.stream else filed(body, json_form())

    async def tts_wav(request: Request) -> Answer:
        return filed(await read(request), wav_form())

    async def tts_stream(request: Request) -> Answer:
        return streamed(await read(request))

    async def list_voices(_: Request) -> Response:
        return json_response(voices(gateway).model_dump())

    here = EndpointsAnswer()
    return [
        ApiRoute(here.tts, guarded(gateway, DIALECT, tts), operations.SPEECH, "POST"),
        ApiRoute(here.tts_wav, guarded(gateway, DIALECT, tts_wav), operations.WAV, "POST"),
        ApiRoute(here.tts_stream, guarded(gateway, DIALECT, tts_stream), operations.STREAM, "POST"),
        ApiRoute(here.voices, guarded(gateway, DIALECT, list_voices), operations.VOICES),
    ]
