"""The document as such: whole, valid, and about every route."""

from __future__ import annotations

from typing import Any

import openapi_spec_validator
import pytest
from starlette.routing import Mount, Route

from gateway.app import create_app
from gateway.config import Settings
from gateway.openapi import ApiRoute
from gateway.openapi.document import document

UNTOLD = {"/openapi.json", "/docs"}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return document(create_app(Settings(_env_file=None)).routes, key_required=False)


def test_it_is_valid_openapi(told: dict[str, Any]) -> None:
    openapi_spec_validator.validate(told)


def test_every_http_route_is_in_it() -> None:
    app = create_app(Settings(_env_file=None))
    silent = [route.path for route in app.routes if isinstance(route, Route) and not isinstance(route, ApiRoute)]
    assert set(silent) <= UNTOLD
    assert [route.path for route in app.routes if isinstance(route, Mount)] == ["/static"]


def test_no_two_operations_have_one_id(told: dict[str, Any]) -> None:
    ids = [operation["operationId"] for path in told["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_it_says_which_key_a_route_asks_for() -> None:
    def ways(path: str, method: str, *, key_required: bool) -> list[dict[str, Any]] | None:
        told = document(create_app(Settings(_env_file=None)).routes, key_required=key_required)
        return told["paths"][path][method].get("security")

    callers: list[dict[str, Any]] = [{"bearer": []}, {"xApiKey": []}, {"xiApiKey": []}, {"query": []}]
    for key_required, free in ((True, []), (False, [{}])):
        assert ways("/healthz", "get", key_required=key_required) is None
        assert ways("/v1/audio/speech", "post", key_required=key_required) == [*callers, *free]
        assert ways("/generate-batch", "post", key_required=key_required) == [*callers, {"admin": []}, *free]
        assert ways("/external-semaphores", "get", key_required=key_required) == [{"admin": []}]


def test_it_names_the_address_that_clients_reach_the_gateway_by(told: dict[str, Any]) -> None:
    assert "servers" not in told
    named = document([], key_required=False, address="https://voice.example.com/tts/")
    assert named["servers"] == [{"url": "https://voice.example.com/tts"}]


def test_no_two_types_can_get_one_name_from_a_generator_of_clients(told: dict[str, Any]) -> None:
    """Generators go by the titles, which are the same in several APIs."""
    schemas = told["components"]["schemas"].values()
    fields = [field for schema in schemas for field in schema.get("properties", {}).values()]
    assert [found for found in (*schemas, *fields) if "title" in found] == []


def test_no_choice_stands_beside_fields_where_a_generator_of_clients_would_forget_these(told: dict[str, Any]) -> None:
    schemas = told["components"]["schemas"]
    assert [name for name, found in schemas.items() if "properties" in found and {"oneOf", "anyOf"} & set(found)] == []
    ways = [way["required"] for way in schemas["voices.VoiceBody"]["allOf"][0]["oneOf"]]
    assert ways == [["description"], ["clip"]]


def test_every_type_is_used(told: dict[str, Any]) -> None:
    text = str(told)
    assert [name for name in told["components"]["schemas"] if f"#/components/schemas/{name}'" not in text] == []
