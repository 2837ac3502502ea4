"""What the HTTP routes take and answer, told as OpenAPI 3.1: ``operation`` is how a route says it, ``document`` makes
one document of all of them, and ``routes`` serves that and the page to read it on."""

from gateway.openapi.operation import (
    MAKING,
    READING,
    READING_CLIP,
    SPEAKING,
    ApiRoute,
    Content,
    Key,
    Link,
    Operation,
    Said,
    Tag,
    at_least_one_of,
    json_content,
    one_of,
    refusals,
)

__all__ = [
    "MAKING",
    "READING",
    "READING_CLIP",
    "SPEAKING",
    "ApiRoute",
    "Content",
    "Key",
    "Link",
    "Operation",
    "Said",
    "Tag",
    "at_least_one_of",
    "json_content",
    "one_of",
    "refusals",
]
