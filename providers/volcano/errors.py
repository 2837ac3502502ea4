"""What the service's refusals mean: whose fault it is, and whether another try may help.

Sources: documents 6561/1329505, 6561/1598757, 6561/2534853 and 6561/1257584 of the vendor, and what was seen to come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from providers.base import EngineBusy, EngineFailed, EngineUnavailable, ProviderError, UnknownVoice

OK = 20000000
OK_V1 = 3000
_RETRY_AFTER = 1.0
_CONCURRENCY = {3003, 45000292}
_TRANSIENT = {3005, 3030, 3031, 3032, 3040}
_NOT_GRANTED = re.compile(r"not granted|access denied|permission denied")
_DENIED = re.compile(r"grant|api[- ]?key|app ?key|access_key|resource id empty")
_VOICE_CODES = {3050, 45002000}
_VOICE = re.compile(r"mismatched|speaker not found|invalid speaker|init engine instance failed")
_LENGTH_CODES = {3010, 40402003}
_LENGTH = re.compile(r"size too large|exceed max limit")
_UNREADABLE = {3011, 45002001}
_HTTP_TRANSIENT = {408, 500, 502, 503, 504}


class Denied(ProviderError):
    """The service does not take the credentials, or they may not use what was asked for."""

    code = "engine_denied"


class NotGranted(Denied):
    """The account is known, and was not granted the resource of this voice."""


class Broken(EngineUnavailable):
    """The connection ended before the sound did."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the service said. ``code`` is its own; ``status`` that of HTTP, where it came before any code."""

    code: int = 0
    message: str = ""
    status: int | None = None

    @property
    def error(self) -> ProviderError:
        """The same for whoever asked: in our words, since theirs may name what is nobody's business."""
        code, said = self.code, self.message.lower()
        about = f"(code {code or self.status})"
        for applies, error in (
            # A trial that is used up is said with the same words as a quota of which there is more in a moment.
            ("_lifetime" in said, Denied(f"the account's trial of the speech service is used up {about}")),
            (
                code in _CONCURRENCY or "concurrency" in said or self.status == 429,
                EngineBusy("the account speaks as much at once as it may", retry_after=_RETRY_AFTER),
            ),
            (
                code in _VOICE_CODES or _VOICE.search(said),
                UnknownVoice(f"the speech service has no such voice {about}"),
            ),
            (
                code == 45000030 or _NOT_GRANTED.search(said) or (not code and self.status == 403),
                NotGranted(f"the account may not use this voice of the speech service {about}"),
            ),
            (
                code == 45000010 or _DENIED.search(said) or (not code and self.status == 401),
                Denied(f"the speech service refuses the account {about}"),
            ),
            (
                code in _LENGTH_CODES or _LENGTH.search(said),
                EngineFailed(f"the text is too long for the speech service {about}"),
            ),
            (code in _UNREADABLE, EngineFailed(f"the speech service finds nothing to read in the text {about}")),
            (
                code in _TRANSIENT or code // 1000000 == 55 or (not code and self.status in _HTTP_TRANSIENT),
                EngineUnavailable(f"the speech service has failed {about}", retry_after=_RETRY_AFTER),
            ),
        ):
            if applies:
                return error
        return EngineFailed(f"the speech service refuses the request {about}")


def broken() -> Broken:
    return Broken("the speech service has ended the connection", retry_after=_RETRY_AFTER)


def unreachable() -> EngineUnavailable:
    return EngineUnavailable("the speech service cannot be reached", retry_after=_RETRY_AFTER)


def late(seconds: float) -> EngineUnavailable:
    return EngineUnavailable(f"the speech service gave no answer within {seconds:g} seconds", retry_after=_RETRY_AFTER)


def silent() -> EngineFailed:
    """It says that it has spoken, and no sound came: a text in a language that the voice does not have, for one."""
    return EngineFailed("the speech service made no sound of the text: the voice may not have its language")
