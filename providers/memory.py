"""Memory: how much a process holds, and giving back what was freed in this one."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def give_back() -> None:
    """What was freed goes back to the system. glibc keeps it, and for what is loaded on another thread uses none of it
    again: a process that had loaded a Piper voice nine times held a gigabyte. Takes some ten milliseconds; does nothing
    where the C library is another.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def resident(process: int | str = "self") -> int:
    """Bytes of memory that a process holds; 0 where the system does not say, or it is over."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * _PAGE
