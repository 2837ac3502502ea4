"""SNAC at 24 kHz, codes to PCM: streamed as exactly as a whole decode, and together for all streams of a process.

    decoder = Decoder("weights/snac_24khz")
    await decoder.start()
    async with decoder.open(seed=1) as stream:
        stream.push(frame)
        stream.finish()
        while (pcm := await stream.get()) is not None:
            ...
    await decoder.close()

From codes to samples: ``layout`` (what depends on what), ``window`` (what is decoded in one go), ``course`` (when, for
one stream), ``scheduler`` (which of all streams), ``service`` (the threads), ``backend`` (what computes).
"""

from audio.snac.choice import BackendName
from audio.snac.decoder import Decoder
from audio.snac.errors import (
    BackendUnavailable,
    BadFrame,
    DecodeFailed,
    DecoderBusy,
    DecoderClosed,
    PackageMissing,
    SnacError,
    StreamEnded,
    StreamOverrun,
    WeightsMissing,
    WeightsUnusable,
)
from audio.snac.export import ExportFailed
from audio.snac.frames import Frame
from audio.snac.layout import FRAME_SAMPLES, SAMPLE_RATE
from audio.snac.service import Stats
from audio.snac.stream import Stream
from audio.snac.weights import HUB_ID

__all__ = [
    "FRAME_SAMPLES",
    "HUB_ID",
    "SAMPLE_RATE",
    "BackendName",
    "BackendUnavailable",
    "BadFrame",
    "DecodeFailed",
    "Decoder",
    "DecoderBusy",
    "DecoderClosed",
    "ExportFailed",
    "Frame",
    "PackageMissing",
    "SnacError",
    "Stats",
    "Stream",
    "StreamEnded",
    "StreamOverrun",
    "WeightsMissing",
    "WeightsUnusable",
]
