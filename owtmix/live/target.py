"""Where a mix is pushed to: an address of RTMP, which is a secret, and a connection to it.

Stream keys are in addresses. Nothing here is shown, and no message has a part of one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

from owtmix.net.addresses import (
    Address,
    AddressRefusedError,
    HostUnknownError,
    LookUp,
    Network,
    addresses_of,
    start_resolving,
)

MOST_URL_CHARACTERS: Final = 4096

_PORTS: Final = {"rtmp": 1935, "rtmps": 443}
_SECURE: Final = "rtmps"
_BUFFER_BYTES: Final = 1 << 16
_MOST_ADDRESSES: Final = 4
"""Of a host, that are tried one after the other."""


class PushError(Exception):
    """A target cannot be reached, or a connection to it failed; it may work later. No message has a secret."""

    state = "retrying"


class RefusedError(PushError):
    """The target, or this machine's settings, refuse; somebody has to change something."""

    state = "refused"


class AddressError(ValueError):
    """It is no address of RTMP. The message says what is accepted."""


@dataclass(frozen=True)
class Target:
    """An address ``rtmp://host:port/app/name?token``, taken apart as FFmpeg does it.

    The application has one part of the path, or two of three and more. The name has the rest, the query as well.
    """

    scheme: str = field(repr=False)
    host: str = field(repr=False)
    port: int = field(repr=False)
    app: str = field(repr=False)
    name: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Target:
        """Take an address apart.

        Raises:
            AddressError: it is none. Neither the error nor its context has a part of it.
        """
        place = _split(url)
        if place is None or place.scheme not in _PORTS or not place.hostname or "@" in place.netloc:
            raise AddressError("the address of a target is rtmp://host/app/name or rtmps://host/app/name")
        parts = place.path.strip("/").split("/", 2)
        if not all(parts) or len(parts) < 2:  # noqa: PLR2004 - application and name
            raise AddressError("the address of a target has an application and a name: rtmp://host/app/name")
        query = f"?{place.query}" if place.query else ""
        port = place.port or _PORTS[place.scheme]
        return cls(place.scheme, place.hostname, port, "/".join(parts[:-1]), parts[-1] + query)

    @property
    def app_url(self) -> str:
        """The address of the application."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}/{self.app}"


def _split(url: str) -> SplitResult | None:
    """None where it is no address; an error of the library would hold parts of it."""
    if len(url) > MOST_URL_CHARACTERS or not url.isprintable() or " " in url:
        return None
    try:
        place = urlsplit(url)
        is_port = place.port != 0
    except ValueError:
        return None
    return place if is_port else None


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(
    target: Target, allowed: Sequence[Network], connect_s: float, look_up: LookUp = addresses_of
) -> Connection:
    """Connect to a target at an address that is public, or in an ``allowed`` network, each within ``connect_s``.

    Raises:
        PushError: it cannot be reached, or may not be.
    """
    failure = PushError("the target's host has no address")
    for address in (await _resolve(target, allowed, connect_s, look_up))[:_MOST_ADDRESSES]:
        try:
            async with asyncio.timeout(connect_s):
                return await _open(target, address)
        except TimeoutError:
            failure = PushError(f"the target does not answer within {connect_s:g} s; is its port right?")
        except ssl.SSLCertVerificationError:
            failure = RefusedError("the target's certificate is not valid for its host: correct one of them")
        except ssl.SSLError:
            failure = PushError("the target does not speak TLS: is it rtmp:// instead of rtmps://?")
        except ConnectionRefusedError:
            failure = PushError("nobody listens at the target's port: start the server, or correct the port")
        except OSError as error:
            failure = PushError(f"the target cannot be reached: {error.strerror or type(error).__name__}")
    raise failure


async def _resolve(target: Target, allowed: Sequence[Network], within_s: float, look_up: LookUp) -> tuple[Address, ...]:
    try:
        async with asyncio.timeout(within_s):
            return await asyncio.wrap_future(start_resolving(target.host, target.port, allowed, look_up))
    except AddressRefusedError:
        raise RefusedError(
            "the target is in a network that is not public: add it to [network] allow in conf/owt.toml"
        ) from None
    except HostUnknownError:
        raise PushError("the target's host is not found: is its name right?") from None
    except TimeoutError:
        raise PushError("looking up the target's host takes too long: is the name server well?") from None


async def _open(target: Target, address: Address) -> Connection:
    if target.scheme != _SECURE:
        return await asyncio.open_connection(str(address), target.port, limit=_BUFFER_BYTES)
    return await asyncio.open_connection(
        str(address), target.port, limit=_BUFFER_BYTES, ssl=_tls_context(), server_hostname=target.host
    )


def _tls_context() -> ssl.SSLContext:
    """With the authorities of callbacks, or those that ``SSL_CERT_FILE`` names."""
    import httpx  # noqa: PLC0415 - it takes memory that only rtmps needs

    return httpx.create_ssl_context()
