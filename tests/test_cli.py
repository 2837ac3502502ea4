"""The command: what it prints, where, and with which exit code."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import INTERRUPTED, main, player, say, terminal
from gateway.cli.player import PLAYERS, NoPlayer, find_player, play, streamed_wav_header
from tests.support.fake_gateway import FakeGateway, Peer, heard, nothing

ROOT = Path(__file__).parents[1]
ROWS = [
    {"id": "heart", "name": "Heart", "provider": "hibari", "language": "en-US", "sample_rate_hz": 24000},
    {"id": "en-US-mock-1", "name": "Tone", "provider": "mock_tone", "language": "en-US", "sample_rate_hz": 24000},
]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, with no setting of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("VOXWIRE_"):
            monkeypatch.delenv(name)
    # What a slow machine would be told of is no part of what is printed.
    monkeypatch.setattr(terminal, "PATIENCE", 600.0)


async def command(*arguments: str) -> int:
    return await asyncio.to_thread(main, arguments)


def script(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@contextmanager
def unused_port() -> Iterator[int]:
    """One that nobody listens on, and nobody else can meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


# ---- usage


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["say"],
        ["say", "hi", "-o", "a.wav", "--play"],
        ["say", "hi", "--format", "tape"],
        ["serve", "--port", "x"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: voxwire" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["say", "--help"], ["doctor", "--help"]])
def test_help_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert "usage: voxwire" in capsys.readouterr().out


def test_an_interrupt_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(say, "run", interrupt)
    assert main(["say", "hi"]) == INTERRUPTED


# ---- say


async def test_say_writes_speech_wav_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeGateway() as gateway:
        assert await command("say", "Hello", "there.", "--url", gateway.url) == 0
    with wave.open(str(tmp_path / "speech.wav")) as file:
        assert heard(file.readframes(file.getnframes())) == "Hello there."
    output = capsys.readouterr()
    assert re.fullmatch(r"speech\.wav: 0\.24 s of speech, the first after \d+ ms\n", output.out)
    assert output.err == ""


async def test_say_asks_for_what_the_flags_say() -> None:
    flags = ["--voice", "heart", "--provider", "hibari", "--speed", "1.5", "--sample-rate", "16000"]
    async with FakeGateway() as gateway:
        assert await command("say", "Hi.", "-o", "hi.mp3", *flags, "--url", gateway.url, "--api-key", "KEY") == 0
    assert gateway.received[0] == {
        "type": "start",
        "context": "1",
        "format": "mp3",
        "pace": "burst",
        "voice": "heart",
        "provider": "hibari",
        "speed": 1.5,
        "sample_rate": 16000,
    }
    assert gateway.headers[0]["Authorization"] == "Bearer KEY"


async def test_say_speaks_standard_input_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    first = asyncio.Event()

    async def text(peer: Peer, message: dict[str, Any]) -> None:
        peer.text[message["context"]] += message["text"]
        first.set()

    with os.fdopen(reading) as stdin, os.fdopen(writing, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdin", stdin)
        async with FakeGateway(on={"text": text}) as gateway:
            running = asyncio.create_task(command("say", "-", "--url", gateway.url))
            # The end of the first letter's bytes comes later than its beginning.
            pipe.write(b"Gr" + "ü".encode()[:1])
            await first.wait()
            pipe.write("ü".encode()[1:] + b"n")
            pipe.close()
            assert await running == 0
    with wave.open(str(tmp_path / "speech.wav")) as file:
        assert heard(file.readframes(file.getnframes())) == "Grün"


async def test_say_to_standard_output_keeps_it_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    async with FakeGateway() as gateway:
        assert await command("say", "Hi.", "-o", "-", "--format", "pcm16", "--url", gateway.url) == 0
    assert heard(out.buffer.getvalue()) == "Hi."  # type: ignore[attr-defined]
    assert "s of speech" in err.getvalue()


async def test_say_plays_with_the_first_player_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script(tmp_path, "paplay", 'echo "$@" > arguments; /bin/cat > played')
    monkeypatch.setenv("PATH", str(tmp_path))
    async with FakeGateway() as gateway:
        assert await command("say", "Hi.", "--play", "--url", gateway.url) == 0
    assert heard(await asyncio.to_thread((tmp_path / "played").read_bytes)) == "Hi."
    assert "--rate=8000" in await asyncio.to_thread((tmp_path / "arguments").read_text)
    assert capsys.readouterr().out.startswith("played with paplay: 0.06 s of speech")


def test_say_without_a_player_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["say", "Hi.", "--play"]) == 1
    assert "has no player that voxwire knows" in capsys.readouterr().err


def test_say_without_a_gateway_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    with unused_port() as port:
        url = f"http://127.0.0.1:{port}"
        assert main(["say", "Hi.", "--url", url]) == 1
    error = capsys.readouterr().err
    assert f"no gateway answers at {url}" in error
    assert "voxwire serve" in error


async def test_say_repeats_what_the_gateway_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def refuse(peer: Peer, message: dict[str, Any]) -> None:
        await peer.error(message["context"], "unknown_voice")

    async with FakeGateway(on={"start": refuse, "text": nothing, "end": nothing}) as gateway:
        assert await command("say", "Hi.", "--voice", "nobody", "--url", gateway.url) == 1
    assert capsys.readouterr().err == "voxwire: a sentence about unknown_voice (unknown_voice)\n"
    assert not await asyncio.to_thread((tmp_path / "speech.wav").exists)


async def test_say_into_a_folder_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeGateway() as gateway:
        assert await command("say", "Hi.", "-o", "no/hi.wav", "--url", gateway.url) == 1
    assert capsys.readouterr().err == "voxwire: cannot write no/hi.wav: No such file or directory\n"


def test_an_address_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "Hi.", "--url", "ftp://host"]) == 1
    assert "is no address of a gateway" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("piece", "typed", "whole"),
    [
        ("Hello there.\n", False, True),
        ("a line that was\n", False, False),
        ("a line that was\n", True, True),
        ("Hello.", False, False),
        ("\n", False, False),
    ],
)
def test_a_line_is_spoken_at_once_where_it_is_whole(piece: str, typed: bool, whole: bool) -> None:
    assert say._is_whole(piece, typed=typed) is whole


# ---- batch


async def test_batch_speaks_each_line_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text('{"text": "One."}\n{"text": "Two.", "file": "two.pcm"}\n')
    async with FakeGateway() as gateway:
        assert await command("batch", str(tasks), "--url", gateway.url, "--format", "pcm") == 0
        assert "2 files made, 0 failed" in capsys.readouterr().out
        assert await command("batch", str(tasks), "--url", gateway.url, "--format", "pcm") == 0
        assert "0 files made, 2 done before, 0 failed" in capsys.readouterr().out
    assert heard((tmp_path / "speech/two.pcm").read_bytes()) == "Two."
    assert heard((tmp_path / "speech/00001.pcm").read_bytes()) == "One."


async def test_batch_names_the_task_that_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def refuse(peer: Peer, message: dict[str, Any]) -> None:
        await peer.error(message["context"], "unknown_voice")

    (tmp_path / "tasks.jsonl").write_text('{"text": "One.", "file": "one.mp3"}\n')
    async with FakeGateway(on={"start": refuse}) as gateway:
        assert await command("batch", "tasks.jsonl", "--url", gateway.url) == 1
    printed = capsys.readouterr()
    assert "1 failed" in printed.out
    assert re.search(r"task 1, one.mp3: .*unknown_voice", printed.err)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read"), ("", "has no task"), ("{}", "line 1: a task needs a 'text'")],
)
async def test_batch_says_what_is_wrong_with_its_tasks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "tasks.jsonl").write_text(content)
    assert await command("batch", "tasks.jsonl") == 1
    assert message in capsys.readouterr().err


# ---- players


@pytest.mark.parametrize("name", PLAYERS)
def test_each_player_is_given_the_sound(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = '/bin/cat "$1" > played' if name == "afplay" else "/bin/cat > played"
    script(tmp_path, name, body)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_player() == name
    play(name, iter([b"\1\0" * 100, b"\2\0" * 100]), 24000)
    assert (tmp_path / "played").read_bytes().endswith(b"\1\0" * 100 + b"\2\0" * 100)


def test_a_player_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "aplay", "exit 3")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoPlayer, match="aplay stopped with code 3"):
        play("aplay", (b"\0" * 65536 for _ in range(100)), 24000)


def test_an_interrupt_stops_the_player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    def audio() -> Iterator[bytes]:
        yield b"\0\0"
        raise KeyboardInterrupt

    script(tmp_path, "paplay", "exec /bin/sleep 60")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(player.subprocess, "Popen", Popen)
    with pytest.raises(KeyboardInterrupt):
        play("paplay", audio(), 24000)
    assert started[0].returncode == -signal.SIGKILL


def test_the_header_of_a_streamed_wav_can_be_read() -> None:
    with wave.open(io.BytesIO(streamed_wav_header(16000) + b"\0\0")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16000)


# ---- voices


async def test_voices_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeGateway(voices=ROWS) as gateway:
        assert await command("voices", "--url", gateway.url) == 0
    assert capsys.readouterr().out.splitlines() == [
        "VOICE         ENGINE     LANGUAGE  HZ     ABOUT",
        "heart         hibari     en-US     24000  Heart",
        "en-US-mock-1  mock_tone  en-US     24000  Tone",
    ]


async def test_voices_are_json_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeGateway(voices=ROWS) as gateway:
        assert await command("voices", "--json", "--url", gateway.url) == 0
    assert [voice["id"] for voice in json.loads(capsys.readouterr().out)] == ["heart", "en-US-mock-1"]


def test_local_voices_need_no_gateway(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VOXWIRE_PROVIDERS", "mock_tone")
    assert main(["voices", "--local"]) == 0
    assert "en-US-mock-1" in capsys.readouterr().out


# ---- progress


def test_what_takes_long_says_what_it_does(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(terminal, "PATIENCE", 0.0)
    described = threading.Event()

    def describe() -> str:
        described.set()
        return "loading"

    with terminal.Progress(describe):
        assert described.wait(60)
    assert capsys.readouterr().err == "loading\n"


# ---- serve


def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = serve_process("--port", port)
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: address already in use" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_setting_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "99999"]) == 1
    assert "the setting port is wrong" in capsys.readouterr().err


def test_serve_says_how_to_use_it_and_say_does(tmp_path: Path) -> None:
    with serving("--port", "0") as (process, lines):
        url = re.search(r"http://127\.0\.0\.1:\d+", lines[0])
        assert url is not None
        told = "\n".join(lines)
        assert f"page      {url[0]}/" in told
        assert f'say "Hello there. How are you?" --url {url[0]}' in told
        assert f"curl {url[0]}/v1/audio/speech" in told
        assert main(["say", "Hello there.", "-o", "hello.wav", "--url", url[0]]) == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    with wave.open(str(tmp_path / "hello.wav")) as file:
        assert file.getframerate() == 24000
        assert any(file.readframes(file.getnframes()))


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'codecs'}"}


def serve_process(*flags: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "gateway", "serve", *flags]
    return subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=100, check=False)


@contextmanager
def serving(*flags: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """``voxwire serve`` in a process of its own, and the lines that it printed when it was ready."""
    arguments = [sys.executable, "-m", "gateway", "serve", *flags]
    with subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if "Ctrl-C" in line:
                    break
            yield process, lines
        finally:
            process.kill()
