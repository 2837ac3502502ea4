"""What holds for every format, through the same door that the gateway uses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio import formats
from audio.encoder import StreamFinished
from audio.formats import FORMATS, AudioFormat
from tests.audio.signals import AMPLITUDE, chirp, feed, noise, pieces, rms
from tests.support.ffmpeg import decode

SOURCE = 24000
NATIVE = {"opus": 48000}
"""Where a decoder has one rate of its own."""
CHECKED = (8000, 16000, 22050, 24000, 44100, 48000)
STREAMS = [(row.name, rate) for row in FORMATS.values() for rate in CHECKED if rate in row.rates]
SOME_STREAMS = [(name, rate) for name, rate in STREAMS if rate in (8000, 24000)]
SEGMENTS = (4801, 1999, 7307, 3001, 6007, 2503, 5501, 4001, 7001, 3507)
EMPTY = {"pcm16", "mulaw", "alaw", "mp3"}
"""A stream of these that was fed nothing is empty; of the others it is a valid one without sound."""


def _mp3_frame(rate: int) -> int:
    return 1152 if rate >= 32000 else 576


def _decoded(name: str, rate: int, made: bytes) -> np.ndarray:
    return decode(made, name, NATIVE.get(name, rate))


def _check_length(name: str, rate: int, samples: int, decoded: int) -> None:
    """``samples`` at ``rate`` went into the encoder."""
    if name == "mp3":
        padding = decoded - samples - FORMATS[name].delay_samples
        assert 0 <= padding < 2 * _mp3_frame(rate)
    else:
        assert decoded == samples * NATIVE.get(name, rate) // rate


@pytest.mark.parametrize(("name", "rate"), STREAMS)
def test_duration_is_that_of_the_source(name: str, rate: int) -> None:
    source = chirp(SOURCE, SOURCE + 137)
    stream = formats.find(name).open(SOURCE, rate)
    made = feed(stream, pieces(source.tobytes(), [480] * 40))
    assert stream.samples_in == round(len(source) * rate / SOURCE)
    _check_length(name, rate, stream.samples_in, len(_decoded(name, rate, made)))


@pytest.mark.parametrize(("name", "rate"), SOME_STREAMS)
def test_no_seam_is_heard_where_segments_meet(name: str, rate: int) -> None:
    stream = formats.find(name).open(SOURCE, rate)
    made = feed(stream, pieces(chirp(SOURCE, sum(SEGMENTS)).tobytes(), SEGMENTS))
    native = NATIVE.get(name, rate)
    decoded = _decoded(name, rate, made)[FORMATS[name].delay_samples :]
    wanted = chirp(native, stream.samples_in * native // rate)
    error = decoded[: len(wanted)].astype(float) - wanted
    window = native // 200
    seams = {round(at * native / SOURCE) for at in np.cumsum(SEGMENTS)[:-1]}
    at_seams = [rms(error[seam - window : seam + window]) for seam in seams]
    starts = range(native // 20, len(wanted) - native // 20, window)
    elsewhere = [
        rms(error[start : start + 2 * window])
        for start in starts
        if all(abs(start + window - seam) > 2 * window for seam in seams)
    ]
    assert max(at_seams) <= max(elsewhere) + 1
    assert max(elsewhere) < AMPLITUDE / 4


@pytest.mark.parametrize(("name", "rate"), SOME_STREAMS)
def test_cuts_make_no_difference(name: str, rate: int) -> None:
    source = noise(5000).tobytes()
    whole = _sound(name, rate, [source])

    @given(st.lists(st.integers(0, 1500), max_size=10))
    @settings(max_examples=5, deadline=None, database=None)
    def check(cuts: list[int]) -> None:
        assert _sound(name, rate, pieces(source, cuts)) == whole

    check()


def _sound(name: str, rate: int, parts: list[bytes]) -> bytes:
    """The bytes of the stream or, where its pages follow the cuts, of the sound in it."""
    made = feed(formats.find(name).open(SOURCE, rate), parts)
    return _decoded(name, rate, made).tobytes() if name == "opus" else made


@pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS)
def test_stream_without_sound_is_empty_or_valid(row: AudioFormat) -> None:
    made = row.open(SOURCE, SOURCE).finish()
    assert (made == b"") == (row.name in EMPTY)
    assert len(_decoded(row.name, SOURCE, made)) == 0


@pytest.mark.parametrize(("name", "rate"), SOME_STREAMS)
def test_one_sample_makes_a_valid_stream(name: str, rate: int) -> None:
    stream = formats.find(name).open(SOURCE, rate)
    made = feed(stream, [noise(2).tobytes()])
    _check_length(name, rate, round(2 * rate / SOURCE), len(_decoded(name, rate, made)))


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
