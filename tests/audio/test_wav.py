from __future__ import annotations

import io
import wave

import pytest

from audio import formats, wav
from tests.audio.signals import chirp, feed
from tests.support.ffmpeg import decode


def test_header_of_a_known_length_is_read_by_the_standard_library() -> None:
    pcm = chirp(16000, 1000).tobytes()
    with wave.open(io.BytesIO(wav.header(16000, 1000) + pcm)) as file:
        assert file.getparams()[:4] == (1, 2, 16000, 1000)
        assert file.readframes(1000) == pcm


def test_header_of_a_stream_has_the_largest_sizes_and_is_44_bytes() -> None:
    head = wav.header(24000)
    assert len(head) == formats.find("wav").header_bytes == 44
    assert head[4:8] == head[40:44] == b"\xff\xff\xff\xff"


def test_ffmpeg_reads_a_streamed_file_to_its_end() -> None:
    pcm = chirp(24000, 30001)
    made = feed(formats.find("wav").open(24000, 24000), [pcm.tobytes()])
    assert decode(made, "wav", 24000).tolist() == pcm.tolist()


def test_more_than_a_file_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="more than a WAV file can hold"):
        wav.header(48000, 2**31)
