"""Where this machine may connect to for a job file: looked up once, checked, and connected to as checked.

A job file names receivers of callbacks and watermark images. Without this it could make the machine talk to services
that only its own network reaches.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import httpx

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
"""What the shipped configuration allows."""

CONNECT_S: Final = 4.0
"""How long one address may take to accept a connection before the next one is tried."""

_GLOBAL_IPV6: Final = IPv6Network("2000::/3")

_REFUSED: Final = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
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
"""The special-purpose registries of IANA, written out: what ``ipaddress`` calls private changes between Pythons."""

# It logs whole URLs, and with them what is secret in their queries.
logging.getLogger("httpx").setLevel(logging.WARNING)


class ForbiddenAddressError(httpx.ConnectError):
    """A host has none but addresses that are not to be connected to."""


def forbidden(address: Address, allowed: Sequence[Network]) -> str | None:
    """The kind of network for which ``address`` is refused; None where it is not, or lies in an allowed network."""
    if any(address in network for network in allowed):
        return None
    for network, kind in _REFUSED:
        if address in network:
            return kind
    return "reserved" if address.version == _GLOBAL_IPV6.version and address not in _GLOBAL_IPV6 else None


def resolve(host: str, port: int, allowed: Sequence[Network]) -> tuple[Address, ...]:
    """The addresses of ``host`` that may be connected to, best first.

    The system reads every spelling of an address (``127.1``, ``0x7f000001``), so what is checked is what is meant.

    Raises:
        ForbiddenAddressError: it has addresses, none of which may be connected to.
        httpx.ConnectError: it has none.
    """
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx.ConnectError(f"looking up the host failed: {error.strerror}") from None
    except UnicodeError:
        raise httpx.ConnectError("the host has no valid name") from None
    found = dict.fromkeys(ip_address(answer[4][0]) for answer in answers)
    kinds = {address: forbidden(address, allowed) for address in found}
    if admitted := tuple(address for address, kind in kinds.items() if kind is None):
        return admitted
    listed = ", ".join(f"{address} ({kind})" for address, kind in kinds.items())
    raise ForbiddenAddressError(f"connecting to {listed} is not allowed: see [network] in conf/owt.toml")


class CheckedTransport(httpx.AsyncBaseTransport):
    """Looks the host up once for each request, and connects to no address but those that were checked.

    Certificates are still verified for the host's name.
    """

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        # No connection is kept: one that was made for a host name never serves another at the same address.
        self._wire = httpx.AsyncHTTPTransport(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        failure = ""
        for address in await _look_up(url.host, port, self._allowed):
            direct = httpx.Request(
                request.method,
                url.copy_with(host=str(address)),
                headers=request.headers,  # Host among them
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": url.raw_host.decode("ascii")},
            )
            try:
                return await self._wire.handle_async_request(direct)
            except httpx.ConnectError as error:
                failure = str(error)
            except httpx.ConnectTimeout:
                failure = f"no connection within {CONNECT_S:g} s"
        raise httpx.ConnectError(failure)

    async def aclose(self) -> None:
        await self._wire.aclose()


def checked_client(allowed: Sequence[Network]) -> httpx.AsyncClient:
    """A client that connects to checked addresses only, without proxies and credentials of the environment.

    It follows no redirects and has no time limit but the one for connecting: its user watches the whole.
    """
    return httpx.AsyncClient(
        transport=CheckedTransport(allowed),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=CONNECT_S),
    )


async def _look_up(host: str, port: int, allowed: Sequence[Network]) -> tuple[Address, ...]:
    """``resolve`` in a thread that nobody waits for: a name server may take longer than a run's end."""
    answer: Future[tuple[Address, ...]] = Future()
    answer.set_running_or_notify_cancel()

    def ask() -> None:
        try:
            answer.set_result(resolve(host, port, allowed))
        except Exception as error:  # noqa: BLE001 - raised where the answer is awaited
            answer.set_exception(error)

    threading.Thread(target=ask, name="name look-up", daemon=True).start()
    return await asyncio.wrap_future(answer)
