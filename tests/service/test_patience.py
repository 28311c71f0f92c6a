"""Connections on which nothing comes do not stay, and those that are slow are not cut."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPResponse
from ipaddress import ip_network

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from owtmix.service import body, patient_protocol
from owtmix.service.patient_protocol import Guests, PatientProtocol
from tests.support.server import wait_until

KEEP_ALIVE_S = 3
LONG_BYTES = 16 << 20
"""More than the buffers of a connection take."""
ANSWERED = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"
"""A request that is answered at once."""
UNREAD = b"POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
"""A request that is answered before its body is there."""


@pytest.fixture
def taken() -> list[bytes]:
    """The bodies that were read."""
    return []


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch, taken: list[bytes]) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(patient_protocol, "REQUEST_S", 0.5)
    monkeypatch.setattr(body, "BODY_S", 1.0)
    monkeypatch.setattr(patient_protocol, "MOST_PER_ADDRESS", 2)

    async def take(request: Request) -> Response:
        try:
            taken.append(await body.read_body(request, 100))
        except ClientDisconnect:
            return Response(b"gone", 400)
        return Response(taken[-1])

    async def long(_: Request) -> Response:
        return Response(bytes(LONG_BYTES))

    app = Starlette(routes=[Route("/", take, methods=["POST"]), Route("/long", long)])
    config = uvicorn.Config(app, log_config=None, http=PatientProtocol, timeout_keep_alive=KEEP_ALIVE_S, ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        yield listening.getsockname()
        server.should_exit = True
        thread.join()


def answer(connection: socket.socket) -> int:
    """The status of an answer, which is read to its end."""
    response = HTTPResponse(connection)
    response.begin()
    response.read()
    return response.status


def closes_after_s(connection: socket.socket) -> float:
    began_s = time.monotonic()
    assert connection.recv(1000) == b""
    return time.monotonic() - began_s


LATER = {
    "half a head": (ANSWERED, b"POST / HTTP/1.1\r\nHo"),
    "half a head with the request before": (ANSWERED + b"POST / HTTP/1.1\r\nHo", b""),
    "a part of a body that nobody reads": (UNREAD, b"a"),
    "a body that nobody reads, and half a head": (UNREAD, b"abcPOST / HT"),
    "empty lines": (ANSWERED, b"\r\n"),
}


@pytest.mark.parametrize("kind", LATER)
def test_half_a_request_after_an_answer_is_closed(address: tuple[str, int], kind: str) -> None:
    first, later = LATER[kind]
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(first)
        assert answer(connection) in {200, 404}
        connection.sendall(later)
        assert closes_after_s(connection) < KEEP_ALIVE_S - 1


@pytest.mark.parametrize("later", [b"", b"abc"], ids=["nothing", "the rest of a body"])
def test_a_pause_between_requests_is_as_long_as_it_was(address: tuple[str, int], later: bytes) -> None:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(UNREAD if later else ANSWERED)
        assert answer(connection) in {200, 404}
        connection.sendall(later)
        assert closes_after_s(connection) > KEEP_ALIVE_S - 0.5


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("is_paused", [False, True])
def test_an_answer_that_nobody_reads_is_given_up(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch, is_paused: bool, is_last: bool
) -> None:
    """Also where writing does not pause, as with what is hardly more than the buffers take."""
    guests = Guests()
    guests._spared = ()
    monkeypatch.setattr(PatientProtocol, "guests", guests)
    monkeypatch.setattr(patient_protocol, "UNREAD_S", 0.5)
    if not is_paused:
        monkeypatch.setattr(PatientProtocol, "pause_writing", lambda _: None)
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n%b\r\n" % (b"Connection: close\r\n" * is_last))
        wait_until(lambda: guests._counts, "the connection is there")
        wait_until(lambda: not guests._counts, "the connection has ended", 20)


def test_an_answer_that_is_read_slowly_comes_to_its_end(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_protocol, "UNREAD_S", 10)
    with socket.create_connection(address, timeout=30) as connection:
        for _ in range(2):
            connection.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(1)
            response = HTTPResponse(connection)
            response.begin()
            assert len(response.read()) == LONG_BYTES


def test_one_address_has_few_connections_unless_it_is_spared(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_after(count: int) -> list[bytes]:
        with ExitStack() as opened:
            connections = [opened.enter_context(socket.create_connection(address, timeout=30)) for _ in range(count)]
            for connection in connections:
                with suppress(ConnectionError):
                    connection.sendall(ANSWERED)
            return [_received(connection)[:12] for connection in connections]

    assert open_after(4) == [b"HTTP/1.1 200"] * 4
    guests = Guests()
    guests._spared = ()
    monkeypatch.setattr(PatientProtocol, "guests", guests)
    assert open_after(4) == [b"HTTP/1.1 200"] * 2 + [b""] * 2
    wait_until(lambda: not guests._counts, "the connections are forgotten")
    assert open_after(2) == [b"HTTP/1.1 200"] * 2


def _received(connection: socket.socket) -> bytes:
    with suppress(ConnectionError):
        return connection.recv(1000)
    return b""


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    guests = Guests([ip_network("192.0.2.0/24")])
    assert guests.come("2001:db8::1") == guests.come("2001:db8::f:1")
    assert guests.come("2001:db8:1::1") != guests.come("2001:db8::1")
    assert guests.come("::ffff:198.51.100.1") == guests.come("198.51.100.1")
    assert guests.come("198.51.100.2") != guests.come("198.51.100.1")
    assert {guests.come(one) for one in ("192.0.2.9", "127.0.0.1", "::1", "::ffff:127.0.0.1")} == {None}


ENDLESS = {
    "a head": b"POST / HTTP/1.1\r\nHost: x\r\nX-Long: ",
    "many headers": b"POST / HTTP/1.1\r\nHost: x\r\n",
    "a size of a part": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    "what follows the body": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_comes_to_no_end_is_refused(address: tuple[str, int], kind: str) -> None:
    more = b"X-More: abcdefg\r\n" if kind in {"many headers", "what follows the body"} else b"a" * 16
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(ENDLESS[kind])
        with suppress(ConnectionError):
            for _ in range(2 * patient_protocol.MAX_HEAD_BYTES // len(more)):
                connection.sendall(more)
            assert b"400 Bad Request" in connection.recv(1000)
            connection.settimeout(5)
            while connection.recv(1000):
                pass


@pytest.mark.parametrize("count", [patient_protocol.MOST_WAITING, 25, 1000])
def test_requests_that_wait_for_answers_are_few(address: tuple[str, int], taken: list[bytes], count: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall((head + b"\r\na") * (count - 1) + head + b"Connection: close\r\n\r\na")
        answers = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answers.count(b"200 OK") == answers.count(b"HTTP/1.1 ") == len(taken)
    assert len(taken) == min(count, patient_protocol.MOST_WAITING + 1)
    assert answers.count(b"connection: close") == 1


def test_what_is_no_request_is_refused_after_the_answers_before_it(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(ANSWERED + b"no request\r\n\r\n")
        answers = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answers.startswith(b"HTTP/1.1 200")
    assert answers.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
@pytest.mark.parametrize("body", [b"Content-Length: 49", b"Transfer-Encoding: chunked"])
def test_a_body_is_not_taken_for_a_request(
    address: tuple[str, int], taken: list[bytes], upgrade: bytes, body: bytes
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n" + body + b"\r\n\r\n"
    with socket.create_connection(address, timeout=30) as connection, suppress(ConnectionError):
        connection.sendall(head)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")
        connection.sendall(ANSWERED)
        assert connection.recv(1000) in {b"", b"Invalid HTTP request received."}
    assert taken == []


def test_another_protocol_is_not_spoken(address: tuple[str, int]) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n"
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(head)
        answers = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answers.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answers


def test_a_body_that_does_not_come_is_given_up(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        assert b"400" in connection.recv(1000)


def test_a_body_in_parts_is_taken(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc")
        threading.Event().wait(0.7)
        connection.sendall(b"def")
        answer = b"".join(iter(lambda: connection.recv(1000), b""))
        assert answer.endswith(b"abcdef")
