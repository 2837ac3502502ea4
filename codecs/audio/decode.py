"""Sound from strangers: any file that ffmpeg reads, in; plain PCM, or one clear error, out.

ffmpeg reads it in a process of its own (``audio.sandbox``), from a pipe and from nothing else. Only the formats
and codecs listed here are tried: a playlist, or any other file that names more files, is not sound to it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterable
from dataclasses import dataclass

import ffmpeg as command

from audio import sandbox
from audio.pcm import SAMPLE_WIDTH
from audio.upload import Busy, Damaged, DecodeError, DecoderMissing, NotAudio, TimedOut, TooLarge, TooLong, Upload

__all__ = [
    "Busy",
    "Damaged",
    "DecodeError",
    "DecodeLimits",
    "Decoded",
    "Decoder",
    "DecoderMissing",
    "NotAudio",
    "TimedOut",
    "TooLarge",
    "TooLong",
    "decode",
]

log = logging.getLogger(__name__)

FORMATS = (
    *("aac", "aiff", "amr", "au", "caf", "flac", "matroska", "webm"),
    *("mov", "mp4", "m4a", "3gp", "mp3", "ogg", "w64", "wav"),
)
"""ffmpeg's names of the containers that are read."""
CODECS = (
    *("aac", "alac", "amrnb", "amrwb", "flac", "mp2", "mp2float", "mp3", "mp3float", "opus", "libopus", "vorbis"),
    *("adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "gsm", "gsm_ms", "pcm_alaw", "pcm_mulaw", "pcm_s8", "pcm_u8"),
    *("pcm_s16be", "pcm_s16le", "pcm_s24be", "pcm_s24le", "pcm_s32be", "pcm_s32le"),
    *("pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le"),
)
MAX_RATE = 192_000
_MAX_STREAMS = 16
_NOT_RUN = (126, 127)
"""What a program ends with that is there but cannot run, as where one of its libraries is missing."""
_SPARE = 1.0
"""Seconds of sound that ffmpeg may make beyond the limit, so that it is seen to be passed."""
# As in audio.resample: the default filter lets 4.1 kHz through to 8 kHz sound at -15 dB.
_RESAMPLE = "aresample={}:filter_size=96:cutoff=0.94"
# Times in a file are a claim: counted in samples, they can neither stretch the sound nor cut it off.
_COUNT = "asetpts=N/SR/TB"


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one file may take."""

    input_bytes: int = 20 * 1024 * 1024
    seconds: float = 120.0
    """Of sound."""
    wall_seconds: float = 20.0
    """From the call to the answer, the arrival of the data included."""
    cpu_seconds: int = 10
    memory_bytes: int = 512 * 1024 * 1024
    """Of ffmpeg's address space; 256 MiB is the least that it starts its threads with."""


@dataclass(frozen=True, slots=True)
class Decoded:
    pcm: bytes
    """s16le mono."""
    sample_rate: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.pcm) / SAMPLE_WIDTH / self.sample_rate


async def decode(
    data: bytes | AsyncIterable[bytes],
    *,
    sample_rate: int,
    limits: DecodeLimits = DecodeLimits(),
    strict: bool = True,
) -> Decoded:
    """The first sound track of a file, as mono PCM at ``sample_rate`` Hz. Raises a ``DecodeError``, or what
    ``data`` raises; if it is an async generator, it is closed by then.

    ``strict``: a file in which ffmpeg finds damage is refused. Otherwise what can be decoded of it is the answer.
    A file that was cut off is damaged too, where that can be told; mp3, ogg and matroska may end anywhere.
    """
    if not 0 < sample_rate <= MAX_RATE:
        raise ValueError(f"{sample_rate} is no sample rate")
    upload = Upload(data, limits.input_bytes)
    try:
        async with asyncio.timeout(limits.wall_seconds) as deadline:
            return await _decode(upload, sample_rate, limits, strict)
    except TimeoutError:
        if not deadline.expired():
            raise
        raise TimedOut(f"the sound was not there and decoded within {limits.wall_seconds:g} seconds") from None
    except sandbox.FfmpegMissing as error:
        raise DecoderMissing("sound cannot be decoded here: ffmpeg is missing") from error


class Decoder:
    """``decode`` where many may call it: ``at_once`` files are decoded at a time, each in a process with its own
    ``limits``; ``waiting`` more wait for their turn, in their order, and the others are refused."""

    def __init__(self, at_once: int, waiting: int, limits: DecodeLimits = DecodeLimits()) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._free = at_once + waiting
        self._limits = limits

    async def decode(self, data: bytes | AsyncIterable[bytes], *, sample_rate: int, strict: bool = True) -> Decoded:
        """As ``decode`` does. Until its turn nothing is taken from ``data`` and no time counts. Raises ``Busy`` too."""
        if not self._free:
            raise Busy("too many files are being decoded at the moment")
        self._free -= 1
        try:
            async with self._places:
                return await decode(data, sample_rate=sample_rate, limits=self._limits, strict=strict)
        finally:
            self._free += 1


async def _decode(upload: Upload, sample_rate: int, limits: DecodeLimits, strict: bool) -> Decoded:
    most = round(limits.seconds * sample_rate) * SAMPLE_WIDTH
    pcm = bytearray()
    allowed = sandbox.Limits(limits.cpu_seconds, limits.memory_bytes)
    async with sandbox.running(_arguments(sample_rate, limits.seconds, strict), allowed) as ffmpeg:
        async with ffmpeg.fed(upload.pieces()):
            while piece := await ffmpeg.read():
                pcm += piece
                if len(pcm) > most:
                    raise TooLong(f"the sound is longer than {limits.seconds:g} seconds")
        status = await ffmpeg.status()
    # A signal is either a limit or a fault in ffmpeg, which strangers may look for.
    log.log(logging.WARNING if status < 0 else logging.DEBUG, "ffmpeg ended with %d: %s", status, ffmpeg.said)
    _judge(status, limits, sound=bool(pcm))
    if strict and (status or upload.cut_off):
        raise Damaged("the sound in this file is damaged or cut off")
    return Decoded(bytes(pcm), sample_rate)


def _judge(status: int, limits: DecodeLimits, *, sound: bool) -> None:
    if status in _NOT_RUN:
        raise sandbox.FfmpegMissing("ffmpeg cannot be run")
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        raise TimedOut(f"the sound takes more than {limits.cpu_seconds} seconds of computing time to decode")
    if not sound:
        raise NotAudio("there is no sound in this file that can be read")


def _arguments(sample_rate: int, seconds: float, strict: bool) -> list[str]:
    source = command.input(
        "pipe:0",
        protocol_whitelist="pipe",
        format_whitelist=",".join(FORMATS),
        codec_whitelist=",".join(CODECS),
        max_streams=_MAX_STREAMS,
        threads=1,
    )
    sound = source.output(
        "pipe:1",
        map="0:a:0",
        vn=None,
        sn=None,
        dn=None,
        af=f"{_COUNT},{_RESAMPLE.format(sample_rate)}",
        t=seconds + _SPARE,
        format="s16le",
        ac=1,
        ar=sample_rate,
    )
    # Without it two packets of three may be damaged, and ffmpeg ends as if all were well.
    tolerance = ["-max_error_rate", "0"] if strict else []
    arguments: list[str] = sound.global_args("-filter_threads", "1", *tolerance).get_args()
    return arguments
