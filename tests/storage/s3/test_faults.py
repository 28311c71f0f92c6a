"""A service that is busy, breaks connections, loses answers: what may pass is tried again, what is sent is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from owtmix.base.errors import DestinationError, InputError, Interrupted
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage import LocalCopy
from owtmix.storage.s3.store import S3Store
from owtmix.storage.s3.unfinished import OwnUploads
from tests.storage.conftest import AT, CLIP, MOVIE, NOWHERE, QUICK, Service, ignore
from tests.storage.fault_proxy import (
    Answer,
    Exchange,
    Fault,
    FaultProxy,
    Request,
    aged,
    answered,
    flipped_request,
    is_beginning,
    is_completion,
    is_part,
    lost,
    refused,
    silent,
)
from tests.storage.swift_server import KEY_ID, SECRET

BUSY = [(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "downloads"
    path.mkdir()
    return path


@pytest.mark.parametrize(("status", "code"), BUSY)
def test_a_busy_store_is_asked_again(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path, status: int, code: str
) -> None:
    service.put("a.webm", CLIP)
    for ask in (
        lambda: store.locate("a.webm", NOWHERE),
        lambda: store.read("a.webm", len(CLIP)),
        lambda: store.read_part("a.webm", LocalCopy(NOWHERE), 5, 5),
        lambda: store.fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP)), ignore),
    ):
        proxy.inject(refused(status, code), times=2)
        ask()
    assert (folder / "1.webm").read_bytes() == CLIP


def test_an_upload_to_a_busy_store_goes_on(store: S3Store, service: Service, proxy: FaultProxy, movie: Path) -> None:
    for only, busy in zip((is_beginning, is_part, is_completion), BUSY, strict=True):
        proxy.inject(refused(*busy), times=2, only=only)
    store.commit(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE
    assert proxy.count(is_beginning) == proxy.count(is_completion) == 3
    assert proxy.count(is_part) == 5


def test_a_store_that_stays_busy_is_asked_five_times(store: S3Store, proxy: FaultProxy, folder: Path) -> None:
    proxy.inject(refused(503, "SlowDown"), times=-1)
    with pytest.raises(InputError, match=r"is overloaded or down, it answers 503 SlowDown: try again later"):
        store.fetch("a.webm", LocalCopy(folder / "1.webm", 1), ignore)
    assert len(proxy.requests) == QUICK.attempts == 5


def test_an_upload_to_a_store_that_stays_busy_is_worth_another_run(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    proxy.inject(refused(503, "SlowDown"), times=-1, only=is_part)
    with pytest.raises(DestinationError, match="try again later") as caught:
        store.commit(movie, "out.mp4", ignore)
    assert caught.value.retryable
    assert all(proxy.count(lambda r, n=number: r.part == n) <= 5 for number in (1, 2, 3))  # type: ignore[misc]
    assert not service.keys()
    assert not service.unfinished()


def test_a_refusal_is_final(store: S3Store, service: Service, proxy: FaultProxy, movie: Path) -> None:
    proxy.inject(refused(403, "AccessDenied"), times=-1)
    with pytest.raises(InputError, match=r"a\.webm: the store denies access: give the key the right to it"):
        store.locate("a.webm", NOWHERE)
    with pytest.raises(DestinationError, match=r"out\.mp4: the store denies access") as caught:
        store.commit(movie, "out.mp4", ignore)
    assert not caught.value.retryable
    assert [request.method for request in proxy.requests] == ["GET", "POST"]
    assert not service.keys()


def test_a_store_that_never_answers(store: S3Store, service: Service, proxy: FaultProxy) -> None:
    service.put("a.webm", b"1")
    proxy.inject(silent)
    assert store.locate("a.webm", NOWHERE)


def test_a_flipped_bit_on_the_way_to_the_store_is_sent_again(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    proxy.inject(flipped_request, only=is_part)
    store.commit(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE
    assert proxy.count(is_part) == 4


@pytest.mark.parametrize("fault", [silent, lost], ids=["silent", "lost"])
def test_a_part_without_an_answer_is_sent_again(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path, fault: Fault
) -> None:
    proxy.inject(fault, only=is_part)
    store.commit(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE


def test_a_completion_may_fail_inside_of_a_success(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    proxy.inject(refused(200, "InternalError"), times=2, only=is_completion)
    store.commit(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE
    assert proxy.count(is_completion) == 3


def test_a_completion_that_never_succeeds_leaves_nothing(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    service.put("out.mp4", b"before")
    proxy.inject(refused(200, "InternalError"), times=-1, only=is_completion)
    with pytest.raises(DestinationError, match="try again later") as caught:
        store.commit(movie, "out.mp4", ignore)
    assert caught.value.retryable
    assert proxy.count(is_completion) == 5
    assert service.get("out.mp4") == b"before"
    assert not service.unfinished()


def test_a_completion_whose_answer_is_lost_was_one(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    proxy.inject(lost, only=is_completion)
    proxy.inject(refused(404, "NoSuchUpload"), times=-1, only=is_completion)
    store.commit(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE


def test_an_older_output_of_the_same_size_is_not_taken_for_this_one(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    service.put("out.mp4", bytes(len(MOVIE)))
    proxy.inject(refused(404, "NoSuchUpload"), times=-1, only=is_completion)
    proxy.inject(aged, times=-1, only=lambda request: request.method == "GET")
    with pytest.raises(DestinationError, match="NoSuchUpload"):
        store.commit(movie, "out.mp4", ignore)


def test_an_output_of_another_size_than_was_sent_is_an_error(store: S3Store, proxy: FaultProxy, movie: Path) -> None:
    shorter = Answer(206, {"Content-Range": "bytes 0-0/999"}, b"1")
    proxy.inject(answered(shorter), times=-1, only=lambda request: request.method == "GET")
    with pytest.raises(DestinationError, match="has 999 bytes after 16,778,216 bytes were uploaded") as caught:
        store.commit(movie, "out.mp4", ignore)
    assert caught.value.retryable


def test_an_abort_that_fails_too_is_left_to_the_next_run(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.inject(refused(400, "InvalidPart"), times=-1, only=is_part)
    proxy.inject(refused(503, "SlowDown"), only=lambda request: request.method == "DELETE")
    with pytest.raises(DestinationError, match="400 InvalidPart"):
        store.commit(movie, "out.mp4", ignore)
    assert "stays until the next run" in caplog.text
    assert service.unfinished() == ["out.mp4"]
    store.stage("out.mp4", "job", NOWHERE)
    assert not service.unfinished()


def test_a_key_that_may_not_list_uploads_may_still_upload(
    store: S3Store, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.inject(refused(403, "AccessDenied"))
    store.stage("out.mp4", "job", NOWHERE)
    assert "unfinished uploads cannot be looked for" in caplog.text


def test_a_key_that_may_not_list_uploads_may_abort_its_own(
    store: S3Store, service: Service, proxy: FaultProxy, uploads: Path
) -> None:
    OwnUploads(uploads).remember(store.address("out.mp4"), service.begin("out.mp4"))
    proxy.inject(refused(403, "AccessDenied"), times=-1, only=lambda request: request.method == "GET")
    store.stage("out.mp4", "job", NOWHERE)
    assert not service.unfinished()


def test_an_upload_that_the_key_may_not_abort_is_not_forgotten(
    store: S3Store, service: Service, proxy: FaultProxy, uploads: Path
) -> None:
    """Its right to it may come back."""
    OwnUploads(uploads).remember(store.address("out.mp4"), service.begin("out.mp4"))
    proxy.inject(refused(403, "AccessDenied"), only=lambda request: request.method == "DELETE")
    store.stage("out.mp4", "job", NOWHERE)
    assert service.unfinished() == ["out.mp4"]
    store.stage("out.mp4", "job", NOWHERE)
    assert not service.unfinished()


@pytest.mark.parametrize(
    ("status", "code", "notes"),
    [(500, "InternalError", 1), (400, "InvalidArgument", 0), (404, "", 0), (409, "Busy", 0)],
)
def test_an_old_upload_that_cannot_be_aborted_fails_no_job(
    store: S3Store, service: Service, proxy: FaultProxy, uploads: Path, movie: Path, status: int, code: str, notes: int
) -> None:
    """What may work later is tried by the next run, too."""
    OwnUploads(uploads).remember(store.address("out.mp4"), service.begin("out.mp4"))
    proxy.inject(refused(status, code), times=-1, only=lambda request: request.method == "DELETE")
    store.stage("out.mp4", "job", NOWHERE)
    assert len(list(uploads.iterdir())) == notes
    store.commit(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE


@pytest.mark.parametrize("only", [lambda r: r.method == "GET", is_beginning, is_part, is_completion])
def test_an_interrupt_is_no_error_of_the_connection(
    spec: StorageSpec, service: Service, proxy: FaultProxy, movie: Path, only: Callable[[Request], bool]
) -> None:
    service.put("a.webm", b"1")
    store = S3Store(spec, QUICK, AT)

    def interrupt(*_: object) -> None:
        raise Interrupted("stopped by a test")

    def signal_when_silent(exchange: Exchange) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        exchange.hold()

    proxy.inject(signal_when_silent, only=only)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted, match="stopped by a test"):
            _ = store.locate("a.webm", NOWHERE), store.commit(movie, "out.mp4", ignore)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert service.keys() == ["a.webm"]


UPLOADER = """
import sys
from pathlib import Path
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.store import S3Store
from owtmix.storage.s3.unfinished import OwnUploads
endpoint, bucket, region, key_id, secret, path, uploads = sys.argv[1:]
spec = StorageSpec("s3", bucket, region, endpoint, key_id, secret)
S3Store(spec, S3Options(parts_at_once=1, uploads=Path(uploads)), "").commit(Path(path), "out.mp4", print)
"""


@pytest.mark.parametrize("number", [1, 3])
def test_an_upload_that_is_killed_leaves_nothing_to_see_and_what_it_leaves_is_swept(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path, uploads: Path, number: int
) -> None:
    proxy.inject(silent, times=-1, only=lambda request: request.part == number)
    argv = [proxy.endpoint, service.bucket, "cn-bj", KEY_ID, SECRET, str(movie), str(uploads)]
    with subprocess.Popen([sys.executable, "-c", UPLOADER, *argv], stdout=subprocess.DEVNULL) as uploader:
        proxy.wait_for(lambda request: request.part == number)
        uploader.kill()
    assert not service.keys()
    assert service.unfinished() == ["out.mp4"]
    store.stage("out.mp4", "job", NOWHERE)
    assert not service.unfinished()
