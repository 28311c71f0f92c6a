"""Connections of boto3 to checked addresses only."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from botocore.awsrequest import (  # type: ignore[import-untyped]  # botocore has no types
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from owtmix.net.addresses import Network, start_resolving


class _Checked:
    """Part of a connection of urllib3: looks the host up once, and connects to its allowed addresses, in order.

    Whom a certificate has to be for is still the name of the host.
    """

    allowed: Sequence[Network]
    timeout: float | None
    port: int
    _dns_host: str

    def _new_conn(self) -> socket.socket:
        """Return a connected socket.

        Raises:
            AddressRefusedError: No address of the host is allowed.
            HostUnknownError: The host has no address.
            ConnectTimeoutError, NewConnectionError: None can be connected to.
        """
        name = self._dns_host
        try:
            *others, last = start_resolving(name.strip("[]"), self.port, self.allowed).result(self.timeout)
        except TimeoutError:
            raise ConnectTimeoutError("the name server does not answer") from None
        try:
            for address in others:
                try:
                    return self._connect(str(address))
                except (ConnectTimeoutError, NewConnectionError):
                    continue
            return self._connect(str(last))
        finally:
            self._dns_host = name

    def _connect(self, address: str) -> socket.socket:
        self._dns_host = address
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]  # of the connection that this is part of
        return connected


def check_connections(client: Any, allowed: Sequence[Network]) -> None:
    """Make a boto3 client that uses no proxy connect to public addresses and those in ``allowed`` only."""
    http = type("CheckedHttp", (_Checked, AWSHTTPConnection), {"allowed": allowed})
    https = type("CheckedHttps", (_Checked, AWSHTTPSConnection), {"allowed": allowed})
    # botocore offers no way to set this.
    client._endpoint.http_session._manager.pool_classes_by_scheme = {  # noqa: SLF001
        "http": type("CheckedHttpPool", (AWSHTTPConnectionPool,), {"ConnectionCls": http}),
        "https": type("CheckedHttpsPool", (AWSHTTPSConnectionPool,), {"ConnectionCls": https}),
    }
