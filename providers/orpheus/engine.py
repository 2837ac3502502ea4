"""The provider: a segment is asked of llama-server, and what comes is decoded while more of it comes."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar

from audio.snac import Decoder, DecoderBusy, DecoderClosed, PackageMissing, SnacError
from providers.base import (
    SAMPLE_WIDTH,
    Capabilities,
    EngineBusy,
    EngineFailed,
    EngineUnavailable,
    MissingDependency,
    PcmChunk,
    ProviderError,
    Segment,
    UnknownVoice,
    Voice,
)
from providers.orpheus import options
from providers.orpheus.completion import Down, Rubbish, Timeouts
from providers.orpheus.decoding import Decoding
from providers.orpheus.health import Health
from providers.orpheus.llama import Llama
from providers.orpheus.prompt import SAMPLE_RATE, VOICES, Prompt, prompt
from providers.orpheus.settings import OrpheusSettings, read
from providers.orpheus.slots import Slots
from providers.orpheus.speech import Attempt
from providers.orpheus.supervisor import Supervisor
from providers.orpheus.tokens import NoSpeech

log = logging.getLogger(__name__)

_PIECE = SAMPLE_RATE // 5 * SAMPLE_WIDTH
"""Bytes of a chunk at most: 200 ms, so that a cancel and a channel bounded in time have a fine grain."""
_INSTALL = "pip install 'voxwire[orpheus]'"
_SEEDS = int(options.SEED.highest) + 1
_CLOSED = "engine 'orpheus' is not started, or is closed"


class Orpheus:
    """One llama-server and one SNAC decoder. ``settings``: from the environment where not given. ``decoder`` makes
    the decoder, for tests."""

    id: ClassVar[str] = "orpheus"
    # 2048 tokens are 25 seconds, in which even a slow voice says 300 characters.
    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, max_characters=300, segments_at_once=1)
    option_names: ClassVar[frozenset[str]] = frozenset(options.OPTIONS)

    def __init__(
        self, settings: OrpheusSettings | None = None, *, decoder: Callable[[OrpheusSettings], Decoder] | None = None
    ) -> None:
        self.settings = settings or read()
        given = self.settings
        key = given.api_key.get_secret_value() if given.api_key else None
        timeouts = Timeouts(given.connect_timeout, given.first_token_timeout, given.token_timeout)
        self.llama = Llama(given.url, key=key, timeouts=timeouts)
        make = decoder or _decoder
        self._decoding = Decoding(lambda: make(given), given)
        self.slots = Slots(given.places or 1)
        self.slips = 0
        """How often the model left a slot out or said one twice."""
        self.lost = 0
        """Tokens that are in no frame for it."""
        self._attempts: set[Attempt] = set()
        self._supervisor = Supervisor(self.llama, self.slots, given)
        self._started = False
        self._closed = 0
        """How often."""

    # ---- what the gateway may know

    @property
    def places(self) -> int:
        return self.slots.places

    @property
    def account(self) -> str:
        """The server, whose slots are shared by every gateway that uses it. On a loopback address each machine has
        one of its own."""
        return f"llama-server {self.settings.server or self.llama.name}"

    @property
    def health(self) -> Health:
        return self._supervisor.health

    @property
    def trouble(self) -> ProviderError | None:
        return self.health.trouble or self._decoding.health.trouble

    @property
    def detail(self) -> str | None:
        """For whoever runs the gateway: what was found at the start."""
        if not self._started:
            return None
        places = f"{self.places} places; " if self._supervisor.server else ""
        return f"{places}SNAC: {self.decoder.backend}"

    @property
    def decoder(self) -> Decoder:
        """That of the last start."""
        return self._decoding.decoder

    async def voices(self) -> Sequence[Voice]:
        return tuple(VOICES.values())

    def check(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return options.check(given)

    # ---- start and end

    async def start(self) -> None:
        """Load SNAC, and ask llama-server what it has. A server that is down is no reason to fail: the engine is then
        in trouble until a probe finds it. Raises ``MissingDependency`` or ``EngineUnavailable`` for everything else."""
        if self._started:
            return
        closed = self._closed
        try:
            await self._decoding.start()
        except PackageMissing as error:
            # Whatever it is that is missing, and whatever else is: that line has all of it.
            raise MissingDependency(self.id, _INSTALL) from error
        except SnacError as error:
            raise EngineUnavailable(f"engine {self.id!r} cannot decode: {error}") from error
        self._supervisor = Supervisor(self.llama, self.slots, self.settings)
        if closed == self._closed:
            await self.health.start()
        if closed != self._closed:
            raise EngineUnavailable(f"engine {self.id!r} was closed while it started")
        self._started = True

    async def close(self) -> None:
        """Whoever speaks is told. It may be started again."""
        self._started = False
        self._closed += 1
        await self.health.close()
        self.slots.refuse(EngineUnavailable(_CLOSED))
        for attempt in tuple(self._attempts):
            attempt.cut(EngineUnavailable(_CLOSED))
        await self._decoding.close()
        await self.llama.close()

    # ---- speaking

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        voice = segment.voice.id
        if voice not in VOICES:
            raise UnknownVoice(f"engine {self.id!r} has no such voice; it has: {', '.join(VOICES)}")
        self._check_ready()
        asked = prompt(voice, segment.text)
        if asked is None:
            return
        for tries_left in reversed(range(self.settings.attempts)):
            sounded = False
            try:
                async with aclosing(self._attempt(asked, segment.options)) as pieces:
                    async for piece in pieces:
                        sounded = True
                        yield PcmChunk(piece)
                return
            except (Down, Rubbish, NoSpeech) as error:
                # What was heard is not said again, and who has waited for a stalled server has waited enough.
                if sounded or not tries_left:
                    raise
                log.info("trying again: %s", error)
            await asyncio.sleep(self.settings.retry_delay * 2 ** (self.settings.attempts - 1 - tries_left))
            self._check_ready()

    def _check_ready(self) -> None:
        if not self._started:
            raise EngineUnavailable(_CLOSED)
        trouble = self.trouble
        if trouble is not None:
            raise trouble

    async def _attempt(self, asked: Prompt, given: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        # One seed for the tokens and for the decoder's noise: with it a segment can be made again.
        chosen = {"seed": random.randrange(_SEEDS), **self.settings.sampling, **given}
        try:
            async with self._decoding.open(chosen["seed"]) as sound:
                attempt = Attempt(self.llama, self.slots, options.request(asked, chosen), sound)
                self._attempts.add(attempt)
                try:
                    async with attempt, aclosing(_pieces(attempt)) as pieces:
                        async for piece in pieces:
                            yield piece
                finally:
                    self._attempts.discard(attempt)
                    self._tally(attempt)
                if attempt.error is not None:
                    raise attempt.error
                self._decoding.ended(None)
        except DecoderClosed:
            raise EngineUnavailable(_CLOSED) from None
        except DecoderBusy as error:
            raise EngineBusy(f"engine {self.id!r} has no room now", retry_after=1.0) from error
        except SnacError as error:
            self._decoding.ended(error)
            raise EngineFailed(f"engine {self.id!r} cannot decode what the model says") from error

    def _tally(self, attempt: Attempt) -> None:
        """Remember of an attempt how it went, also of one that was left before its end."""
        frames = attempt.frames
        self.slips += frames.slips
        self.lost += frames.lost
        if frames.slips:
            log.info("the model slipped %d times in %d frames", frames.slips, frames.frames)
        if attempt.stopped == "limit":
            # Somebody heard a sentence break off.
            log.warning("a segment was cut at its limit of tokens, after %d frames", frames.frames)
        self._supervisor.ended(attempt.error, answered=attempt.answered)


def _decoder(given: OrpheusSettings) -> Decoder:
    return Decoder(given.weights, backend=given.backend, device=given.device, exact=given.exact, cache=given.cache)


async def _pieces(attempt: Attempt) -> AsyncGenerator[bytes, None]:
    """The sound in short pieces. Where the tokens broke off before any of it was taken, there is none: another
    attempt may begin from the start."""
    sounded = False
    while (pcm := await attempt.get()) is not None:
        if attempt.error is not None and not sounded:
            return
        sounded = True
        for start in range(0, len(pcm), _PIECE):
            yield pcm[start : start + _PIECE]
