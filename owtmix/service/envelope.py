"""The fields that all requests and answers have in common (API document, sections 2.2 and 2.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from owtmix.base.strict_json import MAX_DIGITS, JsonError, kind_of, read_object, shown
from owtmix.jobfile.bounds import MAX_JOB_BYTES, MAX_NAME, MAX_SECRET
from owtmix.service.actions import ACTIONS, UNKNOWN_ACK, Action
from owtmix.service.refusals import RefusedError, RetCode

VERSION: Final = "1.0"
MAX_BODY_BYTES: Final = MAX_JOB_BYTES
MAX_VALUES: Final = 100_000
"""Of a request: reading more takes long, also that of one without a token."""
_IDS: Final = ("RequestId", "JobId", "AppId", "RoomId")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was sent: ``data`` was not looked at yet."""

    action: Action
    token: str = field(repr=False)
    internal: Mapping[str, Any]
    data: Mapping[str, Any] = field(repr=False)

    def text(self, key: str) -> str:
        """The text at ``key`` of ``Internal``; empty where it is missing.

        Raises:
            RefusedError: it is no text, or too long.
        """
        value = self.internal.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > MAX_NAME:
            raise RefusedError(
                RetCode.FAILED, f"Internal.{key}: found {shown(value)}; accepted: text of at most {MAX_NAME} characters"
            )
        return value


def read_request(body: bytes) -> tuple[Mapping[str, Any], Action | None]:
    """The JSON of a request, and its action where it names one.

    Raises:
        RefusedError: it is no JSON object.
    """
    if len(body) > MAX_VALUES and _values(body) > MAX_VALUES:
        raise RefusedError(RetCode.FAILED, f"a request has at most {MAX_VALUES:,} values, texts and keys together")
    try:
        document = read_object(body, max_bytes=MAX_BODY_BYTES)
    except JsonError as error:
        raise RefusedError(RetCode.FAILED, f"the request is not usable JSON: {error}") from None
    name = document.get("Action")
    return document, ACTIONS.get(name) if isinstance(name, str) else None


def _values(body: bytes) -> int:
    """At least as many values, or texts and keys, as ``body`` has; counted without reading it, which may take long."""
    return max(sum(map(body.count, (b",", b"[", b"{"))), body.count(b'"') // 2)


def checked_request(document: Mapping[str, Any], action: Action | None) -> Request:
    """The request that ``document`` makes.

    Raises:
        RefusedError: it makes none.
    """
    if action is None:
        found = shown(document["Action"]) if document.get("Action") is not None else "nothing"
        raise RefusedError(RetCode.FAILED, f"Action: found {found}; accepted: {', '.join(ACTIONS)}")
    token = document.get("Token")
    if token is not None and (not isinstance(token, str) or len(token) > MAX_SECRET):
        raise RefusedError(RetCode.FAILED, f"Token: accepted is text of at most {MAX_SECRET:,} characters")
    parts = {}
    for key in ("Internal", "Data"):
        value = document.get(key)
        if value is not None and not isinstance(value, dict):
            raise RefusedError(RetCode.FAILED, f"{key}: found {kind_of(value)}; accepted: an object")
        parts[key] = value or {}
    return Request(action, token or "", parts["Internal"], parts["Data"])


def named_ids(document: Mapping[str, Any]) -> dict[str, str]:
    """The ids that a refused request gave, which its answer repeats."""
    internal = document.get("Internal")
    found = internal if isinstance(internal, dict) else {}
    return {key: found[key] for key in _IDS if isinstance(found.get(key), str) and len(found[key]) <= MAX_NAME}


def answer(
    action: Action | None, code: int, message: str, internal: Mapping[str, Any], data: Mapping[str, Any]
) -> bytes:
    """The body of an answer."""
    body = {
        "Version": VERSION,
        "Ack": action.ack if action else UNKNOWN_ACK,
        "RetCode": int(code),
        "Message": message,
        "Internal": internal,
        "Data": data,
    }
    return as_json(body).encode()


def as_json(value: object) -> str:
    """A value of JSON, numbers included that are exact."""
    return _ENCODER.encode(value)


def plain_number(value: object) -> int | float:
    """A number as JSON has it, for ``json.dumps``, in digits that are accepted again."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is no value of JSON")
    is_whole = value.adjusted() < MAX_DIGITS and value == value.to_integral_value()
    return int(value) if is_whole else float(value)


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=plain_number)
"""Making one takes as long as writing a short answer."""
