"""RTP packets (RFC 3550): what the recorder reads of their heads."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_HEAD: Final = struct.Struct("!BBHLL")
_EXTENSION: Final = struct.Struct("!HH")
_VERSION: Final = 2
_ONE_BYTE: Final = 0xBEDE
"""Profile of header extensions with heads of one byte (RFC 8285)."""
_TWO_BYTES: Final = 0x100
"""Profile, without its lowest four bits, of those with heads of two bytes."""


class Packet(NamedTuple):
    """A packet; ``transport_sequence`` is the number for congestion control, where it has one."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    transport_sequence: int | None = None


def parse_packet(data: bytes, transport_sequence_id: int | None = None) -> Packet | None:
    """The packet in ``data``, or None where there is none.

    ``transport_sequence_id`` is the id of the header extension of transport-wide congestion control.
    """
    if len(data) < _HEAD.size:
        return None
    first, second, sequence, timestamp, ssrc = _HEAD.unpack_from(data)
    at = _HEAD.size + 4 * (first & 0x0F)
    if first >> 6 != _VERSION:
        return None
    transport_sequence = None
    if first & 0x10:
        if len(data) < at + _EXTENSION.size:
            return None
        profile, words = _EXTENSION.unpack_from(data, at)
        begin, at = at + _EXTENSION.size, at + _EXTENSION.size + 4 * words
        if transport_sequence_id is not None and len(data) >= at:
            transport_sequence = _transport_sequence(profile, data[begin:at], transport_sequence_id)
    end = len(data) - (data[-1] if first & 0x20 else 0)
    if end < at or (first & 0x20 and not data[-1]):
        return None
    return Packet(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[at:end], transport_sequence)


def _transport_sequence(profile: int, extensions: bytes, wanted: int) -> int | None:
    """The value of the extension ``wanted``, where it has the two bytes of a sequence number."""
    is_long = profile >> 4 == _TWO_BYTES
    if profile != _ONE_BYTE and not is_long:
        return None
    at = 0
    while at < len(extensions):
        head = extensions[at]
        at += 1
        if not head:  # padding
            continue
        if is_long:
            if at == len(extensions):
                return None
            number, size = head, extensions[at]
            at += 1
        else:
            number, size = head >> 4, (head & 0x0F) + 1
        if number == wanted:
            return int.from_bytes(extensions[at : at + 2], "big") if size == 2 and at + 2 <= len(extensions) else None  # noqa: PLR2004
        at += size
    return None
