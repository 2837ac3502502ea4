"""``python -m tests.audio.format_table``: the table of docs/formats.md, from the table in the code."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from audio.formats import ALL_RATES, FORMATS, AudioFormat

HEAD = (
    "| name | MIME | file | container | codec | rates, Hz | bit rates, kbit/s | frame | delay, samples | made |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def render() -> str:
    return "\n".join([HEAD, *map(_row, FORMATS.values())])


def _row(row: AudioFormat) -> str:
    rates = "all" if row.rates == ALL_RATES else ", ".join(map(str, row.rates))
    cells = (
        *(f"`{row.name}`", f"`{row.mime}`", f"`.{row.extension}`", row.container, row.codec, rates),
        *(_bit_rates(row), _frame(row), _delay(row), "on the pool" if row.heavy else "inline"),
    )
    return f"| {' | '.join(cells)} |"


def _bit_rates(row: AudioFormat) -> str:
    """Every step: its choices with the default in bold."""
    if not row.bit_rates:
        return "fixed" if row.bytes_per_sample else "as the sound needs"
    return _steps(row, lambda rate: _choices(row, rate))


def _choices(row: AudioFormat, rate: int) -> str:
    step = row.bit_rates_at(rate)
    assert step is not None
    return " ".join(f"**{bits // 1000}**" if bits == step.default else str(bits // 1000) for bits in step.choices)


def _frame(row: AudioFormat) -> str:
    frame = row.frame
    if frame is None:
        return f"a sample, {row.bytes_per_sample} bytes" if row.bytes_per_sample != 1 else "a sample, 1 byte"
    lengths = {frame(rate) * 1000 / rate for rate in row.rates}
    if len(lengths) == 1:
        return f"{lengths.pop():g} ms"
    return f"{_steps(row, lambda rate: str(frame(rate)))} samples"


def _steps(row: AudioFormat, text: Callable[[int], str]) -> str:
    """What ``text`` says of the rates, with the rate from which each thing holds."""
    groups = [(said, next(rates)) for said, rates in groupby(row.rates, text)]
    first, *rest = groups
    return "; ".join([first[0], *(f"from {rate} Hz {said}" for said, rate in rest)])


def _delay(row: AudioFormat) -> str:
    return f"{row.delay_samples} at {row.clock} Hz" if row.delay_samples and row.clock else str(row.delay_samples)


if __name__ == "__main__":
    print(render())
