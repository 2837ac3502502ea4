"""The voices that only the unidirectional endpoints speak, as the vendor's list of 2026-10-13 says it."""

_ONLY = frozenset(
    {
        "th_female_cake_uranus_bigtts",
        "th_male_paran_uranus_bigtts",
        "id_female_prisma_uranus_bigtts",
        "en_male_ryan_uranus_bigtts",
        "ja_male_yusuke_uranus_bigtts",
        "de_male_sven_uranus_bigtts",
        "it_male_luca_uranus_bigtts",
        "es_male_angel_uranus_bigtts",
        "fr_male_usseau_uranus_bigtts",
    }
)


def unidirectional_only(speaker: str) -> bool:
    return speaker in _ONLY
