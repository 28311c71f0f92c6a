"""Which addresses a job file can make this machine connect to."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from owtmix.net.addresses import LOOPBACK, LookUp, addresses_of
from owtmix.net.guard import ForbiddenAddressError, checked_client

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class NameServer:
    """A name server that gives the next answer on each call."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    def look_up(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        return self._answers.pop(0)


class WebServer:
    """An HTTP server on loopback that records requests and answers all of them with ``ANSWER``."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65536))
                connection.sendall(ANSWER)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def web() -> Iterator[WebServer]:
    with closing(WebServer()) as web:
        yield web


def get(url: str, look_up: LookUp = addresses_of) -> httpx.Response:
    async def fetch() -> httpx.Response:
        async with asyncio.timeout(20), checked_client(LOOPBACK, look_up) as client:
            return await client.get(url)

    return asyncio.run(fetch())


def test_the_checked_address_is_the_one_connected_to(web: WebServer) -> None:
    """DNS rebinding: a second look-up would return an address that was not checked."""
    names = NameServer(["127.0.0.1"], ["10.0.0.1"])
    assert get(f"http://rebinding.example:{web.port}/x?y=z", names.look_up).text == "hi"
    assert names.asked == ["rebinding.example"]
    assert web.requests[0].startswith(b"GET /x?y=z HTTP/1.1\r\n")
    assert f"\r\nHost: rebinding.example:{web.port}\r\n".encode() in web.requests[0]


def test_a_forbidden_address_is_never_connected_to(web: WebServer) -> None:
    names = NameServer(["10.0.0.1", "::ffff:127.0.0.1"])
    with pytest.raises(ForbiddenAddressError, match=r"10\.0\.0\.1 \(private\), ::ffff:\S+ \(IPv4-mapped\)"):
        get(f"http://inside.example:{web.port}/", names.look_up)
    assert web.requests == []


def test_allowed_addresses_are_tried_in_order(web: WebServer) -> None:
    names = NameServer(["10.0.0.1", "127.0.0.2", "127.0.0.1"])
    assert get(f"http://several.example:{web.port}/", names.look_up).text == "hi"


def test_certificates_are_verified_for_the_name_of_the_host(web: WebServer) -> None:
    """The TLS server name is the host name, not the address."""
    with pytest.raises(httpx.ConnectError, match="SSL"):
        get(f"https://secure.example:{web.port}/", NameServer(["127.0.0.1"]).look_up)
    assert b"secure.example" in web.requests[0]


def test_a_name_server_that_does_not_answer_does_not_block() -> None:
    answered = threading.Event()

    def wait(_host: str, _port: int) -> list[str]:
        answered.wait()
        return []

    async def fetch() -> None:
        async with asyncio.timeout(0.1), checked_client(LOOPBACK, wait) as client:
            await client.get("http://slow.example/")

    start = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(fetch())
    assert time.monotonic() - start < 5, "the look-up goes on in its thread"
    answered.set()


def test_urls_are_not_logged(web: WebServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        get(f"http://user:canary@127.0.0.1:{web.port}/?signature=canary")
    assert "canary" not in caplog.text


def test_requests_for_a_host_share_one_pending_look_up(web: WebServer) -> None:
    """Threads do not pile up behind a slow name server."""
    asked: list[str] = []

    def slow(host: str, _: int) -> list[str]:
        asked.append(host)
        time.sleep(0.3)
        return ["127.0.0.1"]

    async def fetch() -> list[int]:
        async with asyncio.timeout(20), checked_client(LOOPBACK, slow) as client:
            urls = [f"http://slow.example:{web.port}/{number}" for number in range(20)]
            return [answer.status_code for answer in await asyncio.gather(*map(client.get, urls))]

    assert asyncio.run(fetch()) == [200] * 20
    assert asked == ["slow.example"]


def test_certificates_are_loaded_once_for_all_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    checked_client(LOOPBACK)

    def load(**_: object) -> None:
        raise AssertionError("loaded again")

    monkeypatch.setattr(httpx, "create_ssl_context", load)
    for _ in range(32):
        checked_client(LOOPBACK)
