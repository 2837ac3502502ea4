"""The names in a file that torch saved, read without torch, and without running what a pickle may ask for."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LARGEST = 64 * 1024 * 1024
"""Bytes of a pickle, unpacked: one of names and shapes has a few thousand."""


def names_in(path: Path) -> list[str]:
    """The keys of a dictionary, in order. Raises ``OSError`` or ``ValueError``."""
    if path.suffix == ".json":
        found: object = json.loads(path.read_bytes())
    else:
        found = _unpickled(path)
    if not isinstance(found, dict):
        raise ValueError("not a dictionary")
    return [str(name) for name in found]


def _unpickled(path: Path) -> object:
    try:
        with zipfile.ZipFile(path) as archive:
            [entry] = [entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
            if entry.file_size > _LARGEST:
                raise ValueError("too large for a file of names")
            data = archive.read(entry)
        return _Names(io.BytesIO(data)).load()
    except (OSError, ValueError):
        raise
    except Exception as error:
        # A damaged pickle may raise anything.
        raise ValueError("not a file of names") from error


class _Names(pickle.Unpickler):
    """Of everything but plain values it makes nothing: a tensor is ``None`` here."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _nothing

    def persistent_load(self, pid: Any) -> None:
        """The numbers of a tensor, which lie elsewhere in the file."""


def _nothing(*given: Any, **named: Any) -> None:
    """Stands for whatever else is asked for."""
