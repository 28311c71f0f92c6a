"""A server on loopback whose answers are mutated: the bytes of HTTP, and what stands in them."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import parse_qs, urlsplit

from tests.fuzz.mutation import mutate

LONGEST_REQUEST: Final = 1 << 20
PATIENCE_S: Final = 2.0
"""For a client that sends nothing more."""
OBJECT: Final = bytes(range(256)) * 20
ETAG: Final = '"0123456789abcdef"'
DATE: Final = "Fri, 20 Nov 2026 08:00:00 GMT"
ENDLESS_BYTES: Final = 8 << 20
"""Of an answer that does not end by itself; the reader has to."""

VALUES: Final = (
    "",
    "-1",
    "0",
    "1",
    "99999999999999999999",
    "9" * 5000,
    "1e9",
    "NaN",
    "x" * 70_000,
    "\x1b[31m",
    "é\udcff",
    "bytes 0-0/*",
    "bytes 5-4/3",
    "bytes 0-99999999999/99999999999",
    "bytes */0",
    "gzip",
    "chunked",
    "chunked, gzip",
    "Fri, 32 Nov 99999 25:61:61 XYZ",
    "Thu, 01 Jan 1970 00:00:00",
    "http://127.0.0.1:1/",
    "file:///etc/passwd",
    "text/html; charset=x",
)
"""Replacements of the value of a header."""

HEADERS: Final = (
    "Content-Length",
    "Transfer-Encoding",
    "Content-Encoding",
    "Content-Range",
    "ETag",
    "Location",
    "Date",
    "Last-Modified",
)
STATUSES: Final = (0, 100, 101, 200, 204, 206, 301, 304, 307, 400, 403, 404, 408, 410, 412, 416, 429, 500, 503, 999)

ENTITIES: Final = b"".join(
    b'<!ENTITY %c "%s">' % (after, b"&%c;" % before * 10)
    for before, after in zip(b"abcdefghi", b"bcdefghiz", strict=True)
)
BOMB: Final = b'<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">%s]><Error><Code>&z;</Code></Error>' % ENTITIES
"""XML whose entities expand to 10 GB."""
CODES: Final = ("NoSuchKey", "AccessDenied", "SlowDown", "InvalidObjectState", "NoSuchUpload", "\x1b[0m", "x" * 999)
BODIES: Final = (b"", b"<", b"<a>" * 20_000, b"\0" * 1000, b"{}", BOMB, b"<Error><Code>" + b"x" * 500_000)


@dataclass(slots=True)
class Answer:
    """A valid answer, before it is mutated."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def encoded(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Fuzz", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape") + self.body


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


def store_answer(asked: Asked) -> Answer:
    """What an S3 service says whose every object is ``OBJECT``."""
    body, status, more = b"", 200, {}
    xml = b'<?xml version="1.0" encoding="UTF-8"?>'
    if asked.method == "GET" and "uploads" in asked.query:
        upload = b"<Upload><Key>out.mp4</Key><UploadId>u1</UploadId></Upload>"
        truncated = b"<IsTruncated>false</IsTruncated>"
        body = xml + b"<ListMultipartUploadsResult>" + truncated + upload + b"</ListMultipartUploadsResult>"
    elif asked.method == "POST" and "uploads" in asked.query:
        body = xml + b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
    elif asked.method == "POST":
        body = xml + f"<CompleteMultipartUploadResult><ETag>{ETAG}</ETag></CompleteMultipartUploadResult>".encode()
    elif asked.method == "DELETE":
        status = 204
    elif asked.method == "GET":
        start, _, end = asked.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        first, last = int(start), min(int(end or len(OBJECT)), len(OBJECT) - 1)
        body = OBJECT[first : last + 1]
        if "range" in asked.headers:
            status, more = 206, {"Content-Range": f"bytes {first}-{last}/{len(OBJECT)}"}
    shared = {"Content-Length": str(len(body)), "ETag": ETAG, "Date": DATE, "Last-Modified": DATE}
    return Answer(status, shared | more, body)


def receiver_answer(_: Asked) -> Answer:
    """What a receiver of callbacks says."""
    return Answer(200, {"Content-Length": "2", "Content-Type": "text/plain"}, b"ok")


def mutated(answer: Answer, chance: Random) -> bytes:
    """The bytes of an answer, most often with changes in its meaning, its bytes or both."""
    if chance.random() < 0.1:
        answer.body = answer.body.replace(b"<IsTruncated>false", b"<IsTruncated>true")  # the list never ends
        answer.headers["Content-Length"] = str(len(answer.body))
    for _ in range(chance.choice((0, 1, 1, 2))):
        match chance.randrange(6):
            case 0:
                answer.status = chance.choice(STATUSES)
            case 1:
                answer.headers[chance.choice(HEADERS)] = chance.choice(VALUES)
            case 2 if answer.headers:
                del answer.headers[chance.choice(list(answer.headers))]
            case 3:
                answer.body = chance.choice(BODIES)
                answer.headers["Content-Length"] = str(len(answer.body))
            case 4:
                answer.body = mutate(answer.body, chance)
            case _:
                code = chance.choice(CODES)
                answer.status = chance.choice((200, 403, 404, 503))
                answer.body = f"<Error><Code>{code}</Code><Message>secret</Message></Error>".encode()
                answer.headers["Content-Length"] = str(len(answer.body))
    data = answer.encoded()
    return mutate(data, chance) if chance.random() < 0.3 else data


class MutantServer:
    """Answers each request with a mutation of what ``answer`` says, and keeps requests and answers in ``folder``."""

    def __init__(self, answer: Callable[[Asked], Answer], chance: Random, folder: Path) -> None:
        self._answer = answer
        self._chance = chance
        self._folder = folder
        self._lock = threading.Lock()
        self._count = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:  # it was closed
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _talk(self, client: socket.socket) -> None:
        with client, suppress(OSError, ValueError):
            client.settimeout(PATIENCE_S)
            request = _head(client)
            with self._lock:
                self._count += 1
                data = mutated(self._answer(_asked(request)), self._chance)
                ending = self._chance.choice(("close", "close", "reset", "silence", "endless"))
                (self._folder / f"answer-{self._count:03}-{ending}.bin").write_bytes(data)
                (self._folder / f"request-{self._count:03}.bin").write_bytes(request)
            client.sendall(data)
            match ending:
                case "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                case "silence":
                    client.recv(1)
                case "endless":
                    for _ in range(ENDLESS_BYTES >> 16):
                        client.sendall(b"x" * (1 << 16))


@contextmanager
def mutant_server(answer: Callable[[Asked], Answer], chance: Random, folder: Path) -> Iterator[str]:
    """The address, host and port, of a ``MutantServer``."""
    server = MutantServer(answer, chance, folder)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server.address
    finally:
        server.close()
        thread.join()


def _head(client: socket.socket) -> bytes:
    """The request up to the end of its headers. Its body is left unread, as by a careless server."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < LONGEST_REQUEST:
        more = client.recv(1 << 16)
        if not more:
            break
        data += more
    return data


def _asked(request: bytes) -> Asked:
    line, *rest = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ")
    parts = urlsplit(target)
    headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest)}
    return Asked(method, parts.path, parse_qs(parts.query, keep_blank_values=True), headers)
