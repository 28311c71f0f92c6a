"""Payloads of RTP: H.264 (RFC 6184), VP8 (RFC 7741), redundant sound (RFC 2198), retransmissions (RFC 4588).

Sizes and numbers that a payload names are never trusted: what does not fit is no payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

FormatName = Literal["h264", "vp8", "opus", "red", "rtx"]

_START: Final = b"\0\0\0\1"
_STAP_A: Final = 24
_FU_A: Final = 28
_IDR, _SPS, _PPS = 5, 7, 8
_SHORTEST_NAL: Final = 2
_VP8_KEY: Final = b"\x9d\x01\x2a"
"""Begins a key frame of VP8, after three bytes (RFC 6386, section 9.1)."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a payload type stands for; ``repairs`` is the payload type whose packets a retransmission repeats."""

    name: FormatName
    rate: int
    repairs: int | None = None


class Part(NamedTuple):
    """What a packet adds to its frame. ``begins`` says whether it may be the first of a frame."""

    data: bytes
    begins: bool


class RedBlock(NamedTuple):
    """A block of redundant sound, and how long before the packet's time it is from."""

    payload_type: int
    before: int
    data: bytes


def depacketise(name: FormatName, payload: bytes) -> Part | None:
    """What ``payload`` adds to a frame, or None where it is malformed. Padding adds nothing."""
    if not payload:
        return Part(b"", begins=False)
    if name == "h264":
        return _h264(payload)
    if name == "vp8":
        return _vp8(payload)
    return Part(payload, begins=True)


def _h264(payload: bytes) -> Part | None:
    """NAL units of Annex B: a single one, several (STAP-A), or a piece of one (FU-A)."""
    kind = payload[0] & 0x1F
    if len(payload) < _SHORTEST_NAL:
        return None
    if 0 < kind < _STAP_A:
        return Part(_START + payload, begins=True)
    if kind == _FU_A:
        if not payload[1] & 0x80:
            return Part(payload[2:], begins=False)
        return Part(b"%b%c%b" % (_START, payload[0] & 0xE0 | payload[1] & 0x1F, payload[2:]), begins=True)
    return _stap_a(payload) if kind == _STAP_A else None


def _stap_a(payload: bytes) -> Part | None:
    units, at = [], 1
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        at += 2
        if not size or at + size > len(payload):
            return None
        units += [_START, payload[at : at + size]]
        at += size
    return Part(b"".join(units), begins=True)


def _vp8(payload: bytes) -> Part | None:
    first, at = payload[0], 1
    if first & 0x80:
        if len(payload) == at:
            return None
        present, at = payload[at], at + 1
        if present & 0x80:  # the picture's number, of one or two bytes
            if len(payload) == at:
                return None
            at += 2 if payload[at] & 0x80 else 1
        at += bool(present & 0x40) + bool(present & 0x30)
    if at >= len(payload):
        return None
    return Part(payload[at:], begins=first & 0x17 == 0x10)  # noqa: PLR2004 - the start of partition 0


def is_key(name: FormatName, frame: bytes) -> bool:
    """Whether decoding can begin with ``frame``: H.264 needs both parameter sets in front of its picture."""
    if name == "vp8":
        return not frame[0] & 1 and frame[3:6] == _VP8_KEY
    if name == "h264":
        kinds = nal_kinds(frame)
        return _IDR in kinds and {_SPS, _PPS} <= set(kinds[: kinds.index(_IDR)])
    return True


def nal_kinds(unit: bytes) -> list[int]:
    """The types of the NAL units of Annex B, up to the first that holds a piece of the picture."""
    kinds, at = [], 0
    while (at := unit.find(b"\0\0\1", at)) >= 0 and at + 3 < len(unit):
        kind = unit[at + 3] & 0x1F
        kinds.append(kind)
        if 1 <= kind <= _IDR:
            break
        at += 3
    return kinds


def red_blocks(payload: bytes) -> list[RedBlock]:
    """The blocks of a packet, the oldest first, the packet's own last; none where it is malformed."""
    heads, at = [], 0
    while at < len(payload) and payload[at] & 0x80:
        if at + 4 > len(payload):
            return []
        word = int.from_bytes(payload[at + 1 : at + 4], "big")
        heads.append((payload[at] & 0x7F, word >> 10, word & 0x3FF))
        at += 4
    if at == len(payload):
        return []
    own, at = payload[at] & 0x7F, at + 1
    blocks = []
    for kind, before, size in heads:
        if at + size > len(payload):
            return []
        blocks.append(RedBlock(kind, before, payload[at : at + size]))
        at += size
    return [*blocks, RedBlock(own, 0, payload[at:])]


def original(payload: bytes) -> tuple[int, bytes] | None:
    """The sequence number and the payload that a retransmission repeats."""
    return (int.from_bytes(payload[:2], "big"), payload[2:]) if len(payload) >= 2 else None  # noqa: PLR2004
