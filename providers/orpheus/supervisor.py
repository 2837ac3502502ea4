"""What is known of the llama-server behind the engine: how many slots it has, whether its model is Orpheus's, and what
is wrong with it."""

from __future__ import annotations

import logging

from providers.base import ProviderError
from providers.orpheus import options
from providers.orpheus.breaker import Breaker
from providers.orpheus.completion import Down, Rubbish, Stalled
from providers.orpheus.health import Health
from providers.orpheus.llama import Llama, Refused, Server
from providers.orpheus.prompt import prompt
from providers.orpheus.settings import OrpheusSettings
from providers.orpheus.slots import Slots
from providers.orpheus.tokens import Frames, NoSpeech

log = logging.getLogger(__name__)

_PROMPT_TOKENS = 200
"""What a prompt takes of a slot's context at most: 300 characters and its frame."""
_SERVERS_FAULT = (Down, Stalled, Rubbish)
_DOUBTFUL = (NoSpeech, Refused)
_NO_ORPHEUS = "the model behind llama-server does not speak as Orpheus does"


class Supervisor:
    """Asks ``llama`` and sizes ``slots``."""

    def __init__(self, llama: Llama, slots: Slots, settings: OrpheusSettings) -> None:
        self.server: Server | None = None
        """As it was when it answered last."""
        self._llama = llama
        self._slots = slots
        self._settings = settings
        self._proven: Server | None = None
        """The last one whose model was heard to speak, until there is a doubt."""
        breaker = Breaker(settings.failures, settings.probe_interval, settings.longest_probe_interval)
        soon = min(settings.probe_interval, settings.check_interval)
        self.health = Health(breaker, self._probe, self._glance, interval=settings.check_interval, soon=soon)

    def ended(self, error: ProviderError | None, *, answered: bool) -> None:
        """A request is over. ``answered``: a token came."""
        if isinstance(error, _SERVERS_FAULT):
            self.health.failed(error)
        elif answered:
            self.health.worked()
        if isinstance(error, _DOUBTFUL):
            # A caller's text or options may bring that about, so it does not close the engine to everybody else. But
            # so does a server that has another model now.
            self._proven = None
            self.health.doubt()

    async def _probe(self) -> None:
        """Whether the server is up and its model says audio tokens. Its slots are read again: it may be another."""
        server = await self._llama.server()
        await self._try_out(server)
        self._learn(server)

    async def _glance(self) -> None:
        """Whether it is still up, and has as many slots as before. Its model is tried where that is in doubt, but not
        while all slots are at work: the trial would wait, and look like a server that stalls."""
        server = await self._llama.server()
        self._learn(server)
        if (self._proven is None or self._proven.model != server.model) and self._slots.free:
            async with self._slots.one():
                await self._try_out(server)

    async def _try_out(self, server: Server) -> None:
        """Raises ``NoSpeech`` where the model does not begin with a frame."""
        said = Frames()
        trial = prompt("tara", "Ready.")
        assert trial is not None
        try:
            async with self._llama.completion(options.trial(trial)) as completion:
                while (tokens := await completion.read()) is not None:
                    for token in tokens:
                        said.push(token)
        except Refused as error:
            # The vocabulary of another model may lack the tokens of the prompt.
            raise NoSpeech(_NO_ORPHEUS) from error
        if not said.frames:
            raise NoSpeech(_NO_ORPHEUS)
        self._proven = server

    def _learn(self, server: Server) -> None:
        if server == self.server:
            return
        self.server = server
        self._slots.resize(min(server.slots, self._settings.places or server.slots))
        log.info("llama-server at %s has %d slots, %d are used", self._llama.address, server.slots, self._slots.places)
        needed = self._settings.max_tokens + _PROMPT_TOKENS
        if server.context is not None and server.context < needed:
            log.warning(
                "a slot of llama-server holds %d tokens, less than the %d that a long sentence may take: "
                "give it a larger context (-c)",
                server.context,
                needed,
            )
