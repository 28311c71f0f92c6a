"""What a network and a service do to a store, each by a proxy in front of a real one, and what it says then."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from owtmix.errors import DestinationError, InputError
from owtmix.storage.s3 import S3Store
from owtmix.storage.s3_download import _partial
from tests.storage.conftest import QUICK, Service
from tests.storage.fault_proxy import (
    PART_BYTES,
    Answer,
    Fault,
    FaultProxy,
    Request,
    aged,
    answered,
    flipped_answer,
    flipped_request,
    lost,
    redirected,
    refused,
    reset,
    silent,
    stalled,
    truncated,
)
from tests.storage.swift_server import KEY_ID, SECRET

MOVIE = Random(5).randbytes(2 * PART_BYTES + 1000)
CLIP = MOVIE[:1_000_000]

BUSY = [(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")]

CUTS = [truncated(600_000), reset(600_000), stalled(600_000)]
CUT_NAMES = ["truncated", "reset", "stalled"]


def ignore(_done_bytes: int) -> None:
    pass


def is_content(request: Request) -> bool:
    return request.is_content


def is_beginning(request: Request) -> bool:
    return "uploads" in request.query


def is_completion(request: Request) -> bool:
    return request.is_completion


def is_part(request: Request) -> bool:
    return request.part is not None


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "out.mp4"
    path.write_bytes(MOVIE)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "downloads"
    path.mkdir()
    return path


# What may pass is tried again, a bounded number of times.


@pytest.mark.parametrize(("status", "code"), BUSY)
def test_a_busy_store_is_asked_again(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path, status: int, code: str
) -> None:
    service.put("a.webm", CLIP)
    for ask in (
        lambda: store.stat("a.webm"),
        lambda: store.read("a.webm", len(CLIP)),
        lambda: store.read_range("a.webm", 5, 5),
        lambda: store.download("a.webm", folder / "1.webm", len(CLIP), ignore),
    ):
        proxy.inject(refused(status, code), times=2)
        ask()
    assert (folder / "1.webm").read_bytes() == CLIP


@pytest.mark.parametrize(("status", "code"), BUSY)
def test_an_upload_to_a_busy_store_goes_on(
    store: S3Store,
    service: Service,
    proxy: FaultProxy,
    movie: Path,
    status: int,
    code: str,
) -> None:
    for only in (is_beginning, is_part, is_completion):
        proxy.inject(refused(status, code), times=2, only=only)
    store.upload(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE


def test_a_store_that_stays_busy_is_asked_five_times(store: S3Store, proxy: FaultProxy, folder: Path) -> None:
    proxy.inject(refused(503, "SlowDown"), times=-1)
    with pytest.raises(InputError, match=r"is overloaded or down, it answers 503 SlowDown: try again later"):
        store.download("a.webm", folder / "1.webm", 1, ignore)
    assert len(proxy.requests) == QUICK.attempts == 5


def test_an_upload_to_a_store_that_stays_busy_is_worth_another_run(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    proxy.inject(refused(503, "SlowDown"), times=-1, only=is_part)
    with pytest.raises(DestinationError, match="try again later") as caught:
        store.upload(movie, "out.mp4", ignore)
    assert caught.value.retryable
    assert all(proxy.count(lambda r, n=number: r.part == n) <= 5 for number in (1, 2, 3))  # type: ignore[misc]
    assert not service.keys()
    assert not service.unfinished()


def test_a_refusal_is_final(store: S3Store, service: Service, proxy: FaultProxy, movie: Path) -> None:
    proxy.inject(refused(403, "AccessDenied"), times=-1)
    with pytest.raises(InputError, match=r"a\.webm: the store denies access: give the key the right to it"):
        store.stat("a.webm")
    with pytest.raises(DestinationError, match=r"out\.mp4: the store denies access") as caught:
        store.upload(movie, "out.mp4", ignore)
    assert not caught.value.retryable
    assert [request.method for request in proxy.requests] == ["GET", "POST"]
    assert not service.keys()


def test_a_store_that_never_answers(store: S3Store, service: Service, proxy: FaultProxy) -> None:
    service.put("a.webm", b"1")
    proxy.inject(silent)
    assert store.stat("a.webm") == 1


# Downloads.


@pytest.mark.parametrize("cut", CUTS, ids=CUT_NAMES)
def test_a_download_goes_on_where_it_was_cut(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path, cut: Fault
) -> None:
    service.put("a.webm", CLIP)
    proxy.inject(cut, only=is_content)
    store.download("a.webm", folder / "1.webm", len(CLIP), ignore)
    assert (folder / "1.webm").read_bytes() == CLIP
    first, second = (request for request in proxy.requests if request.is_content)
    assert first.sent_bytes == 600_000
    assert first.sent_bytes + second.sent_bytes - len(CLIP) <= 256 * 1024


@pytest.mark.parametrize("cut", CUTS, ids=CUT_NAMES)
def test_what_is_read_at_once_is_read_again_after_a_cut(
    store: S3Store, service: Service, proxy: FaultProxy, cut: Fault
) -> None:
    service.put("a.webm", CLIP)
    proxy.inject(cut, only=is_content)
    assert store.read("a.webm", len(CLIP)) == CLIP
    proxy.inject(cut, only=is_content)
    assert store.read_range("a.webm", 10, 700_000) == CLIP[10:700_010]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(
    open_s3: Callable[..., S3Store], service: Service, proxy: FaultProxy, folder: Path
) -> None:
    service.put("a.webm", CLIP)
    proxy.inject(truncated(100_000), times=QUICK.attempts, only=is_content)
    with pytest.raises(InputError, match="broke off in the middle: try again later"):
        open_s3().download("a.webm", folder / "1.webm", len(CLIP), ignore)
    assert not (folder / "1.webm").exists()
    open_s3().download("a.webm", folder / "1.webm", len(CLIP), ignore)
    assert (folder / "1.webm").read_bytes() == CLIP
    assert sum(request.sent_bytes for request in proxy.requests if request.is_content) == len(CLIP)
    assert len(list(folder.iterdir())) == 1


def test_a_large_file_arrives_over_a_line_that_is_cut_again_and_again(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    movie = MOVIE * 3
    service.put("a.webm", movie)
    proxy.inject(truncated(PART_BYTES + 1), times=QUICK.attempts + 1, only=is_content)
    store.download("a.webm", folder / "1.webm", len(movie), ignore)
    assert (folder / "1.webm").read_bytes() == movie


def test_an_object_that_changed_is_fetched_anew(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    changed = bytes(reversed(CLIP))
    service.put("a.webm", CLIP)
    cut = truncated(600_000)

    def change(exchange: object) -> None:
        cut(exchange)  # type: ignore[arg-type]
        service.put("a.webm", changed)

    proxy.inject(change, only=is_content)
    store.download("a.webm", folder / "1.webm", len(CLIP), ignore)
    assert (folder / "1.webm").read_bytes() == changed
    assert len(list(folder.iterdir())) == 1


def test_a_change_between_question_and_answer_is_noticed(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    changed = bytes(reversed(CLIP))
    service.put("a.webm", CLIP)
    proxy.inject(truncated(600_000), only=is_content)
    proxy.inject(refused(412, "PreconditionFailed"), only=is_content)
    proxy.inject(answered(Answer(200, {"ETag": '"new"'}, changed)), only=is_content)
    store.download("a.webm", folder / "1.webm", len(CLIP), ignore)
    assert (folder / "1.webm").read_bytes() == CLIP
    assert [request.headers.get("range") for request in proxy.requests if request.is_content] == [
        "bytes=0-",
        *["bytes=600000-"] * 3,
    ]


def test_a_store_without_ranges_sends_everything_again(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    service.put("a.webm", CLIP)
    etag = service.client.head_object(Bucket=service.bucket, Key="a.webm")["ETag"]
    proxy.inject(truncated(600_000), only=is_content)
    proxy.inject(answered(Answer(200, {"ETag": etag}, CLIP)), only=is_content)
    store.download("a.webm", folder / "1.webm", len(CLIP), ignore)
    assert (folder / "1.webm").read_bytes() == CLIP


def test_a_flipped_bit_keeps_the_size_and_is_for_the_decoder_to_find(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    service.put("a.webm", CLIP)
    proxy.inject(flipped_answer, only=is_content)
    store.download("a.webm", folder / "1.webm", len(CLIP), ignore)
    received = (folder / "1.webm").read_bytes()
    assert sum(a != b for a, b in zip(received, CLIP, strict=True)) == 1


def test_a_full_disk(store: S3Store, service: Service, folder: Path) -> None:
    service.put("a.webm", CLIP)
    etag = service.client.head_object(Bucket=service.bucket, Key="a.webm")["ETag"]
    _partial(folder / "1.webm", etag).symlink_to("/dev/full")
    with pytest.raises(DestinationError, match="cannot be written: the disk is full, free some space"):
        store.download("a.webm", folder / "1.webm", len(CLIP), ignore)


# Uploads.


def test_a_flipped_bit_on_the_way_to_the_store_is_sent_again(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    proxy.inject(flipped_request, only=is_part)
    store.upload(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE
    assert proxy.count(is_part) == 4


@pytest.mark.parametrize("fault", [silent, lost], ids=["silent", "lost"])
def test_a_part_without_an_answer_is_sent_again(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path, fault: Fault
) -> None:
    proxy.inject(fault, only=is_part)
    store.upload(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE


def test_a_completion_may_fail_inside_of_a_success(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    proxy.inject(refused(200, "InternalError"), times=2, only=is_completion)
    store.upload(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE
    assert proxy.count(is_completion) == 3


def test_a_completion_that_never_succeeds_leaves_nothing(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    service.put("out.mp4", b"before")
    proxy.inject(refused(200, "InternalError"), times=-1, only=is_completion)
    with pytest.raises(DestinationError, match="try again later") as caught:
        store.upload(movie, "out.mp4", ignore)
    assert caught.value.retryable
    assert proxy.count(is_completion) == 5
    assert service.get("out.mp4") == b"before"
    assert not service.unfinished()


def test_a_completion_whose_answer_is_lost_was_one(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    proxy.inject(lost, only=is_completion)
    proxy.inject(refused(404, "NoSuchUpload"), times=-1, only=is_completion)
    store.upload(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE


def test_an_older_output_of_the_same_size_is_not_taken_for_this_one(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path
) -> None:
    service.put("out.mp4", bytes(len(MOVIE)))
    proxy.inject(refused(404, "NoSuchUpload"), times=-1, only=is_completion)
    proxy.inject(aged, times=-1, only=lambda request: request.method == "GET")
    with pytest.raises(DestinationError, match="NoSuchUpload"):
        store.upload(movie, "out.mp4", ignore)


def test_an_output_of_another_size_than_was_sent_is_an_error(store: S3Store, proxy: FaultProxy, movie: Path) -> None:
    shorter = Answer(206, {"Content-Range": "bytes 0-0/999"}, b"1")
    proxy.inject(answered(shorter), times=-1, only=lambda request: request.method == "GET")
    with pytest.raises(DestinationError, match="has 999 bytes after 16,778,216 bytes were uploaded") as caught:
        store.upload(movie, "out.mp4", ignore)
    assert caught.value.retryable


def test_an_abort_that_fails_too_is_left_to_the_next_run(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.inject(refused(400, "InvalidPart"), times=-1, only=is_part)
    proxy.inject(refused(503, "SlowDown"), only=lambda request: request.method == "DELETE")
    with pytest.raises(DestinationError, match="400 InvalidPart"):
        store.upload(movie, "out.mp4", ignore)
    assert "stays until the next run" in caplog.text
    assert service.unfinished() == ["out.mp4"]
    assert store.sweep_uploads("out.mp4") == 1


def test_a_key_that_may_not_list_uploads_may_still_upload(
    store: S3Store, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.inject(refused(403, "AccessDenied"))
    assert store.sweep_uploads("out.mp4") == 0
    assert "unfinished uploads cannot be looked for" in caplog.text


UPLOADER = """
import sys
from pathlib import Path
from owtmix.spec.job import StorageSpec
from owtmix.storage.s3 import S3Options, S3Store
endpoint, bucket, region, key_id, secret, path = sys.argv[1:]
spec = StorageSpec("s3", bucket, region, endpoint, key_id, secret)
S3Store(spec, S3Options(parts_at_once=1), "").upload(Path(path), "out.mp4", print)
"""


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_upload_that_is_killed_leaves_nothing_to_see_and_what_it_leaves_is_swept(
    store: S3Store, service: Service, proxy: FaultProxy, movie: Path, number: int
) -> None:
    proxy.inject(silent, times=-1, only=lambda request: request.part == number)
    argv = [proxy.endpoint, service.bucket, "cn-bj", KEY_ID, SECRET, str(movie)]
    with subprocess.Popen([sys.executable, "-c", UPLOADER, *argv], stdout=subprocess.DEVNULL) as uploader:
        proxy.wait_for(lambda request: request.part == number)
        uploader.kill()
    assert not service.keys()
    assert service.unfinished() == ["out.mp4"]
    assert store.sweep_uploads("out.mp4") == 1
    assert not service.unfinished()


# What is said.


def test_a_wrong_key(open_s3: Callable[..., S3Store], service: Service, movie: Path) -> None:
    service.put("a.webm", b"1")
    for wrong in ({"public_key": "nobody"}, {"secret_key": "wrong"}):
        store = open_s3(**wrong)
        with pytest.raises(InputError, match="check PublicKey and SecretKey"):
            store.stat("a.webm")
        with pytest.raises(DestinationError, match="check PublicKey and SecretKey"):
            store.sweep_uploads("a.webm")
        with pytest.raises(DestinationError, match="check PublicKey and SecretKey") as caught:
            store.upload(movie, "out.mp4", ignore)
        assert not caught.value.retryable


def test_an_unknown_key(store: S3Store, proxy: FaultProxy) -> None:
    proxy.inject(refused(403, "InvalidAccessKeyId"))
    with pytest.raises(InputError, match="the store does not know the key id: check PublicKey"):
        store.stat("a.webm")


def test_a_wrong_bucket(open_s3: Callable[..., S3Store], proxy: FaultProxy, movie: Path) -> None:
    store = open_s3(bucket="nowhere")
    expected = f"there is no bucket nowhere at {proxy.endpoint}: check Bucket, and Region or Endpoint"
    with pytest.raises(InputError, match=expected):
        store.stat("a.webm")
    with pytest.raises(InputError, match=expected):
        store.read("index.json", 100)
    with pytest.raises(DestinationError, match=expected):
        store.upload(movie, "out.mp4", ignore)


def test_a_wrong_region(open_s3: Callable[..., S3Store], service: Service, proxy: FaultProxy) -> None:
    service.put("a.webm", b"1")
    with pytest.raises(InputError, match='does not accept the region us-west-1: check Region, which is "cn-bj" there'):
        open_s3(region="us-west-1").stat("a.webm")
    assert len(proxy.requests) == 1


def test_a_wrong_clock(store: S3Store, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.put("a.webm", b"1")
    late = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: late)
    with pytest.raises(InputError, match="the store refuses the time of this machine: set its clock"):
        store.stat("a.webm")


def test_an_endpoint_where_nobody_listens(open_s3: Callable[..., S3Store], movie: Path) -> None:
    store = open_s3(endpoint="http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:9 cannot be reached: check Endpoint or Region"):
        store.stat("a.webm")
    with pytest.raises(DestinationError, match="cannot be reached") as caught:
        store.upload(movie, "out.mp4", ignore)
    assert caught.value.retryable


def test_an_endpoint_that_has_no_address(open_s3: Callable[..., S3Store]) -> None:
    with pytest.raises(InputError, match=r"the host of http://nowhere\.invalid is not known: check Endpoint"):
        open_s3(endpoint="http://nowhere.invalid").stat("a.webm")


def test_an_endpoint_without_https(open_s3: Callable[..., S3Store], proxy: FaultProxy) -> None:
    with pytest.raises(InputError, match="the encrypted connection fails: check Endpoint, or use http"):
        open_s3(endpoint=proxy.endpoint.replace("http:", "https:")).stat("a.webm")


def test_a_certificate_that_nobody_vouches_for(open_s3: Callable[..., S3Store], tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path / "certificate.pem"))
    handshakes = 0

    def accept(listener: socket.socket) -> None:
        nonlocal handshakes
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                handshakes += 1
                with connection, suppress(OSError), context.wrap_socket(connection, server_side=True):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=accept, args=(listener,), daemon=True).start()
        store = open_s3(endpoint=f"https://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(InputError, match=r"the certificate of https://127\.0\.0\.1:\d+ is not trusted: check"):
            store.stat("a.webm")
    assert handshakes == 1


def _self_signed(path: Path) -> Path:
    """A certificate and its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form))
    return path


def test_a_web_server_that_is_no_store(store: S3Store, proxy: FaultProxy) -> None:
    for page in (Answer(404, {}, b"<html>Not found</html>"), Answer(404, {}, b"")):
        proxy.inject(answered(page))
        with pytest.raises(InputError, match=r"does not answer like an S3 service \(404\): check Endpoint"):
            store.read("index.json", 100)


def test_redirects_are_not_followed(store: S3Store, service: Service, proxy: FaultProxy) -> None:
    service.put("a.webm", b"1")
    proxy.inject(redirected(f"{service.endpoint}/{service.bucket}/a.webm"))
    proxy.inject(refused(301, "PermanentRedirect", Endpoint="elsewhere.example.com"))
    for _ in range(2):
        with pytest.raises(InputError, match="redirects elsewhere, which is not followed"):
            store.stat("a.webm")
    assert len(proxy.requests) == 2


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (400, "ExpiredToken", "the session token of the key has expired"),
        (403, "QuotaExceeded", "the bucket's quota is used up"),
        (403, "", r"the store denies access \(403\)"),
        (418, "Teapot", r"the store refuses the request \(418 Teapot\)"),
        (400, "the canary sings", r"the store refuses the request \(400\)"),
    ],
)
def test_other_refusals(store: S3Store, proxy: FaultProxy, status: int, code: str, sentence: str) -> None:
    proxy.inject(refused(status, code))
    with pytest.raises(InputError, match=sentence) as caught:
        store.stat("a.webm")
    assert "canary" not in str(caught.value)
    assert "As the test wants" not in str(caught.value)
