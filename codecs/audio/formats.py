"""The table of formats. A codec is a file with an ``Encoder`` and a row here; encoders are imported on use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import cast

from audio.encoder import Encoder
from audio.stream import AudioStream

ALL_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
_OPUS_CLOCK = 48_000
_OPUS_LOOK_AHEAD = 312
_FLAC_BLOCKS = (576, 1152, 2304, 4608)


class UnknownFormat(ValueError):
    """No format has that name."""


class UnsupportedRate(ValueError):
    """The format has no such sample rate."""


class UnsupportedBitRate(ValueError):
    """The format has no such bit rate at this sample rate, or none to choose."""


@dataclass(frozen=True, slots=True)
class BitRates:
    """What a codec can be asked for at the sample rates up to ``up_to``. In bit/s."""

    up_to: int
    default: int
    choices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """One format that a stream can leave in. All are mono."""

    name: str
    mime: str
    extension: str
    """Of a file, without the dot."""
    container: str
    """``raw`` where the stream has no header."""
    codec: str
    """As ffmpeg names it."""
    encoder: str
    """``module:Class``; called with the sample rate and, where the format has bit rates, with one of them."""
    rates: tuple[int, ...] = ALL_RATES
    """Hz, ascending."""
    bit_rates: tuple[BitRates, ...] = ()
    """Ascending, the last for all the rest; empty where the format leaves no choice."""
    frame: Callable[[int], int] | None = None
    """Samples of a frame of the codec at a sample rate; ``None`` where a sample stands for itself."""
    delay_samples: int = 0
    """By which the decoded sound is late, and which the stream has no way to declare; counted at ``clock``."""
    clock: int | None = None
    """Hz that every decoder of the format gives; ``None``: that of the stream."""
    heavy: bool = False
    """Encoding costs much more than a thread hop: run it on a pool."""
    packets: bool = False
    """The stream is a row of packets that must stay whole, each with its length in front: ``audio.packets``."""
    silence: bytes = b""
    """One sample of silence where every sample has a code of its own. Its length is that of every sample, so that
    the stream can be cut into frames of exact length."""
    header_bytes: int = 0
    """In front of the first sample, for formats with ``silence``."""

    @property
    def coded(self) -> bool:
        """The sound leaves in the codec's own frames, and not sample by sample."""
        return self.frame is not None

    @property
    def bytes_per_sample(self) -> int | None:
        """Where it is fixed."""
        return len(self.silence) or None

    def nearest_rate(self, rate: int) -> int:
        """``rate`` itself, else the next higher one, else the highest."""
        return min((own for own in self.rates if own >= rate), default=self.rates[-1])

    def bit_rates_at(self, sample_rate: int) -> BitRates | None:
        """What can be asked for at ``sample_rate``; ``None`` where there is no choice."""
        return next((step for step in self.bit_rates if sample_rate <= step.up_to), None)

    def open(self, source_rate: int, sample_rate: int, bit_rate: int | None = None) -> AudioStream:
        """A new stream: PCM at ``source_rate`` in, this format at ``sample_rate`` out. ``bit_rate`` in bit/s.

        Raises ``UnsupportedRate``, ``UnsupportedBitRate``, or ``ValueError`` for a source rate that is no rate.
        """
        if sample_rate not in self.rates:
            raise UnsupportedRate(
                f"format {self.name!r} has no sample rate {sample_rate}; it has {_listed(self.rates)}"
            )
        if source_rate <= 0:
            raise ValueError(f"{source_rate} is no sample rate")
        chosen = self.bit_rate(sample_rate, bit_rate)
        make = _load(self.encoder)
        encoder = make(sample_rate) if chosen is None else make(sample_rate, chosen)
        return AudioStream(self, encoder, source_rate, sample_rate)

    def bit_rate(self, sample_rate: int, asked: int | None) -> int | None:
        """The bit rate (bit/s) that a stream has; ``None`` where the format has none. Raises ``UnsupportedBitRate``."""
        step = self.bit_rates_at(sample_rate)
        if step is None:
            if asked is not None:
                raise UnsupportedBitRate(f"format {self.name!r} has no bit rate to choose")
            return None
        if asked is None:
            return step.default
        if asked not in step.choices:
            raise UnsupportedBitRate(
                f"format {self.name!r} has no bit rate {asked} at {sample_rate} Hz; it has {_listed(step.choices)}"
            )
        return asked


def _mp3_frame(sample_rate: int) -> int:
    """MPEG-1 has two granules of 576 samples, the versions for lower rates have one."""
    return 1152 if sample_rate >= 32_000 else 576


def _aac_frame(_: int) -> int:
    return 1024


def _flac_frame(sample_rate: int) -> int:
    """What libavcodec takes at its default compression level: at most 105 ms."""
    return max(size for size in _FLAC_BLOCKS if size * 1000 <= sample_rate * 105)


def _opus_frame(sample_rate: int) -> int:
    return sample_rate // 50


_ANY = 1 << 31
# Of the bit rates that services name, those that each version of MPEG audio has; the lowest one ends at 64 kbit/s.
_MP3_BIT_RATES = (
    BitRates(12_000, 64_000, (32_000, 48_000, 64_000)),
    BitRates(24_000, 64_000, (32_000, 48_000, 64_000, 96_000, 128_000)),
    BitRates(32_000, 96_000, (32_000, 48_000, 64_000, 96_000, 128_000, 192_000)),
    BitRates(_ANY, 128_000, (32_000, 48_000, 64_000, 96_000, 128_000, 192_000)),
)
# A channel of AAC has room for 6 bits a sample.
_AAC_BIT_RATES = (
    BitRates(8_000, 48_000, (32_000, 48_000)),
    BitRates(12_000, 64_000, (32_000, 48_000, 64_000)),
    BitRates(16_000, 64_000, (32_000, 48_000, 64_000, 96_000)),
    BitRates(24_000, 64_000, (32_000, 48_000, 64_000, 96_000, 128_000)),
    BitRates(_ANY, 96_000, (32_000, 48_000, 64_000, 96_000, 128_000, 192_000)),
)
_OPUS_BIT_RATES = (BitRates(_ANY, 32_000, (16_000, 24_000, 32_000, 48_000, 64_000, 96_000, 128_000, 192_000)),)

_ROWS = (
    AudioFormat("pcm16", "audio/pcm", "pcm", "raw", "pcm_s16le", "audio.pcm16:Pcm16Encoder", silence=bytes(2)),
    AudioFormat(
        "pcm_f32le", "audio/pcm", "f32", "raw", "pcm_f32le", "audio.pcm_f32le:PcmF32leEncoder", silence=bytes(4)
    ),
    AudioFormat(
        "wav", "audio/wav", "wav", "wav", "pcm_s16le", "audio.wav:WavEncoder", silence=bytes(2), header_bytes=44
    ),
    AudioFormat("mulaw", "audio/pcmu", "ulaw", "raw", "pcm_mulaw", "audio.g711:MulawEncoder", silence=b"\xff"),
    AudioFormat("alaw", "audio/pcma", "alaw", "raw", "pcm_alaw", "audio.g711:AlawEncoder", silence=b"\xd5"),
    AudioFormat(
        "mp3", "audio/mpeg", "mp3", "mp3", "mp3", "audio.mp3:Mp3Encoder", bit_rates=_MP3_BIT_RATES, frame=_mp3_frame,
        # 576 samples of LAME's delay and 529 of every decoder's. Bare frames cannot declare it.
        delay_samples=1105, heavy=True,
    ),
    AudioFormat(
        "aac", "audio/aac", "aac", "adts", "aac", "audio.aac:AacEncoder", bit_rates=_AAC_BIT_RATES, frame=_aac_frame,
        delay_samples=1024, heavy=True,
    ),
    # A block takes it 60 to 200 µs. On a thread it would take half as much again: libavcodec's wrapper lets other
    # threads run at every step, and has to wait for them.
    AudioFormat("flac", "audio/flac", "flac", "flac", "flac", "audio.flac:FlacEncoder", frame=_flac_frame),
    # libopus looks ahead 6.5 ms. The containers declare it, and decoders drop it.
    AudioFormat(
        "opus", "audio/ogg", "opus", "ogg", "opus", "audio.ogg_opus:OggOpusEncoder", rates=_OPUS_RATES,
        bit_rates=_OPUS_BIT_RATES, frame=_opus_frame, clock=_OPUS_CLOCK, heavy=True,
    ),
    AudioFormat(
        "webm", "audio/webm; codecs=opus", "webm", "webm", "opus", "audio.webm:WebmEncoder", rates=_OPUS_RATES,
        bit_rates=_OPUS_BIT_RATES, frame=_opus_frame, clock=_OPUS_CLOCK, heavy=True,
    ),
    AudioFormat(
        "opus_packets", "audio/opus", "opuspackets", "raw", "opus", "audio.opus:OpusPacketsEncoder", rates=_OPUS_RATES,
        bit_rates=_OPUS_BIT_RATES, frame=_opus_frame, clock=_OPUS_CLOCK, delay_samples=_OPUS_LOOK_AHEAD, heavy=True,
        packets=True,
    ),
)  # fmt: skip
FORMATS: dict[str, AudioFormat] = {row.name: row for row in _ROWS}


def find(name: str) -> AudioFormat:
    """The format of that name. Raises ``UnknownFormat``, whose message lists the names."""
    try:
        return FORMATS[name]
    except KeyError:
        raise UnknownFormat(f"unknown format {name!r}; there are {', '.join(FORMATS)}") from None


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


@cache
def _load(path: str) -> Callable[..., Encoder]:
    module, _, name = path.partition(":")
    return cast(Callable[..., Encoder], getattr(import_module(module), name))
