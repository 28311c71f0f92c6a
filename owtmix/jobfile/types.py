"""Field types of the job file: stream ids, fractions, URLs, exact numbers."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

from owtmix.base.ids import MAX_STREAM_ID, StreamId
from owtmix.base.strict_json import CONTROL
from owtmix.jobfile.bounds import MAX_NAME, MAX_URL
from owtmix.jobfile.index_time import TIMES_BELOW, read_time
from owtmix.jobfile.room_state import OutputTime

_FRACTION: Final = r"^[0-9]{1,9}(/[0-9]{1,9}|\.[0-9]{1,9})?$"
_TIMECODE: Final = re.compile(r"([0-9]{1,4}):([0-5]?[0-9]):([0-5]?[0-9](?:\.[0-9]{1,9})?)")


def is_http_url(text: str) -> bool:
    """Whether ``text`` is an http(s) URL with a host and a valid port."""
    if CONTROL.search(text) or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _stream_id(value: object) -> StreamId | None:
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004 - pydantic reports a ValueError, but not a TypeError
    return StreamId.parse(value) if value else None


def _fraction(value: object) -> Fraction:
    if not isinstance(value, str) or not re.match(_FRACTION, value) or value.endswith("\n"):
        raise ValueError("not a fraction")
    numerator, _, denominator = value.partition("/")
    if denominator and not int(denominator):
        raise ValueError("a zero denominator")
    fraction = Fraction(value) if not denominator else Fraction(int(numerator), int(denominator))
    if fraction > 1:
        raise ValueError("above 1")
    return fraction


def _url(text: str) -> str:
    if not is_http_url(text):
        raise ValueError("not an http(s) URL")
    return text


_AnyTime = Annotated[float, Field(ge=0, le=float(TIMES_BELOW))] | Annotated[str, Field(max_length=MAX_NAME)]


def _update_time(value: object) -> Decimal | OutputTime:
    timecode = _TIMECODE.fullmatch(value) if isinstance(value, str) else None
    if timecode:
        hours, minutes, seconds = timecode.groups()
        return OutputTime(Fraction(seconds) + 60 * int(minutes) + 3600 * int(hours))
    return read_time(value)


def _exact(value: object) -> object:
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


OptionalStreamId = Annotated[
    StreamId | None,
    PlainValidator(
        _stream_id, json_schema_input_type=Annotated[str, Field(pattern=r"^(.+_[12])?$", max_length=MAX_STREAM_ID)]
    ),
]
"""A stream id ``user_type``; "" becomes None."""

UnitFraction = Annotated[
    Fraction, PlainValidator(_fraction, json_schema_input_type=Annotated[str, Field(pattern=_FRACTION)])
]
"""A fraction from 0 to 1 as text, such as ``1/3``, ``0.25`` or ``1``."""

UpdateTime = Annotated[Decimal | OutputTime, PlainValidator(_update_time, json_schema_input_type=_AnyTime)]
"""A time as an index has it, or ``HH:MM:SS.f`` of the output."""

HttpUrl = Annotated[
    str,
    Field(max_length=MAX_URL),
    AfterValidator(_url),
    WithJsonSchema({"type": "string", "pattern": "^https?://", "maxLength": MAX_URL}),
]

Seconds = Annotated[
    Decimal,
    BeforeValidator(_exact),
    Field(ge=0, le=86400),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 86400}),
]
"""A number of seconds, 0 to 86400."""

MoveSeconds = Annotated[
    Decimal, BeforeValidator(_exact), Field(ge=0, le=1), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})
]
"""A number of seconds, 0 to 1."""

PageSeconds = Annotated[
    Decimal,
    BeforeValidator(_exact),
    Field(ge=1, le=3600),
    WithJsonSchema({"type": "number", "minimum": 1, "maximum": 3600}),
]
"""A number of seconds, 1 to 3600."""

Opacity = Annotated[
    Decimal, BeforeValidator(_exact), Field(ge=0, le=1), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})
]
"""A number from 0 to 1."""
