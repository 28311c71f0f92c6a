"""Request signatures according to the Standard Webhooks specification."""

from __future__ import annotations

import base64
import hashlib
import hmac


def headers(key: bytes | None, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Headers with message id, time of the attempt (``timestamp_s``, since 1970) and, with a ``key``, the signature."""
    identity = {"webhook-id": message_id, "webhook-timestamp": str(timestamp_s)}
    if key is None:
        return identity
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return identity | {"webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}
