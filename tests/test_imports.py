"""Imports point down, as docs/architecture.md draws them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("gateway", "providers", "audio", "tests")

# For each part, in order of precedence: what it may import of ours. A prefix stands for everything below it.
_PIPELINE = ("gateway.clock", "gateway.errors", "gateway.events", "providers.base", "providers.waiting", "audio")
ALLOWED: list[tuple[str, tuple[str, ...]]] = [
    ("audio", ("audio",)),
    ("providers", ("providers", "audio")),
    ("gateway.client", ("gateway.client", "gateway:__version__")),
    ("gateway.clock", ()),
    ("gateway.config", ()),
    ("gateway.log", ()),
    ("gateway.errors", ("providers.base",)),
    ("gateway.events", ("gateway.errors",)),
    ("gateway.transport", ("gateway.errors",)),
    ("gateway.metrics", ()),
    ("gateway.openapi", ("gateway.openapi", "gateway.errors", "gateway:__version__")),
    ("gateway.admission", ("gateway.admission", "gateway.clock", "gateway.errors")),
    ("gateway.pipeline", ("gateway.pipeline", *_PIPELINE)),
    (
        "gateway.library",
        (
            "gateway.library",
            "gateway.admission",
            "gateway.clock",
            "gateway.errors",
            "providers.base",
            "providers.registry",
            "audio",
        ),
    ),
    (
        "gateway.session",
        (
            "gateway.session",
            "gateway.library",
            "gateway.pipeline",
            "gateway.admission",
            "gateway.metrics",
            "gateway.log",
            "providers.registry",
            *_PIPELINE,
        ),
    ),
    (
        "gateway.runtime",
        (
            "gateway.config",
            "gateway.metrics",
            "gateway.admission",
            "gateway.library",
            "gateway.session",
            "gateway.pipeline",
            "providers.registry",
            *_PIPELINE,
        ),
    ),
]
# A dialect may use the rooms below it, the shared parts of its folder and its own files, never a sibling's.
_DIALECT = (
    "gateway.runtime",
    "gateway.library",
    "gateway.session",
    "gateway.admission",
    "gateway.metrics",
    "gateway.transport",
    "gateway.config",
    "gateway.pipeline",
    "gateway.openapi",
    *_PIPELINE,
)
SHARED_DIALECT_PARTS = (
    "socket",
    "turns",
    "window",
    "refusal",
    "responder",
    "replay",
    "conversion",
    "batch",
    "body",
    "multipart",
    "choice",
    "detail",
    "sse",
    "whole",
    "packed",
)


def modules() -> list[tuple[str, Path]]:
    found = []
    for root, base in ((ROOT / "gateway", ROOT), (ROOT / "providers", ROOT), (ROOT / "codecs/audio", ROOT / "codecs")):
        for path in sorted(root.rglob("*.py")):
            name = ".".join(path.relative_to(base).with_suffix("").parts)
            found.append((name.removesuffix(".__init__"), path))
    return found


def imports(path: Path) -> set[str]:
    """Every module of ours that a file names, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from gateway import health` names a module, `from gateway import __version__` does not.
            names.update(
                f"{node.module}.{alias.name}" if node.module in {"gateway", "audio", "providers"} else node.module
                for alias in node.names
                if not alias.name.startswith("__")
            )
    return {name for name in names if name.split(".")[0] in OURS}


def allowed(name: str) -> tuple[str, ...] | None:
    if name.startswith("gateway.dialects."):
        shared = tuple(f"gateway.dialects.{part}" for part in SHARED_DIALECT_PARTS)
        return (*_DIALECT, *shared, ".".join(name.split(".")[:3]))
    for prefix, may in ALLOWED:
        if name == prefix or name.startswith(f"{prefix}."):
            return may
    return None


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_module_imports_only_what_lies_below_it(name: str, path: Path) -> None:
    may = allowed(name)
    if may is None:
        # The composition root may import everything of ours but the tests.
        may = ("gateway", "providers", "audio")
    wrong = {found for found in imports(path) if not any(found == m or found.startswith(f"{m}.") for m in may)}
    assert not wrong, f"{name} may not import {sorted(wrong)}"


def test_nobody_imports_the_composition_root() -> None:
    root = {"gateway.app", "gateway.server"}
    importers = {name for name, path in modules() if imports(path) & root}
    assert importers <= {"gateway.server", "gateway.cli", "gateway.cli.serve", "gateway.__main__"}


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("prometheus_client", {"gateway.metrics", "gateway.health"}),
        ("av", {"audio"}),
        ("lameenc", {"audio"}),
        (
            "redis",
            {"gateway.admission.leases", "gateway.admission.shared_definitions", "gateway.library.redis_store"},
        ),
    ],
)
def test_a_heavy_library_has_one_home(library: str, home: set[str]) -> None:
    for name, path in modules():
        tree = ast.parse(path.read_text())
        found = {
            (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        if library in found:
            assert name in home or name.split(".")[0] in home
