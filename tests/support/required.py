"""What a test needs and a machine may lack: the test is skipped, or fails where ``VOXWIRE_REQUIRE`` promises it."""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import NoReturn

import pytest


def lacks(what: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where ``VOXWIRE_REQUIRE`` (names with commas between them) has ``what``."""
    if what in os.environ.get("VOXWIRE_REQUIRE", "").split(","):
        pytest.fail(f"VOXWIRE_REQUIRE asks for {what}: {reason}")
    pytest.skip(reason)


def required(what: str, module: str) -> ModuleType:
    """The module, if it is installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        lacks(what, str(error))
