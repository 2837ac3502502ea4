from __future__ import annotations

import numpy as np
import pytest

from audio.g711 import AlawEncoder, MulawEncoder, alaw_table, mulaw_table
from tests.support.ffmpeg import decode

ALL = np.arange(-32768, 32768).astype("<i2")
ENCODERS = {"mulaw": MulawEncoder, "alaw": AlawEncoder}


def _levels(law: str) -> np.ndarray:
    """What each of the 256 codes decodes to."""
    return decode(bytes(range(256)), law, 8000).astype(int)


def _decisions(law: str) -> np.ndarray:
    """The decision values of G.711, tables 1 and 2, from zero up and on the scale of 16 bits."""
    if law == "mulaw":
        return np.array([4 * ((32 << s) - 33 + (k << s + 1)) for s in range(8) for k in range(16)])
    return np.array([8 * ((16 << s if s else 0) + (k << max(s, 1))) for s in range(8) for k in range(16)])


@pytest.mark.parametrize("law", ENCODERS)
def test_every_sample_decodes_to_the_level_between_its_decision_values(law: str) -> None:
    levels = _levels(law)
    codes = np.frombuffer(ENCODERS[law](8000).encode(ALL.tobytes()), np.uint8)
    wave = ALL.astype(int)
    # A negative sample right on a decision value of the A-law belongs to the interval below it.
    magnitude = np.where(wave < 0, ~wave, wave) if law == "alaw" else np.abs(wave)
    interval = np.searchsorted(_decisions(law), magnitude, side="right") - 1
    wanted = np.where(wave < 0, -1, 1) * np.unique(np.abs(levels))[interval]
    assert (levels[codes] == wanted).all()


@pytest.mark.parametrize("law", ENCODERS)
def test_levels_survive_another_pass_unchanged(law: str) -> None:
    levels = _levels(law)
    again = np.frombuffer(ENCODERS[law](8000).encode(levels.astype("<i2").tobytes()), np.uint8)
    assert (levels[again] == levels).all()


def test_silence_has_the_codes_of_the_standard() -> None:
    assert MulawEncoder(8000).encode(bytes(2)) == b"\xff"
    assert AlawEncoder(8000).encode(bytes(2)) == b"\xd5"


def test_tables_agree_with_audioop_where_python_has_it() -> None:
    audioop = pytest.importorskip("audioop", reason="Python 3.13 dropped audioop")
    alaw = np.frombuffer(audioop.lin2alaw(ALL.tobytes(), 2), np.uint8)
    assert (alaw_table()[ALL.view("<u2")] == alaw).all()
    # audioop rounds to 14 bits towards minus infinity first; on 14-bit values there is nothing to round.
    coarse = ALL[ALL % 4 == 0]
    mulaw = np.frombuffer(audioop.lin2ulaw(coarse.tobytes(), 2), np.uint8)
    assert (mulaw_table()[coarse.view("<u2")] == mulaw).all()
