"""Signatures of Standard Webhooks."""

from __future__ import annotations

import pytest

from owtmix.notify.signature import headers, signing_key

# The example of the specification's reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP_S = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_")])
def test_the_example_of_the_specification(secret: str) -> None:
    assert headers(signing_key(secret), MESSAGE_ID, TIMESTAMP_S, BODY) == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(TIMESTAMP_S),
        "webhook-signature": SIGNATURE,
    }


def test_without_a_secret_nothing_is_signed() -> None:
    assert headers(signing_key(""), MESSAGE_ID, TIMESTAMP_S, BODY).keys() == {"webhook-id", "webhook-timestamp"}


@pytest.mark.parametrize("secret", ["canary!", "whsec_", "whsec_canary", "中文"])
def test_a_secret_that_is_none_is_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_ and base64") as caught:
        signing_key(secret)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
