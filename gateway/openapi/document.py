"""One OpenAPI 3.1 document of all routes that say what they do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from starlette.routing import BaseRoute, compile_path

from gateway import __version__
from gateway.openapi.operation import ApiRoute, Content, Key, Operation, Said, Tag

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]
"""Of what is taken, and of what is answered: a field with a default may be left out of the one, and is in the other."""

_EVENTS = "text/event-stream"
_DESCRIPTION = """\
Text goes in, speech comes out while it is being made. These are the HTTP routes; speech over a WebSocket, with text
that is still being written, is the protocol at `/v1/stream`.

Several APIs stand side by side, so that whatever a caller already speaks works: take the one that your client knows.
"""

_CALLERS: Json = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "xApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "xiApiKey": {"type": "apiKey", "in": "header", "name": "xi-api-key"},
    "query": {"type": "apiKey", "in": "query", "name": "api_key"},
}
_ADMINS: Json = {"admin": {"type": "apiKey", "in": "header", "name": "Admin-API-Key"}}
_SCHEMES: dict[Key, Json] = {
    Key.NONE: {},
    Key.CALLER: _CALLERS,
    Key.EITHER: {**_CALLERS, **_ADMINS},
    Key.ADMIN: _ADMINS,
}
"""What may be shown, by their names: any one of them will do."""


def operations(routes: Iterable[BaseRoute]) -> list[ApiRoute]:
    return [route for route in routes if isinstance(route, ApiRoute)]


def document(routes: Iterable[BaseRoute], *, key_required: bool, address: str | None = None) -> Json:
    """``routes`` as JSON; those that say nothing are left out. ``key_required``: this deployment has keys. ``address``:
    what it is reached by, where that is not what the document is."""
    told = operations(routes)
    schemas = _Schemas(told)
    paths: dict[str, Json] = {}
    for route in told:
        path, operation = _operation(route, schemas, key_required)
        paths.setdefault(path, {})[route.method] = operation
    tags = {route.operation.tag.name: route.operation.tag for route in told}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Voxwire", "version": __version__, "description": _DESCRIPTION},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        **({"servers": [{"url": address.rstrip("/")}]} if address else {}),
        "tags": [{"name": tag.name, "description": tag.description} for tag in tags.values()],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _SCHEMES[Key.EITHER]},
    }


# ---- one operation


def _operation(route: ApiRoute, schemas: _Schemas, key_required: bool) -> tuple[str, Json]:
    said = route.operation
    _, path, parts = compile_path(route.path)
    told: Json = {
        "operationId": f"{route.method}_{re.sub(r'[^a-zA-Z0-9]+', '_', path).strip('_') or 'index'}",
        "tags": [said.tag.name],
        "summary": said.summary,
        "responses": {str(status): _answer(answer, said, schemas) for status, answer in said.answers.items()},
    }
    if said.description:
        told["description"] = said.description
    if parameters := [*_path(said, list(parts), schemas), *_parameters(said, schemas)]:
        told["parameters"] = parameters
    if said.body:
        told["requestBody"] = {"required": True, "content": _content(said.body, said.tag, "validation", schemas)}
    if schemes := _SCHEMES[said.key]:
        free = not key_required and said.key is not Key.ADMIN
        told["security"] = [*({scheme: []} for scheme in schemes), *([{}] if free else [])]
    return path, told


def _answer(answer: Said, operation: Operation, schemas: _Schemas) -> Json:
    told: Json = {"description": answer.description}
    if answer.content:
        told["content"] = _content(answer.content, operation.tag, "serialization", schemas)
    if answer.headers:
        told["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in answer.headers.items()
        }
    if answer.links:
        told["links"] = {
            name: {"operationId": link.operation, "parameters": dict(link.parameters)}
            for name, link in answer.links.items()
        }
    return told


def _content(contents: Iterable[Content], tag: Tag, mode: Mode, schemas: _Schemas) -> Json:
    told: Json = {}
    for content in contents:
        schema = {} if content.type is None else dict(schemas.of(tag, content.type, mode))
        if content.media == _EVENTS and content.type is not None:
            schema = _event(schema)
        if content.description:
            schema["description"] = content.description
        told[content.media] = {"schema": schema} if schema else {}
    return told


def _event(data: Json) -> Json:
    """One of a stream of events, of which OpenAPI says nothing before 3.2: tools take the schema for that of each."""
    if data != {"type": "string"}:
        data = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    return {"type": "object", "properties": {"event": {"type": "string"}, "data": data}, "required": ["data"]}


# ---- parameters


def _path(operation: Operation, parts: list[str], schemas: _Schemas) -> Iterator[Json]:
    known: Json = {} if operation.path is None else schemas.fields(operation.tag, operation.path)[0]
    for part in parts:
        schema = known.get(part, {"type": "string", "minLength": 1})
        yield _parameter(part, "path", schema, required=True)


def _parameters(operation: Operation, schemas: _Schemas) -> Iterator[Json]:
    if operation.query is not None:
        fields, required = schemas.fields(operation.tag, operation.query)
        for name, schema in fields.items():
            yield _parameter(name, "query", schema, required=name in required)


def _parameter(name: str, place: str, schema: Json, *, required: bool) -> Json:
    schema = _without_null(schema)
    description = schema.pop("description", "")
    told = {"name": name, "in": place, "required": required, "schema": schema}
    return {**told, "description": description} if description else told


def _without_null(schema: Json) -> Json:
    """A parameter is there or is not: it has no null."""
    found = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    kinds = [kind for kind in found.pop("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        return {**kinds[0], **found}
    return {**found, "anyOf": kinds} if kinds else found


# ---- types


class _Untitled(GenerateJsonSchema):
    """Without titles, which are the names once more: generators of clients would call types of two APIs by one."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Schemas:
    """What pydantic says of the types of all operations. Types of one name in two APIs are kept apart."""

    def __init__(self, routes: Iterable[ApiRoute]) -> None:
        self.components: Json = {}
        self._schemas: dict[tuple[str, int, Mode], Json] = {}
        by_tag: dict[str, list[tuple[Any, Mode]]] = {}
        for route in routes:
            by_tag.setdefault(route.operation.tag.name, []).extend(_types(route.operation))
        for tag, types in by_tag.items():
            self._add(tag, types)

    def of(self, tag: Tag, type_: Any, mode: Mode) -> Json:
        return self._schemas[tag.name, id(type_), mode]

    def fields(self, tag: Tag, model: type[BaseModel]) -> tuple[dict[str, Json], set[str]]:
        """A schema for each, and which of them must be there. The model has no name of its own in the document."""
        schema = model.model_json_schema(ref_template=_template(tag.name), schema_generator=_Untitled)
        self._define(tag.name, schema)
        return schema.get("properties", {}), set(schema.get("required", ()))

    def _add(self, tag: str, types: list[tuple[Any, Mode]]) -> None:
        # By identity: a type such as ``list[Voice]`` may be made anew at each mention, and is kept by its operation.
        wanted = {(id(type_), mode): type_ for type_, mode in types}
        inputs = [(key, key[1], TypeAdapter(type_)) for key, type_ in wanted.items()]
        schemas, definitions = TypeAdapter.json_schemas(inputs, ref_template=_template(tag), schema_generator=_Untitled)
        for key, mode in schemas:
            self._schemas[tag, key[0], mode] = schemas[key, mode]
        self._define(tag, definitions)

    def _define(self, tag: str, schema: Json) -> None:
        for name, found in schema.get("$defs", {}).items():
            self.components[f"{tag}.{name}"] = {key: value for key, value in found.items() if key != "title"}


def _template(tag: str) -> str:
    return f"#/components/schemas/{tag}.{{model}}"


def _types(operation: Operation) -> Iterator[tuple[Any, Mode]]:
    for content in operation.body:
        if content.type is not None:
            yield content.type, "validation"
    for answer in operation.answers.values():
        for content in answer.content:
            if content.type is not None:
                yield content.type, "serialization"
