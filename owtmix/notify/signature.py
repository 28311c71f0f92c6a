"""Signed requests, as the Standard Webhooks specification has them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

_PREFIX: Final = "whsec_"


def signing_key(secret: str) -> bytes | None:
    """The key that ``secret`` stands for: base64, with or without ``whsec_`` before it; None where it is empty.

    Raises:
        ValueError: it is not base64; the message does not show it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if secret and not key:
        raise ValueError("a signing secret is whsec_ and base64")
    return key or None


def headers(key: bytes | None, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """What identifies a request: its id, when it was tried (epoch seconds), and both with the body signed."""
    identity = {"webhook-id": message_id, "webhook-timestamp": str(timestamp_s)}
    if key is None:
        return identity
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return identity | {"webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}
