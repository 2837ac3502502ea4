"""``python -m tests.bench``: measure this machine and print one table. ``--quick`` takes fewer rounds."""

from __future__ import annotations

import argparse
import gc
import os
import resource
import sys
import time
from collections.abc import Callable

from tests.bench import (
    cancel,
    capacity,
    codecs,
    cost,
    delay,
    heavy,
    isolated,
    memory,
    openai_speech,
    piper,
    snac,
    unread,
    volcano,
)
from tests.bench.servers import LOAD_CORE
from tests.bench.table import Figure, machine, render

_PARTS: dict[str, Callable[..., list[Figure]]] = {
    "cost": cost.figures,
    "capacity": capacity.figures,
    "delay": delay.figures,
    "memory": memory.figures,
    "unread": unread.figures,
    "cancel": cancel.figures,
    "codecs": codecs.figures,
    "piper": piper.figures,
    "heavy": heavy.figures,
    "isolated": isolated.figures,
    "snac": snac.figures,
    "volcano": volcano.figures,
    "openai_speech": openai_speech.figures,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("parts", nargs="*", choices=[*_PARTS, []], help="only these")
    options = parser.parse_args()
    if not sys.platform.startswith("linux") or (os.cpu_count() or 1) < 2:
        raise SystemExit("the bench needs Linux and two cores: one for the server and one for its load")
    os.sched_setaffinity(0, {LOAD_CORE})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # The generator makes no cycles worth a pause in the middle of a measurement.
    gc.disable()
    figures: list[Figure] = []
    for name in options.parts or _PARTS:
        began = time.monotonic()
        figures += _PARTS[name](quick=options.quick)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        gc.collect()
    print(machine())
    print()
    print(render(figures))


if __name__ == "__main__":
    main()
