"""What a reader of RTMP tells the room's process on its pipe: records, each with a head of fixed length."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from owtmix.recorder.journal import MAX_FRAME_BYTES, Kind

HEAD_BYTES: Final = 20
MOST_LEAD_MS: Final = 3000
"""Encoders look at 16 pictures ahead at most; slow ones make five a second."""

_HEAD: Final = struct.Struct("<BBIqHI")
_KINDS: Final[tuple[Kind, Kind]] = ("audio", "video")
_MOST_MS: Final = 1 << 50


class RecordError(Exception):
    """A reader said what none says."""


class MediaRecord(NamedTuple):
    """A frame. It is shown at ``pts_ms`` of the publisher's clock, and decoded ``lead_ms`` before."""

    kind: Kind
    is_key: bool
    timeline: int
    pts_ms: int
    lead_ms: int
    data: bytes


class RecordHead(NamedTuple):
    """A record without its ``size`` bytes of data."""

    kind: Kind
    is_key: bool
    timeline: int
    pts_ms: int
    lead_ms: int
    size: int


def to_bytes(record: MediaRecord) -> bytes:
    """A record as it is on the pipe."""
    kind = _KINDS.index(record.kind)
    numbers = (record.timeline, record.pts_ms, record.lead_ms, len(record.data))
    return _HEAD.pack(kind, record.is_key, *numbers) + record.data


def read_head(data: bytes) -> RecordHead:
    """The head of a record.

    Raises:
        RecordError: it is none.
    """
    kind, is_key, timeline, pts_ms, lead_ms, size = _HEAD.unpack(data)
    if kind >= len(_KINDS) or is_key > 1 or abs(pts_ms) > _MOST_MS or lead_ms > MOST_LEAD_MS:
        raise RecordError("a record that is none")
    if not 0 < size <= MAX_FRAME_BYTES:
        raise RecordError("a record of an absurd size")
    return RecordHead(_KINDS[kind], bool(is_key), timeline, pts_ms, lead_ms, size)
