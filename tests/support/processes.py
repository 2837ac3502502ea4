"""What this process has running and open, as the kernel sees it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def children() -> list[int]:
    """The ffmpeg processes that this one has started and not buried. A gateway that other tests talk to is one of
    its children too, and none of theirs."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        # A thread may be over by now, and with it its children.
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return sorted(pid for pid in found if _name(pid).startswith("ffmpeg"))


def _name(pid: int) -> str:
    # It may be over before its file is opened, and before that is read.
    with suppress(FileNotFoundError, ProcessLookupError):
        return (Path("/proc") / str(pid) / "comm").read_text()
    return ""


def descriptors(process: int | str = "self") -> dict[int, str]:
    """The open files, sockets and pipes of a process, and what they are."""
    found = {}
    for entry in Path(f"/proc/{process}/fd").iterdir():
        # One of them listed them.
        with suppress(FileNotFoundError):
            found[int(entry.name)] = str(entry.readlink())
    return found
