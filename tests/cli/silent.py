"""Services that stop answering."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

LISTING: Final = (
    b"<?xml version='1.0'?><ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
)


class SilentStore:
    """An S3 service that tells the sizes of ``objects``, sends those in ``sent`` and answers nothing else.

    ``asked`` is set by the first request that gets no answer.
    """

    def __init__(self, objects: Mapping[str, bytes], sent: frozenset[str]) -> None:
        self.asked = threading.Event()
        self._ends = threading.Event()
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                key = self.path.partition("?")[0].removeprefix("/room/")
                if key == "/room":
                    self._answer(200, LISTING)
                elif key not in objects:
                    self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                elif self.headers["Range"] == "bytes=0-0":
                    self._answer(206, objects[key][:1], f"bytes 0-0/{len(objects[key])}")
                elif key in sent:
                    self._answer(200, objects[key])
                else:
                    store.keep_silent()

            def do_PUT(self) -> None:
                store.keep_silent()

            do_POST = do_PUT  # noqa: N815 - named by http.server

            def log_message(self, *_: Any) -> None:
                pass

            def _answer(self, status: int, body: bytes, content_range: str = "") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", '"1"')
                if content_range:
                    self.send_header("Content-Range", content_range)
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address: Final = f"http://127.0.0.1:{self._server.server_port}"

    def keep_silent(self) -> None:
        self.asked.set()
        self._ends.wait(60)

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            self._ends.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()
