"""Checks that a result of a task has its type, and gives up at the first element that has not.

Pydantic goes on and collects an error for each wrong element, and for each type that it could be: of 16 MiB that are
nothing of the kind that is gigabytes.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import SchemaValidator

_SEQUENCES: Final = frozenset({"list", "tuple", "set", "frozenset"})


def validated(result: Any, value: Any) -> Any:
    """``value``, which comes from JSON, as the type ``result``.

    Raises:
        ValidationError: it is none.
    """
    return _validator(result).validate_python(value)


@cache
def _validator(result: Any) -> SchemaValidator:
    return SchemaValidator(_hasty(TypeAdapter(result).core_schema))


def _hasty(schema: Any) -> Any:
    """A core schema whose sequences end at the first error."""
    match schema:
        case dict():
            changed = {key: _hasty(part) for key, part in schema.items()}
            return changed | {"fail_fast": True} if schema.get("type") in _SEQUENCES else changed
        case list():
            return [_hasty(part) for part in schema]
        case tuple():
            return tuple(_hasty(part) for part in schema)
        case _:
            return schema
