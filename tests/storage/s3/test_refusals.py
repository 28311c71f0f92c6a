"""What is said when a store cannot be used: one plain sentence with what to change."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from owtmix.base.errors import DestinationError, InputError
from owtmix.storage.s3.store import S3Store
from tests.storage.conftest import NOWHERE, Service, ignore
from tests.storage.fault_proxy import (
    Answer,
    Exchange,
    FaultProxy,
    answered,
    passed,
    redirected,
    refused,
)


def test_a_wrong_key(open_s3: Callable[..., S3Store], service: Service, movie: Path) -> None:
    service.put("a.webm", b"1")
    for wrong in ({"public_key": "nobody"}, {"secret_key": "wrong"}):
        store = open_s3(**wrong)
        with pytest.raises(InputError, match="check PublicKey and SecretKey"):
            store.locate("a.webm", NOWHERE)
        with pytest.raises(DestinationError, match="check PublicKey and SecretKey"):
            store.stage("a.webm", "job", NOWHERE)
        with pytest.raises(DestinationError, match="check PublicKey and SecretKey") as caught:
            store.commit(movie, "out.mp4", ignore)
        assert not caught.value.retryable


def test_an_unknown_key(store: S3Store, proxy: FaultProxy) -> None:
    proxy.inject(refused(403, "InvalidAccessKeyId"))
    with pytest.raises(InputError, match="the store does not know the key id: check PublicKey"):
        store.locate("a.webm", NOWHERE)


def test_a_wrong_bucket(open_s3: Callable[..., S3Store], proxy: FaultProxy, movie: Path) -> None:
    store = open_s3(bucket="nowhere")
    expected = f"there is no bucket nowhere at {proxy.endpoint}: check Bucket, and Region or Endpoint"
    with pytest.raises(InputError, match=expected):
        store.locate("a.webm", NOWHERE)
    with pytest.raises(InputError, match=expected):
        store.read("index.json", 100)
    with pytest.raises(DestinationError, match=expected):
        store.commit(movie, "out.mp4", ignore)


def test_a_wrong_region(open_s3: Callable[..., S3Store], service: Service, proxy: FaultProxy) -> None:
    service.put("a.webm", b"1")
    with pytest.raises(InputError, match='does not accept the region us-west-1: check Region, which is "cn-bj" there'):
        open_s3(region="us-west-1").locate("a.webm", NOWHERE)
    assert len(proxy.requests) == 1


def test_a_wrong_clock(store: S3Store, service: Service, proxy: FaultProxy) -> None:
    """The service itself compares the time of a request with its own."""
    service.put("a.webm", b"1")
    proxy.inject(late)
    with pytest.raises(InputError, match="the store refuses the time of this machine: set its clock"):
        store.locate("a.webm", NOWHERE)


def late(exchange: Exchange) -> None:
    """The request says that it is one hour later."""
    exchange.request_seen.headers["x-amz-date"] = f"{datetime.now(UTC) + timedelta(hours=1):%Y%m%dT%H%M%SZ}"
    passed(exchange)


def test_an_endpoint_where_nobody_listens(open_s3: Callable[..., S3Store], movie: Path) -> None:
    store = open_s3(endpoint="http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:9 cannot be reached: check Endpoint or Region"):
        store.locate("a.webm", NOWHERE)
    with pytest.raises(DestinationError, match="cannot be reached") as caught:
        store.commit(movie, "out.mp4", ignore)
    assert caught.value.retryable


def test_an_endpoint_that_has_no_address(open_s3: Callable[..., S3Store]) -> None:
    with pytest.raises(InputError, match=r"the host of http://nowhere\.invalid is not known: check Endpoint"):
        open_s3(endpoint="http://nowhere.invalid").locate("a.webm", NOWHERE)


def test_an_endpoint_without_https(open_s3: Callable[..., S3Store], proxy: FaultProxy) -> None:
    with pytest.raises(InputError, match="the encrypted connection fails: check Endpoint, or use http"):
        open_s3(endpoint=proxy.endpoint.replace("http:", "https:")).locate("a.webm", NOWHERE)


def test_a_certificate_that_is_not_trusted(open_s3: Callable[..., S3Store], tmp_path: Path) -> None:
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
            store.locate("a.webm", NOWHERE)
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
            store.locate("a.webm", NOWHERE)
    assert len(proxy.requests) == 2


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (400, "ExpiredToken", "the session token of the key has expired"),
        (403, "QuotaExceeded", "the bucket's quota is used up"),
        (403, "", r"the store denies access \(403\)"),
        (418, "Teapot", r"the store refuses the request \(418 Teapot\)"),
        (400, "not a code canary", r"the store refuses the request \(400\)"),
    ],
)
def test_other_refusals(store: S3Store, proxy: FaultProxy, status: int, code: str, sentence: str) -> None:
    proxy.inject(refused(status, code))
    with pytest.raises(InputError, match=sentence) as caught:
        store.locate("a.webm", NOWHERE)
    assert "canary" not in str(caught.value)
    assert "As the test wants" not in str(caught.value)
