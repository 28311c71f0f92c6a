"""How long a packet of Opus lasts, by its first bytes (RFC 6716, section 3.1)."""

from __future__ import annotations

from typing import Final

RATE_HZ: Final = 48_000
LOOKAHEAD: Final = 312
"""Samples by which the sound of a packet is late, in every sender that has libopus: its look-ahead of 6.5 ms."""

_LONGEST: Final = 5760
"""In samples: 120 ms."""
_SILK: Final = (480, 960, 1920, 2880)
_HYBRID: Final = (480, 960)
_CELT: Final = (120, 240, 480, 960)
_HYBRID_FROM: Final = 12
_CELT_FROM: Final = 16
_ANY_NUMBER: Final = 3
_COUNT: Final = 0x3F


def samples_in(packet: bytes) -> int:
    """The samples of a packet at 48 kHz; 0 where it is no packet of Opus."""
    if not packet:
        return 0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < _HYBRID_FROM:
        each = _SILK[config & 3]
    else:
        each = _HYBRID[config & 1] if config < _CELT_FROM else _CELT[config & 3]
    count = 2 if code else 1
    if code == _ANY_NUMBER:
        count = packet[1] & _COUNT if len(packet) > 1 else 0
    return each * count if each * count <= _LONGEST else 0
