"""Receivers that answer to keep a run busy: every attempt ends in time, and takes neither memory nor descriptors."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from owtmix.notify.events import started
from tests.notify.receiver import SILENCE, answers, receiving
from tests.notify.runs import QUICK, mixer, note, notifier

ATTEMPT_S: Final = 0.3
SLACK_S: Final = 5.0
"""Time for a loaded machine to notice; far less than a receiver that never ends takes."""
IMPATIENT: Final = replace(QUICK, attempt_s=ATTEMPT_S, first_pause_s=0.05, longest_pause_s=0.05)

Say = Callable[[socket.socket, threading.Event], None]


@contextmanager
def saying(say: Say) -> Iterator[str]:
    """The URL of a receiver that reads nothing and has ``say`` answer each connection."""
    closed = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            say(connection, closed)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}/callback"
        closed.set()
        listener.shutdown(socket.SHUT_RDWR)


def endless_header(connection: socket.socket, closed: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not closed.is_set():
        connection.sendall(b"x" * 65536)


def endless_headers(connection: socket.socket, closed: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in count():
        if closed.is_set():
            return
        connection.sendall(b"X-%d: y\r\n" % number * 100)


def endless_status(connection: socket.socket, closed: threading.Event) -> None:
    while not closed.is_set():
        connection.sendall(b"7" * 65536)


def endless_hints(connection: socket.socket, closed: threading.Event) -> None:
    while not closed.is_set():
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 100)


def a_byte_at_a_time(connection: socket.socket, closed: threading.Event) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000:
        connection.sendall(bytes([byte]))
        if closed.wait(0.05):
            return


def garbage(connection: socket.socket, closed: threading.Event) -> None:
    while not closed.is_set():
        connection.sendall(bytes(range(256)) * 256)


def half_a_handshake(connection: socket.socket, closed: threading.Event) -> None:
    connection.sendall(b"\x16\x03\x03\x40\x00")  # a TLS record that announces 16 KiB
    while not closed.wait(0.05):
        connection.sendall(b"\x02")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "say",
    [endless_header, endless_headers, endless_status, endless_hints, a_byte_at_a_time, garbage, half_a_handshake],
    ids=lambda say: say.__name__,
)
def test_an_answer_without_end_is_a_failure_in_time_and_in_little_memory(
    tmp_path: Path, say: Say, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    with saying(say) as address:
        run = notifier(tmp_path, mixer(f"{scheme}://{address}"), IMPATIENT)
        tracemalloc.start()
        try:
            run.notify(started(), note(1))
            begun = time.monotonic()
            while "a callback to" not in caplog.text and time.monotonic() - begun < ATTEMPT_S + SLACK_S:
                time.sleep(0.02)
            assert "a callback to" in caplog.text, "the attempt has ended"
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
        finally:
            tracemalloc.stop()
        assert run.finish(0.2) >= 1
    assert time.monotonic() - begun < ATTEMPT_S + 2 * SLACK_S


def endless_body(connection: socket.socket, closed: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not closed.is_set():
        connection.sendall(b"fffffff\r\n" + b"x" * 65536)


def huge_body(connection: socket.socket, closed: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
    while not closed.is_set():
        connection.sendall(b"x" * 65536)


@pytest.mark.parametrize("say", [endless_body, huge_body], ids=lambda say: say.__name__)
def test_the_body_of_an_answer_is_not_waited_for(tmp_path: Path, say: Say) -> None:
    with saying(say) as address:
        run = notifier(tmp_path, mixer(f"http://{address}"))
        run.notify(started(), note(1))
        assert run.finish(SLACK_S) == 0


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_silent_receivers_with_many_events_hold_one_connection_each(tmp_path: Path) -> None:
    before = descriptors()
    with receiving(answers(SILENCE)) as receiver:
        urls = [f"{receiver.url}/{number}" for number in range(32)]
        run = notifier(tmp_path, tuple(spec for url in urls for spec in mixer(url)))
        run.notify(started(), *map(note, range(2000)))
        receiver.wait_for(32)
        # Both ends of each connection are in this process.
        assert descriptors() - before < 2 * 32 + 20
        assert run.finish(0.2) == 32 * 2001
    assert len(receiver.requests) == 32


def test_more_receivers_than_a_job_may_have_wait_for_each_other(tmp_path: Path) -> None:
    """Earlier runs, with other job files, may have left messages for them."""
    open_now: list[int] = []

    def answer(_: object) -> int:
        open_now.append(descriptors())
        return 200

    before = descriptors()
    with receiving(answer) as receiver:
        urls = [f"{receiver.url}/{number}" for number in range(200)]
        run = notifier(tmp_path, tuple(spec for url in urls for spec in mixer(url)))
        run.notify(started())
        assert run.finish(30) == 0
    assert len({request.path for request in receiver.requests}) == 200
    assert max(open_now) - before < 3 * 32 + 20
