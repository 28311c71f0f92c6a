"""Connections on which nothing comes do not stay, and those that are slow are not cut."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from owtmix.service import body, patient_protocol
from owtmix.service.patient_protocol import PatientProtocol


async def taken(request: Request) -> Response:
    try:
        return Response(await body.read_body(request, 100))
    except ClientDisconnect:
        return Response(b"gone", 400)


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(patient_protocol, "REQUEST_S", 0.5)
    monkeypatch.setattr(body, "BODY_S", 1.0)
    app = Starlette(routes=[Route("/", taken, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, http=PatientProtocol))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        yield listening.getsockname()
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"])
def test_a_connection_without_a_request_is_closed(address: tuple[str, int], sent: bytes) -> None:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(sent)
        assert connection.recv(100) == b""


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


@pytest.mark.parametrize(("count", "answered"), [(patient_protocol.MOST_WAITING, True), (1000, False)])
def test_requests_that_wait_for_answers_are_few(address: tuple[str, int], count: int, answered: bool) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall((head + b"\r\na") * (count - 1) + head + b"Connection: close\r\n\r\na")
        answers = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert (answers.count(b"200 OK") == count) == answered
    assert (b"400 Bad Request" in answers) != answered


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
