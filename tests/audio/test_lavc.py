from __future__ import annotations

import os
from pathlib import Path

import pytest

from audio.lavc import Codec
from tests.audio.signals import noise

CODECS = [("flac", {}), ("libopus", {}), ("aac", {"aac_coder": "fast"})]
PCM = noise(10_000).tobytes()


def encoded(name: str, options: dict[str, str]) -> list[bytes]:
    codec = Codec(name, 24000, options, float_samples=name == "aac")
    return codec.encode(PCM) + codec.flush()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
@pytest.mark.parametrize(("name", "options"), CODECS)
def test_an_encoder_has_no_threads_and_leaves_the_callers_cores_alone(name: str, options: dict[str, str]) -> None:
    threads, cores = set(Path("/proc/self/task").iterdir()), os.sched_getaffinity(0)
    codec = Codec(name, 24000, options, float_samples=name == "aac")
    assert codec.encode(PCM)
    assert set(Path("/proc/self/task").iterdir()) <= threads
    assert os.sched_getaffinity(0) == cores


@pytest.mark.parametrize(("name", "options"), CODECS)
def test_where_the_system_forbids_to_choose_cores_it_encodes_all_the_same(
    name: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    as_usual = encoded(name, options)
    monkeypatch.setattr(os, "sched_setaffinity", forbid, raising=False)
    assert encoded(name, options) == as_usual
