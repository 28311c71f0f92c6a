"""What a client owes a server, whatever else it does: answers to pings, and word of how much it has read."""

from __future__ import annotations

import struct
from typing import Final

from owtmix.rtmp.chunks import ACKNOWLEDGE, CONTROL, WINDOW, Message, to_chunks

CONTROL_CHANNEL: Final = 2

_PING: Final = 6
_PONG: Final = 7
_NUMBER_BYTES: Final = 4


class Courtesy:
    """Of one connection."""

    def __init__(self) -> None:
        self._told_bytes = 0
        self._window_bytes = 1 << 20

    def answer(self, message: Message, read_bytes: int) -> bytes:
        """What is sent after a message, when so many bytes have been read in all; often nothing."""
        sent = b""
        if message.kind == CONTROL and message.data[:2] == struct.pack(">H", _PING):
            sent = _control(CONTROL, struct.pack(">H", _PONG) + message.data[2:6])
        elif message.kind == WINDOW and len(message.data) >= _NUMBER_BYTES:
            self._window_bytes = max(1, struct.unpack_from(">I", message.data)[0])
        if read_bytes - self._told_bytes >= self._window_bytes // 2:
            self._told_bytes = read_bytes
            sent += _control(ACKNOWLEDGE, struct.pack(">I", read_bytes & 0xFFFFFFFF))
        return sent


def _control(kind: int, data: bytes) -> bytes:
    return to_chunks(Message(kind, 0, 0, data), CONTROL_CHANNEL)
