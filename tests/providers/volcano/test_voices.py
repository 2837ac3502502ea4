from __future__ import annotations

import pytest

from providers.base import EngineUnavailable
from providers.volcano.voices import Service, resource_of, speakers

DEFAULT = "zh_female_vv_uranus_bigtts"
ALL = speakers(24000, DEFAULT, (), None)


def test_the_table_has_the_vendors_voices_each_once_and_the_default_first() -> None:
    assert len(ALL) > 550
    assert next(iter(ALL)) == DEFAULT
    assert sum(speaker.service is Service.UNIDIRECTIONAL for speaker in ALL.values()) == 27
    assert all(speaker.voice.id == id for id, speaker in ALL.items())


@pytest.mark.parametrize(
    ("id", "service", "resource", "language", "gender"),
    [
        ("zh_female_vv_uranus_bigtts", Service.BIDIRECTIONAL, "seed-tts-2.0", "zh-CN", "female"),
        ("en_male_tim_uranus_bigtts", Service.BIDIRECTIONAL, "seed-tts-2.0", "en-US", "male"),
        ("zh_male_wennuanahu_moon_bigtts", Service.BIDIRECTIONAL, "seed-tts-1.0", "zh-CN", "male"),
        # Its id says English, and its list Chinese.
        ("en_male_jason_conversation_wvae_bigtts", Service.BIDIRECTIONAL, "seed-tts-1.0", "zh-CN", "male"),
        ("en_female_candice_emo_v2_mars_bigtts", Service.BIDIRECTIONAL, "seed-tts-1.0", "en-US", "female"),
        ("ja_male_yusuke_uranus_bigtts", Service.UNIDIRECTIONAL, "seed-tts-2.0", "ja-JP", "male"),
        ("BV001_streaming", Service.SMALL, "volc.tts.default", "zh-CN", "female"),
        ("BV701_streaming", Service.SMALL, "volc.tts.default", "zh-CN", None),
    ],
)
def test_a_voice_is_reached_as_its_kind_is(
    id: str, service: Service, resource: str, language: str, gender: str | None
) -> None:
    speaker = ALL[id]
    assert (speaker.service, speaker.resource) == (service, resource)
    assert (speaker.voice.language, speaker.voice.gender) == (language, gender)


def test_clones_have_their_resource() -> None:
    assert resource_of("S_abc") == resource_of("icl_abc") == "seed-icl-2.0"


def test_voices_can_be_configured() -> None:
    configured = ("S_one", "S_two:en-US", "S_three:en-US:seed-icl-1.0", "S_four::seed-icl-1.0")
    found = speakers(16000, DEFAULT, configured, None)
    said = {id: (found[id].voice.language, found[id].resource) for id in ("S_one", "S_two", "S_three", "S_four")}
    assert said == {
        "S_one": ("zh-CN", "seed-icl-2.0"),
        "S_two": ("en-US", "seed-icl-2.0"),
        "S_three": ("en-US", "seed-icl-1.0"),
        "S_four": ("zh-CN", "seed-icl-1.0"),
    }
    assert found["S_two"].voice.sample_rate == 16000


def test_a_voice_that_is_in_the_table_keeps_its_name_where_it_is_configured() -> None:
    found = speakers(24000, DEFAULT, (f"{DEFAULT}:ja-JP",), None)[DEFAULT]
    assert (found.voice.name, found.voice.language) == ("Vivi 2.0", "ja-JP")


def test_a_resource_for_all_is_for_all_but_the_small_models() -> None:
    found = speakers(24000, DEFAULT, (), "volc.service_type.1000009")
    assert {speaker.resource for speaker in found.values()} == {"volc.service_type.1000009", "volc.tts.default"}


def test_a_default_that_is_in_no_table_is_a_voice() -> None:
    assert next(iter(speakers(24000, "S_mine", (), None))) == "S_mine"


def test_small_models_have_fewer_rates() -> None:
    rates = {rate: speakers(rate, DEFAULT, (), None)["BV001_streaming"].voice.sample_rate for rate in (16000, 48000)}
    assert rates == {16000: 16000, 48000: 24000}


def test_a_voice_that_is_written_wrongly_is_refused() -> None:
    with pytest.raises(EngineUnavailable, match="id:language"):
        speakers(24000, DEFAULT, ("S_one:not a language",), None)
