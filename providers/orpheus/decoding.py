"""SNAC's decoder as the engine has it: started and closed again and again, and known to be broken where it is."""

from __future__ import annotations

from collections.abc import Callable

from audio.snac import DecodeFailed, Decoder, DecoderClosed, SnacError, Stream
from providers.base import EngineUnavailable
from providers.orpheus.breaker import Breaker
from providers.orpheus.health import Health
from providers.orpheus.settings import OrpheusSettings

_TRIAL = 4
"""Frames: enough for a first window and another one."""


class Decoding:
    """``make`` makes a decoder; each is started once."""

    def __init__(self, make: Callable[[], Decoder], settings: OrpheusSettings) -> None:
        self._make = make
        self._settings = settings
        self._decoders: list[Decoder] = []
        self.health = self._new_health()

    @property
    def decoder(self) -> Decoder:
        """That of the last start."""
        return self._decoders[-1]

    def open(self, seed: int) -> Stream:
        """Raises a ``SnacError``."""
        return self.decoder.open(seed=seed)

    def ended(self, error: SnacError | None) -> None:
        """A stream is over. A device that is lost fails them all, and does not come back by itself."""
        if error is None:
            self.health.worked()
        elif isinstance(error, DecodeFailed):
            self.health.failed(EngineUnavailable("SNAC's decoder fails"))

    async def start(self) -> None:
        """Raises a ``SnacError``."""
        # One whose start failed or was cancelled goes first; it may still be loading.
        await self.close()
        decoder = self._make()
        self._decoders.append(decoder)
        await decoder.start()
        if decoder not in self._decoders:
            raise DecoderClosed("the decoder was closed while it started")
        self.health = self._new_health()
        await self.health.start()

    async def close(self) -> None:
        """Callable at any time, and twice."""
        await self.health.close()
        while self._decoders:
            decoder = self._decoders[-1]
            await decoder.close()
            if decoder in self._decoders:
                self._decoders.remove(decoder)

    def _new_health(self) -> Health:
        """Whether it decodes is only tried where there is a doubt."""
        given = self._settings
        breaker = Breaker(given.failures, given.probe_interval, given.longest_probe_interval)
        return Health(breaker, self._try, self._try, interval=None, soon=given.probe_interval)

    async def _try(self) -> None:
        try:
            async with self.open(0) as stream:
                for _ in range(_TRIAL):
                    stream.push((0,) * 7)
                stream.finish()
                while await stream.get() is not None:
                    pass
        except SnacError as error:
            raise EngineUnavailable("SNAC's decoder fails") from error
