"""Which addresses of a host may be connected to: public ones, and those in networks that the settings allow.

A job file names receivers of callbacks, watermark images and stores. Without the check it could reach services of a
private network through this machine (SSRF). A host is looked up once, and what was checked is connected to: a second
look-up could return another address (DNS rebinding).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
LookUp = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host and port, the preferred ones first; raises ``OSError`` or ``UnicodeError``."""

LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
"""The networks that the shipped configuration allows besides the public ones."""

PRIVATE: Final = tuple(map(ip_network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
"""The networks that companies and clouds use inside."""

_OWN_BITS: Final = 64
_GLOBAL_IPV6: Final = IPv6Network("2000::/3")

_REFUSED: Final = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "Azure's own service"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "IPv4-compatible"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("2001::/32", "Teredo"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "unique-local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
"""IANA's special-purpose address registries, and what a cloud gives its machines at a public address.

``ipaddress.is_private`` differs between Python versions.
"""


class AddressRefusedError(Exception):
    """No address of the host is allowed."""


class HostUnknownError(Exception):
    """The host has no address."""


def forbidden(address: Address, allowed: Sequence[Network]) -> str | None:
    """Return why ``address`` is refused, such as ``private``; None when it is public or in an ``allowed`` network."""
    if any(address in network for network in allowed):
        return None
    for network, kind in _REFUSED:
        if address in network:
            return kind
    return "reserved" if address.version == _GLOBAL_IPV6.version and address not in _GLOBAL_IPV6 else None


def own_address(host: str) -> Address:
    """The address that a client has: one of IPv4 that IPv6 only carries is itself."""
    address = ip_address(host.partition("%")[0])
    carried = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return carried or address


def neighbourhood(host: str) -> str:
    """What an address of a client counts as: whoever has one of IPv6 has a /64 of them."""
    address = own_address(host)
    return str(ip_network((address, _OWN_BITS), strict=False)) if isinstance(address, IPv6Address) else str(address)


def addresses_of(host: str, port: int) -> list[str]:
    """Ask the system's resolver. It also reads unusual spellings of addresses, such as ``127.1`` and ``0x7f000001``."""
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def resolve(host: str, port: int, allowed: Sequence[Network], look_up: LookUp = addresses_of) -> tuple[Address, ...]:
    """Look up ``host`` once and return its allowed addresses, in the resolver's order of preference.

    Raises:
        AddressRefusedError: None of the addresses is allowed.
        HostUnknownError: The host has no address.
    """
    try:
        answers = look_up(host, port)
    except OSError as error:
        raise HostUnknownError(f"looking up the host failed: {error.strerror}") from None
    except UnicodeError:
        raise HostUnknownError("the host has no valid name") from None
    found = dict.fromkeys(map(ip_address, answers))
    kinds = {address: forbidden(address, allowed) for address in found}
    if admitted := tuple(address for address, kind in kinds.items() if kind is None):
        return admitted
    listed = ", ".join(f"{address} ({kind})" for address, kind in kinds.items())
    raise AddressRefusedError(f"connecting to {listed} is not allowed: see [network] allow in conf/owt.toml")


def start_resolving(
    host: str, port: int, allowed: Sequence[Network], look_up: LookUp = addresses_of
) -> Future[tuple[Address, ...]]:
    """Run ``resolve`` in a daemon thread: neither a signal nor the end of a run waits for a slow name server."""
    answer: Future[tuple[Address, ...]] = Future()
    answer.set_running_or_notify_cancel()

    def ask() -> None:
        try:
            answer.set_result(resolve(host, port, allowed, look_up))
        except Exception as error:  # noqa: BLE001 - raised where the future is awaited
            answer.set_exception(error)

    threading.Thread(target=ask, name="name look-up", daemon=True).start()
    return answer
