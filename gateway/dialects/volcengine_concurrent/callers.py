"""Who may do what here, and what one is told who may not."""

from __future__ import annotations

import hmac

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from gateway.dialects.body import closing
from gateway.dialects.refusal import json_response, retry_headers
from gateway.dialects.volcengine_concurrent.bodies import BatchBody, Credentials
from gateway.errors import BadRequest, Unauthorized, VoxwireError
from gateway.runtime import Gateway


class AdminRequired(VoxwireError):
    code = "ADMIN_REQUIRED"
    http_status = 403


class SemaphoreNotFound(VoxwireError):
    code = "SEMAPHORE_NOT_FOUND"
    http_status = 404


class MissingCredentials(VoxwireError):
    code = "MISSING_CREDENTIALS"
    http_status = 400


class SemaphoreExists(BadRequest):
    code = "SEMAPHORE_EXISTS"
    http_status = 409


_ADVICE = {
    Unauthorized: "Check your Admin-API-Key header or credentials in payload",
    AdminRequired: "Send the header 'Admin-API-Key'; without ADMIN_API_KEY set on the server nobody is an admin",
    MissingCredentials: "Send both volcengine_tts_appid and volcengine_tts_access_key, or neither",
    SemaphoreNotFound: "Create it with POST /external-semaphores, or use one of the available ones",
}


class RefusalAnswer(BaseModel):
    """An error, in the earlier service's form."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    detail: str
    """A sentence for people."""
    error_code: str
    """For programs."""
    suggested_action: str | None = None
    available_semaphores: list[str] | None = None
    """The semaphores that there are, where none has the name that was asked for."""


def refused(error: VoxwireError, available: list[str] | None = None) -> Response:
    body = RefusalAnswer(
        detail=error.message,
        error_code="AUTH_FAILED" if isinstance(error, Unauthorized) else error.code,
        suggested_action=_ADVICE.get(type(error)),
        available_semaphores=available,
    )
    headers = {**retry_headers(error), **closing(error)}
    return json_response(body.model_dump(exclude_none=True), error.http_status, headers)


def admin_key(gateway: Gateway) -> str:
    """Empty where there is none: a variable that is set to nothing is as good as not set."""
    key = gateway.settings.admin_api_key
    return "" if key is None else key.get_secret_value().strip()


def is_admin(gateway: Gateway, request: Request) -> bool:
    """Whether the request carries the admin's key. Raises ``Unauthorized`` where it carries another one."""
    given = request.headers.get("admin-api-key")
    if given is None:
        return False
    key = admin_key(gateway)
    # A header is read as Latin-1: these are the bytes that were sent.
    if not key or not hmac.compare_digest(given.encode("latin-1"), key.encode()):
        raise Unauthorized(
            "Authentication failed. Provide 'Admin-API-Key' in headers or complete credentials in payload."
        )
    return True


def account_of(body: BatchBody) -> dict[str, str]:
    """The caller's own account, where one was sent. Raises ``MissingCredentials`` for half of one."""
    sent = body.credentials or Credentials()
    account = {
        "volcengine_tts_appid": sent.volcengine_tts_appid.strip(),
        "volcengine_tts_access_key": sent.volcengine_tts_access_key.get_secret_value().strip(),
    }
    if not any(account.values()):
        return {}
    if not all(account.values()):
        raise MissingCredentials("Missing or invalid credentials: an account is an appid and an access key.")
    return account
