"""What a session has spoken, as a file."""

from __future__ import annotations

from dataclasses import replace

from audio import formats
from audio.convert import Container
from audio.formats import AudioFormat
from gateway.dialects.conversion import converted
from gateway.dialects.detail import refused
from gateway.dialects.replay import exact, replay
from gateway.dialects.responder import Answer, FileForm, Produce, speech
from gateway.dialects.tts_gateway.bodies import KINDS
from gateway.dialects.tts_gateway.speaking import DIALECT
from gateway.errors import UnknownSession, UnsupportedFormat
from gateway.events import SpeechRequest
from gateway.runtime import Gateway
from gateway.session.recording import Recording


def file_of(gateway: Gateway, session: str, name: str | None) -> Answer:
    """What a session has spoken, is speaking or, where nobody has listened to it yet, speaks now, and only now.
    Raises a ``VoxwireError``."""
    chosen = _kind(name) if name else None
    if isinstance(chosen, Container):
        gateway.conversions.check()
    recording = gateway.recordings.find(session)
    if recording is None:
        return _spoken_now(gateway, session, chosen)
    if recording.closed and not recording.complete:
        raise UnknownSession("there is no whole file of this session: its speech was cut short, or too long to keep")
    return _recorded(gateway, session, recording, chosen or formats.find(recording.request.format))


def _kind(name: str) -> AudioFormat | Container:
    if name not in KINDS:
        raise UnsupportedFormat(f"there is no such format; there are: {', '.join(KINDS)}")
    return KINDS[name]


def _stream_of(chosen: AudioFormat | Container) -> AudioFormat:
    """What a session has to speak for such a file."""
    return formats.FORMATS["pcm16"] if isinstance(chosen, Container) else chosen


def _spoken_now(gateway: Gateway, session: str, chosen: AudioFormat | Container | None) -> Answer:
    prepared = gateway.sessions.look(session)
    planned = prepared.plan
    if chosen is not None:
        stream = _stream_of(chosen)
        rate = _rate(stream, planned.request, planned.voice.sample_rate)
        planned = gateway.sessions.plan(replace(planned.request, format=stream.name, sample_rate=rate))
    # Before it is taken: whoever is refused may ask again.
    gateway.sessions.check(planned)
    gateway.sessions.take(session)
    produce = speech(gateway.sessions, planned, prepared.text, DIALECT, prepared.token)
    form = _form(prepared.token, chosen or planned.format)
    return _answer(gateway, _filed(gateway, produce, chosen, planned.sample_rate), form)


def _recorded(gateway: Gateway, session: str, recording: Recording, chosen: AudioFormat | Container) -> Answer:
    stream = _stream_of(chosen)
    rate = _rate(stream, recording.request, recording.sample_rate)
    produce = replay(recording, stream, rate, gateway.pool)
    form = _form(session, chosen)
    if chosen is stream:
        form = exact(form, recording, stream, rate)
    return _answer(gateway, _filed(gateway, produce, chosen, rate), form)


def _filed(gateway: Gateway, produce: Produce, chosen: AudioFormat | Container | None, rate: int) -> Produce:
    return converted(produce, chosen, rate, gateway.conversions) if isinstance(chosen, Container) else produce


def _answer(gateway: Gateway, produce: Produce, form: FileForm) -> Answer:
    return Answer(produce, form, gateway.metrics, gateway.settings.send_timeout)


def _rate(chosen: AudioFormat, request: SpeechRequest, own: int) -> int:
    """The rate that the session was asked for, where the format of the file has it."""
    asked = own if request.sample_rate is None else request.sample_rate
    return chosen.nearest_rate(asked)


def _form(session: str, chosen: AudioFormat | Container) -> FileForm:
    disposition = f'inline; filename="speech-{session[:8]}.{chosen.extension}"'
    return FileForm(DIALECT, {"content-type": chosen.mime, "content-disposition": disposition}, refused)
