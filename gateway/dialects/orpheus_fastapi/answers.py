"""How sound is answered: as server-sent events, as a file, or as JSON with a file in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pybase64
from starlette.responses import Response

from gateway.clock import Clock
from gateway.dialects.detail import refused
from gateway.dialects.orpheus_fastapi.bodies import ChunkEvent, CompleteEvent, ErrorEvent, Figures
from gateway.dialects.orpheus_fastapi.speaking import DIALECT, SAMPLE_RATE
from gateway.dialects.sse import SSE_HEADERS, WHOLE, sse_event
from gateway.dialects.whole import Spoken, WholeJson, WholeWav
from gateway.errors import VoxwireError
from gateway.events import Audio, Ended


class Events:
    """The sound as server-sent events, while it is made."""

    dialect = DIALECT
    headers: Mapping[str, str] = SSE_HEADERS

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self._samples = 0

    def audio(self, frame: Audio) -> bytes:
        self._samples += frame.samples
        content = ChunkEvent(
            chunk=frame.sequence + 1,
            audio_base64=pybase64.b64encode_as_string(frame.data),
            samples=frame.samples,
            duration_ms=_milliseconds(frame.samples / SAMPLE_RATE),
            ttfa_ms=None if frame.sequence else self._elapsed(),
        )
        return sse_event(content.model_dump(exclude_none=True), WHOLE)

    def ended(self, ended: Ended) -> bytes:
        content = CompleteEvent(
            total_chunks=ended.frames,
            total_samples=self._samples,
            total_duration_s=round(self._samples / SAMPLE_RATE, 3),
            processing_time_ms=self._elapsed(),
        )
        return sse_event(content.model_dump())

    def broken(self, error: VoxwireError) -> bytes:
        content = ErrorEvent(error=error.message, code=error.code, retryable=error.retryable)
        return sse_event(content.model_dump())

    def refused(self, error: VoxwireError) -> Response:
        return refused(error)

    def _elapsed(self) -> float:
        """Milliseconds since the request was read."""
        return _milliseconds(self._clock.now() - self._began)


def wav_form() -> WholeWav:
    """A file; how long it took stands in the headers."""
    return WholeWav(DIALECT, _headers, refused)


def json_form() -> WholeJson:
    """A ``SpeechAnswer``."""
    return WholeJson(DIALECT, "audio_base64", _figures, refused)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _headers(spoken: Spoken) -> Mapping[str, str]:
    return {
        "content-disposition": 'attachment; filename="tts_output.wav"',
        "x-processing-time-ms": str(round(spoken.took * 1000)),
        "x-ttfa-ms": str(round(spoken.ttfa * 1000)),
        "x-audio-duration-seconds": f"{spoken.duration:.2f}",
    }


def _figures(spoken: Spoken) -> Mapping[str, Any]:
    return Figures(
        duration_seconds=round(spoken.duration, 3),
        sample_rate=spoken.sample_rate,
        processing_time_ms=_milliseconds(spoken.took),
        ttfa_ms=_milliseconds(spoken.ttfa),
    ).model_dump()
