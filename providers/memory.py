"""Gives freed memory back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """What was freed goes back to the system. glibc keeps it, and for what is loaded on another thread uses none of it
    again: a process that had loaded a Piper voice nine times held a gigabyte. Takes some ten milliseconds; does nothing
    where the C library is another.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
