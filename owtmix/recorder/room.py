"""The process that receives a room: ``python -m owtmix.recorder.room FOLDER``.

``room.json`` in FOLDER says what to do (``options``); journals are written into FOLDER/journals, and a server asks on
the socket FOLDER/control (``control_server``). The process outlives the server, and ends with status 0 when it is
told to, by SIGTERM, or when no server came back.
"""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from owtmix.base.own_files import make_folder, read_own
from owtmix.recorder.control_server import ControlServer, RequestError
from owtmix.recorder.options import JOURNALS, MAX_OPTIONS_BYTES, OPTIONS_FILE, RoomOptions
from owtmix.recorder.rtp.ice import IceSettings
from owtmix.recorder.rtp.install import install
from owtmix.recorder.session import SessionSettings
from owtmix.recorder.sessions import Sessions
from owtmix.recorder.sources import whip
from owtmix.recorder.sources.base import Source
from owtmix.recorder.sources.rtmp import RtmpSource
from owtmix.recorder.subscription import Subscription

STATUS_RUNNING: Final = 6
"""Exit status: another process receives this room."""
STATUS_UNUSABLE: Final = 2
"""Exit status: the folder or its options cannot be used."""

_WATCH_S: Final = 1.0
_LOGGER: Final = logging.getLogger(__name__)


class Room:
    """Sources, sessions and the socket of a room."""

    def __init__(self, folder: Path, options: RoomOptions) -> None:
        ice = IceSettings(options.ice_addresses, options.ice_ports)
        install(ice)
        settings = SessionSettings(folder / JOURNALS, ice, options.key_every_s, options.silence_s, options.connect_s)
        self._options = options
        self._server = ControlServer(folder, self._answer)
        self._sessions = Sessions(settings, options.subscription(), options.max_sessions, self._server.tell)
        self._rtmp = RtmpSource(options.rtmp, folder, options.require_confinement) if options.rtmp else None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Receive until it is time to end.

        Raises:
            OSError: The socket cannot be made.
        """
        await self._server.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        sources = [asyncio.create_task(source.run(self._sessions)) for source in self._sources()]
        while not self._stopping.is_set() and not self._is_orphan():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _WATCH_S)
        for source in sources:
            source.cancel()
        await self._sessions.close()
        await self._server.close()

    def _sources(self) -> list[Source]:
        """Those that fetch streams; WHIP waits for the server to bring them."""
        sources: list[Source] = [self._rtmp] if self._rtmp else []
        if self._options.janus is None:
            return sources
        from owtmix.recorder.sources.janus import JanusSource  # noqa: PLC0415 - other rooms need no WebSocket

        return [*sources, JanusSource(self._options.janus)]

    def _is_orphan(self) -> bool:
        since_s = self._server.alone_since_s
        is_orphan = since_s is not None and asyncio.get_running_loop().time() - since_s > self._options.orphan_s
        if is_orphan:
            _LOGGER.warning("no server has been connected for %g s: the room ends", self._options.orphan_s)
        return is_orphan

    async def _answer(self, do: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        match do:
            case "offer":
                return await whip.offer(self._sessions, request)
            case "fetch":
                if not self._rtmp:
                    raise RequestError("this room has no source of RTMP", 404)
                return await self._rtmp.fetch(self._sessions, request)
            case "leave":
                session = request.get("session")
                if not isinstance(session, str) or not self._sessions.has(session):
                    raise RequestError("there is no such session", 404)
                await self._sessions.leave(session, "left")
                return {}
            case "update":
                self._update(request)
                return {}
            case "status":
                return self._status()
            case "stop":
                await self._sessions.close()
                self._stopping.set()
                return {}
        raise RequestError("do: accepted are offer, fetch, leave, update, status and stop")

    def _update(self, request: Mapping[str, Any]) -> None:
        """What is left out, or null, stays as it is."""
        options = self._options
        channel, subscribe = request.get("media_channel"), request.get("subscribe")
        channel = options.media_channel if channel is None else channel
        subscribe = options.subscribe if subscribe is None else subscribe
        try:
            subscription = Subscription.from_json(channel, subscribe)
        except ValueError as error:
            raise RequestError(str(error)) from None
        self._options = dataclasses.replace(options, media_channel=channel, subscribe=subscribe)
        self._sessions.update(subscription)

    def _status(self) -> dict[str, Any]:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return {
            "sessions": self._sessions.status(),
            "ended": list(self._sessions.ended),
            "memory_bytes": pages * resource.getpagesize(),
            "cpu_s": time.process_time(),
        }


def main(folder: Path) -> int:
    """Receive the room of ``folder``. Returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for library in ("aiortc", "aioice"):  # what they say at other levels has addresses and credentials
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _LOGGER.error("another process receives this room")  # noqa: TRY400 - it is no surprise
            return STATUS_RUNNING
        options = RoomOptions.from_json(read_own(folder / OPTIONS_FILE, MAX_OPTIONS_BYTES))
        make_folder(folder / JOURNALS)
    except (OSError, ValueError) as error:
        _LOGGER.error("the room cannot be received: %s", error)  # noqa: TRY400 - the message says it all
        return STATUS_UNUSABLE
    asyncio.run(_run(folder, options))
    return 0


async def _run(folder: Path, options: RoomOptions) -> None:
    await Room(folder, options).run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
