"""Which addresses a job file can make this machine connect to."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address, ip_network

import httpx
import pytest

from owtmix.net.guard import LOOPBACK, ForbiddenAddressError, LookUp, addresses_of, checked_client, forbidden, resolve

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.255.0.1", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.127.255.255", "carrier-grade NAT"),
        ("127.8.8.8", "loopback"),
        ("169.254.169.254", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.8", "reserved"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "benchmarking"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::7f00:1", "IPv4-compatible"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("::ffff:0:8.8.8.8", "IPv4-translated"),
        ("64:ff9b::10.0.0.1", "NAT64"),
        ("64:ff9b:1::a00:1", "NAT64"),
        ("100::1", "reserved"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("2001:2::1", "reserved"),
        ("2001:20::1", "reserved"),
        ("2001:db8::1", "documentation"),
        ("2002:a00:1::1", "6to4"),
        ("3fff::1", "documentation"),
        ("4000::1", "reserved"),
        ("fc00::1", "unique-local"),
        ("fdff::1", "unique-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("8.8.8.8", None),
        ("100.63.255.255", None),
        ("100.128.0.0", None),
        ("172.32.0.0", None),
        ("2606:4700::1111", None),
        ("2400:3200::1", None),
    ],
)
def test_special_purpose_addresses_are_refused(address: str, kind: str | None) -> None:
    assert forbidden(ip_address(address), ()) == kind


def test_an_allowed_network_is_not_refused() -> None:
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd00:1::/32"))
    assert forbidden(ip_address("10.1.2.3"), allowed) is None
    assert forbidden(ip_address("fd00:1::5"), allowed) is None
    assert forbidden(ip_address("10.2.2.3"), allowed) == "private"
    assert forbidden(ip_address("fd00:2::5"), allowed) == "unique-local"


@pytest.mark.parametrize(
    "spelling", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "localhost"]
)
def test_every_spelling_of_an_address_is_checked(spelling: str) -> None:
    with pytest.raises(ForbiddenAddressError, match=r"127\.0\.0\.1 \(loopback\).*\[network\] in conf/owt\.toml"):
        resolve(spelling, 80, ())
    assert ip_address("127.0.0.1") in resolve(spelling, 80, LOOPBACK)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 64 + ".example", "a..example"])
def test_a_host_without_an_address(host: str) -> None:
    with pytest.raises(httpx.ConnectError) as caught:
        resolve(host, 80, LOOPBACK)
    assert not isinstance(caught.value, ForbiddenAddressError)


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
