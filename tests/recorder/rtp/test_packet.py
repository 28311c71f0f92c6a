"""Heads of RTP packets, against those that aiortc writes; what is no packet is None."""

from __future__ import annotations

from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensions, HeaderExtensionsMap, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from owtmix.recorder.rtp.packet import Packet, parse_packet
from owtmix.recorder.rtp.twcc import URI

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"


def extensions(sequence_id: int) -> HeaderExtensionsMap:
    found = HeaderExtensionsMap()
    found.configure(
        RTCRtpParameters(
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(id=1, uri=MID),
                RTCRtpHeaderExtensionParameters(id=sequence_id, uri=URI),
            ]
        )
    )
    return found


@given(
    payload=st.binary(max_size=40),
    sequence=st.integers(0, 65535),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(0, 2**32 - 1),
    payload_type=st.integers(0, 127),
    marker=st.booleans(),
    padding=st.integers(0, 200),
    csrc=st.lists(st.integers(0, 2**32 - 1), max_size=15),
    transport_sequence=st.none() | st.integers(0, 65535),
    sequence_id=st.integers(2, 14) | st.integers(16, 255),
    mid=st.none() | st.text("abc", min_size=1, max_size=20),
)
def test_what_aiortc_writes_is_read(
    payload: bytes,
    sequence: int,
    timestamp: int,
    ssrc: int,
    payload_type: int,
    marker: bool,
    padding: int,
    csrc: list[int],
    transport_sequence: int | None,
    sequence_id: int,
    mid: str | None,
) -> None:
    written = RtpPacket(payload_type, int(marker), sequence, timestamp, ssrc, payload)
    written.padding_size, written.csrc = padding, csrc
    written.extensions = HeaderExtensions(mid=mid, transport_sequence_number=transport_sequence)
    data = written.serialize(extensions(sequence_id))
    read = parse_packet(data, sequence_id)
    assert read == Packet(payload_type, marker, sequence, timestamp, ssrc, payload, transport_sequence)
    assert parse_packet(data) == read._replace(transport_sequence=None)


@given(st.binary(max_size=120), st.none() | st.integers(0, 255))
def test_anything_is_a_packet_or_none(data: bytes, sequence_id: int | None) -> None:
    packet = parse_packet(data, sequence_id)
    assert packet is None or packet.payload in data


@given(st.integers(1, 200))
def test_padding_never_reaches_into_the_head(padding: int) -> None:
    data = bytes([0xA0, 96, 0, 1]) + bytes(8) + bytes([7, padding])
    packet = parse_packet(data)
    assert (packet is None) == (padding > 2)
