"""What is answered where there is no route."""

from __future__ import annotations

import httpx
import pytest

from tests.support.serving import serving


async def test_a_path_without_a_route_is_answered_in_both_forms() -> None:
    async with serving() as served, httpx.AsyncClient(base_url=served.http, timeout=60) as client:
        answer = await client.get("/nothing/here")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert answer.json()["detail"] == "Not Found"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/voices", "GET, HEAD, POST"),
        ("/external-semaphores", "GET, HEAD, POST"),
        ("/v1/voices/library/anna", "DELETE, GET, HEAD"),
        ("/static/app.js", "GET, HEAD"),
        ("/static/v1/voices", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_of_all_methods_of_its_path(path: str, allowed: str) -> None:
    async with serving() as served, httpx.AsyncClient(base_url=served.http, timeout=60) as client:
        answer = await client.put(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["error"]["code"] == "method_not_allowed"
