"""Payloads of H.264, VP8 and redundant sound; what aiortc packs is unpacked, whatever is malformed is none."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import pytest
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder, VpxPayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st

from owtmix.recorder.rtp.payload import (
    FormatName,
    Part,
    RedBlock,
    depacketise,
    is_key,
    nal_kinds,
    original,
    red_blocks,
)

SPS, PPS, IDR, SLICE, SEI, AUD = b"\x67sps", b"\x68pps", b"\x65idr", b"\x41slice", b"\x06sei", b"\x09aud"


def annex_b(*units: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + unit for unit in units)


def packed(data: bytes) -> Any:
    packet = av.Packet(data)
    packet.pts, packet.time_base = 0, Fraction(1, 90_000)
    return packet


@given(
    st.lists(st.binary(min_size=1, max_size=4000).map(lambda data: b"\x41" + data.replace(b"\0", b"\2")), min_size=1)
)
def test_h264_that_aiortc_packs_is_unpacked(units: list[bytes]) -> None:
    payloads, _ = H264Encoder().pack(packed(annex_b(*units)))
    parts = [depacketise("h264", payload) for payload in payloads]
    assert b"".join(part.data for part in parts if part) == annex_b(*units)
    assert parts[0] is not None
    assert parts[0].begins


@given(st.binary(min_size=1, max_size=5000), st.integers(0, 2**15 - 1))
def test_vp8_that_aiortc_packs_is_unpacked(frame: bytes, picture: int) -> None:
    encoder = Vp8Encoder()
    encoder.picture_id = picture
    payloads, _ = encoder.pack(packed(frame))
    parts = [depacketise("vp8", payload) for payload in payloads]
    assert b"".join(part.data for part in parts if part) == frame
    assert [bool(part and part.begins) for part in parts] == [True] + [False] * (len(parts) - 1)


@given(
    start=st.booleans(),
    partition=st.integers(0, 7),
    picture=st.none() | st.integers(0, 2**15 - 1),
    level=st.none() | st.integers(0, 255),
    layer=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 1)),
    key=st.none() | st.integers(0, 31),
)
def test_every_descriptor_of_vp8_is_skipped(
    start: bool, partition: int, picture: int | None, level: int | None, layer: tuple[int, int] | None, key: int | None
) -> None:
    head = bytes(VpxPayloadDescriptor(int(start), partition, picture, level, layer, key))
    assert depacketise("vp8", head + b"data") == Part(b"data", begins=start and not partition)
    for size in range(1, len(head) + 1):
        assert depacketise("vp8", head[:size]) is None


def test_a_piece_of_h264_begins_a_frame_only_with_the_unit() -> None:
    assert depacketise("h264", b"\x7c\x85abc") == Part(b"\0\0\0\1\x65abc", begins=True)
    assert depacketise("h264", b"\x7c\x05abc") == Part(b"abc", begins=False)


@pytest.mark.parametrize("payload", [b"\x18\0\5abc", b"\x18\0", b"\x18\0\0", b"\x19\0\1a", b"\x00a", b"\x67", b"\x1f1"])
def test_malformed_h264_is_nothing(payload: bytes) -> None:
    assert depacketise("h264", payload) is None


@pytest.mark.parametrize("name", ["h264", "vp8", "opus", "red", "rtx"])
@given(payload=st.binary(max_size=50))
def test_any_payload_is_a_part_or_none(name: FormatName, payload: bytes) -> None:
    part = depacketise(name, payload)
    assert part is None or len(part.data) <= 4 * len(payload)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ([SPS, PPS, IDR], True),
        ([AUD, SPS, PPS, SEI, IDR, IDR], True),
        ([IDR], False),
        ([SPS, IDR], False),
        ([PPS, IDR], False),
        ([IDR, SPS, PPS], False),
        ([SPS, PPS, SLICE], False),
        ([SPS, PPS], False),
    ],
)
def test_a_key_frame_of_h264_has_its_parameter_sets_first(units: list[bytes], expected: bool) -> None:
    assert is_key("h264", annex_b(*units)) is expected


def test_a_key_frame_of_vp8_has_its_start_code() -> None:
    assert is_key("vp8", b"\x10\0\0\x9d\x01\x2a\0\0\0\0")
    assert not is_key("vp8", b"\x11\0\0\x9d\x01\x2a\0\0\0\0")
    assert not is_key("vp8", b"\x10\0\0\x9d\x01\x2b\0\0\0\0")
    assert not is_key("vp8", b"\x10")


@given(st.binary(max_size=64))
def test_units_of_anything_are_counted(data: bytes) -> None:
    assert all(0 <= kind < 32 for kind in nal_kinds(b"\0\0\1" + data))


@given(
    st.lists(st.tuples(st.integers(0, 127), st.integers(0, 2**14 - 1), st.binary(max_size=1023)), max_size=4),
    st.integers(0, 127),
    st.binary(max_size=100),
)
def test_redundant_sound_is_read_as_rfc_2198_writes_it(
    older: list[tuple[int, int, bytes]], kind: int, own: bytes
) -> None:
    heads = b"".join(bytes([0x80 | pt]) + (before << 10 | len(data)).to_bytes(3, "big") for pt, before, data in older)
    payload = heads + bytes([kind]) + b"".join(data for _, _, data in older) + own
    assert red_blocks(payload) == [RedBlock(*block) for block in older] + [RedBlock(kind, 0, own)]


@given(st.binary(max_size=60))
def test_any_redundant_sound_is_within_its_packet(payload: bytes) -> None:
    assert all(block.data in payload for block in red_blocks(payload))


def test_cut_redundant_sound_is_nothing() -> None:
    assert red_blocks(b"") == []
    assert red_blocks(b"\xef\0\0") == []
    assert red_blocks(b"\xef\0\0\x05") == []
    assert red_blocks(b"\xef\0\0\x05\x6fabc") == []


def test_a_retransmission_has_the_number_first() -> None:
    assert original(b"\x01\x02abc") == (258, b"abc")
    assert original(b"\x01") is None
