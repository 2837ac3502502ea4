"""Who asks: the key of the new console, or an application's id and access key of the old one. Nothing here shows a
secret in its representation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from providers.base import BadOption
from providers.volcano.settings import VolcanoSettings

_NAMES = {
    "api_key": "api_key",
    "volcengine_tts_api_key": "api_key",
    "app_id": "app_id",
    "appid": "app_id",
    "volcengine_tts_appid": "app_id",
    "access_key": "access_key",
    "access_token": "access_key",
    "volcengine_tts_access_key": "access_key",
}
_LONGEST = 512


@dataclass(frozen=True, slots=True)
class Credentials:
    api_key: str = field(default="", repr=False)
    app_id: str = field(default="", repr=False)
    access_key: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: VolcanoSettings) -> Credentials:
        return cls(settings.api_key.get_secret_value(), settings.app_id, settings.access_key.get_secret_value())

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Credentials:
        """Those of a request. Raises ``BadOption``, which shows nothing of them."""
        found: dict[str, str] = {}
        for name, value in given.items():
            if name not in _NAMES:
                raise BadOption(f"there are no such credentials; engine 'volcano' takes: {', '.join(_NAMES)}")
            # What goes into a header must be one line of it.
            if not isinstance(value, str) or len(value) > _LONGEST or not (value.isascii() and value.isprintable()):
                raise BadOption("credentials are texts of printable ASCII characters")
            found[_NAMES[name]] = value.strip()
        credentials = cls(**found)
        if not credentials.complete:
            raise BadOption("engine 'volcano' needs an api_key, or an app_id and an access_key")
        return credentials

    @property
    def complete(self) -> bool:
        return bool(self.api_key or (self.app_id and self.access_key))

    @property
    def account(self) -> str:
        """A name for what the quota belongs to, from which no secret can be read."""
        owner = f"app {self.app_id}" if self.app_id else f"key {self.api_key}"
        return "volcano-" + hashlib.blake2b(owner.encode(), digest_size=8).hexdigest()

    @property
    def headers(self) -> dict[str, str]:
        """For version 3."""
        if self.api_key:
            return {"X-Api-Key": self.api_key}
        # The one is in the documents, the other in the vendor's own client; the service reads either.
        return {
            "X-Api-App-Id": self.app_id,
            "X-Api-App-Key": self.app_id,
            "X-Api-Access-Key": self.access_key,
        }

    def censor(self, message: str) -> str:
        """What the service said, with none of them in it."""
        for secret in (self.api_key, self.access_key, self.app_id):
            if secret:
                message = message.replace(secret, "***")
        return message
