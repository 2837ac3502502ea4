"""One voice of the library: all that is known of it but its prompt, which may be megabytes."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from providers.base import Voice

MAX_PROMPT = 8 * 1024 * 1024
"""Bytes of what an engine needs to speak with a voice."""
MAX_RECORD = 16 * 1024
"""Bytes of everything else that is kept of one, as JSON."""
MAX_DESCRIPTION = 1000
MAX_TRANSCRIPT = 2000
"""Characters."""
_LONGEST_ID = 64
_BREAKS = re.compile(r"[^a-z0-9]+")

# In pydantic's patterns, as in JSON Schema's, ``$`` is the very end, not the place before a last line break.
VoiceId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""What a voice is called where one is spoken with."""
VoiceName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]
"""Anything that is written in one line."""
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}$")]
"""A BCP 47 tag, about."""


class Wish(BaseModel):
    """What a caller says of a voice that is to be made."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    name: VoiceName
    """For people."""
    id: VoiceId | None = None
    """What it is to be called where it is spoken with; made from the name where it is left out."""
    provider: str | None = Field(None, max_length=256)
    """The engine to speak with it; the first that can where it is left out."""
    language: Language | None = None
    """A BCP 47 tag."""


class LibraryVoice(BaseModel):
    """As it is kept, and as it is checked when it comes back: it was kept where others may have written."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    token: str = Field(pattern=r"^[0-9a-f]{32}\z")
    """Names what was made, for good: a voice that is removed and made again is another one."""
    owner: str = Field(max_length=256, pattern=r"^[^\x00-\x1f]*\z")
    id: VoiceId
    name: VoiceName
    provider: str = Field(min_length=1, max_length=256)
    kind: Literal["cloned", "designed"]
    language: str = Field(max_length=64)
    sample_rate: int = Field(ge=1, le=768_000)
    gender: str | None = Field(None, max_length=64)
    description: str | None = Field(None, max_length=MAX_DESCRIPTION)
    created: float = Field(ge=0, allow_inf_nan=False)
    """Seconds since 1970."""
    size: int = Field(ge=1, le=MAX_PROMPT)
    """Bytes of its prompt."""
    digest: str = Field(pattern=r"^[0-9a-f]{64}\z")
    """SHA-256 of its prompt, in hexadecimal digits."""

    def spoken(self, prompt: bytes | None = None) -> Voice:
        """As an engine takes it; without a prompt it is good for a list."""
        return Voice(self.id, self.name, self.language, self.sample_rate, self.gender, self.description, prompt or None)

    def holds(self, prompt: bytes) -> bool:
        """Whether this is its prompt. Takes a few milliseconds a megabyte."""
        return len(prompt) == self.size and digest(prompt) == self.digest


@dataclass(frozen=True, slots=True)
class Making:
    """A voice on its way: what is known of it before the engine has made it."""

    owner: str
    id: str
    wish: Wish
    provider: str
    description: str | None
    """Where it is made from one."""

    def made(self, voice: Voice, now: float) -> LibraryVoice:
        """What is kept of it. Raises ``ValidationError`` where the engine has made something else. Takes a few
        milliseconds for each megabyte."""
        prompt = voice.prompt or b""
        about = self.description or voice.description
        return LibraryVoice(
            token=secrets.token_hex(16),
            owner=self.owner,
            id=self.id,
            name=self.wish.name,
            provider=self.provider,
            kind="cloned" if self.description is None else "designed",
            language=self.wish.language or voice.language,
            sample_rate=voice.sample_rate,
            gender=voice.gender,
            description=about and about[:MAX_DESCRIPTION],
            created=now,
            size=len(prompt),
            digest=digest(prompt),
        )


def digest(prompt: bytes) -> str:
    return hashlib.sha256(prompt).hexdigest()


def id_of(name: str) -> str:
    """An id for a voice of that name: its Latin letters and digits, in lower case; where there are none, a random
    one."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return _BREAKS.sub("-", plain).strip("-")[:_LONGEST_ID].rstrip("-") or f"voice-{secrets.token_hex(4)}"
