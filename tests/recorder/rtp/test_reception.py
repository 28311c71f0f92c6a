"""A track: codecs, keys, redundant sound, retransmissions, senders and their reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.recorder.journal import Kind, Report
from owtmix.recorder.rtp.packet import Packet
from owtmix.recorder.rtp.payload import Format
from owtmix.recorder.rtp.reception import (
    KEY_REQUEST_EVERY_US,
    SILENCE_US,
    SOUND_PATIENCE_US,
    EncodedFrame,
    Reception,
)

VP8, RTX, H264, OPUS, RED = 96, 97, 98, 111, 63
FORMATS: Final = {
    VP8: Format("vp8", 90_000),
    RTX: Format("rtx", 90_000, VP8),
    H264: Format("h264", 90_000),
    OPUS: Format("opus", 48_000),
    RED: Format("red", 48_000),
}
KEY, DELTA = b"\x10\x10\0\0\x9d\x01\x2akey", b"\x10\x11delta"
"""Payloads of VP8, with their descriptor."""
FIVE_S: Final = 5_000_000


class Track:
    """A reception, and what it gave."""

    def __init__(self, kind: Kind, senders: Collection[int] = (1,), repairs: Mapping[int, int] | None = None) -> None:
        self.frames: list[EncodedFrame] = []
        self.reports: list[tuple[int, Report]] = []
        self.reception = Reception(
            kind,
            FORMATS,
            senders,
            repairs or {},
            can_ask=kind == "video",
            on_frame=self.frames.append,
            on_report=lambda timeline, report: self.reports.append((timeline, report)),
        )

    def add(self, payload_type: int, sequence: int, timestamp: int, payload: bytes, at_us: int, ssrc: int = 1) -> None:
        packet = Packet(payload_type, True, sequence % 65536, timestamp % 2**32, ssrc, payload)
        self.reception.add(packet, at_us, 10**15 + at_us)

    @property
    def data(self) -> list[bytes]:
        return [frame.data for frame in self.frames]


def test_a_picture_begins_with_a_key_frame_that_is_asked_for() -> None:
    track = Track("video")
    assert not track.reception.wants_key(0, FIVE_S)
    track.add(VP8, 0, 0, DELTA, 0)
    assert track.frames == []
    assert track.reception.wants_key(0, FIVE_S)
    assert not track.reception.wants_key(KEY_REQUEST_EVERY_US - 1, FIVE_S)
    assert track.reception.wants_key(KEY_REQUEST_EVERY_US, FIVE_S)
    track.add(VP8, 1, 3000, KEY, 33_333)
    track.add(VP8, 2, 6000, DELTA, 66_666)
    assert [(f.codec, f.is_key, f.rtp, f.arrived_us - 10**15) for f in track.frames] == [
        ("vp8", True, 3000, 33_333),
        ("vp8", False, 6000, 66_666),
    ]
    assert track.reception.lost == 0
    assert (track.reception.counters.frames, track.reception.counters.keys) == (2, 1)


def test_key_frames_are_asked_for_now_and_then() -> None:
    track = Track("video")
    track.add(VP8, 0, 0, KEY, 0)
    assert not track.reception.wants_key(FIVE_S - 1, FIVE_S)
    assert track.reception.wants_key(FIVE_S, FIVE_S)
    assert not track.reception.wants_key(2 * FIVE_S - 1, FIVE_S)
    track.add(VP8, 1, 900_000, KEY, 10_000_000)
    assert not track.reception.wants_key(10_000_000 + FIVE_S - 1, FIVE_S)


def test_after_a_loss_pictures_wait_for_a_key_frame() -> None:
    track = Track("video")
    for sequence, payload in [(0, KEY), (1, DELTA), (3, DELTA), (4, DELTA), (5, KEY), (6, DELTA)]:
        track.add(VP8, sequence, 3000 * sequence, payload, 33_333 * sequence)
    assert len(track.frames) == 2
    assert track.reception.asks(200_000) == [2]
    track.reception.tick(2_000_000)
    assert [frame.rtp // 3000 for frame in track.frames] == [0, 1, 5, 6]
    assert track.reception.lost == 3
    track.add(VP8, 7, 21000, DELTA, 2_000_001)
    track.reception.need_key()
    track.add(VP8, 8, 24000, DELTA, 2_033_333)
    assert track.reception.wants_key(2_033_333, FIVE_S)
    assert [frame.rtp // 3000 for frame in track.frames] == [0, 1, 5, 6, 7]


def test_a_retransmission_fills_the_hole() -> None:
    track = Track("video", repairs={2: 1})
    for sequence, payload in [(65534, KEY), (65535, DELTA), (65537, DELTA)]:
        track.add(VP8, sequence, 3000 * sequence, payload, 0)
    assert track.reception.asks(0) == [0]
    track.add(RTX, 900, 3000 * 65536, b"\0\0" + DELTA, 400_000, ssrc=2)
    assert [frame.rtp // 3000 for frame in track.frames] == [65534, 65535, 65536, 65537]
    assert (track.reception.lost, track.reception.counters.repeated, len(track.frames)) == (0, 1, 4)


def test_retransmissions_of_nobody_are_ignored() -> None:
    track = Track("video", repairs={2: 1})
    track.add(VP8, 0, 0, KEY, 0)
    track.add(RTX, 0, 0, b"\0\1" + DELTA, 0, ssrc=3)
    track.add(RTX, 0, 0, b"\0", 0, ssrc=2)
    assert track.reception.counters.ignored == 2
    assert len(track.frames) == 1


def test_where_the_offer_names_no_sender_retransmissions_are_of_the_only_one() -> None:
    track = Track("video", senders=())
    for sequence, payload in [(0, KEY), (2, DELTA)]:
        track.add(VP8, sequence, 3000 * sequence, payload, 0, ssrc=7)
    track.add(RTX, 0, 3000, b"\0\1" + DELTA, 10_000, ssrc=8)
    assert len(track.frames) == 3


def test_h264_begins_with_its_parameter_sets() -> None:
    track = Track("video")
    single = [b"\x67sps", b"\x68pps", b"\x65idr"]
    track.add(H264, 0, 0, b"\x65idr", 0)
    assert track.frames == []
    track.add(H264, 1, 3000, b"\x18" + b"".join(len(u).to_bytes(2, "big") + u for u in single), 33_333)
    assert track.data == [b"".join(b"\0\0\0\1" + unit for unit in single)]
    assert track.frames[0].codec == "h264"


def red(*blocks: tuple[int, bytes]) -> bytes:
    *older, own = blocks
    heads = b"".join(bytes([0x80 | OPUS]) + (before << 10 | len(data)).to_bytes(3, "big") for before, data in older)
    return heads + bytes([OPUS]) + b"".join(data for _, data in older) + own[1]


@given(st.sets(st.integers(1, 60)), st.integers(0, 2**32 - 1))
def test_redundant_sound_fills_holes_of_one_packet(lost: set[int], first: int) -> None:
    track = Track("audio")
    for n in set(range(62)) - lost:
        payload = red((960, b"%d" % (n - 1)), (0, b"%d" % n)) if n else red((0, b"0"))
        track.add(RED, n, first + 960 * n, payload, 20_000 * n)
    track.reception.tick(62 * 20_000 + SOUND_PATIENCE_US)
    expected = [n for n in range(62) if n not in lost or n + 1 not in lost]
    assert track.data == [b"%d" % n for n in expected]
    assert [frame.rtp for frame in track.frames] == [first + 960 * n for n in expected]
    assert track.reception.counters.recovered == len(lost & set(expected))
    assert all(frame.codec == "opus" and frame.is_key for frame in track.frames)


def test_sound_begins_with_the_first_packets_own_block() -> None:
    track = Track("audio")
    track.add(RED, 0, 960, red((960, b"before"), (0, b"own")), 0)
    assert (track.data, track.reception.counters.recovered) == ([b"own"], 0)


def test_redundant_blocks_of_another_codec_are_ignored() -> None:
    track = Track("audio")
    track.add(RED, 0, 960, bytes([VP8]) + b"own", 0)
    assert track.frames == []


def test_a_sender_that_nobody_named_is_ignored() -> None:
    track = Track("audio")
    track.add(OPUS, 0, 0, b"a", 0, ssrc=9)
    assert (track.frames, track.reception.sender) == ([], None)


def test_another_sender_takes_over_when_the_first_is_silent_with_another_timeline() -> None:
    track = Track("video", senders=())
    track.add(VP8, 0, 0, KEY, 0, ssrc=5)
    track.add(VP8, 900, 77, KEY, SILENCE_US - 1, ssrc=6)
    assert len(track.frames) == 1
    track.add(VP8, 901, 3077, KEY, SILENCE_US, ssrc=6)
    track.add(VP8, 1, 3000, DELTA, SILENCE_US + 1, ssrc=5)
    assert [(frame.timeline, frame.rtp) for frame in track.frames] == [(0, 0), (1, 3077)]


def test_time_that_jumps_begins_another_timeline_with_a_key_frame() -> None:
    track = Track("video")
    track.add(VP8, 0, 0, KEY, 0)
    track.add(VP8, 1, 90_000 * 3600, DELTA, 33_333)
    track.add(VP8, 2, 90_000 * 3600 + 3000, KEY, 66_666)
    assert [(frame.timeline, frame.rtp) for frame in track.frames] == [(0, 0), (1, 90_000 * 3600 + 3000)]
    assert track.reception.lost == 1


def test_time_that_does_not_go_on_is_dropped() -> None:
    track = Track("audio")
    for sequence, timestamp in enumerate([960, 960, 0, 1920]):
        track.add(OPUS, sequence, timestamp, b"%d" % sequence, 20_000 * sequence)
    assert track.data == [b"0", b"3"]
    assert track.reception.late == 2


def test_reports_of_the_sender_are_placed_on_its_timeline() -> None:
    track = Track("video")
    track.reception.report(1, 0, 0, 0, 0)
    track.add(VP8, 0, 2**32 - 3000, KEY, 0)
    track.reception.report(1, (2_208_988_800 + 7 << 32) + (1 << 31), 3000, 66_666, 5)
    track.reception.report(2, 0, 3000, 66_666, 5)
    track.reception.report(1, 0, 90_000 * 3600, 66_666, 5)
    assert track.reception.alive_us == 66_666
    track.reception.report(2, 0, 3000, 77_777, 5)
    assert track.reception.alive_us == 66_666
    assert track.reports == [(0, Report(2**32 + 3000, 5, 7_500_000))]


def test_what_waits_for_more_is_given_at_the_end() -> None:
    track = Track("audio")
    track.add(OPUS, 0, 0, b"a", 0)
    track.add(OPUS, 2, 1920, b"c", 1)
    assert track.data == [b"a"]
    track.reception.finish()
    assert track.data == [b"a", b"c"]


@pytest.mark.parametrize("kind", ["audio", "video"])
@given(packets=st.lists(st.tuples(st.sampled_from(sorted(FORMATS)), st.integers(0, 3), st.binary(max_size=30))))
def test_any_payloads_are_survived(kind: Kind, packets: list[tuple[int, int, bytes]]) -> None:
    track = Track(kind, senders=())
    for n, (payload_type, ssrc, payload) in enumerate(packets):
        track.add(payload_type, n, 960 * n, payload, 20_000 * n, ssrc)
    track.reception.finish()
    rtp = [(frame.timeline, frame.rtp) for frame in track.frames]
    assert rtp == sorted(set(rtp))
