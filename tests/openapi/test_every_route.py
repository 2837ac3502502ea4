"""``/openapi.json`` holds what the routes do: schemathesis asks every one of them for right and for wrong things."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.app import create_app
from gateway.config import Settings
from gateway.openapi.document import document
from tests.support.engines import Making
from tests.support.serving import Served
from tests.support.thread_served import thread_served

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "use_after_free",
    "ensure_resource_availability",
)
TAGS = [tag["name"] for tag in document(create_app(Settings(_env_file=None)).routes, key_required=False)["tags"]]
ADMIN, CALLER = "the key of the admin", "the key of a caller"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with thread_served(engines=["mock_tone", "hibari", Making()], admin_api_key=ADMIN) as made:
        yield made


@pytest.mark.timeout(300)
@pytest.mark.parametrize("tag", TAGS)
def test_an_api_answers_as_it_says(tag: str, served: Served, tmp_path: Path) -> None:
    run(served, tmp_path, "--include-tag", tag, "--phases", "examples,coverage,fuzzing")


@pytest.mark.timeout(300)
def test_what_a_route_has_made_is_there_for_the_others(served: Served, tmp_path: Path) -> None:
    run(served, tmp_path, "--phases", "stateful")


@pytest.mark.timeout(300)
def test_nobody_without_a_key_is_let_in_where_one_is_asked_for(tmp_path: Path) -> None:
    with thread_served(engines=["mock_tone", Making()], admin_api_key=ADMIN, api_keys=(CALLER,)) as served:
        key = ("--header", f"Authorization: Bearer {CALLER}")
        run(served, tmp_path, *key, "--phases", "examples,fuzzing", examples=2, checks=(*CHECKS, "ignored_auth"))


def run(served: Served, folder: Path, *arguments: str, examples: int = 25, checks: Sequence[str] = CHECKS) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{served.http}/openapi.json", *arguments),
        *("--checks", ",".join(checks), "--max-examples", f"{examples}", "--seed", "1", "--generation-deterministic"),
        *("--header", f"Admin-API-Key: {ADMIN}"),
        *("--request-timeout", "60", "--continue-on-failure", "--warnings", "off", "--no-color"),
    ]
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
