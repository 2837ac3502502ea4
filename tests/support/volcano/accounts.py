"""Who may speak, how much at once, and how much at once it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.volcano.plans import Refusal


@dataclass(slots=True)
class Account:
    """``quota``: sessions at once. ``resources``: what it was granted; ``None`` is everything."""

    name: str
    quota: int = 10
    resources: frozenset[str] | None = None
    live: int = 0
    peak: int = 0
    refused: int = 0
    """Sessions that there was no room for."""
    tell: Callable[[], None] = field(default=lambda: None, repr=False)

    def take(self) -> bool:
        if self.live >= self.quota:
            self.refused += 1
            return False
        self.live += 1
        self.peak = max(self.peak, self.live)
        self.tell()
        return True

    def leave(self) -> None:
        self.live -= 1
        self.tell()

    @contextmanager
    def place(self) -> Iterator[bool]:
        taken = self.take()
        try:
            yield taken
        finally:
            if taken:
                self.leave()


class Accounts:
    """By the key of the new console, or by application id and access key."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._by_key: dict[str, Account] = {}
        self._by_app: dict[tuple[str, str], Account] = {}

    def add(self, api_key: str, app_id: str, access_key: str, quota: int, resources: frozenset[str] | None) -> Account:
        account = Account(api_key or app_id, quota, resources, tell=self._tell)
        if api_key:
            self._by_key[api_key] = account
        if app_id:
            self._by_app[app_id, access_key] = account
        return account

    def all(self) -> list[Account]:
        return list({id(account): account for account in (*self._by_key.values(), *self._by_app.values())}.values())

    def v3(self, headers: Mapping[str, str]) -> Account | Refusal:
        """The account of a request of version 3, in whose name it may use the resource that it names."""
        resource = headers.get("X-Api-Resource-Id", "")
        if not resource:
            return Refusal(45000000, "get resource id empty", "status", 400)
        found = self._named(headers)
        if isinstance(found, Refusal):
            return found
        if found.resources is not None and resource not in found.resources:
            return Refusal(45000030, f"[resource_id={resource}] requested resource not granted", "status", 403)
        return found

    def _named(self, headers: Mapping[str, str]) -> Account | Refusal:
        if key := headers.get("X-Api-Key"):
            return self._by_key.get(key) or Refusal(45000010, "Invalid X-Api-Key", "status", 401)
        # Either name is read.
        app = headers.get("X-Api-App-Id") or headers.get("X-Api-App-Key")
        if not app:
            return Refusal(45000000, "app key not found in header or query", "status", 400)
        access = headers.get("X-Api-Access-Key")
        if not access:
            return Refusal(45000000, "no token or access_key was found from the header or query", "status", 400)
        missing = Refusal(45000010, "load grant: requested grant not found in SaaS storage", "status", 401)
        return self._by_app.get((app, access)) or missing

    def v1(self, headers: Mapping[str, str], app_id: str) -> Account | Refusal:
        kind, _, token = headers.get("Authorization", "").partition(";")
        if kind != "Bearer":
            return Refusal(3001, "authenticate request: no token", "status", 401)
        missing = Refusal(3001, "authenticate request: load grant: requested grant not found", "status", 401)
        return self._by_app.get((app_id, token.strip())) or missing
