"""``voxwire doctor``"""

from __future__ import annotations

import argparse
import asyncio

from gateway.cli.terminal import Progress, answer, table
from gateway.doctor import Check, can_speak, check_engines, check_machine


def run(arguments: argparse.Namespace) -> int:
    with Progress(lambda: "checking this machine"):
        machine = check_machine()
    _show(machine)
    now = "the engines"
    engines: list[Check] = []

    async def check() -> None:
        nonlocal now
        async for name, found in check_engines(arguments.timeout):
            if found is None:
                now = name
            else:
                engines.append(found)

    with Progress(lambda: f"starting {now}"):
        asyncio.run(check())
    answer()
    _show(engines)
    answer()
    speaks = can_speak(engines)
    answer("At least one engine can speak." if speaks else "No engine can speak.")
    return 0 if speaks else 1


def _show(checks: list[Check]) -> None:
    for line, check in zip(table([(_mark(c), c.name, c.found) for c in checks]), checks, strict=True):
        answer(line)
        if check.fix is not None:
            answer(f"          fix: {check.fix}")


def _mark(check: Check) -> str:
    return "ok" if check.ok else "--" if check.optional else "FAIL"
