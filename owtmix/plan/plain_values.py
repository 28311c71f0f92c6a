"""A plan, or a part of it, as JSON for people and their programs.

Exact seconds become decimals rounded to a microsecond. ``exact_json`` is for other processes of this program.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from itertools import islice
from typing import Any, Final

from owtmix.base.ids import StreamId
from owtmix.jobfile.spec import ClockWatermark, ImageWatermark, TextWatermark

_TOKENS: Final = 10_000
"""Of JSON, in a part."""
_KINDS: Final = {ClockWatermark: "clock", ImageWatermark: "image", TextWatermark: "text"}


def to_json(value: Any) -> Any:
    """``value`` as JSON values."""
    plain = _plain(value)
    match plain:
        case dict():
            return {key: to_json(item) for key, item in plain.items()}
        case tuple() | list():
            return [to_json(item) for item in plain]
        case _:
            return plain


def json_parts(value: Any) -> Iterator[str]:
    """``value`` as JSON text, part by part: a plan of a day may have gigabytes of it."""
    tokens = json.JSONEncoder(ensure_ascii=False, indent=2, default=_plain).iterencode(_plain(value))
    while part := "".join(islice(tokens, _TOKENS)):
        yield part


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one return for each kind of value
    """``value`` as a JSON value; what is in it need not be one."""
    match value:
        case StreamId():
            return str(value)
        case ImageWatermark():
            return {"type": _KINDS[ImageWatermark]} | _fields(value) | {"source": value.shown}
        case Fraction():
            return round(float(value), 6)
        case Enum():
            return value.value
        case Mapping():
            return _keyed(value)
        case range():
            return [value.start, value.stop]
        case ClockWatermark() | TextWatermark():
            return {"type": _KINDS[type(value)]} | _fields(value)
        case _ if is_dataclass(value):
            return _fields(value)
        case _:
            return value


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: _keyed(getattr(value, f.name)) for f in fields(value)}


def _keyed(value: Any) -> Any:
    """``value``, with texts as keys if it is a mapping."""
    return {str(key): _keyed(item) for key, item in value.items()} if isinstance(value, Mapping) else value
