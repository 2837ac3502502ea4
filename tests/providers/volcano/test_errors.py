from __future__ import annotations

import pytest

from providers.base import EngineBusy, EngineFailed, EngineUnavailable, ProviderError, UnknownVoice
from providers.volcano.errors import Denied, NotGranted, Refusal


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refusal(45000292, "quota exceeded for types: concurrency"), EngineBusy),
        (Refusal(45000000, "quota exceeded for types: concurrency"), EngineBusy),
        (Refusal(3003, "quota exceeded for types: concurrency"), EngineBusy),
        (Refusal(status=429), EngineBusy),
        (Refusal(45000292, "quota exceeded for types: text_lifetime"), Denied),
        (Refusal(3001, "quota exceeded for types: xxxxxxxxx_lifetime", 403), Denied),
        (Refusal(3005, "backend busy"), EngineUnavailable),
        (Refusal(3030, "timeout"), EngineUnavailable),
        (Refusal(3031, "processing error"), EngineUnavailable),
        (Refusal(3032, "waiting for audio"), EngineUnavailable),
        (Refusal(3040, "backend link"), EngineUnavailable),
        (Refusal(55000000, "synthesis processing timeout"), EngineUnavailable),
        (Refusal(55000000, "session number limit exceeded: 1"), EngineUnavailable),
        (Refusal(55000001, "session error"), EngineUnavailable),
        (Refusal(status=502), EngineUnavailable),
        (Refusal(55000000, "resource ID is mismatched with speaker related resource"), UnknownVoice),
        (Refusal(45000001, "[Invalid argument] speaker not found"), UnknownVoice),
        (Refusal(3031, "Fail to feed text, reason Init Engine Instance failed"), UnknownVoice),
        (Refusal(3050, "voice does not exist"), UnknownVoice),
        (Refusal(45002000, "TTS invalid speaker"), UnknownVoice),
        (Refusal(45000010, "Invalid X-Api-Key", 401), Denied),
        (Refusal(3001, "authenticate request: load grant: requested grant not found"), Denied),
        (Refusal(45000030, "[resource_id=volc.service_type.10029] requested resource not granted", 403), NotGranted),
        (Refusal(3001, "[resource_id=volc.tts.default] requested resource not granted", 403), NotGranted),
        (Refusal(3001, "extract request resource id: get resource id: access denied"), NotGranted),
        (Refusal(45000000, "speaker permission denied: get resource id: access denied"), NotGranted),
        (Refusal(status=401), Denied),
        (Refusal(status=403), NotGranted),
        (Refusal(3010, "text too long"), EngineFailed),
        (Refusal(40402003, "TTSExceededTextLimit:exceed max limit"), EngineFailed),
        (Refusal(3011, "illegal input text!"), EngineFailed),
        (Refusal(45002001, "No readable text!"), EngineFailed),
        (Refusal(3006, "reused reqid"), EngineFailed),
        (Refusal(45000001, "[Invalid argument] InvalidModel"), EngineFailed),
        (Refusal(status=400), EngineFailed),
        (Refusal(), EngineFailed),
    ],
    ids=lambda value: f"{value.code or value.status}" if isinstance(value, Refusal) else value.__name__,
)
def test_a_refusal_is_whose_it_is(refusal: Refusal, kind: type[ProviderError]) -> None:
    error = refusal.error
    assert type(error) is kind
    assert error.retryable == (kind in (EngineBusy, EngineUnavailable))


def test_what_the_service_says_is_not_passed_on() -> None:
    assert "secret" not in str(Refusal(45000001, "appid secret, text secret").error)
