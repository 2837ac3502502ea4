"""CPU for each frame: the gateway beside two servers that only send."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median

from tests.bench.servers import serving
from tests.bench.speaking import listen
from tests.bench.table import Figure

_NAMES = ("gateway", "picows", "starlette")
_STREAMS = 200


def figures(*, quick: bool) -> list[Figure]:
    """Rounds of the three in turn, so that whatever slows the machine slows them all; medians of the rounds."""
    rounds, window = (2, 1.5) if quick else (7, 4.0)
    costs: dict[str, list[float]] = {name: [] for name in _NAMES}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(serving(name)) for name in _NAMES}
        for _ in range(rounds):
            for name, server in servers.items():
                heard = listen(server, _STREAMS, window)
                costs[name].append(heard.server_cpu / heard.frames * 1e6)
    ratio = median(mine / bare for mine, bare in zip(costs["gateway"], costs["picows"], strict=True))
    above = median(mine / bare for mine, bare in zip(costs["gateway"], costs["starlette"], strict=True))
    return [
        Figure("CPU a 20 ms frame, gateway", _spread(costs["gateway"])),
        Figure("CPU a 20 ms frame, picows that only sends", _spread(costs["picows"])),
        Figure("CPU a 20 ms frame, Starlette that only sends", _spread(costs["starlette"])),
        Figure("gateway / picows", f"{ratio:.2f}", "<= 1.8", ratio <= 1.8),
        Figure("gateway / Starlette", f"{above:.2f}"),
    ]


def _spread(values: list[float]) -> str:
    return f"{median(values):.1f} us ({min(values):.1f} to {max(values):.1f})"
