"""A configuration without its keys, secrets and tokens, for answers, logs and pages."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from owtmix.jobfile.bounds import MAX_URL

MASK: Final = "***"

_SECRETS: Final = frozenset({"PublicKey", "SecretKey", "Token"})
_ADDRESSES: Final = frozenset({"Endpoint", "Image", "NotifyUrl", "Url"})


def masked(value: Any) -> Any:
    """``value``, which is JSON, with a mask in place of each secret that is not empty.

    Of addresses, user, password, query and fragment may be secrets; of one by RTMP, all of its path but the first part,
    the application, may be the stream key.
    """
    if isinstance(value, dict):
        return {key: _masked_at(key, child) for key, child in value.items()}
    if isinstance(value, list):
        return [masked(child) for child in value]
    return value


def _masked_at(key: str, value: Any) -> Any:
    if key in _SECRETS and value not in (None, ""):
        return MASK
    if key in _ADDRESSES and isinstance(value, str):
        return masked_address(value)
    return masked(value)


def masked_address(text: str) -> str:
    """An address without what may be secret in it. Splitting takes the square of the combining marks in it."""
    if len(text) > MAX_URL:
        return MASK
    try:
        parts = urlsplit(text)
    except ValueError:
        return MASK
    _, at, host = parts.netloc.rpartition("@")
    path = parts.path
    if parts.scheme.startswith("rtmp"):
        app, slash, key = path.removeprefix("/").partition("/")
        path = f"/{app}/{MASK if key else ''}" if slash else f"/{MASK}" if app else path
    return parts._replace(
        netloc=f"{MASK}@{host}" if at else parts.netloc,
        path=path,
        query=MASK if parts.query else "",
        fragment=MASK if parts.fragment else "",
    ).geturl()
