"""Fields of the models of the job file: each says in words what its key accepts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, Field

from owtmix.jobfile.bounds import MAX_NAME


def key(alias: str, accepted: str, default: Any = None, **limits: Any) -> Any:
    """A key of the job file. ``accepted`` follows "accepted: " in messages, and is the description in editors."""
    if isinstance(default, Decimal):  # pydantic writes such a default as text
        limits = {"json_schema_extra": {"default": float(default)}} | limits
    return Field(default, alias=alias, description=accepted, **limits)


def whole(alias: str, what: str, low: int, high: int, default: int | None = None, **limits: Any) -> Any:
    """A key for a whole number from ``low`` to ``high``."""
    return key(alias, f"{what}, {low} to {high}", default, ge=low, le=high, **limits)


def string(alias: str, what: str, longest: int = MAX_NAME, default: str | None = "", **limits: Any) -> Any:
    """A key for a text of at most ``longest`` characters."""
    return key(alias, f"{what}, at most {longest:,} characters", default, max_length=longest, **limits)


def choice(alias: str, accepted: str, low: int, high: int, default: int | None = None) -> Any:
    """A key for an enumeration with the values ``low`` to ``high``."""
    return key(alias, accepted, default, ge=low, le=high, json_schema_extra={"enum": list(range(low, high + 1))})


def section(alias: str, model: type[BaseModel], accepted: str) -> Any:
    """An optional key for an object."""
    return Field(default_factory=model, alias=alias, description=accepted)


def items(alias: str, accepted: str, most: int | None = None) -> Any:
    """An optional key for a list of at most ``most`` entries."""
    return Field(default_factory=list, alias=alias, description=accepted, max_length=most)
