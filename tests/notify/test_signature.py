"""Signatures of Standard Webhooks."""

from __future__ import annotations

import base64

from owtmix.notify.signature import headers

# The example of the specification's reference libraries.
KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP_S = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_example_of_the_specification() -> None:
    assert headers(KEY, MESSAGE_ID, TIMESTAMP_S, BODY) == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(TIMESTAMP_S),
        "webhook-signature": SIGNATURE,
    }


def test_without_a_secret_nothing_is_signed() -> None:
    assert headers(None, MESSAGE_ID, TIMESTAMP_S, BODY).keys() == {"webhook-id", "webhook-timestamp"}
