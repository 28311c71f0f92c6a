"""An installation, and a listener on loopback that must not be connected to."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.fixtures import command

__all__ = ["command", "knocked", "port"]


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """Port of a listener. At the end of the session, and with ``knocked``, it must have had no connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        _SERVERS[server.getsockname()[1]] = server
        yield server.getsockname()[1]
        assert not knocked(server.getsockname()[1])


_SERVERS: dict[int, socket.socket] = {}


def knocked(port: int) -> bool:
    """Whether the listener has had a connection."""
    try:
        _SERVERS[port].accept()[0].close()
    except BlockingIOError:
        return False
    return True
