"""An HTTP proxy before a real S3 service that breaks what a test tells it to break, and remembers every request."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

PART_BYTES: Final = 8 * 1024 * 1024

_HOP: Final = frozenset({"connection", "expect", "keep-alive", "transfer-encoding", "content-length"})
"""Headers that belong to one connection, and the length, which is set anew."""


@dataclass(slots=True)
class Request:
    """One request. ``sent_bytes`` is how much of the answer's body went out."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = field(repr=False)
    sent_bytes: int = 0

    @property
    def part(self) -> int | None:
        """The number of the part that this uploads."""
        return int(self.query["partNumber"]) if self.method == "PUT" and "partNumber" in self.query else None


def is_content(request: Request) -> bool:
    """Whether this asks for an object's content, not only for its first byte."""
    return request.method == "GET" and request.headers.get("range") != "bytes=0-0" and "uploads" not in request.query


def is_beginning(request: Request) -> bool:
    """Whether this begins an upload."""
    return request.method == "POST" and "uploads" in request.query


def is_part(request: Request) -> bool:
    return request.part is not None


def is_completion(request: Request) -> bool:
    return request.method == "POST" and "uploadId" in request.query


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


Fault = Callable[["Exchange"], None]
"""Deals with one exchange in place of the ordinary way."""


class Exchange(BaseHTTPRequestHandler):
    """One request on its way to the service and back."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener
    request_seen: Request

    def handle_any(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self.request_seen = Request(self.command, unquote(address.path), query, headers, body)
        self.server.proxy.fault_for(self.request_seen)(self)

    do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815 - the base class calls them so

    def forward(self, body: bytes | None = None) -> Answer:
        """Ask the service, by default with the request's own body."""
        headers = {name: value for name, value in self.request_seen.headers.items() if name not in _HOP}
        connection = HTTPConnection("127.0.0.1", self.server.proxy.service_port)
        connection.request(self.command, self.path, self.request_seen.body if body is None else body, headers)
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        connection.close()
        return answer

    def reply(self, answer: Answer, bytes_sent: int | None = None) -> None:
        """Send ``answer``, or only the first ``bytes_sent`` of its body."""
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        body = answer.body[:bytes_sent]
        self.request_seen.sent_bytes = len(body)
        self.wfile.write(body)
        self.close_connection = len(body) < len(answer.body)

    def reset(self) -> None:
        """End the connection with a reset, after what was sent has arrived."""
        while int.from_bytes(fcntl.ioctl(self.connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder):
            time.sleep(0.001)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

    def hold(self) -> None:
        """Say nothing more until the test is over."""
        self.server.proxy.closing.wait(60)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def passed(exchange: Exchange) -> None:
    exchange.reply(exchange.forward())


def answered(answer: Answer) -> Fault:
    return lambda exchange: exchange.reply(answer)


def refused(status: int, code: str, **details: str) -> Fault:
    """The answer ``status`` with the error ``code``; ``details`` are more elements of it. 200 is possible too."""
    elements = "".join(f"<{name}>{value}</{name}>" for name, value in {"Code": code, **details}.items())
    body = f'<?xml version="1.0"?><Error>{elements}<Message>As the test wants.</Message></Error>'.encode()
    return answered(Answer(status, {"Content-Type": "application/xml"}, body))


def redirected(location: str) -> Fault:
    return answered(Answer(307, {"Location": location}, b""))


def aged(exchange: Exchange) -> None:
    """The object seems to be of another day."""
    answer = exchange.forward()
    headers = answer.headers | {"Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT"}
    exchange.reply(Answer(answer.status, headers, answer.body))


def truncated(after_bytes: int) -> Fault:
    """The answer's body ends early."""
    return lambda exchange: exchange.reply(exchange.forward(), after_bytes)


def reset(after_bytes: int) -> Fault:
    """The connection is reset in the middle of the answer's body."""

    def fault(exchange: Exchange) -> None:
        exchange.reply(exchange.forward(), after_bytes)
        exchange.reset()

    return fault


def stalled(after_bytes: int) -> Fault:
    """Nothing more comes in the middle of the answer's body."""

    def fault(exchange: Exchange) -> None:
        exchange.reply(exchange.forward(), after_bytes)
        exchange.hold()

    return fault


def silent(exchange: Exchange) -> None:
    """The request is read and never answered."""
    exchange.hold()


def lost(exchange: Exchange) -> None:
    """The service does what is asked, and its answer never arrives."""
    exchange.forward()
    exchange.reset()


def flipped_request(exchange: Exchange) -> None:
    """One bit of what is sent changes on its way."""
    exchange.reply(exchange.forward(_flipped(exchange.request_seen.body)))


def flipped_answer(exchange: Exchange) -> None:
    """One bit of what is received changes on its way."""
    answer = exchange.forward()
    exchange.reply(Answer(answer.status, answer.headers, _flipped(answer.body)))


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


class Us3Profile:
    """What UFile does otherwise than S3: parts of exactly 8 MiB, but for the last."""

    def __init__(self) -> None:
        self._sizes: dict[tuple[str, int], int] = {}

    def __call__(self, exchange: Exchange) -> None:
        seen = exchange.request_seen
        upload = seen.query.get("uploadId", "")
        right = True
        if seen.part is not None:
            self._sizes[upload, seen.part] = len(seen.body)
            right = len(seen.body) <= PART_BYTES
        elif is_completion(seen):
            numbers = sorted(int(number) for number in re.findall(rb"<PartNumber>(\d+)<", seen.body))
            right = all(self._sizes[upload, number] == PART_BYTES for number in numbers[:-1])
        (passed if right else refused(400, "InvalidPart"))(exchange)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    proxy: FaultProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are the point of it all."""


@dataclass(slots=True)
class _Planned:
    fault: Fault
    only: Callable[[Request], bool]
    left: int


class FaultProxy:
    """The proxy, running for as long as the ``with`` block. ``requests`` are all that came, oldest first."""

    def __init__(self, service_port: int) -> None:
        self.service_port = service_port
        self.closing = threading.Event()
        self.requests: list[Request] = []
        self._changed = threading.Condition()
        self._planned: list[_Planned] = []
        self._ordinary: Fault = passed

    def __enter__(self) -> Self:
        self._listener = _Listener(("127.0.0.1", 0), Exchange)
        self._listener.proxy = self
        self.endpoint = f"http://127.0.0.1:{self._listener.server_port}"
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing.set()
        self._listener.shutdown()
        self._listener.server_close()

    def act_like(self, profile: Fault) -> None:
        """Treat every exchange without a fault by ``profile``."""
        self._ordinary = profile

    def inject(self, fault: Fault, times: int = 1, only: Callable[[Request], bool] = lambda _: True) -> None:
        """Break the next ``times`` requests that ``only`` picks; -1 breaks them for ever."""
        self._planned.append(_Planned(fault, only, times))

    def fault_for(self, request: Request) -> Fault:
        """Remember ``request``; returns how it is dealt with."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            for planned in self._planned:
                if planned.only(request) and planned.left != 0:
                    planned.left -= 1
                    return planned.fault
            return self._ordinary

    def count(self, only: Callable[[Request], bool]) -> int:
        return sum(map(only, self.requests))

    def wait_for(self, only: Callable[[Request], bool]) -> None:
        """Return when a request came that ``only`` picks."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(only, self.requests)), timeout=30)
