"""How sound is answered: as a file, as JSON with a file in it, or as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pybase64
from starlette.responses import Response

from audio import wav
from gateway.clock import Clock
from gateway.dialects.detail import refused, told
from gateway.dialects.qwen_tts_server.answers import CacheStatus, Figures, MadeFigures
from gateway.dialects.qwen_tts_server.speaking import DIALECT
from gateway.dialects.sse import SSE_HEADERS
from gateway.dialects.whole import Spoken, WholeJson, WholeWav
from gateway.errors import VoxwireError
from gateway.events import Audio, Ended
from gateway.session.session import Plan


@dataclass(slots=True)
class Course:
    """What is known of an answer beside its sound, before the sound is there."""

    plan: Plan | None = None
    known: bool | None = None
    """Of a voice that was asked for by a clip or a description: it had been made before."""

    @property
    def sample_rate(self) -> int:
        assert self.plan is not None
        return self.plan.sample_rate

    def figures(self, duration: float, took: float) -> Figures:
        """Of a speech; seconds."""
        figures = {
            "sample_rate": self.sample_rate,
            "generation_time": round(took, 3),
            "audio_duration": round(duration, 3),
            "rtf": round(took / duration, 3),
        }
        kind = Figures if self.known is None else MadeFigures
        return kind.model_validate({**figures, **self.cache})

    @property
    def cache(self) -> dict[str, CacheStatus]:
        return {} if self.known is None else {"cache_status": "hit" if self.known else "miss"}


def wav_form(course: Course, name: str) -> WholeWav:
    """A file of that name; how it went stands in the headers."""

    def headers(spoken: Spoken) -> Mapping[str, str]:
        figures = course.figures(spoken.duration, spoken.took)
        return {
            "content-disposition": f'attachment; filename="{name}.wav"',
            "x-sample-rate": str(figures.sample_rate),
            "x-generation-time": f"{figures.generation_time:.3f}",
            "x-audio-duration": f"{figures.audio_duration:.3f}",
            "x-rtf": f"{figures.rtf:.3f}",
            **{f"x-{field.replace('_', '-')}": value for field, value in course.cache.items()},
        }

    return WholeWav(DIALECT, headers, refused)


def json_form(course: Course) -> WholeJson:
    def fields(spoken: Spoken) -> Mapping[str, Any]:
        return course.figures(spoken.duration, spoken.took).model_dump()

    return WholeJson(DIALECT, "audio", fields, refused)


class Events:
    """Events ``metadata``, then ``audio`` while it is made, each a wav file in base64, then ``metadata`` once more, and
    ``done``. The files, joined without their headers, are one stream."""

    dialect = DIALECT

    def __init__(self, course: Course, clock: Clock) -> None:
        self._course = course
        self._clock = clock
        self._began = clock.now()

    @property
    def headers(self) -> Mapping[str, str]:
        return {**SSE_HEADERS, "x-sample-rate": str(self._course.sample_rate)}

    def audio(self, frame: Audio) -> bytes:
        data = wav.header(self._course.sample_rate, frame.samples) + frame.data
        event = _event("audio", pybase64.b64encode(data))
        return event if frame.sequence else self._opening() + event

    def _opening(self) -> bytes:
        plan = self._course.plan
        assert plan is not None
        said = {
            "sample_rate": plan.sample_rate,
            "format": "wav",
            "provider": plan.provider.id,
            "speaker": plan.voice.id,
            **self._course.cache,
        }
        return _json_event("metadata", said)

    def ended(self, ended: Ended) -> bytes:
        figures = self._course.figures(ended.audio, self._clock.now() - self._began)
        return _json_event("metadata", figures.model_dump(exclude={"format"})) + _event("done", b"complete")

    def broken(self, error: VoxwireError) -> bytes:
        return _json_event("error", told(error).model_dump())

    def refused(self, error: VoxwireError) -> Response:
        return refused(error)


def _json_event(name: str, content: Mapping[str, Any]) -> bytes:
    """In ASCII, as every event here."""
    return _event(name, json.dumps(content, separators=(",", ":")).encode())


def _event(name: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
