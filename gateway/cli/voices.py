"""``voxwire voices``"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict

import orjson

from gateway.cli.terminal import Progress, answer, fail, note, table
from gateway.client.messages import Voice
from gateway.client.sync import Client
from providers import base

_HEAD = ("VOICE", "ENGINE", "LANGUAGE", "HZ", "ABOUT")


def run(arguments: argparse.Namespace) -> int:
    if arguments.local:
        voices = asyncio.run(_local())
    else:
        with Progress(lambda: f"asking {arguments.url}"), Client(arguments.url, api_key=arguments.api_key) as client:
            voices = client.voices()
    if arguments.json:
        answer(orjson.dumps([asdict(voice) for voice in voices], option=orjson.OPT_INDENT_2).decode())
    elif voices:
        for line in table([_HEAD, *map(_row, voices)]):
            answer(line)
    else:
        return fail("there is no voice: `voxwire doctor` says why")
    return 0


def _row(voice: Voice) -> tuple[str, ...]:
    rate = "" if voice.sample_rate is None else str(voice.sample_rate)
    return voice.id, voice.provider, voice.language or "", rate, voice.description or voice.name


async def _local() -> list[Voice]:
    """The voices of the engines that are set here. They are not started."""
    # Only here: the other way needs no engine, and none of their packages.
    from gateway.config import Settings
    from providers.registry import load

    found = []
    for name in Settings().enabled_providers:
        try:
            provider = load(name)
        except base.ProviderError as error:
            note(f"voxwire: {error}")
            continue
        try:
            found += [_shown(provider.id, voice) for voice in await provider.voices()]
        finally:
            await provider.close()
    return found


def _shown(provider: str, voice: base.Voice) -> Voice:
    return Voice(voice.id, voice.name, provider, voice.language, voice.sample_rate, voice.gender, voice.description)
