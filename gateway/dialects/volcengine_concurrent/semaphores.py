"""What is answered of a semaphore."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from gateway.admission.capacities import Capacities
from gateway.dialects.volcengine_concurrent.callers import SemaphoreNotFound


class SemaphoreAnswer(BaseModel):
    """One semaphore."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    semaphore_id: str
    max_concurrent: int
    """Its places."""
    available_slots: int
    """Of those, free now."""
    waiting: int
    """Tasks that wait for one."""
    description: str


class SemaphoreMade(SemaphoreAnswer):
    status: Literal["created"] = "created"


class SemaphoreGone(BaseModel):
    semaphore_id: str
    status: Literal["deleted"] = "deleted"


class SemaphoresAnswer(BaseModel):
    external_semaphores: list[SemaphoreAnswer]
    total_count: int


def missing() -> SemaphoreNotFound:
    return SemaphoreNotFound("External semaphore not found or access denied.")


async def described(capacities: Capacities, name: str) -> SemaphoreAnswer:
    """Raises ``SemaphoreNotFound``."""
    made = next((made for made in await capacities.list() if made.name == name), None)
    capacity = await capacities.get(name)
    if made is None or capacity is None:
        raise missing()
    return SemaphoreAnswer(
        semaphore_id=made.name,
        max_concurrent=made.places,
        available_slots=max(0, made.places - capacity.taken),
        waiting=capacity.waiting,
        description=made.description,
    )
