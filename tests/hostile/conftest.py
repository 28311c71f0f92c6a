"""An installation, and a listener on loopback that must stay silent."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.fixtures import command

__all__ = ["command", "knocked", "port"]


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """Where somebody listens; that nobody came is checked in the end, and by tests in between with ``knocked``."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        _SERVERS[server.getsockname()[1]] = server
        yield server.getsockname()[1]
        assert not knocked(server.getsockname()[1])


_SERVERS: dict[int, socket.socket] = {}


def knocked(port: int) -> bool:
    """Whether anybody has connected to the listener."""
    try:
        _SERVERS[port].accept()[0].close()
    except BlockingIOError:
        return False
    return True
