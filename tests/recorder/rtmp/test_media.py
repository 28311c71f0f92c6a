"""Messages of FLV become access units of H.264 and frames of AAC, or cost only themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.recorder.aac_packet import AacFormat, format_of
from owtmix.recorder.rtmp.media import MediaError, MediaReader
from owtmix.recorder.rtmp.records import HEAD_BYTES, MOST_LEAD_MS, MediaRecord, RecordError, read_head, to_bytes
from owtmix.rtmp.chunks import AUDIO, VIDEO, Message

SPS, PPS, IDR, OTHER = b"\x67sps", b"\x68pps", b"\x65idr", b"\x41other"
START = b"\0\0\0\1"


def configuration(sets: bytes = b"\x01\x00\x04" + SPS + b"\x01\x00\x04" + PPS) -> bytes:
    return b"\x17\0\0\0\0" + b"\x01\x42\0\x0a\xff" + sets


def picture(*units: bytes, lead_ms: int = 0) -> bytes:
    body = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    return b"\x27\x01" + lead_ms.to_bytes(3, "big", signed=True) + body


def records(*messages: tuple[int, int, bytes]) -> list[MediaRecord]:
    reader = MediaReader()
    return [record for kind, at, data in messages for record in reader.records(Message(kind, at, 1, data))]


def test_pictures_begin_with_a_key_frame_that_has_its_parameter_sets() -> None:
    found = records(
        (VIDEO, 0, configuration()),
        (VIDEO, 40, picture(OTHER)),
        (VIDEO, 80, picture(IDR)),
        (VIDEO, 120, picture(OTHER, lead_ms=80)),
        (VIDEO, 160, picture(SPS, PPS, IDR)),
    )
    assert [(one.is_key, one.pts_ms, one.lead_ms) for one in found] == [(True, 80, 0), (False, 200, 80), (True, 160, 0)]
    assert found[0].data == found[2].data == START + START.join([SPS, PPS, IDR])
    assert found[1].data == START + OTHER


def test_another_configuration_is_another_timeline_that_begins_with_a_key_frame() -> None:
    other = configuration(b"\x01\x00\x04" + SPS[:-1] + b"X" + b"\x01\x00\x04" + PPS)
    found = records(
        (VIDEO, 0, configuration()),
        (VIDEO, 0, picture(IDR)),
        (VIDEO, 20, configuration()),
        (VIDEO, 40, picture(OTHER)),
        (VIDEO, 40, other),
        (VIDEO, 80, picture(OTHER)),
        (VIDEO, 120, picture(IDR)),
    )
    first, same, another = found
    assert first.timeline == same.timeline != another.timeline


def test_sound_has_its_configuration_in_each_frame() -> None:
    found = records((AUDIO, 0, b"\xaf\0\x11\x90"), (AUDIO, 21, b"\xaf\x01sound"), (AUDIO, 42, b"\xaf\x01"[:2] + b"x"))
    assert [one.pts_ms for one in found] == [21, 42]
    assert format_of(found[0].data) == AacFormat(2, 48_000, 2)
    assert found[0].data.endswith(b"sound")


def test_times_go_on_after_49_days() -> None:
    last = (1 << 32) - 10
    found = records(
        (AUDIO, last, b"\xaf\0\x11\x90"),
        (AUDIO, last, b"\xaf\x01a"),
        (AUDIO, 11, b"\xaf\x01b"),
        (AUDIO, last, b"\xaf\x01c"),
    )
    assert [one.pts_ms - last for one in found] == [0, 21, 0]


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (VIDEO, b"\x12\0", "not H.264"),
        (VIDEO, b"\x91hvc1", "not H.264"),
        (VIDEO, b"\x17\x01", "cut"),
        (VIDEO, configuration()[:-1], "absurd"),
        (VIDEO, configuration(b"\xff"), "cut"),
        (VIDEO, configuration(b"\x00\x00"), "absurd"),
        (VIDEO, configuration(b"\x1f" + b"\x00\x01g" * 31 + b"\xff" + b"\x00\x01h" * 255), "absurd"),
        (VIDEO, configuration(b"\x01\xff\xff"), "cut"),
        (AUDIO, b"\x2fmp3", "not AAC"),
        (AUDIO, b"\xaf", "cut"),
        (AUDIO, b"\xaf\0\x11", "cut"),
        (AUDIO, b"\xaf\0\xff\xff\xff\xff", "not recorded"),
        (AUDIO, b"\xaf\0\x11\x80", "no number"),
        (AUDIO, b"\xaf\0\x17\x80\x00\x00\x00\x10", "not recorded"),
    ],
)
def test_absurd_messages_are_told_in_fixed_words(kind: int, data: bytes, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        records((kind, 0, data))


@pytest.mark.parametrize(
    "data",
    [
        picture(IDR)[:-1],
        picture(IDR) + b"\xff\xff\xff\xff",
        picture(IDR, lead_ms=-1),
        picture(IDR, lead_ms=MOST_LEAD_MS + 1),
    ],
)
def test_damaged_pictures_cost_only_themselves(data: bytes) -> None:
    reader = MediaReader()
    assert not list(reader.records(Message(VIDEO, 0, 1, configuration())))
    with pytest.raises(MediaError):
        list(reader.records(Message(VIDEO, 0, 1, data)))
    assert len(list(reader.records(Message(VIDEO, 0, 1, picture(IDR))))) == 1


def test_a_sound_of_several_kib_is_none() -> None:
    with pytest.raises(MediaError):
        records((AUDIO, 0, b"\xaf\0\x11\x90"), (AUDIO, 0, b"\xaf\x01" + bytes(1 << 14)))


@given(st.lists(st.tuples(st.sampled_from([VIDEO, AUDIO, 18]), st.integers(0, 1 << 32), st.binary(max_size=80))))
def test_garbage_is_left_out(messages: list[tuple[int, int, bytes]]) -> None:
    reader = MediaReader()
    for kind, at, data in messages:
        try:
            found = list(reader.records(Message(kind, at % (1 << 32), 1, data)))
        except MediaError:
            continue
        for record in found:
            assert read_head(to_bytes(record)[:HEAD_BYTES]).size == len(record.data)


@pytest.mark.parametrize(
    "head",
    [
        bytes(HEAD_BYTES),
        b"\x02" + to_bytes(MediaRecord("audio", True, 0, 0, 0, b"x"))[1:HEAD_BYTES],
        to_bytes(MediaRecord("video", True, 0, 1 << 51, 0, b"x"))[:HEAD_BYTES],
        to_bytes(MediaRecord("video", True, 0, 0, MOST_LEAD_MS + 1, b"x"))[:HEAD_BYTES],
        to_bytes(MediaRecord("video", True, 0, 0, 0, b"x"))[: HEAD_BYTES - 4] + b"\xff" * 4,
    ],
)
def test_records_that_no_reader_makes_are_refused(head: bytes) -> None:
    with pytest.raises(RecordError):
        read_head(head)
