"""The JSON Schema of the job file, for editors and for the text after "accepted:" in messages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from owtmix.base.strict_json import Loc
from owtmix.jobfile.models import JobFile


class _Generator(GenerateJsonSchema):
    """Omits titles, and null as a value: both are noise to an author."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the base class's signature
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        result = super().default_schema(schema)
        if "default" in result and result["default"] is None:
            del result["default"]
        return result


@cache
def job_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a job file. Cached: do not modify the result."""
    schema = JobFile.model_json_schema(schema_generator=_Generator)
    return {"$schema": _Generator.schema_dialect, **schema}


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """A key of the job file: accepted values in words, and their JSON Schema type ("" for any)."""

    accepted: str
    type: str


def key_at(loc: Loc) -> KeyDescription:
    """Description of the key at ``loc``. An entry of a list has the description of the list."""
    schema = job_schema()
    node, words = schema, str(schema["description"])
    for part in loc:
        node = _child(node, part)
        words = node.get("description", words)
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    choices = {choice.get("type", "") for choice in node.get("anyOf", [])}
    return KeyDescription(words, node.get("type", "string" if "string" in choices else ""))


def _child(node: dict[str, Any], part: str | int) -> dict[str, Any]:
    """The schema of a key or list entry. For a key that accepts an object or a list of objects, that of the list."""
    node = next((choice for choice in node.get("anyOf", []) if "items" in choice), node)
    if isinstance(part, int):
        child: dict[str, Any] = node["items"]
    else:
        child = node.get("properties", {}).get(part) or node["additionalProperties"]
    return child
