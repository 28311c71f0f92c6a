"""Publishes a stream to a server of RTMP, over a connection that is there (Adobe's RTMP specification 1.0).

The server is a stranger's. What it sends is bounded, in all and at once, and nothing of it is in a message.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from owtmix.live.target import Connection, PushError, RefusedError, Target
from owtmix.rtmp import amf
from owtmix.rtmp.chunks import (
    AUDIO,
    COMMAND,
    DATA,
    FIRST_CHUNK_BYTES,
    SET_CHUNK_SIZE,
    WINDOW,
    ChunkParser,
    Message,
    ProtocolError,
    to_chunks,
)
from owtmix.rtmp.courtesy import CONTROL_CHANNEL, Courtesy
from owtmix.rtmp.greeting import ECHO_BYTES, HELLO_BYTES, echo, hello

Description = Mapping[str, float | bool | str]

CHUNK_BYTES: Final = 4096
"""As OBS has it: all servers take it."""
MOST_HELD_BYTES: Final = 1 << 16
"""Of what a server says at once; they say less than a kilobyte."""
MOST_HEARD_BYTES: Final = 1 << 18
MOST_HEARD_BYTES_A_SECOND: Final = 1 << 14
"""Of a server in all."""

_WINDOW_BYTES: Final = 2_500_000
"""After which a server says that it has them, as other publishers ask for."""
_COMMAND_CHANNEL: Final = 3
_SOUND_CHANNEL: Final = 4
_PICTURE_CHANNEL: Final = 6
_MOST_UNSENT_BYTES: Final = 1 << 17
"""In the kernel, beyond what is on the way: what a slow server does not take shows at once."""
_CONFIRMED: Final = slice(120, 128)
"""Where the kernel's ``tcp_info`` has the bytes that were confirmed (``tcpi_bytes_acked``)."""
_CLOSE_S: Final = 1.0
_TAKEN: Final = "NetStream.Publish.Start"
_REASONS: Final = {
    "NetStream.Publish.BadName": "the server does not take it: correct the key, or end who publishes with it already",
    "NetStream.Publish.Denied": "the server does not let this key publish: correct it, or allow it there",
    "NetStream.Publish.Rejected": "the server does not let this key publish: correct it, or allow it there",
    "NetConnection.Connect.InvalidApp": "the server does not have the application: correct the address before the name",
    "NetConnection.Connect.Rejected": "the server refuses the connection: correct the address, or allow it there",
}
_REFUSED: Final = "the server refuses the stream: correct the address and its key, or see the server's log"
_OTHER: Final = "the server does not speak RTMP: correct the scheme, the host or the port"
_ENDED: Final = "the server ended the connection: see its log"
_ENDED_EARLY: Final = "the server ended the connection before it took the stream: correct the key, or see its log"


class Publisher:
    """One connection. ``silence_s`` is how long a server may take nothing, or not answer."""

    def __init__(self, connection: Connection, target: Target, silence_s: float) -> None:
        self._reader, self._writer = connection
        self._target = target
        self._silence_s = silence_s
        self._parser = ChunkParser(MOST_HELD_BYTES)
        self._courtesy = Courtesy()
        self._chunk_bytes = FIRST_CHUNK_BYTES
        self._stream = 0
        self._is_greeted = False
        self._heard_bytes = 0
        self._began_s = time.monotonic()
        transport = self._writer.transport
        transport.set_write_buffer_limits(high=1)  # with 0, one with TLS never says that it is empty
        own = transport.get_extra_info("socket")
        with suppress(OSError, AttributeError):  # not every system has it
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT_BYTES)

    async def begin(self, description: Description) -> None:
        """Publish; what is described is the stream.

        Raises:
            PushError: the server refuses, does not answer, or is none.
        """
        try:
            async with asyncio.timeout(self._silence_s):
                await self._begin(description)
        except TimeoutError:
            raise PushError(f"the server does not answer within {self._silence_s:g} s: is it one of RTMP?") from None
        except ProtocolError:
            raise PushError(_OTHER) from None
        except (EOFError, OSError, ssl.SSLError):
            raise (RefusedError(_ENDED_EARLY) if self._is_greeted else PushError(_OTHER)) from None

    async def _begin(self, description: Description) -> None:
        target = self._target
        self._writer.write(hello())
        self._writer.write(echo(await self._read(HELLO_BYTES)))
        await self._read(ECHO_BYTES)
        self._is_greeted = True
        about = {"app": target.app, "type": "nonprivate", "flashVer": "FMLE/3.0 (compatible; owtmix)"}
        self._command(0, "connect", 1.0, about | {"swfUrl": target.app_url, "tcUrl": target.app_url})
        await self._result(1.0)
        self._write(Message(SET_CHUNK_SIZE, 0, 0, CHUNK_BYTES.to_bytes(4, "big")), CONTROL_CHANNEL)
        self._chunk_bytes = CHUNK_BYTES
        self._write(Message(WINDOW, 0, 0, _WINDOW_BYTES.to_bytes(4, "big")), CONTROL_CHANNEL)
        self._command(0, "releaseStream", 2.0, None, target.name)
        self._command(0, "FCPublish", 3.0, None, target.name)
        self._command(0, "createStream", 4.0, None)
        number = await self._result(4.0)
        if not isinstance(number, float) or not 0 < number < 1 << 31:
            raise ProtocolError("the server gives no stream")
        self._stream = int(number)
        self._command(self._stream, "publish", 5.0, None, target.name, "live")
        while not self._is_taken(await self._heard()):
            pass
        told = amf.write("@setDataFrame", "onMetaData") + amf.write_map(description)
        self._write(Message(DATA, 0, self._stream, told), _SOUND_CHANNEL)
        await self._sent()

    async def send(self, kind: int, time_ms: int, data: bytes) -> None:
        """Send a picture or sound, and wait until the system has nearly all of it.

        Raises:
            PushError: the server takes nothing any more, or ended the connection.
        """
        channel = _SOUND_CHANNEL if kind == AUDIO else _PICTURE_CHANNEL
        self._write(Message(kind, time_ms, self._stream, data), channel)
        try:
            await self._sent()
        except (OSError, ssl.SSLError):
            raise PushError(_ENDED) from None

    async def watch(self) -> None:
        """Answer what the server says, until it ends the connection or the stream.

        Raises:
            PushError: always.
        """
        try:
            while True:
                self._is_taken(await self._heard())
        except (EOFError, OSError, ssl.SSLError):
            raise PushError(_ENDED) from None
        except ProtocolError as error:
            raise PushError(f"the server sends what no server of RTMP does: {error}") from None

    async def end(self) -> None:
        """Say that the stream is over. ``watch`` goes on until the server has read it and closes."""
        with suppress(OSError, ssl.SSLError, PushError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                self._command(0, "FCUnpublish", 6.0, None, self._target.name)
                self._command(0, "deleteStream", 7.0, None, float(self._stream))
                await self._sent()
                if self._writer.can_write_eof():
                    self._writer.write_eof()

    async def close(self) -> None:
        """Close the connection, whatever state it is in."""
        with suppress(OSError, ssl.SSLError, TimeoutError):
            if not self._writer.transport.get_write_buffer_size():
                self._writer.close()
                async with asyncio.timeout(_CLOSE_S):
                    await self._writer.wait_closed()
        self._writer.transport.abort()

    async def _result(self, transaction: float) -> object:
        """What a command is answered with."""
        while True:
            values = await self._heard()
            if values[1:2] != [transaction]:
                continue
            if values[0] == "_result":
                return values[3] if len(values) > 3 else None  # noqa: PLR2004 - name, transaction, properties
            if values[0] == "_error":
                raise RefusedError(_REASONS.get(_code(values), _REFUSED))

    def _is_taken(self, values: list[amf.Value]) -> bool:
        """Whether a command says that the stream is published.

        Raises:
            RefusedError: it says that it is not, or not any more.
        """
        if values[0] != "onStatus":
            return False
        status = values[3] if len(values) > 3 else None  # noqa: PLR2004 - name, transaction, nothing
        if isinstance(status, Mapping) and status.get("level") == "error":
            raise RefusedError(_REASONS.get(_code(values), _REFUSED))
        return _code(values) == _TAKEN

    async def _heard(self) -> list[amf.Value]:
        """The next command of the server; what is between is answered."""
        while True:
            message = await self._message()
            answer = self._courtesy.answer(message, self._heard_bytes)
            if answer and self._writer.transport.get_write_buffer_size() < _MOST_UNSENT_BYTES:
                self._writer.write(answer)
            if message.kind == COMMAND and (values := amf.read(message.data)):
                return values

    async def _message(self) -> Message:
        steps = self._parser.message()
        size = next(steps)
        while True:
            data = await self._read(size)
            try:
                size = steps.send(data)
            except StopIteration as end:
                message: Message = end.value
                return message

    async def _read(self, size: int) -> bytes:
        self._heard_bytes += size
        if self._heard_bytes > MOST_HEARD_BYTES + MOST_HEARD_BYTES_A_SECOND * (time.monotonic() - self._began_s):
            raise ProtocolError("more than it has to say")
        return await self._reader.readexactly(size)

    def _command(self, stream: int, *values: amf.Value) -> None:
        self._write(Message(COMMAND, 0, stream, amf.write(*values)), _COMMAND_CHANNEL)

    def _write(self, message: Message, channel: int) -> None:
        self._writer.write(to_chunks(message, channel, self._chunk_bytes))

    async def _sent(self) -> None:
        """Wait until the system has all that was written.

        Raises:
            PushError: for ``silence_s`` the server took nothing.
        """
        while True:
            before = self._progress()
            try:
                async with asyncio.timeout(self._silence_s):
                    await self._writer.drain()
            except TimeoutError:
                if self._progress() == before:
                    raise PushError(
                        f"the server took nothing for {self._silence_s:g} s: is the way to it fast enough?"
                    ) from None
            else:
                return

    def _progress(self) -> tuple[int, bytes]:
        """What changes when the server takes something: bytes that wait, and on Linux those that it has confirmed."""
        transport = self._writer.transport
        confirmed = b""
        with suppress(OSError, AttributeError):
            told = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _CONFIRMED.stop)
            confirmed = told[_CONFIRMED]
        return transport.get_write_buffer_size(), confirmed


def _code(values: list[amf.Value]) -> str:
    """The code of an answer, wherever it is among its values."""
    found = (value.get("code") for value in values if isinstance(value, Mapping))
    return next((code for code in found if isinstance(code, str)), "")
