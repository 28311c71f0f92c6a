"""Receiver reports."""

from __future__ import annotations

from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket
from hypothesis import given
from hypothesis import strategies as st

from owtmix.recorder.rtp.statistics import ReceptionStatistics


def test_losses_and_the_round_trip_are_told() -> None:
    statistics = ReceptionStatistics(90_000)
    assert statistics.told(0) is None
    for sequence in [65530, 65531, 65533, 65534, 65535, 0, 1, 3]:
        statistics.add(sequence, 3000 * sequence, 33_333 * (sequence % 65536))
    statistics.note_report(0x1122334455667788, 1_000_000)
    told = statistics.told(1_500_000)
    assert told is not None
    fraction, lost, highest, _, report, age = told
    assert (fraction, lost, highest & 0xFFFF, report, age) == (2 * 256 // 10, 2, 3, 0x33445566, 32768)
    assert statistics.told(1_500_000) == (0, 2, highest, told[3], report, age)


def test_a_steady_sender_has_no_jitter() -> None:
    statistics = ReceptionStatistics(48_000)
    for n in range(100):
        statistics.add(n, 2**32 - 48_000 + 960 * n, 20_000 * n)
    told = statistics.told(0)
    assert told is not None
    assert told[3] == 0


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 2**50)), min_size=1))
def test_garbage_fits_into_a_report(packets: list[tuple[int, int, int]]) -> None:
    statistics = ReceptionStatistics(90_000)
    statistics.note_report(2**64 - 1, 0)
    for packet in packets:
        statistics.add(*packet)
    told = statistics.told(2**52)
    assert told is not None
    assert len(bytes(RtcpRrPacket(1, [RtcpReceiverInfo(2, *told)]))) == 32
