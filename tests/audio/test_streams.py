"""What holds for every format, through the same door that the gateway uses."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio import formats, packets
from audio.encoder import StreamFinished
from audio.formats import FORMATS, AudioFormat
from tests.audio.signals import AMPLITUDE, chirp, feed, noise, pieces, rms
from tests.support.ffmpeg import decode

SOURCE = 24000
CHECKED = (8000, 16000, 22050, 24000, 44100, 48000)
STREAMS = [(row.name, rate) for row in FORMATS.values() for rate in CHECKED if rate in row.rates]
THREE_RATES = [(name, rate) for name, rate in STREAMS if rate in (8000, 24000, 48000)]
EMPTY = {"pcm16", "pcm_f32le", "mulaw", "alaw", "mp3", "aac", "opus_packets"}
"""A stream of these that was fed nothing is empty; of the others it is a valid one without sound."""
EXACT_IN_CONTAINER = {"opus", "webm", "flac"}
"""Compressed formats whose stream says where its sound begins and ends."""
PADDING = {"mp3": 2}
"""Frames of silence that may follow the sound, where it is more than one."""
SEGMENTS = 61
GAIN = {"mp3": 0.95}
"""LAME lowers the sound so that it does not clip."""
FARTHEST = {"mulaw": -37, "alaw": -37, "mp3": -60, "aac": -65, "opus": -30, "webm": -30, "opus_packets": -30}
"""dB of the error, of the chirp's own level; -80 for what is lossless behind the resampler."""


def _clock(name: str, rate: int) -> int:
    return FORMATS[name].clock or rate


def _decoded(name: str, rate: int, made: bytes) -> NDArray[np.int16]:
    return decode(made, name, _clock(name, rate))


def _check_length(name: str, rate: int, samples: int, decoded: int) -> None:
    """``samples`` at ``rate`` went into the encoder."""
    row, clock = FORMATS[name], _clock(name, rate)
    due = samples * clock // rate + row.delay_samples
    if row.bytes_per_sample or name in EXACT_IN_CONTAINER:
        assert decoded == due
    else:
        assert row.frame is not None
        assert 0 <= decoded - due < PADDING.get(name, 1) * row.frame(clock)


@pytest.mark.parametrize(("name", "rate"), STREAMS)
def test_duration_is_that_of_the_source(name: str, rate: int) -> None:
    source = chirp(SOURCE, SOURCE + 137)
    stream = formats.find(name).open(SOURCE, rate)
    made = feed(stream, pieces(source.tobytes(), [480] * 40))
    assert stream.samples_in == round(len(source) * rate / SOURCE)
    _check_length(name, rate, stream.samples_in, len(_decoded(name, rate, made)))


# ---- no seam


def _segments() -> list[int]:
    """61 lengths in samples, from 20 to 150 ms."""
    dice = random.Random(61)
    return [dice.randint(SOURCE // 50, SOURCE * 3 // 20) for _ in range(SEGMENTS)]


def _chunks(segments: list[int]) -> list[int]:
    """Every segment in pieces of random length: one sample, or up to 100 ms."""
    dice = random.Random(7)
    lengths = []
    for segment in segments:
        left = segment
        while left:
            lengths.append(min(left, 1 if dice.random() < 0.1 else dice.randint(1, SOURCE // 10)))
            left -= lengths[-1]
    return lengths


def _sweep(rate: int, samples: int) -> NDArray[np.int16]:
    """From 200 to 3000 Hz over all the segments: what every rate can hold."""
    return chirp(rate, samples, seconds=sum(_segments()) / SOURCE)


@cache
def _one_shot_error(name: str, rate: int) -> NDArray[np.float64]:
    """The whole chirp in one piece."""
    return _error(name, rate, [_sweep(SOURCE, sum(_segments())).tobytes()])


def _error(name: str, rate: int, parts: list[bytes]) -> NDArray[np.float64]:
    """Decoded sound less the chirp, in place with the chirp."""
    stream = formats.find(name).open(SOURCE, rate)
    decoded = _decoded(name, rate, feed(stream, parts))
    _check_length(name, rate, stream.samples_in, len(decoded))
    clock = _clock(name, rate)
    wanted = _sweep(clock, stream.samples_in * clock // rate) * GAIN.get(name, 1.0)
    return decoded[FORMATS[name].delay_samples :][: len(wanted)].astype(float) - wanted


@pytest.mark.parametrize(("name", "rate"), THREE_RATES)
def test_no_boundary_of_61_segments_is_farther_from_the_source_than_in_one_piece(name: str, rate: int) -> None:
    segments = _segments()
    chunks = _chunks(segments)
    error = _error(name, rate, pieces(_sweep(SOURCE, sum(segments)).tobytes(), chunks))
    alone = _one_shot_error(name, rate)
    clock = _clock(name, rate)
    window = clock // 200
    for cut in np.cumsum(chunks)[:-1]:
        around = slice(max(0, round(cut * clock / SOURCE) - window), round(cut * clock / SOURCE) + window)
        assert rms(error[around]) <= rms(alone[around])
    inside = error[clock // 20 : -clock // 20]
    assert 20 * np.log10(max(rms(inside), 1e-3) / (AMPLITUDE / np.sqrt(2))) < FARTHEST.get(name, -80)


@pytest.mark.parametrize(("name", "rate"), THREE_RATES)
def test_cuts_make_no_difference(name: str, rate: int) -> None:
    source = noise(5000).tobytes()
    whole = _sound(name, rate, [source])

    @given(st.lists(st.integers(0, 1500), max_size=10))
    @settings(max_examples=10, deadline=None, database=None)
    def check(cuts: list[int]) -> None:
        assert _sound(name, rate, pieces(source, cuts)) == whole

    check()


def _sound(name: str, rate: int, parts: list[bytes]) -> bytes:
    """The bytes of the stream or, where its pages follow the cuts, of the sound in it."""
    made = feed(formats.find(name).open(SOURCE, rate), parts)
    return _decoded(name, rate, made).tobytes() if name in ("opus", "webm") else made


# ---- the ends


@pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS)
def test_stream_without_sound_is_empty_or_valid(row: AudioFormat) -> None:
    made = row.open(SOURCE, SOURCE).finish()
    assert (made == b"") == (row.name in EMPTY)
    _check_shortest(row.name, SOURCE, 0, len(_decoded(row.name, SOURCE, made)))


@pytest.mark.parametrize(("name", "rate"), THREE_RATES)
def test_one_sample_makes_a_valid_stream(name: str, rate: int) -> None:
    stream = formats.find(name).open(rate, rate)
    made = feed(stream, [noise(1).tobytes()])
    assert stream.samples_in == 1
    _check_shortest(name, rate, 1, len(_decoded(name, rate, made)))


def _check_shortest(name: str, rate: int, samples: int, decoded: int) -> None:
    if name == "webm":
        # ffmpeg heeds one of the two cuts, at the start and at the end, where they fall on the same packet.
        assert decoded == 960 - 312
    elif samples or name not in EMPTY:
        _check_length(name, rate, samples, decoded)
    else:
        assert decoded == 0


@pytest.mark.parametrize("rate", [8000, 24000])
@pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS)
def test_a_stream_ends_once(row: AudioFormat, rate: int) -> None:
    stream = row.open(SOURCE, rate)
    stream.encode(bytes(960))
    stream.finish()
    with pytest.raises(StreamFinished, match="after finish"):
        stream.finish()
    with pytest.raises(StreamFinished, match="after finish"):
        stream.encode(bytes(960))


@pytest.mark.parametrize("rate", [8000, 24000])
@pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS)
def test_half_a_sample_is_refused(row: AudioFormat, rate: int) -> None:
    with pytest.raises(ValueError, match="16-bit samples"):
        row.open(SOURCE, rate).encode(b"abc")


@pytest.mark.parametrize("row", [row for row in FORMATS.values() if row.bytes_per_sample], ids=lambda row: row.name)
def test_size_of_raw_formats_follows_from_the_row(row: AudioFormat) -> None:
    stream = row.open(SOURCE, 8000)
    made = feed(stream, pieces(noise(24001).tobytes(), [480] * 20))
    assert len(made) == row.header_bytes + stream.samples_in * (row.bytes_per_sample or 0)


@pytest.mark.parametrize("row", [row for row in FORMATS.values() if row.packets], ids=lambda row: row.name)
def test_every_answer_of_a_packet_format_ends_with_a_whole_packet(row: AudioFormat) -> None:
    stream = row.open(SOURCE, SOURCE)
    answers = [stream.encode(part) for part in pieces(noise(5000).tobytes(), [1, 479, 700, 20, 1500])]
    assert [len(packets.split(answer)) for answer in (*answers, stream.finish())] == [0, 1, 1, 0, 3, 5, 1]
