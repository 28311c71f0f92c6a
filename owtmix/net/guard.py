"""An HTTP client that resolves a host once, checks its addresses, and connects to the checked addresses only.

A job file names receivers of callbacks and watermark images. Without the check it could reach services of a private
network through this machine (SSRF); a second look-up could return another address (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import httpx

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
LookUp = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host and port, the preferred ones first; raises ``OSError`` or ``UnicodeError``."""

LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
"""The networks that the shipped configuration allows besides the public ones."""

CONNECT_S: Final = 4.0
"""Connection timeout of one address; then the next one is tried."""

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
"""IANA's special-purpose address registries. ``ipaddress.is_private`` differs between Python versions."""

# httpx logs whole URLs, and a query may be a signature.
logging.getLogger("httpx").setLevel(logging.WARNING)


class ForbiddenAddressError(httpx.ConnectError):
    """No address of the host is allowed."""


def forbidden(address: Address, allowed: Sequence[Network]) -> str | None:
    """Return why ``address`` is refused, such as ``private``; None when it is public or in an ``allowed`` network."""
    if any(address in network for network in allowed):
        return None
    for network, kind in _REFUSED:
        if address in network:
            return kind
    return "reserved" if address.version == _GLOBAL_IPV6.version and address not in _GLOBAL_IPV6 else None


def addresses_of(host: str, port: int) -> list[str]:
    """Ask the system's resolver. It also reads unusual spellings of addresses, such as ``127.1`` and ``0x7f000001``."""
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def resolve(host: str, port: int, allowed: Sequence[Network], look_up: LookUp = addresses_of) -> tuple[Address, ...]:
    """Look up ``host`` once and return its allowed addresses, in the resolver's order of preference.

    Raises:
        ForbiddenAddressError: None of the addresses is allowed.
        httpx.ConnectError: The host has no address.
    """
    try:
        answers = look_up(host, port)
    except OSError as error:
        raise httpx.ConnectError(f"looking up the host failed: {error.strerror}") from None
    except UnicodeError:
        raise httpx.ConnectError("the host has no valid name") from None
    found = dict.fromkeys(map(ip_address, answers))
    kinds = {address: forbidden(address, allowed) for address in found}
    if admitted := tuple(address for address, kind in kinds.items() if kind is None):
        return admitted
    listed = ", ".join(f"{address} ({kind})" for address, kind in kinds.items())
    raise ForbiddenAddressError(f"connecting to {listed} is not allowed: see [network] in conf/owt.toml")


class CheckedTransport(httpx.AsyncBaseTransport):
    """Resolves the host once per request and connects to the checked addresses, in order.

    TLS certificates are verified against the host name.
    """

    def __init__(self, allowed: Sequence[Network], look_up: LookUp = addresses_of) -> None:
        self._allowed = allowed
        self._look_up = look_up
        # No keep-alive: a connection made for one host name must not serve another at the same address.
        self._inner = httpx.AsyncHTTPTransport(
            verify=_tls_context(), trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._pending: dict[tuple[str, int], Future[tuple[Address, ...]]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        failure, cause = "", None
        for address in await self._resolve(url.host, port):
            direct = httpx.Request(
                request.method,
                url.copy_with(host=str(address)),
                headers=request.headers,  # they include Host
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": url.raw_host.decode("ascii")},
            )
            try:
                return await self._inner.handle_async_request(direct)
            except httpx.ConnectError as error:
                failure, cause = str(error), error
            except httpx.ConnectTimeout:
                failure = f"no connection within {CONNECT_S:g} s"
        raise httpx.ConnectError(failure) from cause

    async def _resolve(self, host: str, port: int) -> tuple[Address, ...]:
        """Run ``resolve`` in a daemon thread, so that a slow name server does not delay the end of a run.

        While an answer is pending, all requests for the host wait for it: threads do not pile up.
        """
        pending = self._pending.get((host, port))
        if pending and not pending.done():
            return await asyncio.wrap_future(pending)
        answer: Future[tuple[Address, ...]] = Future()
        answer.set_running_or_notify_cancel()
        self._pending[host, port] = answer

        def ask() -> None:
            try:
                answer.set_result(resolve(host, port, self._allowed, self._look_up))
            except Exception as error:  # noqa: BLE001 - raised where the future is awaited
                answer.set_exception(error)

        threading.Thread(target=ask, name="name look-up", daemon=True).start()
        return await asyncio.wrap_future(answer)

    async def aclose(self) -> None:
        await self._inner.aclose()


@cache
def _tls_context() -> ssl.SSLContext:
    """One for all connections: it holds the certificates of all authorities, and takes a while to make."""
    return httpx.create_ssl_context(trust_env=False)


def checked_client(allowed: Sequence[Network], look_up: LookUp = addresses_of) -> httpx.AsyncClient:
    """A client that connects to checked addresses only and ignores proxies and credentials of the environment.

    It does not follow redirects. Its only timeout is ``CONNECT_S``: callers limit the whole exchange.
    """
    return httpx.AsyncClient(
        transport=CheckedTransport(allowed, look_up),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=CONNECT_S),
    )
