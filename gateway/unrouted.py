"""What is answered where there is no route, or none for the method."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from gateway.dialects.refusal import ErrorAnswer, ErrorFields, json_response

_OF_FILES = frozenset({"GET", "HEAD"})


class UnroutedAnswer(ErrorAnswer):
    """In the gateway's own form and, for the clients of servers that were written with FastAPI, in theirs."""

    detail: str


async def unrouted(request: Request, error: Exception) -> Response:
    """Answers the errors of the router itself."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        methods = _methods(request)
        headers = {"allow": ", ".join(methods)}
        message = f"this route takes {' and '.join(methods)}, not {request.method}"
        return _answer(405, "method_not_allowed", message, error.detail, headers)
    if error.status_code == 404:
        return _answer(404, "not_found", "there is no such route; /openapi.json has those there are", error.detail)
    return Response(error.detail, error.status_code, error.headers)


def _answer(status: int, code: str, message: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    fields = ErrorFields(code=code, message=message, retryable=False)
    return json_response(UnroutedAnswer(error=fields, detail=detail).model_dump(), status, headers)


def _methods(request: Request) -> list[str]:
    """Of all routes of this path: several may share it, and each knows of its own alone."""
    found: set[str] = set()
    # What is mounted has noted where, as if the application began there.
    scope = {**request.scope, "root_path": request.scope.get("app_root_path", request.scope.get("root_path", ""))}
    for route in request.app.routes:
        if route.matches(scope)[0] is not Match.NONE:
            # What is mounted is files.
            found |= (route.methods or set()) if isinstance(route, Route) else _OF_FILES
    return sorted(found)
