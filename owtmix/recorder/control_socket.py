"""The Unix socket of a room's process: one JSON object a line, both ways.

Paths of sockets have at most 107 bytes, folders of jobs more: it is bound and connected through ``/proc``.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

MAX_LINE_BYTES: Final = 4 << 20
_NAME: Final = "control"
_BACKLOG: Final = 16


def listening_socket(folder: Path) -> socket.socket:
    """The socket of ``folder``, in place of one that is there. Only its owner can connect to it.

    Raises:
        OSError: It cannot be made.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with _short_path(folder) as path:
            with suppress(FileNotFoundError):
                Path(path).unlink()
            before = os.umask(0o177)
            try:
                listening.bind(path)
            finally:
                os.umask(before)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


async def connected_socket(folder: Path) -> socket.socket:
    """A connection to the process of ``folder``.

    Raises:
        OSError: Nobody listens.
    """
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    connected.setblocking(False)
    try:
        with _short_path(folder) as path:
            await asyncio.get_running_loop().sock_connect(connected, path)
    except BaseException:
        connected.close()
        raise
    return connected


@contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{_NAME}"
    finally:
        os.close(descriptor)


def to_line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def from_line(line: bytes) -> dict[str, Any]:
    """Raises ``ValueError`` where ``line`` is no JSON object."""
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(message, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - one error for all that is wrong with a line
    return message
