"""Streams of events: what OpenAPI says of one is said of each, and its data is what the route says."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from starlette.requests import Request

from gateway.openapi import ApiRoute, Content, Operation, Said, Tag
from gateway.openapi.document import document


class Piece(BaseModel):
    number: int


def told(kind: Any) -> dict[str, Any]:
    async def nothing(_: Request) -> None: ...

    content = (Content("text/event-stream", kind, "Pieces."),)
    route = ApiRoute("/x", nothing, Operation(Tag("x", ""), "", {200: Said("", content)}))
    answer = document([route], key_required=False)["paths"]["/x"]["get"]["responses"]["200"]
    schema: dict[str, Any] = answer["content"]["text/event-stream"]["schema"]
    return schema


def test_data_that_is_json_has_a_schema_of_its_own() -> None:
    data = told(Piece)["properties"]["data"]
    assert data == {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": "#/components/schemas/x.Piece"},
    }


def test_data_that_is_text_is_a_string() -> None:
    assert told(str) == {
        "type": "object",
        "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
        "required": ["data"],
        "description": "Pieces.",
    }
