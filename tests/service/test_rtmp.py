"""What nginx-rtmp is answered before it takes a publisher."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from urllib.parse import quote

import httpx
import pytest

from owtmix.service.rtmp import MAX_FORM_BYTES
from owtmix.service.tokens import make_token
from tests.service.conftest import KEY, Rig

BEFORE = "app=live&flashver=FMLE/3.0%20(compatible%3B&swfurl=&tcurl=rtmp://h/live&pageurl=&addr=192.0.2.1&clientid=4"
"""As nginx-rtmp 1.2.2 sends it."""


def asked(rig: Rig, name: str, arguments: str, call: str = "publish", address: str = "127.0.0.1") -> httpx.Response:
    """The answer to an ``on_publish``."""
    return posted(rig, f"{BEFORE}&call={call}&name={name}&type=live&{arguments}".encode(), address)


def posted(rig: Rig, body: bytes, address: str = "127.0.0.1") -> httpx.Response:
    async def send() -> httpx.Response:
        async with rig.client(address) as client:
            content_type = {"content-type": "application/x-www-form-urlencoded"}
            return await client.post("/rtmp", content=body, headers=content_type)

    return asyncio.run(send())


def test_a_publisher_is_taken_under_a_name_that_nobody_can_guess(rig: Rig) -> None:
    answers = [asked(rig, "alice_1", "AppId=app1&RoomId=r1") for _ in range(2)]
    names = [answer.headers["location"] for answer in answers]
    assert [answer.status_code for answer in answers] == [302, 302]
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)
    assert names[0] != names[1]
    assert rig.recorder.fetched == [("app1", "r1", "alice_1", name) for name in names]


def test_names_are_text_with_percent_signs_where_plus_is_plus(rig: Rig) -> None:
    user, room = quote("明+x"), quote("房 1")
    assert asked(rig, f"{user}_2".replace("%2B", "+"), f"AppId=app1&RoomId={room}").status_code == 302
    assert rig.recorder.fetched[0][:3] == ("app1", "房 1", "明+x_2")


@pytest.mark.parametrize(
    ("user", "room", "app", "age_s", "status"),
    [
        ("alice", "r1", "app1", 0, 302),
        ("bob", "r1", "app1", 0, 403),
        ("alice", "r2", "app1", 0, 403),
        ("alice", "r1", "app2", 0, 403),
        ("alice", "r1", "app1", 10**6, 403),
        ("alice", "r1", "app1", -(10**4), 403),
    ],
)
def test_the_token_is_that_of_the_streams_user(
    guarded: Rig, caplog: pytest.LogCaptureFixture, user: str, room: str, app: str, age_s: int, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    token = make_token(user, room, app, KEY, int(time.time()) - age_s, "abcdefgh")
    answer = asked(guarded, "alice_1", f"AppId=app1&RoomId=r1&Token={quote(token, safe='')}")
    assert (answer.status_code, len(guarded.recorder.fetched)) == (status, int(status == 302))
    assert token not in answer.text + caplog.text
    assert token.rpartition(".")[2][:40] not in answer.text + caplog.text


@pytest.mark.parametrize(
    ("name", "arguments", "status"),
    [
        ("alice_1", "AppId=app1&RoomId=r1", 403),
        ("alice_1", "AppId=app1&RoomId=r1&Token=", 403),
        ("alice_1", "AppId=app1&RoomId=r1&Token=nonsense", 403),
        ("alice_1", "AppId=none&RoomId=r1&Token=x", 403),
        ("alice_1", "RoomId=r1&Token=x", 400),
        ("alice_1", "AppId=app1", 400),
        ("alice_1", "AppId=app1&AppId=app2&RoomId=r1", 400),
        ("alice_1&name=bob_1", "AppId=app1&RoomId=r1", 400),
        ("alice_1", "AppId=app1&RoomId=r1&call=play", 400),
        ("alice_1", "AppId=app1&RoomId=%ff", 400),
        ("alice_1", "AppId=app1&RoomId=\N{SNOWMAN}", 400),
        ("alice", "AppId=app1&RoomId=r1", 400),
        ("alice_3", "AppId=app1&RoomId=r1", 400),
        ("a%00_1", "AppId=app1&RoomId=r1", 400),
        (f"{'a' * 300}_1", "AppId=app1&RoomId=r1", 400),
        ("", "AppId=app1&RoomId=r1", 400),
    ],
)
def test_hostile_and_incomplete_requests_are_refused(guarded: Rig, name: str, arguments: str, status: int) -> None:
    answer = asked(guarded, name, arguments)
    assert (answer.status_code, guarded.recorder.fetched) == (status, [])
    assert "location" not in answer.headers


@pytest.mark.parametrize("call", ["play", "publish_done", "update_publish", ""])
def test_other_calls_are_refused(rig: Rig, call: str) -> None:
    assert asked(rig, "alice_1", "AppId=app1&RoomId=r1", call).status_code == 400


def test_a_room_that_nobody_records_is_refused(rig: Rig) -> None:
    assert asked(rig, "alice_1", "AppId=app1&RoomId=closed").status_code == 404


def test_a_form_is_bounded(rig: Rig) -> None:
    assert posted(rig, b"x" * (MAX_FORM_BYTES + 1)).status_code == 413
    assert posted(rig, b"").status_code == 400


def test_only_operators_ask(rig: Rig) -> None:
    assert asked(rig, "alice_1", "AppId=app1&RoomId=r1", address="192.0.2.7").status_code == 404
    assert rig.recorder.fetched == []
