"""Tokens: made as the document's samples make them, and refused for everything else."""

from __future__ import annotations

import base64
import hmac
import json
from hashlib import sha1
from typing import Any

import pytest
from pydantic import SecretStr

from owtmix.service.tokens import TokenCheck, TokenError, make_token

NOW_S = 1_620_888_900
KEY = SecretStr("the key")
CHECK = TokenCheck({"URtc-x": KEY}, lifetime_s=86_400, skew_s=300)


def by_hand(claims: dict[str, Any], key: str = "the key", time: str = "1620888861", chars: str = "12345678") -> str:
    """A token as the sample in Python of the token's document makes it, with no code of owtmix."""
    header = base64.b64encode(json.dumps(claims).encode()).decode()
    text = f"{claims.get('user_id')}{claims.get('app_id')}{time}{chars}{claims.get('room_id')}"
    return f"{header}.{hmac.new(key.encode(), text.encode(), sha1).hexdigest()}{time}{chars}"


CLAIMS = {"user_id": "u1", "room_id": "r1", "app_id": "URtc-x"}


@pytest.mark.parametrize(
    "token",
    [
        by_hand(CLAIMS),
        by_hand({"app_id": "URtc-x", "user_id": "u1", "room_id": "r1"}),
        by_hand(CLAIMS, chars="aZ09bbcc"),
        make_token("u1", "r1", "URtc-x", KEY, NOW_S - 39, "00abcdef"),
    ],
)
def test_a_token_names_its_user(token: str) -> None:
    assert CHECK.check(token, app="URtc-x", room="r1", now_s=NOW_S) == "u1"


def test_a_token_may_have_any_text() -> None:
    token = by_hand({"user_id": "小明", "room_id": "房间", "app_id": "URtc-x"})
    assert CHECK.check(token, app="URtc-x", room="房间", now_s=NOW_S) == "小明"


GOOD = by_hand(CLAIMS)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "a token is needed"),
        ("xxxxxxx", "form"),
        (GOOD[:-1], "form"),
        (GOOD + "0", "form"),
        (GOOD.replace(".", ""), "form"),
        (GOOD[:-1] + ("0" if GOOD[-1] != "0" else "1"), "signature"),
        (by_hand(CLAIMS, key="another"), "signature"),
        (by_hand(CLAIMS | {"app_id": "URtc-y"}), "signature"),
        (by_hand(CLAIMS | {"room_id": "r2"}), "another room"),
        (by_hand({"user_id": "u1", "room_id": "r1"}), "header"),
        (by_hand(CLAIMS | {"user_id": 7}), "not all text"),
        (
            base64.b64encode(b'{"user_id": "\\ud800", "room_id": "r1", "app_id": "URtc-x"}').decode()
            + GOOD[GOOD.index(".") :],
            "not all text",
        ),
        ("!!!!" + GOOD[GOOD.index(".") :], "header"),
        (base64.b64encode(b"[" * 2000).decode() + GOOD[GOOD.index(".") :], "header"),
        (by_hand(CLAIMS, time="1620000000"), "too old"),
        (by_hand(CLAIMS, time="1620889300"), "future"),
        ("A" * 100_000 + GOOD[GOOD.index(".") :], "form"),
    ],
)
def test_others_are_refused(token: str, words: str) -> None:
    with pytest.raises(TokenError, match=words) as refused:
        CHECK.check(token, app="URtc-x", room="r1", now_s=NOW_S)
    assert not token or token not in str(refused.value)


def test_the_words_of_two_apps_do_not_mix() -> None:
    """User, app and room are signed without anything between them."""
    check = TokenCheck({"URtc-x": KEY, "Rtc-x": KEY}, 86_400, 300)
    token = by_hand({"user_id": "u1U", "room_id": "r1", "app_id": "Rtc-x"})
    with pytest.raises(TokenError, match="signature"):
        check.check(token, app="URtc-x", room="r1", now_s=NOW_S)


def test_without_apps_every_token_is_taken_and_with_them_no_other_app() -> None:
    assert TokenCheck({}, 1, 1).check("xxxxxxx", app="any", room="r", now_s=NOW_S) is None
    with pytest.raises(TokenError, match="AppId"):
        CHECK.check(GOOD, app="other", room="r1", now_s=NOW_S)


def test_no_message_shows_a_key() -> None:
    assert "the key" not in repr(CHECK)


@pytest.mark.parametrize("more", ["", "a"], ids=["the room's own", "begun by the random characters"])
def test_a_token_is_no_other_when_it_is_split_elsewhere(more: str) -> None:
    check, at = TokenCheck({"app1": SecretStr("k")}, 86_400, 300), 1_795_000_000
    chars = f"abcdefg{more or 'h'}"
    room = f"app1{at}ABCDEFGHvictim".removeprefix(more)
    token = make_token("mallory", room, "app1", SecretStr("k"), at, chars)
    user = f"malloryapp1{at}{chars.removesuffix(more) if more else chars}"
    other = make_token(user, "victim", "app1", SecretStr("k"), at, "ABCDEFGH")
    assert token.rpartition(".")[2][:40] == other.rpartition(".")[2][:40]
    for one, name in ((token, room), (other, "victim")):
        with pytest.raises(TokenError, match="other names"):
            check.check(one, app="app1", room=name, now_s=at)


@pytest.mark.parametrize("app", [str(number) for number in range(100)])
def test_an_app_of_digits_may_be_in_the_time(app: str) -> None:
    check, at = TokenCheck({app: SecretStr("k")}, 86_400, 300), 1_795_855_175
    for characters in ("a1b2c3d4", "123x567z", "1z345678"):
        token = make_token("7", "1234567890", app, SecretStr("k"), at, characters)
        assert check.check(token, app=app, room="1234567890", now_s=at) == "7"
