"""A player of RTMP against servers that are scripted."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.recorder.rtmp.player import Player
from owtmix.rtmp import amf
from owtmix.rtmp.chunks import COMMAND, CONTROL, VIDEO, WINDOW, Message, ProtocolError, to_chunks

HELLO = bytes([3]) + bytes(2 * 1536)
CREATED = [("_result", 1.0, None, None), ("_result", 2.0, None, 1.0)]


def played(*messages: Message, hello: bytes = HELLO) -> tuple[list[Message], bytes]:
    """What a player gives and sends where the server sends ``messages``."""
    received = io.BytesIO(hello + b"".join(to_chunks(message, 3) for message in messages))
    sent: list[bytes] = []

    def read(size: int) -> bytes:
        data = received.read(size)
        if len(data) < size:
            raise ProtocolError("the server ended the connection")
        return data

    found = list(Player(read, sent.append).play("live", "0a1b", "rtmp://127.0.0.1/live"))
    return found, b"".join(sent)


def command(*values: Any) -> Message:
    return Message(COMMAND, 0, 0, amf.write(*values))


def control(kind: int, number: int = 1) -> Message:
    return Message(CONTROL, 0, 0, struct.pack(">HI", kind, number))


READY = [command(*values) for values in CREATED]


def test_a_stream_is_played_until_its_end() -> None:
    picture = Message(VIDEO, 0, 1, b"picture")
    found, sent = played(*READY, picture, control(1), picture)
    assert found == [picture]
    assert b"0a1b" in sent


@pytest.mark.parametrize("code", ["NetStream.Play.UnpublishNotify", "NetStream.Play.StreamNotFound"])
def test_a_status_may_tell_the_end(code: str) -> None:
    found, _ = played(*READY, command("onStatus", 0.0, None, {"level": "status", "code": code}))
    assert found == []


def test_pings_are_answered_and_what_was_read_is_told() -> None:
    window = Message(WINDOW, 0, 0, (2000).to_bytes(4, "big"))
    _, sent = played(window, *READY, control(6, 77), Message(VIDEO, 0, 1, bytes(3000)), control(1))
    assert struct.pack(">HI", 7, 77) in sent
    assert bytes([2, 0, 0, 0, 0, 0, 4, 3]) in sent


@pytest.mark.parametrize(
    "messages",
    [
        [command("_error", 1.0, None, {"code": "NetConnection.Connect.Rejected"})],
        [READY[0], command("_result", 2.0, None, "one")],
        [READY[0], command("_result", 2.0, None, -1.0)],
        [READY[0], Message(COMMAND, 0, 0, b"\x02\x00\xffcut")],
        [Message(COMMAND, 0, 0, b"\x0f")],
        [],
    ],
)
def test_a_server_that_refuses_or_talks_nonsense_ends_it(messages: list[Message]) -> None:
    with pytest.raises(ProtocolError):
        played(*messages)


def test_another_version_is_refused() -> None:
    with pytest.raises(ProtocolError, match="version"):
        played(hello=b"\x06" + HELLO)


def test_values_come_back() -> None:
    values = ["play", 1.5, True, None, {"app": "live", "房": "间"}]
    assert amf.read(amf.write("play", 1.5, True, None, {"app": "live", "房": "间"})) == values


def test_a_stream_is_described_with_an_array_that_has_names() -> None:
    fields: dict[str, float | bool | str] = {"width": 640.0, "stereo": True, "encoder": "owtmix"}
    assert amf.read(amf.write("onMetaData") + amf.write_map(fields)) == ["onMetaData", fields]
    assert amf.write_map(fields)[:5] == b"\x08\0\0\0\x03"


def test_lists_and_dates_are_read() -> None:
    date = b"\x0b" + struct.pack(">dh", 1.5, 60)
    assert amf.read(b"\x0a\0\0\0\2" + date + amf.write("b")) == [{"0": 1.5, "1": "b"}]
    with pytest.raises(ProtocolError):
        amf.read(b"\x0a\xff\xff\xff\xff" + b"\5" * 300)


@pytest.mark.parametrize("data", [b"\x03\x00\x01a" * 100, b"\x03" + b"\x00\x01a\x05" * 300, b"\x08\x00", b"\x02"])
def test_commands_are_bounded(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        amf.read(data)


@given(st.binary(max_size=200))
def test_garbage_is_read_or_refused(data: bytes) -> None:
    with suppress(ProtocolError):
        assert isinstance(amf.read(data), list)
