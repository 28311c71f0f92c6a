"""Which services a job file may name, and whose keys are sent there."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.errors import SpecError
from owtmix.jobfile.spec import StorageSpec
from owtmix.net.addresses import LOOPBACK, forbidden
from owtmix.storage.s3.endpoint import find_endpoint
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.store import S3Store
from tests.storage.conftest import AT, NOWHERE, QUICK, Service
from tests.storage.fault_proxy import FaultProxy

INTERNAL = S3Options(internal=True)


def cloud(region: str) -> StorageSpec:
    return StorageSpec("ucloud", "room", region, None, None, None)


def s3(endpoint: str) -> StorageSpec:
    return StorageSpec("s3", "room", None, endpoint, None, None)


@pytest.mark.parametrize(
    "region",
    [
        "evil.com/",
        "x.evil.com#",
        "x.evil.com",
        "evil.com:80",
        "a@evil.com",
        "a\\evil.com",
        "?",
        "-a",
        "a-",
        "12",
        "a" * 64,
        "ä",
    ],
)
def test_a_region_never_makes_another_host(region: str) -> None:
    with pytest.raises(SpecError, match=r"StorageConfig\.Region: not a region such as cn-bj"):
        find_endpoint(cloud(region), S3Options(), AT)
    with pytest.raises(SpecError, match=r"StorageConfig\.Region: not a region such as cn-bj"):
        find_endpoint(replace(s3("https://s3.example.com"), region=region), S3Options(), AT)


@pytest.mark.parametrize(
    ("spec", "vendor"),
    [
        (cloud("cn-bj"), "ucloud"),
        (s3("https://s3-cn-bj.ufileos.com"), "ucloud"),
        (s3("https://S3-CN-BJ.ufileos.com.:443/"), "ucloud"),
        (s3("https://s3.amazonaws.com"), "aws"),
        (s3("https://s3.eu-central-1.amazonaws.com"), "aws"),
        (s3("https://s3-us-gov-west-1.amazonaws.com"), "aws"),
        (s3("https://s3.dualstack.us-east-1.amazonaws.com"), "aws"),
        (s3("https://s3.cn-north-1.amazonaws.com.cn"), "aws"),
        (s3("http://s3-cn-bj.ufileos.com"), None),  # in clear
        (s3("http://internal.s3-cn-bj.ufileos.com"), None),
        (s3("http://s3.amazonaws.com"), None),
        (s3("https://s3.amazonaws.com:8443"), None),
        (s3("https://abc.execute-api.us-east-1.amazonaws.com"), None),
        (s3("https://s3.abc.elb.amazonaws.com"), None),
        (s3("https://ec2-1-2-3-4.compute-1.amazonaws.com"), None),
        (s3("https://s3.amazonaws.com.evil.com"), None),
        (s3("https://evil.ufileos.com"), None),
        (s3("https://s3-cn-bj.ufileos.com.evil.com"), None),
        (s3("https://evils3-cn-bj.ufileos.com"), None),
    ],
)
def test_the_vendors_own_services(spec: StorageSpec, vendor: str | None) -> None:
    assert find_endpoint(spec, S3Options(), AT).vendor == vendor


def test_services_that_the_settings_name() -> None:
    options = S3Options(own_endpoints=("https://s3.example.com", "http://minio:9000"))
    own = [
        find_endpoint(s3(endpoint), options, AT).is_own
        for endpoint in (
            "https://S3.example.com:443/",
            "http://minio:9000",
            "http://s3.example.com",
            "https://minio:9000",
            "https://s3.example.com:444",
        )
    ]
    assert own == [True, True, False, False, False]


def test_only_the_internal_network_that_the_operator_chose_has_private_addresses() -> None:
    inside, metadata = ip_address("10.1.2.3"), ip_address("169.254.169.254")

    def permitted(spec: StorageSpec, options: S3Options) -> list[bool]:
        allowed = find_endpoint(spec, options, AT).allowed
        return [forbidden(address, allowed) is None for address in (inside, metadata)]

    assert permitted(cloud("cn-bj"), INTERNAL) == [True, False]
    assert permitted(s3("http://internal.s3-cn-bj.ufileos.com"), INTERNAL) == [True, False]
    assert permitted(cloud("cn-bj"), S3Options()) == [False, False]
    assert permitted(s3("http://internal.s3-cn-bj.ufileos.com"), S3Options()) == [False, False]
    assert permitted(s3("http://s3.example.com"), INTERNAL) == [False, False]


Asks = list[Callable[[S3Store], object]]

ASKS: Asks = [
    lambda store: store.read("index.json", 100),
    lambda store: store.locate("a.webm", NOWHERE),
    lambda store: store.stage("out.mp4", "job", NOWHERE),
]


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize(
    "host",
    ["169.254.7.7", "[fd00:ec2::7]", "10.255.255.1", "2851997447", "0xa9.0xfe.0x7.0x7", "[::ffff:169.254.7.7]"],
)
def test_a_forbidden_address_is_refused_by_name_of_the_setting(host: str, ask: Callable[[S3Store], object]) -> None:
    spec = StorageSpec("s3", "latest", None, f"http://{host}", "id", "secret")
    with pytest.raises(
        SpecError, match=r"StorageConfig\.Endpoint: .*is not allowed: see \[network\] allow in conf/owt"
    ):
        ask(S3Store(spec, replace(QUICK, allowed=LOOPBACK), AT))


def test_loopback_is_refused_where_the_settings_take_it_out(spec: StorageSpec, proxy: FaultProxy) -> None:
    with pytest.raises(SpecError, match=r"127\.0\.0\.1 \(loopback\) is not allowed"):
        S3Store(spec, replace(QUICK, allowed=()), AT).read("index.json", 100)
    assert proxy.requests == []


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name server: the next answer of each host; other hosts are looked up as ever."""
    answers: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, *arguments: Any, **more: Any) -> Any:
        return real(answers[host].pop(0) if host in answers else host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return answers


def test_the_address_that_was_checked_is_connected_to(
    spec: StorageSpec, service: Service, proxy: FaultProxy, names: dict[str, list[str]]
) -> None:
    """DNS rebinding: each connection looks the name up once."""
    service.put("index.json", b"{}")
    port = proxy.endpoint.rpartition(":")[2]
    names["rebinding.example"] = ["127.0.0.1", "169.254.7.7"]
    store = S3Store(replace(spec, endpoint=f"http://rebinding.example:{port}"), QUICK, AT)
    assert store.read("index.json", 100) == b"{}"
    assert names["rebinding.example"] == ["169.254.7.7"]
    assert proxy.requests[0].headers["host"] == f"rebinding.example:{port}"
    other = S3Store(replace(spec, endpoint=f"http://rebinding.example:{port}"), QUICK, AT)
    with pytest.raises(SpecError, match=r"169\.254\.7\.7 \(link-local\) is not allowed"):
        other.read("index.json", 100)
    assert len(proxy.requests) == 1


def test_a_token_of_the_environment_is_never_sent_with_a_key_of_the_job_file(
    spec: StorageSpec, service: Service, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "canary-token")
    service.put("index.json", b"{}")
    assert S3Store(spec, QUICK, AT).read("index.json", 100) == b"{}"
    assert "canary" not in str(proxy.requests)


def test_keys_of_the_environment_are_not_sent_to_a_service_that_nobody_vouches_for(
    spec: StorageSpec, service: Service, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", spec.public_key or "")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", spec.secret_key or "")
    service.put("index.json", b"{}")
    without = replace(spec, public_key=None, secret_key=None)
    with pytest.raises(
        SpecError, match=r"PublicKey: write PublicKey and SecretKey .* \[storage\] own_endpoints in conf/owt"
    ):
        S3Store(without, QUICK, AT)
    assert proxy.requests == []
    assert S3Store(without, replace(QUICK, own_endpoints=(proxy.endpoint,)), AT).read("index.json", 100) == b"{}"
