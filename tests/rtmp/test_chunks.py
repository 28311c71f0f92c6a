"""Messages of RTMP in chunks, also those that nobody honest sends."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.rtmp.chunks import (
    AUDIO,
    MOST_CHANNELS,
    MOST_HELD_BYTES,
    VIDEO,
    ChunkParser,
    ChunkReader,
    Message,
    ProtocolError,
    to_chunks,
)


def reader(data: bytes) -> ChunkReader:
    file = io.BytesIO(data)

    def read(size: int) -> bytes:
        found = file.read(size)
        if len(found) < size:
            raise EOFError
        return found

    return ChunkReader(read)


def read_all(read: ChunkReader) -> None:
    while True:
        read.message()


def head(channel: int, time_ms: int, size: int, kind: int = VIDEO) -> bytes:
    return bytes([channel]) + time_ms.to_bytes(3, "big") + size.to_bytes(3, "big") + bytes([kind, 1, 0, 0, 0])


@given(
    st.binary(max_size=1000), st.integers(2, 63), st.sampled_from([0, 40, 0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF])
)
def test_a_message_comes_back(data: bytes, channel: int, time_ms: int) -> None:
    message = Message(VIDEO, time_ms, 7, data)
    assert reader(to_chunks(message, channel)).message() == message


def test_a_message_comes_back_in_longer_chunks() -> None:
    message = Message(VIDEO, 0x1000000, 7, bytes(range(256)) * 5)
    set_size = to_chunks(Message(1, 0, 0, (500).to_bytes(4, "big")), 2)
    sent = to_chunks(message, 6, 500)
    assert len(sent) == 11 + 1 + 4 + 1280 + 2 * (1 + 4)
    assert reader(set_size + sent).message() == message


def test_messages_of_two_channels_are_told_apart() -> None:
    parts = [
        head(4, 1000, 200) + b"v" * 128,
        head(5, 1010, 130, AUDIO) + b"a" * 128,
        bytes([0xC4]) + b"v" * 72,
        bytes([0xC5]) + b"a" * 2,
    ]
    read = reader(b"".join(parts))
    assert read.message() == Message(VIDEO, 1000, 1, b"v" * 200)
    assert read.message() == Message(AUDIO, 1010, 1, b"a" * 130)


def test_times_are_steps_where_heads_are_short() -> None:
    steps = bytes([0x84, 0, 0, 40]) + b"22" + bytes([0xC4]) + b"33"
    longer = bytes([0x44, 0, 0, 5, 0, 0, 1, AUDIO]) + b"4"
    read = reader(head(4, 1000, 2) + b"11" + steps + longer)
    assert [read.message().time_ms for _ in range(4)] == [1000, 1040, 1080, 1085]


def test_long_times_are_beside_the_head_of_each_chunk() -> None:
    late = (0x0102_0304).to_bytes(4, "big")
    read = reader(head(4, 0xFFFFFF, 130) + late + b"v" * 128 + bytes([0xC4]) + late + b"vv")
    assert read.message() == Message(VIDEO, 0x0102_0304, 1, b"v" * 130)


def test_the_length_of_chunks_is_heeded() -> None:
    set_size = to_chunks(Message(1, 0, 0, (4096).to_bytes(4, "big")), 2)
    assert reader(set_size + head(4, 0, 300) + b"v" * 300).message().data == b"v" * 300


def test_an_abandoned_message_is_forgotten() -> None:
    abandoned = to_chunks(Message(2, 0, 0, (4).to_bytes(4, "big")), 2)
    assert reader(head(4, 0, 200) + b"x" * 128 + abandoned + head(4, 0, 2) + b"ok").message().data == b"ok"


@pytest.mark.parametrize(
    "data",
    [
        b"".join(head(n, 0, 200) + b"x" * 128 for n in range(2, 64))
        + b"".join(bytes([0, n]) + head(0, 0, 200)[1:] + b"x" * 128 for n in range(MOST_CHANNELS)),
        to_chunks(Message(1, 0, 0, bytes(4)), 2),
        to_chunks(Message(1, 0, 0, b"1"), 2),
        head(4, 0, 200) + b"x" * 128 + head(4, 0, 200),
        to_chunks(Message(1, 0, 0, (0xFFFFFF).to_bytes(4, "big")), 2)
        + b"".join(head(n, 0, 0xFFFFFF) + bytes(0xFFFFFE) for n in (4, 5))[:-2],
    ],
    ids=["channels", "no bytes", "cut", "within", "held"],
)
def test_what_nobody_sends_is_refused(data: bytes) -> None:
    with pytest.raises((ProtocolError, EOFError)):
        read_all(reader(data))


def test_what_is_held_is_bounded() -> None:
    sizes = to_chunks(Message(1, 0, 0, (0x10000).to_bytes(4, "big")), 2)
    part = bytes(0x10000)
    rounds = MOST_HELD_BYTES // 0x10000 // 4 + 1
    begun = b"".join(head(n, 0, 0xFFFFFF) + part for n in range(4, 8))
    more = b"".join(bytes([0xC0 | n]) + part for _ in range(rounds) for n in range(4, 8))
    with pytest.raises(ProtocolError, match="too long"):
        reader(sizes + begun + more).message()


def test_less_may_be_held_before_it_is_read() -> None:
    steps, asked = ChunkParser(most_held_bytes=1000).message(), []
    data = io.BytesIO(to_chunks(Message(1, 0, 0, (1 << 24).to_bytes(4, "big")), 2) + head(4, 0, 1001))

    def go_on() -> None:
        part = data.read(next(steps))
        while True:
            asked.append(len(part))
            part = data.read(steps.send(part))

    with pytest.raises(ProtocolError, match="too long"):
        go_on()
    assert max(asked) == 11


@given(st.binary(max_size=400))
def test_garbage_is_refused_in_words(data: bytes) -> None:
    with pytest.raises((ProtocolError, EOFError)):
        read_all(reader(data))
