"""What the doctor finds, and the fixes that it names."""

from __future__ import annotations

import asyncio
import re
import socket
import sys

import pytest

from gateway import doctor
from gateway.cli import main


async def test_the_doctor_starts_an_engine_for_real() -> None:
    check = await doctor.check_engine("mock_tone", 60.0)
    assert check.ok
    assert "en-US-mock-1" in check.found


async def test_the_doctor_gives_the_line_that_installs_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    from providers.registry import PROVIDERS, Row

    monkeypatch.setitem(PROVIDERS, "piper", Row("providers.tone:Tone", "pip install 'voxwire[piper]'", ""))
    monkeypatch.setitem(sys.modules, "providers.tone", None)
    check = await doctor.check_engine("piper", 60.0)
    assert (check.ok, check.fix) == (False, "pip install 'voxwire[piper]'")


async def test_the_doctor_does_not_wait_for_an_engine_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    from providers.tone import Tone

    async def hang(_: Tone) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Tone, "start", hang)
    check = await doctor.check_engine("mock_tone", 0.01)
    assert not check.ok
    assert "did not start within" in check.found


async def test_the_doctor_shows_what_an_engine_says_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from providers.tone import Tone

    monkeypatch.setattr(Tone, "detail", "8 places; decoded on the CPU (there is no CUDA device)", raising=False)
    check = await doctor.check_engine("mock_tone", 60.0)
    assert "; 8 places; decoded on the CPU (there is no CUDA device); voices: en-US-mock-1" in check.found


async def test_the_doctor_starts_an_isolated_engine_in_a_process_of_its_own() -> None:
    check = await doctor.check_engine("mock_tone", 60.0, isolated=True)
    assert check.ok
    assert re.search(r"in a process of its own \(\d+ MB\); voices: en-US-mock-1", check.found)


async def test_the_doctor_shows_it_also_where_the_engine_is_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    from providers.base import EngineUnavailable
    from providers.tone import Tone

    monkeypatch.setattr(Tone, "detail", "decoded on the CPU", raising=False)
    monkeypatch.setattr(Tone, "trouble", EngineUnavailable("its server does not answer"), raising=False)
    check = await doctor.check_engine("mock_tone", 60.0)
    assert (check.ok, check.found) == (False, "its server does not answer; decoded on the CPU")


def test_a_tone_alone_is_no_speech() -> None:
    tone = doctor.Check("engine mock_tone", ok=True, found="")
    assert not doctor.can_speak([tone, doctor.Check("engine hibari", ok=False, found="")])
    assert doctor.can_speak([tone, doctor.Check("engine hibari", ok=True, found="")])


def test_the_doctor_prints_a_table_and_the_fixes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from providers.registry import PROVIDERS

    for name in set(PROVIDERS) - {"mock_tone"}:
        monkeypatch.delitem(PROVIDERS, name)
    monkeypatch.setattr(doctor, "PACKAGES", ("orjson", "voxwire-not-there"))
    monkeypatch.setenv("VOXWIRE_PORT", "0")
    assert main(["doctor"]) == 1
    output = capsys.readouterr().out
    assert re.search(r"^ok +orjson +\d", output, re.MULTILINE)
    assert re.search(r"^FAIL +voxwire-not-there +not installed\n +fix: .* install voxwire-not-there$", output, re.M)
    assert "No engine can speak." in output


def test_the_doctor_finds_a_taken_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("VOXWIRE_PORT", str(taken.getsockname()[1]))
        check = next(check for check in doctor.check_machine() if check.name == "port")
    assert not check.ok
    assert "in use" in check.found
