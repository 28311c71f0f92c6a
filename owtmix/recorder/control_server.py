"""Answers what a server asks of a room's process, and tells every server what happens.

A request is ``{"id": 1, "do": "offer", ...}``, its answer ``{"id": 1, "ok": {...}}`` or ``{"id": 1, "error": "words",
"status": 400}``; answers come in any order. What happens is ``{"event": "joined", ...}``, without an id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from owtmix.recorder.control_socket import MAX_LINE_BYTES, from_line, listening_socket, to_line

MOST_PENDING: Final = 64
"""Requests of one server that are answered at the same time."""
MOST_UNREAD_BYTES: Final = 8 << 20
"""A server that does not read is disconnected."""

Answer = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
_LOGGER: Final = logging.getLogger(__name__)


class RequestError(Exception):
    """A request is refused. ``status`` is as of HTTP."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ControlServer:
    """Listens in ``folder``; ``answer`` gives what a request is answered, or raises ``RequestError``."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        self._folder = folder
        self._answer = answer
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.alone_since_s: float | None = None
        """Since when nobody has been connected, by the loop's clock."""

    async def start(self) -> None:
        """Raises ``OSError`` where the socket cannot be made."""
        self.alone_since_s = asyncio.get_running_loop().time()
        listening = listening_socket(self._folder)
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=MAX_LINE_BYTES)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Tell every server."""
        for writer in self._writers:
            self._write(writer, event)

    async def close(self) -> None:
        """Answer what was asked, and disconnect."""
        if self._server:
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        for writer in list(self._writers):
            writer.close()
            with suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), 1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.alone_since_s = None
        pending: set[asyncio.Task[None]] = set()
        try:
            while line := await reader.readline():
                if len(pending) >= MOST_PENDING:
                    await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                task = asyncio.create_task(self._reply(line, writer))
                for tasks in (pending, self._tasks):
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
        except ValueError:  # a line without end
            self._write(writer, _refusal(None, f"a request has at most {MAX_LINE_BYTES:,} bytes", 400))
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            if not self._writers:
                self.alone_since_s = asyncio.get_running_loop().time()
            writer.close()

    async def _reply(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        number = None
        try:
            request = from_line(line)
            number = request.get("id")
            answer = {"id": number, "ok": await self._answer(str(request.get("do")), request)}
        except RequestError as error:
            answer = _refusal(number, str(error), error.status)
        except ValueError:
            answer = _refusal(number, "this is no JSON object", 400)
        except Exception:
            _LOGGER.exception("a request failed")
            answer = _refusal(number, "the request failed; see the log of the room's process", 503)
        self._write(writer, answer)

    def _write(self, writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
        if writer.is_closing():
            return
        writer.write(to_line(message))
        if writer.transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            _LOGGER.warning("a server does not read, and is disconnected")
            writer.transport.abort()


def _refusal(number: object, words: str, status: int) -> dict[str, Any]:
    return {"id": number, "error": words, "status": status}
