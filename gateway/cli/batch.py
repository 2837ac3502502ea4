"""``voxwire batch``"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from gateway.cli.terminal import answer, fail, note
from gateway.client.batch import BatchResult, BatchTask, read_tasks
from gateway.client.sync import Client


def run(arguments: argparse.Namespace) -> int:
    try:
        tasks = _tasks(arguments)
    except OSError as error:
        return fail(f"cannot read {arguments.tasks}: {error.strerror or error}")
    except ValueError as error:
        return fail(str(error))
    if not tasks:
        return fail(f"{arguments.tasks} has no task")
    if arguments.concurrency < 1 or arguments.retries < 0:
        return fail("--concurrency is at least 1, and --retries at least 0")
    try:
        with Client(arguments.url, api_key=arguments.api_key) as client:
            results = client.batch(
                tasks,
                arguments.output,
                concurrency=arguments.concurrency,
                retries=arguments.retries,
                progress=True,
            )
    except OSError as error:
        return fail(f"cannot write to {arguments.output}: {error.strerror or error}")
    return _report(results, arguments.output)


def _tasks(arguments: argparse.Namespace) -> list[BatchTask]:
    suffix = f".{arguments.format}"
    if arguments.tasks == "-":
        return read_tasks(sys.stdin, suffix)
    with Path(arguments.tasks).open("rb") as lines:
        return read_tasks(lines, suffix)


def _report(results: Iterable[BatchResult], folder: str) -> int:
    done = failed = skipped = 0
    seconds = 0.0
    for number, result in enumerate(results, 1):
        if result.error is not None:
            failed += 1
            note(f"task {number}, {result.task.file}: {result.error}")
        else:
            skipped += result.skipped
            done += not result.skipped
            seconds += (result.audio_ms or 0.0) / 1000
    passed_over = f", {skipped} done before" if skipped else ""
    answer(f"{folder}: {done} files made{passed_over}, {failed} failed; {seconds:.1f} s of speech")
    return 1 if failed else 0
