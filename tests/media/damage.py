"""Packets of made recordings, with the time at which each was really recorded, and damage to their timestamps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from owtmix.media.clock_track import TrackLog

SOUND_S = 0.02
PICTURE_S = 1 / 15

_prints = count(1)


@dataclass(frozen=True)
class MadePacket:
    """A packet: its track (0 picture, 1 sound), when it was recorded, and the timestamp that it has."""

    track: int
    true_s: float
    stamp_s: float
    content: int = field(default_factory=lambda: next(_prints))
    touched: bool = False

    def stamped(self, stamp_s: float, *, touched: bool = True) -> MadePacket:
        return replace(self, stamp_s=stamp_s, touched=touched)


def recording(seconds: float, *, pictures: bool = True, sound: bool = True, starts_s: float = 0.0) -> list[MadePacket]:
    """A sound recording, its packets in the order in which they were recorded."""
    packets = []
    if pictures:
        times = np.arange(round(seconds * 15)) * PICTURE_S
        packets += [MadePacket(0, float(t), float(t) + starts_s) for t in times]
    if sound:
        times = np.arange(round(seconds * 50)) * SOUND_S
        packets += [MadePacket(1, float(t), float(t) + starts_s) for t in times]
    return sorted(packets, key=lambda packet: packet.true_s)


def shifted(
    packets: list[MadePacket], from_s: float, by_s: float, *, track: int | None = None, to_s: float = np.inf
) -> list[MadePacket]:
    """The timestamps from ``from_s`` to ``to_s`` (true time) moved by ``by_s``, of one track or of all."""
    return [
        packet.stamped(packet.stamp_s + by_s, touched=packet.touched)
        if from_s <= packet.true_s < to_s and track in {None, packet.track}
        else packet
        for packet in packets
    ]


def paused(packets: list[MadePacket], from_s: float, to_s: float, *, track: int | None = None) -> list[MadePacket]:
    """Without the packets from ``from_s`` to ``to_s``, of one track or of all."""
    return [p for p in packets if not (from_s <= p.true_s < to_s and track in {None, p.track})]


def burst(packets: list[MadePacket], from_s: float, to_s: float, *, track: int | None = None) -> list[MadePacket]:
    """What was recorded from ``from_s`` on arrives at ``to_s``, within 40 ms, and is stamped on arrival."""
    held = [p for p in packets if from_s <= p.true_s < to_s and track in {None, p.track}]
    arrived = [
        p.stamped(p.stamp_s + to_s - p.true_s + 0.04 * (p.true_s - from_s) / (to_s - from_s) - 0.04) for p in held
    ]
    others = [p for p in packets if not (from_s <= p.true_s < to_s and track in {None, p.track})]
    before = [p for p in others if p.true_s < to_s]
    return [*before, *arrived, *others[len(before) :]]


def copied(packets: list[MadePacket], from_s: float, to_s: float, *, track: int | None = None) -> list[MadePacket]:
    """What was recorded from ``from_s`` to ``to_s`` stands in the file twice."""
    again = [replace(p, touched=True) for p in packets if from_s <= p.true_s < to_s and track in {None, p.track}]
    before = [p for p in packets if p.true_s < to_s]
    return [*before, *again, *packets[len(before) :]]


def muxed_by_stamps(packets: list[MadePacket]) -> list[MadePacket]:
    """The file order of a muxer that sorts the tracks' packets by their timestamps."""
    queues = [[p for p in packets if p.track == track] for track in (0, 1)]
    sorted_packets = []
    while any(queues):
        queue = min((q for q in queues if q), key=lambda q: q[0].stamp_s)
        sorted_packets.append(queue.pop(0))
    return sorted_packets


def logs(packets: list[MadePacket]) -> tuple[list[TrackLog], list[list[MadePacket]]]:
    """What the file clock gets to see of ``packets``, and the packets of each track."""
    tracks = [kept for track in (0, 1) if (kept := [p for p in packets if p.track == track])]
    places = {id(packet): place for place, packet in enumerate(packets)}
    return [
        TrackLog(
            places=np.array([places[id(packet)] for packet in track]),
            stamps_s=np.array([packet.stamp_s for packet in track]).round(3),
            lengths_s=np.full(len(track), SOUND_S if track[0].track else PICTURE_S),
            prints=np.array([packet.content for packet in track]),
            is_sound=bool(track[0].track),
        )
        for track in tracks
    ], tracks
