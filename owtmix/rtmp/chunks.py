"""Messages of RTMP in chunks (Adobe's RTMP specification 1.0, section 5). What is read is bounded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

SET_CHUNK_SIZE: Final = 1
ABORT: Final = 2
ACKNOWLEDGE: Final = 3
CONTROL: Final = 4
WINDOW: Final = 5
AUDIO: Final = 8
VIDEO: Final = 9
DATA: Final = 18
COMMAND: Final = 20

MOST_HELD_BYTES: Final = 32 << 20
"""Of all messages that have begun."""
MOST_CHANNELS: Final = 64
"""Of chunks; the specification has thousands, servers use ten."""

FIRST_CHUNK_BYTES: Final = 128
"""Until somebody sets another length."""
_EXTENDED: Final = 0xFFFFFF
_TIMES: Final = 1 << 32
_HEAD_BYTES: Final = (11, 7, 3, 0)
_SMALLEST_CHANNEL: Final = 64


class ProtocolError(Exception):
    """What was read is no RTMP, or more than is accepted."""


class Message(NamedTuple):
    """A message; ``time_ms`` wraps after 49 days."""

    kind: int
    time_ms: int
    stream: int
    data: bytes


@dataclass(slots=True)
class _Channel:
    """What the last head of a channel said, and what has come of its message."""

    time_ms: int = 0
    step_ms: int = 0
    size: int = 0
    kind: int = 0
    stream: int = 0
    is_extended: bool = False
    begun: bytearray = field(default_factory=bytearray)


Steps = Generator[int, bytes, "Message"]
"""Yields how many bytes it needs next, is sent exactly so many, and returns a message."""


class ChunkParser:
    """Reads messages, whoever fetches the bytes. Those that have begun hold ``most_held_bytes`` at most."""

    def __init__(self, most_held_bytes: int = MOST_HELD_BYTES) -> None:
        self._most_held_bytes = most_held_bytes
        self._chunk_bytes = FIRST_CHUNK_BYTES
        self._channels: dict[int, _Channel] = {}
        self._held_bytes = 0

    def message(self) -> Steps:
        """The steps to the next message. Those about chunks are heeded, and not given.

        Raises:
            ProtocolError: it is none.
        """
        while True:
            message = yield from self._chunk()
            if message is None:
                continue
            if message.kind == SET_CHUNK_SIZE:
                self._chunk_bytes = _number(message.data) & 0x7FFFFFFF
                if not self._chunk_bytes:
                    raise ProtocolError("chunks without bytes")
            elif message.kind == ABORT:
                if channel := self._channels.get(_number(message.data)):
                    self._held_bytes -= len(channel.begun)
                    channel.begun.clear()
            else:
                return message

    def _chunk(self) -> Generator[int, bytes, Message | None]:
        """Read a chunk; the message that it completes."""
        first = (yield 1)[0]
        number = first & 0x3F
        if number == 0:
            number = _SMALLEST_CHANNEL + (yield 1)[0]
        elif number == 1:
            low, high = yield 2
            number = _SMALLEST_CHANNEL + low + (high << 8)
        channel = self._channels.get(number)
        if channel is None:
            if len(self._channels) == MOST_CHANNELS:
                raise ProtocolError("too many channels")
            channel = self._channels[number] = _Channel()
        yield from self._head(channel, first >> 6)
        wanted = min(self._chunk_bytes, channel.size - len(channel.begun))
        if self._held_bytes + wanted > self._most_held_bytes:
            raise ProtocolError("messages that are too long")
        part = yield wanted
        self._held_bytes += len(part)
        channel.begun += part
        if len(channel.begun) < channel.size:
            return None
        data = bytes(channel.begun)
        self._held_bytes -= len(data)
        channel.begun.clear()
        return Message(channel.kind, channel.time_ms, channel.stream, data)

    def _head(self, channel: _Channel, form: int) -> Generator[int, bytes, None]:
        """Read the head of a chunk. One that goes on with a message has none, or repeats it."""
        head = yield _HEAD_BYTES[form]
        given_ms = 0
        if head:
            if channel.begun:
                raise ProtocolError("a message within another one")
            given_ms = int.from_bytes(head[:3], "big")
            channel.is_extended = given_ms == _EXTENDED
        if len(head) >= _HEAD_BYTES[1]:
            channel.size, channel.kind = int.from_bytes(head[3:6], "big"), head[6]
        if len(head) == _HEAD_BYTES[0]:
            channel.stream = int.from_bytes(head[7:], "little")
        if channel.is_extended:
            extended_ms = _number((yield 4))
            given_ms = extended_ms if head else 0
        if len(head) == _HEAD_BYTES[0]:
            channel.time_ms = given_ms
            channel.step_ms = 0
        elif not channel.begun:
            channel.step_ms = given_ms if head else channel.step_ms
            channel.time_ms = (channel.time_ms + channel.step_ms) % _TIMES


class ChunkReader:
    """Reads messages; ``read`` gives exactly so many bytes, or raises."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._parser = ChunkParser()

    def message(self) -> Message:
        """The next message, as ``ChunkParser`` has it.

        Raises:
            ProtocolError: it is none.
        """
        steps = self._parser.message()
        size = next(steps)
        while True:
            try:
                size = steps.send(self._read(size))
            except StopIteration as end:
                message: Message = end.value
                return message


def to_chunks(message: Message, channel: int, chunk_bytes: int = FIRST_CHUNK_BYTES) -> bytes:
    """A message in chunks, each of at most ``chunk_bytes``; ``channel`` is 2 to 63.

    Its head says everything, the whole time as well. A long time is repeated in each chunk, as all servers expect.
    """
    data, time_ms = message.data, message.time_ms % _TIMES
    long_time = struct.pack(">I", time_ms) if time_ms >= _EXTENDED else b""
    head = bytes([channel]) + min(time_ms, _EXTENDED).to_bytes(3, "big") + len(data).to_bytes(3, "big")
    head += bytes([message.kind]) + message.stream.to_bytes(4, "little") + long_time
    parts = [data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes)]
    return head + (bytes([0xC0 | channel]) + long_time).join(parts)


def _number(data: bytes) -> int:
    if len(data) < 4:  # noqa: PLR2004 - of bytes
        raise ProtocolError("a number that is cut")
    return int(struct.unpack_from(">I", data)[0])
