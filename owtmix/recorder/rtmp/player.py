"""Plays a stream of an RTMP server, over a connection that is there."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from owtmix.rtmp import amf
from owtmix.rtmp.chunks import COMMAND, CONTROL, ChunkReader, Message, ProtocolError, to_chunks
from owtmix.rtmp.courtesy import Courtesy
from owtmix.rtmp.greeting import ECHO_BYTES, HELLO_BYTES, echo, hello

_STREAM_EOF: Final = 1
_COMMAND_CHANNEL: Final = 3
_PLAY_CHANNEL: Final = 8
_OVER: Final = {"NetStream.Play.UnpublishNotify", "NetStream.Play.Stop", "NetStream.Play.StreamNotFound"}


class Player:
    """Plays over a connection: ``read`` gives exactly so many bytes, ``write`` writes all; both raise."""

    def __init__(self, read: Callable[[int], bytes], write: Callable[[bytes], None]) -> None:
        self._read = read
        self._write = write
        self._read_bytes = 0
        self._courtesy = Courtesy()
        self._chunks = ChunkReader(self._counted)

    def play(self, app: str, name: str, url: str) -> Iterator[Message]:
        """The messages of the stream ``name`` of application ``app``, until its publisher leaves. ``url`` is the app's.

        Raises:
            ProtocolError: the server speaks something else, or refuses.
        """
        self._shake_hands()
        self._command(0, "connect", 1.0, {"app": app, "flashVer": "owtmix", "tcUrl": url})
        self._answer(1.0)
        self._command(0, "createStream", 2.0, None)
        number = self._answer(2.0)
        if not isinstance(number, float) or not 0 < number < 1 << 31:
            raise ProtocolError("the server gives no stream")
        play = amf.write("play", 0.0, None, name, -1000.0)
        self._send(Message(COMMAND, 0, int(number), play), _PLAY_CHANNEL)
        while True:
            message = self._chunks.message()
            if self._is_over(message):
                return
            yield message

    def _shake_hands(self) -> None:
        self._write(hello())
        self._write(echo(self._read(HELLO_BYTES)))
        self._read(ECHO_BYTES)

    def _answer(self, transaction: float) -> amf.Value:
        """What a command is answered with."""
        while True:
            message = self._chunks.message()
            self._heed(message)
            if message.kind == COMMAND:
                values = amf.read(message.data)
                if values[1:2] == [transaction] and values[0] == "_result":
                    return values[3] if len(values) > 3 else None  # noqa: PLR2004 - name, transaction, properties
                if values[1:2] == [transaction]:
                    raise ProtocolError("the server refuses")

    def _is_over(self, message: Message) -> bool:
        self._heed(message)
        if message.kind == CONTROL:
            return message.data[:2] == struct.pack(">H", _STREAM_EOF)
        if message.kind == COMMAND:
            values = amf.read(message.data)
            status = values[3] if len(values) > 3 else None  # noqa: PLR2004 - name, transaction, nothing
            return values[0] == "onStatus" and isinstance(status, Mapping) and status.get("code") in _OVER
        return False

    def _heed(self, message: Message) -> None:
        """Answer what the connection needs."""
        if answer := self._courtesy.answer(message, self._read_bytes):
            self._write(answer)

    def _command(self, stream: int, *values: amf.Value) -> None:
        self._send(Message(COMMAND, 0, stream, amf.write(*values)), _COMMAND_CHANNEL)

    def _send(self, message: Message, channel: int) -> None:
        self._write(to_chunks(message, channel))

    def _counted(self, size: int) -> bytes:
        self._read_bytes += size
        return self._read(size)
