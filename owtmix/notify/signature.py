"""Signed requests, as the Standard Webhooks specification has them."""

from __future__ import annotations

import base64
import hashlib
import hmac


def headers(key: bytes | None, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """What identifies a request: its id, when it was tried (epoch seconds), and both with the body signed."""
    identity = {"webhook-id": message_id, "webhook-timestamp": str(timestamp_s)}
    if key is None:
        return identity
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return identity | {"webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}
