"""The base of the models of the job file (``models``), and words that several of them use."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from owtmix.base.ids import MAX_STREAM_ID

REQUIRED: Final = "required"

STREAM: Final = f'a stream id such as "alice_1", at most {MAX_STREAM_ID} characters'


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Add to the schema which keys are required, and that editors should flag unknown ones."""
    required = [field.alias for field in model.model_fields.values() if REQUIRED in field.metadata]
    schema["additionalProperties"] = False
    if required:
        schema["required"] = required


class JobModel(BaseModel):
    """Base class of the models. Types are strict; unknown keys are kept, for a warning."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, json_schema_extra=_describe, defer_build=True)


class Member(NamedTuple):
    """A field of a model; ``kind`` is its annotation."""

    name: str
    alias: str
    kind: Any
    is_required: bool


@cache
def members(model: type[JobModel]) -> tuple[Member, ...]:
    """The fields of ``model``, which pydantic takes long to list."""
    return tuple(
        Member(name, str(field.alias), field.annotation, REQUIRED in field.metadata)
        for name, field in model.model_fields.items()
    )
