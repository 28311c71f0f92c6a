"""A server of RTMP on loopback that takes streams, or treats publishers badly."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

from owtmix.rtmp import amf
from owtmix.rtmp.chunks import AUDIO, COMMAND, CONTROL, DATA, VIDEO, ChunkReader, Message, to_chunks

ACCEPTS: Final = "accepts"
CLOSES: Final = "closes"
TALKS_HTTP: Final = "talks http"
SAYS_NOTHING: Final = "says nothing"
REFUSES_APP: Final = "refuses the application"
REFUSES_NAME: Final = "refuses the name"
CUTS: Final = "cuts"
STALLS: Final = "stalls"
CRAWLS: Final = "crawls"
SENDS_LONG: Final = "sends a message of 16 MiB"
FLOODS: Final = "floods with pings"
TALKS_NONSENSE: Final = "talks nonsense"

CUT_AFTER: Final = 20
"""Pictures and sounds."""
_HELLO_BYTES: Final = 1536


@dataclass
class Session:
    """What a connection brought."""

    commands: list[list[Any]] = field(default_factory=list)
    described: dict[str, Any] = field(default_factory=dict)
    media: list[tuple[float, Message]] = field(default_factory=list)
    """When pictures and sound came, and what."""
    told: bytes = b""
    is_over: bool = False

    @property
    def names(self) -> list[Any]:
        return [values[0] for values in self.commands]


class FakeServer:
    """Treats the first connections as the first ``manners`` say, and all others as the last one.

    ``crawl_bytes`` are read each second of who crawls.
    """

    def __init__(self, *manners: str, tls: ssl.SSLContext | None = None, crawl_bytes: int = 0) -> None:
        self.sessions: list[Session] = []
        self._manners = manners or (ACCEPTS,)
        self._tls = tls
        self._crawl_bytes = crawl_bytes
        self._ends = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Small, so that who does not read holds up the sender soon.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                accepted.settimeout(20)
                manner = self._manners[min(len(self.sessions), len(self._manners) - 1)]
                session = Session()
                self.sessions.append(session)
                thread = threading.Thread(target=self._serve, args=(accepted, session, manner), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, accepted: socket.socket, session: Session, manner: str) -> None:
        with suppress(OSError, EOFError), accepted:
            if self._tls:
                with self._tls.wrap_socket(accepted, server_side=True) as secured:
                    self._talk(secured, session, manner)
            else:
                self._talk(accepted, session, manner)
        session.is_over = True

    def _talk(self, connection: socket.socket, session: Session, manner: str) -> None:
        if manner == SAYS_NOTHING:
            self._ends.wait()
        elif manner == TALKS_HTTP:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 4000)
        elif manner != CLOSES:
            self._take(connection, session, manner)

    def _take(self, connection: socket.socket, session: Session, manner: str) -> None:
        """Take a stream, more or less."""

        def read(size: int) -> bytes:
            return self._read(connection, size, is_slow=manner == CRAWLS and bool(session.media))

        hello = read(1 + _HELLO_BYTES)
        connection.sendall(bytes([3]) + bytes(_HELLO_BYTES) + hello[1:])
        read(_HELLO_BYTES)
        chunks = ChunkReader(read)
        while manner != CUTS or len(session.media) < CUT_AFTER:
            message = chunks.message()
            if message.kind == COMMAND:
                values = amf.read(message.data)
                session.commands.append(values)
                _answer(connection, values, manner)
                if values[0] == "publish" and manner in {SENDS_LONG, FLOODS, TALKS_NONSENSE, STALLS}:
                    self._mistreat(connection, session, manner)
            elif message.kind == DATA:
                described = amf.read(message.data)[2]
                assert isinstance(described, dict)
                session.described = described
            elif message.kind == CONTROL:
                session.told += message.data
            elif message.kind in {AUDIO, VIDEO}:
                session.media.append((time.monotonic(), message))

    def _read(self, connection: socket.socket, size: int, *, is_slow: bool) -> bytes:
        data = b""
        while len(data) < size:
            part = connection.recv(min(size - len(data), 1024) if is_slow else size - len(data))
            if is_slow:
                self._ends.wait(len(part) / self._crawl_bytes)
            if not part or self._ends.is_set():
                raise EOFError
            data += part
        return data

    def _mistreat(self, connection: socket.socket, session: Session, manner: str) -> None:
        if manner == STALLS:
            session.media.append((time.monotonic(), Message(0, 0, 0, b"")))
            self._ends.wait()
        elif manner == TALKS_NONSENSE:
            connection.sendall(to_chunks(Message(COMMAND, 0, 0, b"\2\xff\xffcut"), 3) + b"\xff" * 5000)
        elif manner == SENDS_LONG:
            connection.sendall(to_chunks(Message(CONTROL, 0, 0, bytes((1 << 24) - 1)), 2))
        while not self._ends.is_set():
            connection.sendall(to_chunks(Message(CONTROL, 0, 0, struct.pack(">HI", 6, 77)), 2) * 1000)


def _answer(connection: socket.socket, values: list[Any], manner: str) -> None:
    """Answer a command. Refusals repeat what was asked for, as some servers do."""
    about = str(values)
    answers: list[tuple[Any, ...]]
    match values:
        case ["connect", number, *_] if manner == REFUSES_APP:
            code = {"level": "error", "code": "NetConnection.Connect.Rejected", "description": about}
            answers = [("_error", number, None, code)]
        case ["connect", number, *_]:
            code = {"level": "status", "code": "NetConnection.Connect.Success", "description": about}
            answers = [("_result", number, {"fmsVer": "FMS/3,0,1,123"}, code), ("onBWDone", 0.0, None, 8192.0)]
            connection.sendall(to_chunks(Message(CONTROL, 0, 0, struct.pack(">HI", 6, 99)), 2))
        case ["releaseStream" | "FCPublish", number, *_]:
            answers = [("_error", number, None, {"level": "error", "code": "NetConnection.Call.Failed"})]
        case ["createStream", number, *_]:
            answers = [("_result", number, None, 1.0)]
        case ["publish", *_] if manner == REFUSES_NAME:
            code = {"level": "error", "code": "NetStream.Publish.BadName", "description": about}
            answers = [("onStatus", 0.0, None, code)]
        case ["publish", *_]:
            code = {"level": "status", "code": "NetStream.Publish.Start", "description": about}
            answers = [("onStatus", 0.0, None, code)]
        case _:
            return
    for answer in answers:
        connection.sendall(to_chunks(Message(COMMAND, 0, 0, amf.write(*answer)), 3))
