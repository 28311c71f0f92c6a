"""Tokens of users: who they are, in which room of which app, signed with the app's key.

A token is base64 of JSON with ``user_id``, ``room_id`` and ``app_id``, a point, the HMAC-SHA1 in hexadecimal of user,
app, time, random characters and room, the time (ten digits, seconds since 1970) and the eight random characters.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Final

from pydantic import SecretStr

MAX_TOKEN: Final = 4096
_SIGNED: Final = re.compile(r"([0-9a-f]{40})([0-9]{10})([0-9A-Za-z]{8})")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CLAIMS: Final = ("user_id", "room_id", "app_id")
_FIRST_S: Final = 1_000_000_000
_FARTHEST_S: Final = 50 * 365 * 86_400
"""No token is made so far ahead, for a name that is chosen now."""


class TokenError(Exception):
    """A token is not accepted. The message quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """Checks tokens.

    Attributes:
        keys: The key of each app; without any, every token is taken.
        lifetime_s: How long a token holds from its time on.
        skew_s: How far its time may be ahead.
    """

    keys: Mapping[str, SecretStr] = field(repr=False)
    lifetime_s: float
    skew_s: float

    @property
    def takes_all(self) -> bool:
        return not self.keys

    def check(self, token: str, *, app: str, room: str, now_s: float) -> str | None:
        """The user whom ``token`` names; None where every token is taken.

        Raises:
            TokenError: it does not hold for this room of this app now.
        """
        if self.takes_all:
            return None
        key = self.keys.get(app)
        if key is None:
            raise TokenError("this AppId is not one of this service")
        if not token:
            raise TokenError("a token is needed")
        header, _, signed = token.rpartition(".")
        parts = _SIGNED.fullmatch(signed)
        if not header or not parts or len(token) > MAX_TOKEN:
            raise TokenError("the token has not the form HEADER.SIGNATURE")
        user, token_room, token_app = _claims(header)
        signature, time, characters = parts.groups()
        expected = _signature(key, user, token_app, time, characters, token_room)
        if not hmac.compare_digest(signature, expected) or token_app != app:
            raise TokenError("the signature of the token is wrong")
        if _can_be_split(f"{user}{app}{time}{characters}{room}", app, now_s):
            raise TokenError("with this user_id or room_id, the token could be one for other names")
        if token_room != room:
            raise TokenError("the token is for another room")
        age_s = now_s - int(time)
        if age_s > self.lifetime_s:
            raise TokenError("the token is too old")
        if age_s < -self.skew_s:
            raise TokenError("the token is from the future: compare the clocks")
        return user


def make_token(user: str, room: str, app: str, key: SecretStr, time_s: int, characters: str) -> str:
    """A token, as the application of a user makes it. ``characters`` are eight random ones of ``[0-9A-Za-z]``."""
    claims = json.dumps({"user_id": user, "room_id": room, "app_id": app}).encode()
    time = f"{time_s:010}"
    signature = _signature(key, user, app, time, characters, room)
    return f"{base64.b64encode(claims).decode()}.{signature}{time}{characters}"


def _claims(header: str) -> tuple[str, str, str]:
    try:
        claims = json.loads(base64.b64decode(header, validate=True))
        user, room, app = (claims[name] for name in _CLAIMS)
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError):
        raise TokenError(f"the header of the token is not base64 of JSON with {', '.join(_CLAIMS)}") from None
    if not all(isinstance(claim, str) and not _SURROGATE.search(claim) for claim in (user, room, app)):
        raise TokenError(f"{', '.join(_CLAIMS)} of the token are not all text")
    return user, room, app


def _can_be_split(signed: str, app: str, now_s: float) -> bool:
    """Whether what is signed can be split into user, app, time, characters and room in more ways than one.

    Other ways have a time at which tokens are made, too. An AppId of a digit or two is in the time itself by chance,
    and what follows there is no such time.
    """
    times = re.findall(f"(?={re.escape(app)}([0-9]{{10}})[0-9A-Za-z]{{8}})", signed)
    return sum(_FIRST_S <= int(time) <= now_s + _FARTHEST_S for time in times) > 1


def _signature(key: SecretStr, user: str, app: str, time: str, characters: str, room: str) -> str:
    text = f"{user}{app}{time}{characters}{room}"
    return hmac.new(key.get_secret_value().encode(), text.encode(), sha1).hexdigest()
