from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from audio import formats
from audio.formats import FORMATS
from tests.audio import format_table
from tests.audio.signals import feed, noise

DOCS = Path(__file__).parents[2] / "docs"
CHOICES = [
    (row.name, rate, bits)
    for row in FORMATS.values()
    for rate in row.rates
    if (step := row.bit_rates_at(rate))
    for bits in step.choices
]


def test_names_are_those_of_the_protocol() -> None:
    line = next(line for line in (DOCS / "protocol.md").read_text().splitlines() if line.startswith("`format` is one"))
    named = re.findall(r"`(\w+)`", line.partition(":")[2].partition(". ")[0])
    assert list(FORMATS) == named
    assert all(formats.find(name).name == name for name in FORMATS)


def test_page_has_the_table() -> None:
    """``python -m tests.audio.format_table`` prints it."""
    assert format_table.render() in (DOCS / "formats.md").read_text()


def test_unknown_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(formats.UnknownFormat, match=r"unknown format 'mp4'; there are pcm16, pcm_f32le, wav, "):
        formats.find("mp4")


def test_unsupported_rate_is_answered_with_the_rates_there_are() -> None:
    with pytest.raises(formats.UnsupportedRate, match=r"'opus' has no sample rate 44100; it has 8000, 12000, "):
        formats.find("opus").open(24000, 44100)


def test_unsupported_bit_rate_is_answered_with_the_bit_rates_there_are() -> None:
    with pytest.raises(formats.UnsupportedBitRate, match="no bit rate 192000 at 24000 Hz; it has 32000, 48000, 64000,"):
        formats.find("mp3").open(24000, 24000, 192_000)
    assert issubclass(formats.UnsupportedBitRate, ValueError)


@pytest.mark.parametrize("name", [row.name for row in FORMATS.values() if not row.bit_rates])
def test_a_bit_rate_is_refused_where_there_is_none_to_choose(name: str) -> None:
    with pytest.raises(formats.UnsupportedBitRate, match=f"'{name}' has no bit rate to choose"):
        formats.find(name).open(24000, 24000, 64_000)


@pytest.mark.parametrize(
    ("name", "rate", "kbits"),
    [
        ("mp3", 22050, 32),
        ("mp3", 24000, 48),
        *(("mp3", 44100, kbits) for kbits in (32, 64, 96, 128, 192)),
        *(("opus", 48000, kbits) for kbits in (32, 64, 96, 128, 192)),
    ],
)
def test_the_rates_that_elevenlabs_names_are_there(name: str, rate: int, kbits: int) -> None:
    assert formats.find(name).open(24000, rate, kbits * 1000).sample_rate == rate


@pytest.mark.parametrize(("name", "rate", "bits"), CHOICES)
def test_a_stream_has_the_bit_rate_that_was_asked_for(name: str, rate: int, bits: int) -> None:
    made = len(feed(formats.find(name).open(rate, rate, bits), [noise(rate * 2).tobytes()]))
    # Opus and AAC vary around it, and containers add to it.
    assert 0.5 * bits <= made * 8 / 2 <= 1.7 * bits


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CHOICES}))
def test_a_higher_bit_rate_makes_a_longer_stream(name: str) -> None:
    row = formats.find(name)
    step = row.bit_rates_at(48000)
    assert step is not None
    sound = noise(48000).tobytes()
    sizes = [len(feed(row.open(48000, 48000, bits), [sound])) for bits in step.choices]
    assert sizes == sorted(set(sizes))
    assert len(feed(row.open(48000, 48000), [sound])) == sizes[step.choices.index(step.default)]


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
    assert re.fullmatch(r"audio/\w+(; codecs=\w+)?", row.mime)
    assert row.coded == (row.bytes_per_sample is None)
    assert row.packets <= row.coded
    assert row.heavy <= row.coded
    for step in row.bit_rates:
        assert step.default in step.choices
        assert step.choices == tuple(sorted(set(step.choices)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.heavy = True  # type: ignore[misc]


@pytest.mark.parametrize("row", [row for row in FORMATS.values() if row.silence], ids=lambda row: row.name)
def test_silence_of_the_row_is_what_the_encoder_makes_of_a_zero(row: formats.AudioFormat) -> None:
    assert row.open(8000, 8000).encode(bytes(2))[row.header_bytes :] == row.silence


def test_extensions_tell_the_formats_apart() -> None:
    assert len({row.extension for row in FORMATS.values()}) == len(FORMATS)
