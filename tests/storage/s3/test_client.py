"""Where requests go: the endpoint of a store, and what does not change it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from owtmix.base.errors import InputError, SpecError
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage.s3 import client
from owtmix.storage.s3.endpoint import endpoint_url
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.store import S3Store
from tests.storage.conftest import AT, NOWHERE, Service


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (S3Options(), "https://s3-cn-bj.ufileos.com"),
        (S3Options(scheme="http"), "http://s3-cn-bj.ufileos.com"),
        (S3Options(internal=True), "http://internal.s3-cn-bj.ufileos.com"),
    ],
)
def test_ucloud_is_found_by_its_region(options: S3Options, expected: str) -> None:
    assert endpoint_url(StorageSpec("ucloud", "b", "cn-bj", None, None, None), options, AT) == expected


def test_an_endpoint_overrides_the_region() -> None:
    spec = StorageSpec("ucloud", "b", "cn-bj", "https://S3.Example.com:8443/", None, None)
    assert endpoint_url(spec, S3Options(internal=True), AT) == "https://s3.example.com:8443"


@pytest.mark.parametrize(
    "endpoint",
    [
        "s3.example.com",
        "ftp://s3.example.com",
        "https://user:canary@s3.example.com",
        "https://canary@s3.example.com",
        "https://s3.example.com/canary",
        "https://s3.example.com?token=canary",
        "https://s3.example.com#canary",
        "https://",
        "https://s3.example.com:canary",
        "https://s3 canary",
        "https://[::1",
    ],
)
def test_an_endpoint_is_scheme_host_and_port(endpoint: str) -> None:
    with pytest.raises(SpecError, match=r"StorageConfig\.Endpoint: not an address such as") as caught:
        endpoint_url(StorageSpec("s3", "b", None, endpoint, None, None), S3Options(), AT)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(("vendor", "key"), [("ucloud", "Region"), ("s3", "Endpoint")])
def test_a_store_that_cannot_be_found(vendor: str, key: str) -> None:
    spec = StorageSpec(vendor, "b", None, None, None, None)  # type: ignore[arg-type]  # both are vendors
    with pytest.raises(SpecError, match=rf"StorageConfig\.{key}: {vendor} needs it"):
        endpoint_url(spec, S3Options(), AT)


@pytest.mark.parametrize("bucket", ["a/b", "../etc", "b", "arn:aws:s3:us-east-1:1:accesspoint/x", "fast--x-s3", "a b"])
def test_a_bucket_is_a_plain_name(open_s3: Callable[..., S3Store], bucket: str) -> None:
    with pytest.raises(SpecError, match=r"StorageConfig\.Bucket: not the name of a bucket"):
        open_s3(bucket=bucket)


def test_nothing_around_it_changes_where_requests_go(
    open_s3: Callable[..., S3Store], service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service.put("a.webm", b"1")
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n  use_accelerate_endpoint = true\n  addressing_style = virtual\n")
    for name, value in {
        "AWS_CONFIG_FILE": str(config),
        "AWS_PROFILE": "nobody",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    assert open_s3().locate("a.webm", NOWHERE)


def test_a_proxy_is_used_when_it_is_configured(spec: StorageSpec) -> None:
    options = S3Options(proxy="http://user:canary@127.0.0.1:9", attempts=1)
    with pytest.raises(InputError, match="the proxy cannot be reached") as caught:
        S3Store(spec, options, AT).locate("a.webm", NOWHERE)
    assert "canary" not in str(caught.value) + repr(options)


def test_the_environment_cannot_make_boto3_send_metrics(
    open_s3: Callable[..., S3Store], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They contain the key id."""
    service.put("a.webm", b"1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as monitor:
        monitor.bind(("127.0.0.1", 0))
        monitor.setblocking(False)
        monkeypatch.setenv("AWS_CSM_ENABLED", "true")
        monkeypatch.setenv("AWS_CSM_HOST", "127.0.0.1")
        monkeypatch.setenv("AWS_CSM_PORT", str(monitor.getsockname()[1]))
        client._session.cache_clear()
        assert open_s3().locate("a.webm", NOWHERE)
        with pytest.raises(BlockingIOError):
            monitor.recv(1)
