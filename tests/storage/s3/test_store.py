"""A store behind the S3 protocol, against a real service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from owtmix.errors import DestinationError, InputError, SpecError
from owtmix.spec.job import StorageSpec
from owtmix.storage.s3.client import endpoint_url
from owtmix.storage.s3.credentials import Credentials
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.store import S3Store
from tests.storage.conftest import AT, MOVIE, Service, ignore
from tests.storage.fault_proxy import PART_BYTES, Answer, FaultProxy, Us3Profile, answered

ODD_KEYS = ["room/alice 1.webm", "会议/爱丽丝.webm", "a+b&c=d?e#f.mp4", "100%25.mp4", "~tilde'(1)*.mp4"]


def test_an_object_has_a_size_and_what_is_missing_has_none(store: S3Store, service: Service) -> None:
    service.put("room/a.webm", bytes(1000))
    service.put("room/empty", b"")
    assert [found and found.size for found in map(store.stat, ("room/a.webm", "room/empty"))] == [1000, 0]
    assert store.stat("room/b.webm") is None


def test_a_small_object_is_read_whole(store: S3Store, service: Service) -> None:
    service.put("index.json", b"{}")
    service.put("empty.json", b"")
    assert store.read("index.json", 2) == b"{}"
    assert store.read("empty.json", 2) == b""
    assert store.read("other.json", 2) is None


def test_a_large_object_is_not_read_as_a_small_one(store: S3Store, service: Service, proxy: FaultProxy) -> None:
    service.put("index.json", bytes(1_000_000))
    with pytest.raises(InputError, match=r"index\.json: is larger than 999,999 bytes"):
        store.read("index.json", 999_999)
    assert len(proxy.requests) == 1


@pytest.mark.parametrize(("start", "length", "expected"), [(0, 4, b"0123"), (3, 2, b"34"), (8, 9, b"89"), (10, 1, b"")])
def test_parts_of_an_object(store: S3Store, service: Service, start: int, length: int, expected: bytes) -> None:
    service.put("a.mp4", b"0123456789")
    assert store.read_range("a.mp4", start, length) == expected


def test_parts_are_of_one_version_or_none(store: S3Store, service: Service, proxy: FaultProxy) -> None:
    service.put("a.mp4", b"0123456789")
    found = store.stat("a.mp4")
    assert found
    assert store.read_range("a.mp4", 3, 2, found.etag) == b"34"
    service.put("a.mp4", b"9876543210")
    assert store.read_range("a.mp4", 3, 2, found.etag) is None
    proxy.inject(answered(Answer(200, {"ETag": '"other"'}, b"9876543210")))  # not every store knows conditions
    assert store.read_range("a.mp4", 0, 2, found.etag) is None
    proxy.inject(answered(Answer(200, {"ETag": found.etag}, b"0123456789")))  # nor ranges
    assert store.read_range("a.mp4", 3, 2, found.etag) is None
    service.client.delete_object(Bucket=service.bucket, Key="a.mp4")
    assert store.read_range("a.mp4", 3, 2, found.etag) is None
    assert len(proxy.requests) == 6


def test_a_download_appears_when_it_is_complete(store: S3Store, service: Service, tmp_path: Path) -> None:
    service.put("a.webm", MOVIE)
    path = tmp_path / "1.webm"
    seen: list[int] = []

    def watch(done_bytes: int) -> None:
        assert not path.exists()
        seen.append(done_bytes)

    store.download("a.webm", path, len(MOVIE), watch)
    assert path.read_bytes() == MOVIE
    assert list(tmp_path.iterdir()) == [path]
    assert seen == sorted(seen)
    assert seen[-1] == len(MOVIE)


def test_an_empty_object_becomes_an_empty_file(store: S3Store, service: Service, tmp_path: Path) -> None:
    service.put("a.webm", b"")
    store.download("a.webm", tmp_path / "1.webm", 0, ignore)
    assert (tmp_path / "1.webm").read_bytes() == b""


def test_an_object_of_another_size_is_not_downloaded(store: S3Store, service: Service, tmp_path: Path) -> None:
    service.put("a.webm", bytes(100))
    with pytest.raises(InputError, match=r"^has 100 bytes now and had 99 before"):
        store.download("a.webm", tmp_path / "1.webm", 99, ignore)
    assert not list(tmp_path.iterdir())


def test_a_missing_object_is_not_downloaded(store: S3Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^does not exist"):
        store.download("a.webm", tmp_path / "1.webm", 1, ignore)


@pytest.mark.parametrize("size", [1, PART_BYTES, PART_BYTES + 1, len(MOVIE)])
def test_an_upload_of_any_size_suits_ufile(
    store: S3Store, service: Service, proxy: FaultProxy, tmp_path: Path, size: int
) -> None:
    proxy.act_like(Us3Profile())
    path = tmp_path / "out.mp4"
    path.write_bytes(MOVIE[:size])
    seen: list[int] = []
    store.upload(path, "out/1.mp4", seen.append)
    assert service.get("out/1.mp4") == MOVIE[:size]
    assert not service.unfinished()
    assert seen == sorted(seen)
    assert seen[-1] == size
    assert not any("x-amz-acl" in request.headers for request in proxy.requests)
    assert not any("x-amz-trailer" in request.headers for request in proxy.requests)
    assert not any(name.startswith("x-amz-checksum") for request in proxy.requests for name in request.headers)


def test_an_upload_replaces_what_was_there(store: S3Store, service: Service, tmp_path: Path) -> None:
    service.put("out.mp4", b"before")
    path = tmp_path / "out.mp4"
    path.write_bytes(b"after")
    store.upload(path, "out.mp4", ignore)
    assert service.get("out.mp4") == b"after"


def test_an_output_that_no_upload_can_take_is_refused_before_anything_is_sent(
    store: S3Store, proxy: FaultProxy, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    with path.open("wb") as file:
        file.truncate(10_000 * PART_BYTES + 1)
    with pytest.raises(DestinationError, match="takes at most 83,886,080,000: lower BitRate"):
        store.upload(path, "out.mp4", ignore)
    assert not proxy.requests


@pytest.mark.parametrize("key", ODD_KEYS)
def test_keys_of_all_kinds(store: S3Store, service: Service, tmp_path: Path, key: str) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"movie")
    store.upload(path, key, ignore)
    assert service.keys() == [key]
    assert store.read(key, 100) == b"movie"


def test_what_older_runs_left_behind_is_swept(store: S3Store, service: Service) -> None:
    for _ in range(5):
        service.begin("out.mp4")  # more than two pages of the list
    service.begin("out.mp4.other")
    assert store.sweep_uploads("out.mp4") == 5
    assert service.unfinished() == ["out.mp4.other"]
    assert store.sweep_uploads("out.mp4") == 0


def test_an_address_says_where_an_object_is(store: S3Store, service: Service, proxy: FaultProxy) -> None:
    assert store.address("out/a b.mp4") == f"{proxy.endpoint}/{service.bucket}/out/a%20b.mp4"


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
    assert open_s3().stat("a.webm")


def test_a_proxy_is_used_when_it_is_configured(spec: StorageSpec) -> None:
    options = S3Options(proxy="http://user:canary@127.0.0.1:9", attempts=1)
    with pytest.raises(InputError, match="the proxy cannot be reached") as caught:
        S3Store(spec, options, AT).stat("a.webm")
    assert "canary" not in str(caught.value) + repr(options)


def test_a_store_shows_no_key(spec: StorageSpec) -> None:
    key = Credentials("canary-id", "canary-secret", "canary-token", "a test")
    assert "canary" not in repr(S3Store(spec, S3Options(), AT, key)) + repr(key)


def test_nobody_loads_the_library_without_such_a_store() -> None:
    program = "import sys, owtmix.cli, owtmix.storage; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
