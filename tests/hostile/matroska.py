"""Writes Matroska elements directly: no library writes invalid files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

UNKNOWN_SIZE: Final = b"\x01" + b"\xff" * 7

VP8: Final = "V_VP8"
OPUS: Final = "A_OPUS"


def element(number: int, *contents: bytes) -> bytes:
    """An EBML element; ``number`` is its id with the marker bits."""
    data = b"".join(contents)
    return number.to_bytes((number.bit_length() + 7) // 8, "big") + (len(data) | 1 << 56).to_bytes(8, "big") + data


def unsigned(number: int, value: int) -> bytes:
    return element(number, value.to_bytes(8, "big"))


def track(number: int, codec: str, *settings: bytes) -> bytes:
    """A TrackEntry: of a picture for ``VP8``, else of a sound."""
    kind = 1 if codec.startswith("V") else 2
    return element(
        0xAE,
        unsigned(0xD7, number),
        unsigned(0x73C5, number),
        unsigned(0x83, kind),
        element(0x86, codec.encode()),
        *settings,
    )


def picture_settings(width: int, height: int) -> bytes:
    return element(0xE0, unsigned(0xB0, width), unsigned(0xBA, height))


def block(track_number: int, relative_ms: int, data: bytes) -> bytes:
    """A SimpleBlock with the key frame flag."""
    return element(0xA3, bytes([0x80 | track_number]), relative_ms.to_bytes(2, "big", signed=True), b"\x80", data)


def cluster(start_ms: int, *blocks: bytes) -> bytes:
    return element(0x1F43B675, unsigned(0xE7, start_ms), *blocks)


def matroska(tracks: Iterable[bytes], *clusters: bytes, info: bytes = b"") -> bytes:
    """A whole file; times are in milliseconds."""
    head = element(0x1A45DFA3, element(0x4282, b"webm"))
    about = element(0x1549A966, unsigned(0x2AD7B1, 1_000_000), info)
    return (
        head
        + (0x18538067).to_bytes(4, "big")
        + UNKNOWN_SIZE
        + about
        + element(0x1654AE6B, *tracks)
        + b"".join(clusters)
    )
