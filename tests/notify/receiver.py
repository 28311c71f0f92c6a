"""A receiver of callbacks: an HTTP server on loopback with configurable responses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

TAKEN: Final = 200
SILENCE: Final = 0
"""In place of a status: do not respond until the receiver is closed."""


@dataclass(frozen=True)
class Request:
    """A received request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def event(self) -> str:
        return str(self.json["EventType"])


class Receiver:
    """Records requests. ``answer`` returns the status of each response; redirects point to ``/elsewhere``."""

    def __init__(self, url: str, answer: Callable[[Request], int]) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.answer = answer
        self.closed = threading.Event()
        self._came = threading.Condition()

    @property
    def events(self) -> list[str]:
        return [request.event for request in self.requests]

    def take(self, request: Request) -> int:
        with self._came:
            self.requests.append(request)
            self._came.notify_all()
        return self.answer(request)

    def wait_for(self, count: int) -> None:
        """Wait until ``count`` requests have arrived."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.requests) >= count, timeout=20)


def take_all(_: Request) -> int:
    return TAKEN


def answers(*statuses: int) -> Callable[[Request], int]:
    """Respond with ``statuses`` in order, then always with the last one."""
    left = list(statuses)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def receiving(answer: Callable[[Request], int] = take_all) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.take(Request(self.path, dict(self.headers), body))
            if status == SILENCE:
                receiver.closed.wait()
                self.close_connection = True
                return
            self.send_response(status)
            if status // 100 == 3:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/callback", answer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.closed.set()
        server.shutdown()
        server.server_close()
