"""Which addresses may be connected to."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from owtmix.net.addresses import LOOPBACK, AddressRefusedError, HostUnknownError, forbidden, resolve


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.255.0.1", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.127.255.255", "carrier-grade NAT"),
        ("127.8.8.8", "loopback"),
        ("168.63.129.16", "Azure's own service"),
        ("169.254.169.254", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.8", "reserved"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "benchmarking"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::7f00:1", "IPv4-compatible"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("::ffff:0:8.8.8.8", "IPv4-translated"),
        ("64:ff9b::10.0.0.1", "NAT64"),
        ("64:ff9b:1::a00:1", "NAT64"),
        ("100::1", "reserved"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("2001:2::1", "reserved"),
        ("2001:20::1", "reserved"),
        ("2001:db8::1", "documentation"),
        ("2002:a00:1::1", "6to4"),
        ("3fff::1", "documentation"),
        ("4000::1", "reserved"),
        ("fc00::1", "unique-local"),
        ("fdff::1", "unique-local"),
        ("fd00:ec2::254", "unique-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("8.8.8.8", None),
        ("100.63.255.255", None),
        ("100.128.0.0", None),
        ("172.32.0.0", None),
        ("2606:4700::1111", None),
        ("2400:3200::1", None),
    ],
)
def test_special_purpose_addresses_are_refused(address: str, kind: str | None) -> None:
    assert forbidden(ip_address(address), ()) == kind


def test_an_allowed_network_is_not_refused() -> None:
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd00:1::/32"))
    assert forbidden(ip_address("10.1.2.3"), allowed) is None
    assert forbidden(ip_address("fd00:1::5"), allowed) is None
    assert forbidden(ip_address("10.2.2.3"), allowed) == "private"
    assert forbidden(ip_address("fd00:2::5"), allowed) == "unique-local"


@pytest.mark.parametrize(
    "spelling", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "localhost"]
)
def test_every_spelling_of_an_address_is_checked(spelling: str) -> None:
    with pytest.raises(AddressRefusedError, match=r"127\.0\.0\.1 \(loopback\).*\[network\] allow in conf/owt\.toml"):
        resolve(spelling, 80, ())
    assert ip_address("127.0.0.1") in resolve(spelling, 80, LOOPBACK)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 64 + ".example", "a..example"])
def test_a_host_without_an_address(host: str) -> None:
    with pytest.raises(HostUnknownError):
        resolve(host, 80, LOOPBACK)
