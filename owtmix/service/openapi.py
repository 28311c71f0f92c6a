"""The OpenAPI description of the service, made from the models that check requests."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from owtmix.jobfile.bounds import MAX_URL
from owtmix.jobfile.job_model import JobModel
from owtmix.jobfile.models import Data
from owtmix.jobfile.update_models import UpdateData
from owtmix.service.actions import ACTIONS, UNKNOWN_ACK
from owtmix.service.envelope import MAX_BODY_BYTES, VERSION
from owtmix.service.live_config import MOST_TARGETS
from owtmix.service.refusals import RetCode

_IDS: Final = ("RequestId", "JobId", "AppId", "RoomId")
_TARGET: Final = {
    "type": "object",
    "properties": {"Type": {"const": "rtmp"}, "Url": {"type": "string", "maxLength": MAX_URL}},
}
_REF: Final = "#/components/schemas/{model}"


def openapi(version: str) -> dict[str, Any]:
    """The document, for ``/openapi.json``."""
    _, found = models_json_schema([(Data, "validation"), (UpdateData, "validation")], ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "owtmix", "version": version, "description": "docs/service.md says more."},
        "paths": {
            "/": {"post": _control()},
            "/whip/{AppId}/{RoomId}/{StreamId}": {"post": _publish()},
            "/whip/{AppId}/{RoomId}/{StreamId}/{Session}": {"delete": _leave()},
        },
        "components": {
            "schemas": found["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _control() -> dict[str, Any]:
    requests = [_request(name) for name in ACTIONS]
    return {
        "summary": "All actions. The status is always 200: RetCode says whether it worked.",
        "requestBody": {
            "required": True,
            "description": f"At most {MAX_BODY_BYTES:,} bytes.",
            "content": {"application/json": {"schema": {"oneOf": requests}}},
        },
        "responses": {"200": {"description": "The answer.", "content": {"application/json": {"schema": _answer()}}}},
    }


def _request(name: str) -> dict[str, Any]:
    action = ACTIONS[name]
    model: type[JobModel] = Data if name == "job.start" else UpdateData
    known = {field.alias for field in model.model_fields.values()}
    reference = _REF.format(model=model.__name__)
    data: dict[str, Any] = {
        part: {"$ref": f"{reference}/properties/{part}"} for part in action.changes if part in known
    }
    if "LiveConfig" in action.changes:
        data["LiveConfig"] = {"oneOf": [_TARGET, {"type": "array", "items": _TARGET, "maxItems": MOST_TARGETS}]}
    internal: dict[str, Any] = {key: {"type": "string"} for key in _IDS}
    internal |= {key: {"type": "integer", "enum": [0, 1]} for key in ("Mode", "ChannelType")}
    needed = ["AppId", "RoomId", "Mode", "ChannelType"] if name == "job.acquire" else ["JobId"]
    return {
        "title": name,
        "type": "object",
        "required": ["Action", "Internal"],
        "properties": {
            "Version": {"type": "string"},
            "Action": {"const": name},
            "Token": {"type": "string"},
            "Internal": {"type": "object", "properties": internal, "required": needed},
            "Data": {"type": "object", "properties": data},
        },
    }


def _answer() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["Version", "Ack", "RetCode", "Message", "Internal", "Data"],
        "properties": {
            "Version": {"const": VERSION},
            "Ack": {"enum": sorted({action.ack for action in ACTIONS.values()} | {UNKNOWN_ACK})},
            "RetCode": {"enum": [int(code) for code in RetCode]},
            "Message": {"type": "string"},
            "Internal": {"type": "object"},
            "Data": {"type": "object"},
        },
    }


def _place(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _publish() -> dict[str, Any]:
    sdp = {"application/sdp": {"schema": {"type": "string"}}}
    return {
        "summary": "Send a stream into a room that is recorded (WHIP, RFC 9725).",
        "security": [{"token": []}],
        "parameters": _place("AppId", "RoomId", "StreamId"),
        "requestBody": {"required": True, "content": sdp},
        "responses": {
            "201": {"description": "The answer; Location is the session.", "content": sdp},
            **{status: {"description": text} for status, text in WHIP_REFUSALS.items()},
        },
    }


def _leave() -> dict[str, Any]:
    return {
        "summary": "End a session.",
        "security": [{"token": []}],
        "parameters": _place("AppId", "RoomId", "StreamId", "Session"),
        "responses": {"200": {"description": "It has ended."}, "404": {"description": "There is none."}},
    }


WHIP_REFUSALS: Final = {
    "400": "The offer is none, or has no codec that is recorded.",
    "401": "No token, or one that does not hold.",
    "403": "The token is another user's.",
    "404": "Nobody records this room now.",
    "413": "The offer is too long.",
    "415": "The content is not application/sdp.",
    "503": "No more streams are taken now: see Retry-After.",
}
"""Statuses of refused offers, and why."""
