"""What works on this machine, and what would fix the rest."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from providers.registry import Providers

PYTHON = (3, 11)
PACKAGES = (
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "websockets",
    "pydantic",
    "orjson",
    "prometheus-client",
    "numpy",
    "av",
    "lameenc",
    "ffmpeg-python",
    "imageio-ffmpeg",
    "hibari-tts",
)
_NO_SPEECH = {"mock_tone"}
"""Engines that make sound, but do not speak."""
_CLOSE_TIMEOUT = 10.0
_VOICES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. ``fix`` is the line that would mend it; ``optional``: the gateway runs without."""

    name: str
    ok: bool
    found: str
    fix: str | None = None
    optional: bool = False


def check_machine() -> list[Check]:
    """Python, the packages, ffmpeg, the cores and the port. Blocking, for a second or so."""
    return [_python(), *_packages(), _ffmpeg(), _cores(), _port()]


def can_speak(engines: list[Check]) -> bool:
    return any(engine.ok and engine.name.removeprefix("engine ") not in _NO_SPEECH for engine in engines)


async def check_engines(limit: float) -> AsyncIterator[tuple[str, Check | None]]:
    """Really start every registered engine, one after the other, ``limit`` seconds each at most.

    Says each engine's id with ``None`` when it is tried, and again with what was found.
    """
    from providers.registry import PROVIDERS

    isolated = _isolated()
    for name in PROVIDERS:
        yield name, None
        yield name, await check_engine(name, limit, isolated=name in isolated)


async def check_engine(name: str, limit: float, *, isolated: bool = False) -> Check:
    """Start the engine of that id, list its voices and close it. Never raises."""
    from providers.base import MissingDependency, ProviderError
    from providers.registry import Providers

    label = f"engine {name}"
    engines = Providers([name], isolated=[name] if isolated else [])
    began = time.monotonic()
    try:
        async with asyncio.timeout(limit):
            await engines.start()
        engines.get(name)
        voices = [voice.id for _, voice in engines.voices]
        took = time.monotonic() - began
        return Check(label, True, f"started in {took:.1f} s; {_joined(_detail(engines, name), _listed(voices))}")
    except TimeoutError:
        return Check(label, False, f"did not start within {limit:g} s", f"voxwire doctor --timeout {limit * 4:g}")
    except MissingDependency as error:
        return Check(label, False, "not installed", error.fix, optional=True)
    except ProviderError as error:
        return Check(label, False, _joined(str(error), _detail(engines, name)), optional=True)
    finally:
        # An engine that hangs may hang here too.
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await engines.close()
        except TimeoutError:
            pass


def _isolated() -> tuple[str, ...]:
    """The engines that the settings give a process of their own."""
    try:
        from pydantic import ValidationError

        from gateway.config import Settings
    except ImportError:
        return ()
    try:
        return Settings().isolated_engines
    except ValidationError:
        # Said where the port is checked.
        return ()


def _detail(engines: Providers, name: str) -> str | None:
    """What the engine says of itself, such as what it computes on, and why."""
    return getattr(engines.engine(name).provider, "detail", None)


def _joined(*parts: str | None) -> str:
    return "; ".join(part for part in parts if part)


def _listed(voices: list[str]) -> str:
    shown = ", ".join(voices[:_VOICES_SHOWN])
    return f"voices: {shown}" + (f" and {len(voices) - _VOICES_SHOWN} more" if len(voices) > _VOICES_SHOWN else "")


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= PYTHON
    wanted = ".".join(map(str, PYTHON))
    return Check("Python", ok, f"{found}, {sys.executable}", None if ok else f"install Python {wanted} or newer")


def _packages() -> list[Check]:
    return [_package(name) for name in PACKAGES if name != "uvloop" or sys.platform != "win32"]


def _package(name: str) -> Check:
    try:
        return Check(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, "not installed", f"{sys.executable} -m pip install {name}")


def _ffmpeg() -> Check:
    """The binary that normalises uploads: the one that comes with ``imageio-ffmpeg``, or the system's."""
    try:
        import imageio_ffmpeg

        path = str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        path = shutil.which("ffmpeg") or ""
    fix = f"{sys.executable} -m pip install imageio-ffmpeg"
    if not path:
        return Check("ffmpeg", False, "not found", fix, optional=True)
    try:
        answer = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=10, check=True)
        version = answer.stdout.split("\n", 1)[0].removeprefix("ffmpeg version ").split(" ", 1)[0]
    except (OSError, subprocess.SubprocessError):
        return Check("ffmpeg", False, f"{path} does not run", fix, optional=True)
    return Check("ffmpeg", True, f"{version}, {path}")


def _cores() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("CPU cores", True, str(cores))


def _port() -> Check:
    """Whether the gateway could listen where its settings say."""
    try:
        from pydantic import ValidationError

        from gateway.config import Settings
    except ImportError as error:
        return Check("port", False, f"the settings cannot be read without {error.name}")
    try:
        settings = Settings()
    except ValidationError as error:
        names = ", ".join("_".join(map(str, problem["loc"])) for problem in error.errors())
        return Check("settings", False, f"wrong: {names}", "correct .env or the VOXWIRE_* variables")
    where = f"{settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        fix = "if that is no gateway of yours: voxwire serve --port 0"
        return Check("port", False, f"{where} {reason}", fix, optional=True)
    return Check("port", True, f"{where} is free")
