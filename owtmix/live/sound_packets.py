"""The packets of a mix's sound, as chunks keep them: a length of two bytes before each."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from owtmix.base.errors import RenderError
from owtmix.base.own_files import own_file

PACKET_SAMPLES: Final = 1024
PRIMING_PACKETS: Final = 1
"""Of the encoder: the first packet holds what comes before the sound."""

_SIZE: Final = struct.Struct(">H")


def write_packets(path: Path, packets: Iterable[bytes]) -> None:
    """Write a file that exists."""
    path.write_bytes(b"".join(_SIZE.pack(len(packet)) + packet for packet in packets))


def read_packets(path: Path) -> Iterator[bytes]:
    """The packets of a file.

    Raises:
        RenderError: it is no such file.
    """
    with open(path, "rb", opener=own_file) as file:
        while head := file.read(_SIZE.size):
            size = _SIZE.unpack(head)[0] if len(head) == _SIZE.size else 0
            packet = file.read(size)
            if not size or len(packet) != size:
                raise RenderError(f"{path.name} is damaged")
            yield packet
