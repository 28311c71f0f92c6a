"""Frames out of packets that come in any order, twice or never, against what a list of packets predicts."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.recorder.rtp.assembler import (
    MAX_BUFFERED_BYTES,
    MAX_BUFFERED_PACKETS,
    Arrival,
    Assembled,
    Assembler,
)
from owtmix.recorder.rtp.payload import Part
from owtmix.recorder.rtp.timeline import MAX_GAP

PATIENCE_US = 1_000_000
PACKET_US = 5_000


@dataclass(frozen=True)
class Sent:
    """A packet, and the frame that it belongs to."""

    frame: int
    arrival: Arrival


def sent(sizes: list[int], sequence: int, timestamp: int, marked: list[bool]) -> list[Sent]:
    """Frames of so many packets each; a marker may be missing."""
    packets: list[Sent] = []
    for frame, (size, marker) in enumerate(zip(sizes, marked, strict=True)):
        for n in range(size):
            part = Part(b"%d.%d;" % (frame, n), begins=n == 0)
            packets.append(
                Sent(
                    frame,
                    Arrival(
                        (sequence + len(packets)) % 65536,
                        (timestamp + 3000 * frame) % 2**32,
                        marker and n == size - 1,
                        "vp8",
                        part,
                        0,
                        0,
                    ),
                )
            )
    return packets


def whole(packets: list[Sent], frame: int) -> bytes:
    return b"".join(packet.arrival.part.data for packet in packets if packet.frame == frame)


def received(assembler: Assembler, packets: list[Sent], order: list[int]) -> list[Assembled]:
    frames = []
    for n, index in enumerate(order):
        at_us = n * PACKET_US
        assembler.add(packets[index].arrival._replace(at_us=at_us, arrived_us=1000 + at_us))
        frames += assembler.pop(at_us)
    return frames


FRAMES = st.lists(st.integers(1, 6), min_size=2, max_size=25)
SEQUENCES = st.integers(0, 65535) | st.integers(65500, 65535)
TIMES = st.integers(0, 2**32 - 1) | st.integers(2**32 - 20_000, 2**32 - 1)


@given(FRAMES, SEQUENCES, TIMES, st.randoms(use_true_random=False), st.data())
def test_disorder_and_repeats_change_nothing(
    sizes: list[int], sequence: int, timestamp: int, rng: random.Random, data: st.DataObject
) -> None:
    """Any order of packets within 50 of each other, some twice; only the last frame needs its marker."""
    marked = [*data.draw(st.lists(st.booleans(), min_size=len(sizes) - 1, max_size=len(sizes) - 1)), True]
    packets = sent(sizes, sequence, timestamp, marked)
    rest = range(1, len(packets))
    order = [0, *sorted([*rest, *rng.sample(rest, len(rest) // 3)], key=lambda n: n + rng.uniform(0, 50))]
    assembler = Assembler(is_video=True, patience_us=PATIENCE_US)
    frames = received(assembler, packets, order)
    assert [frame.data for frame in frames] == [whole(packets, n) for n in range(len(sizes))]
    assert [frame.timestamp for frame in frames] == [(timestamp + 3000 * n) % 2**32 for n in range(len(sizes))]
    assert not any(frame.after_loss for frame in frames)
    assert (assembler.lost, assembler.buffered) == (0, (0, 0, 0))
    assert assembler.late == len(order) - len(packets)


@given(FRAMES, SEQUENCES, TIMES, st.integers(0, PATIENCE_US), st.data())
def test_what_is_lost_takes_its_frame_with_it_and_no_other(
    sizes: list[int], sequence: int, timestamp: int, patience_us: int, data: st.DataObject
) -> None:
    """All frames with all of their packets come; which ones is known from what was sent."""
    packets = sent(sizes, sequence, timestamp, [True] * len(sizes))
    lost = data.draw(st.sets(st.integers(1, len(packets) - 1)))
    assembler = Assembler(is_video=True, patience_us=patience_us)
    frames = received(assembler, packets, [n for n in range(len(packets)) if n not in lost]) + assembler.flush()
    complete = [n for n in range(len(sizes)) if not any(packets[index].frame == n for index in lost)]
    expected = [whole(packets, n) for n in complete]
    assert [frame.data for frame in frames] == expected


@given(FRAMES, SEQUENCES, TIMES, st.integers(0, 30), st.data())
def test_a_packet_that_comes_again_in_time_completes_its_frame(
    sizes: list[int], sequence: int, timestamp: int, delay: int, data: st.DataObject
) -> None:
    packets = sent(sizes, sequence, timestamp, [True] * len(sizes))
    missed = data.draw(st.integers(1, len(packets) - 1))
    order = [n for n in range(len(packets)) if n != missed]
    order.insert(min(missed + delay, len(order)), missed)
    assembler = Assembler(is_video=True, patience_us=PATIENCE_US)
    frames = received(assembler, packets, order)
    assert [frame.data for frame in frames] == [whole(packets, n) for n in range(len(sizes))]


def test_a_hole_is_given_up_after_the_patience_and_the_next_frame_says_so() -> None:
    packets = sent([2, 2, 2], 0, 0, [True] * 3)
    assembler = Assembler(is_video=True, patience_us=PATIENCE_US)
    frames = received(assembler, packets, [0, 1, 3, 4, 5])
    assert [frame.data for frame in frames] == [whole(packets, 0)]
    missed_us = 2 * PACKET_US
    assert assembler.pop(missed_us + PATIENCE_US - 1) == []
    (after,) = assembler.pop(missed_us + PATIENCE_US)
    assert (after.data, after.after_loss, assembler.lost) == (whole(packets, 2), True, 1)


def test_the_rest_of_a_broken_frame_is_none_of_its_own() -> None:
    """Packets of H.264 with a whole unit each look as if a frame began with them."""
    assembler = Assembler(is_video=True, patience_us=0)
    frames = []
    for sequence, (timestamp, marker) in enumerate([(0, False), (0, False), (0, False), (0, True), (3000, True)]):
        if sequence != 1:
            unit = Part(b"%d" % sequence, begins=True)
            assembler.add(Arrival(sequence, timestamp, marker, "h264", unit, 0, 0))
            frames += assembler.pop(0)
    assert [(frame.data, frame.after_loss) for frame in frames] == [(b"4", True)]


def test_sound_is_a_frame_a_packet() -> None:
    packets = sent([1] * 5, 0, 0, [False] * 5)
    assembler = Assembler(is_video=False, patience_us=PATIENCE_US)
    assert [f.data for f in received(assembler, packets, [0, 2, 1, 3, 4])] == [whole(packets, n) for n in range(5)]


def test_missing_packets_are_asked_for_now_and_then() -> None:
    packets = sent([1] * 10, 65530, 0, [True] * 10)
    assembler = Assembler(is_video=True, patience_us=PATIENCE_US)
    received(assembler, packets, [0, 5])
    assert assembler.ask(0, 60_000) == [65531, 65532, 65533, 65534]
    assert assembler.ask(59_000, 60_000) == []
    assembler.add(packets[2].arrival)
    assert assembler.ask(60_000, 60_000) == [65531, 65533, 65534]
    for n in range(2, 50):
        assembler.ask(n * 60_000, 60_000)
    assert assembler.ask(60 * 60_000, 60_000) == []


def test_padding_is_no_frame() -> None:
    assembler = Assembler(is_video=True, patience_us=PATIENCE_US)
    frame = Arrival(0, 0, True, "vp8", Part(b"a", begins=True), 0, 0)
    padding = frame._replace(part=Part(b"", begins=False), marker=False)
    for sequence, arrival in enumerate([frame, padding, padding, frame._replace(timestamp=3000)]):
        assembler.add(arrival._replace(sequence=sequence))
    assert [(f.timestamp, f.data) for f in assembler.pop(0)] == [(0, b"a"), (3000, b"a")]
    assert assembler.lost == 0


def test_a_sender_that_begins_anew_is_followed() -> None:
    assembler = Assembler(is_video=False, patience_us=PATIENCE_US)
    frames = []
    for sequence in [1, 2, 3, 30_000, 30_001, 30_002]:
        assembler.add(Arrival(sequence, sequence, True, "opus", Part(b"%d" % sequence, begins=True), 0, 0))
        frames += assembler.pop(0)
    assert [(frame.data, frame.after_loss) for frame in frames] == [
        (b"1", False),
        (b"2", False),
        (b"3", False),
        (b"30001", True),
        (b"30002", False),
    ]


@pytest.mark.parametrize("size", [1, 1200])
def test_a_frame_without_an_end_is_bounded(size: int) -> None:
    assembler = Assembler(is_video=True, patience_us=PATIENCE_US)
    begun_s = time.process_time()
    for n in range(30_000):
        assembler.add(Arrival(n % 65536, 0, False, "vp8", Part(bytes(size), begins=n == 0), 0, 0))
        assert assembler.pop(0) == []
        packets, held, missing = assembler.buffered
        assert packets <= MAX_BUFFERED_PACKETS + 1
        assert held <= MAX_BUFFERED_BYTES + size
        assert missing == 0
    assert assembler.lost >= 2
    assert time.process_time() - begun_s < 10


@pytest.mark.parametrize("seed", range(3))
def test_garbage_is_bounded(seed: int) -> None:
    """Numbers, times and markers at random, and jumps as far as they are followed."""
    rng = random.Random(seed)
    assembler = Assembler(is_video=True, patience_us=PATIENCE_US)
    sequence, begun_s = 0, time.process_time()
    for n in range(30_000):
        sequence = rng.randrange(65536) if seed else (sequence + rng.choice([1, MAX_GAP])) % 65536
        part = Part(rng.randbytes(900), begins=rng.random() < 0.5)
        assembler.add(Arrival(sequence, rng.randrange(2**32), rng.random() < 0.1, "vp8", part, n * 100, 0))
        assembler.pop(n * 100)
        packets, held, missing = assembler.buffered
        assert packets <= MAX_BUFFERED_PACKETS + 1
        assert held <= MAX_BUFFERED_BYTES + 900
        assert missing <= MAX_GAP
        assert len(assembler.ask(n * 100, 60_000)) <= MAX_GAP
    assert time.process_time() - begun_s < 20
