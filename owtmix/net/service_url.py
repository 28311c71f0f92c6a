"""The address of a service, in one spelling: scheme, host and port."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class CredentialsInUrlError(ValueError):
    """The address has a user or a password, or is none at all. Its text must not be shown."""


def service_url(text: str) -> str:
    """The address ``text`` in normal form: the host in small letters without a dot at its end, no port that is usual.

    Raises:
        CredentialsInUrlError: it is not an http(s) address, or has a user or a password.
        ValueError: it has more than scheme, host and port. No message holds ``text``.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise CredentialsInUrlError("not an address") from None
    if parts.scheme not in _DEFAULT_PORTS or parts.username is not None or parts.password is not None:
        raise CredentialsInUrlError("not an address")
    host = parts.netloc.removesuffix("" if port is None else f":{port}").lower().removesuffix(".")
    if not _HOST.fullmatch(host) or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("more than scheme, host and port")
    return f"{parts.scheme}://{host}" + ("" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}")
