"""The models that the settings name, and their voices, as far as they are known without torch."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from providers.base import Voice
from providers.coqui.names import names_in

log = logging.getLogger(__name__)

XTTS = "xtts"
_XTTS_RATE, _USUAL_RATE = 24_000, 22_050
_RATES = range(4_000, 192_001)
_NAME = re.compile(r"tts_models(?:/[\w.-]+){3}")
_CHECKPOINTS = ("model.pth", "model_file.pth", "best_model.pth")
_SPEAKER_FILES = ("speakers_file", "speaker_ids_file", "d_vector_file")


@dataclass(frozen=True)
class Source:
    """A model as the operator named it: a folder, a checkpoint, or a name of Coqui's list."""

    given: str

    @cached_property
    def id(self) -> str:
        """What its voices are called by: ``vits`` of ``tts_models/en/ljspeech/vits`` would say too little."""
        if self.named:
            _, language, dataset, model = self.given.split("/")
            return model if language == "multilingual" else f"{language}-{dataset}-{model}"
        path = Path(self.given)
        return path.stem if path.is_file() and path.stem not in _PLAIN_STEMS else self._folder.name

    @property
    def named(self) -> bool:
        return _NAME.fullmatch(self.given) is not None

    @cached_property
    def path(self) -> Path | None:
        """Where it lies: a folder, or the file of its weights. ``None`` where it is yet to be fetched."""
        if self.named:
            return fetched(self.given)
        path = Path(self.given).expanduser()
        return path if path.exists() else None

    def look(self) -> None:
        """Forget what was found: where nothing was, something may lie now."""
        for name in ("path", "config"):
            self.__dict__.pop(name, None)

    @property
    def checkpoint(self) -> Path | None:
        """What Coqui's loader is given: for XTTS the folder, for the others the file."""
        if self.path is None or self.path.is_file():
            return self.path
        if self.kind == XTTS:
            return self.path
        known = [self.path / name for name in _CHECKPOINTS if (self.path / name).is_file()]
        others = sorted(path for path in self.path.glob("*.pth") if not path.stem.startswith("speaker"))
        return next(iter(known or others), None)

    @property
    def config_path(self) -> Path:
        return self._folder / "config.json"

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """As its file says it; empty where there is none that can be read."""
        try:
            found = json.loads(self.config_path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def kind(self) -> str:
        """``xtts``, ``vits``, ``tacotron2`` and so on."""
        return str(self.config.get("model", XTTS if XTTS in self.given.lower() else "")).lower()

    @property
    def rate(self) -> int:
        """Hz."""
        audio = self._section("audio")
        usual = _XTTS_RATE if self.kind == XTTS else _USUAL_RATE
        said = audio.get("output_sample_rate") or audio.get("sample_rate")
        # What makes no sense is said when it is loaded.
        return said if isinstance(said, int) and said in _RATES else usual

    @property
    def speakers(self) -> list[str]:
        """Their names; none where it has one voice."""
        if self.kind == XTTS:
            return _names(self._folder / "speakers_xtts.pth")
        arguments = self._section("model_args")
        given = self.config.get("speakers")
        if isinstance(given, list) and given:
            return [str(name) for name in given]
        files = [self.config.get(name) or arguments.get(name) for name in _SPEAKER_FILES]
        return next((_names(self._folder / Path(str(name)).name) for name in files if name), [])

    @property
    def language(self) -> str:
        """A BCP 47 tag."""
        if self.kind == XTTS or "/multilingual/" in self.given:
            return "mul"
        said = self.given.split("/")[1] if self.named else self.config.get("phoneme_language") or ""
        tag = str(said).replace("_", "-")
        return tag if re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*", tag) else "und"

    def _section(self, name: str) -> Mapping[str, Any]:
        found = self.config.get(name)
        return found if isinstance(found, dict) else {}

    @property
    def _folder(self) -> Path:
        if self.path is None:
            return Path(self.given)
        return self.path.parent if self.path.is_file() else self.path


_PLAIN_STEMS = frozenset(Path(name).stem for name in _CHECKPOINTS)


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice, and who speaks it."""

    voice: Voice
    source: Source
    name: str | None
    """As the model knows it, where it has several."""


def speakers(sources: Iterable[Source], default: str | None = None) -> dict[str, Speaker]:
    """By the voice's id, the ``default`` first."""
    found: dict[str, Speaker] = {}
    for source in sources:
        # A model that is yet to be fetched has one voice, as far as is known, and one of a single speaker. An XTTS has
        # those in a file beside it, or those of clips alone.
        silent = source.kind == XTTS and source.path is not None
        for name in source.speakers or (() if silent else (None,)):
            title = source.id if name is None else name.strip()
            voice = Voice(source.id if name is None else f"{source.id}:{title}", title, source.language, source.rate)
            found[voice.id] = Speaker(voice, source, name)
    chosen = found.get(default or "")
    return found if chosen is None else {chosen.voice.id: chosen, **found}


def listed(name: str) -> Mapping[str, Any]:
    """What Coqui's list says of a model; nothing where it is not in it, or Coqui is not installed."""
    spec = importlib.util.find_spec("TTS")
    for folder in (spec and spec.submodule_search_locations) or ():
        try:
            found: Any = json.loads(Path(folder, ".models.json").read_bytes())
            for part in name.split("/"):
                found = found[part]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        return found if isinstance(found, dict) else {}
    return {}


def agreed(name: str) -> bool:
    """Whether somebody has agreed to its licence before, on the terminal."""
    return (_home(name) / "tos_agreed.txt").exists()


def _home(name: str) -> Path:
    """Where Coqui keeps a model of its list."""
    home = os.environ.get("TTS_HOME") or os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home, "tts", name.replace("/", "--"))


def fetched(name: str) -> Path | None:
    """Where a model of Coqui's list lies, if it was fetched before."""
    folder = _home(name)
    if (folder / "config.json").is_file():
        return folder
    repository = listed(name).get("repo_id")
    if repository is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repository, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def _names(path: Path) -> list[str]:
    try:
        return names_in(path)
    except (OSError, ValueError) as error:
        if path.exists():
            log.warning("the speakers in %s cannot be read: %s", path.name, error)
        return []
