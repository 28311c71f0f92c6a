"""An HTTP client that looks up a host once and connects to its allowed addresses only, see ``addresses``."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from concurrent.futures import Future
from functools import cache
from typing import Final

import httpx

from owtmix.net.addresses import (
    Address,
    AddressRefusedError,
    HostUnknownError,
    LookUp,
    Network,
    addresses_of,
    start_resolving,
)

CONNECT_S: Final = 4.0
"""Connection timeout of one address; then the next one is tried."""

# httpx logs whole URLs, and a query may be a signature.
logging.getLogger("httpx").setLevel(logging.WARNING)


class ForbiddenAddressError(httpx.ConnectError):
    """No address of the host is allowed."""


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
        """The allowed addresses of ``host``. While an answer is pending, all requests for the host wait for it."""
        pending = self._pending.get((host, port))
        if pending is None or pending.done():
            pending = self._pending[host, port] = start_resolving(host, port, self._allowed, self._look_up)
        try:
            return await asyncio.wrap_future(pending)
        except AddressRefusedError as error:
            raise ForbiddenAddressError(str(error)) from None
        except HostUnknownError as error:
            raise httpx.ConnectError(str(error)) from None

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
