"""Addresses of targets: how they are read, that they are kept, and which may be connected to."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from owtmix.live.target import MOST_URL_CHARACTERS, AddressError, PushError, RefusedError, Target, connect
from owtmix.net.addresses import LOOPBACK, Network
from tests.support.pusher import KEY, TOKEN, address
from tests.support.rtmp import free_address


@pytest.mark.parametrize(
    ("url", "app_url", "name"),
    [
        ("rtmp://a.example/live/key", "rtmp://a.example/live", "key"),
        ("rtmp://a.example:1935/live/key?a=b&c=/d", "rtmp://a.example/live", "key?a=b&c=/d"),
        ("rtmps://a.example:443/app/key", "rtmps://a.example/app", "key"),
        ("rtmp://a.example:443/app/key", "rtmp://a.example:443/app", "key"),
        ("rtmp://a.example/app/instance/key", "rtmp://a.example/app/instance", "key"),
        ("rtmp://a.example/app/instance/a/b?c", "rtmp://a.example/app/instance", "a/b?c"),
        ("rtmp://[2001:db8::1]:2000/live/mp4:房间", "rtmp://[2001:db8::1]:2000/live", "mp4:房间"),
    ],
)
def test_addresses_are_taken_apart(url: str, app_url: str, name: str) -> None:
    target = Target.parse(url)
    assert (target.app_url, target.name) == (app_url, name)
    assert repr(target) == "Target()"


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"http://a.example/live/{KEY}",
        f"rtmp://a.example/{KEY}",
        f"rtmp://a.example//{KEY}",
        "rtmp://a.example/live/",
        f"rtmp:///live/{KEY}",
        f"rtmp://{KEY}:{KEY}@a.example/live/name",
        f"rtmp://a.example:{KEY}/live/name",
        f"rtmp://a.example:0/live/{KEY}",
        f"rtmp://a.example:99999/live/{KEY}",
        f"rtmp://[{KEY}/live/name",
        f"rtmp://a.example/live/{KEY}\r\nX: y",
        f"rtmp://a.example/live/{KEY} ",
        f"rtmp://a.example/live/{KEY}" + "x" * MOST_URL_CHARACTERS,
    ],
)
def test_others_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(AddressError, match="rtmp://host/app/name") as caught:
        Target.parse(url)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def connecting(url: str, *answers: str, allowed: tuple[Network, ...] = LOOPBACK) -> PushError:
    """How connecting fails where the host has such addresses."""

    def look_up(_host: str, _port: int) -> tuple[str, ...]:
        if not answers:
            raise OSError(-2, "Name or service not known")
        return answers

    with pytest.raises(PushError) as caught:
        asyncio.run(connect(Target.parse(url), allowed, 0.5, look_up))
    return caught.value


@pytest.mark.parametrize("answer", ["10.1.2.3", "169.254.169.254", "::ffff:127.0.0.1", "fd00::1"])
def test_private_networks_are_refused_without_being_told(answer: str) -> None:
    error = connecting("rtmp://stranger.example/live/key", answer)
    assert isinstance(error, RefusedError)
    assert "[network] allow" in str(error)
    assert answer not in str(error)


def test_loopback_is_allowed_by_the_settings_only() -> None:
    url = f"rtmp://{free_address()}/{KEY}/{KEY}?{TOKEN}"
    assert isinstance(connecting(url, "127.0.0.1", allowed=()), RefusedError)
    error = connecting(url, "127.0.0.1")
    assert "nobody listens" in str(error)
    assert error.state == "retrying"


def test_a_host_that_is_not_found_is_said() -> None:
    error = connecting(address(1, host="stranger.example"))
    assert str(error) == "the target's host is not found: is its name right?"
