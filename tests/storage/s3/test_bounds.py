"""Services whose answers never end: everything has a limit."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from owtmix.base.errors import DestinationError, ShortageError, StoreError
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage import LocalCopy
from owtmix.storage.s3 import objects
from owtmix.storage.s3.store import S3Store
from owtmix.storage.s3.unfinished import MOST_PAGES
from tests.storage.conftest import AT, NOWHERE, QUICK, ignore
from tests.storage.fault_proxy import Answer, Exchange, Fault, FaultProxy, Request, answered, redirected, refused

SOON_S: Final = 20
"""Waiting for each attempt's bound takes 1.5 s here."""
DRIP_S: Final = 0.05


@pytest.fixture
def impatient(spec: StorageSpec) -> S3Store:
    return S3Store(spec, replace(QUICK, connect_timeout_s=0.5, read_timeout_s=0.5, attempts=2), AT)


def sent_for_ever(head: bytes, piece: bytes, pause_s: float = 0) -> Fault:
    """An answer that begins with ``head`` and goes on with ``piece``, again and again, until the client leaves."""

    def fault(exchange: Exchange) -> None:
        exchange.close_connection = True
        with suppress(OSError):
            exchange.wfile.write(head)
            while not exchange.server.proxy.closing.wait(pause_s):
                exchange.wfile.write(piece)

    return fault


def request_threads() -> int:
    return sum(thread.name == "request" for thread in threading.enumerate())


def wait_for_threads(most: int) -> None:
    """Wait until no thread is left that reads what does not end."""
    deadline = time.monotonic() + SOON_S
    while request_threads() > most:
        assert time.monotonic() < deadline
        time.sleep(0.01)


OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\nETag: x\r\n\r\n"
ENDLESS: Final = {
    "an error": sent_for_ever(b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\n\r\n", bytes(1 << 16)),
    "a slow error": sent_for_ever(b"HTTP/1.1 403 Forbidden\r\n\r\n", b"x", DRIP_S),
    "a header": sent_for_ever(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
    "a line of the header": sent_for_ever(b"HTTP/1.1 200 OK\r\nX: ", bytes(1 << 16)),
    "a slow header": sent_for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"x", DRIP_S),
    "promises": sent_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", DRIP_S),
    "redirects": redirected("/again"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_that_never_ends(impatient: S3Store, proxy: FaultProxy, name: str) -> None:
    proxy.inject(ENDLESS[name], times=-1)
    before, began = request_threads(), time.monotonic()
    with pytest.raises(StoreError):
        impatient.locate("a.webm", NOWHERE)
    assert time.monotonic() - began < SOON_S
    wait_for_threads(before)


def test_content_that_drips(
    impatient: S3Store, proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.inject(sent_for_ever(OK, b"x", DRIP_S), times=-1)
    monkeypatch.setattr(objects, "SLOWEST_BYTES_PER_S", 1 << 20)
    before, began = request_threads(), time.monotonic()
    with pytest.raises(StoreError, match="does not end its answer") as raised:
        impatient.fetch("a.webm", LocalCopy(tmp_path / "a", 99999999, version="x"), ignore)
    assert raised.value.of_object == "the store does not answer when it is asked for it"
    assert time.monotonic() - began < SOON_S
    wait_for_threads(before)


def test_content_that_goes_on_behind_its_end(impatient: S3Store, proxy: FaultProxy, tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: x\r\n\r\n"
    proxy.inject(sent_for_ever(head, bytes(1 << 16)), times=-1)
    impatient.fetch("a.webm", LocalCopy(tmp_path / "a", 1_000_000, version="x"), ignore)
    assert (tmp_path / "a").stat().st_size == 1_000_000


@pytest.mark.parametrize("size", [str(1 << 60), "9" * 4000, "-5"])
def test_a_size_that_no_object_has(impatient: S3Store, proxy: FaultProxy, size: str) -> None:
    headers = {"Content-Range": f"bytes 0-0/{size}", "ETag": "x"}
    proxy.inject(answered(Answer(206, headers, b"x")), times=-1)
    with pytest.raises(StoreError) as raised:
        impatient.locate("a.webm", NOWHERE)
    assert "size that no object has" in raised.value.of_object


def listing(uploads: Callable[[int], list[str]]) -> Fault:
    """Pages without end of a list of unfinished uploads."""
    pages = count()

    def fault(exchange: Exchange) -> None:
        found = "".join(
            f"<Upload><Key>out.mp4</Key><UploadId>{one}</UploadId></Upload>" for one in uploads(next(pages))
        )
        truncated = f"<IsTruncated>true</IsTruncated>{found}"
        body = f"<ListMultipartUploadsResult>{truncated}</ListMultipartUploadsResult>".encode()
        exchange.reply(Answer(200, {"Content-Type": "application/xml"}, body))

    return fault


def is_list(request: Request) -> bool:
    return request.method == "GET" and "uploads" in request.query


@pytest.mark.parametrize(
    "uploads",
    [lambda page: [f"{page}"], lambda _: ["again"], lambda page: [f"{page}.{n}" for n in range(600)]],
    ids=["many", "the same", "long"],
)
def test_a_list_that_never_ends(
    impatient: S3Store, proxy: FaultProxy, tmp_path: Path, uploads: Callable[[int], list[str]]
) -> None:
    proxy.inject(listing(uploads), times=-1, only=is_list)
    proxy.inject(answered(Answer(204, {}, b"")), times=-1, only=lambda request: request.method == "DELETE")
    with pytest.raises(DestinationError, match=r"list of unfinished uploads is longer than 100 pages or 1000 uploads"):
        impatient.stage("out.mp4", "job", tmp_path)
    assert proxy.count(is_list) <= MOST_PAGES


REASONS: Final = {
    (403, "AccessDenied"): "the store denies access to it: give the key the right to read it",
    (403, "InvalidObjectState"): "is in an archive of the store: restore it first",
    (403, "Odd"): "the store refuses it (403 Odd)",
    (500, "InternalError"): "the store answers 500 InternalError whenever it is asked for it",
}


@pytest.mark.parametrize(("status", "code"), REASONS)
def test_what_a_failure_means_for_an_object_alone(
    impatient: S3Store, proxy: FaultProxy, status: int, code: str
) -> None:
    proxy.inject(refused(status, code), times=-1)
    with pytest.raises(StoreError) as raised:
        impatient.locate("a.webm", NOWHERE)
    assert raised.value.of_object == REASONS[status, code]
    assert raised.value.is_refusal == (status == 403)


def test_too_few_open_files_are_neither_the_store_s_nor_the_object_s_fault(
    impatient: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_socket(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", no_socket)
    with pytest.raises(ShortageError, match="ulimit -n"):
        impatient.locate("a.webm", NOWHERE)
