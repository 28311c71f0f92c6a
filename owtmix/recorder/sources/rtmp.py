"""RTMP: streams that a server of RTMP has are fetched, each by a confined process of its own (``rtmp.reader``).

The server tells the room which stream is published there, and under which name. It is fetched until its publisher
leaves: while nothing comes there is no session, and what comes again has another one. A reader that ends is started
again, after growing pauses. What is fetched is in a file, so that a room's process that is started again goes on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from owtmix.base.backoff import pause_s
from owtmix.base.ids import StreamId
from owtmix.base.own_files import read_own, write_whole
from owtmix.base.strict_json import printable
from owtmix.recorder.control_server import RequestError
from owtmix.recorder.journal import Codec, Kind
from owtmix.recorder.rtmp.reader import APP, NAME, REQUIRED, STATUS_OVER, URL
from owtmix.recorder.rtmp.records import HEAD_BYTES, RecordError, read_head
from owtmix.recorder.rtp.reception import EncodedFrame
from owtmix.recorder.rtp.transport import now_us
from owtmix.recorder.sources.base import Host, Inlet
from owtmix.workers.child_environment import child_environment

FETCHED_FILE: Final = "rtmp.json"
GIVEN_UP_S: Final = 120.0
"""A publisher of which nothing came for so long has left, though nobody said so."""

_PORT: Final = 1935
_CONNECT_S: Final = 5.0
_PAUSES_S: Final = 0.1, 10.0
_STEADY_US: Final = 2_000_000
"""A reader that was heard for so long is started again at once."""
_MOST_SAID: Final = 1000
"""In bytes, by a reader."""
_MAX_FILE_BYTES: Final = 1 << 20
_NAME: Final = re.compile(r"[0-9a-f]{1,64}")
_CODECS: Final[dict[Kind, Codec]] = {"audio": "aac", "video": "h264"}
_LOGGER: Final = logging.getLogger(__name__)


class RtmpSource:
    """See the module.

    Args:
        url: Where streams are, such as ``rtmp://127.0.0.1:1935/live``.
        folder: Of the room.
        required: Layers of confinement without which a reader reads nothing.
    """

    def __init__(self, url: str, folder: Path, required: Sequence[str] = ()) -> None:
        place = urlsplit(url)
        self._address = str(place.hostname), place.port or _PORT
        self._told = {APP: place.path.strip("/"), URL: url, REQUIRED: ",".join(required)}
        self._file = folder / FETCHED_FILE
        self._left = _left(self._file)
        self._fetching: dict[StreamId, tuple[str, asyncio.Task[None]]] = {}

    async def run(self, host: Host) -> None:
        """Go on with what an earlier process fetched; end all when cancelled."""
        try:
            for stream, name in self._left.items():
                with suppress(RequestError):
                    await self.fetch(host, {"stream": stream, "name": name})
            await asyncio.Event().wait()
        finally:
            tasks = [task for _, task in self._fetching.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def fetch(self, host: Host, request: Mapping[str, Any]) -> dict[str, str]:
        """Answer the request ``{"stream": "alice_1", "name": "0a1b"}``.

        Raises:
            RequestError: As ``Host.open``, or the request is malformed.
        """
        try:
            stream, name = StreamId.parse(str(request.get("stream"))), str(request.get("name"))
        except ValueError as error:
            raise RequestError(f"stream: accepted is {error}") from None
        if not _NAME.fullmatch(name):
            raise RequestError("name: accepted are hexadecimal digits")
        session = await host.open(stream)
        _, earlier = self._fetching.get(stream, ("", None))
        if earlier:
            earlier.cancel()
        self._fetching[stream] = name, asyncio.create_task(self._fetch(host, stream, name, session))
        self._keep()
        return {"session": session.name}

    async def _fetch(self, host: Host, stream: StreamId, name: str, session: Inlet) -> None:
        await _Fetching(self._address, self._told | {NAME: name}, stream, host, session).run()
        if self._fetching.get(stream, ("", None))[0] == name:
            del self._fetching[stream]
            self._keep()

    def _keep(self) -> None:
        names = {str(stream): name for stream, (name, _) in self._fetching.items()}
        try:
            write_whole(self._file, json.dumps(names).encode())
        except OSError as error:  # the disk is full; a crash of the room would cost these streams
            _LOGGER.warning("%s cannot be written: %s", self._file.name, error.strerror)


def _left(file: Path) -> dict[str, str]:
    """The streams that an earlier process fetched, and their names."""
    try:
        found = json.loads(read_own(file, _MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class _Fetching:
    """Fetches one stream from the server at ``address``; readers are ``told`` which."""

    def __init__(
        self, address: tuple[str, int], told: dict[str, str], stream: StreamId, host: Host, session: Inlet
    ) -> None:
        self._address = address
        self._told = told
        self._stream = stream
        self._host = host
        self._session = session
        self._heard_us = now_us()

    async def run(self) -> None:
        """Fetch until the publisher has left, or the session was ended by somebody."""
        failures = 0
        while not self._is_unwanted() and now_us() - self._heard_us < GIVEN_UP_S * 1e6:
            began_us = now_us()
            if await self._read():
                break
            if self._heard_us - began_us > _STEADY_US:
                failures = 0
                continue
            failures += 1
            await asyncio.sleep(pause_s(failures, *_PAUSES_S))
        await self._session.end("the publisher left")

    def _is_unwanted(self) -> bool:
        return self._session.is_ending and not self._session.fell_silent

    async def _read(self) -> bool:
        """Read with one process until it ends. Returns whether the publisher has left."""
        try:
            reader = await self._started()
        except OSError as error:
            _LOGGER.warning("%s cannot be fetched: %s", self._stream, error.strerror or type(error).__name__)
            return False
        assert reader.stdout
        assert reader.stderr
        telling = asyncio.create_task(self._tell(reader.stderr))
        try:
            await self._take_all(reader.stdout)
            return await asyncio.wait_for(reader.wait(), _CONNECT_S) == STATUS_OVER
        except (RecordError, TimeoutError) as error:
            _LOGGER.warning("%s: a reader is ended: %s", self._stream, error or "it says nothing")
            return False
        finally:
            with suppress(ProcessLookupError):
                reader.kill()
            await reader.wait()
            await telling

    async def _started(self) -> asyncio.subprocess.Process:
        """A reader. It has no network: it is given a connection.

        Raises:
            OSError: The server does not listen, or no process can be started.
        """
        with await asyncio.to_thread(socket.create_connection, self._address, _CONNECT_S) as connection:
            connection.settimeout(None)
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "owtmix.recorder.rtmp.reader", str(os.getpid())),
                stdin=connection.fileno(),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=child_environment() | self._told,
            )

    async def _tell(self, words: asyncio.StreamReader) -> None:
        """Log what a reader says: a few lines, whatever it is."""
        left = _MOST_SAID
        while part := await words.read(_MOST_SAID):
            for line in part[:left].decode(errors="replace").splitlines():
                _LOGGER.warning("%s: %s", self._stream, printable(line, _MOST_SAID))
            left = max(0, left - len(part))

    async def _take_all(self, records: asyncio.StreamReader) -> None:
        """Take records until the reader ends, or nobody wants them.

        Raises:
            RecordError: It says what no reader says.
            TimeoutError: It says nothing for too long.
        """
        with suppress(asyncio.IncompleteReadError):
            while True:
                async with asyncio.timeout(GIVEN_UP_S):
                    head = read_head(await records.readexactly(HEAD_BYTES))
                    data = await records.readexactly(head.size)
                self._heard_us = now_us()
                if self._session.fell_silent and not await self._has_begun_again():
                    continue
                if self._session.is_ending:
                    return
                arrived_us = time.time_ns() // 1000
                codec = _CODECS[head.kind]
                frame = EncodedFrame(codec, head.timeline, head.pts_ms, head.is_key, data, arrived_us, head.lead_ms)
                self._session.take(head.kind, frame)

    async def _has_begun_again(self) -> bool:
        """Begin another session, after one that fell silent; False while the room is full."""
        try:
            self._session = await self._host.open(self._stream)
        except RequestError:
            return False
        return True
