"""``voxwire``, the command. Each part is imported when it is asked for: ``say`` needs nothing of the server."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from gateway import __version__
from gateway.cli.terminal import fail
from gateway.client.aio import DEFAULT_URL
from gateway.client.errors import GatewayAway, VoxwireClientError
from gateway.client.files import FORMATS

_SPEECH_FORMATS = ("pcm16", "pcm_f32le", "wav", "mulaw", "alaw", "mp3", "aac", "flac", "opus", "webm")
_FILE_FORMATS = tuple(suffix[1:] for suffix in FORMATS)
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. The exit code: 0 done, 1 failed (said on standard error), 2 wrong usage, 130 interrupted."""
    chosen = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = import_module(f"gateway.cli.{chosen.command}").run
        return run(chosen)
    except GatewayAway as error:
        return fail(f"{error}\nStart a gateway with `make run` or `voxwire serve`, or name another with --url.")
    except VoxwireClientError as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left, such as `head`. Python would complain once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxwire",
        description="Text in over a WebSocket, speech out while it is being made.",
        epilog="`voxwire COMMAND --help` has the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"voxwire {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _serve(commands.add_parser("serve", help="run the gateway"))
    _say(commands.add_parser("say", help="speak a text into a file, or aloud"))
    _batch(commands.add_parser("batch", help="speak many texts into files, and go on where it stopped"))
    _voices(commands.add_parser("voices", help="list the voices"))
    _doctor(commands.add_parser("doctor", help="say what works here, and what would fix the rest"))
    return parser


def _serve(parser: argparse.ArgumentParser) -> None:
    parser.description = "Run the gateway. Settings come from VOXWIRE_* variables and .env; these go before them."
    parser.add_argument("--host", help="address to listen on (127.0.0.1); 0.0.0.0 opens it to the network")
    parser.add_argument("--port", type=int, help="port to listen on (8080); 0 takes a free one")
    parser.add_argument("--providers", metavar="A,B", help="engines to run, the default first (hibari,mock_tone)")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--log-format", choices=("text", "json"))


def _say(parser: argparse.ArgumentParser) -> None:
    parser.description = "Speak a text. `-` reads it from standard input and speaks it as it comes."
    parser.add_argument("text", nargs="+", help="what to say, or `-`")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("-o", "--output", metavar="FILE", help="where to write (speech.wav); `-` is standard output")
    output.add_argument("--play", action="store_true", help="play it, with ffplay, aplay, paplay, afplay or sox")
    parser.add_argument("--voice", help="see `voxwire voices`")
    parser.add_argument("--provider", help="the engine")
    parser.add_argument(
        "--format", choices=_SPEECH_FORMATS, help=f"by default the file's name says it: {' '.join(FORMATS)}"
    )
    parser.add_argument("--sample-rate", type=int, metavar="HZ", help="by default the voice's own")
    parser.add_argument("--speed", type=float, help="0.25 to 4 (1)")
    _address(parser)


def _batch(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        'Speak a file of JSON lines, such as {"text": "Hello.", "file": "hello.mp3", "voice": "heart"}. '
        "What an earlier run has done in the same folder is passed over. The exit code is 1 when a task failed."
    )
    parser.add_argument("tasks", help="the file of tasks, or `-` for standard input")
    parser.add_argument("-o", "--output", metavar="DIR", default="speech", help="folder of the files (speech)")
    parser.add_argument("--concurrency", type=int, default=8, metavar="N", help="texts at a time (8)")
    parser.add_argument("--retries", type=int, default=5, metavar="N", help="where another try may help (5)")
    parser.add_argument("--format", default="wav", choices=_FILE_FORMATS, help="of tasks that name no file (wav)")
    _address(parser)


def _voices(parser: argparse.ArgumentParser) -> None:
    parser.description = "List the voices of a gateway, the default first."
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--local", action="store_true", help="of the engines installed here, without a gateway")
    _address(parser)


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Check this machine: packages, ffmpeg, the port, and every engine, which is really started. "
        "The exit code is 0 when at least one engine can speak."
    )
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds for each engine (60)")


def _address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        default=os.environ.get("VOXWIRE_URL", DEFAULT_URL),
        help=f"the gateway ($VOXWIRE_URL, or {DEFAULT_URL})",
    )
    parser.add_argument(
        "--api-key",
        default=os.environ.get("VOXWIRE_API_KEY"),
        metavar="KEY",
        help="where the gateway asks for one ($VOXWIRE_API_KEY)",
    )
