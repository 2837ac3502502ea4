"""``voxwire serve``"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.cli.terminal import answer, fail, note
from gateway.client.aio import DEFAULT_URL
from gateway.config import Settings
from gateway.server import serve

_FLAGS = ("host", "port", "providers", "log_level", "log_format")


def run(arguments: argparse.Namespace) -> int:
    try:
        settings = _settings(arguments)
    except ValidationError as error:
        return fail("\n".join(_explained(error)))
    note(f"Starting {', '.join(settings.enabled_providers)} ...")
    try:
        serve(settings, on_ready=_teller(settings))
    except OSError as error:
        return fail(
            f"cannot listen on {settings.host} port {settings.port}: {(error.strerror or str(error)).lower()}. "
            "Choose another with --port; 0 takes a free one."
        )
    except KeyboardInterrupt:
        # The usual way to stop; the server has drained by now.
        note("Stopped.")
    return 0


def _settings(arguments: argparse.Namespace) -> Settings:
    given: dict[str, Any] = {name: getattr(arguments, name) for name in _FLAGS}
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _explained(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False):
        name = "_".join(str(part) for part in problem["loc"])
        lines.append(f"the setting {name} is wrong: {problem['msg'][0].lower()}{problem['msg'][1:]}")
    return lines


def _teller(settings: Settings) -> Callable[[str], None]:
    def tell(url: str) -> None:
        key = bool(settings.api_keys)
        at = "" if url == DEFAULT_URL else f" --url {url}"
        header = " -H 'authorization: Bearer KEY'" if key else ""
        header += " -H 'content-type: application/json'"
        body = """-d '{"input": "Hello there. How are you?"}'"""
        answer(f"Voxwire is ready at {url}")
        answer()
        answer(f"  page      {url}/")
        answer(f'  command   {_command()} say "Hello there. How are you?"{at}{" --api-key KEY" if key else ""}')
        answer(f"  curl      curl {url}/v1/audio/speech{header} {body} -o hello.mp3")
        answer()
        answer("Ctrl-C stops it.")

    return tell


def _command() -> str:
    """What to type for ``voxwire`` here: a virtual environment need not be on the path."""
    script = Path(sys.executable).with_name("voxwire")
    found = shutil.which("voxwire")
    if found is not None and (not script.exists() or Path(found).samefile(script)):
        return "voxwire"
    return os.path.relpath(script) if script.exists() else f"{sys.executable} -m gateway"
