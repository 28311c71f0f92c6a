"""The process that reads a stream: what a server may do to it, and what it may do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from owtmix.recorder.rtmp.reader import APP, NAME, REQUIRED, STATUS_OVER, URL
from owtmix.recorder.rtmp.records import HEAD_BYTES, read_head
from owtmix.rtmp import amf
from owtmix.rtmp.chunks import AUDIO, COMMAND, CONTROL, VIDEO, Message, to_chunks
from owtmix.workers.child_environment import child_environment
from tests.conftest import NOT_CONFINED, kernel_confines

READY = [
    Message(COMMAND, 0, 0, amf.write("_result", 1.0, None, None)),
    Message(COMMAND, 0, 0, amf.write("_result", 2.0, None, 1.0)),
]
SOUND = [Message(AUDIO, 0, 1, b"\xaf\0\x11\x90"), Message(AUDIO, 0, 1, b"\xaf\x01sound")]
END = Message(CONTROL, 0, 0, b"\0\1\0\0\0\1")


@contextmanager
def reader(**more: str) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """A reader, and the server's end of its connection."""
    here, there = socket.socketpair()
    told = {APP: "live", NAME: "0a1b", URL: "rtmp://127.0.0.1/live"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "owtmix.recorder.rtmp.reader", str(os.getpid())],
        stdin=there.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment() | told | more,
    )
    there.close()
    with here, process:
        try:
            yield process, here
        finally:
            process.kill()


def greet(server: socket.socket, *messages: Message) -> None:
    server.sendall(bytes([3]) + bytes(2 * 1536) + b"".join(to_chunks(one, 3) for one in (*READY, *messages)))


def end(process: subprocess.Popen[bytes]) -> tuple[int, bytes, str]:
    output, words = process.communicate(timeout=60)
    return process.returncode, output, words.decode()


def test_frames_are_told_until_the_publisher_leaves() -> None:
    with reader() as (process, server):
        greet(server, *SOUND, END)
        status, output, words = end(process)
    assert (status, words) == (STATUS_OVER, "")
    head = read_head(output[:HEAD_BYTES])
    assert (head.kind, head.size) == ("audio", len(output) - HEAD_BYTES)


def test_what_is_not_recorded_is_told_once_without_what_came() -> None:
    strange = [Message(VIDEO, 0, 1, b"\x90hvc1 secret"), Message(VIDEO, 0, 1, b"\x90hvc1 secret")]
    with reader() as (process, server):
        greet(server, *strange, END)
        status, output, words = end(process)
    assert (status, output) == (STATUS_OVER, b"")
    assert words == "RTMP: its picture is not H.264, and not recorded\n"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes([3]) + b"\xff" * 5000])
def test_another_server_ends_it_in_words(sent: bytes) -> None:
    with reader() as (process, server):
        server.sendall(sent)
        server.shutdown(socket.SHUT_WR)
        status, output, words = end(process)
    assert (status, output) == (1, b"")
    assert words.startswith("RTMP: ")
    assert len(words.splitlines()) == 1


def test_it_reads_nothing_without_the_layers_that_are_required() -> None:
    with reader(**{REQUIRED: "moat,no-new-privileges"}) as (process, _):
        status, output, words = end(process)
    assert (status, output) == (1, b"")
    assert words == "RTMP: not confined by moat, as limits.require_confinement demands\n"


@pytest.mark.skipif(not kernel_confines(), reason=NOT_CONFINED)
def test_it_is_confined_before_it_reads_a_byte() -> None:
    with reader() as (process, server):
        assert server.recv(1) == bytes([3])
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
        limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
        assert "268435456" in next(line for line in limits if line.startswith("Max address space"))
