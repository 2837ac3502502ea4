from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from audio import formats
from audio.formats import FORMATS

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


def test_names_are_those_of_the_protocol() -> None:
    assert list(FORMATS) == ["pcm16", "wav", "mulaw", "alaw", "mp3", "opus"]
    assert all(formats.find(name).name == name for name in FORMATS)


def test_unknown_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(formats.UnknownFormat, match=r"unknown format 'mp4'; there are pcm16, wav, mulaw, "):
        formats.find("mp4")


def test_unsupported_rate_is_answered_with_the_rates_there_are() -> None:
    with pytest.raises(formats.UnsupportedRate, match=r"'opus' has no sample rate 44100; it has 8000, 12000, "):
        formats.find("opus").open(24000, 44100)


def test_a_source_rate_that_is_no_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="0 is no sample rate"):
        formats.find("pcm16").open(0, 24000)


@pytest.mark.parametrize(
    ("name", "rate", "nearest"),
    [("pcm16", 22050, 22050), ("opus", 22050, 24000), ("opus", 44100, 48000), ("mp3", 96000, 48000), ("wav", 1, 8000)],
)
def test_nearest_rate_is_itself_then_the_next_higher_then_the_highest(name: str, rate: int, nearest: int) -> None:
    assert formats.find(name).nearest_rate(rate) == nearest


@pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS)
def test_row_is_whole(row: formats.AudioFormat) -> None:
    assert row.rates == tuple(sorted(set(row.rates)))
    assert row.rates[0] >= 8000
    assert row.rates[-1] <= 48000
    assert re.fullmatch(r"audio/\w+", row.mime)
    assert row.heavy == (row.bytes_per_sample is None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.heavy = True  # type: ignore[misc]


@pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS)
def test_page_has_a_row_that_agrees_with_the_table(row: formats.AudioFormat) -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{row.name}` |")]
    assert len(lines) == 1
    cells = [cell.strip().strip("`") for cell in lines[0].strip("|").split("|")]
    rates = "all" if row.rates == formats.ALL_RATES else ", ".join(map(str, row.rates))
    assert cells[1:6] == [row.mime, f".{row.extension}", row.container, rates, str(row.delay_samples)]
