"""The server's side of a room's process: asks it for something, and hears what happens. Loads no media library."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from owtmix.recorder.control_socket import MAX_LINE_BYTES, connected_socket, from_line, to_line

TIMEOUT_S: Final = 15.0
_CREDENTIALS: Final = struct.Struct("3i")
"""Process, user and group of who listens (unix(7), SO_PEERCRED)."""
MOST_EVENTS: Final = 10_000
"""Events that wait to be read; the oldest are dropped: ``status`` says what is."""


class RoomRefusedError(Exception):
    """The process refused a request. ``status`` is as of HTTP: 400, 404, 409 or 503."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RoomControl:
    """A connection to the process of a room; see ``control_server`` for what can be asked.

    Every request raises ``RoomRefusedError``, ``TimeoutError``, or ``ConnectionError`` when the process is gone.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, folder: Path, *, within_s: float = 0.0) -> Self:
        """Connect to the process of ``folder``, which may be about to start.

        Raises:
            OSError: Nobody listens within ``within_s``.
        """
        until_s = asyncio.get_running_loop().time() + within_s
        while True:
            try:
                connected = await connected_socket(folder)
                break
            except OSError:
                if asyncio.get_running_loop().time() >= until_s:
                    raise
            await asyncio.sleep(0.05)
        return cls(*await asyncio.open_unix_connection(sock=connected, limit=MAX_LINE_BYTES))

    async def offer(self, stream: str, sdp: str) -> tuple[str, str]:
        """Begin a session of ``stream``: its id, and the answer."""
        found = await self.request("offer", stream=stream, sdp=sdp)
        return found["session"], found["sdp"]

    async def fetch(self, stream: str, name: str) -> None:
        """Begin a session of ``stream``, which the server of RTMP calls ``name``."""
        await self.request("fetch", stream=stream, name=name)

    async def leave(self, session: str) -> None:
        """End a session, and wait until its journals are on the disk."""
        await self.request("leave", session=session)

    async def update(self, *, media_channel: int | None = None, subscribe: Mapping[str, Any] | None = None) -> None:
        """Change what is recorded; what is None stays."""
        await self.request("update", media_channel=media_channel, subscribe=subscribe)

    async def status(self) -> dict[str, Any]:
        return await self.request("status")

    async def stop(self, *, timeout_s: float = 60.0) -> None:
        """End all sessions, and then the process."""
        await self.request("stop", timeout_s=timeout_s)

    async def request(self, do: str, *, timeout_s: float = TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer."""
        number = next(self._ids)
        line = to_line({"id": number, "do": do, **fields})
        if len(line) > MAX_LINE_BYTES:
            raise RoomRefusedError(f"a request has at most {MAX_LINE_BYTES:,} bytes", 400)
        if self._reading.done():
            raise ConnectionError("the process of the room is gone")
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(line)
                await self._writer.drain()
                found = await answer
        finally:
            self._waiting.pop(number, None)
        if "error" in found:
            raise RoomRefusedError(str(found["error"]), int(found.get("status", 400)))
        return dict(found["ok"])

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """What happens from the connection on, until the process is gone."""
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)

    def kill(self) -> None:
        """End the process, which does not answer, as a crash does: what is in journals stays."""
        connected: socket.socket = self._writer.get_extra_info("socket")
        with suppress(OSError):  # it has ended meanwhile
            found = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            os.kill(_CREDENTIALS.unpack(found)[0], signal.SIGKILL)

    async def close(self) -> None:
        """End the connection; the process goes on."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
        await self._reading

    async def _read(self) -> None:
        with suppress(ConnectionError, ValueError):
            while line := await self._reader.readline():
                self._take(from_line(line))
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the process of the room is gone"))
        self._events.put_nowait(None)

    def _take(self, message: dict[str, Any]) -> None:
        if "event" in message:
            if self._events.qsize() >= MOST_EVENTS:
                self._events.get_nowait()
            self._events.put_nowait(message)
        elif (answer := self._waiting.get(message.get("id", 0))) and not answer.done():
            answer.set_result(message)
