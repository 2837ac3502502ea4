"""Which voices there are, and how each is reached.

``voices.csv`` has those of the vendor's lists (documents 6561/1257544 of 2026-10-13 and 6561/97465). Others, such as
clones, are configured as ``id``, ``id:language`` or ``id:language:resource``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from providers.base import EngineUnavailable, Voice

_CONFIGURED = re.compile(r"(?P<id>[^\s:]+)(?::(?P<language>[A-Za-z]{2,3}(?:-[A-Za-z0-9]+)*)?)?(?::(?P<resource>\S+))?")
_SECOND = "seed-tts-2.0"
_FIRST = "seed-tts-1.0"
_CLONE = "seed-icl-2.0"
_SMALL = "volc.tts.default"
_SMALL_RATES = (8000, 16000, 24000)


class Service(Enum):
    """The protocol that a voice speaks."""

    BIDIRECTIONAL = "v3 bidirectional"
    UNIDIRECTIONAL = "v3 unidirectional"
    SMALL = "v1"
    """The small models, whose voices are called BV and a number."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice, the service that speaks it, and the resource that it belongs to: the two must fit."""

    voice: Voice
    service: Service
    resource: str

    @property
    def subtitled(self) -> bool:
        """Its word times come as subtitles, not with the ends of sentences: those of the second generation."""
        return "-2.0" in self.resource


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    language: str
    gender: str | None
    unidirectional: bool


def speakers(sample_rate: int, default: str, configured: Iterable[str], resource: str | None) -> Mapping[str, Speaker]:
    """Every voice by its id, the default first. Raises ``EngineUnavailable`` for one that is written wrongly."""
    found = {id: _speaker(id, row, sample_rate, resource) for id, row in _table().items()}
    for entry in configured:
        match = _CONFIGURED.fullmatch(entry)
        if match is None:
            raise EngineUnavailable(
                "engine 'volcano': a configured voice is not id, id:language or id:language:resource"
            )
        id, language = match["id"], match["language"] or _language(match["id"])
        known = _table().get(id)
        row = _Row(known.name if known else id, language, _gender(id), known.unidirectional if known else False)
        found[id] = _speaker(id, row, sample_rate, match["resource"] or resource)
    if default not in found:
        row = _Row(default, _language(default), _gender(default), False)
        found[default] = _speaker(default, row, sample_rate, resource)
    return {default: found[default], **found}


def resource_of(id: str) -> str:
    """The resource that a voice belongs to, as its id says."""
    if id.startswith("BV"):
        return _SMALL
    if id.startswith(("S_", "icl_")):
        return _CLONE
    if re.search(r"_(moon|mars|wvae)_bigtts$", id):
        return _FIRST
    return _SECOND


def _speaker(id: str, row: _Row, sample_rate: int, resource: str | None) -> Speaker:
    service = Service.BIDIRECTIONAL
    if id.startswith("BV"):
        service, resource = Service.SMALL, _SMALL
        sample_rate = sample_rate if sample_rate in _SMALL_RATES else 24000
    elif row.unidirectional:
        service = Service.UNIDIRECTIONAL
    voice = Voice(id, row.name, row.language, sample_rate, row.gender)
    return Speaker(voice, service, resource or resource_of(id))


@cache
def _table() -> Mapping[str, _Row]:
    with (Path(__file__).parent / "voices.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["id"]: _Row(row["name"], row["language"], row["gender"] or None, bool(row["only"]))
            for row in csv.DictReader(file)
        }


def _language(id: str) -> str:
    prefix = re.match(r"([a-z]{2})_(fe)?male_", id)
    return prefix[1] if prefix else "zh-CN"


def _gender(id: str) -> str | None:
    found = re.search(r"_((?:fe)?male)_", id)
    return found[1] if found else None
