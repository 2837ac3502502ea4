"""What is asked of the service, in the words of each of its protocols."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from providers.base import Segment
from providers.volcano.credentials import Credentials
from providers.volcano.frames import Event, Frame, request
from providers.volcano.options import Options, check, percent, ratio
from providers.volcano.settings import VolcanoSettings
from providers.volcano.voices import Service, Speaker

_USER = {"uid": "voxwire"}
_NAMESPACE = "BidirectionalTTS"
# Not what authenticates: that is a header. It has to be there.
_V1_TOKEN = "access_token"


class Asking:
    """How one utterance is to be spoken: the voice, the account, and what its first segment says."""

    def __init__(self, speaker: Speaker, segment: Segment, credentials: Credentials, settings: VolcanoSettings) -> None:
        self.speaker = speaker
        self.credentials = credentials
        self._options = check(segment.options)
        self._speed = segment.speed
        self._settings = settings

    # ---- version 3

    @property
    def headers(self) -> dict[str, str]:
        return headers(self.credentials, self.speaker.resource)

    def start(self, session: str) -> Frame:
        body = {
            "user": _USER,
            "event": Event.START_SESSION.value,
            "namespace": _NAMESPACE,
            "req_params": self._params(),
        }
        return request(Event.START_SESSION, orjson.dumps(body), session)

    def whole(self, text: str) -> bytes:
        """The unidirectional service is asked for a text in one go."""
        return orjson.dumps({"user": _USER, "req_params": {"text": text, **self._params()}})

    def _params(self) -> dict[str, Any]:
        params: dict[str, Any] = {"speaker": self.speaker.voice.id, "audio_params": self._audio()}
        model = self._options.model or self._settings.model
        if model and self.speaker.service is not Service.SMALL:
            params["model"] = model
        # A string in the string: an object is not read.
        if additions := _additions(self._options):
            params["additions"] = orjson.dumps(additions).decode()
        return params

    def _audio(self) -> dict[str, Any]:
        options = self._options
        audio: dict[str, Any] = {"format": "pcm", "sample_rate": self.speaker.voice.sample_rate}
        if rate := percent(self._speed):
            audio["speech_rate"] = rate
        if loudness := percent(options.volume):
            audio["loudness_rate"] = loudness
        if options.emotion is not None:
            audio["emotion"] = options.emotion
        if options.emotion_scale is not None:
            audio["emotion_scale"] = options.emotion_scale
        if self._settings.timestamps:
            audio["enable_subtitle" if self.speaker.subtitled else "enable_timestamp"] = True
        return audio

    # ---- version 1

    @property
    def v1_headers(self) -> dict[str, str]:
        # With a semicolon: that is how the service reads it.
        return {"Authorization": f"Bearer;{self.credentials.access_key}", "Content-Type": "application/json"}

    def v1(self, text: str) -> bytes:
        options, voice = self._options, self.speaker.voice
        audio: dict[str, Any] = {
            "voice_type": voice.id,
            "encoding": "pcm",
            "rate": voice.sample_rate,
            "speed_ratio": min(3.0, max(0.2, self._speed)),
            "volume_ratio": options.volume,
            "pitch_ratio": ratio(options.pitch),
        }
        if options.emotion is not None:
            audio["emotion"] = options.emotion
        # An id is for one call: the service refuses another with the same.
        what: dict[str, Any] = {
            "reqid": str(uuid.uuid4()),
            "text": text,
            "text_type": "plain",
            "operation": "query",
        }
        if self._settings.timestamps:
            what |= {"with_timestamp": 1, "with_frontend": 1, "frontend_type": "unitTson"}
        if options.silence_ms:
            what |= {"enable_trailing_silence_audio": True, "silence_duration": options.silence_ms}
        app = {"appid": self.credentials.app_id, "token": _V1_TOKEN, "cluster": self._settings.cluster}
        return orjson.dumps({"app": app, "user": _USER, "audio": audio, "request": what})


def headers(credentials: Credentials, resource: str) -> dict[str, str]:
    """Of a connection or a request of version 3."""
    named = {
        "X-Api-Resource-Id": resource,
        "X-Api-Connect-Id": str(uuid.uuid4()),
        "X-Api-Request-Id": str(uuid.uuid4()),
    }
    return {**credentials.headers, **named}


def task(session: str, text: str) -> Frame:
    """More text for a session: nothing else is read from it."""
    body = {
        "user": _USER,
        "event": Event.TASK_REQUEST.value,
        "namespace": _NAMESPACE,
        "req_params": {"text": text},
    }
    return request(Event.TASK_REQUEST, orjson.dumps(body), session)


def _additions(options: Options) -> dict[str, Any]:
    additions: dict[str, Any] = {}
    if options.pitch:
        additions["post_process"] = {"pitch": round(options.pitch)}
    if options.instruction is not None:
        additions["context_texts"] = [options.instruction]
    if options.dialect is not None:
        additions["explicit_dialect"] = options.dialect
    if options.explicit_language is not None:
        additions["explicit_language"] = options.explicit_language
    if options.silence_ms is not None:
        additions["silence_duration"] = options.silence_ms
    if options.filter_markdown:
        # It filters where this is true, whatever it is called.
        additions["disable_markdown_filter"] = True
    return additions
