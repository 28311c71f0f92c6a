"""Feedback for transport-wide congestion control: without it browsers hardly raise their rate.

draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1. There is no clock and no socket here.
"""

from __future__ import annotations

import struct
from typing import Final

URI: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

_SEQUENCES: Final = 1 << 16
_MAX_GAP: Final = 2000
"""Packets. After a longer jump nothing is said about those between."""
_MOST_TOLD: Final = 400
"""Packets that one message is about."""
_TICK_US: Final = 250
_REFERENCE_US: Final = 64_000
_SHORT, _LONG = 1, 2
"""Symbols of packets that came: what follows is one byte, or two."""
_MOST_SHORT: Final = 255
_FURTHEST_TICKS: Final = 32_767
_VECTOR: Final = 0xC000
"""A chunk of seven symbols of two bits."""
_PER_CHUNK: Final = 7
_FEEDBACK_TYPE, _FEEDBACK_FORMAT = 205, 15


class TransportFeedback:
    """Notes when packets of a transport came, and says so."""

    def __init__(self) -> None:
        self._arrivals: dict[int, int] = {}
        self._highest: int | None = None
        self._next = 0
        self._count = 0

    def add(self, sequence: int, at_us: int) -> None:
        """Note that the packet with this transport-wide number came."""
        if self._highest is None:
            self._begin(_SEQUENCES + sequence)
            unwrapped = self._next
        else:
            ahead = (sequence - self._highest) % _SEQUENCES
            unwrapped = self._highest + ahead - (_SEQUENCES if ahead >= _SEQUENCES // 2 else 0)
            if abs(unwrapped - self._next) > _MAX_GAP:
                self._begin(unwrapped % _SEQUENCES + _SEQUENCES)
                unwrapped = self._next
            self._highest = max(self._highest, unwrapped)
        if unwrapped >= self._next:  # else it was told as lost, which a sender accepts
            self._arrivals[unwrapped] = at_us

    def messages(self, ssrc: int, media_ssrc: int) -> list[bytes]:
        """RTCP packets about all packets since the last call."""
        messages = []
        while self._arrivals:
            messages.append(self._message(ssrc, media_ssrc))
        return messages

    def _begin(self, sequence: int) -> None:
        self._arrivals.clear()
        self._highest = self._next = sequence

    def _message(self, ssrc: int, media_ssrc: int) -> bytes:
        """About the packets from ``_next`` on, as many as one message can hold."""
        reference = self._arrivals[min(self._arrivals)] // _REFERENCE_US
        told_ticks = reference * (_REFERENCE_US // _TICK_US)
        symbols: list[int] = []
        deltas = bytearray()
        begin, end = self._next, min(max(self._arrivals) + 1, self._next + _MOST_TOLD)
        while self._next < end:
            arrival = self._arrivals.get(self._next)
            if arrival is None:
                symbols.append(0)
            else:
                delta = arrival // _TICK_US - told_ticks
                if abs(delta) > _FURTHEST_TICKS:  # the next message has another reference
                    break
                told_ticks += delta
                is_short = 0 <= delta <= _MOST_SHORT
                symbols.append(_SHORT if is_short else _LONG)
                deltas += struct.pack("!B" if is_short else "!h", delta)
                del self._arrivals[self._next]
            self._next += 1
        chunks = b"".join(
            struct.pack("!H", _VECTOR | sum(s << 12 - 2 * i for i, s in enumerate(symbols[at : at + _PER_CHUNK])))
            for at in range(0, len(symbols), _PER_CHUNK)
        )
        head = struct.pack("!LLHH", ssrc, media_ssrc, begin % _SEQUENCES, len(symbols))
        clock = struct.pack("!L", (reference & 0xFFFFFF) << 8 | self._count & 0xFF)
        self._count += 1
        return _rtcp(head + clock + chunks + bytes(deltas))


def _rtcp(body: bytes) -> bytes:
    """An RTCP packet of feedback; its length is a multiple of four bytes, with padding that says how long it is."""
    first, padding = 0x80 | _FEEDBACK_FORMAT, -len(body) % 4
    if padding:
        first |= 0x20
        body += bytes(padding - 1) + bytes([padding])
    return struct.pack("!BBH", first, _FEEDBACK_TYPE, len(body) // 4) + body
